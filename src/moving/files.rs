//! Files as a source: answers that the APIs gave, and lines of documents, under any names. What something is, its
//! fields tell.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use super::definitions::{Calendar, Definitions, id_of};
use super::kind::Kind;
use super::report::Definition;
use super::source::{Source, Stretch, Taker};

const ENDINGS: [&str; 3] = ["json", "ndjson", "jsonl"];
const BATCH: usize = 2_000;

pub struct Files {
    name: String,
    files: Vec<PathBuf>,
    /// Which files hold documents of a job and kind, and how many.
    documents: BTreeMap<(String, Kind), BTreeMap<usize, u64>>,
}

/// What is found in a file.
enum Found {
    Job(Value),
    Datafeed(Value),
    Filter(Value),
    Calendar(Value),
    Event(Value),
    Document(Kind, Value),
    Interim,
    Unknown,
}

impl Files {
    /// Reads once through everything below `path`, or in that one file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        collect(path, &mut files).with_context(|| format!("can't read {}", path.display()))?;
        files.sort();
        if files.is_empty() {
            bail!(
                "{} has no file that ends with .json, .ndjson or .jsonl",
                path.display()
            );
        }
        let mut documents: BTreeMap<(String, Kind), BTreeMap<usize, u64>> = BTreeMap::new();
        for (at, file) in files.iter().enumerate() {
            each(file, &mut |found| {
                if let Found::Document(kind, document) = found {
                    let job_id = id_of(&document, "job_id").to_owned();
                    *documents
                        .entry((job_id, kind))
                        .or_default()
                        .entry(at)
                        .or_default() += 1;
                }
                Ok(())
            })?;
        }
        Ok(Self {
            name: format!("the files of {}", path.display()),
            files,
            documents,
        })
    }
}

impl Source for Files {
    fn name(&self) -> &str {
        &self.name
    }

    fn definitions(&self) -> anyhow::Result<Definitions> {
        let mut all = Definitions::default();
        let mut calendars: BTreeMap<String, Calendar> = BTreeMap::new();
        let mut events = Vec::new();
        for file in &self.files {
            let mut unknown = 0;
            each(file, &mut |found| {
                match found {
                    Found::Job(job) => put(&mut all.jobs, "job_id", job),
                    Found::Datafeed(datafeed) => put(&mut all.datafeeds, "datafeed_id", datafeed),
                    Found::Filter(filter) => put(&mut all.filters, "filter_id", filter),
                    Found::Event(event) => events.push(event),
                    Found::Calendar(calendar) => {
                        let id = id_of(&calendar, "calendar_id").to_owned();
                        let events = Vec::new();
                        calendars.insert(id, Calendar { calendar, events });
                    }
                    Found::Document(..) | Found::Interim => {}
                    Found::Unknown => unknown += 1,
                }
                Ok(())
            })?;
            if unknown > 0 {
                let why = format!("{unknown} of its objects are nothing that is known here");
                let file = file.display().to_string();
                all.missing.push(Definition::missing("file", file, why));
            }
        }
        for event in events {
            let id = id_of(&event, "calendar_id");
            match calendars.get_mut(id) {
                Some(calendar) if !calendar.events.contains(&event) => calendar.events.push(event),
                Some(_) => {}
                None => {
                    let why = "there are events of it, and it isn't among the files";
                    all.missing.push(Definition::missing("calendar", id, why));
                }
            }
        }
        all.calendars = calendars.into_values().collect();
        for (job_id, _) in self.documents.keys() {
            if !all.loose.contains(job_id) && !all.jobs.iter().any(|job| job["job_id"] == **job_id)
            {
                all.loose.push(job_id.clone());
            }
        }
        Ok(all.with_datafeeds_of_jobs())
    }

    fn count(&self, job_id: &str, kind: Kind, stretch: Stretch) -> anyhow::Result<Option<u64>> {
        if stretch.start.is_some() || stretch.end.is_some() {
            return Ok(None);
        }
        let files = self.documents.get(&(job_id.to_owned(), kind));
        Ok(Some(files.map_or(0, |files| files.values().sum())))
    }

    fn read(
        &self,
        job_id: &str,
        kind: Kind,
        stretch: Stretch,
        take: &mut Taker<'_>,
    ) -> anyhow::Result<Option<String>> {
        let Some(files) = self.documents.get(&(job_id.to_owned(), kind)) else {
            return Ok(None);
        };
        for at in files.keys() {
            let mut batch = Vec::new();
            each(&self.files[*at], &mut |found| {
                if let Found::Document(of, document) = found
                    && of == kind
                    && id_of(&document, "job_id") == job_id
                    && stretch.holds(&document)
                {
                    batch.push(document);
                    if batch.len() == BATCH {
                        take(std::mem::take(&mut batch))?;
                    }
                }
                Ok(())
            })?;
            take(batch)?;
        }
        Ok(None)
    }
}

