#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_jobs::config::{Job, NewJob};

fuzz_target!(|bytes: &[u8]| {
    let Ok(new) = serde_json::from_slice::<NewJob>(bytes) else { return };
    let Ok(job) = new.build("fuzzed", 0, None) else { return };
    // What was built can be stored and read again, the same.
    let text = serde_json::to_string(&job).expect("serialises");
    let again: Job = serde_json::from_str(&text).expect("reads what it wrote");
    assert_eq!(again, job);
    let _ = job.warnings();
});
