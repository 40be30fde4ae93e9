//! `tidewatch demo`: three weeks of web traffic with known incidents, found through the HTTP API of a server that is
//! started for it.

use std::fmt::Write;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::random::Random;
use crate::serve::{Server, asked_to_end};
use crate::settings::Settings;

/// Monday, 2 November 2026, 00:00 UTC.
const START: i64 = 1_793_577_600;
const DAYS: i64 = 21;
const HOUR: i64 = 3_600;
const JOB: &str = "web-traffic";

const HOSTS: [(&str, &str); 4] = [
    ("web-1", "eu"),
    ("web-2", "eu"),
    ("web-3", "us"),
    ("web-4", "us"),
];
/// Path, share of the requests, usual latency in milliseconds, usual size in bytes.
const PATHS: [(&str, f64, f64, f64); 4] = [
    ("/", 0.45, 60.0, 18_000.0),
    ("/search", 0.25, 140.0, 9_000.0),
    ("/cart", 0.2, 90.0, 4_000.0),
    ("/checkout", 0.1, 220.0, 2_500.0),
];

struct Incident {
    name: &'static str,
    /// Hours from the start.
    from: i64,
    hours: i64,
    /// What is wrong with a request at that time: host, region, path -> factor of how many, latency, size.
    effect: fn(&str, &str, &str) -> (f64, f64, f64),
}

/// Nothing wrong.
const NONE: (f64, f64, f64) = (1.0, 1.0, 1.0);

const INCIDENTS: [Incident; 4] = [
    Incident {
        name: "checkout slow in the eu (a lock in the payment database)",
        from: 8 * 24 + 14,
        hours: 2,
        effect: |_, region, path| {
            if region == "eu" && path == "/checkout" {
                (1.0, 3.5, 1.0)
            } else {
                NONE
            }
        },
    },
    Incident {
        name: "web-3 drops out of the load balancer",
        from: 11 * 24 + 16,
        hours: 2,
        effect: |host, _, _| {
            if host == "web-3" {
                (0.0, 1.0, 1.0)
            } else {
                NONE
            }
        },
    },
    Incident {
        name: "a crawler hammers /search at night",
        from: 15 * 24 + 2,
        hours: 1,
        effect: |_, _, path| {
            if path == "/search" {
                (12.0, 1.2, 1.0)
            } else {
                NONE
            }
        },
    },
    Incident {
        name: "a release ships the start page uncompressed",
        from: 18 * 24 + 16,
        hours: 3,
        effect: |_, _, path| if path == "/" { (1.0, 1.1, 4.0) } else { NONE },
    },
];

#[derive(Args)]
pub struct Demo {
    /// Port to listen on; a free one when not given
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End after the report instead of leaving the server to look around
    #[arg(long)]
    exit: bool,
}

impl Demo {
    pub fn run(&self) -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let settings = Settings {
            listen: Some(format!("127.0.0.1:{}", self.port)),
            data_dir: Some(directory.path().to_owned()),
            ..Settings::default()
        };
        crate::log_to_stderr("warn")?;
        let runtime = crate::runtime()?;
        let server = runtime.block_on(Server::start(settings.in_force()?))?;
        let url = format!("http://{}", server.address);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = runtime.spawn(server.run(async {
            let _ = stopped.await;
        }));
        let outcome = report(&url);
        if outcome.is_ok() && !self.exit {
            println!("\nThe server runs on until Ctrl-C.");
            runtime.block_on(asked_to_end())?;
        }
        // The server may be gone already; then there is nobody to tell.
        let _ = stop.send(());
        runtime.block_on(serving)??;
        outcome
    }
}

