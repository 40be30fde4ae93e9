//! Indices as clients see them: those of users, which the store keeps as such (`own`), and Elasticsearch's internal ones,
//! whose documents, results, statistics and notes as an old cluster has them, are taken up to where the server's own are.

mod by_query;
mod closed;
mod contexts;
mod datemath;
mod indices;
mod mapping;
mod own;
mod read;
mod resolve;
mod schema;
mod shapes;
mod targets;
mod write;

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use tidewatch_model::results::Echoed;
use tidewatch_store::{
    AdoptedResult, AnnotationRow, DocumentRow, ForecastPoint, ForecastRow, NewDocument,
    NotificationRow, ResultKind, SnapshotRow, Written, names,
};

use crate::config::Job;
use crate::error::{JobError, Result};
use crate::manager::Jobs;

pub use by_query::Deletion;
pub use contexts::{Context, Contexts, Scroll, is_id};
pub use indices::{Family, Index};
pub use mapping::type_of;
pub use own::{Destination, no_such_index};
pub use resolve::{Alias, Meant, Reading};
use schema::{Unreadable, read};
pub use targets::window;
pub use write::Outcome;

/// The version that Elasticsearch believes a snapshot to need that doesn't say.
const OLDEST_SNAPSHOT: &str = "6.3.0";

/// A document to write.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub index: Index,
    pub id: String,
    /// Refuse it where there is one of its id.
    pub only_new: bool,
    pub source: Map<String, Value>,
}

impl Jobs {
    /// What is held for clients between their requests.
    pub fn contexts(&self) -> &Contexts {
        &self.0.contexts
    }

    /// Writes documents in one transaction, in their order, and says of each what became of it: whether it was created
    /// (or written over another).
    pub async fn write_documents(&self, documents: Vec<Incoming>) -> Result<Vec<Result<bool>>> {
        let mut outcomes: Vec<Result<bool>> = Vec::with_capacity(documents.len());
        let mut rows = Vec::with_capacity(documents.len());
        let mut told_of = BTreeSet::new();
        let ids: Vec<String> = documents
            .iter()
            .map(|document| document.id.clone())
            .collect();
        let closed = self.closed_names().await?;
        for document in documents {
            if closed.contains(&document.index.name) {
                outcomes.push(Err(closed::index_closed(&Meant::Internal(document.index))));
                continue;
            }
            match self.row(document) {
                Ok(row) => {
                    if let DocumentRow::Stats { job_id, .. } = &row.row {
                        told_of.insert(job_id.clone());
                    }
                    rows.push(row);
                    outcomes.push(Ok(true));
                }
                Err(error) => outcomes.push(Err(error)),
            }
        }
        let written = self.store().write_documents(rows).await?;
        let accepted = outcomes
            .iter_mut()
            .zip(&ids)
            .filter(|(outcome, _)| outcome.is_ok());
        for ((outcome, id), written) in accepted.zip(written) {
            *outcome = match written {
                Written::Created => Ok(true),
                Written::Updated => Ok(false),
                Written::Exists => Err(JobError::new(
                    409,
                    "version_conflict_engine_exception",
                    format!(
                        "[{id}]: version conflict, document already exists (current version [1])"
                    ),
                )),
                Written::NoJob => Err(JobError::not_found(format!(
                    "the job of document [{id}] was deleted"
                ))),
            };
        }
        for job_id in told_of {
            self.take_stats(&job_id).await?;
        }
        Ok(outcomes)
    }

    /// Refuses a new job of whose id there are documents: they are another's.
    pub(crate) async fn check_left_over(&self, job: &Job) -> Result<()> {
        let index = indices::of_results(&job.results_index_name);
        match self.store().left_over(&job.job_id, &index).await? {
            (0, 0) => Ok(()),
            (results, states) => Err(JobError::conflict(format!(
                "[{results}] result and [{states}] state documents exist for a prior job with Id [{}]. Please create the \
                 job with a different Id",
                job.job_id
            ))),
        }
    }

