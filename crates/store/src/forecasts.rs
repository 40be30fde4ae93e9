//! Forecasts: what was asked, and the points that came of it

use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};

use crate::Store;
use crate::error::{Result, StoreError};

/// Points of one statement: it has six parameters a point, of which SQLite takes 32,766.
const ROWS: usize = 5_000;
/// Points that are deleted at a time: the writer serves others between.
const PIECE: u64 = 20_000;

/// A forecast as a whole. (job, forecast id) names it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ForecastRow {
    pub job_id: String,
    pub forecast_id: String,
    /// When it was asked for, in milliseconds.
    pub created: i64,
    /// When it may be deleted, in milliseconds; never without.
    pub expires: Option<i64>,
    /// Whether it is still being made, or waits for that.
    pub running: bool,
    /// The request with what became of it, JSON.
    pub doc: String,
}

/// The points of one series of a forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastSeriesRow {
    /// What they have in common, JSON. Points of the same text are one series.
    pub doc: String,
    pub points: Vec<ForecastPoint>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastPoint {
    /// The start of its bucket, in milliseconds.
    pub timestamp: i64,
    /// None of these may be NaN.
    pub lower: f64,
    pub prediction: f64,
    pub upper: f64,
}

/// A page of a forecast's points, by time and then in the order in which series were written.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastPage {
    /// All that match, not only those of the page.
    pub count: i64,
    /// Each with the document of its series.
    pub points: Vec<(String, ForecastPoint)>,
}

impl Store {
    /// Puts down a forecast that nothing is known of yet.
    ///
    /// # Errors
    /// [`NoSuchJob`](StoreError::NoSuchJob); [`Database`](StoreError::Database) when the job has one of that id.
    pub async fn insert_forecast(&self, row: &ForecastRow) -> Result<()> {
        let row = row.clone();
        let job_id = row.job_id.clone();
        self.write_for(&job_id, move |conn, _| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO forecasts (job_id, forecast_id, created, expires, running, doc)
                     VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(row.job_id)
                .bind(row.forecast_id)
                .bind(row.created)
                .bind(row.expires)
                .bind(row.running)
                .bind(row.doc)
                .execute(conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Writes points of a forecast, over those of the same time and series, and what is to be said of it now, in one
    /// transaction. `false`: the forecast is gone, and nothing was written.
    pub async fn write_forecast(
        &self,
        row: &ForecastRow,
        series: Vec<ForecastSeriesRow>,
    ) -> Result<bool> {
        let row = row.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let number: Option<i64> = sqlx::query_scalar(
                    "UPDATE forecasts SET running = ?, doc = ? WHERE job_id = ? AND forecast_id = ?
                     RETURNING number",
                )
                .bind(row.running)
                .bind(row.doc)
                .bind(row.job_id)
                .bind(row.forecast_id)
                .fetch_optional(&mut *conn)
                .await?;
                let Some(number) = number else {
                    return Ok(false);
                };
                for one in series {
                    save_points(conn, number, one).await?;
                }
                Ok(true)
            })
        })
        .await
    }

    /// The forecasts of one job, or with `None` of all; the oldest of a job first.
    pub async fn forecasts(&self, job_id: Option<&str>) -> Result<Vec<ForecastRow>> {
        let mut sql = QueryBuilder::new(
            "SELECT job_id, forecast_id, created, expires, running, doc FROM forecasts",
        );
        if let Some(job_id) = job_id {
            sql.push(" WHERE job_id = ").push_bind(job_id);
        }
        sql.push(" ORDER BY job_id, created, number");
        Ok(sql.build_query_as().fetch_all(self.readers()).await?)
    }

    /// Those that are said to run. After a start, nobody is at work on them.
    pub async fn running_forecasts(&self) -> Result<Vec<ForecastRow>> {
        let rows = sqlx::query_as(
            "SELECT job_id, forecast_id, created, expires, running, doc FROM forecasts WHERE running = 1",
        )
        .fetch_all(self.readers())
        .await?;
        Ok(rows)
    }

    /// A page of points from `start` to before `end`, in milliseconds. Empty for a forecast that isn't there.
    pub async fn forecast_points(
        &self,
        job_id: &str,
        forecast_id: &str,
        bounds: (Option<i64>, Option<i64>),
        from: i64,
        size: i64,
    ) -> Result<ForecastPage> {
        let within = |select: &'static str| {
            let mut sql = QueryBuilder::<Sqlite>::new(select);
            sql.push(" FROM forecast_points p JOIN forecasts f ON f.number = p.forecast");
            sql
        };
        let matching = |sql: &mut QueryBuilder<Sqlite>| {
            sql.push(" WHERE f.job_id = ").push_bind(job_id.to_owned());
            sql.push(" AND f.forecast_id = ")
                .push_bind(forecast_id.to_owned());
            if let Some(start) = bounds.0 {
                sql.push(" AND p.timestamp >= ").push_bind(start);
            }
            if let Some(end) = bounds.1 {
                sql.push(" AND p.timestamp < ").push_bind(end);
            }
        };
        let mut tx = self.readers().begin().await?;
        let mut sql = within("SELECT COUNT(*)");
        matching(&mut sql);
        let count: i64 = sql.build_query_scalar().fetch_one(&mut *tx).await?;
        let mut sql = within("SELECT s.doc, p.timestamp, p.lower, p.prediction, p.upper");
        sql.push(" JOIN forecast_series s ON s.forecast = p.forecast AND s.series = p.series");
        matching(&mut sql);
        sql.push(" ORDER BY p.timestamp, p.series LIMIT ")
            .push_bind(size);
        sql.push(" OFFSET ").push_bind(from.max(0));
        let rows: Vec<(String, i64, f64, f64, f64)> =
            sql.build_query_as().fetch_all(&mut *tx).await?;
        let points = rows
            .into_iter()
            .map(|(doc, timestamp, lower, prediction, upper)| {
                let point = ForecastPoint {
                    timestamp,
                    lower,
                    prediction,
                    upper,
                };
                (doc, point)
            });
        Ok(ForecastPage {
            count,
            points: points.collect(),
        })
    }

    /// Deletes a forecast, its points first, in pieces; `false` when it isn't there.
    pub async fn delete_forecast(&self, job_id: &str, forecast_id: &str) -> Result<bool> {
        let ids = (job_id.to_owned(), forecast_id.to_owned());
        loop {
            let (job_id, forecast_id) = ids.clone();
            let deleted = self.write(move |conn| {
                Box::pin(async move {
                    // By its name each time: the number of one that goes meanwhile may be another's then.
                    let done = sqlx::query(
                        "DELETE FROM forecast_points WHERE (forecast, timestamp, series) IN
                         (SELECT forecast, timestamp, series FROM forecast_points WHERE forecast =
                          (SELECT number FROM forecasts WHERE job_id = ? AND forecast_id = ?) LIMIT ?)",
                    )
                    .bind(job_id)
                    .bind(forecast_id)
                    .bind(PIECE as i64)
                    .execute(conn)
                    .await?;
                    Ok(done.rows_affected())
                })
            });
            if deleted.await? < PIECE {
                break;
            }
        }
        let (job_id, forecast_id) = ids;
        self.write(move |conn| {
            Box::pin(async move {
                let done =
                    sqlx::query("DELETE FROM forecasts WHERE job_id = ? AND forecast_id = ?")
                        .bind(job_id)
                        .bind(forecast_id)
                        .execute(conn)
                        .await?;
                Ok(done.rows_affected() > 0)
            })
        })
        .await
    }

    /// Deletes up to `most` forecasts that have ended and expired before `now`; gives how many.
    pub async fn delete_expired_forecasts(&self, now: i64, most: i64) -> Result<u64> {
        let expired: Vec<(String, String)> = sqlx::query_as(
            "SELECT job_id, forecast_id FROM forecasts WHERE expires < ? AND running = 0 LIMIT ?",
        )
        .bind(now)
        .bind(most)
        .fetch_all(self.readers())
        .await?;
        let mut deleted = 0;
        for (job_id, forecast_id) in expired {
            deleted += u64::from(self.delete_forecast(&job_id, &forecast_id).await?);
        }
        Ok(deleted)
    }
}

