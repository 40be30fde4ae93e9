//! What datafeeds may say, and what is made of it.

use serde_json::{Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_model::units::TimeSpan;

use super::*;

fn read<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, JobError> {
    serde_json::from_value(body).map_err(|error| {
        let text = error.to_string();
        JobError::from_carried(&text).unwrap_or_else(|| JobError::illegal_argument(text))
    })
}

/// A datafeed with these fields beside those that it must have.
fn built(fields: Value) -> Result<DatafeedConfig, JobError> {
    let mut body = json!({"job_id": "j", "indices": ["web-*"]});
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
        body.extend(fields);
    }
    let mut new: NewDatafeed = read(body)?;
    new.datafeed_id = Some("d".to_owned());
    new.build()
}

fn datafeed(fields: Value) -> DatafeedConfig {
    built(fields).expect("taken")
}

fn refused(fields: Value) -> String {
    let mut error = built(fields).expect_err("refused");
    while let Some(cause) = error.cause {
        error = *cause;
    }
    error.reason
}

fn job(fields: Value) -> Job {
    let mut analysis = json!({"bucket_span": "1h", "detectors": [{"function": "count"}]});
    if let (Value::Object(analysis), Value::Object(fields)) = (&mut analysis, fields) {
        analysis.extend(fields);
    }
    let new: NewJob =
        read(json!({"analysis_config": analysis, "data_description": {"time_field": "at"}}))
            .expect("readable");
    new.build("j", 0, None).expect("a job")
}

/// Aggregations of one histogram, with the latest time and what else is asked of its buckets.
fn histogram(kind: &str, said: Value, more: Value) -> Value {
    let mut below = json!({"at": {"max": {"field": "at"}}});
    if let (Value::Object(below), Value::Object(more)) = (&mut below, more) {
        below.extend(more);
    }
    json!({"buckets": {kind: said, "aggregations": below}})
}

fn by_minutes(minutes: i64) -> Value {
    let said = json!({"field": "at", "fixed_interval": format!("{minutes}m")});
    histogram("date_histogram", said, json!({}))
}

#[test]
fn defaults_are_filled_in() {
    let config = datafeed(json!({}));
    let shown = config.shown(false);
    assert_eq!(
        shown,
        json!({
            "datafeed_id": "d", "job_id": "j",
            "query_delay": delay::of_job("j").to_string(),
            "chunking_config": {"mode": "auto"},
            "indices_options": {
                "expand_wildcards": ["open"], "ignore_unavailable": false, "allow_no_indices": true, "ignore_throttled": true
            },
            "query": {"match_all": {}},
            "indices": ["web-*"],
            "scroll_size": 1000,
            "delayed_data_check_config": {"enabled": true}
        })
    );
    assert_eq!(
        config.shown(true),
        json!({
            "datafeed_id": "d", "job_id": "j", "query": {"match_all": {}}, "indices": ["web-*"], "scroll_size": 1000,
            "delayed_data_check_config": {"enabled": true}
        })
    );
    // It is stored as it is shown.
    assert_eq!(read::<DatafeedConfig>(shown).expect("readable"), config);
}

