//! What becomes of detectors of OpenSearch's dialects, of their jobs and of what they found, as they are changed.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::opensearch::{
    DISTRO, GUARD, MINUTE, PLUGINS, START, bulk, create, definition, id, mapped, up_to_now, with,
};
use support::{Client, Server, wait_until};

/// Starts a detector, and waits until it judges and has told of all past minutes: all but that of the newest order, which
/// is final when its time has passed.
fn run(client: &Client, path: &str) {
    let newest = json!({"size": 1, "sort": [{"at": "desc"}]});
    let newest = client.ok("POST", "/shops-1/_search", &newest);
    let newest = newest["hits"]["hits"][0]["_source"]["at"].as_i64();
    let newest = newest.expect("a time");
    client.ok("POST", &format!("{path}/_start"), &Value::Null);
    wait_until("it judges", || {
        let profile = client.ok("GET", &format!("{path}/_profile"), &Value::Null);
        (profile["state"] == "RUNNING").then_some(())
    });
    wait_until("the past is read", || {
        let found = results(client);
        (found.last()?["data_end_time"].as_i64() > Some(newest - MINUTE)).then_some(())
    });
    client.ok("POST", &format!("{path}/_stop"), &Value::Null);
}

/// All results, by time.
fn results(client: &Client) -> Vec<Value> {
    let all = json!({"size": 1000, "sort": [{"data_start_time": "asc"}]});
    let found = client.ok("POST", &format!("{PLUGINS}/results/_search"), &all);
    let hits = found["hits"]["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["_source"].clone()).collect()
}

fn times(results: &[Value]) -> Vec<i64> {
    let times = results.iter().map(|result| &result["data_start_time"]);
    times.map(|time| time.as_i64().expect("a time")).collect()
}

fn jobs(client: &Client) -> Vec<Value> {
    let all = client.ok("GET", "/_ml/anomaly_detectors", &Value::Null);
    all["jobs"].as_array().expect("jobs").clone()
}

fn total(client: &Client, path: &str) -> Value {
    client.ok("GET", path, &Value::Null)["hits"]["total"]["value"].clone()
}

#[test]
fn what_was_found_stays_when_something_else_is_analysed() {
    let mut server = up_to_now(120, Some(110));
    let mut body = with(definition("orders"), "history", json!(100));
    let detector = create(&server, PLUGINS, &body);
    let path = format!("{PLUGINS}/{}", id(&detector));
    run(&server, &path);
    let before = results(&server);
    let grade = |result: &&Value| result["anomaly_grade"].as_f64() > Some(0.0);
    let anomalies = before.iter().filter(grade).count();
    assert!(anomalies > 0, "{before:?}");
    let set = json!({"results_retention_days": 90, "groups": ["shops"]});
    let job = format!("/_ml/anomaly_detectors/{}", id(&detector));
    server.ok("POST", &format!("{job}/_update"), &set);

    let orders = json!({
        "feature_name": "orders",
        "aggregation_query": {"order_count": {"value_count": {"field": "amount"}}}
    });
    body["feature_attributes"] = json!([body["feature_attributes"][0], orders]);
    let changed = server.ok("PUT", &path, &body);
    assert_eq!(
        (&changed["_id"], &changed["_version"]),
        (&detector["_id"], &json!(2))
    );
    // One job goes on, with what was set of the other, which is kept for its results alone.
    let new = format!("{}.2", id(&detector));
    let [old, own] = jobs(&server).try_into().expect("two jobs");
    assert_eq!(old["custom_settings"]["replaced_by"], new.as_str());
    assert_eq!(old["datafeed_config"], Value::Null);
    assert_eq!(own["job_id"], new.as_str());
    assert_eq!(own["datafeed_config"]["job_id"], new.as_str());
    assert_eq!(
        (&own["results_retention_days"], &own["groups"]),
        (&json!(90), &json!(["shops"]))
    );
    let snapshots = server.ok("GET", &format!("{job}/model_snapshots"), &Value::Null);
    assert_eq!(snapshots["count"], 0);
    assert_eq!(total(&server, &format!("{PLUGINS}/_search")), 1);
    let count = server.ok("GET", &format!("{PLUGINS}/count"), &Value::Null);
    assert_eq!(count["count"], 1);
    assert_eq!(results(&server), before);
    assert_eq!(
        total(&server, "/.opendistro-anomaly-results*/_search"),
        before.len()
    );

    // Each interval is told once: by the job that came to it first.
    run(&server, &path);
    let after = results(&server);
    assert_eq!(after[..before.len()], before);
    let all = times(&after);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    let both: Vec<Value> = jobs(&server);
    assert_eq!(both.len(), 2);

    // Names, texts and rules are no other analysis.
    body["feature_attributes"][0]["feature_name"] = "income".into();
    body["description"] = "renamed".into();
    body["rules"] = json!([{"action": "IGNORE_ANOMALY", "conditions": [{
        "feature_name": "income", "threshold_type": "ACTUAL_OVER_EXPECTED_MARGIN",
        "operator": "LTE", "value": 7
    }]}]);
    assert_eq!(server.ok("PUT", &path, &body)["_version"], 3);
    let [_, own] = jobs(&server).try_into().expect("two jobs");
    assert_eq!(own["job_id"], new.as_str());
    assert_eq!(own["description"], "renamed");
    assert_eq!(
        own["analysis_config"]["detectors"][0]["detector_description"],
        "income"
    );
    assert_eq!(
        own["custom_settings"]["random_cut_forest"]["ignore_near_expected"][0]["above"],
        7.0
    );
    // Another number under the same name is.
    body["feature_attributes"][0]["aggregation_query"] =
        json!({"revenue_sum": {"max": {"field": "amount"}}});
    assert_eq!(server.ok("PUT", &path, &body)["_version"], 4);
    assert_eq!(jobs(&server).len(), 3);
    let told = times(&results(&server));
    server.kill_and_restart();
    assert_eq!(times(&results(&server)), told);

    // Only so many are kept.
    for shingle in 9..20 {
        body["shingle_size"] = shingle.into();
        server.ok("PUT", &path, &body);
    }
    assert_eq!(jobs(&server).len(), 11);
    server.ok("DELETE", &path, &Value::Null);
    assert!(jobs(&server).is_empty());
    assert!(results(&server).is_empty());
}

#[test]
fn a_job_whose_place_another_took_is_aged_by_that_one() {
    let server = Server::start(&[]);
    let job = |settings: Value, days: Value| {
        json!({
            "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
            "data_description": {"time_field": "time", "time_format": "epoch"},
            "custom_settings": settings, "results_retention_days": days
        })
    };
    let start = START / 1_000;
    for (name, settings, days, from) in [
        ("old", json!({"replaced_by": "new"}), json!(1_000), 0),
        ("new", json!({}), json!(2), 10 * 24),
    ] {
        server.create_open(name, &job(settings, days));
        let hours = (from..from + 48).map(|hour| json!({"time": start + hour * 3_600}));
        let lines: String = hours.map(|line| format!("{line}\n")).collect();
        let reply = server.send_data(name, lines.as_bytes());
        assert_eq!(reply.status, 202, "{}", reply.text);
        server.close(name);
    }
    let buckets = |name: &str| {
        let path = format!("/_ml/anomaly_detectors/{name}/results/buckets");
        server.ok("GET", &path, &Value::Null)["count"].clone()
    };
    let before = [buckets("old"), buckets("new")];
    assert!(
        before.iter().all(|count| count.as_i64() > Some(40)),
        "{before:?}"
    );
    server.ok("DELETE", "/_ml/_delete_expired_data", &Value::Null);
    assert_eq!(
        [buckets("old"), buckets("new")],
        [json!(0), before[1].clone()]
    );
}

#[test]
fn forests_judge_when_those_of_their_dialect_do() {
    let server = up_to_now(40, None);
    for (base, learnt) in [(PLUGINS, 32), (DISTRO, 128), (GUARD, 128)] {
        let name = format!("of-{learnt}-{}", base.len());
        let detector = create(&server, base, &definition(&name));
        let path = format!("{PLUGINS}/{}", id(&detector));
        let after = || {
            let settings = jobs(&server);
            let own = settings.iter().find(|job| job["job_id"] == detector["_id"]);
            own.expect("its job")["custom_settings"]["random_cut_forest"]["output_after"].clone()
        };
        assert_eq!(after(), learnt);
        let body = with(
            definition(&name),
            "description",
            json!("of another dialect"),
        );
        server.ok("PUT", &path, &body);
        assert_eq!(after(), learnt);
        server.ok("POST", &format!("{path}/_start"), &Value::Null);
        let progress = wait_until("it has learnt something", || {
            let profile = server.ok("GET", &format!("{path}/_profile?_all=true"), &Value::Null);
            let progress = profile["init_progress"].clone();
            let is_done = progress["percentage"] == "100%";
            let is_on_its_way = progress["needed_shingles"].as_i64() < Some(learnt - 20);
            (is_done || is_on_its_way).then_some(progress)
        });
        if learnt == 32 {
            wait_until("it judges", || {
                let profile = server.ok("GET", &format!("{path}/_profile"), &Value::Null);
                (profile["state"] == "RUNNING").then_some(())
            });
        } else {
            let left = progress["needed_shingles"].as_i64().expect("a number");
            assert!(left > 60, "{progress}");
            let percentage = format!("{}%", 100 * (128 - left) / 128);
            assert_eq!(progress["percentage"], percentage.as_str());
            assert_eq!(progress["estimated_minutes_left"], left);
            let profile = server.ok("GET", &format!("{path}/_profile"), &Value::Null);
            assert_eq!(profile["state"], "INIT");
        }
        server.ok("POST", &format!("{path}/_stop"), &Value::Null);
    }
}

#[test]
fn a_preview_of_many_is_one_of_some() {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    let mut lines = Vec::new();
    for minute in 0..400 {
        for shop in 0..7 {
            // The first two are seldom there.
            if shop < 2 && minute % 2 == 1 {
                continue;
            }
            let amount = match (shop, minute) {
                (4, 350) => 5_000,
                _ => 50 + minute % 7,
            };
            lines.push(json!({"index": {"_index": "shops-1"}}));
            lines.push(json!({
                "at": START + minute * MINUTE, "amount": amount, "shop": format!("s{shop}"), "city": "here"
            }));
        }
    }
    bulk(&server, &lines);
    for categories in [json!(["shop"]), json!(["city", "shop"])] {
        let detector = with(definition("shops"), "category_field", categories);
        let asked = json!({
            "period_start": START, "period_end": START + 400 * MINUTE, "detector": detector
        });
        let told = server.ok("POST", &format!("{PLUGINS}/_preview"), &asked);
        let all = told["anomaly_result"].as_array().expect("results");
        assert!((900..=1_000).contains(&all.len()), "{}", all.len());
        let entity = |result: &Value| {
            let fields = result["entity"].as_array().expect("an entity");
            let shop = fields.iter().find(|field| field["name"] == "shop");
            shop.expect("a shop")["value"].clone().to_string()
        };
        let shops: BTreeSet<String> = all.iter().map(entity).collect();
        let most: BTreeSet<String> = (2..7).map(|shop| format!("\"s{shop}\"")).collect();
        assert_eq!(shops, most);
        let worst = all.iter().max_by(|a, b| {
            let grade = |result: &Value| result["anomaly_grade"].as_f64().expect("a grade");
            grade(a).total_cmp(&grade(b))
        });
        let worst = worst.expect("one");
        assert_eq!(worst["data_start_time"], START + 350 * MINUTE);
        assert_eq!(entity(worst), "\"s4\"");
        assert!(jobs(&server).is_empty());
    }
}

#[test]
fn what_detectors_are_made_of_is_in_indices() {
    let server = up_to_now(60, None);
    let by_shop = with(definition("shops"), "category_field", json!(["shop"]));
    let detector = create(&server, PLUGINS, &by_shop);
    let path = format!("{PLUGINS}/{}", id(&detector));
    let count = |index: &str, query: Value| {
        let path = format!("/{index}/_count");
        server.ok("POST", &path, &json!({"query": query}))["count"].clone()
    };
    let all = json!({"match_all": {}});
    let (of_jobs, of_models) = (
        ".opendistro-anomaly-detector-jobs",
        ".opendistro-anomaly-checkpoints",
    );
    assert_eq!(count(".opendistro-anomaly-detectors", all.clone()), 1);
    assert_eq!(count(of_jobs, all.clone()), 0);
    assert_eq!(count(of_models, all.clone()), 0);
    run(&server, &path);
    assert_eq!(count(of_jobs, json!({"term": {"enabled": false}})), 1);
    assert_eq!(count(of_jobs, json!({"term": {"enabled": true}})), 0);
    let job = server.ok("GET", &format!("/{of_jobs}/_search"), &Value::Null);
    let got = server.ok("GET", &format!("{path}?job=true"), &Value::Null);
    assert_eq!(job["hits"]["hits"][0]["_id"], detector["_id"]);
    assert_eq!(
        job["hits"]["hits"][0]["_source"],
        got["anomaly_detector_job"]
    );
    let of_north = json!({"query": {"nested": {
        "path": "entity", "query": {"term": {"entity.value": "north"}}
    }}});
    for index in [of_models, ".searchguard-ad-checkpoints"] {
        assert_eq!(count(index, all.clone()), 2);
        let found = server.ok("POST", &format!("/{index}/_search"), &of_north);
        let hit = &found["hits"]["hits"][0];
        let told = &results(&server)[0];
        let source = &hit["_source"];
        assert_eq!(source["detectorId"], detector["_id"]);
        assert!(source["timestamp"].as_i64() > told["data_start_time"].as_i64());
        assert_eq!(
            source["entity"],
            json!([{"name": "shop", "value": "north"}])
        );
        let of_model = json!({"query": {"term": {"model_id": hit["_id"]}}});
        let found = server.ok("POST", &format!("{PLUGINS}/results/_search"), &of_model);
        assert_eq!(
            found["hits"]["hits"][0]["_source"]["entity"],
            source["entity"]
        );
    }
    let both = format!("{of_jobs},.opendistro-anomaly-detectors");
    assert_eq!(count(&both, all.clone()), 2);
    assert_eq!(count(".opendistro-anomaly-detector*", all), 2);
}
