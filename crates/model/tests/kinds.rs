//! Populations, rare values, times and places, from records to results: on made-up data with what was planted, and on the
//! runs recorded of Elastic's engine where they stand beside the repository.

use std::path::PathBuf;

use serde_json::{Value, json};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Flush, Options};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;

const START: i64 = 1_700_006_400;
const HOUR: i64 = 3_600;

/// A record: seconds, number and texts in the order of the schema.
struct Row<'a> {
    time: i64,
    cells: Vec<(&'a str, String)>,
}

fn run(config: Value, rows: &[Row<'_>]) -> (Vec<BucketResults>, Engine) {
    let analysis: AnalysisConfig = serde_json::from_value(config).expect("a valid analysis");
    let schema = analysis.schema();
    let mut batch = RecordBatch::new(schema.fields.len());
    for row in rows {
        batch.begin();
        for (name, value) in &row.cells {
            let Some(column) = schema.position(name) else {
                continue;
            };
            batch.set_text(column, value);
            if let Ok(number) = value.parse() {
                batch.set_number(column, number);
            }
        }
        batch.input.records += 1;
        batch.commit(row.time * 1_000);
    }
    let mut engine = Engine::new(analysis, Options::default());
    engine.count_input(&batch);
    let (mut results, mut some, mut row) = (Vec::new(), Vec::new(), 0);
    while row < batch.len() {
        row = engine.process(&batch, row, &mut some);
        results.append(&mut some);
    }
    let end = rows.iter().map(|row| row.time).max().unwrap_or(0) + HOUR;
    let flush = Flush {
        advance_time: Some(end * 1_000),
        skip_time: None,
    };
    let mut done = false;
    while !done {
        done = engine.flush(&flush, &mut some);
        results.append(&mut some);
    }
    (results, engine)
}

/// Records of at least a score, as they are served.
fn told(results: &[BucketResults], score: f64) -> Vec<Value> {
    let records = results.iter().flat_map(|result| &result.records);
    let records = records.filter(|record| record.record_score >= score);
    records.map(|record| json!(record)).collect()
}

/// Uniform on (0, 1): splitmix64 (Steele, Lea & Flood 2014, OOPSLA, p. 453).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
    }

    fn normal(&mut self) -> f64 {
        let (r, angle) = (self.uniform(), self.uniform());
        (-2.0 * r.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

/// The rows and the configuration of a recorded run; none where they aren't at hand.
fn recorded(name: &str) -> Option<(Value, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/recorded_engine")
        .join(name);
    let job = std::fs::read_to_string(folder.join("job.json")).ok()?;
    let job: Value = serde_json::from_str(&job).expect("a job");
    let rows = std::fs::read_to_string(folder.join("input.csv")).expect("its input");
    Some((job["analysis_config"].clone(), rows))
}

fn rows(text: &str) -> Vec<Row<'_>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let row = |line: &str| {
        let values: Vec<String> = line.split(',').map(str::to_owned).collect();
        Row {
            time: values[0].parse().expect("a time"),
            cells: names.iter().copied().zip(values).skip(1).collect(),
        }
    };
    lines.map(row).collect()
}

#[test]
fn one_cryptominer_is_all_that_a_recorded_run_tells() {
    let Some((config, text)) = recorded("rare_by_process") else {
        return;
    };
    let (results, _) = run(config, &rows(&text));
    let told = told(&results, 50.0);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["by_field_value"], "cryptominer");
    assert_eq!(told[0]["timestamp"], 1_700_629_200_000i64);
    let why = &told[0]["anomaly_score_explanation"];
    assert_eq!(why["by_field_first_occurrence"], true);
    let others = results.iter().map(|result| result.bucket.anomaly_score);
    assert_eq!(others.filter(|&score| score >= 50.0).count(), 1);
}

