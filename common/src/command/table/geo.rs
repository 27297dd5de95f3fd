//! Places on the globe, kept in sorted sets.

use super::prelude::*;

pub(super) const ROWS: &[Row] = &[
    // name, arity, flags, ACL categories, fan-out, docs, keys
    row("geoadd",               -5, WRITE | DENYOOM, GEO, Slot, &GEOADD_DOCS,               &[key(1, RW | UPDATE)]),
    row("geodist",              -4, READONLY,        GEO, Slot, &GEODIST_DOCS,              &[key(1, RO | ACCESS)]),
    row("geohash",              -2, READONLY,        GEO, Slot, &GEOHASH_DOCS,              &[key(1, RO | ACCESS)]),
    row("geopos",               -2, READONLY,        GEO, Slot, &GEOPOS_DOCS,               &[key(1, RO | ACCESS)]),
    row("georadius",            -6, WRITE | DENYOOM, GEO, Slot, &GEORADIUS_DOCS,            &[key(1, RO | ACCESS), after("STORE", 6, 0, 0, OW | UPDATE), after("STOREDIST", 6, 0, 0, OW | UPDATE)]).found_by(Finder::GeoRadius),
    row("georadius_ro",         -6, READONLY,        GEO, Slot, &GEORADIUS_RO_DOCS,         &[key(1, RO | ACCESS)]),
    row("georadiusbymember",    -5, WRITE | DENYOOM, GEO, Slot, &GEORADIUSBYMEMBER_DOCS,    &[key(1, RO | ACCESS), after("STORE", 5, 0, 0, OW | UPDATE), after("STOREDIST", 5, 0, 0, OW | UPDATE)]).found_by(Finder::GeoRadius),
    row("georadiusbymember_ro", -5, READONLY,        GEO, Slot, &GEORADIUSBYMEMBER_RO_DOCS, &[key(1, RO | ACCESS)]),
    row("geosearch",            -7, READONLY,        GEO, Slot, &GEOSEARCH_DOCS,            &[key(1, RO | ACCESS)]),
    row("geosearchstore",       -8, WRITE | DENYOOM, GEO, Slot, &GEOSEARCHSTORE_DOCS,       &[key(1, OW | UPDATE), key(2, RO | ACCESS)]),
];

const GEOADD_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Adds places, or moves them",
    complexity: "O(log(N)) for each place, N being the size of the index",
    history: &[
        ("6.2.0", "Takes `NX`, `XX` and `CH`."),
    ],
    arguments: &[
        key_at("key", 0),
        one_of("condition", &[token("nx", "NX"), token("xx", "XX")]).optional().since("6.2.0"),
        token("change", "CH").optional().since("6.2.0"),
        block("longitude_latitude_member", &[double("longitude"), double("latitude"), string("member")]).multiple(),
    ],
    ..Docs::EMPTY
};

const GEODIST_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Tells how far two places are from each other",
    complexity: "O(log(N)), N being the size of the index",
    arguments: &[
        key_at("key", 0), string("member1"), string("member2"),
        one_of("unit", &[token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI")]).optional(),
    ],
    ..Docs::EMPTY
};

const GEOHASH_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Gives the geohash of places",
    complexity: "O(log(N)) for each place, N being the size of the index",
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const GEOPOS_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Gives the longitude and latitude of places",
    complexity: "O(N), N being the places asked for",
    arguments: &[key_at("key", 0), string("member").multiple()],
    ..Docs::EMPTY
};

