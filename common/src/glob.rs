//! Redis's glob patterns (KEYS, SCAN, CONFIG GET, PSUBSCRIBE), over bytes.
//!
//! `*` any run, `?` any byte, `[a-c]` `[^a]` sets with ranges and `\` escapes, `\x` the byte `x`.
//! The corner cases are Redis 7.0.15's (`stringmatchlen`): an empty text is matched by the empty
//! pattern alone, a set that is never closed ends with the pattern, and an escaped byte inside a
//! set keeps its letter case. Each part of a pattern that consumes a byte consumes exactly one, so
//! it is enough to return to the latest `*`: the time is at most pattern × text, whatever the
//! pattern (CVE-2022-36021 was a pattern of many stars).

/// Does `pattern` match all of `text`?
#[must_use]
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, false)
}

/// As [`matches()`], with ASCII letters equal to their other case.
#[must_use]
pub fn matches_nocase(pattern: &[u8], text: &[u8]) -> bool {
    run(pattern, text, true)
}

/// What stands before the first special byte: every text that matches begins with it, and is it if
/// it is the whole pattern.
#[must_use]
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern
        .iter()
        .position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
        .unwrap_or(pattern.len());
    pattern.get(..end).unwrap_or(pattern)
}

fn run(mut pattern: &[u8], mut text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    // Where to go on when a byte does not fit: behind the latest star, one byte of text later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            if rest.is_empty() {
                return true;
            }
            pattern = rest;
            retry = Some((rest, text));
            continue;
        }
        let step = match text.split_first() {
            None if pattern.is_empty() => return true,
            // Behind the end of the text no star can help.
            None => return false,
            Some((byte, text_rest)) => {
                one(pattern, *byte, nocase).map(|pattern_rest| (pattern_rest, text_rest))
            }
        };
        (pattern, text) = match (step, retry) {
            (Some(next), _) => next,
            (None, None) => return false,
            (None, Some((after_star, from))) => {
                let later = from.get(1..).unwrap_or_default();
                retry = Some((after_star, later));
                (after_star, later)
            }
        };
    }
}

/// Matches `byte` with the first part of `pattern`, which is not a star; the rest of the pattern if
/// it fits.
fn one(pattern: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => set(rest, byte, nocase),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            same(*literal, byte, nocase).then_some(rest)
        }
    }
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

/// Matches `byte` with the set whose inside starts at `pattern`; what follows the set if it fits.
fn set(pattern: &[u8], byte: u8, nocase: bool) -> Option<&[u8]> {
    let (negated, mut inside) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let fold = |b: u8| if nocase { b.to_ascii_lowercase() } else { b };
    let mut found = false;
    let after = loop {
        inside = match inside {
            [] => break inside,
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [b']', rest @ ..] => break rest,
            [first, b'-', last, rest @ ..] => {
                let low = fold(*first.min(last));
                let high = fold(*first.max(last));
                found |= (low..=high).contains(&fold(byte));
                rest
            }
            [literal, rest @ ..] => {
                found |= fold(*literal) == fold(byte);
                rest
            }
        };
    };
    (found != negated).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_redis_matches_them() {
        let cases: &[(&[u8], &[u8], bool)] = &[
            (b"", b"", true),
            (b"*", b"", false),
            (b"", b"a", false),
            (b"*", b"a", true),
            (b"**", b"abc", true),
            (b"a*", b"a", true),
            (b"a**", b"a", true),
            (b"*a", b"a", true),
            (b"*a*", b"bab", true),
            (b"a?c", b"abc", true),
            (b"a?", b"a", false),
            (b"h[ae]llo", b"hello", true),
            (b"h[ae]llo", b"hillo", false),
            (b"h[^e]llo", b"hallo", true),
            (b"h[^e]llo", b"hello", false),
            (b"h[a-b]llo", b"hbllo", true),
            (b"h[b-a]llo", b"hallo", true),
            (b"[a-]", b"a", true),
            (b"[]", b"]", false),
            (b"[]a]", b"a]", false),
            (b"[^]", b"x", true),
            (b"[", b"[", false),
            (b"[^", b"x", true),
            (b"[abc", b"b", true),
            (b"[\\]]", b"]", true),
            (b"[\\a-c]", b"b", false),
            (b"[\\a-c]", b"-", true),
            (b"\\*", b"*", true),
            (b"\\*", b"a", false),
            (b"a\\", b"a\\", true),
            (b"a\\", b"a", false),
            (b"foo*bar*baz", b"foo1bar2bar3baz", true),
            (b"foo*bar*baz", b"foo1bar2bar3ba", false),
            (b"\x00?\xff", b"\x00\x01\xff", true),
            (b"*?", b"a", true),
            (b"?*?", b"a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), *expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn letter_case_is_ignored_but_for_escapes_in_sets() {
        assert!(matches_nocase(b"MaxMemory*", b"maxmemory-policy"));
        assert!(matches_nocase(b"[A-C]x", b"bX"));
        assert!(matches_nocase(b"[B]", b"b"));
        assert!(!matches_nocase(b"[\\B]", b"b"));
        assert!(matches_nocase(b"\\B", b"b"));
        assert!(!matches(b"B", b"b"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(1000);
        let text = b"a".repeat(20_000);
        assert!(matches(&pattern, &text));
        let mut hopeless = pattern;
        hopeless.push(b'b');
        assert!(!matches(&hopeless, &text));
    }

    #[test]
    fn the_literal_prefix_ends_at_the_first_special_byte() {
        assert_eq!(literal_prefix(b"user:*"), b"user:");
        assert_eq!(literal_prefix(b"plain"), b"plain");
        assert_eq!(literal_prefix(b"\\x"), b"");
    }

    /// The definition, by plain recursion.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|n| model(rest, &text[n..])),
            _ => text
                .split_first()
                .and_then(|(byte, text)| Some((one(pattern, *byte, false)?, text)))
                .is_some_and(|(pattern, text)| model(pattern, text)),
        }
    }

    proptest! {
        #[test]
        fn going_back_to_the_latest_star_is_enough(
            pattern in "[ab*?\\[\\]^\\\\-]{0,10}", text in "[ab\\]]{1,10}"
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), model(pattern, text));
        }
    }
}
