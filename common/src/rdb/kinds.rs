//! What the numbers between values mean: types of values, and the opcodes of files.

/// How a value is written: the byte before its key in a file, the first one of a DUMP payload.
///
/// Redis 7.0 writes `String`, `ListQuicklist2`, `SetTable`, `SetIntset`, `HashTable`,
/// `HashListpack`, `SortedSet`, `SortedSetListpack` and `Stream2`. The others come from older
/// versions, and from Valkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// A string.
    String = 0,
    /// A count, and as many elements.
    List = 1,
    /// A count, and as many members.
    SetTable = 2,
    /// A count, and as many members, each with its score as text.
    SortedSetText = 3,
    /// A count, and as many fields, each with its value.
    HashTable = 4,
    /// A count, and as many members, each with its score in eight bytes.
    SortedSet = 5,
    /// A value of a module, before Redis 4.0 GA.
    ModuleOld = 6,
    /// A value of a module.
    Module = 7,
    /// A string that is a zipmap: Redis 2.4.
    HashZipmap = 9,
    /// A string that is a ziplist.
    ListZiplist = 10,
    /// A string that is an intset.
    SetIntset = 11,
    /// A string that is a ziplist of members and scores.
    SortedSetZiplist = 12,
    /// A string that is a ziplist of fields and values.
    HashZiplist = 13,
    /// A count, and as many strings, each a ziplist.
    ListQuicklist = 14,
    /// A stream: Redis 5 and 6.
    Stream = 15,
    /// A string that is a listpack of fields and values.
    HashListpack = 16,
    /// A string that is a listpack of members and scores.
    SortedSetListpack = 17,
    /// A count, and as many nodes: what it is, and a string.
    ListQuicklist2 = 18,
    /// A stream: Redis 7.0.
    Stream2 = 19,
    /// A string that is a listpack of members: since Redis 7.2 and in Valkey.
    SetListpack = 20,
    /// A stream: since Redis 7.2 and in Valkey.
    Stream3 = 21,
    /// A count, and as many fields, each with its value and its expiry: Valkey 9.
    HashExpiring = 22,
}

impl ValueType {
    const ALL: [Self; 22] = [
        Self::String,
        Self::List,
        Self::SetTable,
        Self::SortedSetText,
        Self::HashTable,
        Self::SortedSet,
        Self::ModuleOld,
        Self::Module,
        Self::HashZipmap,
        Self::ListZiplist,
        Self::SetIntset,
        Self::SortedSetZiplist,
        Self::HashZiplist,
        Self::ListQuicklist,
        Self::Stream,
        Self::HashListpack,
        Self::SortedSetListpack,
        Self::ListQuicklist2,
        Self::Stream2,
        Self::SetListpack,
        Self::Stream3,
        Self::HashExpiring,
    ];

    /// What Redis calls it in its log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::List => "List",
            Self::SetTable => "Set",
            Self::SortedSetText | Self::SortedSet => "Zset",
            Self::HashTable | Self::HashExpiring => "Hash",
            Self::ModuleOld | Self::Module => "Module",
            Self::HashZipmap => "Zipmap",
            Self::ListZiplist => "List ziplist",
            Self::SetIntset => "Intset",
            Self::SortedSetZiplist => "Zset ziplist",
            Self::HashZiplist => "Hash ziplist",
            Self::ListQuicklist | Self::ListQuicklist2 => "Quicklist",
            Self::Stream | Self::Stream2 | Self::Stream3 => "Stream listpack",
            Self::HashListpack => "Hash listpack",
            Self::SortedSetListpack => "Zset listpack",
            Self::SetListpack => "Set listpack",
        }
    }

    /// The byte that says so.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What a byte says; `None` if it is no type's.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// A byte where a file could have a [`ValueType`], that announces something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Slots that are being imported: Valkey 9.
    SlotImport = 243,
    /// How many keys a slot has: for tables of the right size.
    SlotInfo = 244,
    /// A library of functions.
    Function2 = 245,
    /// A library of functions as Redis 7.0's release candidates wrote it.
    FunctionPreGa = 246,
    /// What a module has outside of keys.
    ModuleAux = 247,
    /// How long the next key has not been used, in seconds.
    Idle = 248,
    /// How often the next key is used, as the LFU policies count.
    Freq = 249,
    /// A name and its value.
    Aux = 250,
    /// How many keys a database has, and how many of them expire.
    ResizeDb = 251,
    /// When the next key expires, in Unix milliseconds.
    ExpireMs = 252,
    /// When the next key expires, in Unix seconds.
    Expire = 253,
    /// The number of the database of what follows.
    SelectDb = 254,
    /// The end, and the checksum.
    End = 255,
}

impl Opcode {
    const ALL: [Self; 13] = [
        Self::SlotImport,
        Self::SlotInfo,
        Self::Function2,
        Self::FunctionPreGa,
        Self::ModuleAux,
        Self::Idle,
        Self::Freq,
        Self::Aux,
        Self::ResizeDb,
        Self::ExpireMs,
        Self::Expire,
        Self::SelectDb,
        Self::End,
    ];

    /// The byte that says so.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What a byte says; `None` if it is no opcode's.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }
}

/// What the first byte of a length says if the length is not there as such.
pub(super) mod head {
    /// The two bits that tell what a length's first byte is.
    pub(in super::super) const MASK: u8 = 0xc0;
    /// The other six are the length.
    pub(in super::super) const SIX: u8 = 0x00;
    /// The other six and a byte, big end first, are the length.
    pub(in super::super) const FOURTEEN: u8 = 0x40;
    /// Four bytes follow, big end first.
    pub(in super::super) const THIRTY_TWO: u8 = 0x80;
    /// Eight bytes follow, big end first.
    pub(in super::super) const SIXTY_FOUR: u8 = 0x81;
    /// No length: a number of one byte follows.
    pub(in super::super) const INT8: u8 = 0xc0;
    /// No length: a number of two bytes, little-endian, follows.
    pub(in super::super) const INT16: u8 = 0xc1;
    /// No length: a number of four bytes, little-endian, follows.
    pub(in super::super) const INT32: u8 = 0xc2;
    /// No length: compressed length, length and compressed bytes follow.
    pub(in super::super) const COMPRESSED: u8 = 0xc3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_a_type_and_an_opcode() {
        let mut known = 0;
        for number in 0..=u8::MAX {
            let kind = ValueType::from_number(number);
            let code = Opcode::from_number(number);
            assert!(kind.is_none() || code.is_none());
            known += usize::from(kind.is_some()) + usize::from(code.is_some());
            assert!(kind.is_none_or(|kind| kind.number() == number));
            assert!(code.is_none_or(|code| code.number() == number));
        }
        assert_eq!(known, ValueType::ALL.len() + Opcode::ALL.len());
    }
}
