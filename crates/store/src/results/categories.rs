//! Categories: results that have no time.

use sqlx::{QueryBuilder, Sqlite};

use super::{ResultKind, ResultPage};
use crate::Store;
use crate::error::Result;

/// Which categories of a job to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CategoryQuery {
    pub job_id: String,
    pub category_id: Option<i64>,
    /// Only those of a partition, by its value.
    pub partition: Option<String>,
    /// How many matches to pass over.
    pub from: i64,
    /// The most documents to return; 0 only counts.
    pub size: i64,
}

impl Store {
    /// A page of a job's categories, by id, and how many match in all; both of the same moment.
    pub async fn categories(&self, q: &CategoryQuery) -> Result<ResultPage> {
        let order = |page: &mut QueryBuilder<Sqlite>| {
            page.push(" ORDER BY timestamp");
        };
        self.page(|what| select(what, q), order, q.from, q.size)
            .await
    }
}

fn select(what: &str, q: &CategoryQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!("SELECT {what} FROM results WHERE job_id = "));
    sql.push_bind(q.job_id.clone());
    sql.push(" AND kind = ")
        .push_bind(ResultKind::Category as i64);
    if let Some(id) = q.category_id {
        sql.push(" AND timestamp = ").push_bind(id);
    }
    if let Some(partition) = &q.partition {
        sql.push(" AND json_extract(doc, '$.partition_field_value') = ");
        sql.push_bind(partition.clone());
    }
    sql
}

#[cfg(test)]
mod tests {
    use crate::results::{ResultRow, ResultWrite};
    use crate::testing::{open_with_job, tempdir};

    use super::*;

    #[tokio::test]
    async fn categories_are_read_by_id_and_partition_and_stay_when_results_age() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let row = |id: i64, partition: &str| ResultRow {
            kind: ResultKind::Category,
            timestamp: id,
            seq: 0,
            score: 0.0,
            is_interim: false,
            doc: format!(r#"{{"category_id":{id},"partition_field_value":"{partition}"}}"#),
        };
        let write = ResultWrite {
            rows: vec![row(10, "b"), row(2, "a"), row(1, "b")],
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        store.delete_results_before("j", i64::MAX, 9).await.unwrap();
        let all = CategoryQuery {
            job_id: "j".into(),
            size: 100,
            ..CategoryQuery::default()
        };
        let read = async |q: CategoryQuery| {
            let page = store.categories(&q).await.unwrap();
            let ids = page.docs.iter().map(|doc| {
                let doc = doc.trim_start_matches("{\"category_id\":");
                doc.split(',').next().unwrap_or_default().to_owned()
            });
            (page.count, ids.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(read(all.clone()).await, (3, "1 2 10".to_owned()));
        let page = CategoryQuery {
            from: 1,
            size: 1,
            ..all.clone()
        };
        assert_eq!(read(page).await, (3, "2".to_owned()));
        let one = CategoryQuery {
            category_id: Some(10),
            ..all.clone()
        };
        assert_eq!(read(one).await, (1, "10".to_owned()));
        let partition = CategoryQuery {
            partition: Some("b".into()),
            ..all
        };
        assert_eq!(read(partition).await, (2, "1 10".to_owned()));
    }
}
