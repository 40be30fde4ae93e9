//! The harness of the whole-system tests: a server of one's own on a free port over a temporary directory,
//! killed and started again at will, and requests that answer `(status, JSON)`.

// Every test binary includes this module and uses its own part of it.
#![allow(dead_code)]

pub mod amp;
pub mod documents;
pub mod opensearch;
pub mod outcome;
pub mod prometheus;
pub mod traffic;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{HeaderMap, Request};

/// How long anything may take that a test waits for; generous, since only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(180);

const READY: &str = "tidewatch listening on http://";

/// The binary under test: `TIDEWATCH_BIN`, or the one that cargo built for these tests.
pub fn binary() -> PathBuf {
    std::env::var_os("TIDEWATCH_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_tidewatch").into(), Into::into)
}

/// Polls until `condition` holds and returns what it found; fails the test after [`PATIENCE`].
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// An answer with everything a test may look at. `body` is null where the text isn't JSON.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |v| v.to_str().unwrap_or(""))
    }

    /// Fails unless this is an Elasticsearch error of that status and type whose text (the chain of causes
    /// included) contains `reason`.
    #[track_caller]
    pub fn assert_error(&self, status: u16, kind: &str, reason: &str) {
        let error = &self.body["error"];
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["status"], status, "{}", self.text);
        assert_eq!(error["type"], kind, "{}", self.text);
        assert!(error["reason"].is_string(), "no reason: {}", self.text);
        assert!(
            error["root_cause"][0]["type"].is_string(),
            "no root_cause: {}",
            self.text
        );
        assert!(
            error.to_string().contains(reason),
            "expected «{reason}» in {}",
            self.text
        );
        assert_eq!(
            self.header("x-elastic-product"),
            "Elasticsearch",
            "clients refuse an answer without it"
        );
    }
}

/// Talks to one running server. Cheap to clone, and may be sent to other threads.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    /// `host:port`, for the tests that need a connection of their own.
    pub address: String,
}

impl Client {
    fn new(address: String) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(2 * PATIENCE))
            .build();
        Self {
            agent: config.into(),
            address,
        }
    }

    /// Sends any method, path, headers and body; fails only when there is no HTTP answer.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(bytes) => self
                .agent
                .run(request.body(bytes.to_vec()).expect("a valid request")),
            None => self.agent.run(request.body(()).expect("a valid request")),
        };
        let mut answer = answer.unwrap_or_else(|e| panic!("{method} {path}: no answer: {e}"));
        let text = answer
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_string()
            .expect("a readable body");
        Reply {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// Sends `body` as JSON, or no body at all when it is null.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        if !body.is_null() {
            let text = body.to_string();
            return self.send(
                method,
                path,
                &[("content-type", "application/json")],
                Some(text.as_bytes()),
            );
        }
        let empty: Option<&[u8]> = matches!(method, "POST" | "PUT" | "PATCH").then_some(&[]);
        self.send(method, path, &[], empty)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, Value) {
        let reply = self.call("GET", path, &Value::Null);
        (reply.status, reply.body)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = self.call("POST", path, body);
        (reply.status, reply.body)
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = self.call("PUT", path, body);
        (reply.status, reply.body)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> (u16, Value) {
        let reply = self.call("DELETE", path, &Value::Null);
        (reply.status, reply.body)
    }

    /// Like [`Client::call`], but anything other than 200 fails the test.
    #[track_caller]
    pub fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let reply = self.call(method, path, body);
        assert_eq!(reply.status, 200, "{method} {path}: {}", reply.text);
        reply.body
    }

    /// The path of a job, or of something below it.
    pub fn job_path(job: &str, rest: &str) -> String {
        format!("/_ml/anomaly_detectors/{job}{rest}")
    }

    /// Creates a job and opens it.
    #[track_caller]
    pub fn create_open(&self, job: &str, config: &Value) {
        self.ok("PUT", &Self::job_path(job, ""), config);
        let opened = self.ok("POST", &Self::job_path(job, "/_open"), &Value::Null);
        assert_eq!(opened["opened"], true, "{opened}");
        self.wait_state(job, "opened");
    }

    #[track_caller]
    pub fn close(&self, job: &str) {
        let closed = self.ok("POST", &Self::job_path(job, "/_close"), &Value::Null);
        assert_eq!(closed["closed"], true, "{closed}");
        self.wait_state(job, "closed");
    }

    /// Posts records (NDJSON) and returns the upload's own data counts.
    #[track_caller]
    pub fn post_data(&self, job: &str, records: &[u8]) -> Value {
        let reply = self.send_data(job, records);
        assert_eq!(reply.status, 202, "{}", reply.text);
        reply.body
    }

    #[track_caller]
    pub fn send_data(&self, job: &str, records: &[u8]) -> Reply {
        let kind = [("content-type", "application/x-ndjson")];
        self.send("POST", &Self::job_path(job, "/_data"), &kind, Some(records))
    }

    #[track_caller]
    pub fn flush(&self, job: &str) -> Value {
        let flushed = self.ok("POST", &Self::job_path(job, "/_flush"), &Value::Null);
        assert_eq!(flushed["flushed"], true, "{flushed}");
        flushed
    }

    /// The job's entry of `_stats`.
    #[track_caller]
    pub fn stats(&self, job: &str) -> Value {
        let stats = self.ok("GET", &Self::job_path(job, "/_stats"), &Value::Null);
        assert_eq!(stats["count"], 1, "{stats}");
        stats["jobs"][0].clone()
    }

    #[track_caller]
    pub fn state(&self, job: &str) -> String {
        self.stats(job)["state"]
            .as_str()
            .expect("stats have a state")
            .to_owned()
    }

    #[track_caller]
    pub fn wait_state(&self, job: &str, state: &str) {
        wait_until(&format!("job {job} to be {state}"), || {
            (self.state(job) == state).then_some(())
        });
    }

    /// How many records of this job are safely in the server's hands.
    #[track_caller]
    pub fn input_record_count(&self, job: &str) -> usize {
        let counts = &self.stats(job)["data_counts"];
        counts["input_record_count"]
            .as_u64()
            .unwrap_or_else(|| panic!("no count in {counts}")) as usize
    }
}

