//! COMMAND and its subcommands, from arguments to reply: the same on a node and on a proxy.

use super::flags::AclCategories;
use super::keys::{Args, KeyError, KeyPositions, reported_keys};
use super::lookup::{lookup, resolve};
use super::spec::Spec;
use super::{COMMANDS, reply, top_level};
use crate::glob;
use crate::resp::ReplyWriter;

/// What COMMAND answers instead of a reply. The texts are Redis's, without `ERR `.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandReplyError {
    /// The filter of COMMAND LIST is none.
    #[error("syntax error")]
    Syntax,
    /// COMMAND GETKEYS of a command that does not exist.
    #[error("Invalid command specified")]
    UnknownCommand,
    /// COMMAND GETKEYS of a request without keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Answers COMMAND, or the subcommand that `spec` is; the number of arguments has been checked.
/// Commands that are not `shown` are as if they were not there, save for their keys.
///
/// # Errors
/// What to answer instead; then nothing has been written.
pub fn answer<A: Args + ?Sized>(
    out: &mut ReplyWriter<'_>,
    spec: &Spec,
    args: &A,
    shown: &impl Fn(&Spec) -> bool,
) -> Result<(), CommandReplyError> {
    let named = || (2..args.len()).map(|index| find(args.arg(index)).filter(|spec| shown(spec)));
    match spec.short_name() {
        "count" => {
            let count = top_level().filter(|spec| shown(spec)).count();
            out.integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
        "docs" if args.len() > 2 => reply::all_docs(out, named().flatten(), shown),
        "docs" => reply::all_docs(out, top_level().filter(|spec| shown(spec)), shown),
        "getkeys" => {
            let keys = keys_of(args)?;
            reply::keys(out, &keys, |index| args.arg(index + 2));
        }
        "getkeysandflags" => {
            let keys = keys_of(args)?;
            reply::keys_and_flags(out, &keys, |index| args.arg(index + 2));
        }
        "help" => {
            if let Some(container) = spec.parent() {
                super::help(out, container, shown);
            }
        }
        "info" if args.len() > 2 => {
            out.array(args.len() - 2);
            for spec in named() {
                match spec {
                    Some(spec) => reply::info(out, spec, shown),
                    None => out.null(),
                }
            }
        }
        "list" => list(out, args, shown)?,
        _ => reply::all(out, shown),
    }
    Ok(())
}

/// A command by its full name, `config|get` for a subcommand, in any letter case.
#[must_use]
pub fn find(full_name: &[u8]) -> Option<&'static Spec> {
    let mut parts = full_name.splitn(2, |byte| *byte == b'|');
    let spec = lookup(parts.next()?)?;
    match parts.next() {
        None => Some(spec),
        Some(sub) => spec.subcommand(sub),
    }
}

/// What COMMAND LIST may be narrowed by.
enum Filter<'a> {
    None,
    /// Commands of a module, of which there are none.
    Module,
    Category(Option<AclCategories>),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn lets_through(&self, spec: &Spec) -> bool {
        match self {
            Self::None => true,
            Self::Module => false,
            Self::Category(category) => category.is_some_and(|one| spec.acl.contains(one)),
            Self::Pattern(pattern) => glob::matches_nocase(pattern, spec.name.as_bytes()),
        }
    }
}

fn list<A: Args + ?Sized>(
    out: &mut ReplyWriter<'_>,
    args: &A,
    shown: &impl Fn(&Spec) -> bool,
) -> Result<(), CommandReplyError> {
    let kind = args.arg(3);
    let filter = if args.len() == 2 {
        Filter::None
    } else if args.len() != 5 || !args.arg(2).eq_ignore_ascii_case(b"filterby") {
        return Err(CommandReplyError::Syntax);
    } else if kind.eq_ignore_ascii_case(b"module") {
        Filter::Module
    } else if kind.eq_ignore_ascii_case(b"aclcat") {
        Filter::Category(AclCategories::by_name(args.arg(4)))
    } else if kind.eq_ignore_ascii_case(b"pattern") {
        Filter::Pattern(args.arg(4))
    } else {
        return Err(CommandReplyError::Syntax);
    };
    let chosen = || {
        let shown = COMMANDS.iter().filter(|spec| shown(spec));
        shown.filter(|spec| filter.lets_through(spec))
    };
    out.array(chosen().count());
    for spec in chosen() {
        out.bulk(spec.name.as_bytes());
    }
    Ok(())
}

