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

/// Values and whether they have a name still, of the series that fit.
fn evaluated(query: &str, time: i64) -> Vec<(f64, bool)> {
    let all = [
        series("a", &[(60_000, 0.0), (120_000, 0.75), (180_000, 0.25)]),
        series("b", &[(120_000, 1.0)]),
    ];
    let expression = parse(query).unwrap();
    let fitting = all.into_iter().filter(|series| {
        let selector = expression.selector();
        selector.is_some_and(|selector| selector.fits(&series.labels))
    });
    let fitting: Vec<Series> = fitting.collect();
    match at(&expression, &fitting, time) {
        Value::Number(number) => vec![(number, false)],
        Value::Vector(vector) => {
            let shown = vector
                .into_iter()
                .map(|(labels, value)| (value, labels.contains_key(NAME)));
            shown.collect()
        }
    }
}

#[test]
fn the_rules_of_alerts_are_evaluated() {
    const SCORE: &str = "anomaly_detector:score";
    type Case = (String, i64, &'static [(f64, bool)]);
    let cases: [Case; 14] = [
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
            "{__name__=~\"anomaly_detector:.*\", alias!~\"a|c\"}".to_owned(),
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
    ];
    for (query, time, expected) in cases {
        assert_eq!(evaluated(&query, time), expected, "{query} at {time}");
    }
    let series = series("a", &[(1, 1.0), (2, 2.0), (3, 3.0)]);
    assert_eq!(within(&series, 1, 2), [(2, 2.0)]);
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
            "sum by (a) (x)",
            "1:1: parse error: the function \"sum\" is not supported here",
        ),
        (
            "x + 1",
            "1:3: parse error: the operator \"+\" is not supported here",
        ),
        (
            "x > y",
            "1:3: parse error: a comparison of two vectors is not supported here",
        ),
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
            "x offset 5m",
            "1:3: parse error: \"offset\" is not supported here",
        ),
        ("x{a=~\"(\"}", "1:6: parse error: error parsing regexp"),
        ("x é", "1:3: parse error: unexpected character: 'é'"),
    ] {
        let error = parse(query).expect_err(query);
        assert!(error.contains(told), "{query}: {error}");
    }
    let deep = "(".repeat(100_000);
    assert!(parse(&deep).is_err());
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