    /// Makes a job that doesn't run say what is stored of it.
    async fn take_stats(&self, job_id: &str) -> Result<()> {
        let Ok(entry) = self.entry(job_id) else {
            return Ok(());
        };
        for (kind, document) in self.store().stats(job_id).await? {
            if entry.runner.read().is_none() {
                entry.live.write().take(&kind, &document).map_err(|error| {
                    JobError::internal(format!("[{kind}] of job [{job_id}] can't be read: {error}"))
                })?;
            }
        }
        Ok(())
    }

    /// What a document is to the store.
    fn row(&self, document: Incoming) -> Result<NewDocument> {
        let Incoming {
            index,
            id,
            only_new,
            source,
        } = document;
        let row = match self.known(&index, &id, &source) {
            Ok(row) => row,
            Err(Unreadable::Missing(_)) => other(index, &id, source),
            Err(Unreadable::Wrong { field, of, value }) => {
                return Err(JobError::new(
                    400,
                    "document_parsing_exception",
                    format!(
                        "failed to parse field [{field}] of type [{of}] in document with id '{id}'. Preview of field's \
                         value: '{value}'"
                    ),
                ));
            }
        };
        Ok(NewDocument { id, only_new, row })
    }

    /// The row of a document that has a place of its own.
    fn known(
        &self,
        index: &Index,
        id: &str,
        source: &Map<String, Value>,
    ) -> std::result::Result<DocumentRow, Unreadable> {
        if index.family == Family::Notifications {
            return notification(source.clone());
        }
        let job_id = text(source, "job_id").ok_or(Unreadable::Missing("job_id"))?;
        if index.family == Family::Annotations {
            // It may outlive its job.
            return annotation(id, source.clone());
        }
        let of_job = self.results_index(job_id);
        let of_job = of_job.ok_or(Unreadable::Missing("job_id"))?;
        match index.family {
            Family::Results if index.name == of_job => result(id, source.clone()),
            _ => Err(Unreadable::Missing("job_id")),
        }
    }
}

type Row = std::result::Result<DocumentRow, Unreadable>;
type Source = Map<String, Value>;

/// A document of a results index, known by what it has.
fn result(id: &str, source: Source) -> Row {
    let has = |name: &str| source.get(name).is_some_and(|value| !value.is_null());
    match source.get("result_type").and_then(Value::as_str) {
        Some("bucket") => scored(id, ResultKind::Bucket, read(shapes::BUCKET, source)?),
        Some("record") => scored(id, ResultKind::Record, read(shapes::RECORD, source)?),
        Some("influencer") => scored(
            id,
            ResultKind::Influencer,
            read(shapes::INFLUENCER, source)?,
        ),
        Some("model_plot") => scored(id, ResultKind::ModelPlot, read(shapes::MODEL_PLOT, source)?),
        Some("forest") => scored(id, ResultKind::Forest, read(shapes::FOREST, source)?),
        Some("model_size_stats") => stats("model_size_stats", model_size(source)?),
        Some("timing_stats") => stats("timing_stats", read(shapes::TIMING_STATS, source)?),
        Some("model_forecast_request_stats") => Ok(DocumentRow::Forecast(forecast(source)?)),
        Some("model_forecast") => forecast_point(source),
        Some("category_definition") => category(id, source),
        None if has("snapshot_id") => snapshot(source),
        None if has("category_id") => category(id, source),
        None if has("processed_record_count") => {
            stats("data_counts", read(shapes::DATA_COUNTS, source)?)
        }
        None if id.ends_with("_timing_stats") => {
            stats("timing_stats", read(shapes::TIMING_STATS, source)?)
        }
        _ => Err(Unreadable::Missing("result_type")),
    }
}

fn text<'d>(document: &'d Source, name: &str) -> Option<&'d str> {
    document.get(name).and_then(Value::as_str)
}

fn owned(document: &Source, name: &str) -> String {
    text(document, name).unwrap_or_default().to_owned()
}

