//! From a source into a tidewatch server. Everything is written under a name that its source gives it, so that a second
//! run finds it there or writes it over itself.

use std::collections::BTreeMap;

use anyhow::Context;
use chrono::DateTime;
use serde_json::Value;
use tidewatch_model::units::TimeSpan;

use super::cluster::Cluster;
use super::definitions::{Definitions, id_of};
use super::http::Failure;
use super::kind::Kind;
use super::plan::{self, Step, same_analysis};
use super::progress::Progress;
use super::report::{Doing, Outcome, Report, Results};
use super::source::{Source, Stretch};
use super::writer::Writer;

const DAY_MS: i64 = 86_400_000;
const UNTRAINED: &str = "\
The jobs that were made are closed, and begin untrained: no API gives the state of a model. Where their data are still
there, open them and send those first, oldest first (POST _ml/anomaly_detectors/<job_id>/_data): the results of a time
that is analysed again take the place of those that were taken over. Their create_time is that of now.";

pub struct Import<'a> {
    pub source: &'a dyn Source,
    pub target: &'a Cluster,
    pub report: Report,
}

impl Import<'_> {
    /// Takes over the jobs that `jobs` means, and what belongs to them. What was done stands in the report, also after
    /// an error.
    pub fn run(&mut self, jobs: &str, progress: &Progress) -> anyhow::Result<()> {
        let mut wanted = self.source.definitions()?;
        wanted.select(jobs);
        for (what, why) in wanted.missing.drain(..) {
            self.report
                .tell("source", &what, Outcome::NotTaken, vec![why]);
        }
        let mut created = false;
        for step in plan::steps(&wanted, self.target)? {
            created |= step.what == "job" && !step.requests.is_empty();
            self.take(step)?;
        }
        let configs = self.target.definitions()?.jobs;
        let there: BTreeMap<&str, &Value> = configs
            .iter()
            .map(|job| (id_of(job, "job_id"), job))
            .collect();
        for (job_id, at_source) in jobs_of(&wanted) {
            progress.job(job_id);
            match (there.get(job_id), at_source) {
                (Some(job), at_source)
                    if at_source.is_none_or(|other| same_analysis(other, job)) =>
                {
                    self.results(job, progress)?;
                }
                (None, Some(_)) if self.is_dry() => self.count(job_id, Stretch::default())?,
                (None, None) => {
                    let why = "there are results of it, and no such job".to_owned();
                    self.report
                        .tell("job", job_id, Outcome::NotTaken, vec![why]);
                }
                // It was told of with its job.
                (_, Some(_)) | (Some(_), None) => {}
            }
        }
        if created {
            self.report.notes.push(UNTRAINED.to_owned());
        }
        Ok(())
    }

    fn is_dry(&self) -> bool {
        self.report.doing == Doing::DryRun
    }

    fn take(&mut self, mut step: Step) -> anyhow::Result<()> {
        let outcome = match (step.requests.is_empty(), step.why.is_empty()) {
            (true, true) => Outcome::WasThere,
            _ => Outcome::Taken,
        };
        for request in &step.requests {
            let remote = self.target.remote();
            let answer = match (self.is_dry(), step.what) {
                (false, _) => remote.send(request.method, &request.path, &request.body),
                (true, "job") => {
                    remote.send("POST", "/_ml/anomaly_detectors/_validate", &request.body)
                }
                (true, _) => Ok(Value::Null),
            };
            match answer {
                Ok(_) => {}
                Err(failure) if failure.is_final() => return Err(failure.into()),
                Err(failure) => {
                    step.why.push(failure.to_string());
                    break;
                }
            }
        }
        let outcome = if step.why.is_empty() {
            outcome
        } else {
            Outcome::NotTaken
        };
        self.report.tell(step.what, &step.id, outcome, step.why);
        Ok(())
    }

    /// What a dry run would read of a job that isn't there yet.
    fn count(&mut self, job_id: &str, stretch: Stretch) -> anyhow::Result<()> {
        for kind in Kind::ALL {
            let stretch = if kind.is_timed() {
                stretch
            } else {
                Stretch::default()
            };
            let mut results = Results::of(job_id, kind);
            results.new = self.source.count(job_id, kind, stretch)?.unwrap_or(0);
            self.report.results.push(results);
        }
        Ok(())
    }

    fn results(&mut self, job: &Value, progress: &Progress) -> anyhow::Result<()> {
        let job_id = id_of(job, "job_id");
        let own = self.own_since(job)?;
        if let Some(own) = own {
            let since = DateTime::from_timestamp_millis(own).unwrap_or_default();
            self.report.notes.push(format!(
                "{job_id}: the server has analysed data of this job since {}; its own results from then on and its \
                 categories stay as they are.",
                since.format("%Y-%m-%dT%H:%M:%SZ")
            ));
        }
        let before_own = Stretch {
            start: None,
            end: own,
        };
        if self.is_dry() {
            return self.count(job_id, before_own);
        }
        for kind in Kind::ALL {
            let stretch = match kind {
                Kind::Category if own.is_some() => continue,
                Kind::Annotation => before_own,
                _ if kind.is_timed() => before_own,
                _ => Stretch::default(),
            };
            self.results_of(job, kind, stretch, progress)?;
        }
        Ok(())
    }

    fn results_of(
        &mut self,
        job: &Value,
        kind: Kind,
        mut stretch: Stretch,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let job_id = id_of(job, "job_id");
        let done_before = self.done_before(job, kind, stretch)?;
        if let Some((until, _)) = done_before {
            stretch.start = Some(until);
        }
        let total = self.source.count(job_id, kind, stretch)?;
        let bar = progress.of(kind, total);
        let mut writer = Writer::new(self.target.remote(), job_id, kind);
        let outcome = self.source.read(job_id, kind, stretch, &mut |documents| {
            bar.inc(documents.len() as u64);
            for document in documents {
                writer.write(document)?;
            }
            Ok(())
        });
        bar.finish_and_clear();
        let mut results = writer.finish()?;
        results.skipped = done_before.map_or(0, |(_, count)| count);
        let ended = match outcome {
            Ok(missing) => {
                results.why.extend(missing);
                Ok(())
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

    /// From when on the server has results of its own: the first bucket that it had data for.
    fn own_since(&self, job: &Value) -> anyhow::Result<Option<i64>> {
        let job_id = id_of(job, "job_id");
        let stats = self
            .target
            .remote()
            .get(&format!("/_ml/anomaly_detectors/{job_id}/_stats"))?;
        let counts = &stats["jobs"][0]["data_counts"];
        Ok(match counts["earliest_record_timestamp"].as_i64() {
            Some(earliest) if counts["processed_record_count"].as_u64() > Some(0) => {
                let span = bucket_span_ms(job)?;
                Some(earliest.div_euclid(span) * span)
            }
            _ => None,
        })
    }

    /// Until when everything is there from an earlier run and can't have changed since, and how much that is: scores
    /// change within the renormalisation window alone.
    fn done_before(
        &self,
        job: &Value,
        kind: Kind,
        stretch: Stretch,
    ) -> anyhow::Result<Option<(i64, u64)>> {
        if !kind.is_timed() {
            return Ok(None);
        }
        let job_id = id_of(job, "job_id");
        let by_time = if kind.score().is_some() {
            kind
        } else {
            Kind::Bucket
        };
        let Some(newest) = self.target.newest(job_id, by_time, stretch)? else {
            return Ok(None);
        };
        let window = match job["renormalization_window_days"].as_i64() {
            Some(days) => days * DAY_MS,
            None => (30 * DAY_MS).max(100 * bucket_span_ms(job)?),
        };
        let until = newest - window;
        let before = Stretch {
            start: None,
            end: Some(until),
        };
        Ok(match self.source.count(job_id, kind, before)? {
            Some(count) if count > 0 && self.target.count(job_id, kind, before)? == Some(count) => {
                Some((until, count))
            }
            _ => None,
        })
    }
}

/// The jobs that results may be of, and how the source defines them if it does.
fn jobs_of(wanted: &Definitions) -> impl Iterator<Item = (&str, Option<&Value>)> {
    let defined = wanted
        .jobs
        .iter()
        .map(|job| (id_of(job, "job_id"), Some(job)));
    defined.chain(wanted.loose.iter().map(|id| (id.as_str(), None)))
}

fn bucket_span_ms(job: &Value) -> anyhow::Result<i64> {
    let text = job["analysis_config"]["bucket_span"]
        .as_str()
        .unwrap_or_default();
    let span = TimeSpan::parse(text).ok().and_then(TimeSpan::whole_seconds);
    let seconds = span.filter(|seconds| *seconds > 0);
    Ok(seconds.with_context(|| format!("[{text}] is no bucket span"))? * 1_000)
}
