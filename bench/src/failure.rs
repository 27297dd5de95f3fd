//! Why a measurement did not happen.

use std::fmt;
use std::io;

/// Anything that ends a command of this program.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong; the text says what would be right.
    Usage(String),
    /// The system refused something.
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A subject gave another answer than the one that is right.
    WrongAnswer(String),
    /// A subject ended, hung up or fell silent.
    Subject(String),
    /// What the measurement needs is not there; the text says how to get it.
    Missing(String),
    /// Somebody else uses the processors.
    Busy(String),
    /// The user pressed Ctrl-C, or SIGTERM came.
    Interrupted,
}

/// What functions of this program give.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Names what was tried when the system refused.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Says who failed at what.
    pub(crate) fn of(self, who: &str, what: &str) -> Self {
        match self {
            Self::WrongAnswer(text) => Self::WrongAnswer(format!("{who} at {what}: {text}")),
            Self::Subject(text) => Self::Subject(format!("{who} at {what}: {text}")),
            other => other,
        }
    }

    /// The exit status that the program ends with.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Subject(text) | Self::Missing(text) | Self::Busy(text) => {
                f.write_str(text)
            }
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::WrongAnswer(text) => write!(f, "wrong answer: {text}"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}
