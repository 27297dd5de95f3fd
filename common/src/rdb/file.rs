//! A whole file, or a full synchronisation: what stands between the values.
//!
//! ```text
//! magic        REDIS and 4 digits, or VALKEY and 3: the version
//! about it     AUX name value …
//! libraries    FUNCTION2 source …
//! a database   SELECTDB number, RESIZEDB keys expires, then its keys:
//!              [EXPIRETIME_MS time] [IDLE seconds | FREQ count] type key value …
//! end          EOF, CRC64 of all before it; zero if nobody computed it
//! ```
//!
//! Whoever reads takes [`Item`] after [`Item`] by [`Reader::item`]; what follows an [`Item::Key`]
//! is its value, for the caller to read before the next item.

#![deny(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use std::io::{self, Read, Write};

use super::kinds::{Opcode, ValueType};
use super::read::{Problem, ReadError, Reader};
use super::write::Writer;
use super::{VERSION, is_readable};

/// The first version whose files end with a checksum.
const SUMMED_SINCE: u32 = 5;

/// What stands before a key's value: when it expires, and how it was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyInfo {
    /// When it expires, in Unix milliseconds.
    pub expiry_ms: Option<i64>,
    /// How long it was not used, under an LRU policy.
    pub idle_seconds: Option<u64>,
    /// How often it is used, as the LFU policies count.
    pub frequency: Option<u8>,
}

