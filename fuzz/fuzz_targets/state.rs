#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::Engine;

fuzz_target!(|bytes: &[u8]| {
    let analysis: AnalysisConfig =
        serde_json::from_str(r#"{"detectors": [{"function": "count", "partition_field_name": "p"}]}"#).expect("valid");
    // Refused or taken up; never a panic, never endless memory.
    let _ = Engine::restore(analysis, bytes);
});