/// The arguments after COMMAND GETKEYS, a request in themselves.
struct Inner<'a, A: ?Sized>(&'a A);

impl<A: Args + ?Sized> Args for Inner<'_, A> {
    fn len(&self) -> usize {
        self.0.len().saturating_sub(2)
    }

    fn arg(&self, index: usize) -> &[u8] {
        self.0.arg(index + 2)
    }
}

fn keys_of<A: Args + ?Sized>(args: &A) -> Result<KeyPositions, CommandReplyError> {
    let inner = Inner(args);
    let spec = resolve(&inner).map_err(|_| CommandReplyError::UnknownCommand)?;
    let mut keys = KeyPositions::new();
    reported_keys(spec, &inner, &mut keys)?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Protocol;

    /// The reply to a request, CR LF shown as a space, if only strings and DEL were there.
    fn ask(request: &str) -> Result<String, CommandReplyError> {
        let args: Vec<&str> = request.split(' ').collect();
        let shown = |spec: &Spec| matches!(spec.group.name(), "string") || spec.name == "del";
        let mut bytes = Vec::new();
        let mut out = ReplyWriter::new(&mut bytes, Protocol::Resp2);
        answer(&mut out, resolve(&args[..]).unwrap(), &args[..], &shown)?;
        Ok(String::from_utf8(bytes).unwrap().replace("\r\n", " "))
    }

    #[test]
    fn only_what_is_shown_is_there() {
        assert_eq!(ask("COMMAND COUNT").unwrap(), ":23 ");
        assert!(ask("COMMAND").unwrap().starts_with("*23 *10 "));
        assert!(ask("COMMAND DOCS").unwrap().starts_with("*46 "));
        assert!(ask("COMMAND INFO").unwrap().starts_with("*23 "));
        assert_eq!(ask("COMMAND INFO lpush nope").unwrap(), "*2 $-1 $-1 ");
        assert_eq!(ask("COMMAND DOCS lpush nope").unwrap(), "*0 ");
        assert!(ask("COMMAND LIST").unwrap().starts_with("*23 "));
    }

    #[test]
    fn lists_are_narrowed_by_filters() {
        let list = |filter: &str| ask(&format!("COMMAND LIST FILTERBY {filter}"));
        assert_eq!(list("pattern STR*").unwrap(), "*1 $6 strlen ");
        assert_eq!(list("ACLCAT keyspace").unwrap(), "*1 $3 del ");
        assert_eq!(list("aclcat nope").unwrap(), "*0 ");
        assert_eq!(list("MODULE x").unwrap(), "*0 ");
        for wrong in ["x y", "PATTERN", "PATTERN a b"] {
            assert_eq!(list(wrong), Err(CommandReplyError::Syntax), "{wrong}");
        }
    }

    #[test]
    fn keys_of_any_command_of_redis_are_told() {
        assert_eq!(
            ask("COMMAND GETKEYS MSET a 1 b 2").unwrap(),
            "*2 $1 a $1 b "
        );
        assert_eq!(
            ask("COMMAND GETKEYSANDFLAGS LPUSH a 1").unwrap(),
            "*1 *2 $1 a *2 +RW +insert "
        );
        for (request, text) in [
            ("nope x", "Invalid command specified"),
            ("config nope", "Invalid command specified"),
            ("ping x", "The command has no key arguments"),
            (
                "get a b",
                "Invalid number of arguments specified for command",
            ),
            ("zunion 2 a", "Invalid arguments specified for command"),
        ] {
            let error = ask(&format!("COMMAND GETKEYS {request}")).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn full_names_find_subcommands() {
        assert_eq!(find(b"CONFIG|get").unwrap().name, "config|get");
        assert_eq!(find(b"Get").unwrap().name, "get");
        for name in ["config|", "config|get|x", "get|x", "|", ""] {
            assert!(find(name.as_bytes()).is_none(), "{name}");
        }
    }
}
