//! The 24 bits by which an entry remembers its use.
//!
//! ```text
//! LFU policies   minutes, 16 bits │ logarithmic counter, 8 bits
//! all others     ticks of 100 ms, 24 bits: comes round after 19 days
//! ```
//!
//! Redis's clock ticks once a second, which is coarser than the turnover of a small cache; the
//! counter and its decay are Redis's (`lfu-log-factor`, `lfu-decay-time`).

use super::settings::Settings;

const TICK_MS: i64 = 100;
const WORD: i64 = 0xff_ffff;
/// A new key's counter, so that it is not the next victim at once.
const LFU_INITIAL: u8 = 5;

/// What "used now" is, under the policy in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessClock {
    tick: u32,
    lfu: Option<Lfu>,
}

#[derive(Clone, Copy, Debug)]
struct Lfu {
    minutes: u16,
    log_factor: u32,
    decay_minutes: u32,
}

impl AccessClock {
    #[inline]
    pub(crate) fn new(settings: &Settings, now_ms: i64) -> Self {
        let lfu = settings.counts_uses().then(|| Lfu {
            // The masks keep what fits.
            minutes: ((now_ms / 60_000) & 0xffff) as u16,
            log_factor: settings.lfu_log_factor(),
            decay_minutes: settings.lfu_decay_minutes(),
        });
        Self {
            tick: ((now_ms / TICK_MS) & WORD) as u32,
            lfu,
        }
    }

    /// Whether uses are counted.
    pub(crate) fn is_lfu(self) -> bool {
        self.lfu.is_some()
    }

    /// A new entry's word.
    #[inline]
    pub(crate) fn fresh(self) -> u32 {
        self.lfu.map_or(self.tick, |lfu| lfu.word(LFU_INITIAL))
    }

    /// The word of an entry that had `word`, and is used now.
    #[inline]
    pub(crate) fn touched(self, word: u32) -> u32 {
        match self.lfu {
            None => self.tick,
            Some(lfu) => lfu.word(lfu.incremented(lfu.decayed(word))),
        }
    }

    /// The word of an entry that was last used so many milliseconds ago, as far back as it can say.
    pub(crate) fn used_ago(self, ms: i64) -> u32 {
        let ticks = (ms / TICK_MS).clamp(0, WORD);
        self.lfu.map_or_else(
            || ((i64::from(self.tick) - ticks) & WORD) as u32,
            |_| self.fresh(),
        )
    }

    /// The word of an entry that is used so often, as the LFU policies count; of a new one under
    /// any other.
    pub(crate) fn used_often(self, frequency: u8) -> u32 {
        self.lfu.map_or(self.tick, |lfu| lfu.word(frequency))
    }

    /// The word of an entry that was last used so long ago, or is used so often, whichever the
    /// policy in force looks at; of a new one if it is not told.
    pub(crate) fn word_of(self, idle_ms: Option<i64>, frequency: Option<u8>) -> u32 {
        match (idle_ms, frequency) {
            (_, Some(frequency)) if self.is_lfu() => self.used_often(frequency),
            (Some(ms), _) => self.used_ago(ms),
            _ => self.fresh(),
        }
    }

    /// Milliseconds since the last use.
    pub(crate) fn idle_ms(self, word: u32) -> i64 {
        (i64::from(self.tick) - i64::from(word)).rem_euclid(WORD + 1) * TICK_MS
    }

    /// The counter, decayed by the time since the last use.
    pub(crate) fn frequency(self, word: u32) -> u8 {
        self.lfu.map_or(0, |lfu| lfu.decayed(word))
    }

    /// How good a victim an entry is: the higher, the better. Idle time, or rarity.
    pub(crate) fn coldness(self, word: u32) -> u64 {
        match self.lfu {
            Some(lfu) => u64::from(u8::MAX - lfu.decayed(word)),
            None => self.idle_ms(word).cast_unsigned(),
        }
    }
}

impl Lfu {
    fn word(self, counter: u8) -> u32 {
        u32::from(self.minutes) << 8 | u32::from(counter)
    }

    fn decayed(self, word: u32) -> u8 {
        let counter = (word & 0xff) as u8;
        let since = self.minutes.wrapping_sub((word >> 8) as u16);
        let periods = u32::from(since)
            .checked_div(self.decay_minutes)
            .unwrap_or(0);
        counter.saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }

    fn incremented(self, counter: u8) -> u8 {
        if counter == u8::MAX {
            return counter;
        }
        let base = f64::from(counter.saturating_sub(LFU_INITIAL));
        let chance = 1.0 / (base * f64::from(self.log_factor) + 1.0);
        counter + u8::from(fastrand::f64() < chance)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Policy;
    use super::*;

    #[test]
    fn idle_time_is_told_across_the_clocks_round() {
        let settings = Settings::default();
        let late = (WORD + 5) * TICK_MS;
        let before = AccessClock::new(&settings, late - 10_000);
        let after = AccessClock::new(&settings, late);
        assert_eq!(after.idle_ms(before.fresh()), 10_000);
        assert_eq!(after.touched(before.fresh()), after.fresh());
    }

    #[test]
    fn a_word_from_outside_says_what_it_was_told() {
        let settings = Settings::default();
        let clock = AccessClock::new(&settings, 3 * WORD * TICK_MS + 500);
        for (ms, idle) in [(0, 0), (7_000, 7_000), (i64::MAX, WORD * TICK_MS), (-5, 0)] {
            assert_eq!(clock.idle_ms(clock.used_ago(ms)), idle);
        }
        assert_eq!(clock.idle_ms(clock.used_often(9)), 0);
        settings.set_policy(Policy::AllKeysLfu);
        let clock = AccessClock::new(&settings, 60_000_000);
        assert_eq!(clock.frequency(clock.used_often(200)), 200);
        assert_eq!(clock.frequency(clock.used_ago(7_000)), LFU_INITIAL);
    }

    #[test]
    fn the_counter_grows_ever_more_slowly_and_decays() {
        let settings = Settings::default();
        settings.set_policy(Policy::AllKeysLfu);
        fastrand::seed(1);
        let start = AccessClock::new(&settings, 60_000_000);
        let mut word = start.fresh();
        assert_eq!(start.frequency(word), 5);
        for _ in 0..100 {
            word = start.touched(word);
        }
        let after_100 = start.frequency(word);
        for _ in 0..100_000 {
            word = start.touched(word);
        }
        let after_100_000 = start.frequency(word);
        // Redis documents about 10 after a hundred hits, about 142 after 100 thousand.
        assert!((8..=14).contains(&after_100), "{after_100}");
        assert!((120..=165).contains(&after_100_000), "{after_100_000}");
        let later = AccessClock::new(&settings, 60_000_000 + 10 * 60_000);
        assert_eq!(later.frequency(word), after_100_000 - 10);
        settings.set_lfu_decay_minutes(0);
        let undecayed = AccessClock::new(&settings, 600_000_000);
        assert_eq!(undecayed.frequency(word), after_100_000);
    }
}
