use std::collections::BTreeMap;

use serde_json::json;
use tidewatch_store::{ResultKind, ResultRow, ResultWrite, Store};

use super::*;
use crate::config::NewJob;
use crate::settings::Settings;

const HOUR: i64 = 3_600_000;
/// The first hour of 2021.
const START: i64 = 1_609_459_200_000;

/// A server whose job `job` has buckets of so many seconds, split by `field`.
async fn jobs(directory: &std::path::Path, span: i64, worse: &str) -> Jobs {
    let store = Store::open(directory).await.expect("the store opens");
    let jobs = Jobs::start(store, Settings::of_tests())
        .await
        .expect("jobs start");
    let body = json!({
        "analysis_config": {
            "bucket_span": format!("{span}s"),
            "detectors": [{"function": "mean", "field_name": "crashRate", "by_field_name": "field"}]
        },
        "data_description": {},
        "custom_settings": {"play": {
            "app": "com.x", "metric_set": "crashRateMetricSet", "metric": "crashRate", "worse": worse,
            "min_score": 25
        }}
    });
    let body = serde_json::from_value::<NewJob>(body).expect("readable");
    jobs.create("job", body).await.expect("created");
    jobs
}

/// A value of a series that was expected between 1 and 2; with a score it is a record, else of the plot.
fn result(seq: i32, time: i64, series: &str, value: f64, score: Option<f64>) -> ResultRow {
    let mut doc = json!({"detector_index": 0, "by_field_name": "field", "by_field_value": series});
    match score {
        Some(score) => {
            doc["record_score"] = score.into();
            doc["actual"] = json!([value]);
            doc["typical"] = json!([1.5]);
            doc["anomaly_score_explanation"] =
                json!({"lower_confidence_bound": 1.0, "upper_confidence_bound": 2.0});
        }
        None => {
            doc["actual"] = value.into();
            doc["model_lower"] = 1.0.into();
            doc["model_upper"] = 2.0.into();
        }
    }
    ResultRow {
        kind: match score {
            Some(_) => ResultKind::Record,
            None => ResultKind::ModelPlot,
        },
        timestamp: time,
        seq,
        score: score.unwrap_or_default(),
        is_interim: false,
        doc: doc.to_string(),
    }
}

async fn write(jobs: &Jobs, rows: Vec<ResultRow>) {
    let write = ResultWrite {
        rows,
        ..ResultWrite::default()
    };
    jobs.store()
        .write_results("job", write)
        .await
        .expect("written");
}

fn asked(start: Option<i64>, end: Option<i64>) -> Asked {
    Asked {
        start,
        end,
        most: 1_000,
        ..Asked::default()
    }
}

async fn list(jobs: &Jobs, asked: &Asked) -> Vec<Anomaly> {
    let listed = jobs.play_anomalies(asked).await.expect("listed");
    assert_eq!(listed.last, None);
    listed.anomalies
}

/// Series, first hour, end, worst value.
fn brief(anomaly: &Anomaly) -> (String, i64, i64, f64) {
    let hours = |time| (time - START) / HOUR;
    let series = anomaly.dimensions[0].1.clone();
    (
        series,
        hours(anomaly.start),
        hours(anomaly.end),
        anomaly.value,
    )
}

#[tokio::test]
async fn contiguous_points_are_one_anomaly_when_one_of_them_is_unusual_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs(directory.path(), 3_600, "up").await;
    let at = |hour: i64| START + hour * HOUR;
    let mut interim = result(1, at(30), "a", 9.0, Some(90.0));
    interim.is_interim = true;
    let rows = vec![
        // The plot tells what was out of bounds before and after the record.
        result(0, at(3), "a", 2.1, None),
        result(0, at(4), "a", 3.0, Some(90.0)),
        result(0, at(4), "a", 3.0, None),
        result(0, at(5), "a", 4.0, None),
        result(0, at(6), "a", 1.9, None),
        // Another series at the same time; what follows is a record of a low score.
        result(1, at(4), "b", 2.5, Some(25.0)),
        result(0, at(5), "b", 2.6, Some(1.0)),
        // Too low on its own; better than expected; not final.
        result(0, at(10), "a", 3.0, Some(24.9)),
        result(0, at(20), "a", 0.1, Some(90.0)),
        interim,
    ];
    write(&jobs, rows).await;
    let listed = list(&jobs, &asked(None, None)).await;
    let mut found: Vec<_> = listed.iter().map(brief).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        found,
        [("a".to_owned(), 3, 6, 4.0), ("b".to_owned(), 4, 6, 2.6)]
    );
    let bounds = Bounds {
        lower: 1.0,
        upper: 2.0,
    };
    assert!(listed.iter().all(|anomaly| anomaly.bounds == Some(bounds)));

    // It grows, and keeps its name.
    let id = |listed: &[Anomaly]| {
        let a = listed.iter().find(|anomaly| brief(anomaly).0 == "a");
        a.map(|anomaly| anomaly.id.clone()).expect("there")
    };
    let named = id(&listed);
    write(&jobs, vec![result(9, at(6), "a", 5.0, Some(50.0))]).await;
    let listed = list(&jobs, &asked(None, None)).await;
    assert_eq!(id(&listed), named);
    assert!(
        listed
            .iter()
            .any(|anomaly| brief(anomaly) == ("a".to_owned(), 3, 7, 5.0))
    );
}

