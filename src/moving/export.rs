//! From a source into files: the answers of the APIs, and the results as lines.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::definitions::{Calendar, id_of};
use super::http::Failure;
use super::kind::Kind;
use super::progress::Progress;
use super::report::{Outcome, Report, Results};
use super::source::{Source, Stretch};

pub struct Export<'a> {
    pub source: &'a Cluster,
    pub directory: &'a Path,
    pub report: Report,
}

impl Export<'_> {
    /// Writes the jobs that `jobs` means, and what belongs to them.
    pub fn run(&mut self, jobs: &str, progress: &Progress) -> anyhow::Result<()> {
        let mut wanted = self.source.definitions()?;
        wanted.select(jobs);
        self.report.definitions.append(&mut wanted.missing);
        let (calendars, events): (Vec<Value>, Vec<Vec<Value>>) = wanted
            .calendars
            .into_iter()
            .map(|Calendar { calendar, events }| (calendar, events))
            .unzip();
        let lists = [
            ("job", "jobs", "job_id", &wanted.jobs),
            ("datafeed", "datafeeds", "datafeed_id", &wanted.datafeeds),
            ("filter", "filters", "filter_id", &wanted.filters),
            ("calendar", "calendars", "calendar_id", &calendars),
            ("event", "events", "event_id", &events.concat()),
        ];
        for (what, plural, id, all) in lists {
            self.definitions(plural, all)?;
            for one in all {
                self.report
                    .tell(what, id_of(one, id), Outcome::Taken, Vec::new());
            }
        }
        for job in &wanted.jobs {
            let job_id = id_of(job, "job_id");
            progress.job(job_id);
            for kind in Kind::ALL {
                self.results(job_id, kind, progress)?;
            }
        }
        Ok(())
    }

    fn definitions(&self, plural: &str, all: &[Value]) -> anyhow::Result<()> {
        let mut file = Whole::create(self.directory.join(format!("{plural}.json")))?;
        let answer = json!({"count": all.len(), plural: all});
        serde_json::to_writer_pretty(&mut file.lines, &answer)?;
        file.lines.write_all(b"\n")?;
        file.finish()
    }

    fn results(&mut self, job_id: &str, kind: Kind, progress: &Progress) -> anyhow::Result<()> {
        let mut results = Results::of(job_id, kind);
        let path = self.directory.join("results").join(job_id);
        let path = path.join(format!("{}.ndjson", kind.plural()));
        let bar = progress.of(kind, self.source.count(job_id, kind, Stretch::default())?);
        let mut file = Whole::create(path)?;
        let outcome = self
            .source
            .read(job_id, kind, Stretch::default(), &mut |mut documents| {
                bar.inc(documents.len() as u64);
                results.new += documents.len() as u64;
                for document in &mut documents {
                    kind.restore(job_id, document);
                }
                // The order of one moment is any; here it is one.
                documents.sort_by_cached_key(|document| {
                    (document["timestamp"].as_i64(), kind.id(job_id, document))
                });
                for document in documents {
                    serde_json::to_writer(&mut file.lines, &document)?;
                    file.lines.write_all(b"\n")?;
                }
                Ok(())
            });
        bar.finish_and_clear();
        let ended = match outcome {
            Ok(missing) => {
                results.why.extend(missing);
                file.finish_unless_empty(results.new == 0)
            }
            Err(error) => {
                results.why.push(format!("broken off: {error:#}"));
                match error.downcast_ref::<Failure>() {
                    Some(failure) if !failure.is_final() => Ok(()),
                    _ => Err(error),
                }
            }
        };
        self.report.results.push(results);
        ended
    }
}

/// A file that is there when it is whole, and not before.
struct Whole {
    path: PathBuf,
    beside: PathBuf,
    lines: BufWriter<File>,
}

impl Whole {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        let beside = path.with_extension("part");
        let create = || -> std::io::Result<File> {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            File::create(&beside)
        };
        let file = create().with_context(|| format!("can't write {}", beside.display()))?;
        Ok(Self {
            path,
            beside,
            lines: BufWriter::with_capacity(1 << 18, file),
        })
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.lines.flush()?;
        self.lines.get_ref().sync_all()?;
        fs::rename(&self.beside, &self.path)
            .with_context(|| format!("can't write {}", self.path.display()))
    }

    /// A file without a line would say nothing: it is left away, and one of an earlier run with it.
    fn finish_unless_empty(self, empty: bool) -> anyhow::Result<()> {
        if !empty {
            return self.finish();
        }
        fs::remove_file(&self.beside)?;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