#[test]
fn user17_is_all_that_a_recorded_population_tells() {
    let Some((config, text)) = recorded("high_sum_over_user") else {
        return;
    };
    let (results, engine) = run(config, &rows(&text));
    let told = told(&results, 50.0);
    assert_eq!(told.len(), 2, "{told:#?}");
    for record in &told {
        assert_eq!(record["over_field_value"], "user17");
        assert_eq!(record["causes"][0]["over_field_value"], "user17");
    }
    let times: Vec<_> = told.iter().map(|record| &record["timestamp"]).collect();
    assert_eq!(times, [1_700_467_200_000i64, 1_700_470_800_000]);
    assert_eq!(engine.size().total_over_field_count, 40);
}

#[test]
fn a_member_of_a_population_is_told_with_its_causes() {
    let mut noise = Noise(11);
    let mut rows = Vec::new();
    for hour in 0..200 {
        for user in 0..30 {
            for site in ["a", "b"] {
                if noise.uniform() < 0.4 || (user == 7 && site == "b") {
                    let event = user == 7 && site == "b" && (150..153).contains(&hour);
                    let bytes = 1e3 * (0.4 * noise.normal()).exp() * if event { 30.0 } else { 1.0 };
                    rows.push(Row {
                        time: START + hour * HOUR + 60 * user,
                        cells: vec![
                            ("bytes", bytes.to_string()),
                            ("user", format!("u{user}")),
                            ("site", site.to_owned()),
                        ],
                    });
                }
            }
        }
    }
    let detector = json!({
        "function": "sum", "field_name": "bytes", "by_field_name": "site", "over_field_name": "user"
    });
    let config = json!({
        "bucket_span": "1h", "detectors": [detector], "influencers": ["site", "user"]
    });
    let (results, engine) = run(config, &rows);
    let told = told(&results, 50.0);
    assert_eq!(told.len(), 3, "{told:#?}");
    for record in &told {
        assert_eq!(record["over_field_value"], "u7");
        assert_eq!(record["user"], json!(["u7"]));
        assert!(record["actual"].is_null() && record["by_field_name"].is_null());
        let causes = record["causes"].as_array().expect("causes");
        assert_eq!(causes[0]["by_field_value"], "b");
        assert!(causes[0]["actual"][0].as_f64() > Some(1e4));
        let typical = causes[0]["typical"][0].as_f64().expect("a number");
        assert!((500.0..2_000.0).contains(&typical), "{typical}");
    }
    let size = engine.size();
    assert_eq!(
        (size.total_over_field_count, size.total_by_field_count),
        (30, 2)
    );
}

