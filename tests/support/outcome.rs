//! Everything that a job found, as text that two runs can be compared by.

use serde_json::{Value, json};

use super::Client;

/// The results and counters of a job, without the fields that tell of the clock.
pub struct Outcome {
    kinds: Vec<(&'static str, Vec<String>)>,
}

const DAY_MS: i64 = 86_400_000;

impl Outcome {
    /// Reads all results (a day at a time, so that no page can be too small) and the data counts.
    #[track_caller]
    pub fn of(client: &Client, job: &str) -> Self {
        let mut kinds = Vec::new();
        for kind in ["buckets", "records", "influencers"] {
            kinds.push((kind, results(client, job, kind)));
        }
        let counts = cleaned(client.stats(job)["data_counts"].clone());
        let counters = counts.as_object().expect("data_counts is an object").iter();
        kinds.push((
            "data_counts",
            counters
                .map(|(name, value)| format!("{name}: {value}"))
                .collect(),
        ));
        Self { kinds }
    }

    pub fn lines(&self, kind: &str) -> &[String] {
        self.kinds
            .iter()
            .find(|(name, _)| *name == kind)
            .map_or(&[], |(_, lines)| lines)
    }

    /// Fails, showing the first difference, unless both found the same.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, between: &str) {
        for ((kind, mine), (_, theirs)) in self.kinds.iter().zip(&other.kinds) {
            for (i, (a, b)) in mine.iter().zip(theirs).enumerate() {
                assert_eq!(a, b, "{kind} number {i} differs between {between}");
            }
            let (mine, theirs) = (mine.len(), theirs.len());
            assert_eq!(
                mine, theirs,
                "the number of {kind} differs between {between}"
            );
        }
    }

    /// Fails unless the run found something, so that a comparison of two runs means something.
    #[track_caller]
    pub fn assert_substantial(&self, buckets: usize) {
        // The bucket that the data ends in may still be open.
        let found = self.lines("buckets").len();
        assert!(
            found + 1 >= buckets && found <= buckets,
            "{found} buckets from data over {buckets}"
        );
        assert!(
            !self.lines("records").is_empty(),
            "no record in spite of planted anomalies"
        );
        assert!(
            !self.lines("influencers").is_empty(),
            "no influencer in spite of planted anomalies"
        );
    }
}

fn results(client: &Client, job: &str, kind: &str) -> Vec<String> {
    let path = Client::job_path(job, &format!("/results/{kind}"));
    let page = |range: Value| -> Value { client.ok("POST", &path, &range) };
    let total = page(json!({"page": {"from": 0, "size": 1}}))["count"]
        .as_u64()
        .expect("a count") as usize;
    let first = super::traffic::START as i64 * 1000 - DAY_MS;
    let mut lines = Vec::new();
    for day in 0..30 {
        let (start, end) = (first + day * DAY_MS, first + (day + 1) * DAY_MS);
        let answer = page(json!({
            "start": start.to_string(), "end": end.to_string(), "sort": "timestamp", "page": {"from": 0, "size": 10_000}
        }));
        let items = answer[kind].as_array().expect("a list of results");
        assert_eq!(
            answer["count"],
            items.len(),
            "{kind} of a day fit into a page"
        );
        let mut of_day: Vec<String> = items
            .iter()
            .map(|item| cleaned(item.clone()).to_string())
            .collect();
        // Which of several results of one bucket comes first is not part of the contract.
        of_day.sort_unstable();
        lines.extend(of_day);
    }
    assert_eq!(lines.len(), total, "{kind} by days are not all {kind}");
    lines
}

/// Without the fields that tell how long or when the server worked.
fn cleaned(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        for name in ["processing_time_ms", "last_data_time", "log_time"] {
            fields.remove(name);
        }
    }
    value
}
