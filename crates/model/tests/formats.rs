//! Every format of the saved state that was ever released is taken up, and goes on as it did then.
//!
//! A fixture is the state after the first half of the records below, and what the second half gave. It is written once,
//! for a format that is about to be released, by `TIDEWATCH_WRITE_FIXTURES=1 cargo test -p tidewatch-model --test
//! formats`, and never again: where results change on purpose, the lines may be written anew, the state may not.

use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;

const HOURS: i64 = 24 * 14;

fn analysis(config: Value) -> AnalysisConfig {
    serde_json::from_value(config).expect("a valid analysis")
}

fn noise(time: i64) -> f64 {
    (time.wrapping_mul(6_364_136_223_846_793_005) >> 40).rem_euclid(1_000) as f64 / 100.0
}

/// Two weeks of two series with a day's shape; one of them jumps in the second week. `fill` sets the cells of a record
/// by its time, its part of the hour and its value.
fn records(
    width: usize,
    hours: Range<i64>,
    fill: impl Fn(&mut RecordBatch, i64, i64, f64),
) -> RecordBatch {
    let mut batch = RecordBatch::new(width);
    for hour in hours {
        for part in 0..6i64 {
            let time = 1_700_006_400 + hour * 3_600 + part * 600;
            let shape = 30.0 * f64::from(u8::from((8..18).contains(&(hour % 24))));
            let jump = if part % 2 == 0 && (300..303).contains(&hour) {
                200.0
            } else {
                0.0
            };
            batch.begin();
            fill(&mut batch, hour, part, 100.0 + shape + noise(time) + jump);
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
            let records = result.records.iter();
            lines.extend(records.map(|record| json!(record).to_string()));
        }
    }
    lines
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// Takes up the state of a format and compares what comes of the second half with what came of it then.
fn goes_on(format: &str, analysis: &AnalysisConfig, records: impl Fn(Range<i64>) -> RecordBatch) {
    let (state, lines) = (
        fixture(&format!("{format}.state")),
        fixture(&format!("{format}.ndjson")),
    );
    let second = |saved: &[u8]| {
        let mut engine = Engine::restore(analysis.clone(), saved).expect("the format is known");
        run(&mut engine, &records(HOURS / 2..HOURS))
    };
    if std::env::var_os("TIDEWATCH_WRITE_FIXTURES").is_some() {
        if !state.exists() {
            let mut engine = Engine::new(analysis.clone(), Options::default());
            run(&mut engine, &records(0..HOURS / 2));
            std::fs::write(&state, engine.save()).expect("written");
        }
        let after = second(&std::fs::read(&state).expect("read"));
        std::fs::write(&lines, after.join("\n") + "\n").expect("written");
    }
    let after = second(&std::fs::read(&state).expect("the fixture is there"));
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

#[test]
fn format_1_goes_on_as_it_did() {
    let analysis = analysis(json!({
        "bucket_span": "1h",
        "latency": "30m",
        "detectors": [
            {"function": "mean", "field_name": "v", "partition_field_name": "p"},
            {"function": "count"}
        ],
        "influencers": ["p", "q"]
    }));
    goes_on("format-1", &analysis, |hours| {
        records(3, hours, |batch, _, part, value| {
            batch.set_number(0, value);
            batch.set_display(1, part % 2);
            batch.set_display(2, part % 3);
        })
    });
}

#[test]
fn format_2_goes_on_as_it_did() {
    let config = std::fs::read(fixture("format-2.json")).expect("the fixture is there");
    let analysis: AnalysisConfig = serde_json::from_slice(&config).expect("a valid analysis");
    let schema = analysis.schema();
    let fill = |batch: &mut RecordBatch, hour: i64, part: i64, value: f64| {
        for (column, field) in schema.fields.iter().enumerate() {
            match field.name.as_str() {
                "v" => batch.set_number(column, value),
                "p" if hour == 301 && part == 5 => batch.set_text(column, "never seen"),
                "p" => batch.set_display(column, part % 2),
                "user" => batch.set_display(column, format_args!("user-{}", (hour + part) % 5)),
                "message" => batch.set_display(
                    column,
                    format_args!("worker {part} finished {hour} jobs after restart"),
                ),
                "where" => {
                    batch.set_display(column, format_args!("{:.3},13.4", 52.0 + value / 1e3))
                }
                other => panic!("no field {other} was expected"),
            }
        }
    };
    let width = schema.fields.len();
    goes_on("format-2", &analysis, |hours| records(width, hours, fill));
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
