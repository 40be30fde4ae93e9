//! What an operator has written: jobs, datafeeds, filters, calendars with their events. As APIs give it, and what of it
//! an API takes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidewatch_jobs::matches;

use super::report::Definition;

/// Fields that a server adds to a job; no request may have them.
const OF_THE_SERVER: [&str; 11] = [
    "job_type",
    "job_version",
    "create_time",
    "finished_time",
    "last_data_time",
    "established_model_memory",
    "model_snapshot_id",
    "model_snapshot_min_version",
    "datafeed_config",
    "deleting",
    "blocked",
];

#[derive(Default)]
pub struct Definitions {
    pub jobs: Vec<Value>,
    pub datafeeds: Vec<Value>,
    pub filters: Vec<Value>,
    pub calendars: Vec<Calendar>,
    /// Jobs of which there are results alone.
    pub loose: Vec<String>,
    /// What there is of them, or should be, and can't be read.
    pub missing: Vec<Definition>,
}

pub struct Calendar {
    pub calendar: Value,
    pub events: Vec<Value>,
}

impl Definitions {
    /// Takes the datafeeds that stand in jobs alone, as they do where the jobs' configurations are all there is.
    pub fn with_datafeeds_of_jobs(mut self) -> Self {
        for job in &self.jobs {
            let datafeed = &job["datafeed_config"];
            let id = &datafeed["datafeed_id"];
            let same = |other: &Value| other["datafeed_id"] == *id;
            if id.is_string() && !self.datafeeds.iter().any(same) {
                self.datafeeds.push(datafeed.clone());
            }
        }
        self
    }

    /// Keeps what belongs to the jobs that `expression` means: ids, groups and wildcards in a comma list.
    pub fn select(&mut self, expression: &str) {
        let parts: Vec<&str> = expression.split(',').map(str::trim).collect();
        let all = |part: &&str| matches!(*part, "" | "*" | "_all");
        if parts.iter().any(all) {
            return;
        }
        let groups = |job: &Value| -> Vec<String> {
            let groups = job["groups"].as_array().into_iter().flatten();
            groups
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        self.jobs.retain(|job| {
            let id = id_of(job, "job_id");
            parts.iter().any(|part| {
                matches(part, id) || groups(job).iter().any(|group| matches(part, group))
            })
        });
        for part in parts.iter().filter(|part| !part.contains('*')) {
            let found = self.jobs.iter().any(|job| {
                id_of(job, "job_id") == *part || groups(job).iter().any(|group| group == part)
            });
            if !found && !self.loose.iter().any(|id| id == part) {
                let why = "there is no such job or group at the source";
                self.missing.push(Definition::missing("job", *part, why));
            }
        }
        self.loose
            .retain(|id| parts.iter().any(|part| matches(part, id)));
        let mut names: BTreeSet<String> = self.jobs.iter().flat_map(groups).collect();
        names.insert("_all".to_owned());
        names.extend(self.jobs.iter().map(|job| id_of(job, "job_id").to_owned()));
        let named = |name: &Value| name.as_str().is_some_and(|name| names.contains(name));
        self.datafeeds.retain(|datafeed| named(&datafeed["job_id"]));
        self.calendars.retain(|calendar| {
            let jobs = calendar.calendar["job_ids"].as_array();
            jobs.into_iter().flatten().any(named)
        });
        let filters: BTreeSet<&str> = self.jobs.iter().flat_map(filters_of).collect();
        self.filters
            .retain(|filter| filters.contains(id_of(filter, "filter_id")));
    }
}

/// The filters that a job's rules name.
fn filters_of(job: &Value) -> Vec<&str> {
    let detectors = job["analysis_config"]["detectors"].as_array();
    detectors
        .into_iter()
        .flatten()
        .filter_map(|detector| detector["custom_rules"].as_array())
        .flatten()
        .filter_map(|rule| rule["scope"].as_object())
        .flat_map(|scope| scope.values())
        .filter_map(|field| field["filter_id"].as_str())
        .collect()
}

pub fn id_of<'a>(definition: &'a Value, field: &str) -> &'a str {
    definition[field].as_str().unwrap_or_default()
}