/// What comes next in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Something about the file.
    Aux {
        /// What.
        name: Vec<u8>,
        /// And its value.
        value: Vec<u8>,
    },
    /// What follows is in this database.
    SelectDb(u64),
    /// How large the database is. A hint that may be wrong.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Keys that expire.
        expires: u64,
    },
    /// How large a slot is. A hint that may be wrong.
    SlotInfo {
        /// Its number.
        slot: u64,
        /// Keys.
        keys: u64,
        /// Keys that expire.
        expires: u64,
    },
    /// Slots that the writer was importing: their keys are not its own yet.
    SlotImport {
        /// The name of the migration.
        name: Vec<u8>,
        /// From and to, both included.
        ranges: Vec<(u64, u64)>,
    },
    /// A library of functions: its source.
    Function(Vec<u8>),
    /// A key, whose value follows.
    Key {
        /// The key.
        key: Vec<u8>,
        /// How its value is written.
        value_type: ValueType,
        /// What else is known of it.
        info: KeyInfo,
    },
    /// There is no more; the checksum was right, or is none.
    End,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the sink says, as all of these.
    pub fn begin(&mut self) -> io::Result<()> {
        self.raw(format!("REDIS{VERSION:04}").as_bytes())
    }

    /// Writes something about the file.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.byte(Opcode::Aux.number())?;
        self.string(name)?;
        self.string(value)
    }

    /// Goes to a database.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn select_db(&mut self, number: u64) -> io::Result<()> {
        self.byte(Opcode::SelectDb.number())?;
        self.length(number)
    }

    /// Writes about how large the database is.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn resize_db(&mut self, keys: u64, expires: u64) -> io::Result<()> {
        self.byte(Opcode::ResizeDb.number())?;
        self.length(keys)?;
        self.length(expires)
    }

    /// Writes a key, and what is known of it. Its value is to follow.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn key(&mut self, key: &[u8], value_type: ValueType, info: KeyInfo) -> io::Result<()> {
        if let Some(at) = info.expiry_ms {
            self.byte(Opcode::ExpireMs.number())?;
            self.millis(at)?;
        }
        if let Some(seconds) = info.idle_seconds {
            self.byte(Opcode::Idle.number())?;
            self.length(seconds)?;
        }
        if let Some(count) = info.frequency {
            self.raw(&[Opcode::Freq.number(), count])?;
        }
        self.byte(value_type.number())?;
        self.string(key)
    }

    /// Ends a file, and hands everything on.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn end(&mut self) -> io::Result<()> {
        self.byte(Opcode::End.number())?;
        self.checksum()?;
        self.flush()
    }
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a file: its version, which [`item`](Self::item) needs.
    ///
    /// # Errors
    /// [`ReadError`] if it is none, or of a version that cannot be read.
    pub fn begin(&mut self) -> Result<u32, ReadError> {
        let magic: [u8; 9] = self.array("REDIS or VALKEY, and a version")?;
        let digits = magic
            .strip_prefix(b"REDIS")
            .or_else(|| magic.strip_prefix(b"VALKEY"));
        let version = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
            .ok_or_else(|| {
                self.fault(Problem::Invalid(
                    "it begins neither with REDIS nor with VALKEY: it is no snapshot",
                ))
            })?;
        if !is_readable(version) {
            return Err(self.fault(Problem::Version(version)));
        }
        Ok(version)
    }

    /// Reads what comes next.
    ///
    /// # Errors
    /// [`ReadError`] if it makes no sense, or cannot be read by anyone but the module that wrote it.
    pub fn item(&mut self, version: u32) -> Result<Item, ReadError> {
        let mut info = KeyInfo::default();
        loop {
            let byte = self.byte("a key or an opcode")?;
            if let Some(value_type) = ValueType::from_number(byte) {
                let mut key = Vec::new();
                self.string("a key", &mut key)?;
                return Ok(Item::Key {
                    key,
                    value_type,
                    info,
                });
            }
            match Opcode::from_number(byte) {
                Some(Opcode::ExpireMs) => info.expiry_ms = Some(self.millis("an expiry")?),
                Some(Opcode::Expire) => {
                    let seconds = i64::from(self.seconds("an expiry")?);
                    info.expiry_ms = Some(seconds.saturating_mul(1000));
                }
                Some(Opcode::Idle) => info.idle_seconds = Some(self.length("an idle time")?),
                Some(Opcode::Freq) => info.frequency = Some(self.byte("a frequency")?),
                Some(_) if info != KeyInfo::default() => {
                    return Err(self.fault(Problem::Unexpected {
                        expected: "a key",
                        found: byte,
                    }));
                }
                Some(code) => return self.between_keys(code, version),
                None => {
                    return Err(self.fault(Problem::Unexpected {
                        expected: "a key or an opcode",
                        found: byte,
                    }));
                }
            }
        }
    }

    fn between_keys(&mut self, code: Opcode, version: u32) -> Result<Item, ReadError> {
        Ok(match code {
            Opcode::Aux => {
                let (mut name, mut value) = (Vec::new(), Vec::new());
                self.string("the name of a field", &mut name)?;
                self.string("the value of a field", &mut value)?;
                Item::Aux { name, value }
            }
            Opcode::SelectDb => Item::SelectDb(self.length("a database")?),
            Opcode::ResizeDb => Item::ResizeDb {
                keys: self.length("a count of keys")?,
                expires: self.length("a count of keys")?,
            },
            Opcode::SlotInfo => Item::SlotInfo {
                slot: self.length("a slot")?,
                keys: self.length("a count of keys")?,
                expires: self.length("a count of keys")?,
            },
            Opcode::SlotImport => self.slot_import()?,
            Opcode::Function2 => {
                let mut source = Vec::new();
                self.string("a library", &mut source)?;
                Item::Function(source)
            }
            Opcode::FunctionPreGa => {
                return Err(self.fault(Problem::Invalid(
                    "a library in the form of a release candidate, which nobody reads",
                )));
            }
            Opcode::ModuleAux => {
                return Err(self.fault(Problem::Invalid(
                    "data of a module, which only the module can read",
                )));
            }
            Opcode::End => {
                self.check_sum(version)?;
                Item::End
            }
            // Of a key, so not here.
            Opcode::Idle | Opcode::Freq | Opcode::ExpireMs | Opcode::Expire => {
                return Err(self.fault(Problem::Invalid("a key was expected")));
            }
        })
    }

    fn slot_import(&mut self) -> Result<Item, ReadError> {
        /// There are no more slots, so no more ranges.
        const RANGES_MAX: u64 = 16_384;
        let mut name = Vec::new();
        self.string("the name of a migration", &mut name)?;
        let count = self.length("a count of slot ranges")?;
        if count > RANGES_MAX {
            return Err(self.fault(Problem::Invalid("there are more ranges than slots")));
        }
        let mut ranges = Vec::new();
        for _ in 0..count {
            ranges.push((self.length("a slot")?, self.length("a slot")?));
        }
        Ok(Item::SlotImport { name, ranges })
    }

    fn check_sum(&mut self, version: u32) -> Result<(), ReadError> {
        if version < SUMMED_SINCE {
            return Ok(());
        }
        let found = self.sum();
        let stated = u64::from_le_bytes(self.array("the checksum")?);
        match found {
            Some(found) if stated != 0 && stated != found => {
                Err(self.fault(Problem::Checksum { stated, found }))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
