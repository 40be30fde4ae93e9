//! What random cut forests said of their entities.

use serde_json::json;
use sqlx::{QueryBuilder, Sqlite};

use super::{ResultKind, ResultPage};
use crate::Store;
use crate::error::Result;

/// Which results of a job's forests to read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForestQuery {
    pub job_id: String,
    /// The first timestamp, inclusive, in milliseconds.
    pub start: Option<i64>,
    /// The end, exclusive, in milliseconds.
    pub end: Option<i64>,
    /// Only those of one entity: its split fields and their values, the partition field first.
    pub entity: Option<Vec<(String, String)>>,
    /// Only those with a grade above 0.
    pub anomalies_only: bool,
    pub exclude_interim: bool,
    /// The newest first; else the oldest.
    pub descending: bool,
    /// How many matches to pass over.
    pub from: i64,
    /// The most documents to return; 0 only counts.
    pub size: i64,
}

/// An entity of a job's forests, and which numbers of its first feature there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForestEntity {
    /// Its split fields and their values, as results have them: JSON.
    pub entity: String,
    /// It was measured.
    pub has_value: bool,
    /// Its forest could tell.
    pub has_score: bool,
    pub has_upper: bool,
    pub has_lower: bool,
}

impl Store {
    /// The entities that have results, each once. Pages mean nothing here.
    pub async fn forest_entities(&self, q: &ForestQuery) -> Result<Vec<ForestEntity>> {
        const FOUND: &str = "json_extract(doc, '$.entity'),
            MAX(json_extract(doc, '$.values[0]') IS NOT NULL AND json_extract(doc, '$.imputed[0]') IS NOT 1),
            MAX(score > 0 OR json_extract(doc, '$.upper[0]') IS NOT NULL),
            MAX(json_extract(doc, '$.upper[0]') IS NOT NULL),
            MAX(json_extract(doc, '$.lower[0]') IS NOT NULL)";
        let mut sql = select(FOUND, q);
        sql.push(" GROUP BY 1");
        let rows: Vec<(Option<String>, bool, bool, bool, bool)> =
            sql.build_query_as().fetch_all(self.readers()).await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(
                |(entity, has_value, has_score, has_upper, has_lower)| ForestEntity {
                    entity: entity.unwrap_or_else(|| "[]".to_owned()),
                    has_value,
                    has_score,
                    has_upper,
                    has_lower,
                },
            )
            .collect())
    }

    /// A page of what forests said, by time, and how many match in all; both of the same moment. The documents are
    /// those of [`ForestResult`](tidewatch_model::forest::ForestResult) with `job_id` and `result_type`.
    pub async fn forest_results(&self, q: &ForestQuery) -> Result<ResultPage> {
        let direction = if q.descending { "DESC" } else { "ASC" };
        let order = |page: &mut QueryBuilder<Sqlite>| {
            page.push(format_args!(" ORDER BY timestamp {direction}, seq"));
        };
        self.page(|what| select(what, q), order, q.from, q.size)
            .await
    }
}