#[test]
fn what_is_given_is_kept() {
    let given = json!({
        "datafeed_id": "d", "job_id": "j", "query_delay": "90s",
        "chunking_config": {"mode": "manual", "time_span": "30m"},
        "indices_options": {
            "expand_wildcards": ["closed", "open"], "ignore_unavailable": "true", "allowNoIndices": false,
            "ignore_throttled": false
        },
        "query": {"bool": {"filter": [{"term": {"host": "a"}}], "must_not": {"exists": {"field": "x"}}}},
        "frequency": "150s", "indices": ["prod:web-*"],
        "script_fields": {"b": {"script": "1"}, "a": {"script": {"source": "doc['x'].value", "lang": "painless"}}},
        "scroll_size": 50, "delayed_data_check_config": {"enabled": true, "check_window": "3h"},
        "max_empty_searches": 7, "runtime_mappings": {"r": {"type": "long", "script": "emit(1)"}}
    });
    let mut expected = given.clone();
    expected["indices_options"] = json!({
        "expand_wildcards": ["open", "closed"], "ignore_unavailable": true, "allow_no_indices": false,
        "ignore_throttled": false
    });
    let config = datafeed(given);
    assert_eq!(config.shown(false), expected);
    assert_eq!(config.shown(true), expected);
    let scripts = config.script_fields.expect("given");
    assert_eq!(scripts.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        datafeed(json!({"max_empty_searches": -1})).max_empty_searches,
        None
    );
    let aliases = json!({"indexes": ["one"], "indices": ["two"], "aggs": by_minutes(5)});
    let config = datafeed(aliases);
    assert_eq!(config.indices, ["two"]);
    assert!(config.aggregations.is_some());
}

#[test]
fn what_cannot_be_is_refused_in_elasticsearchs_words() {
    let script = json!({"x": {"script": "1"}});
    for (fields, reason) in [
        (
            json!({"indices": []}),
            "Invalid indices value '[]' in datafeed configuration",
        ),
        (
            json!({"indices": ["a", ""]}),
            "Invalid indices value '[a, ]' in datafeed configuration",
        ),
        (
            json!({"scroll_size": -1000}),
            "Invalid scroll_size value '-1,000' in datafeed configuration",
        ),
        (
            json!({"max_empty_searches": 0}),
            "Invalid max_empty_searches value '0' in datafeed configuration",
        ),
        (
            json!({"max_empty_searches": -2}),
            "Invalid max_empty_searches value '-2' in datafeed configuration",
        ),
        (
            json!({"frequency": "0s"}),
            "frequency cannot be less or equal than 0. Value = 0s",
        ),
        (
            json!({"frequency": "1500ms"}),
            "frequency has to be a multiple of 1s; actual was '1.5s'",
        ),
        (
            json!({"query_delay": "-1"}),
            "query_delay cannot be less than 0. Value = -1",
        ),
        (
            json!({"query_delay": "10micros"}),
            "query_delay has to be a multiple of 1ms; actual was '10micros'",
        ),
        (
            json!({"chunking_config": {"mode": "manual"}}),
            "when chunk mode is manual time_span is required",
        ),
        (
            json!({"chunking_config": {"mode": "manual", "time_span": "0s"}}),
            "chunk time_span has to be positive",
        ),
        (
            json!({"chunking_config": {"mode": "off", "time_span": "1s"}}),
            "chunk time_span may only be set when mode is manual",
        ),
        (
            json!({"chunking_config": {"mode": "some"}}),
            "No enum constant org.elasticsearch.xpack.core.ml.datafeed.ChunkingConfig.Mode.SOME",
        ),
        (
            json!({"delayed_data_check_config": {"enabled": true, "check_window": "25h"}}),
            "check_window [25h] must be less than or equal to [24h]",
        ),
        (
            json!({"delayed_data_check_config": {"enabled": true, "check_window": "0"}}),
            "check_window cannot be less or equal than 0. Value = 0s",
        ),
        (
            json!({"query": {"match_al": {}}}),
            "unknown query [match_al]",
        ),
        (
            json!({"query": {"promql": {"query": "up"}}}),
            "a [promql] query needs a source of Prometheus's in [indices]",
        ),
        (
            json!({"aggs": by_minutes(5), "aggregations": by_minutes(5)}),
            "Found two aggregation definitions: [aggs] and [aggregations]",
        ),
        (
            json!({"aggs": by_minutes(5), "script_fields": script}),
            "script_fields cannot be used in combination with aggregations",
        ),
        (
            json!({"runtime_mappings": {"r": {}}}),
            "No type specified for runtime field [r]",
        ),
        (
            json!({"runtime_mappings": {"r": "long"}}),
            "Expected map for runtime field [r] definition but got a String",
        ),
        (
            json!({"indices_options": {"expand_wildcards": "some"}}),
            "No valid expand wildcard value [some]",
        ),
    ] {
        assert_eq!(refused(fields.clone()), reason, "{fields}");
    }
    let error = built(json!({"query": {"match_al": {}}})).expect_err("refused");
    let causes = (
        error.kind,
        error.reason.as_str(),
        error.cause.as_ref().map(|cause| cause.kind),
    );
    let expected = (
        "status_exception",
        "Datafeed query is not parsable",
        Some("parsing_exception"),
    );
    assert_eq!(causes, expected);
    let mut new = NewDatafeed {
        indices: Some(vec!["i".to_owned()]),
        ..NewDatafeed::default()
    };
    assert_eq!(
        new.clone().build().map_err(|error| error.reason),
        Err("[job_id] must not be null.".to_owned())
    );
    new.job_id = Some("a".to_owned());
    assert_eq!(
        new.clone().for_job("b").map_err(|error| error.reason),
        Err("datafeed job_id [a] does not equal job id [b}".to_owned())
    );
    let config = new.for_job("a").expect("its job's");
    assert_eq!(
        (config.datafeed_id.as_str(), config.job_id.as_str()),
        ("a", "a")
    );
}

