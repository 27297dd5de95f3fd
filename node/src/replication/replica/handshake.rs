//! What a replica and its primary say to each other before data comes: bytes in, bytes out, and in
//! the end what is to come. No socket, no clock.
//!
//! ```text
//! PING                                  +PONG, or an error that a password would mend
//! AUTH [user] password                  if there is one; all else that follows is sent with it
//! REPLCONF listening-port, ip-address   errors are no matter
//! REPLCONF capa eof capa psync2
//! PSYNC replid offset+1                 line ends for as long as it takes, then
//!   +CONTINUE [replid]                  the stream goes on
//!   +FULLRESYNC replid offset           line ends; then $length or $EOF:mark, and all data
//!   -ERR ...                            it does not know PSYNC, as Redis before 2.8:
//! SYNC                                  line ends; then $length, and all data
//! ```
//!
//! What a primary gives that knows only SYNC has no name and no offset, so it has a new name here each
//! time, none of which anybody else knows; and the primary does not want to hear how far this node is.

use slotilla_common::resp::{encode_command, parse_u64};

use crate::replication::ReplId;
use crate::replication::log::OFFSET_MAX;

/// A line may be so long.
const LINE_MAX: usize = 4096;

/// What the primary is told.
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    /// User and password.
    pub auth: Option<(Option<Vec<u8>>, Vec<u8>)>,
    /// The port that the primary is to show for this node.
    pub port: u16,
    /// The address that it is to show, if not the connection's.
    pub address: Option<String>,
    /// The history that the data belongs to, and how much of it there is.
    pub position: Option<(ReplId, i64)>,
    /// The other is to take over before it answers.
    pub hands_over: bool,
}

/// How all data comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// So many bytes.
    Sized(u64),
    /// Until this mark comes.
    Marked([u8; MARK]),
}

/// Bytes of a mark.
pub const MARK: usize = 40;

/// What the two have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// The stream goes on from where this node is; the history may have a new name.
    Continue(Option<ReplId>),
    /// All data comes, as it is at an offset of a history.
    Full {
        /// Its name.
        replid: ReplId,
        /// The offset.
        offset: i64,
        /// How it comes.
        form: Form,
        /// The primary knows only SYNC.
        is_old: bool,
    },
}

/// Why the two have not come to an agreement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Anything but a PONG.
    #[error("Error reply to PING from master: '{0}'")]
    Ping(String),
    /// The password is wrong, or missing.
    #[error(
        "Unable to AUTH to MASTER: {0}; set masterauth and masteruser as the primary wants them"
    )]
    Auth(String),
    /// The primary has no data to give just now.
    #[error("Master is currently unable to PSYNC but should be in the future: {0}")]
    Later(String),
    /// The primary does not know how, or does not want to.
    #[error(
        "Master does not support PSYNC or is in error state (reply: {0}); see to the primary, or \
         let masteruser have its commands"
    )]
    Psync(String),
    /// The primary was about to send its data, and cannot.
    #[error("MASTER aborted replication with an error: {0}")]
    Aborted(String),
    /// The answer makes no sense.
    #[error("{what} ('{line}'); are you sure the host and port are right?")]
    Nonsense {
        /// What is wrong with it.
        what: &'static str,
        /// What came.
        line: String,
    },
    /// It never ends.
    #[error("a line of more than {LINE_MAX} bytes came; are you sure the host and port are right?")]
    Endless,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Pong,
    Auth,
    Port,
    Address,
    Capabilities,
    Psync,
    /// The data's head.
    Data {
        replid: ReplId,
        offset: i64,
        is_old: bool,
    },
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    introduction: Introduction,
    awaited: Awaited,
    line: Vec<u8>,
    output: Vec<u8>,
}

impl Handshake {
    /// One that has just begun.
    #[must_use]
    pub fn new(introduction: Introduction) -> Self {
        let mut output = Vec::new();
        encode_command(&mut output, &[&b"PING"[..]]);
        Self {
            introduction,
            awaited: Awaited::Pong,
            line: Vec::new(),
            output,
        }
    }

    /// What is to be sent now.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Whether the two have settled all but how the data comes: from then on the primary may take
    /// its time.
    #[must_use]
    pub fn awaits_data(&self) -> bool {
        matches!(self.awaited, Awaited::Data { .. })
    }

