use super::eval::within;
use super::*;

fn series(alias: &str, samples: &[(i64, f64)]) -> Series {
    let labels = [(NAME, "anomaly_detector:score"), ("alias", alias)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Series {
        labels: labels.into(),
        samples: samples.to_vec(),
    }
}

/// Values and whether they have a name still.
fn evaluated(query: &str, time: i64) -> Vec<(f64, bool)> {
    let shown = shown(query, time).unwrap_or_else(|told| panic!("{query}: {told}"));
    let shown = shown
        .into_iter()
        .map(|(labels, value)| (value, labels.contains_key(NAME)));
    shown.collect()
}

fn shown(query: &str, time: i64) -> Result<Vec<(Labels, f64)>, String> {
    let all = [
        series("a", &[(60_000, 0.0), (120_000, 0.75), (180_000, 0.25)]),
        series("b", &[(120_000, 1.0)]),
    ];
    let mut all = all.to_vec();
    // Values beside the scores, of another metric.
    for (alias, value) in [("a", 10.0), ("b", 20.0)] {
        let mut more = series(alias, &[(120_000, value), (180_000, value + 1.0)]);
        more.labels
            .insert(NAME.to_owned(), "anomaly_detector:value".to_owned());
        all.push(more);
    }
    let expression = parse(query)?;
    Ok(match Sight::new(&expression, &all).at(&expression, time)? {
        Value::Number(number) => vec![(Labels::new(), number)],
        Value::Vector(vector) => {
            let shown = vector
                .into_iter()
                .map(|(metric, value)| (metric.labels(), value));
            shown.collect()
        }
    })
}

#[test]
fn the_rules_of_alerts_are_evaluated() {
    const SCORE: &str = "anomaly_detector:score";
    type Case = (String, i64, &'static [(f64, bool)]);
    let cases: Vec<Case> = vec![
        (SCORE.to_owned(), 59_999, &[]),
        (SCORE.to_owned(), 60_000, &[(0.0, true)]),
        (SCORE.to_owned(), 200_000, &[(0.25, true), (1.0, true)]),
        // Five minutes after the last sample of b it is stale.
        (SCORE.to_owned(), 420_000, &[(0.25, true)]),
        (
            format!("{SCORE}{{alias=\"a\"}} > 0.1"),
            130_000,
            &[(0.75, true)],
        ),
        (format!("{SCORE}{{alias=\"a\"}} > 0.8"), 130_000, &[]),
        (
            format!("max_over_time({SCORE}{{alias='a'}}[2m]) > 0.1"),
            239_999,
            &[(0.75, false)],
        ),
        // A range does not have its own start.
        (
            format!("max_over_time({SCORE}{{alias='a'}}[2m]) > 0.1"),
            240_000,
            &[(0.25, false)],
        ),
        (
            format!("avg_over_time({SCORE}{{alias!=\"b\"}}[1h])"),
            180_000,
            &[(1.0 / 3.0, false)],
        ),
        (
            format!("min_over_time({SCORE}[1h]) == bool 0"),
            180_000,
            &[(1.0, false), (0.0, false)],
        ),
        (
            "{__name__=~\".*:score\", alias!~\"a|c\"}".to_owned(),
            180_000,
            &[(1.0, true)],
        ),
        (
            format!("0.5 <= ({SCORE}) # half"),
            130_000,
            &[(0.75, true), (1.0, true)],
        ),
        ("2 >= bool -1e-1".to_owned(), 0, &[(1.0, false)]),
        (
            format!("{SCORE}{{alias=~\"[ab]\",}} < .5"),
            180_000,
            &[(0.25, true)],
        ),
        (
            format!("{SCORE}{{alias='a'}} offset 1m"),
            180_000,
            &[(0.75, true)],
        ),
        (
            format!("max_over_time({SCORE}{{alias='a'}}[1m] offset -1m)"),
            0,
            &[(0.0, false)],
        ),
        (
            format!("count_over_time({SCORE}[1h])"),
            180_000,
            &[(3.0, false), (1.0, false)],
        ),
        (
            format!("quantile_over_time(0.5, {SCORE}{{alias='a'}}[1h])"),
            180_000,
            &[(0.25, false)],
        ),
        (format!("sum({SCORE})"), 180_000, &[(1.25, false)]),
        (format!("Avg({SCORE}) * 8 - 1"), 180_000, &[(4.0, false)]),
        (format!("count({SCORE} > 0.5)"), 180_000, &[(1.0, false)]),
        (
            format!("max by (alias) ({SCORE})"),
            180_000,
            &[(0.25, false), (1.0, false)],
        ),
        (
            format!("min({SCORE}) without (alias)"),
            180_000,
            &[(0.25, false)],
        ),
        (format!("topk(1, {SCORE})"), 180_000, &[(1.0, true)]),
        (
            format!("quantile(0.5, {SCORE})"),
            180_000,
            &[(0.625, false)],
        ),
        // The name is no label by which values find each other, and a comparison keeps that of the left.
        (
            format!("anomaly_detector:value - {SCORE}"),
            180_000,
            &[(10.75, false), (20.0, false)],
        ),
        (
            format!("anomaly_detector:value > 18 + {SCORE}"),
            180_000,
            &[(21.0, true)],
        ),
        (
            format!("anomaly_detector:value and on (alias) {SCORE} > 0.5"),
            180_000,
            &[(21.0, true)],
        ),
        (
            format!("{SCORE} unless {SCORE} > 0.5"),
            180_000,
            &[(0.25, true)],
        ),
        (
            format!("{SCORE} > 0.5 or ignoring (x) anomaly_detector:value"),
            180_000,
            &[(1.0, true), (11.0, true)],
        ),
        (
            format!("{SCORE} > 5 or vector(0)"),
            180_000,
            &[(0.0, false)],
        ),
        (format!("absent({SCORE}{{alias='c'}})"), 0, &[(1.0, false)]),
        (
            format!("-{SCORE}{{alias='b'}} ^ 2"),
            180_000,
            &[(-1.0, false)],
        ),
        ("2 ^ 3 ^ 2 % 10 - -1".to_owned(), 0, &[(3.0, false)]),
        ("1 - 2 - 3 * 2".to_owned(), 0, &[(-7.0, false)]),
        ("time() / 60".to_owned(), 120_000, &[(2.0, false)]),
        (
            format!("clamp_max(round({SCORE}, 0.5), 0.5)"),
            180_000,
            &[(0.5, false), (0.5, false)],
        ),
        (
            format!("scalar({SCORE}{{alias='b'}}) + 1"),
            180_000,
            &[(2.0, false)],
        ),
    ];
    for (query, time, expected) in cases {
        assert_eq!(evaluated(&query, time), expected, "{query} at {time}");
    }
    let samples = [(1, 1.0), (2, 2.0), (3, 3.0)];
    assert_eq!(within(&samples, 1, 2), [(2, 2.0)]);
    let absent = shown("absent({alias='c',x=~'.*y'})", 0).unwrap();
    assert_eq!(absent[0].0.get("alias").map(String::as_str), Some("c"));
    assert_eq!(absent[0].0.len(), 1);
}

#[test]
fn values_that_do_not_fit_together_are_refused() {
    let many = "{alias=~'.+'} + on (alias) {alias=~'.+'}";
    assert!(shown(many, 180_000).unwrap_err().contains("many-to-many"));
    let left = "{alias='a'} + on (alias) anomaly_detector:value";
    assert!(shown(left, 180_000).unwrap_err().contains("left hand-side"));
}

#[test]
fn what_is_not_understood_is_told_with_its_place() {
    for (query, told) in [
        (
            "",
            "unknown position: parse error: no expression found in input",
        ),
        (
            "rate(x[5m])",
            "1:1: parse error: the function \"rate\" is not supported here",
        ),
        (
            "sum by (a, (x)",
            "1:12: parse error: unexpected \"(\" in grouping",
        ),
        ("sum(x, y)", "1:1: parse error: wrong number of arguments"),
        (
            "topk(x, y)",
            "1:6: parse error: expected type scalar in aggregation",
        ),
        ("x + on (a) group_left (b) y", "not supported here"),
        ("x and 1", "1:3: parse error: set operator not allowed"),
        ("x + bool y", "1:3: parse error: bool modifier"),
        ("abs(1)", "expected type instant vector in call to function"),
        (
            "clamp(x)",
            "expected 3 arguments in call to \"clamp\", got 1",
        ),
        ("x[5m] + 1", "must contain only scalar and instant vector"),
        (
            "max_over_time(x[5m:1m])",
            "1:19: parse error: subqueries are not supported",
        ),
        ("x @ 5", "1:3: parse error: \"@\" is not supported"),
        ("-x[5m]", "1:1: parse error: unary expression only allowed"),
        (
            "1 > 2",
            "1:3: parse error: comparisons between scalars must use BOOL modifier",
        ),
        (
            "{a=\"\"}",
            "1:1: parse error: vector selector must contain at least one non-empty matcher",
        ),
        ("x{a=\"b}", "1:5: parse error: unterminated quoted string"),
        (
            "x\n > 5q",
            "2:4: parse error: bad number or duration syntax: \"5q\"",
        ),
        ("x{", "1:3: parse error: unexpected end of input"),
        ("max_over_time(x)", "got instant vector"),
        ("x[5m", "1:5: parse error: unexpected end of input"),
        (
            "x offset x",
            "1:10: parse error: unexpected identifier \"x\"",
        ),
        ("x{a=~\"(\"}", "1:6: parse error: error parsing regexp"),
        ("x é", "1:3: parse error: unexpected character: 'é'"),
    ] {
        let error = parse(query).expect_err(query);
        assert!(error.contains(told), "{query}: {error}");
    }
    for part in ["(", "-", "x^", "sum(", "1+"] {
        let error = parse(&format!("{}1", part.repeat(100_000))).unwrap_err();
        assert!(error.contains("too"), "{part}: {error}");
    }
    assert!(selector("x offset 5m").is_err());
    assert!(selector("x[5m]").is_err());
}

#[test]
fn durations_have_units_in_their_order() {
    assert_eq!(duration("1h30m"), Some(5_400_000));
    assert_eq!(duration("250ms"), Some(250));
    for wrong in ["", "5", "1m1h", "1m1m", "0s", "m", "99999999999999999y"] {
        assert_eq!(duration(wrong), None, "{wrong}");
    }
}