fn whole(document: &Source, name: &str) -> i64 {
    document
        .get(name)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

/// A result with a score, or none.
fn scored(id: &str, kind: ResultKind, mut document: Source) -> Row {
    match kind {
        ResultKind::Record => echo_record(&mut document),
        ResultKind::Influencer => {
            let names = [("influencer_field_name", "influencer_field_value")];
            echo(&mut document, &names);
        }
        _ => {}
    }
    let score = match kind {
        ResultKind::Bucket => "anomaly_score",
        ResultKind::Record => "record_score",
        ResultKind::Influencer => "influencer_score",
        ResultKind::Forest => "anomaly_grade",
        ResultKind::ModelPlot | ResultKind::Category => "",
    };
    let number = |name: &str| document.get(name).and_then(Value::as_f64);
    let score = match kind {
        ResultKind::Forest => 100.0 * number(score).unwrap_or_default(),
        _ => number(score).unwrap_or_default(),
    };
    let is_interim = document.get("is_interim").and_then(Value::as_bool);
    let timestamp = match kind {
        ResultKind::Category => whole(&document, "category_id"),
        _ => whole(&document, "timestamp"),
    };
    let job_id = owned(&document, "job_id");
    let document = Value::Object(document);
    Ok(DocumentRow::Result(AdoptedResult {
        kind,
        timestamp,
        score,
        is_interim: is_interim.unwrap_or(false),
        has_own_name: id == names::of_result(&job_id, kind, timestamp, &document),
        doc: document.to_string(),
        job_id,
    }))
}

/// Says fields that records and influencers name once more, under their names.
fn echo(document: &mut Source, names: &[(&str, &str)]) {
    let mut echoed = Echoed::default();
    for (name, value) in names {
        if let (Some(name), Some(value)) = (text(document, name), text(document, value)) {
            echoed.add(name, [value.to_owned()]);
        }
    }
    let influencers = document.get("influencers").and_then(Value::as_array);
    for influencer in influencers.into_iter().flatten() {
        let values = influencer["influencer_field_values"].as_array();
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        let name = influencer["influencer_field_name"].as_str();
        echoed.add(name.unwrap_or_default(), values.map(str::to_owned));
    }
    for (name, values) in echoed.0 {
        if !name.is_empty() {
            document.insert(name, values.into());
        }
    }
}

fn echo_record(document: &mut Source) {
    let names = [
        ("by_field_name", "by_field_value"),
        ("over_field_name", "over_field_value"),
        ("partition_field_name", "partition_field_value"),
    ];
    echo(document, &names);
}

fn category(id: &str, source: Source) -> Row {
    let mut document = read(shapes::CATEGORY, source)?;
    document.insert("result_type".to_owned(), "category_definition".into());
    let number = whole(&document, "category_id").to_string();
    document.insert("mlcategory".to_owned(), number.into());
    let partition = text(&document, "partition_field_name").map(str::to_owned);
    let value = document.get("partition_field_value").cloned();
    if let (Some(name), Some(value)) = (partition, value) {
        document.entry(name).or_insert(value);
    }
    scored(id, ResultKind::Category, document)
}

fn stats(kind: &str, document: Source) -> Row {
    Ok(DocumentRow::Stats {
        job_id: owned(&document, "job_id"),
        kind: kind.to_owned(),
        doc: Value::Object(document).to_string(),
    })
}

/// Fills in what an enumeration says where a document says nothing.
fn set_empty(document: &mut Source, name: &str, value: &str) {
    if text(document, name).is_none_or(str::is_empty) {
        document.insert(name.to_owned(), value.into());
    }
}

fn model_size(source: Source) -> std::result::Result<Source, Unreadable> {
    let mut document = read(shapes::MODEL_SIZE_STATS, source)?;
    complete_model_size(&mut document);
    Ok(document)
}

fn complete_model_size(document: &mut Source) {
    let known: [(&str, &[&str]); 3] = [
        ("memory_status", &["ok", "soft_limit", "hard_limit"]),
        ("categorization_status", &["ok", "warn"]),
        (
            "assignment_memory_basis",
            &[
                "model_memory_limit",
                "current_model_bytes",
                "peak_model_bytes",
            ],
        ),
    ];
    for (name, known) in known {
        if !text(document, name).is_some_and(|value| known.contains(&value)) {
            document.insert(name.to_owned(), known[0].into());
        }
    }
    set_empty(document, "result_type", "model_size_stats");
}

fn snapshot(mut source: Source) -> Row {
    let job_id = source.get("job_id").cloned().unwrap_or_default();
    if let Some(Value::Object(size)) = source.get_mut("model_size_stats") {
        size.entry("job_id").or_insert(job_id);
    }
    let mut document = read(shapes::MODEL_SNAPSHOT, source)?;
    set_empty(&mut document, "min_version", OLDEST_SNAPSHOT);
    if let Some(Value::Object(size)) = document.get_mut("model_size_stats") {
        complete_model_size(size);
    }
    Ok(DocumentRow::Snapshot(SnapshotRow {
        job_id: owned(&document, "job_id"),
        snapshot_id: owned(&document, "snapshot_id"),
        timestamp: whole(&document, "timestamp"),
        retain: document["retain"].as_bool().unwrap_or(false),
        doc: Value::Object(document).to_string(),
    }))
}

fn forecast(source: Source) -> std::result::Result<ForecastRow, Unreadable> {
    let mut document = read(shapes::FORECAST, source)?;
    set_empty(&mut document, "result_type", "model_forecast_request_stats");
    // Nobody is at work on it here.
    let status = match text(&document, "forecast_status") {
        Some("failed" | "stopped" | "started" | "scheduled") => "failed",
        _ => "finished",
    };
    document.insert("forecast_status".to_owned(), status.into());
    let expires = whole(&document, "forecast_expiry_timestamp");
    Ok(ForecastRow {
        job_id: owned(&document, "job_id"),
        forecast_id: owned(&document, "forecast_id"),
        created: whole(&document, "forecast_create_timestamp"),
        expires: (expires > 0).then_some(expires),
        running: false,
        doc: Value::Object(document).to_string(),
    })
}

fn forecast_point(source: Source) -> Row {
    let series = read(shapes::FORECAST_SERIES, source.clone())?;
    let point = read(shapes::FORECAST_POINT, source)?;
    let number = |name: &str| point[name].as_f64().unwrap_or_default();
    let of = ["job_id", "forecast_id"].map(|name| (name.to_owned(), point[name].clone()));
    let of = Source::from_iter(of);
    Ok(DocumentRow::ForecastPoint {
        forecast: forecast(of)?,
        series: Value::Object(series).to_string(),
        point: ForecastPoint {
            timestamp: whole(&point, "timestamp"),
            lower: number("forecast_lower"),
            prediction: number("forecast_prediction"),
            upper: number("forecast_upper"),
        },
    })
}

fn annotation(id: &str, source: Source) -> Row {
    let document = read(shapes::ANNOTATION, source)?;
    Ok(DocumentRow::Annotation(AnnotationRow {
        job_id: owned(&document, "job_id"),
        annotation_id: id.to_owned(),
        timestamp: whole(&document, "timestamp"),
        doc: Value::Object(document).to_string(),
    }))
}

fn notification(source: Source) -> Row {
    let document = read(shapes::NOTIFICATION, source)?;
    Ok(DocumentRow::Notification(NotificationRow {
        job_id: text(&document, "job_id").map(str::to_owned),
        level: owned(&document, "level"),
        message: owned(&document, "message"),
        timestamp: whole(&document, "timestamp"),
    }))
}

/// A document that is kept as it came.
fn other(index: Index, id: &str, source: Source) -> DocumentRow {
    // Whose state a document is, its id tells.
    let of_state = ["_model_state_", "_categorizer_state#", "_quantiles"]
        .iter()
        .find_map(|mark| id.find(mark).map(|at| id[..at].to_owned()));
    let job_id = match index.family {
        Family::State => of_state,
        _ => text(&source, "job_id").map(str::to_owned),
    };
    DocumentRow::Other {
        index: index.name,
        job_id,
        doc: Value::Object(source).to_string(),
    }
}
