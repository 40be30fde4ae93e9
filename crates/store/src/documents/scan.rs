//! Reading what is kept as documents: one after the other, in constant memory.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::names::{self, Place};
use crate::error::Result;
use crate::query::Bounds;
use crate::{ResultKind, Store};

/// Where documents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The index whose documents they are.
    pub index: String,
    pub holds: Holds,
    /// Only documents of this job.
    pub only: Option<String>,
}

/// What of an index is kept elsewhere than with the documents that have no other place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Results, statistics, snapshots and forecasts of jobs.
    Results(Vec<String>),
    Annotations,
    Notifications,
    /// The states of all jobs' models, each told of in a word.
    State,
    Nothing,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub id: String,
    pub source: Value,
}

/// Takes documents as they are found, until it says `false`.
pub type Visit<'v> = dyn FnMut(Found) -> bool + Send + 'v;

/// Whether there is more to read.
type Goes = Result<bool>;

impl Store {
    /// Shows the documents of an index that `bounds` doesn't leave out, all of the same moment.
    pub async fn scan_documents(
        &self,
        source: &Source,
        bounds: &Bounds,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let mut moment = self.readers().begin().await?;
        let mut scan = Scan {
            conn: &mut moment,
            bounds,
            places: bounds.places(),
            visit,
        };
        scan.source(source).await?;
        moment.commit().await?;
        Ok(())
    }

    /// The indices that were made on their own, or by a document.
    pub async fn internal_indices(&self) -> Result<Vec<String>> {
        let names = sqlx::query_scalar("SELECT index_name FROM indices ORDER BY index_name")
            .fetch_all(self.readers())
            .await?;
        Ok(names)
    }

    /// Makes an index without documents. `false`: it is there.
    pub async fn create_index(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query("INSERT OR IGNORE INTO indices (index_name) VALUES (?)")
                    .bind(name)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }
}

struct Scan<'s, 'v> {
    conn: &'s mut SqliteConnection,
    bounds: &'s Bounds,
    /// Where the documents are that are asked for by their ids.
    places: Option<Vec<(String, Place)>>,
    visit: &'s mut Visit<'v>,
}

impl Scan<'_, '_> {
    async fn source(&mut self, source: &Source) -> Goes {
        let only = source.only.as_deref();
        let is_meant = |job_id: &str| only.is_none_or(|only| only == job_id);
        let goes = match &source.holds {
            Holds::Results(jobs) => {
                let bounds = self.bounds;
                let mut goes = true;
                for job_id in jobs
                    .iter()
                    .filter(|id| is_meant(id) && bounds.allows_job(id))
                {
                    goes = goes && self.job(job_id).await?;
                }
                goes
            }
            Holds::Annotations => self.annotations(only).await?,
            Holds::Notifications => self.notifications(only).await?,
            Holds::State => self.states(only).await?,
            Holds::Nothing => true,
        };
        Ok(goes && self.others(&source.index, only).await?)
    }

    async fn job(&mut self, job_id: &str) -> Goes {
        Ok(self.results(job_id).await?
            && self.stats(job_id).await?
            && self.snapshots(job_id).await?
            && self.forecasts(job_id).await?
            && self.points(job_id).await?)
    }

    /// Whether one of the ids that are asked for may be in such a place of the job.
    fn may_be(&self, job_id: &str, is_there: impl Fn(&Place) -> bool) -> bool {
        self.places.as_ref().is_none_or(|places| {
            places
                .iter()
                .any(|(job, place)| job == job_id && is_there(place))
        })
    }

