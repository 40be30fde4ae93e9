//! Google's document of anomalies.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Value, json};

use crate::book;
use crate::support::{Client, Server};

const APP: &str = "com.example.shop";
/// 2021-03-01 in Los Angeles, epoch seconds.
const START: i64 = 1_614_585_600;

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Text,
    Enum,
    Object(String),
    List(String),
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: Kind,
    /// The union that it is of.
    union: Option<String>,
    is_optional: bool,
    is_whole: bool,
}

type Types = BTreeMap<String, Vec<Field>>;

/// The types of the document by their names, as their JSON representations and the texts below these say.
fn types(text: &str) -> Types {
    let heading = Regex::new(r"^(?:Resource: )?([A-Z]\w+)$").expect("a pattern");
    let member = Regex::new(r#"^\s*"(\w+)": (.*)$"#).expect("a pattern");
    let object = Regex::new(r"^\s*object \((\w+)\)").expect("a pattern");
    let lines: Vec<&str> = text.lines().collect();
    let mut types = Types::new();
    for (place, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| **line == "JSON representation")
    {
        let mut above = lines[..place].iter().rev();
        let name = above
            .find_map(|line| heading.captures(line))
            .expect("a name")[1]
            .to_owned();
        let below = lines[place..].iter().position(|line| *line == "Fields");
        let (shown, said) = lines[place..].split_at(below.expect("what is said of the fields"));
        let (mut fields, mut union, mut opened) = (Vec::new(), None, None);
        for line in shown {
            if let Some(named) = line.trim().strip_prefix("// Union field ") {
                union = named.split(' ').next().map(str::to_owned);
            } else if line.trim().starts_with("// End of list") {
                union = None;
            } else if let Some(found) = member.captures(line) {
                let field = found[1].to_owned();
                match &found[2] {
                    "{" | "[" => opened = Some((field, found[2].to_owned())),
                    kind => fields.push(Field {
                        kind: if kind.starts_with("enum") {
                            Kind::Enum
                        } else {
                            Kind::Text
                        },
                        is_optional: says(said, &field, 2, "Optional."),
                        is_whole: says(said, &field, 1, "string (int64 format)"),
                        union: union.clone(),
                        name: field,
                    }),
                }
            } else if let Some(found) = object.captures(line) {
                let (field, bracket) = opened.take().expect("a field");
                let of = found[1].to_owned();
                fields.push(Field {
                    kind: if bracket == "[" {
                        Kind::List(of)
                    } else {
                        Kind::Object(of)
                    },
                    is_optional: union.as_ref().is_some_and(|union| {
                        let text = format!("Union field {union}. If given");
                        said.iter().any(|line| line.starts_with(&text))
                    }),
                    is_whole: false,
                    union: union.clone(),
                    name: field,
                });
            }
        }
        types.insert(name, fields);
    }
    types
}

/// Whether what is said of a field has this begin so many paragraphs below its name.
fn says(said: &[&str], field: &str, below: usize, begin: &str) -> bool {
    let paragraphs: Vec<&&str> = said.iter().filter(|line| !line.is_empty()).collect();
    let place = paragraphs.iter().position(|line| **line == field);
    let text = place.and_then(|place| paragraphs.get(place + below));
    text.is_some_and(|text| text.starts_with(begin))
}

/// Fails unless a value is of a type; counts the fields that it has.
fn check(types: &Types, name: &str, value: &Value, seen: &mut BTreeSet<String>) {
    let told = value
        .as_object()
        .unwrap_or_else(|| panic!("{name} is {value}"));
    match name {
        // Types of all of Google's.
        "Decimal" => {
            let number = Regex::new(r"^-?(0|[1-9]\d*)(\.\d+)?(E[+-]\d+)?$").expect("a pattern");
            assert!(
                told.len() == 1 && number.is_match(value["value"].as_str().unwrap_or_default()),
                "{value}"
            );
            return;
        }
        "DateTime" => return check_date(value),
        _ => {}
    }
    let fields = types
        .get(name)
        .unwrap_or_else(|| panic!("{name} isn't documented"));
    for name in told.keys() {
        assert!(
            fields.iter().any(|field| field.name == *name),
            "{name} isn't documented: {value}"
        );
    }
    let mut unions: BTreeMap<&str, usize> = BTreeMap::new();
    for field in fields {
        let Some(told) = told.get(&field.name) else {
            let may_lack = field.is_optional || field.union.is_some();
            assert!(may_lack, "{} is missing: {value}", field.name);
            continue;
        };
        seen.insert(format!("{name}.{}", field.name));
        if let Some(union) = &field.union {
            *unions.entry(union).or_default() += 1;
        }
        match &field.kind {
            Kind::Text if field.is_whole => {
                let is_whole = told
                    .as_str()
                    .is_some_and(|text| text.parse::<i64>().is_ok());
                assert!(is_whole, "{told}");
            }
            Kind::Text | Kind::Enum => assert!(told.is_string(), "{} is {told}", field.name),
            Kind::Object(of) => check(types, of, told, seen),
            Kind::List(of) => {
                let all = told.as_array().expect("a list");
                assert!(!all.is_empty(), "{value}");
                all.iter().for_each(|one| check(types, of, one, seen));
            }
        }
    }
    for union in fields.iter().filter_map(|field| field.union.as_deref()) {
        assert_eq!(unions.get(union), Some(&1), "one of {union} in {value}");
    }
}

fn check_date(date: &Value) {
    let names: Vec<&str> = date
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    match date["timeZone"]["id"].as_str() {
        Some("UTC") => assert_eq!(names, ["year", "month", "day", "hours", "timeZone"]),
        Some("America/Los_Angeles") => assert_eq!(names, ["year", "month", "day", "timeZone"]),
        _ => panic!("{date}"),
    }
    assert!(
        names[..names.len() - 1]
            .iter()
            .all(|name| date[name].is_u64()),
        "{date}"
    );
}

/// A job over two series, one of which gets worse for two buckets.
fn add_job(
    server: &Client,
    job: &str,
    span: &str,
    seconds: i64,
    metric: (&str, &str),
    split: (&str, [&str; 2]),
) {
    let (field, values) = split;
    let config = json!({
        "analysis_config": {
            "bucket_span": span,
            "detectors": [{"function": "mean", "field_name": metric.1, "partition_field_name": field}]
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "model_plot_config": {"enabled": true},
        "custom_settings": {"play": {"app": APP, "metric_set": metric.0, "metric": metric.1, "worse": "up"}}
    });
    server.create_open(job, &config);
    let mut lines = String::new();
    for bucket in 0..400 {
        for (number, value) in values.iter().enumerate() {
            let noise = ((bucket * 7_919 + number * 104_729) % 97) as f64 / 970.0;
            let is_bad = number == 1 && (300..302).contains(&bucket);
            let rate = 1.0 + noise + if is_bad { 1.5 } else { 0.0 };
            let bucket = i64::try_from(bucket).expect("a number");
            let record = json!({"time": START + bucket * seconds, field: value, metric.1: rate});
            lines.push_str(&format!("{record}\n"));
        }
    }
    server.post_data(job, lines.as_bytes());
    server.close(job);
}

#[test]
fn googles_anomalies_are_as_documented() {
    let Some(text) = book::text("003") else {
        return;
    };
    let types = types(&text);
    let known = |name: &str| {
        types[name]
            .iter()
            .map(|field| field.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        known("Anomaly"),
        ["name", "metricSet", "timelineSpec", "dimensions", "metric"]
    );
    assert_eq!(
        known("DimensionValue"),
        ["dimension", "valueLabel", "stringValue", "int64Value"]
    );
    let server = Server::start(&[]);
    add_job(
        &server,
        "hours",
        "1h",
        3_600,
        ("crashRateMetricSet", "crashRate"),
        ("versionCode", ["101", "102"]),
    );
    add_job(
        &server,
        "days",
        "1d",
        86_400,
        ("anrRateMetricSet", "anrRate"),
        ("countryCode", ["ES", "US"]),
    );
    let told = server.ok(
        "GET",
        &format!("/v1beta1/apps/{APP}/anomalies"),
        &Value::Null,
    );
    let anomalies = told["anomalies"].as_array().expect("anomalies");

    let format = Regex::new(r"(?m)^Format: (\S+)$").expect("a pattern");
    let format = format.captures(&text).expect("the format of names")[1].to_owned();
    let name = format
        .replace("{app}", &APP.replace('.', r"\."))
        .replace("{anomaly}", "[^/]+");
    let name = Regex::new(&format!("^{name}$")).expect("a pattern");
    let mut seen = BTreeSet::new();
    for anomaly in anomalies {
        check(&types, "Anomaly", anomaly, &mut seen);
        assert!(
            name.is_match(anomaly["name"].as_str().expect("a name")),
            "{anomaly}"
        );
        let spec = &anomaly["timelineSpec"];
        let zone = match spec["aggregationPeriod"].as_str() {
            Some("HOURLY") => "UTC",
            Some("DAILY") => "America/Los_Angeles",
            _ => panic!("{spec}"),
        };
        for end in ["startTime", "endTime"] {
            assert_eq!(spec[end]["timeZone"]["id"], zone);
        }
    }
    // Both aggregation periods, both kinds of values; all fields but the labels that nobody gives.
    let all = types.iter().flat_map(|(name, fields)| {
        fields
            .iter()
            .map(move |field| format!("{name}.{}", field.name))
    });
    let unseen: Vec<String> = all.filter(|name| !seen.contains(name)).collect();
    assert_eq!(unseen, ["DimensionValue.valueLabel"]);
    let periods: BTreeSet<&str> = anomalies
        .iter()
        .filter_map(|anomaly| anomaly["timelineSpec"]["aggregationPeriod"].as_str())
        .collect();
    assert_eq!(periods, BTreeSet::from(["DAILY", "HOURLY"]));
}
