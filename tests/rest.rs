//! Cases of the REST API, written as Elasticsearch's own are: `rest/cases/*.yml`, each case against a server of its
//! own. `TIDEWATCH_REST_CASES` names another file or directory of such files to run instead.

#[path = "rest/api.rs"]
mod api;
#[path = "rest/examples.rs"]
mod examples;
#[path = "rest/own.rs"]
mod own;
#[path = "rest/run.rs"]
mod run;
#[path = "rest/skip.rs"]
mod skip;
#[path = "rest/suite.rs"]
mod suite;
mod support;
#[path = "rest/value.rs"]
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use run::Outcome;
use suite::Suite;

/// A case mostly waits for its server.
const THREADS: usize = 4;

#[test]
fn every_case_holds() {
    let given = std::env::var_os("TIDEWATCH_REST_CASES").map(PathBuf::from);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rest/cases");
    let outcomes = run_all(given.as_deref().unwrap_or(&own));
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|(_, o)| wanted(o)).count();
    let mut failed = 0;
    for (name, outcome) in &outcomes {
        match outcome {
            Outcome::Failed(reason) => {
                failed += 1;
                println!("FAILED   {name}\n    {reason}");
            }
            Outcome::Skipped(reason) => println!("skipped  {name}: {reason}"),
            Outcome::Passed if given.is_some() => println!("passed   {name}"),
            Outcome::Passed => {}
        }
    }
    println!(
        "{} of {} cases passed, {} skipped",
        count(|o| matches!(o, Outcome::Passed)),
        outcomes.len(),
        count(|o| matches!(o, Outcome::Skipped(_))),
    );
    assert!(!outcomes.is_empty(), "no cases there");
    assert_eq!(failed, 0, "cases failed");
}

/// Every case below a path with what came of it, in their order.
fn run_all(path: &Path) -> Vec<(String, Outcome)> {
    let mut files = Vec::new();
    collect(path, &mut files);
    files.sort();
    let suites: Vec<_> = files.iter().map(|file| (file, Suite::read(file))).collect();
    let mut work = Vec::new();
    for (file, suite) in &suites {
        match suite {
            Ok(suite) => work.extend(suite.cases.iter().map(|case| Ok((suite, case)))),
            Err(reason) => work.push(Err((file.display().to_string(), reason.clone()))),
        }
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = work.get(place) else { break };
                    let (name, outcome) = match item {
                        Ok((suite, case)) => {
                            let ran = catch_unwind(AssertUnwindSafe(|| run::run(suite, case)));
                            let outcome =
                                ran.unwrap_or_else(|_| Outcome::Failed("panicked".into()));
                            (format!("{}: {}", suite.name, case.name), outcome)
                        }
                        Err((file, reason)) => (file.clone(), Outcome::Failed(reason.clone())),
                    };
                    done.lock().expect("a lock").push((place, name, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("a lock");
    done.sort_by_key(|(place, _, _)| *place);
    done.into_iter()
        .map(|(_, name, outcome)| (name, outcome))
        .collect()
}

/// The files of cases at or below a path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a readable directory") {
            collect(&entry.expect("an entry").path(), files);
        }
    } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
        files.push(path.to_owned());
    }
}
