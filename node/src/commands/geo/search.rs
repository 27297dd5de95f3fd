//! GEOSEARCH, GEOSEARCHSTORE, and GEORADIUS and its kin, which they replace.

use std::ops::Range;

use slotilla_common::resp::ReplyWriter;
use smallvec::SmallVec;

use super::super::double::parse_double;
use super::super::effort::{MEMBER, of, stays};
use super::cell::{Point, truncated};
use super::shape::{Extent, Shape};
use super::{
    Args, CommandError, Ctx, Handler, limits, place, point, store, unit, write_distance,
    write_point,
};
use crate::store::{Bounds, Db, Member, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[
    ("georadius", georadius),
    ("georadius_ro", georadius_ro),
    ("georadiusbymember", georadiusbymember),
    ("georadiusbymember_ro", georadiusbymember_ro),
    ("geosearch", geosearch),
    ("geosearchstore", geosearchstore),
];

/// What a command's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// GEORADIUS, which may store or not.
    AroundPlace { may_store: bool },
    /// GEORADIUSBYMEMBER.
    AroundMember { may_store: bool },
    /// GEOSEARCH, GEOSEARCHSTORE.
    Search { stores: bool },
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Self::Search { .. })
    }

    fn may_store_anywhere(self) -> bool {
        matches!(
            self,
            Self::AroundPlace { may_store: true } | Self::AroundMember { may_store: true }
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    None,
    Ascending,
    Descending,
}

/// Everything that arguments say.
#[derive(Debug)]
struct Request<'a> {
    center: Option<Point>,
    extent: Option<Extent>,
    /// Metres of the unit of distances.
    metres: f64,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    order: Order,
    /// 0: all.
    count: usize,
    any: bool,
    store_at: Option<&'a [u8]>,
    store_distance: bool,
}

/// A member that was found.
struct Found<'a> {
    member: Member<'a>,
    score: f64,
    place: Point,
    distance: f64,
}

fn measure_of(text: &[u8], error: &'static str) -> Result<f64, CommandError> {
    parse_double(text).ok_or(CommandError::fixed(error))
}

fn radius(args: &Args<'_>, at: usize) -> Result<(Extent, f64), CommandError> {
    let radius = measure_of(args.get(at), "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err("ERR radius cannot be negative".into());
    }
    let metres = unit(args.get(at + 1))?;
    let radius = radius * metres;
    Ok((Extent::Circle { radius }, metres))
}

fn rectangle(args: &Args<'_>, at: usize) -> Result<(Extent, f64), CommandError> {
    let width = measure_of(args.get(at), "ERR need numeric width")?;
    let height = measure_of(args.get(at + 1), "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err("ERR height or width cannot be negative".into());
    }
    let metres = unit(args.get(at + 2))?;
    let (across, along) = (width / 2.0, height / 2.0);
    let extent = Extent::Box {
        width: width * metres,
        height: height * metres,
        reach: (across * across + along * along).sqrt() * metres,
    };
    Ok((extent, metres))
}

/// The place of a member, which must be there if the key is.
fn center(set: Option<&SortedSet>, member: &[u8]) -> Result<Option<Point>, CommandError> {
    let Some(set) = set else {
        return Ok(None);
    };
    match place(set, member) {
        None => Err("ERR could not decode requested zset member".into()),
        found => Ok(found),
    }
}

impl<'a> Request<'a> {
    fn parse(args: &Args<'a>, form: Form, set: Option<&SortedSet>) -> Result<Self, CommandError> {
        let mut request = Self {
            center: None,
            extent: None,
            metres: 1.0,
            with_distance: false,
            with_hash: false,
            with_place: false,
            order: Order::None,
            count: 0,
            any: false,
            store_at: None,
            store_distance: false,
        };
        let mut at = match form {
            Form::AroundPlace { .. } => {
                request.center = Some(point(args.get(2), args.get(3))?);
                request.measure(radius(args, 4)?);
                6
            }
            Form::AroundMember { .. } => {
                request.center = center(set, args.get(2))?;
                if set.is_some() {
                    request.measure(radius(args, 3)?);
                }
                5
            }
            Form::Search { stores: true } => {
                request.store_at = Some(args.get(1));
                3
            }
            Form::Search { stores: false } => 2,
        };
        let mut shape_is = ShapeIs::default();
        while at < args.len() {
            let used = match request.plain_option(args, at, form)? {
                0 if form.is_search() => request.search_option(args, at, set, &mut shape_is)?,
                used => used,
            };
            if used == 0 {
                return Err(CommandError::Syntax);
            }
            at += used;
        }
        request.check(args, form, &shape_is)?;
        Ok(request)
    }

