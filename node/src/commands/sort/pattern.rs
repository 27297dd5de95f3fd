//! Patterns of SORT: what BY and GET make of an element.

use crate::store::{Collection as _, Db, Digits, Hash, ValueRef};

/// See the module's page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `#`: the element itself.
    Element,
    /// Without a star: nothing.
    Nothing,
    /// With the element in the place of its star, a key: a string's, or a hash's that has a field.
    Key(KeyPattern),
}

/// See [`Pattern::Key`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    before: Vec<u8>,
    behind: Vec<u8>,
    field: Option<Vec<u8>>,
}

impl Pattern {
    /// What a text means. Redis looks no further than a zero byte for what is special in it.
    pub(super) fn parse(text: &[u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        let looked_at = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(star) = looked_at.iter().position(|byte| *byte == b'*') else {
            return Self::Nothing;
        };
        let (before, rest) = text.split_at_checked(star).unwrap_or_default();
        let rest = rest.get(1..).unwrap_or_default();
        let looked_at = looked_at.get(star + 1..).unwrap_or_default();
        let arrow = looked_at.windows(2).position(|two| two == b"->");
        // An arrow that points to nothing is a part of the key.
        let arrow = arrow.filter(|at| at + 2 < looked_at.len());
        let (behind, field) = match arrow {
            Some(at) => (
                rest.get(..at).unwrap_or_default(),
                rest.get(at + 2..).map(<[u8]>::to_vec),
            ),
            None => (rest, None),
        };
        Self::Key(KeyPattern {
            before: before.to_vec(),
            behind: behind.to_vec(),
            field,
        })
    }

    /// The pattern, if it leads to keys.
    pub(super) fn of_keys(&self) -> Option<&KeyPattern> {
        match self {
            Self::Key(pattern) => Some(pattern),
            Self::Element | Self::Nothing => None,
        }
    }

    /// Hands on what an element leads to. `key` is room for a key.
    pub(super) fn look_up<R>(
        &self,
        db: &mut Db<'_>,
        element: &[u8],
        key: &mut Vec<u8>,
        found: impl FnOnce(Option<&[u8]>) -> R,
    ) -> R {
        match self {
            Self::Element => found(Some(element)),
            Self::Nothing => found(None),
            Self::Key(pattern) => {
                pattern.key(element, key);
                pattern.value(db.read(key), found)
            }
        }
    }
}

impl KeyPattern {
    /// Writes the key that an element leads to.
    pub(super) fn key(&self, element: &[u8], key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(&self.before);
        key.extend_from_slice(element);
        key.extend_from_slice(&self.behind);
    }

    fn value<R>(&self, value: Option<ValueRef<'_>>, found: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let mut digits = Digits::default();
        let text = match (&self.field, value) {
            (None, Some(value)) => value.text(&mut digits),
            (Some(field), Some(ValueRef::Object(object))) => Hash::of(object)
                .and_then(|hash| hash.get(field))
                .map(|value| value.text(&mut digits)),
            _ => None,
        };
        found(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(before: &str, behind: &str, field: Option<&str>) -> Pattern {
        Pattern::Key(KeyPattern {
            before: before.into(),
            behind: behind.into(),
            field: field.map(Into::into),
        })
    }

    #[test]
    fn patterns_are_read_as_redis_reads_them() {
        let cases: &[(&str, Pattern)] = &[
            ("#", Pattern::Element),
            ("", Pattern::Nothing),
            ("##", Pattern::Nothing),
            ("weight", Pattern::Nothing),
            ("a->b", Pattern::Nothing),
            ("\0*", Pattern::Nothing),
            ("*", key("", "", None)),
            ("w_*", key("w_", "", None)),
            ("w_*_x*", key("w_", "_x*", None)),
            ("w_*->f", key("w_", "", Some("f"))),
            ("w_*x->f->g", key("w_", "x", Some("f->g"))),
            ("a->b*->f", key("a->b", "", Some("f"))),
            ("w_*->", key("w_", "->", None)),
            ("w_*\0->f", key("w_", "\0->f", None)),
            ("w_*->\0f", key("w_", "->\0f", None)),
            ("w_*->f\0g", key("w_", "", Some("f\0g"))),
        ];
        for (text, expected) in cases {
            assert_eq!(Pattern::parse(text.as_bytes()), *expected, "{text:?}");
        }
    }

    #[test]
    fn an_element_takes_the_place_of_the_first_star() {
        let Pattern::Key(pattern) = Pattern::parse(b"a*b*->f") else {
            panic!("it has a star");
        };
        let mut key = b"rubbish".to_vec();
        pattern.key(b"*x", &mut key);
        assert_eq!(key, b"a*xb*");
    }
}
