//! Documents that Elasticsearch has in indices alone: model plots, forecasts and annotations. For these a right to read
//! `.ml-anomalies-*` and `.ml-annotations*` is needed.

use serde_json::{Value, json};

use super::http::{Failure, Remote};
use super::kind::Kind;
use super::source::{Stretch, Taker};

const PAGE: usize = 2_000;
/// How long Elasticsearch holds the view of an index between two pages.
const HELD: &str = "5m";

pub struct Search {
    index: String,
    query: Value,
}

impl Search {
    pub fn new(job_id: &str, kind: Kind, stretch: Stretch) -> Self {
        let mut filter = vec![json!({"term": {"job_id": job_id}})];
        if let Some(name) = kind.result_type() {
            filter.push(json!({"term": {"result_type": name}}));
        }
        if stretch.start.is_some() || stretch.end.is_some() {
            let mut range = json!({"format": "epoch_millis"});
            for (name, bound) in [("gte", stretch.start), ("lt", stretch.end)] {
                if let Some(bound) = bound {
                    range[name] = bound.into();
                }
            }
            filter.push(json!({"range": {"timestamp": range}}));
        }
        Self {
            index: match kind {
                Kind::Annotation => ".ml-annotations-read".to_owned(),
                _ => format!(".ml-anomalies-{job_id}"),
            },
            query: json!({"bool": {"filter": filter}}),
        }
    }

    pub fn count(&self, remote: &Remote) -> Result<u64, Failure> {
        let path = format!("/{}/_count", self.index);
        let answer = remote.send("POST", &path, &json!({"query": self.query}))?;
        Ok(answer["count"].as_u64().unwrap_or(0))
    }

    pub fn read(&self, remote: &Remote, take: &mut Taker<'_>) -> anyhow::Result<Option<String>> {
        let path = format!("/{}/_pit?keep_alive={HELD}", self.index);
        let mut view = match remote.send("POST", &path, &Value::Null) {
            Ok(mut opened) => opened["id"].take(),
            // No annotation was ever written.
            Err(failure) if failure.is_missing() => return Ok(None),
            Err(failure) if failure.is_final() => return Err(failure.into()),
            Err(failure) => {
                let index = &self.index;
                return Ok(Some(format!("the index {index} can't be read: {failure}")));
            }
        };
        let outcome = self.read_view(remote, &mut view, take);
        // A view that isn't closed ends by itself.
        let _ = remote.send("DELETE", "/_pit", &json!({"id": view}));
        outcome.map(|()| None)
    }

    fn read_view(
        &self,
        remote: &Remote,
        view: &mut Value,
        take: &mut Taker<'_>,
    ) -> anyhow::Result<()> {
        let mut after = Value::Null;
        loop {
            let mut request = json!({
                "size": PAGE,
                "pit": {"id": view, "keep_alive": HELD},
                "query": self.query,
                // The view's own order of documents decides between those of one time.
                "sort": [{"timestamp": {"order": "asc", "unmapped_type": "date"}}],
                "track_total_hits": false
            });
            if !after.is_null() {
                request["search_after"] = after;
            }
            let mut answer = remote.send("POST", "/_search", &request)?;
            if !answer["pit_id"].is_null() {
                *view = answer["pit_id"].take();
            }
            let Value::Array(mut hits) = answer["hits"]["hits"].take() else {
                anyhow::bail!("the answer to a search has no hits");
            };
            let Some(last) = hits.last_mut() else {
                return Ok(());
            };
            after = last["sort"].take();
            take(
                hits.into_iter()
                    .map(|mut hit| hit["_source"].take())
                    .collect(),
            )?;
        }
    }
}