    fn measure(&mut self, (extent, metres): (Extent, f64)) {
        (self.extent, self.metres) = (Some(extent), metres);
    }

    /// Reads an option that all have; how many arguments it was.
    fn plain_option(
        &mut self,
        args: &Args<'a>,
        at: usize,
        form: Form,
    ) -> Result<usize, CommandError> {
        let has_value = at + 1 < args.len();
        match args.get(at).to_ascii_lowercase().as_slice() {
            b"withdist" => self.with_distance = true,
            b"withhash" => self.with_hash = true,
            b"withcoord" => self.with_place = true,
            b"any" => self.any = true,
            b"asc" => self.order = Order::Ascending,
            b"desc" => self.order = Order::Descending,
            b"count" if has_value => {
                self.count = usize::try_from(args.int(at + 1)?).unwrap_or(0);
                if self.count == 0 {
                    return Err("ERR COUNT must be > 0".into());
                }
                return Ok(2);
            }
            b"storedist" if form == (Form::Search { stores: true }) => self.store_distance = true,
            option @ (b"store" | b"storedist") if has_value && form.may_store_anywhere() => {
                self.store_at = Some(args.get(at + 1));
                self.store_distance = option == b"storedist";
                return Ok(2);
            }
            _ => return Ok(0),
        }
        Ok(1)
    }

    /// Reads an option of GEOSEARCH; how many arguments it was.
    fn search_option(
        &mut self,
        args: &Args<'a>,
        at: usize,
        set: Option<&SortedSet>,
        shape: &mut ShapeIs,
    ) -> Result<usize, CommandError> {
        let left = args.len() - at;
        match args.get(at).to_ascii_lowercase().as_slice() {
            b"frommember" if left > 1 && !shape.from_place => {
                if let Some(center) = center(set, args.get(at + 1))? {
                    self.center = Some(center);
                }
                shape.from_member = true;
                Ok(2)
            }
            b"fromlonlat" if left > 2 && !shape.from_member => {
                self.center = Some(point(args.get(at + 1), args.get(at + 2))?);
                shape.from_place = true;
                Ok(3)
            }
            b"byradius" if left > 2 && !shape.by_box => {
                self.measure(radius(args, at + 1)?);
                shape.by_radius = true;
                Ok(3)
            }
            b"bybox" if left > 3 && !shape.by_radius => {
                self.measure(rectangle(args, at + 1)?);
                shape.by_box = true;
                Ok(4)
            }
            _ => Ok(0),
        }
    }

