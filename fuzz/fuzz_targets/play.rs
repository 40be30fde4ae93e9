#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| tidewatch_api::fuzzing::play(data));
