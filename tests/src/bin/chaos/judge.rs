//! Whether replicas came back as they should: with what they lacked alone, whenever the primary had
//! it.

use slotilla_tests::Kind;

use crate::facts::Served;
use crate::round::Round;
use crate::way::{Answer, Exchange};

/// Whether a primary could have gone on where a replica was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Possible {
    /// It had what was asked for before and after it answered.
    Yes,
    /// Before and after, it had not.
    No,
    /// It changed meanwhile, or was not heard.
    Unclear,
}

fn possible(exchange: &Exchange, replid: &str, next: i64) -> Possible {
    let (Some(before), Some(after)) = (&exchange.before, &exchange.after) else {
        return Possible::Unclear;
    };
    let could = [before, after].map(|facts| facts.can_go_on(replid, next));
    match could {
        [true, true] => Possible::Yes,
        [false, false] => Possible::No,
        _ => Possible::Unclear,
    }
}

impl Round<'_> {
    /// Looks at what was agreed on since the last time, by all replicas.
    pub(crate) fn judge_all(&mut self) -> Result<(), String> {
        let mut sums = vec![Some(Served::default()); self.members.len()];
        let mut unanswered = vec![0; self.members.len()];
        for at in 0..self.members.len() {
            let heard = self.members[at].way.take_heard();
            let era = self.members[at].way.era();
            for (number, exchange) in heard.iter().enumerate() {
                let shown = show(exchange);
                self.note(format!("member {at} {shown}"));
                let was_in_step = number == 0 && self.members[at].is_in_step;
                self.judge(at, exchange, was_in_step)
                    .map_err(|fault| format!("member {at} {fault} ({shown})"))?;
                let Some(target) = self.members[at].follows else {
                    continue;
                };
                if exchange.era != era {
                    sums[target] = None;
                } else if exchange.answer.is_none() {
                    unanswered[target] += 1;
                } else if let Some(sum) = &mut sums[target] {
                    add(sum, exchange);
                }
            }
        }
        for (at, (sum, unanswered)) in sums.into_iter().zip(unanswered).enumerate() {
            self.compare_counters(at, sum, unanswered)?;
        }
        Ok(())
    }

    fn judge(&mut self, at: usize, exchange: &Exchange, was_in_step: bool) -> Result<(), String> {
        let asker = self.members[at].kind();
        let target = self.members[at].follows.unwrap_or(self.primary);
        let answerer = self.members[target].kind();
        let is_current = exchange.era == self.members[at].way.era();
        if is_current && let Some((from, to)) = went_back(exchange) {
            return Err(format!(
                "asks a primary whose offset went back from {from} to {to}"
            ));
        }
        let Some((replid, next)) = &exchange.asked else {
            if was_in_step && asker == Kind::Node {
                return Err("asked for all data, though it had been in step".to_owned());
            }
            let which = if was_in_step { ", in step before" } else { "" };
            let what = match &exchange.answer {
                Some(Answer::Refused(text)) => format!("refused: {text}"),
                Some(_) => format!("full: had nothing to go on from{which}"),
                None => "cut before an answer".to_owned(),
            };
            self.tally.sync(what);
            return Ok(());
        };
        let Some(answer) = &exchange.answer else {
            self.tally.sync("cut before an answer");
            return Ok(());
        };
        let possible = possible(exchange, replid, *next);
        let what = match (answer, possible) {
            (Answer::Refused(text), _) => format!("refused: {text}"),
            (Answer::Full, Possible::Yes) if is_current && answerer == Kind::Node => {
                return Err("was sent all data, though the backlog had what it lacked".to_owned());
            }
            (Answer::Full, Possible::Yes) => {
                format!("full: though the backlog had it ({answerer:?})")
            }
            (Answer::Full, Possible::No) if was_in_step => {
                format!(
                    "full: {}, though it had been in step",
                    lack(exchange, replid, *next)
                )
            }
            (Answer::Full, Possible::No) => format!("full: {}", lack(exchange, replid, *next)),
            (Answer::Full, Possible::Unclear) => {
                "full: whether it was needed is unclear".to_owned()
            }
            (Answer::Partial, Possible::Yes) => "partial: the backlog had it".to_owned(),
            (Answer::Partial, _) => {
                let facts = [&exchange.before, &exchange.after];
                let mut known = facts.into_iter().flatten().map(|facts| facts.knows(replid));
                if is_current && !known.next().is_none_or(|first| first || known.any(|it| it)) {
                    return Err("goes on in a history that its primary does not know".to_owned());
                }
                "partial: whether the backlog had it is unclear".to_owned()
            }
        };
        self.tally.sync(what);
        Ok(())
    }

    /// What a server says it has served is what was seen. A replica whose link has been cut may ask
    /// just now, and what it is answered be counted before it is seen: then it is compared next time.
    fn compare_counters(
        &mut self,
        at: usize,
        sum: Option<Served>,
        unanswered: u64,
    ) -> Result<(), String> {
        let told = Served::of(self.members[at].port());
        let mut followers = self.members.iter().filter(|one| one.follows == Some(at));
        let is_quiet = followers.all(|one| one.way.is_quiet());
        let member = &mut self.members[at];
        let Some(sum) = sum else {
            // Some of it was of another life.
            member.served = told.filter(|_| is_quiet);
            member.seen = (Served::default(), 0);
            return Ok(());
        };
        member.seen.0.add(sum);
        member.seen.1 += unanswered;
        if !is_quiet && member.served.is_some() {
            return Ok(());
        }
        let before = std::mem::replace(&mut member.served, told.filter(|_| is_quiet));
        let (seen, unanswered) = std::mem::take(&mut member.seen);
        let (Some(told), Some(before)) = (told, before) else {
            return Ok(());
        };
        let pairs = [
            ("sync_full", told.full - before.full, seen.full),
            (
                "sync_partial_ok",
                told.partial - before.partial,
                seen.partial,
            ),
            ("sync_partial_err", told.denied - before.denied, seen.denied),
        ];
        for (name, told, seen) in pairs {
            if told < seen || told > seen + unanswered {
                return Err(format!(
                    "member {at} has counted {told} in {name}, but {seen} were seen, and {unanswered} \
                     without an answer"
                ));
            }
        }
        self.tally.check("counters of syncs");
        Ok(())
    }
}

