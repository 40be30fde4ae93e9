//! Every function finds what it is for, and says what it is; work that is shared gives the same results.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::{BucketResults, Record};
use tidewatch_model::workers::{Part, Workers};

const START: i64 = 1_700_006_400;
const SPAN: i64 = 900;

fn noise(seed: i64) -> f64 {
    let mut z = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((z ^ (z >> 27)) >> 11) as f64 / (1u64 << 53) as f64
}

fn analysis(detector: Value) -> AnalysisConfig {
    let config = json!({"bucket_span": "15m", "detectors": [detector], "influencers": ["who"]});
    serde_json::from_value(config).expect("a valid analysis")
}

/// Runs ten days of buckets, each with the records (value, text) that `of` gives for its number.
fn run(analysis: AnalysisConfig, of: impl Fn(i64) -> Vec<(f64, String)>) -> Vec<BucketResults> {
    let schema = analysis.schema();
    let mut engine = Engine::new(analysis, Options::default());
    let mut batch = RecordBatch::new(schema.fields.len());
    for bucket in 0..960 {
        let records = of(bucket);
        let step = SPAN * 1_000 / records.len().max(1) as i64;
        for (i, (value, text)) in records.iter().enumerate() {
            batch.begin();
            for (column, field) in schema.fields.iter().enumerate() {
                match field.name.as_str() {
                    "value" => batch.set_number(column, *value),
                    "who" => batch.set_display(column, i % 3),
                    _ => batch.set_text(column, text),
                }
            }
            batch.commit((START + bucket * SPAN) * 1_000 + i as i64 * step);
        }
    }
    let (mut all, mut row) = (Vec::new(), 0);
    while row < batch.len() {
        let mut results = Vec::new();
        row = engine.process(&batch, row, &mut results);
        all.append(&mut results);
    }
    all
}

/// The records of score 50 and more.
fn told(results: &[BucketResults]) -> Vec<(i64, &Record)> {
    let records = results.iter().flat_map(|result| &result.records);
    records
        .filter(|record| record.record_score >= 50.0)
        .map(|record| ((record.timestamp / 1_000 - START) / SPAN, record))
        .collect()
}

const ODD: i64 = 900;

#[test]
fn each_function_finds_its_anomaly() {
    // Function, its field, what results call it, and how the odd bucket is odd.
    let cases: [(&str, &str, &str, f64, f64, f64, usize); 12] = [
        // scale of values, their level, distinct texts
        ("median", "value", "median", 1.0, 8.0, 0.0, 40),
        ("high_median", "value", "median", 1.0, 8.0, 0.0, 40),
        ("varp", "value", "varp", 5.0, 0.0, 0.0, 40),
        ("high_varp", "value", "varp", 5.0, 0.0, 0.0, 40),
        ("low_varp", "value", "varp", 0.05, 0.0, 0.0, 40),
        ("metric", "value", "max", 1.0, 0.0, 60.0, 40),
        ("metric", "value", "min", 1.0, 0.0, -60.0, 40),
        (
            "distinct_count",
            "text",
            "distinct_count",
            1.0,
            0.0,
            0.0,
            400,
        ),
        (
            "low_distinct_count",
            "text",
            "distinct_count",
            1.0,
            0.0,
            0.0,
            2,
        ),
        (
            "high_distinct_count",
            "text",
            "distinct_count",
            1.0,
            0.0,
            0.0,
            400,
        ),
        ("info_content", "text", "info_content", 1.0, 0.0, 0.0, 400),
        (
            "high_info_content",
            "text",
            "info_content",
            1.0,
            0.0,
            0.0,
            400,
        ),
    ];
    for (function, field, description, scale, level, extreme, distinct) in cases {
        let analysis = analysis(json!({"function": function, "field_name": field}));
        let results = run(analysis, |bucket| {
            let odd = bucket == ODD;
            let (scale, level) = if odd { (scale, level) } else { (1.0, 0.0) };
            let distinct = if odd { distinct } else { 40 } as f64;
            let count = if odd { 120 } else { 60 };
            (0..count)
                .map(|i| {
                    let seed = bucket * 1_000 + i;
                    let mut value = 100.0 + level + scale * 6.0 * (noise(seed) - 0.5);
                    if odd && i == 5 {
                        value += extreme;
                    }
                    (value, format!("text-{}", (noise(-seed) * distinct).floor()))
                })
                .collect()
        });
        let told = told(&results);
        assert!(
            told.iter().any(|(bucket, record)| *bucket == ODD
                && record.function == function
                && record.function_description == description),
            "{function}: {told:?}"
        );
        // In so many buckets chance alone may reach 50, but not 75.
        let fair = |(bucket, record): &(i64, &Record)| {
            (ODD..ODD + 4).contains(bucket) || record.record_score < 75.0
        };
        assert!(told.iter().all(fair), "{function}: {told:?}");
    }
}