#[test]
fn other_sources_are_asked_what_the_embedded_index_is_not() {
    let elsewhere = json!({"query": {"geo_distance": {"distance": "1km"}}});
    assert_eq!(refused(elsewhere.clone()), "unknown query [geo_distance]");
    let mut remote = elsewhere;
    remote["indices"] = json!(["prod:web-*"]);
    datafeed(remote);
    let several = json!({"indices": ["prod:web-*", "web-*"]});
    assert_eq!(
        refused(several),
        "a datafeed reads from one source, but its indices [prod:web-*,web-*] are of several"
    );
    datafeed(json!({"indices": ["<web-{now/d{yyyy|+12:00}}>"]}));
    let promql = json!({"promql": {"query": "rate(x[1m])", "step": "30s"}});
    datafeed(json!({"indices": ["prom:*"], "query": promql}));
    assert_eq!(
        refused(json!({"indices": ["prom:*"], "query": {"promql": {"query": "x", "every": "1s"}}})),
        "[promql] query does not support [every]"
    );
}

#[test]
fn aggregations_hang_on_one_histogram() {
    let date = |said: Value| histogram("date_histogram", said, json!({}));
    let sources = |sources: Value| {
        let said = json!({"sources": sources, "size": 100});
        histogram("composite", said, json!({}))
    };
    let time = json!({"time": {"date_histogram": {"field": "at", "fixed_interval": "10m"}}});
    let mut siblings = by_minutes(5);
    siblings["other"] = json!({"avg": {"field": "x"}});
    for (aggregations, reason) in [
        (json!({}), "aggs cannot be empty"),
        (json!({"a": {}}), "Missing definition for aggregation [a]"),
        (
            json!({"a": {"avg_g": {}}}),
            "Unknown aggregation type [avg_g]",
        ),
        (
            json!({"a": {"avg": {}, "max": {}}}),
            "Found two aggregation type definitions in [a]: [avg] and [max]",
        ),
        (
            json!({"a": {"terms": {"field": "x"}}}),
            "A date_histogram (or histogram) aggregation is required",
        ),
        (
            siblings.clone(),
            "The date_histogram (or histogram) aggregation cannot have sibling aggregations",
        ),
        (
            histogram(
                "histogram",
                json!({"field": "at", "interval": 1000}),
                json!({"more": by_minutes(1)["buckets"]}),
            ),
            "Aggregations can only have 1 date_histogram or histogram aggregation",
        ),
        (
            json!({"b": {"date_histogram": {"field": "at", "fixed_interval": "5m"}}}),
            "Date histogram must have nested max aggregation for time_field [at]",
        ),
        (
            histogram(
                "date_histogram",
                json!({"field": "t", "fixed_interval": "5m"}),
                json!({}),
            ),
            "Date histogram must have nested max aggregation for time_field [t]",
        ),
        (
            date(json!({"field": "at", "fixed_interval": "0ms"})),
            "Aggregation interval must be greater than 0",
        ),
        (
            date(json!({"field": "at"})),
            "Must specify an interval for date_histogram",
        ),
        (
            date(json!({"field": "at", "calendar_interval": "1M"})),
            "When specifying a date_histogram calendar interval [1M], ML does not accept intervals longer than a week \
             because of variable lengths of periods greater than a week",
        ),
        (
            date(json!({"field": "at", "fixed_interval": "5m", "time_zone": "Europe/Berlin"})),
            "ML requires date_histogram.time_zone to be UTC",
        ),
        (
            sources(json!([time, time])),
            "Composite aggregation [buckets] must have exactly one date_histogram source",
        ),
        (
            sources(
                json!([{"time": {"date_histogram": {"field": "at", "fixed_interval": "1m", "order": "desc"}}}]),
            ),
            "Datafeed composite aggregation [buckets] date_histogram [time] must be sorted in ascending order",
        ),
        (
            sources(
                json!([{"t": {"date_histogram": {"field": "at", "fixed_interval": "1m", "missing_bucket": true}}}]),
            ),
            "Datafeed composite aggregation [buckets] date_histogram [t] source does not support missing_buckets",
        ),
        (
            histogram(
                "date_histogram",
                json!({"field": "at", "fixed_interval": "1m"}),
                json!({"pages": {"composite": {"sources": [{"h": {"terms": {"field": "host"}}}]}}}),
            ),
            "Composite aggregation [pages] must be the only composite agg and should be the only top level aggregation",
        ),
    ] {
        assert_eq!(
            refused(json!({"aggs": aggregations})),
            reason,
            "{aggregations}"
        );
    }
    // What works on other aggregations is none of the siblings.
    let pipelines =
        json!({"x": {"avg": {"field": "x"}}, "d": {"derivative": {"buckets_path": "x"}}});
    let said = json!({"field": "at", "calendar_interval": "1h", "time_zone": "+00:00"});
    let config = datafeed(json!({"aggs": {"all": {
        "filter": {"term": {"a": 1}}, "aggs": histogram("date_histogram", said, pipelines)
    }}}));
    let found = config.histogram().expect("there");
    assert_eq!(found.path, ["all", "buckets"]);
    assert_eq!(
        (found.kind, found.interval, found.field.as_str()),
        (HistogramKind::DateHistogram, 3_600_000, "at")
    );
    assert_eq!(
        config.chunking_config,
        ChunkingConfig::manual(TimeSpan::millis(3_600_000_000))
    );
    let config =
        datafeed(json!({"aggs": sources(json!([{"host": {"terms": {"field": "host"}}}, time]))}));
    let found = config.histogram().expect("there");
    assert_eq!(
        (found.kind, found.interval),
        (HistogramKind::Composite, 600_000)
    );
    assert_eq!(config.chunking_config, ChunkingConfig::off());
    assert!(config.shown(true)["chunking_config"].is_null());
}

