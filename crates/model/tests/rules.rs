//! Rules and events in the whole engine: what they keep from the results, what from the models.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Flush, Options, PlotOptions};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;
use tidewatch_model::rules::{Event, RuleSet};

const HOUR: i64 = 3_600;
/// A Monday.
const START: i64 = 1_704_067_200;
const DAYS: i64 = 14;
const BUCKETS: i64 = DAYS * 24;
/// The bucket of the anomaly.
const PEAK: i64 = 12 * 24 + 15;

fn analysis(rules: &Value) -> AnalysisConfig {
    serde_json::from_value(json!({
        "bucket_span": "1h",
        "detectors": [{
            "function": "mean", "field_name": "v", "partition_field_name": "host", "custom_rules": rules
        }],
        "influencers": ["host"]
    }))
    .expect("a valid analysis")
}

/// A daily wave with a little noise, the same at every call.
fn wave(hour: i64, host: usize) -> f64 {
    let noise = (hour as u64 * 2 + host as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let noise = noise as f64 / (1 << 24) as f64 - 0.5;
    100.0 + 40.0 * (TAU * hour as f64 / 24.0).sin() + 4.0 * noise
}

/// Runs `value(hour, host)` of two hosts under the rules, restored from its state every day.
fn run(rules: &Value, set: &RuleSet, value: impl Fn(i64, usize) -> f64) -> Vec<BucketResults> {
    let (mut engine, mut results) = run_to(BUCKETS, rules, set, value);
    let flush = Flush {
        advance_time: Some((START + BUCKETS * HOUR) * 1_000),
        skip_time: None,
    };
    while !engine.flush(&flush, &mut results) {}
    assert_eq!(results.len() as i64, BUCKETS);
    results
}

/// As [`run`], for so many hours, of which the last stays open.
fn run_to(
    hours: i64,
    rules: &Value,
    set: &RuleSet,
    value: impl Fn(i64, usize) -> f64,
) -> (Engine, Vec<BucketResults>) {
    let analysis = analysis(rules);
    let schema = analysis.schema();
    let column = |name| schema.position(name).expect("a field of the analysis");
    let plot = PlotOptions {
        enabled: true,
        terms: Vec::new(),
    };
    let options = Options {
        plot,
        ..Options::default()
    };
    let mut engine = Engine::new(analysis.clone(), options);
    engine.set_rules(set.clone());
    let mut results = Vec::new();
    for day in 0..DAYS {
        let mut batch = RecordBatch::new(schema.fields.len());
        for hour in day * 24..((day + 1) * 24).min(hours) {
            for host in 0..2 {
                batch.begin();
                batch.set_number(column("v"), value(hour, host));
                batch.set_display(column("host"), format_args!("host-{host}"));
                batch.commit((START + hour * HOUR + 60) * 1_000);
            }
        }
        let mut row = 0;
        while row < batch.len() {
            row = engine.process(&batch, row, &mut results);
        }
        engine = Engine::restore(analysis.clone(), &engine.save()).expect("restores");
    }
    (engine, results)
}

fn set(rules: &Value, filter: &[&str], events: Vec<Event>) -> RuleSet {
    let items = filter.iter().map(|item| (*item).to_owned()).collect();
    let filters = BTreeMap::from([("hosts".to_owned(), items)]);
    RuleSet::new(&analysis(rules), filters, events)
}

/// Ten times as much at the anomaly, for one host.
fn peaked(hour: i64, host: usize) -> f64 {
    let factor = if hour == PEAK && host == 0 { 10.0 } else { 1.0 };
    factor * wave(hour, host)
}

/// What is expected of the first host in each bucket.
fn typical(results: &[BucketResults]) -> Vec<f64> {
    let plots = results.iter().map(|result| &result.model_plots[0]);
    plots.map(|plot| plot.model_median).collect()
}

fn event(start: i64, end: i64) -> Event {
    Event {
        description: "works".to_owned(),
        start: START + start * HOUR,
        end: START + end * HOUR,
        skip_result: true,
        skip_update: true,
        force_time_shift: None,
    }
}

fn is_told(results: &[BucketResults]) -> bool {
    let peak = &results[PEAK as usize];
    let told = peak.records.iter().any(|record| record.record_score > 50.0);
    assert_eq!(told, peak.bucket.anomaly_score > 50.0);
    assert_eq!(told, !peak.influencers.is_empty());
    told
}

#[test]
fn a_rule_keeps_what_it_holds_for_from_the_results() {
    let none = json!([]);
    assert!(is_told(&run(&none, &RuleSet::default(), peaked)));
    let time = (START + PEAK * HOUR) as f64;
    let condition = |applies_to: &str, operator: &str, value: f64| json!({"applies_to": applies_to, "operator": operator, "value": value});
    for (conditions, told) in [
        (json!([condition("actual", "gt", 500.0)]), false),
        (json!([condition("actual", "gt", 50_000.0)]), true),
        (json!([condition("typical", "lt", 500.0)]), false),
        (json!([condition("diff_from_typical", "gt", 300.0)]), false),
        (json!([condition("diff_from_typical", "gt", 3e4)]), true),
        (
            json!([
                condition("time", "gte", time),
                condition("time", "lte", time)
            ]),
            false,
        ),
        (json!([condition("time", "gt", time)]), true),
    ] {
        let rules = json!([{"conditions": conditions}]);
        let results = run(&rules, &set(&rules, &[], Vec::new()), peaked);
        assert_eq!(is_told(&results), told, "{rules}");
    }
}

#[test]
fn a_scope_is_for_the_values_in_its_filter_or_for_all_others() {
    for (kind, item, told) in [
        ("include", "host-0", false),
        ("include", "*-1", true),
        ("exclude", "host-*", true),
        ("exclude", "host-1", false),
    ] {
        let rules = json!([{"scope": {"host": {"filter_id": "hosts", "filter_type": kind}}}]);
        let results = run(&rules, &set(&rules, &[item], Vec::new()), peaked);
        assert_eq!(is_told(&results), told, "{kind} {item}");
    }
}

#[test]
fn what_is_not_to_be_learnt_leaves_no_trace() {
    // Whatever the values under an event are, all that follows is the same.
    let none = json!([]);
    let held = set(&none, &[], vec![event(PEAK - 3, PEAK + 2)]);
    let (peak, flat) = (run(&none, &held, peaked), run(&none, &held, wave));
    assert!(!is_told(&peak));
    for (at, result) in (0..).zip(&peak) {
        let scheduled = (PEAK - 3..PEAK + 2).contains(&at);
        let expected: &[&str] = if scheduled { &["works"] } else { &[] };
        assert_eq!(result.bucket.scheduled_events, expected, "{at}");
    }
    let after = PEAK as usize + 1;
    assert_eq!(peak[after..], flat[after..]);

    // So with a rule that only keeps values from the model; they are told.
    let rules = json!([{
        "actions": ["skip_model_update"],
        "conditions": [{"applies_to": "actual", "operator": "gt", "value": 500.0}]
    }]);
    let kept = set(&rules, &[], Vec::new());
    let results = run(&rules, &kept, peaked);
    assert!(is_told(&results));
    let missing = run(&rules, &kept, |hour, host| {
        let factor = if hour == PEAK && host == 0 { 99.0 } else { 1.0 };
        factor * wave(hour, host)
    });
    assert_eq!(typical(&results)[after..], typical(&missing)[after..]);
    let learnt = run(&none, &RuleSet::default(), peaked);
    assert_ne!(typical(&results)[after..], typical(&learnt)[after..]);
}

#[test]
fn a_moved_clock_expects_the_day_at_another_time() {
    // From the 13th day on, all happens an hour earlier.
    let turn = 12 * 24;
    let moved = |hour: i64, host: usize| wave(hour + i64::from(hour >= turn), host);
    let none = json!([]);
    let miss = |results: &[BucketResults]| -> f64 {
        let expected = typical(results);
        let hours = turn + 1..turn + 24;
        hours
            .map(|hour| (expected[hour as usize] - moved(hour, 0)).abs())
            .sum()
    };
    let mut summer = event(turn, turn + 6);
    (summer.skip_result, summer.skip_update) = (false, false);
    let unaware = run(&none, &RuleSet::default(), moved);
    summer.force_time_shift = Some(HOUR);
    let aware = run(&none, &set(&none, &[], vec![summer.clone()]), moved);
    assert!(
        miss(&aware) < 0.5 * miss(&unaware),
        "{} {}",
        miss(&aware),
        miss(&unaware)
    );
    // A rule says the same, for the hosts of its scope.
    let rules = json!([{
        "actions": ["force_time_shift"], "params": {"force_time_shift": {"time_shift_amount": HOUR}},
        "scope": {"host": {"filter_id": "hosts"}},
        "conditions": [{"applies_to": "time", "operator": "gte", "value": START + turn * HOUR}]
    }]);
    let by_rule = run(&rules, &set(&rules, &["host-0"], Vec::new()), moved);
    assert_eq!(typical(&by_rule), typical(&aware));
    let of_other = run(&rules, &set(&rules, &["host-1"], Vec::new()), moved);
    assert_eq!(typical(&of_other), typical(&unaware));
}

#[test]
fn an_open_bucket_is_judged_by_the_same_rules() {
    let none = json!([]);
    let records = |set: &RuleSet| {
        let (engine, _) = run_to(PEAK + 1, &none, set, peaked);
        let interim = engine.interim();
        assert_eq!(interim.len(), 1);
        let bucket = &interim[0].bucket;
        (interim[0].records.len(), bucket.scheduled_events.clone())
    };
    let held = set(&none, &[], vec![event(PEAK, PEAK + 1)]);
    assert_eq!(records(&RuleSet::default()), (1, vec![]));
    assert_eq!(records(&held), (0, vec!["works".to_owned()]));
}