fn select(what: &str, q: &ForestQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!("SELECT {what} FROM results WHERE job_id = "));
    sql.push_bind(q.job_id.clone());
    sql.push(" AND kind = ")
        .push_bind(ResultKind::Forest as i64);
    if let Some(start) = q.start {
        sql.push(" AND timestamp >= ").push_bind(start);
    }
    if let Some(end) = q.end {
        sql.push(" AND timestamp < ").push_bind(end);
    }
    if q.anomalies_only {
        sql.push(" AND score > 0");
    }
    if q.exclude_interim {
        sql.push(" AND is_interim = 0");
    }
    if let Some(entity) = &q.entity {
        for (place, (name, value)) in entity.iter().enumerate() {
            // Both are written by the same hand: equal fields are equal texts.
            let field = json!({"name": name, "value": value}).to_string();
            sql.push(format_args!(
                " AND json_extract(doc, '$.entity[{place}]') = "
            ));
            sql.push_bind(field);
        }
        sql.push(" AND json_array_length(doc, '$.entity') = ")
            .push_bind(entity.len() as i64);
    }
    sql
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::results::{ResultRow, ResultWrite};
    use crate::testing::{open_with_job, tempdir};

    use super::*;

    #[tokio::test]
    async fn forest_results_are_read_by_time_entity_and_page() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let row = |timestamp: i64, seq: i32, host: &str| ResultRow {
            kind: ResultKind::Forest,
            timestamp,
            seq,
            score: 50.0 * f64::from(seq),
            is_interim: timestamp == 3,
            doc: json!({"entity": [{"name": "host", "value": host}], "at": timestamp}).to_string(),
        };
        let odd = "o\"d\u{e9}\\";
        let rows = (0..4).flat_map(|time| [row(time, 0, "a"), row(time, 1, odd)]);
        let write = ResultWrite {
            rows: rows.collect(),
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        let all = ForestQuery {
            job_id: "j".into(),
            size: 100,
            ..ForestQuery::default()
        };
        let read = async |q: ForestQuery| {
            let page = store.forest_results(&q).await.unwrap();
            let times = page.docs.iter().map(|doc| {
                let doc: Value = serde_json::from_str(doc).unwrap();
                doc["at"].as_i64().unwrap()
            });
            (page.count, times.collect::<Vec<_>>())
        };
        assert_eq!(read(all.clone()).await.0, 8);
        let one = ForestQuery {
            entity: Some(vec![("host".into(), odd.into())]),
            start: Some(1),
            exclude_interim: true,
            descending: true,
            ..all.clone()
        };
        assert_eq!(read(one.clone()).await, (2, vec![2, 1]));
        let page = ForestQuery {
            from: 1,
            size: 1,
            anomalies_only: true,
            entity: None,
            ..one
        };
        assert_eq!(read(page).await, (2, vec![1]));
        let none = ForestQuery {
            entity: Some(Vec::new()),
            ..all
        };
        assert_eq!(store.forest_entities(&none).await.unwrap(), []);
        assert_eq!(read(none).await, (0, vec![]));
        // A bucket that is written again takes them along.
        let bucket = ResultRow {
            kind: ResultKind::Bucket,
            ..row(2, 0, "")
        };
        let again = ResultWrite {
            rows: vec![bucket],
            ..ResultWrite::default()
        };
        store.write_results("j", again).await.unwrap();
        assert_eq!(store.count_results_before("j", 2).await.unwrap(), 4);
        assert_eq!(store.count_results_before("j", 3).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn entities_are_told_with_what_there_is_of_them() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let row = |timestamp: i64, seq: i32, host: &str, mut doc: Value| {
            doc["entity"] = json!([{"name": "host", "value": host}]);
            let score = doc["anomaly_grade"].as_f64().unwrap_or_default();
            ResultRow {
                kind: ResultKind::Forest,
                timestamp,
                seq,
                score: 100.0 * score,
                is_interim: false,
                doc: doc.to_string(),
            }
        };
        let whole = json!({"values": [1.0], "upper": [2.0], "lower": [0.0]});
        let rows = vec![
            row(1, 0, "a", json!({"values": [1.0]})),
            row(1, 1, "b", json!({"values": [1.0], "imputed": [true]})),
            row(2, 0, "a", whole.clone()),
            row(
                2,
                1,
                "b",
                json!({"values": [1.0], "imputed": [true], "anomaly_grade": 0.5}),
            ),
            row(
                3,
                0,
                "c",
                json!({"values": [0.0, 1.0], "imputed": [false, true]}),
            ),
            row(9, 0, "d", whole),
        ];
        let write = ResultWrite {
            rows,
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        let query = |start, end| ForestQuery {
            job_id: "j".into(),
            start: Some(start),
            end: Some(end),
            ..ForestQuery::default()
        };
        let told = async |start, end| {
            let entities = store.forest_entities(&query(start, end)).await.unwrap();
            let each = entities.into_iter().map(|of| {
                let entity: Value = serde_json::from_str(&of.entity).unwrap();
                let name = entity[0]["value"].as_str().unwrap().to_owned();
                (
                    name,
                    [of.has_value, of.has_score, of.has_upper, of.has_lower],
                )
            });
            each.collect::<Vec<_>>()
        };
        let of = |name: &str, has: [bool; 4]| (name.to_owned(), has);
        assert_eq!(
            told(1, 9).await,
            [
                of("a", [true; 4]),
                of("b", [false, true, false, false]),
                of("c", [true, false, false, false]),
            ]
        );
        assert_eq!(
            told(1, 2).await,
            [of("a", [true, false, false, false]), of("b", [false; 4]),]
        );
        assert_eq!(told(9, 10).await, [of("d", [true; 4])]);
    }
}