#[test]
fn the_default_frequency_goes_by_the_bucket_span() {
    let plain = datafeed(json!({}));
    let span = |seconds| plain.frequency_for(TimeSpan::seconds(seconds)).as_secs();
    let spans = [1, 120, 121, 300, 1_200, 1_201, 43_200, 43_201];
    assert_eq!(spans.map(span), [60, 60, 60, 150, 600, 600, 600, 3_600]);
    let every = |minutes: i64, bucket: i64| {
        let config = datafeed(json!({"aggs": by_minutes(minutes)}));
        config.frequency_for(TimeSpan::seconds(bucket)).as_secs()
    };
    assert_eq!(
        [every(4, 1_200), every(15, 1_800), every(5, 3_600)],
        [480, 900, 600]
    );
    let given = datafeed(json!({"frequency": "7m"}));
    assert_eq!(given.frequency_for(TimeSpan::seconds(60)).as_secs(), 420);
    let window = |config: &DatafeedConfig, span| {
        config
            .delayed_data_check_config
            .window_for(TimeSpan::seconds(span))
    };
    assert_eq!([window(&plain, 60), window(&plain, 3_600)], [7_200, 28_800]);
}

#[test]
fn a_datafeed_fits_its_job() {
    let aggregated = |minutes| json!({"aggs": by_minutes(minutes)});
    let counted = json!({"summary_count_field_name": "doc_count"});
    let checked = |window: &str| json!({"delayed_data_check_config": {"enabled": true, "check_window": window}});
    for (fields, of_job, reason) in [
        (
            json!({}),
            json!({"latency": "1h"}),
            "A job configured with datafeed cannot support latency",
        ),
        (
            aggregated(5),
            json!({}),
            "A job configured with a datafeed with aggregations must set summary_count_field_name; use doc_count or \
             suitable alternative",
        ),
        (
            aggregated(120),
            counted.clone(),
            "Aggregation interval [7200000ms] must be less than or equal to the bucket_span [3600000ms]",
        ),
        (
            aggregated(7),
            counted.clone(),
            "Aggregation interval [420000ms] must be a divisor of the bucket_span [3600000ms]",
        ),
        (
            json!({"aggs": by_minutes(60), "frequency": "90m"}),
            counted.clone(),
            "Datafeed frequency [1.5h] must be a multiple of the aggregation interval [3600000ms]",
        ),
        (
            checked("59m"),
            json!({}),
            "delayed_data_check_config: check_window [59m] must be greater than the bucket_span [1h]",
        ),
        (
            checked("24h"),
            json!({"bucket_span": "8s"}),
            "delayed_data_check_config: check_window [1d] must be less than 10,000x the bucket_span [8s]",
        ),
        (
            json!({"runtime_mappings": {"at": {"type": "date"}}}),
            json!({}),
            "data_description.time_field [at] cannot be a runtime field",
        ),
    ] {
        let fit = datafeed(fields.clone()).fits(&job(of_job));
        assert_eq!(
            fit.map_err(|error| error.reason),
            Err(reason.to_owned()),
            "{fields}"
        );
    }
    let fine = json!({"aggs": by_minutes(20), "frequency": "40m"});
    assert_eq!(datafeed(fine).fits(&job(counted)), Ok(()));
}

