//! Buckets of many series, and nothing else: for profilers, and for what a million partitions take.
//!
//! usage: updates PARTITIONS BUCKETS [SPAN_SECONDS]
//!
//! Prints the bytes that the engine counts and, on Linux, those that the process has.

use serde_json::json;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;

fn value(time: i64, salt: i64) -> f64 {
    let noise = ((time + 7_919 * salt).wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64) >> 40) as f64;
    let season = (time as f64 / 86_400.0 * std::f64::consts::TAU).sin();
    100.0 + 20.0 * season + 5.0 * noise / f64::from(1 << 23)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Result<Vec<i64>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let arguments = arguments?;
    let [partitions, buckets, rest @ ..] = arguments.as_slice() else {
        return Err("usage: updates PARTITIONS BUCKETS [SPAN_SECONDS]".into());
    };
    let span = rest.first().copied().unwrap_or(300);
    let analysis: AnalysisConfig = serde_json::from_value(json!({
        "bucket_span": format!("{span}s"),
        "detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "p"}]
    }))?;
    let mut engine = Engine::new(analysis, Options::default());
    let mut results = Vec::new();
    let mut batch = RecordBatch::new(2);
    for bucket in 0..*buckets {
        let time = 1_700_006_400 + bucket * span;
        // As uploads come: in batches of some thousand records.
        for from in (0..*partitions).step_by(10_000) {
            batch.clear();
            for partition in from..(from + 10_000).min(*partitions) {
                batch.begin();
                batch.set_number(0, value(time, partition));
                batch.set_display(1, partition);
                batch.commit(time * 1_000);
            }
            engine.count_input(&batch);
            let mut row = 0;
            while row < batch.len() {
                row = engine.process(&batch, row, &mut results);
                results.clear();
            }
        }
    }
    println!("{} bytes counted", engine.size().model_bytes);
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let resident = status
            .lines()
            .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"));
        resident.for_each(|line| println!("{line}"));
    }
    Ok(())
}