/// Adds a definition, in the place of one of the same id.
fn put(all: &mut Vec<Value>, field: &str, one: Value) {
    match all.iter_mut().find(|other| other[field] == one[field]) {
        Some(other) => *other = one,
        None => all.push(one),
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        // A file that is named is meant, whatever its ending.
        File::open(path)?;
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let ending = path.extension().and_then(OsStr::to_str);
        if path.is_dir() || ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            collect(&path, files)?;
        }
    }
    Ok(())
}

type Each<'a> = dyn FnMut(Found) -> anyhow::Result<()> + 'a;

/// Everything that a file holds: one JSON value, or any number of them.
fn each(path: &Path, give: &mut Each<'_>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    read(BufReader::with_capacity(1 << 18, file), give)
        .with_context(|| format!("in {}", path.display()))
}

fn read(reader: impl Read, give: &mut Each<'_>) -> anyhow::Result<()> {
    for value in serde_json::Deserializer::from_reader(reader).into_iter::<Value>() {
        unfold(value?, give)?;
    }
    Ok(())
}

/// Answers are lists of things; a search's hits hold theirs in `_source`.
fn unfold(mut value: Value, give: &mut Each<'_>) -> anyhow::Result<()> {
    if let Value::Array(all) = value {
        return all.into_iter().try_for_each(|one| unfold(one, give));
    }
    if value.get("_source").is_some() {
        return unfold(value["_source"].take(), give);
    }
    if value["hits"]["hits"].is_array() {
        return unfold(value["hits"]["hits"].take(), give);
    }
    let definitions = ["jobs", "datafeeds", "filters", "calendars", "events"];
    let kinds = Kind::ALL.map(Kind::plural);
    if value.get("count").is_some() {
        let mut names = definitions.into_iter().chain(kinds);
        if let Some(name) = names.find(|name| value[name].is_array()) {
            return unfold(value[name].take(), give);
        }
    }
    give(found(value))
}

fn found(value: Value) -> Found {
    let has = |field: &str| value.get(field).is_some();
    if has("analysis_config") {
        Found::Job(value)
    } else if has("datafeed_id") && (has("indices") || has("indexes")) {
        Found::Datafeed(value)
    } else if has("filter_id") && has("items") {
        Found::Filter(value)
    } else if has("calendar_id") && has("start_time") {
        Found::Event(value)
    } else if has("calendar_id") {
        Found::Calendar(value)
    } else {
        match Kind::of(&value) {
            Some(kind) if has("job_id") && value["is_interim"] != true => {
                Found::Document(kind, value)
            }
            // Final ones take their place.
            Some(_) if value["is_interim"] == true => Found::Interim,
            _ => Found::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<&'static str> {
        let mut all = Vec::new();
        read(text.as_bytes(), &mut |found| {
            all.push(match found {
                Found::Job(_) => "job",
                Found::Datafeed(_) => "datafeed",
                Found::Filter(_) => "filter",
                Found::Calendar(_) => "calendar",
                Found::Event(_) => "event",
                Found::Document(kind, _) => kind.plural(),
                Found::Interim => "interim",
                Found::Unknown => "unknown",
            });
            Ok(())
        })
        .expect("read");
        all
    }

    #[test]
    fn things_are_known_by_their_fields_in_whatever_they_stand() {
        let job = r#"{"job_id": "j", "analysis_config": {}}"#;
        let record = r#"{"job_id": "j", "result_type": "record", "timestamp": 1}"#;
        assert_eq!(
            kinds(&format!(r#"{{"count": 1, "jobs": [{job}]}}"#)),
            ["job"]
        );
        assert_eq!(
            kinds(&format!("{record}\n{record}\n")),
            ["records", "records"]
        );
        assert_eq!(
            kinds(&format!(r#"{{"count": 9, "records": [{record}]}}"#)),
            ["records"]
        );
        assert_eq!(
            kinds(&format!(
                r#"{{"hits": {{"hits": [{{"_id": "x", "_source": {record}}}]}}}}"#
            )),
            ["records"]
        );
        assert_eq!(
            kinds(
                r#"{"count": 1, "events": [{"calendar_id": "c", "start_time": 1, "end_time": 2}]}
                   {"count": 1, "calendars": [{"calendar_id": "c", "job_ids": []}]}
                   [{"filter_id": "f", "items": ["a"]}, {"datafeed_id": "d", "indices": ["i"]}]
                   {"job_id": "j", "result_type": "record", "timestamp": 1, "is_interim": true}
                   {"count": 1, "jobs": [{"job_id": "j", "state": "opened"}]}"#
            ),
            [
                "event", "calendar", "filter", "datafeed", "interim", "unknown"
            ]
        );
    }

    #[test]
    fn a_file_that_breaks_off_is_no_file() {
        let broken = read(
            &br#"{"job_id": "j", "result_type": "record"}{"job_id":"#[..],
            &mut |_| Ok(()),
        );
        assert!(broken.expect_err("broken").to_string().contains("EOF"));
    }
}
