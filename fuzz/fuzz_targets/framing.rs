//! Steps 3 and 6 of 6 - libFuzzer on the contract `framing`, which says what must hold (fuzz/src/lib.rs).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| barkeep_fuzz::framing(data));