/// A server process and the directory that holds its data. Dropping it kills the process.
pub struct Server {
    process: Child,
    client: Client,
    dir: tempfile::TempDir,
    flags: Vec<String>,
}

impl std::ops::Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    /// Starts `tidewatch serve` over an empty directory with these further flags and waits until it is ready.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        let (process, client) = spawn(dir.path(), &flags);
        Self {
            process,
            client,
            dir,
            flags,
        }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the server has written to stderr since its first start.
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// SIGKILL: the process gets no chance to do anything more.
    pub fn kill(&mut self) {
        self.process.kill().expect("the server to be killed");
        self.process.wait().expect("the server to be gone");
    }

    /// Starts the server again over the same directory, on another port; it must have ended before.
    #[track_caller]
    pub fn start_again(&mut self) {
        (self.process, self.client) = spawn(self.dir.path(), &self.flags);
    }

    #[track_caller]
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Sends a signal (`TERM`, `INT`) and returns how the process ended.
    #[track_caller]
    pub fn signal_and_wait(&mut self, signal: &str) -> ExitStatus {
        // The shell's own kill: the standard library only knows SIGKILL.
        let command = format!("kill -{signal} {}", self.process.id());
        let sent = Command::new("sh")
            .args(["-c", &command])
            .status()
            .expect("a shell");
        assert!(sent.success(), "{command}");
        wait_until(&format!("the server to end by SIG{signal}"), || {
            self.process.try_wait().expect("a child to wait for")
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(4000);
            eprintln!(
                "the server's log ended with:\n{}",
                log.get(from..).unwrap_or(&log)
            );
        }
    }
}

/// `tidewatch serve` on a free port over `dir/data`, its stderr left to the caller.
pub fn serve_command(dir: &Path, flags: &[String]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.join("data"))
        .args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn read_log(dir: &Path) -> String {
    let bytes = std::fs::read(dir.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn spawn(dir: &Path, flags: &[String]) -> (Child, Client) {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .expect("a log file");
    let mut process = serve_command(dir, flags)
        .stderr(log)
        .spawn()
        .expect("the tidewatch binary to start");
    let stdout = process.stdout.take().expect("stdout is piped");
    let (ready, address) = mpsc::channel();
    // Reads on to the end, so that a server that prints more never blocks on a full pipe.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(READY) {
                let _ = ready.send(address.trim().to_owned());
            }
        }
    });
    match address.recv_timeout(PATIENCE) {
        Ok(address) => (process, Client::new(address)),
        Err(_) => {
            let _ = process.kill();
            let ended = process.wait();
            panic!(
                "the server did not say that it listens ({ended:?}):\n{}",
                read_log(dir)
            );
        }
    }
}