#[test]
fn a_median_is_not_moved_by_a_few_wild_values() {
    let results = run(
        analysis(json!({"function": "median", "field_name": "value"})),
        |bucket| {
            let wild = |i: i64| i % 20 == 0 && bucket % 50 == 0;
            (0..60)
                .map(|i| {
                    let value = if wild(i) {
                        1e6
                    } else {
                        noise(bucket * 100 + i)
                    };
                    (value, String::new())
                })
                .collect()
        },
    );
    assert_eq!(told(&results), Vec::new());
}

#[test]
fn a_value_that_is_odd_only_beside_another_is_told() {
    let run_with = |multivariate: bool, rules: Value, exclude: &str| {
        let config = json!({
            "bucket_span": "15m",
            "detectors": [{
                "function": "mean", "field_name": "value", "by_field_name": "text", "custom_rules": rules,
                "exclude_frequent": exclude
            }],
            "multivariate_by_fields": multivariate
        });
        run(serde_json::from_value(config).expect("valid"), |bucket| {
            // In and out go together, but once; the others go their own ways.
            let load = 40.0 * (noise(bucket) + noise(7 * bucket + 1) - 1.0);
            let broken = if bucket == ODD {
                -load.signum() * 20.0
            } else {
                load
            };
            let own = |seed: i64| noise(bucket * 31 + seed) + noise(bucket * 17 - seed);
            let mut values = vec![
                (200.0 + load + own(1), "in".to_owned()),
                (500.0 + 2.0 * broken + own(2), "out".to_owned()),
            ];
            values.extend((3..9).map(|i| (10.0 * own(i * 1_000), format!("other-{i}"))));
            values
        })
    };
    let run = |multivariate: bool, rules: Value| run_with(multivariate, rules, "none");
    assert_eq!(told(&run(false, json!([]))), Vec::new());
    // All of them are there in every bucket.
    assert_eq!(told(&run_with(true, json!([]), "by")), Vec::new());
    // A rule that keeps the bucket from the results keeps this from them too.
    let time = START + ODD * SPAN;
    let condition =
        |operator: &str| json!({"applies_to": "time", "operator": operator, "value": time});
    let rules = json!([{"conditions": [condition("gte"), condition("lte")]}]);
    assert_eq!(told(&run(true, rules)), Vec::new());
    let results = run(true, json!([]));
    let told = told(&results);
    let pair = |record: &Record| {
        let by = record.by.as_ref().map(|by| by.by_field_value.as_str());
        matches!(
            (by, record.correlated_by_field_value.as_deref()),
            (Some("in"), Some("out")) | (Some("out"), Some("in"))
        )
    };
    assert!(
        told.len() == 1 && told[0].0 == ODD && pair(told[0].1),
        "{told:?}"
    );
}

