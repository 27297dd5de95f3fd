//! What the command line asks for.

use slotilla_tests::Kind;

pub(crate) const USAGE: &str = "\
tests/chaos/replication [OPTION VALUE]...
  --seconds N         how long (60)
  --seed N            of the plans of faults and of what is written (random)
  --round N           only the round with this number
  --round-seconds N   how long a round takes (a tenth of all, 10 to 60)
  --primary MAKE      node, redis-server or valkey (in turn)
  --replica MAKE      of all replicas (in turn)
  --replicas N        how many (1 or 2)
  --append-only HOW   no, everysec or always (at random)
  --ack N             replica-ack-writes (0 or 1, at random)
  --failures N        end after so many (1)
  --journal HOW       kept (shown if a round fails) or shown (as it happens) (kept)";

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) seed: u64,
    pub(crate) round: Option<u64>,
    round_seconds: Option<u64>,
    pub(crate) primary: Option<Kind>,
    pub(crate) replica: Option<Kind>,
    pub(crate) replicas: Option<usize>,
    pub(crate) append_only: Option<&'static str>,
    pub(crate) ack: Option<u32>,
    pub(crate) failures: usize,
    pub(crate) shows_journal: bool,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            seconds: 60,
            seed: fastrand::u64(..1 << 48),
            round: None,
            round_seconds: None,
            primary: None,
            replica: None,
            replicas: None,
            append_only: None,
            ack: None,
            failures: 1,
            shows_journal: false,
        };
        for pair in words.chunks(2) {
            let [name, value] = pair else {
                return Err(format!("{} needs a value", pair[0]));
            };
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || {
            let wrong = |_| format!("{name} takes a number, not '{value}'");
            value.parse::<u64>().map_err(wrong)
        };
        let small = |from: u64, to: u64| match number()? {
            number if (from..=to).contains(&number) => Ok(number),
            _ => Err(format!("{name} takes {from} to {to}, not '{value}'")),
        };
        match name {
            "--seconds" => self.seconds = number()?,
            "--seed" => self.seed = number()?,
            "--round" => self.round = Some(number()?),
            "--round-seconds" => self.round_seconds = Some(small(1, 86_400)?),
            "--primary" => self.primary = Some(kind(name, value)?),
            "--replica" => self.replica = Some(kind(name, value)?),
            "--replicas" => self.replicas = Some(small(1, 8)? as usize),
            "--ack" => self.ack = Some(small(0, 8)? as u32),
            "--failures" => self.failures = small(1, 1000)? as usize,
            "--journal" => {
                self.shows_journal = match value {
                    "shown" => true,
                    "kept" => false,
                    _ => return Err(format!("{name} is kept or shown, not '{value}'")),
                }
            }
            "--append-only" => {
                let known = ["no", "everysec", "always"];
                let found = known.into_iter().find(|known| *known == value);
                let wrong = || format!("{name} is no, everysec or always, not '{value}'");
                self.append_only = Some(found.ok_or_else(wrong)?);
            }
            _ => return Err(format!("there is no option '{name}'")),
        }
        Ok(())
    }

    /// How long a round takes.
    pub(crate) fn round_seconds(&self) -> u64 {
        let share = (self.seconds / 10).clamp(10, 60);
        self.round_seconds.unwrap_or(share)
    }
}

fn kind(name: &str, value: &str) -> Result<Kind, String> {
    match value {
        "node" => Ok(Kind::Node),
        "redis-server" => Ok(Kind::Redis),
        "valkey" => Ok(Kind::Valkey),
        _ => Err(format!(
            "{name} is node, redis-server or valkey, not '{value}'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_or_refused_by_name() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            Options::parse(&words)
        };
        let options = parse("--seconds 600 --seed 7 --primary valkey --append-only always");
        let options = options.unwrap();
        assert_eq!((options.seconds, options.seed), (600, 7));
        assert_eq!(options.primary, Some(Kind::Valkey));
        assert_eq!(options.append_only, Some("always"));
        assert_eq!(options.round_seconds(), 60);
        assert_eq!(parse("--seed").unwrap_err(), "--seed needs a value");
        let wrong = "--primary is node, redis-server or valkey, not 'x'";
        assert_eq!(parse("--primary x").unwrap_err(), wrong);
        assert_eq!(parse("--x 1").unwrap_err(), "there is no option '--x'");
    }
}
