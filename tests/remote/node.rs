//! Real nodes of Elasticsearch and OpenSearch, built from their server libraries on Maven Central.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::wait_until;

/// A process that ends with the test.
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Node {
    pub url: String,
    _process: Child,
    _dir: tempfile::TempDir,
}

impl Node {
    /// None, with the reason printed, where there is no Java or Maven, or the libraries can't be had.
    pub fn start(kind: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let project = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/remote")
            .join(kind);
        let libraries = dir.path().join("libraries");
        run(Command::new("mvn")
            .args(["-B", "-q", "dependency:build-classpath", "-f"])
            .arg(project.join("pom.xml"))
            .arg(format!("-Dmdep.outputFile={}", libraries.display())))?;
        let libraries = std::fs::read_to_string(libraries).expect("a class path");
        let classes = dir.path().join("classes");
        run(Command::new("javac")
            .args(["-cp", &libraries, "-d"])
            .arg(&classes)
            .arg(project.join("src/main/java/TestNode.java")))?;
        let port = free_port();
        let log = std::fs::File::create(dir.path().join("log")).expect("a file");
        let process = Command::new("java")
            .args(["-Xmx512m", "-cp"])
            .arg(format!("{}:{libraries}", classes.display()))
            .arg("TestNode")
            .arg(dir.path().join("home"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("java");
        let node = Self {
            url: format!("http://127.0.0.1:{port}"),
            _process: Child(process),
            _dir: dir,
        };
        wait_until(&format!("{kind} to be there"), || {
            ureq::get(&node.url).call().ok().map(drop)
        });
        Some(node)
    }
}

fn run(command: &mut Command) -> Option<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(output) if output.status.success() => Some(()),
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout);
            println!(
                "skipped: {name} failed: {}",
                told.lines().next().unwrap_or_default()
            );
            None
        }
        Err(error) => {
            println!("skipped: {name} can't be run: {error}");
            None
        }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