#[test]
fn an_update_changes_what_it_names() {
    let old = datafeed(json!({"frequency": "1m", "max_empty_searches": 42, "query_delay": "30s"}));
    let apply = |update: Value| {
        let update: DatafeedUpdate = read(update)?;
        update.apply(&old)
    };
    assert_eq!(apply(json!({})), Ok(old.clone()));
    assert_eq!(
        apply(json!({"datafeed_id": "x", "job_id": "j"})),
        Ok(old.clone())
    );
    let new = apply(json!({
        "indexes": ["index-*"], "scroll_size": 10000, "frequency": "2m", "query_delay": "0s", "max_empty_searches": -1
    }));
    let expected = DatafeedConfig {
        indices: vec!["index-*".to_owned()],
        scroll_size: 10_000,
        frequency: Some(TimeSpan::minutes(2)),
        query_delay: TimeSpan::seconds(0),
        max_empty_searches: None,
        ..old.clone()
    };
    assert_eq!(new, Ok(expected));
    for (update, reason) in [
        (
            json!({"job_id": "k"}),
            "Datafeed's job_id cannot be changed.",
        ),
        (
            json!({"indices": []}),
            "Invalid indices value '[]' in datafeed configuration",
        ),
        (
            json!({"aggs": {"a": {"terms": {"field": "x"}}}}),
            "A date_histogram (or histogram) aggregation is required",
        ),
    ] {
        assert_eq!(
            apply(update).map_err(|error| error.reason),
            Err(reason.to_owned())
        );
    }
    assert!(apply(json!({"frequency": null})).is_err());
}