    async fn results(&mut self, job_id: &str) -> Goes {
        let kinds = [
            (ResultKind::Bucket, "bucket"),
            (ResultKind::Record, "record"),
            (ResultKind::Influencer, "influencer"),
            (ResultKind::ModelPlot, "model_plot"),
            (ResultKind::Category, "category_definition"),
            (ResultKind::Forest, "forest"),
        ];
        for (kind, name) in kinds {
            let is_timed = kind != ResultKind::Category;
            if !self.bounds.allows_type(Some(name)) || (self.bounds.is_timed() && !is_timed) {
                continue;
            }
            let mut sql = self.select_results(job_id, kind);
            let mut rows = sql.build().fetch(&mut *self.conn);
            while let Some(row) = rows.try_next().await? {
                let doc: &str = row.try_get(1)?;
                let source: Value = serde_json::from_str(doc).unwrap_or_default();
                let id = match row.try_get::<Option<String>, _>(2)? {
                    Some(id) => id,
                    None => names::of_result(job_id, kind, row.try_get(0)?, &source),
                };
                if !(self.visit)(Found { id, source }) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn select_results(&self, job_id: &str, kind: ResultKind) -> QueryBuilder<Sqlite> {
        let mut sql = QueryBuilder::new("SELECT timestamp, doc, id FROM results WHERE job_id = ");
        sql.push_bind(job_id.to_owned());
        sql.push(" AND kind = ").push_bind(kind as i64);
        let bounds = self.bounds;
        if let Some(start) = bounds.start {
            sql.push(" AND timestamp >= ").push_bind(start);
        }
        if let Some(end) = bounds.end {
            sql.push(" AND timestamp <= ").push_bind(end);
        }
        if let Some(least) = bounds.min_score {
            sql.push(" AND score >= ").push_bind(least);
        }
        if let Some(is_interim) = bounds.is_interim {
            sql.push(" AND is_interim = ").push_bind(is_interim);
        }
        if let (Some(places), Some(ids)) = (&self.places, &bounds.ids) {
            let times: Value = places
                .iter()
                .filter(|(job, _)| job == job_id)
                .filter_map(|(_, place)| match place {
                    Place::Result(of, time) if *of == kind => Some(*time),
                    _ => None,
                })
                .collect();
            let ids: Value = ids.iter().map(String::as_str).collect();
            sql.push(" AND (id IN (SELECT value FROM json_each(")
                .push_bind(ids.to_string());
            sql.push(")) OR timestamp IN (SELECT value FROM json_each(")
                .push_bind(times.to_string());
            sql.push(")))");
        }
        sql.push(" ORDER BY timestamp, seq");
        sql
    }

    async fn stats(&mut self, job_id: &str) -> Goes {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT kind, doc FROM job_stats WHERE job_id = ? ORDER BY kind")
                .bind(job_id)
                .fetch_all(&mut *self.conn)
                .await?;
        for (kind, doc) in rows {
            let source: Value = serde_json::from_str(&doc).unwrap_or_default();
            // As long as there is nothing to tell of, Elasticsearch has no such document.
            let is_empty = kind == "timing_stats" && source["bucket_count"] == 0;
            let id = names::of_stats(job_id, &kind, &source);
            if !is_empty && !(self.visit)(Found { id, source }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn snapshots(&mut self, job_id: &str) -> Goes {
        if !self.bounds.allows_type(None)
            || !self.may_be(job_id, |place| matches!(place, Place::Snapshot(_)))
        {
            return Ok(true);
        }
        let mut rows = sqlx::query(
            "SELECT snapshot_id, doc FROM snapshots WHERE job_id = ? ORDER BY timestamp, snapshot_id",
        )
        .bind(job_id)
        .fetch(&mut *self.conn);
        while let Some(row) = rows.try_next().await? {
            let source = serde_json::from_str(row.try_get(1)?).unwrap_or_default();
            let id = names::of_snapshot(job_id, row.try_get(0)?);
            if !(self.visit)(Found { id, source }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn forecasts(&mut self, job_id: &str) -> Goes {
        let is_meant = self
            .bounds
            .allows_type(Some("model_forecast_request_stats"));
        if !is_meant || !self.may_be(job_id, |place| matches!(place, Place::Forecast(_))) {
            return Ok(true);
        }
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT forecast_id, doc FROM forecasts WHERE job_id = ? ORDER BY created, number",
        )
        .bind(job_id)
        .fetch_all(&mut *self.conn)
        .await?;
        for (forecast_id, doc) in rows {
            let source = serde_json::from_str(&doc).unwrap_or_default();
            let id = names::of_forecast(job_id, &forecast_id);
            if !(self.visit)(Found { id, source }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn points(&mut self, job_id: &str) -> Goes {
        let is_meant = self.bounds.allows_type(Some("model_forecast"));
        if !is_meant || !self.may_be(job_id, |place| matches!(place, Place::ForecastPoint(..))) {
            return Ok(true);
        }
        let mut rows = sqlx::query(
            "SELECT f.forecast_id, p.timestamp, p.lower, p.prediction, p.upper, s.doc
             FROM forecasts f JOIN forecast_points p ON p.forecast = f.number
             JOIN forecast_series s ON s.forecast = p.forecast AND s.series = p.series
             WHERE f.job_id = ? AND p.timestamp >= ? AND p.timestamp <= ?
             ORDER BY f.created, f.number, p.timestamp, p.series",
        )
        .bind(job_id)
        .bind(self.bounds.start.unwrap_or(i64::MIN))
        .bind(self.bounds.end.unwrap_or(i64::MAX))
        .fetch(&mut *self.conn);
        while let Some(row) = rows.try_next().await? {
            let (forecast_id, timestamp): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            let mut source: Value =
                serde_json::from_str(row.try_get(5)?).unwrap_or_else(|_| json!({}));
            source["job_id"] = job_id.into();
            source["result_type"] = "model_forecast".into();
            source["forecast_id"] = forecast_id.as_str().into();
            source["timestamp"] = timestamp.into();
            source["forecast_lower"] = row.try_get::<f64, _>(2)?.into();
            source["forecast_prediction"] = row.try_get::<f64, _>(3)?.into();
            source["forecast_upper"] = row.try_get::<f64, _>(4)?.into();
            let id = names::of_point(job_id, &forecast_id, timestamp, &source);
            if !(self.visit)(Found { id, source }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn annotations(&mut self, only: Option<&str>) -> Goes {
        let mut rows = sqlx::query(
            "SELECT annotation_id, doc FROM annotations WHERE ?1 IS NULL OR job_id = ?1
             ORDER BY job_id, timestamp, annotation_id",
        )
        .bind(only)
        .fetch(&mut *self.conn);
        while let Some(row) = rows.try_next().await? {
            let found = Found {
                id: row.try_get(0)?,
                source: serde_json::from_str(row.try_get(1)?).unwrap_or_default(),
            };
            if !(self.visit)(found) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn notifications(&mut self, only: Option<&str>) -> Goes {
        let mut rows = sqlx::query(
            "SELECT id, document_id, job_id, level, message, timestamp FROM notifications
             WHERE ?1 IS NULL OR job_id = ?1 ORDER BY id",
        )
        .bind(only)
        .fetch(&mut *self.conn);
        while let Some(row) = rows.try_next().await? {
            let number: i64 = row.try_get(0)?;
            let mut source = json!({
                "message": row.try_get::<String, _>(4)?, "level": row.try_get::<String, _>(3)?,
                "timestamp": row.try_get::<i64, _>(5)?,
            });
            // A message about no job is one about the system.
            let job_id: Option<String> = row.try_get(2)?;
            source["job_type"] = if job_id.is_some() {
                "anomaly_detector"
            } else {
                "system"
            }
            .into();
            if let Some(job_id) = job_id {
                source["job_id"] = job_id.into();
            }
            let id: Option<String> = row.try_get(1)?;
            let id = id.unwrap_or_else(|| format!("notification_{number}"));
            if !(self.visit)(Found { id, source }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One document a snapshot that has a state, as Elasticsearch has them; the state itself is not told.
    async fn states(&mut self, only: Option<&str>) -> Goes {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT job_id, snapshot_id FROM snapshots WHERE size > 0 AND (?1 IS NULL OR job_id = ?1)
             ORDER BY job_id, timestamp, snapshot_id",
        )
        .bind(only)
        .fetch_all(&mut *self.conn)
        .await?;
        let mut last = None;
        for (job_id, snapshot_id) in rows {
            if last.as_ref() != Some(&job_id) {
                let quantiles = Found {
                    id: format!("{job_id}_quantiles"),
                    source: json!({"job_id": job_id}),
                };
                if !(self.visit)(quantiles) {
                    return Ok(false);
                }
            }
            let found = Found {
                id: format!("{job_id}_model_state_{snapshot_id}#1"),
                source: json!({"job_id": job_id, "snapshot_id": snapshot_id}),
            };
            if !(self.visit)(found) {
                return Ok(false);
            }
            last = Some(job_id);
        }
        Ok(true)
    }

    async fn others(&mut self, index: &str, only: Option<&str>) -> Goes {
        let mut sql =
            QueryBuilder::<Sqlite>::new("SELECT id, doc FROM documents WHERE index_name = ");
        sql.push_bind(index.to_owned());
        if let Some(only) = only {
            sql.push(" AND job_id = ").push_bind(only.to_owned());
        }
        if let Some(ids) = &self.bounds.ids {
            let ids: Value = ids.iter().map(String::as_str).collect();
            sql.push(" AND id IN (SELECT value FROM json_each(")
                .push_bind(ids.to_string());
            sql.push("))");
        }
        sql.push(" ORDER BY id");
        let mut rows = sql.build().fetch(&mut *self.conn);
        while let Some(row) = rows.try_next().await? {
            let found = Found {
                id: row.try_get(0)?,
                source: serde_json::from_str(row.try_get(1)?).unwrap_or_default(),
            };
            if !(self.visit)(found) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