#[tokio::test]
async fn buckets_of_minutes_are_hours_and_worse_may_be_down() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs(directory.path(), 900, "down").await;
    let quarter = |n: i64| START + n * HOUR / 4;
    let rows = vec![
        result(0, quarter(1), "a", 0.9, Some(80.0)),
        result(0, quarter(3), "a", 0.5, Some(30.0)),
        result(0, quarter(6), "a", 0.7, Some(30.0)),
        result(0, quarter(12), "a", 0.8, Some(30.0)),
        result(1, quarter(12), "b", 9.0, Some(99.0)),
    ];
    write(&jobs, rows).await;
    let found: Vec<_> = list(&jobs, &asked(None, None))
        .await
        .iter()
        .map(brief)
        .collect();
    assert_eq!(
        found,
        [("a".to_owned(), 0, 2, 0.5), ("a".to_owned(), 3, 4, 0.8)]
    );
}

#[tokio::test]
async fn pages_and_windows_give_what_there_is() {
    const HOURS: i64 = 300;
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs(directory.path(), 3_600, "up").await;
    let mut state: u64 = 7;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    // By series: whether an hour is out of bounds, and whether it is unusual enough. Runs of many lengths.
    let mut rows = Vec::new();
    let mut hours: BTreeMap<&str, Vec<(bool, bool)>> = BTreeMap::new();
    for (seq, series) in (0..).zip(["a", "b", "c"]) {
        let mut is_out = false;
        for hour in 0..HOURS {
            if random(6) == 0 {
                is_out = !is_out;
            }
            let is_anchor = is_out && random(5) == 0;
            let time = START + hour * HOUR;
            if is_anchor {
                rows.push(result(seq, time, series, 3.0, Some(60.0)));
            } else if is_out {
                rows.push(result(seq, time, series, 3.0, None));
            }
            hours.entry(series).or_default().push((is_out, is_anchor));
        }
    }
    write(&jobs, rows).await;
    let mut expected = Vec::new();
    for (series, hours) in hours {
        let mut from = 0;
        for run in hours.chunk_by(|a, b| a.0 == b.0) {
            let to = from + run.len() as i64;
            if run.iter().any(|(_, is_anchor)| *is_anchor) {
                expected.push((series.to_owned(), from, to));
            }
            from = to;
        }
    }
    expected.sort();
    let sorted = |anomalies: &[Anomaly]| {
        let mut brief: Vec<_> = anomalies
            .iter()
            .map(brief)
            .map(|(series, start, end, _)| (series, start, end))
            .collect();
        brief.sort();
        brief
    };
    let whole = list(&jobs, &asked(None, None)).await;
    assert!(expected.len() > 30, "{expected:?}");
    assert_eq!(sorted(&whole), expected);

    for (first, last) in [
        (0, 1),
        (10, 11),
        (40, 70),
        (120, 121),
        (121, 122),
        (0, HOURS),
        (250, 280),
    ] {
        let (start, end) = (START + first * HOUR, START + last * HOUR);
        let windows = [
            (Some(start), Some(end), first, last),
            (Some(start + 1), Some(start + 2), first, first + 1),
            (Some(start), None, first, HOURS),
            (None, Some(end), 0, last),
        ];
        for (start, end, first, last) in windows {
            let mut wanted = expected.clone();
            wanted.retain(|(_, from, to)| *from < last && *to > first);
            let mut asked = asked(start, end);
            let listed = list(&jobs, &asked).await;
            assert_eq!(sorted(&listed), wanted, "{first}..{last}");
            // Page by page it is the same, in the same order.
            asked.most = 2;
            let mut paged = Vec::new();
            loop {
                let page = jobs.play_anomalies(&asked).await.expect("listed");
                assert!(page.anomalies.len() <= 2);
                paged.extend(page.anomalies);
                asked.after = page.last;
                if asked.after.is_none() {
                    break;
                }
            }
            assert_eq!(paged, listed, "{first}..{last}");
        }
    }
}
