//! Many clients at many open jobs: nothing fails, and no update is lost.
//!
//! In the suite it is small. `TIDEWATCH_LOAD=full cargo test --release --test load -- --nocapture` is the real one: 1,000
//! open jobs and 200 clients for a minute, once with ten requests a second each and once with all they can send. It
//! prints how long the answers took.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::traffic::Rng;
use support::{Client, Server};

/// What a job's five writers change, each a field of its own.
const FIELDS: [&str; 5] = [
    "description",
    "custom_settings",
    "results_retention_days",
    "model_snapshot_retention_days",
    "groups",
];
const SPAN: i64 = 60;
/// Records of one upload, a second apart.
const UPLOAD: i64 = 20;

#[derive(Clone, Copy)]
struct Load {
    jobs: usize,
    clients: usize,
    until: Until,
    /// Between two requests of a client.
    pause: Duration,
}

#[derive(Clone, Copy)]
enum Until {
    Requests(usize),
    Elapsed(Duration),
}

/// What one client saw and did.
#[derive(Default)]
struct Seen {
    reads: Vec<Duration>,
    writes: Vec<Duration>,
    /// The last value that it gave (job, field).
    written: BTreeMap<(usize, usize), Value>,
    sent: BTreeMap<usize, i64>,
}

fn id(job: usize) -> String {
    format!("load-{job}")
}

fn value(field: usize, rng: &mut Rng) -> Value {
    let number = 2 + rng.below(1_000_000);
    match FIELDS[field] {
        "description" => json!(format!("description {number}")),
        "custom_settings" => json!({"number": number}),
        "groups" => json!([format!("group-{number}")]),
        _ => json!(number),
    }
}

struct Party<'a> {
    server: &'a Server,
    load: Load,
    /// The next second that records of a job come from.
    clocks: &'a [AtomicI64],
}

impl Party<'_> {
    /// One client. It alone writes one field of every `clients / 5`-th job.
    fn client(&self, number: usize) -> Seen {
        let client: Client = (*self.server).clone();
        let mut rng = Rng::new(number as u64 + 1);
        let mut seen = Seen::default();
        let (field, first) = (number % FIELDS.len(), number / FIELDS.len());
        let step = self.load.clients.div_ceil(FIELDS.len());
        let begun = Instant::now();
        let mut next = begun + self.load.pause.mul_f64(rng.unit());
        for request in 0.. {
            let done = match self.load.until {
                Until::Requests(n) => request >= n,
                Until::Elapsed(time) => begun.elapsed() >= time,
            };
            if done {
                break;
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next = (next + self.load.pause).max(Instant::now());
            let own = first + step * rng.below(self.load.jobs.saturating_sub(first).div_ceil(step));
            let any = rng.below(self.load.jobs);
            match rng.below(100) {
                0..30 if own < self.load.jobs => {
                    let value = value(field, &mut rng);
                    let body = json!({(FIELDS[field]): value});
                    let path = Client::job_path(&id(own), "/_update");
                    seen.writes.push(timed(|| client.ok("POST", &path, &body)));
                    seen.written.insert((own, field), value);
                }
                0..40 => {
                    let from = self.clocks[any].fetch_add(UPLOAD, Ordering::Relaxed);
                    let lines = (from..from + UPLOAD)
                        .map(|second| format!("{{\"time\":{second},\"v\":{}}}\n", second % 7));
                    let lines: String = lines.collect();
                    seen.writes
                        .push(timed(|| client.post_data(&id(any), lines.as_bytes())));
                    *seen.sent.entry(any).or_default() += UPLOAD;
                }
                40..45 => {
                    let path = Client::job_path(&id(any), "/_flush");
                    let body = json!({"calc_interim": true});
                    seen.writes.push(timed(|| client.ok("POST", &path, &body)));
                }
                n => {
                    let rest = match n {
                        45..60 => "",
                        60..75 => "/_stats",
                        75..90 => "/results/buckets?desc=true&size=10",
                        90..95 => "/results/records",
                        _ => "/model_snapshots",
                    };
                    let path = Client::job_path(&id(any), rest);
                    seen.reads
                        .push(timed(|| client.ok("GET", &path, &Value::Null)));
                }
            }
        }
        seen
    }

    fn run(&self) -> Vec<Seen> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.load.clients)
                .map(|number| scope.spawn(move || self.client(number)))
                .collect();
            clients
                .into_iter()
                .map(|client| client.join().expect("a client without an error"))
                .collect()
        })
    }
}

fn timed<T>(request: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    request();
    begun.elapsed()
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    if !times.is_empty() {
        println!(
            "{what}: {} requests, median {:.1?}, 99 % {:.1?}, longest {:.1?}",
            times.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

fn open(server: &Server, jobs: usize) {
    let config = json!({
        "analysis_config": {
            "bucket_span": format!("{SPAN}s"),
            "detectors": [{"function": "mean", "field_name": "v"}, {"function": "count"}]
        },
        "analysis_limits": {"model_memory_limit": "16mb"},
        "data_description": {"time_field": "time", "time_format": "epoch"}
    });
    let (server, config) = (server, &config);
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                for job in (part..jobs).step_by(8) {
                    server.create_open(&id(job), config);
                }
            });
        }
    });
}

fn check(server: &Server, seen: &Seen) {
    for ((job, field), value) in &seen.written {
        let answer = server.ok("GET", &Client::job_path(&id(*job), ""), &Value::Null);
        let field = FIELDS[*field];
        assert_eq!(
            answer["jobs"][0][field], *value,
            "lost: {field} of job {job}"
        );
    }
    for (job, n) in &seen.sent {
        assert_eq!(server.input_record_count(&id(*job)) as i64, *n, "job {job}");
    }
}

#[test]
fn many_clients_lose_nothing_and_see_no_error() {
    let full = std::env::var("TIDEWATCH_LOAD").is_ok_and(|load| load == "full");
    let minute = Load {
        jobs: 1_000,
        clients: 200,
        until: Until::Elapsed(Duration::from_secs(60)),
        pause: Duration::from_millis(100),
    };
    let loads = if full {
        let pressed = Load {
            pause: Duration::ZERO,
            ..minute
        };
        vec![
            ("ten requests a second a client", minute),
            ("all they can send", pressed),
        ]
    } else {
        let small = Load {
            jobs: 30,
            clients: 20,
            until: Until::Requests(60),
            pause: Duration::ZERO,
        };
        vec![("small", small)]
    };
    let server = Server::start(&["--max-open-jobs", "1000", "--node-memory", "100gb"]);
    open(&server, loads[0].1.jobs);
    let clocks: Vec<AtomicI64> = (0..loads[0].1.jobs)
        .map(|_| AtomicI64::new(1_704_067_200))
        .collect();
    let mut all = Vec::new();
    for (name, load) in loads {
        println!("{} jobs, {} clients, {name}", load.jobs, load.clients);
        let party = Party {
            server: &server,
            load,
            clocks: &clocks,
        };
        let seen = party.run();
        let times = |of: fn(&Seen) -> &Vec<Duration>| seen.iter().flat_map(of).copied().collect();
        tell("reads", times(|seen| &seen.reads));
        tell("writes", times(|seen| &seen.writes));
        all.push(seen);
    }
    // Later values stand over earlier ones.
    let mut last = Seen::default();
    for seen in all.iter().flatten() {
        last.written.extend(seen.written.clone());
        for (job, n) in &seen.sent {
            *last.sent.entry(*job).or_default() += n;
        }
    }
    check(&server, &last);
}
