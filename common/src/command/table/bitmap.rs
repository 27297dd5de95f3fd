//! Bitmaps: strings seen as arrays of bits.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("bitcount",    -2, READONLY,        BITMAP, Slot, &BITCOUNT_DOCS,    &[key(1, RO | ACCESS)]),
    row("bitfield",    -2, WRITE | DENYOOM, BITMAP, Slot, &BITFIELD_DOCS,    &[key(1, RW | ACCESS | UPDATE | VARIABLE_FLAGS).note(BITFIELD_NOTE)]).found_by(Finder::Bitfield),
    row("bitfield_ro", -2, READONLY | FAST, BITMAP, Slot, &BITFIELD_RO_DOCS, &[key(1, RO | ACCESS)]),
    row("bitop",       -4, WRITE | DENYOOM, BITMAP, Slot, &BITOP_DOCS,       &[key(2, OW | UPDATE), range(3, -1, 1, RO | ACCESS)]),
    row("bitpos",      -3, READONLY,        BITMAP, Slot, &BITPOS_DOCS,      &[key(1, RO | ACCESS)]),
    row("getbit",       3, READONLY | FAST, BITMAP, Slot, &GETBIT_DOCS,      &[key(1, RO | ACCESS)]),
    row("setbit",       4, WRITE | DENYOOM, BITMAP, Slot, &SETBIT_DOCS,      &[key(1, RW | ACCESS | UPDATE)]),
];

const BITFIELD_NOTE: &str = "Reads or writes, as its subcommands say.";

const BITCOUNT_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Counts the bits that are 1",
    complexity: "O(N), N being the bytes looked at",
    history: &[
        ("7.0.0", "Takes `BYTE` or `BIT`."),
    ],
    arguments: &[
        key_at("key", 0),
        block("index", &[
            integer("start"), integer("end"),
            one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")]).optional().since("7.0.0"),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const BITFIELD_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Reads, sets and adds to integers of any width inside a string",
    complexity: "O(1) for each integer",
    arguments: &[
        key_at("key", 0),
        one_of("operation", &[
            block("encoding_offset", &[string("encoding"), integer("offset")]).after("GET"),
            block("write", &[
                one_of("wrap_sat_fail", &[token("wrap", "WRAP"), token("sat", "SAT"), token("fail", "FAIL")]).after("OVERFLOW").optional(),
                one_of("write_operation", &[
                    block("encoding_offset_value", &[string("encoding"), integer("offset"), integer("value")]).after("SET"),
                    block("encoding_offset_increment", &[string("encoding"), integer("offset"), integer("increment")]).after("INCRBY"),
                ]),
            ]),
        ]).optional().multiple(),
    ],
    ..Docs::EMPTY
};

const BITFIELD_RO_DOCS: Docs = Docs {
    since: "6.0.0",
    summary: "Reads integers of any width inside a string",
    complexity: "O(1) for each integer",
    arguments: &[
        key_at("key", 0),
        block("encoding_offset", &[string("encoding"), integer("offset")]).after("GET").optional().multiple().multiple_token(),
    ],
    ..Docs::EMPTY
};

const BITOP_DOCS: Docs = Docs {
    since: "2.6.0",
    summary: "Combines strings bit by bit with AND, OR, XOR or NOT and stores the outcome",
    complexity: "O(N), N being the bytes of the longest string",
    arguments: &[string("operation"), key_at("destkey", 0), key_at("key", 1).multiple()],
    ..Docs::EMPTY
};

const BITPOS_DOCS: Docs = Docs {
    since: "2.8.7",
    summary: "Finds the first bit that is 0, or 1",
    complexity: "O(N), N being the bytes looked at",
    history: &[
        ("7.0.0", "Takes `BYTE` or `BIT`."),
    ],
    arguments: &[
        key_at("key", 0), integer("bit"),
        block("index", &[
            integer("start"),
            block("end_index", &[
                integer("end"),
                one_of("index_unit", &[token("byte", "BYTE"), token("bit", "BIT")]).optional().since("7.0.0"),
            ]).optional(),
        ]).optional(),
    ],
    ..Docs::EMPTY
};

const GETBIT_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Tells the bit at an offset",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("offset")],
    ..Docs::EMPTY
};

const SETBIT_DOCS: Docs = Docs {
    since: "2.2.0",
    summary: "Sets the bit at an offset to 0 or 1 and tells what it was",
    complexity: "O(1)",
    arguments: &[key_at("key", 0), integer("offset"), integer("value")],
    ..Docs::EMPTY
};