fn report(url: &str) -> anyhow::Result<()> {
    println!("tidewatch listens on {url}");
    let data = traffic();
    let count = data.lines().count();
    println!(
        "Made {count} records of web traffic over {DAYS} days, with {} incidents.",
        INCIDENTS.len()
    );

    let job = format!("/_ml/anomaly_detectors/{JOB}");
    let api = Api { url };
    api.send("PUT", &job, &job_body().to_string())?;
    api.send("POST", &format!("{job}/_open"), "")?;
    let begun = std::time::Instant::now();
    let counts = api.send("POST", &format!("{job}/_data"), &data)?;
    let end = (START + DAYS * 24 * HOUR) * 1_000;
    api.send(
        "POST",
        &format!("{job}/_flush"),
        &json!({"advance_time": end.to_string()}).to_string(),
    )?;
    println!(
        "The job analysed {} records in {} buckets of 15 minutes in {:.1} s.\n",
        counts["processed_record_count"],
        api.stats(&job)?["data_counts"]["bucket_count"],
        begun.elapsed().as_secs_f64()
    );
    for incident in &INCIDENTS {
        tell_incident(&api, &job, incident)?;
    }
    tell_the_rest(&api, &job)?;
    println!("\nLook further:");
    for path in [
        format!("{job}/results/records?record_score=50&size=10&pretty"),
        format!("{job}/results/buckets?anomaly_score=50&expand=true&pretty"),
        format!("{job}/results/influencers?influencer_score=50&pretty"),
        format!("{job}/_stats?pretty"),
    ] {
        println!("  curl -s '{url}{path}'");
    }
    Ok(())
}

