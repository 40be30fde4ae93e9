//! Every format of the saved state that was ever released is taken up, and goes on as it did then.
//!
//! A fixture is the state after the first half of the records below, and what the second half gave. It is written once,
//! for a format that is about to be released, by `TIDEWATCH_WRITE_FIXTURES=1 cargo test -p tidewatch-model --test
//! formats`, and never again: where results change on purpose, the lines may be written anew, the state may not.

use std::path::PathBuf;

use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;

const HOURS: i64 = 24 * 14;

fn analysis() -> AnalysisConfig {
    serde_json::from_value(json!({
        "bucket_span": "1h",
        "latency": "30m",
        "detectors": [
            {"function": "mean", "field_name": "v", "partition_field_name": "p"},
            {"function": "count"}
        ],
        "influencers": ["p", "q"]
    }))
    .expect("a valid analysis")
}

/// Two weeks of two series with a day's shape; one of them jumps in the second week.
fn records(hours: std::ops::Range<i64>) -> RecordBatch {
    let mut batch = RecordBatch::new(3);
    for hour in hours {
        for part in 0..6i64 {
            let time = 1_700_006_400 + hour * 3_600 + part * 600;
            let noise = (time.wrapping_mul(6_364_136_223_846_793_005) >> 40).rem_euclid(1_000)
                as f64
                / 100.0;
            let shape = 30.0 * f64::from(u8::from((8..18).contains(&(hour % 24))));
            let jump = if part % 2 == 0 && (300..303).contains(&hour) {
                200.0
            } else {
                0.0
            };
            batch.begin();
            batch.set_number(0, 100.0 + shape + noise + jump);
            batch.set_display(1, part % 2);
            batch.set_display(2, part % 3);
            batch.input.records += 1;
            batch.commit(time * 1_000);
        }
    }
    batch
}

fn run(engine: &mut Engine, batch: &RecordBatch) -> Vec<String> {
    engine.count_input(batch);
    let (mut row, mut lines) = (0, Vec::new());
    while row < batch.len() {
        let mut results: Vec<BucketResults> = Vec::new();
        row = engine.process(batch, row, &mut results);
        for result in results {
            lines.push(json!(result.bucket).to_string());
            lines.extend(
                result
                    .records
                    .iter()
                    .map(|record| json!(record).to_string()),
            );
        }
    }
    lines
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

#[test]
fn format_1_goes_on_as_it_did() {
    let (state, lines) = (fixture("format-1.state"), fixture("format-1.ndjson"));
    if std::env::var_os("TIDEWATCH_WRITE_FIXTURES").is_some() {
        let mut engine = Engine::new(analysis(), Options::default());
        run(&mut engine, &records(0..HOURS / 2));
        if !state.exists() {
            std::fs::write(&state, engine.save()).expect("written");
        }
        let mut engine =
            Engine::restore(analysis(), &std::fs::read(&state).expect("read")).expect("restores");
        let after = run(&mut engine, &records(HOURS / 2..HOURS));
        std::fs::write(&lines, after.join("\n") + "\n").expect("written");
    }
    let saved = std::fs::read(&state).expect("the fixture is there");
    let mut engine = Engine::restore(analysis(), &saved).expect("the format is known");
    let after = run(&mut engine, &records(HOURS / 2..HOURS));
    let expected = std::fs::read_to_string(&lines).expect("the fixture is there");
    let expected: Vec<&str> = expected.lines().collect();
    assert!(
        expected.iter().any(|line| line.contains("record_score")),
        "the jump was told"
    );
    assert_eq!(after.len(), expected.len());
    for (line, expected) in after.iter().zip(expected) {
        let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert!(
            alike(&value(line), &value(expected)),
            "{line}\nis not\n{expected}"
        );
    }
}

/// Equal, but for the last digits: exponentials and logarithms are those of the system's library.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("finite"), b.as_f64().expect("finite"));
            (a - b).abs() <= 1e-6 * (1.0 + a.abs())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => a == b,
    }
}
