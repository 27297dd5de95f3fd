//! ZSCAN.

use slotilla_common::resp::{ReplyWriter, format_double};

use super::super::collection::{ScanOptions, cursor};
use super::{Args, CommandError, Ctx, Handler};
use crate::store::{Item, SortedSet};

/// The commands of this file.
pub(in super::super) const HANDLERS: &[(&str, Handler)] = &[("zscan", zscan)];

fn zscan(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let cursor = cursor(args)?;
    let Some(set) = ctx.db.read_as::<SortedSet>(args.get(1))? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args)?;
    let (mut found, mut bulks) = (0, Vec::new());
    let protocol = ctx.reply.protocol;
    let next = set.scan(cursor, options.count, |member, score| {
        member.with_text(|member| {
            if !options.fits(Item::Bytes(member)) {
                return;
            }
            found += 2;
            let mut writer = ReplyWriter::new(&mut bulks, protocol);
            writer.bulk(member);
            writer.bulk(&score_text(score, set.is_packed()));
        });
    });
    ctx.reply.array(2);
    ctx.reply.bulk(next.to_string().as_bytes());
    ctx.reply.array(found);
    ctx.reply.raw(&bulks);
    Ok(())
}

/// A score as ZSCAN tells it, a string in both protocols: a packed one as it is kept.
fn score_text(score: f64, is_packed: bool) -> Vec<u8> {
    if is_packed {
        return SortedSet::packed_score(score);
    }
    let mut text = Vec::with_capacity(24);
    format_double(&mut text, score);
    text
}
