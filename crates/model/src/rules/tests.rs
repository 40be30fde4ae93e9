use serde_json::{Value, json};

use super::*;

fn rules(custom: Value, events: Vec<Event>) -> Rules {
    let analysis = json!({"bucket_span": "1h", "detectors": [
        {"function": "count"},
        {
            "function": "mean", "field_name": "x", "by_field_name": "host", "partition_field_name": "site",
            "custom_rules": custom
        }
    ]});
    let analysis: AnalysisConfig = serde_json::from_value(analysis).expect("valid");
    let filters = [("safe".to_owned(), vec!["web-*".to_owned()])];
    let set = RuleSet::new(&analysis, filters.into(), events);
    // By way of the state that it is a part of.
    let bytes = postcard::to_stdvec(&Rules::from(set)).expect("written");
    postcard::from_bytes(&bytes).expect("read")
}

fn event(description: &str, start: i64, end: i64) -> Event {
    Event {
        description: description.to_owned(),
        start,
        end,
        skip_result: true,
        skip_update: false,
        force_time_shift: None,
    }
}

fn case<'a>(start: i64, actual: &'a [f64], typical: &'a [f64], host: &'a str) -> Case<'a> {
    Case {
        start,
        actual,
        typical,
        by: Some(host),
        over: None,
        partition: Some("berlin"),
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold_and_one_rule_is_enough() {
    let rules = rules(
        json!([
            {"conditions": [
                {"applies_to": "actual", "operator": "lt", "value": 10.0},
                {"applies_to": "diff_from_typical", "operator": "lte", "value": 5.0}
            ]},
            {"actions": ["skip_model_update"], "conditions": [
                {"applies_to": "typical", "operator": "gt", "value": 20.0},
                {"applies_to": "time", "operator": "gte", "value": 7200.0}
            ]}
        ]),
        Vec::new(),
    );
    let said = |start, actual: f64, typical: f64| {
        let verdict = rules.judge(1, &case(start, &[actual], &[typical], "db"));
        (verdict.skip_result, verdict.skip_update)
    };
    assert_eq!(said(0, 9.0, 12.0), (true, false));
    assert_eq!(said(0, 9.0, 14.0), (true, false));
    assert_eq!(said(0, 9.0, 14.5), (false, false));
    assert_eq!(said(0, 10.0, 10.0), (false, false));
    assert_eq!(said(3_600, 9.0, 21.0), (false, false));
    assert_eq!(said(7_200, 9.0, 21.0), (false, true));
    assert_eq!(said(7_200, 9.0, 20.0), (false, false));
    // What isn't known fulfils no condition.
    let unknown = case(7_200, &[], &[], "db");
    assert_eq!(rules.judge(1, &unknown), Verdict::default());
    // The other detector has no rules.
    assert!(rules.is_idle(0, 0) && !rules.is_idle(1, 0));
    assert_eq!(
        rules.judge(0, &case(0, &[9.0], &[9.0], "db")),
        Verdict::default()
    );
}

#[test]
fn a_scope_is_what_its_filter_has_or_has_not() {
    let scoped = |kind: &str, filter: &str| {
        let scope = json!({"host": {"filter_id": filter, "filter_type": kind}});
        rules(json!([{"scope": scope}]), Vec::new())
    };
    let skips = |rules: &Rules, case: &Case<'_>| rules.judge(1, case).skip_result;
    let (web, db) = (
        case(0, &[1.0], &[1.0], "web-1"),
        case(0, &[1.0], &[1.0], "db"),
    );
    let (included, excluded) = (scoped("include", "safe"), scoped("exclude", "safe"));
    assert!(skips(&included, &web) && !skips(&included, &db));
    assert!(!skips(&excluded, &web) && skips(&excluded, &db));
    let unnamed = Case { by: None, ..web };
    assert!(!skips(&included, &unnamed) && !skips(&excluded, &unnamed));
    let gone = scoped("exclude", "gone");
    assert!(!skips(&gone, &web));
}

#[test]
fn events_hold_for_the_buckets_that_they_touch() {
    let rules = rules(
        json!([]),
        vec![
            event("late", 7_200, 10_800),
            event("long", 0, 36_000),
            event("early", 3_600, 7_200),
        ],
    );
    let at = |time| rules.scheduled(time).join(",");
    assert_eq!(
        [-3_600, 0, 3_600, 7_200, 10_800, 32_400, 36_000].map(at),
        ["", "long", "long,early", "long,late", "long", "long", ""]
    );
    assert!(rules.is_idle(0, 36_000) && !rules.is_idle(0, 32_400));
    assert_eq!(
        rules.judge(0, &case(3_600, &[1.0], &[1.0], "db")),
        Verdict {
            skip_result: true,
            skip_update: false
        }
    );
    assert_eq!(Event::grid(3_600_000, 7_200_000, 3_600), (3_600, 7_200));
    assert_eq!(Event::grid(3_599_999, 7_200_001, 3_600), (0, 10_800));
    assert_eq!(Event::grid(-1, 1, 3_600), (-3_600, 3_600));
}

#[test]
fn clocks_are_moved_for_those_in_scope_while_the_time_has_come() {
    let mut moving = event("summer time", 3_600, 7_200);
    moving.force_time_shift = Some(-3_600);
    let rules = rules(
        json!([{
            "actions": ["force_time_shift"], "params": {"force_time_shift": {"time_shift_amount": 60}},
            "scope": {"host": {"filter_id": "safe"}},
            "conditions": [
                {"applies_to": "time", "operator": "gte", "value": 7200.0},
                {"applies_to": "actual", "operator": "gt", "value": 5.0}
            ]
        }]),
        vec![moving],
    );
    let at = |time| -> Vec<i64> { rules.shifts(1, time).iter().map(Shift::seconds).collect() };
    assert_eq!([0, 3_600, 7_200].map(at), [vec![], vec![-3_600], vec![60]]);
    let shift = &rules.shifts(1, 7_200)[0];
    assert!(rules.concerns(shift, &case(7_200, &[], &[], "web-1")));
    assert!(!rules.concerns(shift, &case(7_200, &[], &[], "db")));
    assert!(rules.has_shift(shift) && !Rules::default().has_shift(shift));
}
