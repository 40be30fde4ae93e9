//! Random cut forests as the engine of a job.

use std::f64::consts::TAU;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::counts::MemoryStatus;
use tidewatch_model::engine::{Engine, Flush, Options};
use tidewatch_model::forest::{ForestConfig, ForestResult};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;
use tidewatch_model::workers::{Part, Workers};

const MINUTE: i64 = 60_000;

fn analysis(detectors: Value, forest: Value) -> AnalysisConfig {
    let config = json!({"bucket_span": "1m", "detectors": detectors, "influencers": ["host"]});
    let mut analysis: AnalysisConfig = serde_json::from_value(config).expect("valid");
    let forest: ForestConfig = serde_json::from_value(forest).expect("settings");
    forest.check(&analysis).expect("they fit");
    analysis.forest = Some(forest);
    analysis
}

fn mean(forest: Value) -> AnalysisConfig {
    analysis(json!([{"function": "mean", "field_name": "v"}]), forest)
}

fn two_of_hosts(forest: Value) -> AnalysisConfig {
    let detectors = json!([
        {"function": "mean", "field_name": "v", "partition_field_name": "host"},
        {"function": "max", "field_name": "w", "partition_field_name": "host"},
    ]);
    analysis(detectors, forest)
}

/// Small and fixed noise from -1 to 1.
fn noise(seed: i64) -> f64 {
    let x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x ^ (x >> 29)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn wave(minute: i64) -> f64 {
    100.0 + 20.0 * (TAU * minute as f64 / 60.0).sin() + noise(minute)
}

/// A record a minute for which `value` gives the fields that it has.
fn records(
    analysis: &AnalysisConfig,
    minutes: std::ops::Range<i64>,
    hosts: &[&str],
    value: impl Fn(i64, usize) -> [Option<f64>; 2],
) -> RecordBatch {
    let schema = analysis.schema();
    let mut batch = RecordBatch::new(schema.fields.len());
    for minute in minutes {
        for (number, host) in hosts.iter().enumerate() {
            let values = value(minute, number);
            if values == [None, None] {
                continue;
            }
            batch.begin();
            if let Some(column) = schema.position("host") {
                batch.set_text(column, host);
            }
            for (name, value) in ["v", "w"].into_iter().zip(values) {
                if let (Some(column), Some(value)) = (schema.position(name), value) {
                    batch.set_number(column, value);
                }
            }
            batch.commit(minute * MINUTE);
        }
    }
    batch
}

fn process(engine: &mut Engine, batch: &RecordBatch) -> Vec<BucketResults> {
    let (mut all, mut row) = (Vec::new(), 0);
    while row < batch.len() {
        let mut results = Vec::new();
        row = engine.process(batch, row, &mut results);
        all.append(&mut results);
    }
    all
}

fn forests(results: &[BucketResults]) -> Vec<ForestResult> {
    results.iter().flat_map(|of| of.forests.clone()).collect()
}

/// The results of one series.
fn run(
    analysis: &AnalysisConfig,
    minutes: i64,
    value: impl Fn(i64) -> Option<f64>,
) -> Vec<BucketResults> {
    let mut engine = Engine::new(analysis.clone(), Options::default());
    let batch = records(analysis, 0..minutes, &["a"], |minute, _| {
        [value(minute), None]
    });
    let mut results = process(&mut engine, &batch);
    let flush = Flush {
        advance_time: Some(minutes * MINUTE),
        skip_time: None,
    };
    let mut last = Vec::new();
    engine.flush(&flush, &mut last);
    results.append(&mut last);
    results
}

#[test]
fn a_spike_is_an_anomaly_and_what_is_usual_is_none() {
    let analysis = mean(json!({}));
    let results = run(&analysis, 900, |minute| {
        Some(wave(minute) + if minute == 800 { 60.0 } else { 0.0 })
    });
    let all = forests(&results);
    assert_eq!(all.len(), 900);
    assert!(
        all[..32]
            .iter()
            .all(|of| of.anomaly_score == 0.0 && of.expected.is_empty())
    );
    assert!(
        all[40..]
            .iter()
            .all(|of| of.anomaly_score > 0.0 && of.threshold > 0.0)
    );
    let odd: Vec<usize> = (200..900)
        .filter(|&at| all[at].anomaly_grade > 0.0)
        .collect();
    assert_eq!(odd, [800]);
    let spike = &all[800];
    assert!(
        spike.anomaly_grade > 0.5 && spike.anomaly_score > 1.0,
        "{spike:?}"
    );
    assert!((spike.expected[0] - wave(800)).abs() < 10.0, "{spike:?}");
    assert!(spike.lower[0] <= spike.expected[0] && spike.expected[0] <= spike.upper[0]);
    assert!(spike.upper[0] < spike.values[0]);
    assert_eq!(spike.attribution, [1.0]);
    assert_eq!(spike.approx_anomaly_start_time, Some(800 * MINUTE));
    assert!((0.1..1.0).contains(&spike.confidence));
    assert_eq!(spike.updates, 801);
    // The other results tell of it as well.
    let bucket = &results[800];
    let [record] = &bucket.records[..] else {
        panic!("{:?}", bucket.records)
    };
    assert_eq!(record.record_score, 100.0 * spike.anomaly_grade);
    assert_eq!(record.actual, spike.values);
    assert_eq!(record.typical, spike.expected);
    assert_eq!(bucket.bucket.anomaly_score, record.record_score);
    assert_eq!(bucket.influencers[0].influencer_field_value, "a");
    assert!(results[850].records.is_empty() && results[850].bucket.anomaly_score == 0.0);
}

#[test]
fn a_constant_series_has_no_anomaly_until_it_changes() {
    let results = run(&mean(json!({})), 400, |minute| {
        Some(if minute == 350 { 8.0 } else { 7.0 })
    });
    let all = forests(&results);
    let odd: Vec<usize> = (0..400).filter(|&at| all[at].anomaly_grade > 0.0).collect();
    assert_eq!(odd, [350]);
    assert_eq!(all[350].expected, [7.0]);
}

#[test]
fn values_near_the_expected_are_ignored_on_the_side_that_is_asked_for() {
    let spikes = |forest: Value| {
        let results = run(&mean(forest), 900, |minute| {
            Some(match minute {
                700 => wave(minute) + 60.0,
                800 => wave(minute) - 60.0,
                _ => wave(minute),
            })
        });
        let all = forests(&results);
        [700, 800].map(|at: usize| all[at].anomaly_grade > 0.0)
    };
    assert_eq!(spikes(json!({})), [true, true]);
    let near = |near: Value| json!({"ignore_near_expected": [near]});
    assert_eq!(spikes(near(json!({"above": 100.0}))), [false, true]);
    assert_eq!(spikes(near(json!({"below": 100.0}))), [true, false]);
    assert_eq!(spikes(near(json!({"above_ratio": 0.9}))), [false, true]);
    assert_eq!(spikes(near(json!({"below_ratio": 3.0}))), [true, false]);
    let high = analysis(
        json!([{"function": "high_mean", "field_name": "v"}]),
        json!({}),
    );
    let results = run(&high, 900, |minute| {
        Some(wave(minute) - if minute == 800 { 60.0 } else { 0.0 })
    });
    assert_eq!(forests(&results)[800].anomaly_grade, 0.0);
}

#[test]
fn what_is_missing_is_passed_over_filled_in_or_an_anomaly() {
    let hole = |imputation: Value| {
        let analysis = mean(json!({"imputation": imputation}));
        let results = run(&analysis, 600, |minute| {
            (minute != 500).then(|| wave(minute))
        });
        let mut all = forests(&results);
        all.retain(|of| of.timestamp == 500 * MINUTE);
        all.pop()
    };
    assert_eq!(hole(json!({})), None);
    let previous = hole(json!({"method": "previous"})).expect("filled in");
    assert_eq!(
        (&previous.values[..], &previous.imputed[..]),
        (&[wave(499)][..], &[true][..])
    );
    assert_eq!(previous.anomaly_grade, 0.0);
    let zero = hole(json!({"method": "zero"})).expect("filled in");
    assert_eq!(zero.values, [0.0]);
    let fixed = hole(json!({"method": "fixed", "values": [12.5]})).expect("filled in");
    assert_eq!(fixed.values, [12.5]);
    let anomaly = hole(json!({"method": "anomaly"})).expect("told");
    assert_eq!(
        (anomaly.anomaly_grade, &anomaly.imputed[..]),
        (1.0, &[true][..])
    );
    assert!((anomaly.values[0] - wave(500)).abs() < 10.0, "{anomaly:?}");
}

#[test]
fn a_feature_is_told_by_its_share() {
    let analysis = two_of_hosts(json!({"trees": 40}));
    let mut engine = Engine::new(analysis.clone(), Options::default());
    let batch = records(&analysis, 0..800, &["a", "b"], |minute, host| {
        let odd = minute == 700 && host == 1;
        let other = 5.0 + noise(3 * minute + host as i64);
        [
            Some(wave(minute)),
            Some(other + if odd { 40.0 } else { 0.0 }),
        ]
    });
    let results = process(&mut engine, &batch);
    let odd: Vec<&ForestResult> = results[700]
        .forests
        .iter()
        .filter(|of| of.anomaly_grade > 0.0)
        .collect();
    let [odd] = odd[..] else { panic!("{odd:?}") };
    assert_eq!(
        (odd.entity[0].name.as_str(), odd.entity[0].value.as_str()),
        ("host", "b")
    );
    assert!(odd.attribution[1] > 0.7, "{odd:?}");
    assert!((odd.attribution.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let record = &results[700].records[0];
    assert_eq!(record.detector_index, 1);
    let partition = record.partition.as_ref().expect("split");
    assert_eq!(partition.partition_field_value, "b");
}

/// Two threads' worth of workers, the parts of which come in the wrong order.
#[derive(Debug)]
struct Backwards;

impl Workers for Backwards {
    fn width(&self) -> usize {
        4
    }

    fn run<'a>(&self, parts: Vec<Part<'a>>) {
        parts.into_iter().rev().for_each(|part| part());
    }
}

#[test]
fn neither_batches_nor_threads_nor_a_restart_change_anything() {
    let analysis = two_of_hosts(json!({
        "trees": 8, "sample_size": 32, "time_decay": 0.02, "shingle_size": 4, "imputation": {"method": "previous"},
    }));
    let hosts: Vec<String> = (0..20).map(|host| format!("h{host}")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let value = |minute: i64, host: usize| {
        let gone = (minute + host as i64) % 37 == 0;
        let odd = if minute % 90 == host as i64 {
            30.0
        } else {
            0.0
        };
        [
            Some(wave(minute) + odd),
            (!gone).then(|| noise(minute * 31 + host as i64)),
        ]
    };
    let mut whole = Engine::new(analysis.clone(), Options::default());
    let expected = process(&mut whole, &records(&analysis, 0..700, &hosts, value));
    assert!(expected.iter().any(|of| !of.records.is_empty()));
    let mut engine = Engine::new(analysis.clone(), Options::default());
    engine.employ(Arc::new(Backwards));
    let mut results = Vec::new();
    for part in 0..70 {
        let batch = records(&analysis, part * 10..(part + 1) * 10, &hosts, value);
        results.extend(process(&mut engine, &batch));
        if part % 9 == 4 {
            let saved = engine.save();
            engine = Engine::restore(analysis.clone(), &saved).expect("restored");
            assert_eq!(engine.save(), saved);
            engine.employ(Arc::new(Backwards));
        }
    }
    assert_eq!(results, expected);
    assert_eq!(engine.save(), whole.save());
    assert_eq!(engine.size(), whole.size());
}

#[test]
fn a_long_point_remembers_all_of_its_gaps_through_a_restart() {
    let analysis = mean(json!({
        "trees": 4, "sample_size": 32, "shingle_size": 200, "imputation": {"method": "previous"},
    }));
    // More than half of a point is missing until the gap is 200 minutes away, not 128.
    let value = |minute: i64, _| [(!(300..410).contains(&minute)).then(|| wave(minute)), None];
    let batch = |part: i64| records(&analysis, part * 50..(part + 1) * 50, &["a"], value);
    let mut whole = Engine::new(analysis.clone(), Options::default());
    let expected: Vec<_> = (0..16)
        .flat_map(|part| process(&mut whole, &batch(part)))
        .collect();
    let mut engine = Engine::new(analysis.clone(), Options::default());
    let mut results = Vec::new();
    for part in 0..16 {
        results.extend(process(&mut engine, &batch(part)));
        let saved = engine.save();
        engine = Engine::restore(analysis.clone(), &saved).expect("restored");
    }
    assert_eq!(results, expected);
    assert_eq!(engine.save(), whole.save());
    let judged = forests(&expected)
        .into_iter()
        .filter(|of| of.anomaly_score > 0.0);
    assert!(judged.count() > 500);
}

#[test]
fn a_state_of_before_goes_on() {
    let analysis = mean(json!({"trees": 4, "sample_size": 32, "shingle_size": 4}));
    let batch = |minutes| {
        records(&analysis, minutes, &["a"], |minute, _| {
            [Some(wave(minute)), None]
        })
    };
    let mut engine = Engine::new(analysis.clone(), Options::default());
    process(&mut engine, &batch(0..200));
    let saved = engine.save();
    // It ended with the entities. Beside them stand: how many, and of the one no older gaps and the reach of one feature.
    let beside = 1 + 1 + 1 + size_of::<f64>();
    let old = &saved[..saved.len() - beside];
    let mut engines =
        [old, &saved].map(|state| Engine::restore(analysis.clone(), state).expect("restored"));
    let mut told = engines
        .each_mut()
        .map(|engine| forests(&process(engine, &batch(200..300))));
    // Only the bands begin again.
    for found in told.iter_mut().flatten() {
        assert!(found.lower[0] < found.expected[0] && found.expected[0] < found.upper[0]);
        (found.lower[0], found.upper[0]) = (0.0, 0.0);
    }
    assert_eq!(told[0], told[1]);
    assert!(Engine::restore(analysis, &saved[..saved.len() - 1]).is_err());
}

#[test]
fn memory_is_counted_and_its_limit_kept() {
    let analysis = two_of_hosts(json!({"trees": 20}));
    let sizes: Vec<u64> = [1, 3]
        .into_iter()
        .map(|count| {
            let mut engine = Engine::new(analysis.clone(), Options::default());
            let hosts = &["a", "b", "c"][..count];
            process(
                &mut engine,
                &records(&analysis, 0..20, hosts, |_, _| [Some(1.0), Some(2.0)]),
            );
            engine.size().model_bytes
        })
        .collect();
    // A tree of 256 points of 16 values takes 6 to 8 kB.
    let each = (sizes[1] - sizes[0]) / 2;
    assert!((150_000..300_000).contains(&each), "{sizes:?}");
    let options = Options {
        memory_limit: 2 * each + each / 2,
        ..Options::default()
    };
    let mut engine = Engine::new(analysis.clone(), options);
    let hosts = ["a", "b", "c", "d"];
    let results = process(
        &mut engine,
        &records(&analysis, 0..20, &hosts, |_, _| [Some(1.0), None]),
    );
    let size = engine.size();
    assert_eq!(size.memory_status, MemoryStatus::HardLimit);
    assert_eq!(size.total_partition_field_count, 2);
    assert!(size.model_bytes <= size.model_bytes_memory_limit);
    assert!(size.bucket_allocation_failures_count > 0);
    assert!(results.len() == 19);
}

#[test]
fn settings_of_another_size_begin_anew_and_others_go_on() {
    let analysis = mean(json!({}));
    let mut engine = Engine::new(analysis.clone(), Options::default());
    let batch = |minutes| {
        records(&analysis, minutes, &["a"], |minute, _| {
            [Some(wave(minute)), None]
        })
    };
    process(&mut engine, &batch(0..100));
    let mut config = ForestConfig {
        output_after: 50,
        ..ForestConfig::default()
    };
    engine.configure_forests(config.clone());
    let results = process(&mut engine, &batch(100..110));
    assert!(
        forests(&results)
            .iter()
            .all(|of| of.updates > 99 && of.anomaly_score > 0.0)
    );
    let before = engine.size().model_bytes;
    config.trees = 100;
    engine.configure_forests(config);
    let results = process(&mut engine, &batch(110..120));
    assert_eq!(forests(&results)[0].updates, 1);
    assert!(engine.size().model_bytes > before);
}

#[test]
fn interim_results_take_sums_on_and_learn_nothing() {
    let analysis = analysis(json!([{"function": "sum", "field_name": "v"}]), json!({}));
    let mut engine = Engine::new(analysis.clone(), Options::default());
    let batch = records(&analysis, 0..400, &["a"], |minute, _| {
        [Some(100.0 + noise(minute)), None]
    });
    process(&mut engine, &batch);
    let saved = engine.save();
    let interim = engine.interim();
    let [result] = &interim[0].forests[..] else {
        panic!("{interim:?}")
    };
    assert!(result.is_interim && result.timestamp == 399 * MINUTE);
    assert_eq!(result.anomaly_grade, 0.0, "{result:?}");
    assert_eq!(engine.save(), saved);
    assert!(
        engine
            .forecast_plan()
            .expect_err("refused")
            .to_string()
            .contains("random_cut_forest")
    );
}

#[test]
fn nothing_becomes_other_than_a_number() {
    let wild = [f64::MAX, f64::MIN, 0.0, 1e-300, -1e300, 7.0];
    let forest = json!({"output_after": 8, "shingle_size": 2, "imputation": {"method": "anomaly"}});
    let results = run(&mean(forest), 200, |minute| {
        let at = (minute * minute % 31) as usize;
        (at > 0).then(|| wild[at % wild.len()])
    });
    for found in forests(&results) {
        let told = serde_json::to_value(&found).expect("JSON");
        assert!(!told.to_string().contains("null"), "{told}");
    }
}

#[test]
fn what_forests_cannot_do_is_refused() {
    let refused = |detectors: Value, forest: Value| {
        let config = json!({"detectors": detectors});
        let analysis: AnalysisConfig = serde_json::from_value(config).expect("valid");
        let forest: ForestConfig = serde_json::from_value(forest).expect("settings");
        forest.check(&analysis).expect_err("refused").reason
    };
    let mean = json!([{"function": "mean", "field_name": "v"}]);
    for (detectors, forest, word) in [
        (
            json!([{"function": "rare", "by_field_name": "a"}]),
            json!({}),
            "[rare]",
        ),
        (
            json!([{"function": "metric", "field_name": "a"}]),
            json!({}),
            "[metric]",
        ),
        (
            json!([{"function": "count", "over_field_name": "a"}]),
            json!({}),
            "over_field_name",
        ),
        (
            json!([{"function": "count", "by_field_name": "a"}, {"function": "count"}]),
            json!({}),
            "must have the same",
        ),
        (
            mean.clone(),
            json!({"shingle_size": 0}),
            "shingle_size must be between 1 and 1024",
        ),
        (mean.clone(), json!({"time_decay": 1.0}), "time_decay"),
        (
            mean.clone(),
            json!({"ignore_near_expected": [{"above": -1.0}]}),
            "must not be negative",
        ),
        (
            mean.clone(),
            json!({"ignore_near_expected": [{}, {}]}),
            "[2] entries for [1]",
        ),
        (
            mean,
            json!({"imputation": {"method": "fixed"}}),
            "imputation.values",
        ),
    ] {
        let reason = refused(detectors, forest);
        assert!(reason.contains(word), "{reason}");
    }
}
