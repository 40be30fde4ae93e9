//! What is to be asked of the server for each thing that the source defines, by what is there already.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::definitions::{
    Calendar, Definitions, datafeed_request, differences, event_request, id_of, in_the_way,
    job_request,
};
use super::source::Source;

/// One thing that the source defines.
pub struct Step {
    pub what: &'static str,
    pub id: String,
    /// None where it is there already.
    pub requests: Vec<Request>,
    /// What can't be as it is at the source.
    pub why: Vec<String>,
}

pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub body: Value,
}

impl Request {
    fn put(path: String, body: Value) -> Vec<Self> {
        let method = "PUT";
        vec![Self { method, path, body }]
    }
}

impl Step {
    fn new(what: &'static str, id: &str) -> Self {
        Self {
            what,
            id: id.to_owned(),
            requests: Vec::new(),
            why: Vec::new(),
        }
    }
}

/// What is to be done for `wanted`, in an order in which nothing is named before it is there.
pub fn steps(wanted: &Definitions, target: &Cluster) -> anyhow::Result<Vec<Step>> {
    let there = target.definitions()?;
    let mut steps: Vec<Step> = Vec::new();
    for filter in &wanted.filters {
        steps.push(filter_step(
            filter,
            find(&there.filters, filter, "filter_id"),
        ));
    }
    for job in &wanted.jobs {
        steps.push(job_step(job, find(&there.jobs, job, "job_id")));
    }
    for calendar in &wanted.calendars {
        let id = id_of(&calendar.calendar, "calendar_id");
        let same = |other: &&Calendar| id_of(&other.calendar, "calendar_id") == id;
        steps.push(calendar_step(calendar, there.calendars.iter().find(same)));
    }
    for datafeed in &wanted.datafeeds {
        let there = find(&there.datafeeds, datafeed, "datafeed_id");
        steps.push(datafeed_step(datafeed, there));
    }
    Ok(steps)
}

fn find<'a>(there: &'a [Value], wanted: &Value, field: &str) -> Option<&'a Value> {
    there.iter().find(|one| one[field] == wanted[field])
}

/// What is there is the operator's: it is kept, and the differences are told.
fn kept(differences: Vec<String>) -> Vec<String> {
    let kept = |difference| format!("there is another, which was kept: {difference}");
    differences.into_iter().map(kept).collect()
}

fn job_step(job: &Value, there: Option<&Value>) -> Step {
    let id = id_of(job, "job_id");
    let mut step = Step::new("job", id);
    let request = job_request(job);
    match (in_the_way(job), there) {
        (Some(why), _) => step.why.push(why),
        (None, Some(there)) => step.why = kept(differences(&request, there)),
        (None, None) => {
            step.requests = Request::put(format!("/_ml/anomaly_detectors/{id}"), request);
        }
    }
    step
}

