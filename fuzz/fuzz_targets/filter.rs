#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, &str)| tidewatch_api::fuzzing::filter(data.0, data.1));
