//! What the engine says that its models take is what the allocator says.
//!
//! One test in this file: the allocator counts for the whole process.

use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const START: i64 = 1_700_006_400;

fn value(time: i64, salt: i64) -> f64 {
    let noise = ((time + 7_919 * salt).wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64) >> 40) as f64;
    let season = (time as f64 / 86_400.0 * std::f64::consts::TAU).sin();
    100.0 + 20.0 * season + 5.0 * noise / f64::from(1 << 23)
}

/// Bytes that an engine takes after `days`, by itself and by the allocator.
fn weigh(detector: &Value, span: i64, days: i64, partitions: i64) -> (f64, f64) {
    // What is small itself is not to be outweighed by what is gathered.
    let small = detector["over_field_name"].is_string() || detector["function"] == "rare";
    let influencers = if small { json!([]) } else { json!(["who"]) };
    let config = json!({
        "bucket_span": format!("{span}s"), "detectors": [detector], "influencers": influencers
    });
    let analysis: AnalysisConfig = serde_json::from_value(config).expect("a valid analysis");
    let schema = analysis.schema();
    let before = ALLOCATOR.current_usage();
    let mut engine = Engine::new(analysis, Options::default());
    let mut results = Vec::new();
    let mut batch = RecordBatch::new(schema.fields.len());
    for bucket in 0..days * 86_400 / span {
        batch.clear();
        for partition in 0..partitions {
            let time = START + bucket * span;
            batch.begin();
            for (column, field) in schema.fields.iter().enumerate() {
                match field.name.as_str() {
                    "value" => batch.set_number(column, value(time, partition)),
                    "who" => batch.set_display(column, partition % 4),
                    _ => batch.set_display(column, format_args!("host-{partition}")),
                }
            }
            batch.commit(time * 1_000);
        }
        let mut row = 0;
        while row < batch.len() {
            row = engine.process(&batch, row, &mut results);
            results.clear();
        }
    }
    drop((batch, results, schema));
    let taken = ALLOCATOR.current_usage() - before;
    (engine.size().model_bytes as f64, taken as f64)
}

#[test]
fn the_size_is_what_the_allocator_says() {
    let mean = json!({"function": "mean", "field_name": "value", "partition_field_name": "host"});
    let both = json!({
        "function": "mean", "field_name": "value", "by_field_name": "host", "partition_field_name": "who"
    });
    let count = json!({"function": "count", "by_field_name": "host"});
    let people = json!({"function": "count", "over_field_name": "host"});
    let parts = json!({
        "function": "mean", "field_name": "value", "by_field_name": "who", "over_field_name": "host"
    });
    let rare = json!({"function": "rare", "by_field_name": "host"});
    let shared =
        json!({"function": "freq_rare", "by_field_name": "host", "over_field_name": "who"});
    let times = json!({"function": "time_of_week", "by_field_name": "host"});
    let cases = [
        ("a population", &people, 3_600, 2, 4_000),
        ("populations", &parts, 3_600, 2, 4_000),
        ("rare values", &rare, 3_600, 2, 4_000),
        ("rare values of people", &shared, 3_600, 2, 4_000),
        ("times", &times, 3_600, 2, 300),
        ("new", &mean, 3_600, 0, 4_000),
        ("a few hours", &mean, 900, 1, 1_000),
        ("seasonal, 15 m", &mean, 900, 23, 300),
        ("first days, 5 m", &mean, 300, 2, 300),
        ("seasonal, 1 h", &mean, 3_600, 40, 300),
        ("by and partition", &both, 1_800, 10, 300),
        ("counts", &count, 1_800, 10, 300),
    ];
    for (name, detector, span, days, partitions) in cases {
        let (said, taken) = weigh(detector, span, days.max(1), partitions);
        let ratio = said / taken;
        let each = taken / partitions as f64;
        println!("{name}: {each:.0} bytes a series, said {ratio:.3} of it");
        assert!(
            (0.9..1.1).contains(&ratio),
            "{name}: said {said}, took {taken}"
        );
    }
}