/// Why a job can't be taken as it is, where its source is about to change it.
pub fn in_the_way(job: &Value) -> Option<String> {
    if job["deleting"] == true {
        return Some("it is being deleted at the source".to_owned());
    }
    let reason = job["blocked"]["reason"].as_str()?;
    (reason == "delete").then(|| "it is being deleted at the source".to_owned())
}

/// The job as a request to create it has it.
pub fn job_request(job: &Value) -> Value {
    without(job, &OF_THE_SERVER)
}

/// The datafeed as a request to create it has it. Its histograms say which kind of interval they have, as those of
/// before Elasticsearch 8 need not.
pub fn datafeed_request(datafeed: &Value) -> Value {
    let mut request = without(datafeed, &["authorization"]);
    for aggregations in ["aggregations", "aggs"] {
        tell_intervals(&mut request[aggregations]);
    }
    if let Value::Object(fields) = &mut request {
        fields.retain(|_, value| !value.is_null());
    }
    request
}

fn tell_intervals(aggregations: &mut Value) {
    const CALENDAR: [&str; 16] = [
        "second", "1s", "minute", "1m", "hour", "1h", "day", "1d", "week", "1w", "month", "1M",
        "quarter", "1q", "year", "1y",
    ];
    for aggregation in aggregations.as_object_mut().into_iter().flatten() {
        let Value::Object(said) = aggregation.1 else {
            continue;
        };
        if let Some(Value::Object(histogram)) = said.get_mut("date_histogram")
            && let Some(interval) = histogram.shift_remove("interval")
        {
            let text = match &interval {
                Value::String(text) => text.clone(),
                millis => format!("{millis}ms"),
            };
            let kind = match CALENDAR.contains(&text.as_str()) {
                true => "calendar_interval",
                false => "fixed_interval",
            };
            histogram.insert(kind.to_owned(), text.into());
        }
        for below in ["aggregations", "aggs"] {
            if let Some(below) = said.get_mut(below) {
                tell_intervals(below);
            }
        }
    }
}

/// The event as a request to add it has it. What says nothing of skipping skips both, as events did before they could
/// say it.
pub fn event_request(event: &Value) -> Value {
    let mut request = without(event, &["event_id", "calendar_id"]);
    for field in ["skip_result", "skip_model_update"] {
        if request[field].is_null() {
            request[field] = json!(true);
        }
    }
    request
}

fn without(definition: &Value, fields: &[&str]) -> Value {
    let mut definition = definition.clone();
    if let Some(object) = definition.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
    definition
}

/// In what `there` is not what `asked` says, as `path: what is there, not what was asked`. What is there beside it
/// are defaults.
pub fn differences(asked: &Value, there: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", asked, there, &mut found);
    found
}

