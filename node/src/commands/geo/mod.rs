//! GEOADD and its kin: places on the globe, kept in sorted sets as scores of 52 bits.

mod cell;
pub(super) mod search;
mod shape;

use super::double::parse_double;
use super::sorted_set::add::{Rule, add};
use super::sorted_set::{limits, store};
use super::{Args, CommandError, Ctx, Handler};
use crate::store::SortedSet;
use cell::Point;
use slotilla_common::resp::{Protocol, ReplyWriter};

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("geoadd", geoadd),
    ("geodist", geodist),
    ("geohash", geohash),
    ("geopos", geopos),
];

/// Metres of a unit.
fn unit(name: &[u8]) -> Result<f64, CommandError> {
    match name.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err("ERR unsupported unit provided. please use M, KM, FT, MI".into()),
    }
}

/// Longitude and latitude, as two arguments.
fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, CommandError> {
    let point = Point {
        longitude: parse_double(longitude).ok_or(CommandError::NotFloat)?,
        latitude: parse_double(latitude).ok_or(CommandError::NotFloat)?,
    };
    if point.is_on_map() {
        return Ok(point);
    }
    Err(CommandError::err(format_args!(
        "invalid longitude,latitude pair {:.6},{:.6}",
        point.longitude, point.latitude
    )))
}

/// Where a member is.
fn place(set: &SortedSet, member: &[u8]) -> Option<Point> {
    set.score(member).map(Point::of_score)
}

/// A distance: a string in both protocols.
fn write_distance(reply: &mut ReplyWriter<'_>, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

/// A place: two numbers with 17 decimals at most.
fn write_point(reply: &mut ReplyWriter<'_>, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = match text.trim_end_matches('0').trim_end_matches('.') {
            "-0" => "0",
            text => text,
        };
        match reply.protocol {
            Protocol::Resp2 => reply.bulk(text.as_bytes()),
            Protocol::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}

fn geoadd(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let (mut rule, mut at) = (Rule::default(), 2);
    for option in args.iter_from(2) {
        match option.to_ascii_lowercase().as_slice() {
            b"nx" => rule.nx = true,
            b"xx" => rule.xx = true,
            b"ch" => rule.ch = true,
            _ => break,
        }
        at += 1;
    }
    let left = args.len().saturating_sub(at);
    if left == 0 || !left.is_multiple_of(3) || (rule.nx && rule.xx) {
        return Err(CommandError::Syntax);
    }
    let mut places = Vec::with_capacity(left / 3);
    for at in (at..args.len()).step_by(3) {
        let point = point(args.get(at), args.get(at + 1))?;
        places.push((point.score(), args.get(at + 2)));
    }
    add(ctx, args.get(1), rule, &places)?;
    if ctx.db.has_changed() && ctx.db.is_logged() {
        // A place is a score, wherever it is worked out.
        let scores: Vec<String> = places
            .iter()
            .map(|(score, _)| format!("{score:.0}"))
            .collect();
        let mut words: Vec<&[u8]> = vec![b"zadd"];
        words.extend(args.iter_from(1).take(at - 1));
        for (score, (_, member)) in scores.iter().zip(&places) {
            words.extend([score.as_bytes(), *member]);
        }
        ctx.db.effect(&words);
    }
    Ok(())
}

fn geodist(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let metres = match args.len() {
        4 => 1.0,
        5 => unit(args.get(4))?,
        _ => return Err(CommandError::Syntax),
    };
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    let places = set.and_then(|set| Some((place(set, args.get(2))?, place(set, args.get(3))?)));
    match places {
        Some((a, b)) => write_distance(&mut ctx.reply, a.distance(b) / metres),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    let members = args.iter_from(2);
    ctx.reply.array(members.len());
    for member in members {
        match set.and_then(|set| place(set, member)) {
            Some(place) => ctx.reply.bulk(&place.geohash()),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn geopos(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let set = ctx.db.read_as::<SortedSet>(args.get(1))?;
    let members = args.iter_from(2);
    ctx.reply.array(members.len());
    for member in members {
        match set.and_then(|set| place(set, member)) {
            Some(place) => write_point(&mut ctx.reply, place),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}
