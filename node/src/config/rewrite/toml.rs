//! A node.toml, rewritten: comments, order and spelling stay.

use slotilla_common::config::{Entry, Origin, format_size, tables};
use toml_edit::{Array, DocumentMut, Item, TableLike, Value as Toml};

use super::{RewriteError, Wanted};
use crate::config::directive::{Access, Directive, Kind};
use crate::config::table::TABLE;
use crate::config::value::Value;

pub(super) fn rewritten(old: &[u8], wanted: &Wanted<'_>) -> Result<Vec<u8>, RewriteError> {
    let unreadable = |error: &dyn std::fmt::Display| RewriteError::Unreadable(error.to_string());
    let text = std::str::from_utf8(old).map_err(|error| unreadable(&error))?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| unreadable(&error.message()))?;
    let (entries, _) = tables(text, |line| Origin::Stdin { line });
    for directive in TABLE {
        let index = directive.key as usize;
        let (Some(value), Some(default)) = (wanted.values.get(index), wanted.defaults.get(index))
        else {
            continue;
        };
        let said = entries.iter().find(|entry| {
            directive
                .names()
                .any(|name| name.eq_ignore_ascii_case(&entry.key))
        });
        if said
            .and_then(|entry| value_of(directive, entry, default))
            .as_ref()
            == Some(value)
        {
            continue;
        }
        match said {
            Some(entry) => {
                let new = to_toml(directive, value)?;
                change(document.as_table_mut(), &entry.key, new);
            }
            None if value != default
                || (wanted.everything && directive.access != Access::Hidden) =>
            {
                if let Some(new) = to_toml(directive, value)? {
                    document.insert(directive.name, Item::Value(new));
                }
            }
            None => {}
        }
    }
    Ok(document.to_string().into_bytes())
}

fn value_of(directive: &Directive, entry: &Entry, default: &Value) -> Option<Value> {
    let words: Vec<&[u8]> = entry.words.iter().map(Vec::as_slice).collect();
    Value::parse(directive, default, &words).ok()
}

/// Changes the key of this flattened name where it stands; `None` removes it.
fn change(table: &mut dyn TableLike, name: &str, new: Option<Toml>) {
    if table.get(name).is_some_and(Item::is_value) {
        let Some(mut new) = new else {
            table.remove(name);
            return;
        };
        if let Some(old) = table.get_mut(name).and_then(Item::as_value_mut) {
            // The comment at the end of the line belongs to the decoration.
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        return;
    }
    for (place, _) in name.match_indices('-') {
        let (prefix, rest) = (name.get(..place), name.get(place + 1..));
        let (Some(prefix), Some(rest)) = (prefix, rest) else {
            continue;
        };
        if let Some(inner) = table.get_mut(prefix).and_then(Item::as_table_like_mut) {
            change(inner, rest, new);
            return;
        }
    }
}

/// The value as TOML would say it; `None` where that is to leave the key out.
pub(crate) fn to_toml(directive: &Directive, of: &Value) -> Result<Option<Toml>, RewriteError> {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Toml::from(text)),
        Err(_) => Err(RewriteError::NotText(directive.name)),
    };
    let numbers = |numbers: &[i64]| Toml::Array(numbers.iter().copied().collect());
    let new = match of {
        Value::Number(number) => match directive.kind {
            Kind::Bool => Toml::from(*number != 0),
            Kind::Int { .. } => Toml::from(*number),
            kind => text(&of.show(kind))?,
        },
        Value::Size(bytes) => size(*bytes),
        Value::Text(bytes) => text(bytes)?,
        Value::Addresses(addresses) => Toml::Array(addresses.iter().map(String::as_str).collect()),
        Value::OutputLimits(_) => Toml::from(of.conf_lines(directive.kind).join(" ")),
        Value::SavePoints(points) if points.is_empty() => Toml::from(""),
        Value::SavePoints(points) => {
            let pair = |point: &crate::config::SavePoint| {
                numbers(&[point.seconds.cast_signed(), point.changes.into()])
            };
            Toml::Array(points.iter().map(pair).collect::<Array>())
        }
        Value::Percentiles(values) => Toml::Array(values.iter().copied().collect()),
        Value::OomScores(scores) => numbers(&scores.map(i64::from)),
        Value::ReplicaOf(None) => return Ok(None),
        Value::ReplicaOf(Some(_)) => text(&of.show(directive.kind))?,
    };
    Ok(Some(new))
}

fn size(bytes: u64) -> Toml {
    let shown = format_size(bytes);
    match i64::try_from(bytes) {
        // A plain number reads better than one in quotes.
        Ok(number) if shown.ends_with(|c: char| c.is_ascii_digit()) => Toml::from(number),
        _ => Toml::from(shown),
    }
}
