#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, &str, &[u8])| tidewatch_api::fuzzing::sigv4(data.0, data.1, data.2));