/// Whether results of the one could be the other's: it looks for the same, in buckets of the same length.
pub fn same_analysis(one: &Value, other: &Value) -> bool {
    let essence = |job: &Value| -> Vec<Value> {
        let analysis = &job["analysis_config"];
        let detectors = analysis["detectors"].as_array();
        let mut essence = vec![analysis["bucket_span"].clone()];
        for detector in detectors.into_iter().flatten() {
            for field in [
                "function",
                "field_name",
                "by_field_name",
                "over_field_name",
                "partition_field_name",
            ] {
                essence.push(detector[field].clone());
            }
        }
        essence
    };
    essence(one) == essence(other)
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn filter_step(filter: &Value, there: Option<&Value>) -> Step {
    let id = id_of(filter, "filter_id");
    let mut step = Step::new("filter", id);
    let Some(there) = there else {
        let mut request = json!({"items": filter["items"]});
        if !filter["description"].is_null() {
            request["description"] = filter["description"].clone();
        }
        step.requests = Request::put(format!("/_ml/filters/{id}"), request);
        return step;
    };
    let mut differ = Vec::new();
    if texts(&filter["items"]) != texts(&there["items"]) {
        let count = |filter: &Value| texts(&filter["items"]).len();
        differ.push(format!(
            "its items are others ({} here, {} at the source)",
            count(there),
            count(filter)
        ));
    }
    let description = json!({"description": filter["description"]});
    differ.extend(differences(&description, there));
    step.why = kept(differ);
    step
}

fn calendar_step(wanted: &Calendar, there: Option<&Calendar>) -> Step {
    let calendar = &wanted.calendar;
    let id = id_of(calendar, "calendar_id");
    let mut step = Step::new("calendar", id);
    let path = format!("/_ml/calendars/{id}");
    let mut present: Vec<Value> = Vec::new();
    match there {
        None => {
            let mut request = json!({"job_ids": calendar["job_ids"]});
            if !calendar["description"].is_null() {
                request["description"] = calendar["description"].clone();
            }
            step.requests = Request::put(path.clone(), request);
        }
        Some(there) => {
            let mut differ = Vec::new();
            let (here, at_source) = (&there.calendar["job_ids"], &calendar["job_ids"]);
            if texts(here) != texts(at_source) {
                differ.push(format!("job_ids: {here} here, {at_source} at the source"));
            }
            let description = json!({"description": calendar["description"]});
            differ.extend(differences(&description, &there.calendar));
            step.why = kept(differ);
            present = there.events.iter().map(event_request).collect();
        }
    }
    // Adding an event again would double it.
    let mut missing = Vec::new();
    for event in wanted.events.iter().map(event_request) {
        match present.iter().position(|other| *other == event) {
            Some(at) => {
                present.swap_remove(at);
            }
            None => missing.push(event),
        }
    }
    for events in missing.chunks(1_000) {
        step.requests.push(Request {
            method: "POST",
            path: format!("{path}/events"),
            body: json!({"events": events}),
        });
    }
    step
}

fn datafeed_step(datafeed: &Value, there: Option<&Value>) -> Step {
    let id = id_of(datafeed, "datafeed_id");
    let mut step = Step::new("datafeed", id);
    let request = datafeed_request(datafeed);
    match there {
        Some(there) => step.why = kept(differences(&request, there)),
        None => step.requests = Request::put(format!("/_ml/datafeeds/{id}"), request),
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(description: &str) -> Value {
        json!({"description": description, "start_time": 1, "end_time": 2})
    }

    #[test]
    fn events_are_added_that_are_missing() {
        let calendar = json!({"calendar_id": "c", "job_ids": ["a", "b"]});
        let wanted = Calendar {
            calendar: calendar.clone(),
            events: vec![event("one"), event("two"), event("two")],
        };
        let step = calendar_step(&wanted, None);
        assert_eq!(step.requests.len(), 2);
        let mut there = event("two");
        there["event_id"] = "x".into();
        there["calendar_id"] = "c".into();
        there["skip_result"] = true.into();
        there["skip_model_update"] = true.into();
        let there = Calendar {
            calendar: json!({"calendar_id": "c", "job_ids": ["b", "a"]}),
            events: vec![there],
        };
        let step = calendar_step(&wanted, Some(&there));
        assert_eq!(step.why, Vec::<String>::new());
        assert_eq!(step.requests.len(), 1);
        let events = step.requests[0].body["events"].as_array().expect("events");
        let added: Vec<&str> = events
            .iter()
            .map(|event| id_of(event, "description"))
            .collect();
        assert_eq!(added, ["one", "two"]);
    }

    #[test]
    fn what_is_there_is_kept() {
        let job = json!({"job_id": "j", "create_time": 5, "analysis_config": {"bucket_span": "5m",
            "detectors": [{"function": "count"}]}});
        let mut there = job.clone();
        there["create_time"] = 6.into();
        let step = job_step(&job, Some(&there));
        assert!(step.requests.is_empty() && step.why.is_empty());
        assert!(same_analysis(&job, &there));
        there["analysis_config"]["bucket_span"] = "10m".into();
        let step = job_step(&job, Some(&there));
        assert!(step.requests.is_empty());
        assert_eq!(
            step.why,
            [
                r#"there is another, which was kept: analysis_config.bucket_span: "10m" here, "5m" at the source"#
            ]
        );
        assert!(!same_analysis(&job, &there));
    }
}