const GEORADIUS_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Finds the places around a point, and may store them",
    complexity: "O(N+log(M)), N being the places in the square around, M those in the circle",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`GEOSEARCH` or `GEOSEARCHSTORE` with `BYRADIUS`" }),
    history: &[
        ("6.2.0", "Takes `ANY` after `COUNT`."),
        ("7.0.0", "Takes units in upper case."),
    ],
    arguments: &[
        key_at("key", 0), double("longitude"), double("latitude"), double("radius"),
        one_of("unit", &[token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI")]),
        token("withcoord", "WITHCOORD").optional(), token("withdist", "WITHDIST").optional(),
        token("withhash", "WITHHASH").optional(),
        block("count", &[
            integer("count").after("COUNT"), token("any", "ANY").optional().since("6.2.0"),
        ]).optional(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        key_at("key", 1).after("STORE").optional(), key_at("key", 2).after("STOREDIST").optional(),
    ],
    ..Docs::EMPTY
};

const GEORADIUS_RO_DOCS: Docs = Docs {
    since: "3.2.10",
    summary: "Finds the places around a point",
    complexity: "O(N+log(M)), N being the places in the square around, M those in the circle",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`GEOSEARCH` with `BYRADIUS`" }),
    history: &[
        ("6.2.0", "Takes `ANY` after `COUNT`."),
    ],
    arguments: &[
        key_at("key", 0), double("longitude"), double("latitude"), double("radius"),
        one_of("unit", &[token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI")]),
        token("withcoord", "WITHCOORD").optional(), token("withdist", "WITHDIST").optional(),
        token("withhash", "WITHHASH").optional(),
        block("count", &[
            integer("count").after("COUNT"), token("any", "ANY").optional().since("6.2.0"),
        ]).optional(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
    ],
    ..Docs::EMPTY
};

const GEORADIUSBYMEMBER_DOCS: Docs = Docs {
    since: "3.2.0",
    summary: "Finds the places around a place, and may store them",
    complexity: "O(N+log(M)), N being the places in the square around, M those in the circle",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`GEOSEARCH` or `GEOSEARCHSTORE` with `FROMMEMBER` and `BYRADIUS`" }),
    history: &[
        ("7.0.0", "Takes units in upper case."),
    ],
    arguments: &[
        key_at("key", 0), string("member"), double("radius"),
        one_of("unit", &[token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI")]),
        token("withcoord", "WITHCOORD").optional(), token("withdist", "WITHDIST").optional(),
        token("withhash", "WITHHASH").optional(),
        block("count", &[integer("count").after("COUNT"), token("any", "ANY").optional()]).optional(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        key_at("key", 1).after("STORE").optional(), key_at("key", 2).after("STOREDIST").optional(),
    ],
    ..Docs::EMPTY
};

const GEORADIUSBYMEMBER_RO_DOCS: Docs = Docs {
    since: "3.2.10",
    summary: "Finds the places around a place",
    complexity: "O(N+log(M)), N being the places in the square around, M those in the circle",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`GEOSEARCH` with `FROMMEMBER` and `BYRADIUS`" }),
    arguments: &[
        key_at("key", 0), string("member"), double("radius"),
        one_of("unit", &[token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI")]),
        token("withcoord", "WITHCOORD").optional(), token("withdist", "WITHDIST").optional(),
        token("withhash", "WITHHASH").optional(),
        block("count", &[integer("count").after("COUNT"), token("any", "ANY").optional()]).optional(),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
    ],
    ..Docs::EMPTY
};

const GEOSEARCH_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Finds the places in a circle or a box",
    complexity: "O(N+log(M)), N being the places in the grid cells around, M those in the area",
    history: &[
        ("7.0.0", "Takes units in upper case."),
    ],
    arguments: &[
        key_at("key", 0),
        one_of("from", &[
            string("member").after("FROMMEMBER"),
            block("longitude_latitude", &[double("longitude"), double("latitude")]).after("FROMLONLAT"),
        ]),
        one_of("by", &[
            block("circle", &[
                double("radius").after("BYRADIUS"),
                one_of("unit", &[
                    token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI"),
                ]),
            ]),
            block("box", &[
                double("width").after("BYBOX"), double("height"),
                one_of("unit", &[
                    token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI"),
                ]),
            ]),
        ]),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        block("count", &[integer("count").after("COUNT"), token("any", "ANY").optional()]).optional(),
        token("withcoord", "WITHCOORD").optional(), token("withdist", "WITHDIST").optional(),
        token("withhash", "WITHHASH").optional(),
    ],
    ..Docs::EMPTY
};

const GEOSEARCHSTORE_DOCS: Docs = Docs {
    since: "6.2.0",
    summary: "Stores the places in a circle or a box under another key",
    complexity: "O(N+log(M)), N being the places in the grid cells around, M those in the area",
    history: &[
        ("7.0.0", "Takes units in upper case."),
    ],
    arguments: &[
        key_at("destination", 0), key_at("source", 1),
        one_of("from", &[
            string("member").after("FROMMEMBER"),
            block("longitude_latitude", &[double("longitude"), double("latitude")]).after("FROMLONLAT"),
        ]),
        one_of("by", &[
            block("circle", &[
                double("radius").after("BYRADIUS"),
                one_of("unit", &[
                    token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI"),
                ]),
            ]),
            block("box", &[
                double("width").after("BYBOX"), double("height"),
                one_of("unit", &[
                    token("m", "M"), token("km", "KM"), token("ft", "FT"), token("mi", "MI"),
                ]),
            ]),
        ]),
        one_of("order", &[token("asc", "ASC"), token("desc", "DESC")]).optional(),
        block("count", &[integer("count").after("COUNT"), token("any", "ANY").optional()]).optional(),
        token("storedist", "STOREDIST").optional(),
    ],
    ..Docs::EMPTY
};