#[test]
fn a_new_level_is_told_once_and_then_taken_for_normal() {
    let analysis = analysis(json!({
        "function": "mean", "field_name": "value", "partition_field_name": "text"
    }));
    let results = run(analysis, |bucket| {
        let level = if bucket < 600 { 100.0 } else { 140.0 };
        vec![
            (level + 4.0 * noise(bucket), "moved".to_owned()),
            (50.0 + 4.0 * noise(-bucket), "stayed".to_owned()),
        ]
    });
    let odd = told(&results);
    // It is told where it begins, and within a day there is quiet.
    let buckets: Vec<i64> = odd.iter().map(|(bucket, _)| *bucket).collect();
    assert!(
        buckets.first() == Some(&600) && buckets.iter().all(|b| (600..696).contains(b)),
        "{odd:?}"
    );
    let why = odd[0].1.anomaly_score_explanation.deviation();
    assert_eq!(why.map(|why| why.anomaly_length), Some(1));
    let changes: Vec<_> = results
        .iter()
        .flat_map(|result| &result.annotations)
        .collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let partition = changes[0].partition.as_ref().expect("a partition");
    assert_eq!(partition.partition_field_value, "moved");
    let bucket = (changes[0].timestamp / 1_000 - START) / SPAN;
    assert!((600..700).contains(&bucket), "{changes:?}");
    assert!(changes[0].annotation.contains("[10") && changes[0].annotation.contains("[14"));
}

/// Two threads, whatever the work.
#[derive(Debug)]
struct Two;

impl Workers for Two {
    fn width(&self) -> usize {
        2
    }

    fn run<'a>(&self, parts: Vec<Part<'a>>) {
        let (mut even, mut odd) = (Vec::new(), Vec::new());
        for (i, part) in parts.into_iter().enumerate() {
            if i % 2 == 0 { &mut even } else { &mut odd }.push(part);
        }
        std::thread::scope(|scope| {
            scope.spawn(|| odd.into_iter().for_each(|part| part()));
            even.into_iter().rev().for_each(|part| part());
        });
    }
}

#[test]
fn shared_work_gives_the_same_results() {
    for function in ["count", "mean"] {
        let mut detector = json!({"function": function, "partition_field_name": "host"});
        if function == "mean" {
            detector["field_name"] = "value".into();
        }
        let config =
            json!({"bucket_span": "15m", "detectors": [detector], "influencers": ["host"]});
        let analysis: AnalysisConfig = serde_json::from_value(config).expect("valid");
        let run = |workers: Option<Arc<dyn Workers>>| {
            let mut engine = Engine::new(analysis.clone(), Options::default());
            if let Some(workers) = workers {
                engine.employ(workers);
            }
            let width = analysis.schema().fields.len();
            let host = analysis.schema().position("host").expect("a field");
            let (mut lines, mut results) = (Vec::new(), Vec::new());
            for bucket in 0..40 {
                let mut batch = RecordBatch::new(width);
                for series in (0..5_000).filter(|s| (s + bucket) % 7 != 0) {
                    let odd = bucket == 30 && series == 2_500;
                    batch.begin();
                    batch.set_display(host, series);
                    let value = noise(bucket * 5_000 + series) + if odd { 50.0 } else { 0.0 };
                    if width == 2 {
                        batch.set_number(1 - host, value);
                    }
                    batch.commit((START + bucket * SPAN) * 1_000);
                }
                let mut row = 0;
                while row < batch.len() {
                    row = engine.process(&batch, row, &mut results);
                    let drained = results.drain(..);
                    lines.extend(drained.map(|result| {
                        json!([result.bucket, result.records, result.influencers]).to_string()
                    }));
                }
            }
            (lines, engine.save())
        };
        let (alone, shared) = (run(None), run(Some(Arc::new(Two))));
        assert_eq!(alone.0, shared.0);
        assert!(alone.1 == shared.1, "the states differ");
        if function == "mean" {
            assert!(alone.0.iter().any(|line| line.contains("\"2500\"")));
        }
    }
}