    /// Takes what has come; how much of it, and what was agreed on if that is known now. What is
    /// not taken then belongs to what follows.
    ///
    /// # Errors
    /// They do not agree: the connection is to be closed.
    pub fn input(&mut self, input: &[u8]) -> Result<(usize, Option<Agreed>), Refusal> {
        let mut taken = 0;
        while let Some(rest) = input.get(taken..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if self.line.len().saturating_add(part.len()) > LINE_MAX {
                return Err(Refusal::Endless);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else {
                return Ok((input.len(), None));
            };
            taken = taken.saturating_add(end).saturating_add(1);
            let mut line = std::mem::take(&mut self.line);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if let Some(agreed) = self.hear(&line)? {
                return Ok((taken, Some(agreed)));
            }
        }
        Ok((taken, None))
    }

    fn hear(&mut self, line: &[u8]) -> Result<Option<Agreed>, Refusal> {
        let is_error = line.first() == Some(&b'-');
        match self.awaited {
            // A primary that is busy says in this way that it is there.
            _ if line.is_empty() => {}
            Awaited::Pong => {
                check_pong(line)?;
                tracing::info!("Master replied to PING, replication can continue...");
                self.introduce();
            }
            Awaited::Auth if is_error => return Err(Refusal::Auth(shown(line))),
            Awaited::Auth => self.awaited = Awaited::Port,
            Awaited::Port => {
                complain_if(is_error, "listening-port", line);
                self.awaited = match self.introduction.address {
                    Some(_) => Awaited::Address,
                    None => Awaited::Capabilities,
                };
            }
            Awaited::Address => {
                complain_if(is_error, "ip-address", line);
                self.awaited = Awaited::Capabilities;
            }
            Awaited::Capabilities => {
                complain_if(is_error, "capa", line);
                self.ask();
            }
            Awaited::Psync => return self.hear_psync(line),
            Awaited::Data {
                replid,
                offset,
                is_old,
            } => {
                let form = data_form(line)?;
                return Ok(Some(Agreed::Full {
                    replid,
                    offset,
                    form,
                    is_old,
                }));
            }
        }
        Ok(None)
    }

    /// Says who this is: all at once, for none of it depends on an answer.
    fn introduce(&mut self) {
        let Introduction {
            auth,
            port,
            address,
            ..
        } = &self.introduction;
        let out = &mut self.output;
        self.awaited = Awaited::Port;
        if let Some((user, password)) = auth {
            match user {
                Some(user) => encode_command(out, &[b"AUTH", user.as_slice(), password]),
                None => encode_command(out, &[b"AUTH", password.as_slice()]),
            }
            self.awaited = Awaited::Auth;
        }
        let port = port.to_string();
        encode_command(out, &[b"REPLCONF", &b"listening-port"[..], port.as_bytes()]);
        if let Some(address) = address {
            encode_command(out, &[b"REPLCONF", &b"ip-address"[..], address.as_bytes()]);
        }
        encode_command(
            out,
            &[b"REPLCONF", &b"capa"[..], b"eof", b"capa", b"psync2"],
        );
    }

    fn ask(&mut self) {
        let (replid, from) = match self.introduction.position {
            Some((replid, offset)) => (replid.to_string(), offset.saturating_add(1)),
            None => ("?".to_owned(), -1),
        };
        match self.introduction.position {
            Some(_) => {
                tracing::info!("Trying a partial resynchronization (request {replid}:{from}).")
            }
            None => tracing::info!("Partial resynchronization not possible (no cached master)"),
        }
        let from = from.to_string();
        let words = [
            &b"PSYNC"[..],
            replid.as_bytes(),
            from.as_bytes(),
            b"FAILOVER",
        ];
        let count = if self.introduction.hands_over { 4 } else { 3 };
        encode_command(&mut self.output, words.get(..count).unwrap_or_default());
        self.awaited = Awaited::Psync;
    }

    /// The primary does not know PSYNC, or does not want it.
    fn fall_back(&mut self, line: &[u8]) -> Result<Option<Agreed>, Refusal> {
        let refusal = Refusal::Psync(shown(line));
        if self.introduction.hands_over {
            // Whoever does not know PSYNC does not take over either.
            return Err(refusal);
        }
        tracing::warn!("{refusal}");
        tracing::info!("Retrying with SYNC...");
        // Inline, as Redis sends it.
        self.output.extend_from_slice(b"SYNC\r\n");
        self.awaited = Awaited::Data {
            replid: ReplId::random(),
            offset: 0,
            is_old: true,
        };
        Ok(None)
    }

    fn hear_psync(&mut self, line: &[u8]) -> Result<Option<Agreed>, Refusal> {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        match words.as_slice() {
            [b"+FULLRESYNC", replid, offset] => {
                let offset = parse_u64(offset).filter(|offset| *offset <= OFFSET_MAX);
                let offset = offset.and_then(|offset| i64::try_from(offset).ok());
                let (Some(replid), Some(offset)) = (ReplId::parse(replid), offset) else {
                    return Err(nonsense(
                        "Master replied with wrong +FULLRESYNC syntax",
                        line,
                    ));
                };
                tracing::info!("Full resync from master: {replid}:{offset}");
                self.awaited = Awaited::Data {
                    replid,
                    offset,
                    is_old: false,
                };
                Ok(None)
            }
            [b"+CONTINUE"] if self.introduction.position.is_some() => {
                Ok(Some(Agreed::Continue(None)))
            }
            [b"+CONTINUE", replid, ..] if self.introduction.position.is_some() => {
                let replid = ReplId::parse(replid)
                    .ok_or_else(|| nonsense("Master replied with wrong +CONTINUE syntax", line))?;
                Ok(Some(Agreed::Continue(Some(replid))))
            }
            [
                b"-NOMASTERLINK" | b"-LOADING" | b"-MASTERDOWN" | b"-BUSY",
                ..,
            ] => Err(Refusal::Later(shown(line))),
            _ if line.first() == Some(&b'-') => self.fall_back(line),
            _ => Err(nonsense("Unexpected reply to PSYNC from master", line)),
        }
    }
}

fn check_pong(line: &[u8]) -> Result<(), Refusal> {
    let goes_on = line.first() == Some(&b'+')
        || line.starts_with(b"-NOAUTH")
        || line.starts_with(b"-NOPERM")
        || line.starts_with(b"-ERR operation not permitted");
    goes_on
        .then_some(())
        .ok_or_else(|| Refusal::Ping(shown(line)))
}

fn complain_if(is_error: bool, option: &str, line: &[u8]) {
    if is_error {
        let line = shown(line);
        tracing::info!("(Non critical) Master does not understand REPLCONF {option}: {line}");
    }
}

/// What a primary says before its data.
fn data_form(line: &[u8]) -> Result<Form, Refusal> {
    if line.first() == Some(&b'-') {
        return Err(Refusal::Aborted(shown(line.get(1..).unwrap_or_default())));
    }
    let what = "Bad protocol from MASTER: a length was expected";
    let head = line
        .strip_prefix(b"$")
        .ok_or_else(|| nonsense(what, line))?;
    if let Some(mark) = head.strip_prefix(b"EOF:") {
        let mark = mark.try_into().map_err(|_| nonsense(what, line))?;
        return Ok(Form::Marked(mark));
    }
    let length = parse_u64(head).ok_or_else(|| nonsense(what, line))?;
    Ok(Form::Sized(length))
}

fn nonsense(what: &'static str, line: &[u8]) -> Refusal {
    let line = shown(line);
    Refusal::Nonsense { what, line }
}

/// A line as people may see it: it came from outside.
fn shown(line: &[u8]) -> String {
    let most = line.len().min(256);
    line.get(..most)
        .unwrap_or_default()
        .escape_ascii()
        .to_string()
}

/// What fuzzing runs: what a primary says means the same however it is cut up. What came of it.
#[must_use]
pub fn fuzz_handshake(cut: usize, said: &[u8]) -> String {
    let talk = |piece: usize| {
        let mut handshake = Handshake::new(Introduction {
            auth: Some((None, b"secret".to_vec())),
            position: Some((ReplId::NONE, 1)),
            ..Introduction::default()
        });
        let mut answers = Vec::new();
        for part in said.chunks(piece.max(1)) {
            let heard = handshake.input(part);
            answers.extend(handshake.take_output());
            assert!(
                handshake.line.len() <= LINE_MAX,
                "it keeps no more than a line"
            );
            match heard {
                Ok((_, None)) => {}
                Ok((
                    _,
                    Some(Agreed::Full {
                        form, is_old: true, ..
                    }),
                )) => {
                    // The name of its history is made up here, at random.
                    return format!("{form:?} by SYNC {answers:?}");
                }
                Ok((_, agreed)) => return format!("{agreed:?} {answers:?}"),
                Err(refusal) => return format!("{refusal} {answers:?}"),
            }
        }
        format!("{answers:?}")
    };
    let whole = talk(said.len());
    assert_eq!(talk(cut), whole, "cut into pieces of {cut}");
    whole
}

#[cfg(test)]
mod tests;
