//! `cargo +nightly fuzz run redis_conf`
#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "each binary runs one target")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    targets::redis_conf(data);
});