/// Writes a point that comes on its own, of a forecast that may not be known yet.
pub(crate) async fn adopt_point(
    conn: &mut SqliteConnection,
    forecast: ForecastRow,
    series: String,
    point: ForecastPoint,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO forecasts (job_id, forecast_id, created, expires, running, doc)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&forecast.job_id)
    .bind(&forecast.forecast_id)
    .bind(forecast.created)
    .bind(forecast.expires)
    .bind(forecast.running)
    .bind(forecast.doc)
    .execute(&mut *conn)
    .await?;
    let number: i64 =
        sqlx::query_scalar("SELECT number FROM forecasts WHERE job_id = ? AND forecast_id = ?")
            .bind(forecast.job_id)
            .bind(forecast.forecast_id)
            .fetch_one(&mut *conn)
            .await?;
    let one = ForecastSeriesRow {
        doc: series,
        points: vec![point],
    };
    save_points(conn, number, one).await
}

async fn save_points(
    conn: &mut SqliteConnection,
    forecast: i64,
    series: ForecastSeriesRow,
) -> Result<(), StoreError> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT series FROM forecast_series WHERE forecast = ? AND doc = ?")
            .bind(forecast)
            .bind(&series.doc)
            .fetch_optional(&mut *conn)
            .await?;
    let number = match known {
        Some(number) => number,
        None => {
            sqlx::query_scalar(
                "INSERT INTO forecast_series (forecast, series, doc)
                 SELECT ?1, COALESCE(MAX(series) + 1, 0), ?2 FROM forecast_series WHERE forecast = ?1
                 RETURNING series",
            )
            .bind(forecast)
            .bind(series.doc)
            .fetch_one(&mut *conn)
            .await?
        }
    };
    for points in series.points.chunks(ROWS) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO forecast_points (forecast, timestamp, series, lower, prediction, upper) ",
        );
        sql.push_values(points, |mut row, point| {
            row.push_bind(forecast)
                .push_bind(point.timestamp)
                .push_bind(number)
                .push_bind(point.lower)
                .push_bind(point.prediction)
                .push_bind(point.upper);
        });
        sql.push(
            " ON CONFLICT DO UPDATE SET lower = excluded.lower, prediction = excluded.prediction,
             upper = excluded.upper",
        );
        sql.build().execute(&mut *conn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{open_with_job, tempdir};

    fn forecast(id: &str, expires: Option<i64>, running: bool) -> ForecastRow {
        ForecastRow {
            job_id: "j".to_owned(),
            forecast_id: id.to_owned(),
            created: 5,
            expires,
            running,
            doc: format!(r#"{{"forecast_id":"{id}"}}"#),
        }
    }

    fn series(doc: &str, times: std::ops::Range<i64>, prediction: f64) -> ForecastSeriesRow {
        let point = |timestamp| ForecastPoint {
            timestamp,
            lower: prediction - 1.0,
            prediction,
            upper: prediction + 1.0,
        };
        ForecastSeriesRow {
            doc: doc.to_owned(),
            points: times.map(point).collect(),
        }
    }

    #[tokio::test]
    async fn points_come_by_time_and_a_second_writing_replaces_the_first() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let mut row = forecast("f", None, true);
        store.insert_forecast(&row).await.unwrap();
        let all = vec![series("a", 0..7_000, 1.0), series("b", 10..20, 2.0)];
        assert!(store.write_forecast(&row, all).await.unwrap());
        row.running = false;
        row.doc = "{}".to_owned();
        let again = vec![series("a", 0..12, 3.0)];
        assert!(store.write_forecast(&row, again).await.unwrap());

        let page = store
            .forecast_points("j", "f", (Some(9), Some(14)), 1, 4)
            .await
            .unwrap();
        assert_eq!(page.count, 9);
        let told: Vec<(&str, i64, f64)> = page
            .points
            .iter()
            .map(|(doc, point)| (doc.as_str(), point.timestamp, point.prediction))
            .collect();
        assert_eq!(
            told,
            [
                ("a", 10, 3.0),
                ("b", 10, 2.0),
                ("a", 11, 3.0),
                ("b", 11, 2.0)
            ]
        );
        assert_eq!(store.forecasts(Some("j")).await.unwrap(), [row]);
        assert!(store.running_forecasts().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_has_expired_goes_with_its_points_and_nothing_else() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        for (id, expires, running) in [
            ("old", Some(10), false),
            ("at work", Some(10), true),
            ("kept", None, false),
            ("new", Some(11), false),
        ] {
            let row = forecast(id, expires, running);
            store.insert_forecast(&row).await.unwrap();
            let points = vec![series("a", 0..3, 1.0)];
            assert!(store.write_forecast(&row, points).await.unwrap());
        }
        assert_eq!(store.delete_expired_forecasts(11, 100).await.unwrap(), 1);
        let left: Vec<String> = store
            .forecasts(None)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.forecast_id)
            .collect();
        assert_eq!(left, ["at work", "kept", "new"]);
        let points = async |id: &str| {
            store
                .forecast_points("j", id, (None, None), 0, 9)
                .await
                .unwrap()
                .count
        };
        assert_eq!((points("old").await, points("kept").await), (0, 3));

        assert!(store.delete_forecast("j", "kept").await.unwrap());
        assert!(!store.delete_forecast("j", "kept").await.unwrap());
        let gone = forecast("kept", None, false);
        assert!(!store.write_forecast(&gone, Vec::new()).await.unwrap());

        // More than goes at a time, and the points of another stay.
        let large = forecast("large", Some(1), false);
        store.insert_forecast(&large).await.unwrap();
        let points = vec![series("a", 0..2 * PIECE as i64 + 1, 1.0)];
        assert!(store.write_forecast(&large, points).await.unwrap());
        assert_eq!(store.delete_expired_forecasts(2, 100).await.unwrap(), 1);
        let points: Vec<i64> =
            sqlx::query_scalar("SELECT COUNT(*) FROM forecast_points GROUP BY forecast")
                .fetch_all(store.readers())
                .await
                .unwrap();
        assert_eq!(points, [3, 3]);
        store
            .delete_job("j", crate::Annotations::All)
            .await
            .unwrap();
        assert!(store.forecasts(None).await.unwrap().is_empty());
        assert!(matches!(
            store.insert_forecast(&gone).await,
            Err(StoreError::NoSuchJob { .. })
        ));
    }
}