    /// Whether all that was said goes together.
    fn check(&self, args: &Args<'_>, form: Form, shape: &ShapeIs) -> Result<(), CommandError> {
        let has_extras = self.with_distance || self.with_hash || self.with_place;
        if self.store_at.is_some() && has_extras {
            let what = if form.is_search() {
                "GEOSEARCHSTORE"
            } else {
                "STORE option in GEORADIUS"
            };
            return Err(CommandError::err(format_args!(
                "{what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let name = args.get(0);
        let name = String::from_utf8_lossy(name);
        // A member may be one of a key that is not there.
        if form.is_search() && !(shape.from_member || shape.from_place) {
            return Err(CommandError::err(format_args!(
                "exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
            )));
        }
        if form.is_search() && !(shape.by_radius || shape.by_box) {
            return Err(CommandError::err(format_args!(
                "exactly one of BYRADIUS and BYBOX can be specified for {name}"
            )));
        }
        if self.any && self.count == 0 {
            return Err("ERR the ANY argument requires COUNT argument".into());
        }
        Ok(())
    }

    fn shape(&self) -> Option<Shape> {
        Some(Shape {
            center: self.center?,
            extent: self.extent?,
        })
    }

    /// The ranks in which all members that are wanted are, among others.
    fn ranks(&self, set: &SortedSet) -> SmallVec<[Range<usize>; 9]> {
        let within = |shape: Shape| {
            let ranks = shape.cells().into_iter().map(|cell| {
                let scores = cell.scores();
                set.ranks_within(&Bounds::Scores {
                    min: scores.start,
                    without_min: false,
                    max: scores.end,
                    without_max: true,
                })
            });
            ranks.collect()
        };
        self.shape().map(within).unwrap_or_default()
    }

    /// The members that are wanted, of those in these ranks, in the order that is.
    fn find<'s>(&self, set: &'s SortedSet, ranks: SmallVec<[Range<usize>; 9]>) -> Vec<Found<'s>> {
        let Some(shape) = self.shape() else {
            return Vec::new();
        };
        let limit = if self.any { self.count } else { usize::MAX };
        let measure = shape.measure();
        let mut found = Vec::new();
        'cells: for ranks in ranks {
            for (member, score) in set.range(ranks, false) {
                let place = Point::of_score(score);
                let Some(distance) = measure.distance_to(place) else {
                    continue;
                };
                found.push(Found {
                    member,
                    score,
                    place,
                    distance,
                });
                if found.len() >= limit {
                    break 'cells;
                }
            }
        }
        // The nearest are wanted if only some are.
        let order = match self.order {
            Order::None if self.count > 0 && !self.any => Order::Ascending,
            order => order,
        };
        match order {
            Order::None => {}
            Order::Ascending => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Order::Descending => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    fn reply(&self, reply: &mut ReplyWriter<'_>, found: &[Found<'_>]) {
        let extras = [self.with_distance, self.with_hash, self.with_place];
        let extras = extras.into_iter().filter(|extra| *extra).count();
        reply.array(found.len());
        for item in found {
            if extras > 0 {
                reply.array(extras + 1);
            }
            item.member.with_text(|member| reply.bulk(member));
            if self.with_distance {
                write_distance(reply, item.distance / self.metres);
            }
            if self.with_hash {
                reply.integer(truncated(item.score));
            }
            if self.with_place {
                write_point(reply, item.place);
            }
        }
    }
}

/// Which of the options that exclude each other were there.
#[derive(Debug, Default)]
struct ShapeIs {
    from_member: bool,
    from_place: bool,
    by_radius: bool,
    by_box: bool,
}

/// How long a search of these ranks will take.
fn nanos(ranks: &[Range<usize>]) -> u64 {
    ranks.iter().map(|ranks| ranks.len() as u64).sum::<u64>() * MEMBER
}

/// How long one of these commands will take.
pub(in super::super) fn effort(db: &mut Db<'_>, args: &Args<'_>) -> u64 {
    let name = args.get(0).to_ascii_lowercase();
    let form = match name.as_slice() {
        b"geosearch" => Form::Search { stores: false },
        b"geosearchstore" => Form::Search { stores: true },
        b"georadius" | b"georadius_ro" => Form::AroundPlace { may_store: true },
        _ => Form::AroundMember { may_store: true },
    };
    let source = if name == b"geosearchstore" { 2 } else { 1 };
    let found = of(db, args.get(source), |set: &SortedSet| {
        let request = Request::parse(args, form, Some(set));
        request.map_or(0, |request| nanos(&request.ranks(set)) as usize)
    });
    found as u64
}

fn search(ctx: &mut Ctx<'_>, args: &Args<'_>, form: Form) -> Result<(), CommandError> {
    let source = if form == (Form::Search { stores: true }) {
        args.get(2)
    } else {
        args.get(1)
    };
    let set = ctx.db.read_as::<SortedSet>(source)?;
    let request = Request::parse(args, form, set)?;
    let mut found = Vec::new();
    if let Some(set) = set {
        let ranks = request.ranks(set);
        stays(nanos(&ranks), ctx.session)?;
        found = request.find(set, ranks);
    }
    let Some(target) = request.store_at else {
        request.reply(&mut ctx.reply, &found);
        return Ok(());
    };
    let members: Vec<(Vec<u8>, f64)> = found
        .into_iter()
        .map(|item| {
            let score = if request.store_distance {
                item.distance / request.metres
            } else {
                item.score
            };
            (item.member.to_vec(), score)
        })
        .collect();
    let set = SortedSet::from_members(&members, limits(ctx.server));
    let event = match ctx.spec.name {
        "geosearchstore" => "geosearchstore",
        // Of a place as of a member.
        _ => "georadiusstore",
    };
    let len = store(&mut ctx.db, target, set, event);
    ctx.reply.integer(len as i64);
    Ok(())
}

fn georadius(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    search(ctx, args, Form::AroundPlace { may_store: true })
}

fn georadius_ro(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    search(ctx, args, Form::AroundPlace { may_store: false })
}

fn georadiusbymember(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    search(ctx, args, Form::AroundMember { may_store: true })
}

fn georadiusbymember_ro(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    search(ctx, args, Form::AroundMember { may_store: false })
}

fn geosearch(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    search(ctx, args, Form::Search { stores: false })
}

fn geosearchstore(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    search(ctx, args, Form::Search { stores: true })
}