fn tell_incident(api: &Api, job: &str, incident: &Incident) -> anyhow::Result<()> {
    let from = (START + incident.from * HOUR) * 1_000;
    let to = from + (incident.hours * HOUR + 900) * 1_000;
    println!(
        "Incident: {}, {} for {} h",
        incident.name,
        day_and_hour(from),
        incident.hours
    );
    let found = api.results(
        job,
        "records",
        &format!("start={from}&end={to}&size=3&record_score=25"),
    )?;
    for record in &found {
        println!("   found {}", describe(record));
    }
    if found.is_empty() {
        println!("   not found");
    }
    let guilty = api.results(
        job,
        "influencers",
        &format!("start={from}&end={to}&size=20&influencer_score=25"),
    )?;
    let mut names: Vec<String> = Vec::new();
    for influencer in guilty {
        let name = format!(
            "{}={}",
            text(&influencer["influencer_field_name"]),
            text(&influencer["influencer_field_value"])
        );
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if !names.is_empty() {
        println!("   influencers: {}", names.join(", "));
    }
    Ok(())
}

/// Anomalies at other times: false alarms, or what follows an incident.
fn tell_the_rest(api: &Api, job: &str) -> anyhow::Result<()> {
    let during = |time: i64| {
        INCIDENTS.iter().any(|incident| {
            let from = (START + incident.from * HOUR) * 1_000;
            (from..from + (incident.hours + 1) * HOUR * 1_000).contains(&time)
        })
    };
    let all = api.results(job, "records", "record_score=50&size=1000")?;
    let rest: Vec<&Value> = all
        .iter()
        .filter(|record| !during(record["timestamp"].as_i64().unwrap_or(0)))
        .collect();
    println!("\nRecords scored 50 or more at other times: {}", rest.len());
    for record in rest.iter().take(5) {
        println!("   {}", describe(record));
    }
    Ok(())
}

fn describe(record: &Value) -> String {
    let mut what = text(&record["function"]).to_owned();
    if let Some(field) = record["field_name"].as_str() {
        let _ = write!(what, "({field})");
    }
    if let Some(value) = record["partition_field_value"].as_str() {
        let _ = write!(what, " of {value}");
    }
    let first = |name: &str| record[name][0].as_f64().unwrap_or(0.0);
    format!(
        "{}  score {:>3.0}  {what}: {:.0}, typically {:.0}",
        day_and_hour(record["timestamp"].as_i64().unwrap_or(0)),
        record["record_score"].as_f64().unwrap_or(0.0),
        first("actual"),
        first("typical")
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn day_and_hour(millis: i64) -> String {
    let seconds = millis / 1_000 - START;
    format!(
        "day {:>2} {:02}:{:02}",
        seconds / HOUR / 24 + 1,
        seconds / HOUR % 24,
        seconds / 60 % 60
    )
}

fn job_body() -> Value {
    json!({
        "description": "Three weeks of made-up web traffic",
        "groups": ["demo"],
        "analysis_config": {
            "bucket_span": "15m",
            "detectors": [
                {"function": "count", "partition_field_name": "host"},
                {"function": "count", "partition_field_name": "path"},
                {"function": "high_mean", "field_name": "latency", "partition_field_name": "path"},
                {"function": "sum", "field_name": "bytes", "partition_field_name": "path"}
            ],
            "influencers": ["host", "region", "path"]
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "analysis_limits": {"model_memory_limit": "64mb"}
    })
}

/// The records, as NDJSON in the order of time.
fn traffic() -> String {
    let mut random = Random::new(0x7469_6465_7761_7463);
    let mut lines = String::new();
    for minute in 0..DAYS * 24 * 60 {
        let time = START + minute * 60;
        for (host, region) in HOSTS {
            for (path, share, latency, size) in PATHS {
                let (mut many, mut slow, mut large) = NONE;
                for incident in &INCIDENTS {
                    if (incident.from..incident.from + incident.hours).contains(&(minute / 60)) {
                        let (a, b, c) = (incident.effect)(host, region, path);
                        (many, slow, large) = (many * a, slow * b, large * c);
                    }
                }
                let load = load(minute, region);
                for _ in 0..random.poisson(2.4 * share * load * many) {
                    let latency =
                        latency * slow * (0.8 + 0.4 * load) * (0.35 * random.normal()).exp();
                    let bytes = size * large * (0.5 * random.normal()).exp();
                    // Writing to a String can't fail.
                    let _ = writeln!(
                        lines,
                        "{{\"time\":{},\"host\":\"{host}\",\"region\":\"{region}\",\"path\":\"{path}\",\
                         \"latency\":{latency:.1},\"bytes\":{bytes:.0}}}",
                        time + minute % 60
                    );
                }
            }
        }
    }
    lines
}

/// How busy a minute is: a day's wave, later in the us, and quieter weekends.
fn load(minute: i64, region: &str) -> f64 {
    let hour = (minute as f64 / 60.0 - if region == "us" { 6.0 } else { 0.0 }).rem_euclid(24.0);
    let wave = 0.15
        + 0.85
            * (1.0
                - ((hour - 15.0) / 24.0 * std::f64::consts::TAU)
                    .cos()
                    .mul_add(-1.0, 1.0)
                    / 2.0)
                .powi(2);
    let weekend = minute / (24 * 60) % 7 >= 5;
    wave * if weekend { 0.6 } else { 1.0 }
}

/// The server, as any client sees it.
struct Api<'a> {
    url: &'a str,
}

impl Api<'_> {
    fn send(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body.to_owned())?;
        let mut response = agent
            .run(request)
            .with_context(|| format!("{method} {path}"))?;
        let text = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!(
                "{method} {path} was answered with {}: {text}",
                response.status()
            );
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut response = ureq::get(format!("{}{path}", self.url)).call()?;
        Ok(serde_json::from_str(
            &response.body_mut().read_to_string()?,
        )?)
    }

    fn stats(&self, job: &str) -> anyhow::Result<Value> {
        Ok(self.get(&format!("{job}/_stats"))?["jobs"][0].take())
    }

    fn results(&self, job: &str, kind: &str, query: &str) -> anyhow::Result<Vec<Value>> {
        match self.get(&format!("{job}/results/{kind}?{query}"))?[kind].take() {
            Value::Array(results) => Ok(results),
            other => bail!("no list of {kind}: {other}"),
        }
    }
}