/// A town of 40 people who do common things, one of whom does what nobody does, in hour 180.
fn town(often: u32) -> Vec<Row<'static>> {
    let mut noise = Noise(2);
    let mut rows = Vec::new();
    for hour in 0..200 {
        for user in 0..40 {
            if noise.uniform() < 0.6 {
                let page = (noise.uniform() * 6.0) as u32;
                rows.push((hour, user, page));
            }
        }
        if hour == 180 {
            rows.extend((0..often).map(|page| (hour, 13, 100 + page)));
        }
    }
    let row = |(hour, user, page): (i64, u32, u32)| Row {
        time: START + hour * HOUR,
        cells: vec![("user", format!("u{user}")), ("page", format!("/{page}"))],
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn what_nobody_shares_is_told_of_the_person() {
    let detector = |function| {
        let detector =
            json!({"function": function, "by_field_name": "page", "over_field_name": "user"});
        json!({"bucket_span": "1h", "detectors": [detector], "influencers": ["user"]})
    };
    for (function, often) in [("rare", 1), ("freq_rare", 30)] {
        let (results, _) = run(detector(function), &town(often));
        let told = told(&results, 50.0);
        assert_eq!(told.len(), 1, "{function}: {told:#?}");
        assert_eq!(told[0]["over_field_value"], "u13");
        assert_eq!(told[0]["function_description"], "rare");
        let causes = told[0]["causes"].as_array().expect("causes");
        assert_eq!(causes.len(), often.min(10) as usize);
        assert!(causes[0]["by_field_value"].as_str() >= Some("/100"));
        let explained = &told[0]["anomaly_score_explanation"]["anomaly_type"];
        if function == "freq_rare" {
            assert_eq!(explained, "spike");
        }
        assert_eq!(
            told[0]["influencers"][0]["influencer_field_values"],
            json!(["u13"])
        );
    }
    // What all do is no cause, though who is told did it too.
    let mut rows = town(1);
    let odd = rows.iter().find(|row| row.cells[1].1 == "/100");
    let (time, who) = odd
        .map(|row| (row.time, row.cells[0].clone()))
        .expect("an odd row");
    let pages = (0..4).chain(std::iter::repeat_n(100, 30));
    rows.extend(pages.map(|n| Row {
        time,
        cells: vec![who.clone(), ("page", format!("/{n}"))],
    }));
    rows.sort_by_key(|row| row.time);
    let (results, _) = run(detector("freq_rare"), &rows);
    let told_again = told(&results, 50.0);
    let causes = told_again[0]["causes"].as_array().expect("causes");
    assert_eq!(
        (causes.len(), &causes[0]["by_field_value"]),
        (1, &json!("/100"))
    );
    // A single thing that nobody does is no often.
    let (results, _) = run(detector("freq_rare"), &town(1));
    assert_eq!(told(&results, 50.0), Vec::<Value>::new());
}

#[test]
fn busy_people_can_be_left_out() {
    let rows = || {
        let mut noise = Noise(8);
        let mut rows = Vec::new();
        for hour in 0..300 {
            for user in 0..40 {
                let robot = user == 0;
                if robot || noise.uniform() < 0.05 {
                    let event = robot && hour == 250;
                    let bytes = 1e3 * (0.4 * noise.normal()).exp() * if event { 90.0 } else { 1.0 };
                    rows.push(Row {
                        time: START + hour * HOUR,
                        cells: vec![("bytes", bytes.to_string()), ("user", format!("u{user}"))],
                    });
                }
            }
        }
        rows
    };
    let told_with = |mut detector: Value, exclude: &str| {
        detector["function"] = "max".into();
        detector["field_name"] = "bytes".into();
        detector["exclude_frequent"] = exclude.into();
        let (results, _) = run(
            json!({"bucket_span": "1h", "detectors": [detector]}),
            &rows(),
        );
        told(&results, 50.0).len()
    };
    for (exclude, expected) in [("none", 1), ("over", 0), ("by", 1), ("all", 0)] {
        let people = json!({"over_field_name": "user"});
        assert_eq!(told_with(people, exclude), expected, "over {exclude}");
        let series = json!({"by_field_name": "user"});
        let expected = usize::from(exclude == "none" || exclude == "over");
        assert_eq!(told_with(series, exclude), expected, "by {exclude}");
    }
}

#[test]
fn rules_leave_members_out() {
    let detector = |function: &str| {
        json!({
            "function": function, "by_field_name": "page", "over_field_name": "user",
            "custom_rules": [{
                "actions": ["skip_result"],
                "conditions": [{"applies_to": "time", "operator": "gte", "value": START + 180 * HOUR}]
            }]
        })
    };
    for function in ["rare", "freq_rare", "high_count"] {
        let config = json!({"bucket_span": "1h", "detectors": [detector(function)]});
        let (results, _) = run(config, &town(30));
        assert_eq!(told(&results, 50.0), Vec::<Value>::new(), "{function}");
    }
}

#[test]
fn a_log_in_at_night_and_one_from_afar_are_told() {
    let mut noise = Noise(21);
    let mut rows = Vec::new();
    for day in 0..40i64 {
        let mut times: Vec<i64> = (0..8)
            .map(|_| 10 * HOUR + (HOUR as f64 * noise.normal()) as i64)
            .collect();
        let night = day == 38;
        if night {
            // One event, in three buckets.
            times.extend([0, 1_200, 2_400].map(|late| 2 * HOUR + late));
        }
        times.sort_unstable();
        for time in times {
            let afar = day == 37 && time > 10 * HOUR && time < 11 * HOUR;
            let (lat, lon) = if afar { (-33.9, 151.2) } else { (52.5, 13.4) };
            let (lat, lon) = (lat + 0.1 * noise.normal(), lon + 0.1 * noise.normal());
            rows.push(Row {
                time: START / 86_400 * 86_400 + day * 86_400 + time,
                cells: vec![
                    ("place", format!("{lat:.4},{lon:.4}")),
                    ("user", "bob".to_owned()),
                ],
            });
        }
    }
    for split in ["by_field_name", "over_field_name", "partition_field_name"] {
        let mut config = json!({"bucket_span": "15m", "detectors": [
            {"function": "time_of_day"}, {"function": "lat_long", "field_name": "place"}
        ]});
        for detector in 0..2 {
            config["detectors"][detector][split] = "user".into();
        }
        let (results, _) = run(config, &rows);
        let told = told(&results, 50.0);
        let of = |index: u64| {
            let records = told.iter().filter(move |r| r["detector_index"] == index);
            records.collect::<Vec<_>>()
        };
        let found = |record: &Value| match split {
            "over_field_name" => record["causes"][0].clone(),
            _ => record.clone(),
        };
        let [times, places] = [of(0), of(1)];
        assert_eq!(times.len(), 1, "{split} {told:#?}");
        assert_eq!(times[0]["function_description"], "time");
        assert_eq!(found(times[0])["actual"], json!([7_200.0]));
        let typical = found(times[0])["typical"][0].as_f64().expect("a time");
        assert!((8.0..12.0).contains(&(typical / 3_600.0)), "{typical}");
        assert_eq!(places.len(), 1, "{split} {told:#?}");
        let place = found(places[0]);
        assert!((place["actual"][1].as_f64().expect("a longitude") - 151.2).abs() < 1.0);
        assert!((place["typical"][0].as_f64().expect("a latitude") - 52.5).abs() < 0.5);
        let geo = place["geo_results"]["typical_point"].as_str();
        assert!(geo.is_some_and(|geo| geo.starts_with("52.")), "{geo:?}");
    }
}

#[test]
fn a_log_in_on_a_sunday_is_told_by_its_time_of_the_week() {
    const WEEK: i64 = 7 * 24 * HOUR;
    // The epoch was a Thursday: this is a Monday.
    let monday = START / WEEK * WEEK + 4 * 24 * HOUR;
    let sunday = monday + 5 * WEEK - 10 * HOUR;
    let mut noise = Noise(4);
    let office = (0..5 * 7 * 24).filter(|hour| hour / 24 % 7 < 5 && (8..17).contains(&(hour % 24)));
    let times = office.map(|hour| monday + hour * HOUR + (3_600.0 * noise.uniform()) as i64);
    let row = |time| Row {
        time,
        cells: Vec::new(),
    };
    let rows: Vec<Row<'_>> = times.chain([sunday]).map(row).collect();
    let config = json!({"bucket_span": "1h", "detectors": [{"function": "time_of_week"}]});
    let (results, _) = run(config, &rows);
    let told = told(&results, 50.0);
    assert_eq!(told.len(), 1, "{told:#?}");
    // Seconds of whole weeks since the epoch.
    assert_eq!(told[0]["actual"], json!([(sunday % WEEK) as f64]));
    let typical = told[0]["typical"][0].as_f64().expect("a time") as i64;
    let since_monday = (typical - 4 * 24 * HOUR).rem_euclid(WEEK);
    assert!(
        since_monday / HOUR % 24 >= 8 && since_monday < 5 * 24 * HOUR,
        "{typical}"
    );
}