fn compare(path: &str, asked: &Value, there: &Value, found: &mut Vec<String>) {
    match (asked, there) {
        (Value::Object(asked), Value::Object(_)) => {
            for (name, asked) in asked {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                compare(&path, asked, &there[name], found);
            }
        }
        (Value::Array(asked), Value::Array(there)) if asked.len() == there.len() => {
            for (at, (asked, there)) in asked.iter().zip(there).enumerate() {
                compare(&format!("{path}[{at}]"), asked, there, found);
            }
        }
        // What is empty may be left out.
        (Value::Array(asked), Value::Null) if asked.is_empty() => {}
        (asked, there) if asked == there => {}
        (asked, there) => found.push(format!("{path}: {there} here, {asked} at the source")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_histograms_tell_their_kind_of_interval() {
        let datafeed = |interval: Value| {
            let below = json!({"at": {"max": {"field": "at"}}});
            json!({"datafeed_id": "d", "authorization": {"roles": []}, "aggs": {"all": {
                "filter": {}, "aggregations": {"b": {"date_histogram": {"field": "at", "interval": interval}, "aggs": below}}
            }}})
        };
        let told = |interval: Value| {
            let request = datafeed_request(&datafeed(interval));
            assert!(
                request.get("authorization").is_none() && request.get("aggregations").is_none()
            );
            request["aggs"]["all"]["aggregations"]["b"]["date_histogram"].clone()
        };
        assert_eq!(
            told(json!("1h")),
            json!({"field": "at", "calendar_interval": "1h"})
        );
        assert_eq!(
            told(json!("5m")),
            json!({"field": "at", "fixed_interval": "5m"})
        );
        assert_eq!(
            told(json!(300_000)),
            json!({"field": "at", "fixed_interval": "300000ms"})
        );
    }

    #[test]
    fn datafeeds_that_stand_in_jobs_are_taken_once() {
        let inside = json!({"datafeed_id": "d1", "job_id": "a"});
        let all = Definitions {
            jobs: vec![
                json!({"job_id": "a", "datafeed_config": inside}),
                json!({"job_id": "b", "datafeed_config": {"datafeed_id": "d2", "job_id": "b"}}),
                json!({"job_id": "c"}),
            ],
            datafeeds: vec![json!({"datafeed_id": "d2", "job_id": "b", "scroll_size": 1})],
            ..Definitions::default()
        };
        let datafeeds = all.with_datafeeds_of_jobs().datafeeds;
        assert_eq!(datafeeds.len(), 2);
        assert_eq!(datafeeds[1], inside);
    }

    #[test]
    fn a_selection_takes_along_what_its_jobs_need() {
        let mut all = Definitions {
            jobs: vec![
                json!({"job_id": "web-1", "groups": ["web"], "analysis_config": {"detectors": [
                    {"function": "mean", "custom_rules": [{"scope": {"host": {"filter_id": "safe"}}}]}]}}),
                json!({"job_id": "db-1"}),
            ],
            datafeeds: vec![
                json!({"datafeed_id": "d1", "job_id": "web-1"}),
                json!({"datafeed_id": "d2", "job_id": "db-1"}),
            ],
            filters: vec![json!({"filter_id": "safe"}), json!({"filter_id": "other"})],
            calendars: ["web", "db-1", "_all"]
                .into_iter()
                .map(|name| Calendar {
                    calendar: json!({"calendar_id": name, "job_ids": [name]}),
                    events: Vec::new(),
                })
                .collect(),
            ..Definitions::default()
        };
        all.select("we*,gone");
        assert_eq!(all.missing.len(), 1);
        assert_eq!(all.missing[0].id, "gone");
        assert_eq!(all.jobs.len(), 1);
        assert_eq!(
            all.datafeeds,
            [json!({"datafeed_id": "d1", "job_id": "web-1"})]
        );
        assert_eq!(all.filters, [json!({"filter_id": "safe"})]);
        let calendars: Vec<&str> = all
            .calendars
            .iter()
            .map(|calendar| id_of(&calendar.calendar, "calendar_id"))
            .collect();
        assert_eq!(calendars, ["web", "_all"]);
        all.select("_all");
        assert_eq!(all.jobs.len(), 1);
    }

    #[test]
    fn what_is_there_beside_is_no_difference() {
        let asked = json!({"a": 1, "b": {"c": [{"d": "x"}]}, "influencers": []});
        let there = json!({"a": 1, "b": {"c": [{"d": "x", "index": 0}], "e": 5}, "f": true});
        assert_eq!(differences(&asked, &there), Vec::<String>::new());
        let there = json!({"a": 2, "b": {"c": [{"d": "x"}, {"d": "y"}]}});
        assert_eq!(
            differences(&asked, &there),
            [
                "a: 2 here, 1 at the source",
                r#"b.c: [{"d":"x"},{"d":"y"}] here, [{"d":"x"}] at the source"#
            ]
        );
    }
}