/// The offsets before and after it answered, if a primary has gone back though its history has not
/// begun anew.
fn went_back(exchange: &Exchange) -> Option<(i64, i64)> {
    let (before, after) = (exchange.before.as_ref()?, exchange.after.as_ref()?);
    let is_same = !before.is_replica && after.replid2 == before.replid2;
    (is_same && after.offset < before.offset).then_some((before.offset, after.offset))
}

fn add(sum: &mut Served, exchange: &Exchange) {
    match exchange.answer {
        Some(Answer::Full) => {
            sum.full += 1;
            sum.denied += u64::from(exchange.asked.is_some());
        }
        Some(Answer::Partial) => sum.partial += 1,
        Some(Answer::Refused(_)) | None => {}
    }
}

/// Why there was no other way.
fn lack(exchange: &Exchange, replid: &str, next: i64) -> &'static str {
    match &exchange.before {
        Some(before) if !before.knows(replid) => "another history",
        Some(before) if replid != before.replid && next > before.second => {
            "it went on where the history was left"
        }
        Some(before) if before.backlog.is_none() => "no backlog",
        _ => "no longer in the backlog",
    }
}

fn show(exchange: &Exchange) -> String {
    let short = |replid: &str| replid.chars().take(6).collect::<String>();
    let facts = exchange.before.iter().chain(&exchange.after);
    let facts = facts.map(|facts| {
        format!(
            "[{} {} to {}, {} at {}, backlog {:?}]",
            short(&facts.replid),
            short(&facts.replid2),
            facts.second,
            if facts.is_replica {
                "replica"
            } else {
                "primary"
            },
            facts.offset,
            facts.backlog
        )
    });
    let asked = exchange.asked.as_ref();
    format!(
        "asked for {:?}, answer {:?}, of {}",
        asked.map(|(replid, next)| (short(replid), next)),
        exchange.answer,
        facts.collect::<Vec<_>>().join(" then ")
    )
}
