//! SUBSCRIBE and its kin, PUBLISH, SPUBLISH, PUBSUB.

use super::command_info::wrong_use;
use super::{Args, CommandError, Ctx, Handler};
use crate::server::client::flag;
use crate::server::pubsub::Topic;

/// The commands of this file.
pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("psubscribe", |ctx, args| add(ctx, args, Topic::Pattern)),
    ("publish", publish),
    ("pubsub|channels", |ctx, args| {
        names(ctx, args, Topic::Channel)
    }),
    ("pubsub|help", super::command_info::help),
    ("pubsub|numpat", numpat),
    ("pubsub|numsub", |ctx, args| {
        counts(ctx, args, Topic::Channel)
    }),
    ("pubsub|shardchannels", |ctx, args| {
        names(ctx, args, Topic::ShardChannel)
    }),
    ("pubsub|shardnumsub", |ctx, args| {
        counts(ctx, args, Topic::ShardChannel)
    }),
    ("punsubscribe", |ctx, args| {
        remove(ctx, args, Topic::Pattern)
    }),
    ("spublish", spublish),
    ("ssubscribe", ssubscribe),
    ("subscribe", |ctx, args| add(ctx, args, Topic::Channel)),
    ("sunsubscribe", |ctx, args| {
        remove(ctx, args, Topic::ShardChannel)
    }),
    ("unsubscribe", |ctx, args| remove(ctx, args, Topic::Channel)),
];

/// Unlike its older kin not inside EXEC, where each command has one reply.
fn ssubscribe(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    if ctx.session.transaction.running {
        return Err(CommandError::fixed(
            "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
        ));
    }
    add(ctx, args, Topic::ShardChannel)
}

/// Answers each name by a push. Messages go to the mail, which comes after what is answered now.
fn add(ctx: &mut Ctx<'_>, args: &Args<'_>, topic: Topic) -> Result<(), CommandError> {
    for name in args.iter_from(1) {
        let client = &ctx.session.client;
        let count = ctx.server.pubsub.subscribe(client, topic, name);
        answer(ctx, topic.subscribed(), Some(name), count);
    }
    keep_pushes(ctx);
    Ok(())
}

fn remove(ctx: &mut Ctx<'_>, args: &Args<'_>, topic: Topic) -> Result<(), CommandError> {
    if args.len() > 1 {
        for name in args.iter_from(1) {
            remove_one(ctx, topic, name);
        }
    } else {
        let names = ctx.session.client.subscriptions(topic);
        for name in &names {
            remove_one(ctx, topic, name);
        }
        if names.is_empty() {
            let count = ctx.session.client.subscription_counts().told(topic);
            answer(ctx, topic.unsubscribed(), None, count);
        }
    }
    keep_pushes(ctx);
    Ok(())
}

/// What was published before comes before the answer.
fn remove_one(ctx: &mut Ctx<'_>, topic: Topic, name: &[u8]) {
    let count = ctx
        .server
        .pubsub
        .unsubscribe(&ctx.session.client, topic, name);
    take_mail(ctx);
    answer(ctx, topic.unsubscribed(), Some(name), count);
}

fn answer(ctx: &mut Ctx<'_>, verb: &str, name: Option<&[u8]>, count: usize) {
    ctx.reply.push(3);
    ctx.reply.bulk(verb.as_bytes());
    match name {
        Some(name) => ctx.reply.bulk(name),
        None => ctx.reply.null(),
    }
    integer(ctx, count);
}

fn integer(ctx: &mut Ctx<'_>, count: usize) {
    ctx.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
}

/// While the session is away with a long command, its connection does so itself: others' messages do
/// not belong into a transaction's array.
fn take_mail(ctx: &mut Ctx<'_>) {
    if ctx.session.away {
        return;
    }
    let client = &ctx.session.client;
    if client.has(flag::MAIL) {
        client.take_mail(ctx.reply.out, usize::MAX);
    }
}

/// CLIENT REPLY OFF does not silence what has been written so far.
fn keep_pushes(ctx: &mut Ctx<'_>) {
    ctx.session.pushed_to = ctx.reply.out.len();
}

fn publish(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let receivers = ctx.server.publish(args.get(1), args.get(2));
    write_down(ctx, args);
    published(ctx, receivers);
    Ok(())
}

fn spublish(ctx: &mut Ctx<'_>, args: &Args<'_>) -> Result<(), CommandError> {
    let receivers = ctx.server.publish_to_shard(args.get(1), args.get(2));
    write_down(ctx, args);
    published(ctx, receivers);
    Ok(())
}

/// Replicas pass a message on to their clients; in a cluster they hear of it as nodes.
fn write_down(ctx: &mut Ctx<'_>, args: &Args<'_>) {
    if ctx.server.store.log().takes_messages() && !ctx.server.cluster_enabled {
        ctx.db.effect_of(args.iter_from(0));
    }
}

/// Who publishes to itself has the message before the reply, as in Redis.
fn published(ctx: &mut Ctx<'_>, receivers: usize) {
    if ctx.session.client.has(flag::PUBSUB) && !ctx.session.away {
        take_mail(ctx);
        keep_pushes(ctx);
    }
    integer(ctx, receivers);
}

fn names(ctx: &mut Ctx<'_>, args: &Args<'_>, topic: Topic) -> Result<(), CommandError> {
    let pattern = match args.len() {
        2 => None,
        3 => Some(args.get(2)),
        _ => return Err(wrong_use(args, "PUBSUB")),
    };
    let names = ctx.server.pubsub.names(topic, pattern);
    ctx.reply.array(names.len());
    for name in &names {
        ctx.reply.bulk(name);
    }
    Ok(())
}

fn numpat(ctx: &mut Ctx<'_>, _args: &Args<'_>) -> Result<(), CommandError> {
    let patterns = ctx.server.pubsub.patterns();
    integer(ctx, patterns);
    Ok(())
}

fn counts(ctx: &mut Ctx<'_>, args: &Args<'_>, topic: Topic) -> Result<(), CommandError> {
    ctx.reply
        .array(args.len().saturating_sub(2).saturating_mul(2));
    for channel in args.iter_from(2) {
        let count = ctx.server.pubsub.subscribers(topic, channel);
        ctx.reply.bulk(channel);
        integer(ctx, count);
    }
    Ok(())
}
