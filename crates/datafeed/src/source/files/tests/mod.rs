//! Files through the source, as a datafeed reads them.

mod damage;
mod growing;
mod names;
mod parquet;
mod windows;

use std::io::Write;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::IndicesOptions;
use crate::projection::tests::{Read, projection};

/// Milliseconds of a minute in which the records of tests are.
pub const DAY: Window = Window {
    start: 0,
    end: 86_400_000,
};

pub fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn wanted(indices: &[&str]) -> Wanted {
    Wanted {
        datafeed_id: "feed".to_owned(),
        indices: indices.iter().map(|name| name.to_string()).collect(),
        query: Map::new(),
        aggregations: None,
        runtime_mappings: Map::new(),
        script_fields: Map::new(),
        indices_options: IndicesOptions::default(),
        histogram: None,
        page_size: 1000,
        projection: Arc::new(projection()),
        written_time: TimeFormat::EpochMs,
        bucket_span: 60_000,
        summary_is_doc_count: false,
    }
}

pub fn directory(path: &Path) -> Directory {
    Directory {
        path: path.to_owned(),
        ..Directory::default()
    }
}

pub fn source(path: &Path, indices: &[&str]) -> FilesSource {
    FilesSource::open(
        "logs",
        &directory(path),
        &wanted(indices),
        TimeFormat::EpochMs,
    )
    .unwrap()
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

/// All records of a window, and how the reading ended.
pub fn read(source: &FilesSource, window: Window) -> (Read, Result<()>) {
    let mut seen = Read::default();
    let outcome = block_on(async {
        let mut pages = source.read(window).await?;
        let mut until = window.start;
        while let Some(mut page) = pages.next().await? {
            let times = || page.batch.records().map(|record| record.time);
            assert!(times().all(|time| time >= until && time < page.until));
            assert!(times().is_sorted());
            until = page.until;
            assert!(until <= window.end);
            seen.take(&mut page.batch, 4);
        }
        Ok(())
    });
    (seen, outcome)
}

pub fn read_all(source: &FilesSource) -> Read {
    let (seen, outcome) = read(source, DAY);
    outcome.unwrap();
    seen
}

pub fn write(path: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = path.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

pub fn append(path: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path.join(name))
        .unwrap();
    file.write_all(bytes.as_ref()).unwrap();
}

/// As if it had been written an hour ago.
pub fn age(path: &Path, name: &str) {
    let file = std::fs::File::options()
        .append(true)
        .open(path.join(name))
        .unwrap();
    let hour = std::time::Duration::from_secs(3600);
    file.set_modified(std::time::SystemTime::now() - hour)
        .unwrap();
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}

#[test]
fn what_files_cannot_answer_is_refused_by_name() {
    let dir = dir();
    let open = |wanted: &Wanted| {
        FilesSource::open("logs", &directory(dir.path()), wanted, TimeFormat::EpochMs).map(|_| ())
    };
    let refused = |wanted: Wanted| open(&wanted).unwrap_err().to_string();
    let aggregated = Wanted {
        aggregations: Some(Map::new()),
        ..wanted(&["*"])
    };
    assert!(refused(aggregated).starts_with("[aggregations] can't"));
    let field = Map::from_iter([("x".to_owned(), json!({}))]);
    let scripted = Wanted {
        script_fields: field.clone(),
        ..wanted(&["*"])
    };
    assert!(refused(scripted).starts_with("[script_fields] can't"));
    let mapped = Wanted {
        runtime_mappings: field,
        ..wanted(&["*"])
    };
    assert!(refused(mapped).starts_with("[runtime_mappings] can't"));
    let asked = |query: Value| Wanted {
        query: query.as_object().unwrap().clone(),
        ..wanted(&["*"])
    };
    assert!(refused(asked(json!({"frobnicate": {}}))).contains("[frobnicate]"));
    assert_eq!(open(&asked(json!({"match_all": {}}))), Ok(()));
}

#[test]
fn queries_choose_records() {
    let dir = dir();
    write(
        dir.path(),
        "a.ndjson",
        "{\"t\":1000,\"n\":1,\"s\":\"x\",\"o\":{\"p\":\"q\"}}\n{\"t\":2000,\"n\":2,\"s\":\"y\"}\nbad\n{\"t\":3000,\"n\":3,\"s\":\"x\"}\n",
    );
    write(dir.path(), "b.csv", "t,n,s\n1500,10,x\n2500,9,y\n");
    let times = |query: Value| {
        let wanted = Wanted {
            query: query.as_object().unwrap().clone(),
            ..wanted(&["*"])
        };
        let source =
            FilesSource::open("logs", &directory(dir.path()), &wanted, TimeFormat::EpochMs)
                .unwrap();
        let seen = read_all(&source);
        let records = &seen.records;
        let summary = block_on(source.summary(DAY)).unwrap();
        assert_eq!(summary.documents, records.len() as u64);
        // A bad record can't be asked, and counts as it does in an upload.
        assert_eq!(seen.counts().1, 1);
        let time = |record: &String| record.split(' ').next().unwrap().parse().unwrap();
        let times: Vec<i64> = records.iter().map(time).collect();
        assert_eq!(summary.earliest, times.first().copied());
        let counts = block_on(source.counts(DAY, 1000)).unwrap();
        assert_eq!(
            counts.iter().map(|(_, count)| count).sum::<u64>(),
            summary.documents
        );
        times
    };
    assert_eq!(
        times(json!({"match_all": {}})),
        [1000, 1500, 2000, 2500, 3000]
    );
    assert_eq!(times(json!({"term": {"s": "x"}})), [1000, 1500, 3000]);
    assert_eq!(
        times(json!({"range": {"n": {"gte": 3, "lt": 10}}})),
        [2500, 3000]
    );
    assert_eq!(times(json!({"term": {"o.p": "q"}})), [1000]);
    assert_eq!(
        times(json!({"range": {"t": {"gte": "1970-01-01T00:00:02Z"}}})),
        [2000, 2500, 3000]
    );
    assert_eq!(
        times(
            json!({"bool": {"must_not": {"term": {"s": "x"}}, "filter": {"range": {"n": {"gt": 2}}}}})
        ),
        [2500]
    );
}

#[test]
fn a_preview_has_what_the_job_reads() {
    let dir = dir();
    write(
        dir.path(),
        "a.csv",
        "t,n,s,x\n1000,1.5,a,b\n2000,,c,d\n3000,2,,\n",
    );
    let records = block_on(source(dir.path(), &["a.csv"]).preview(DAY, 2)).unwrap();
    assert_eq!(
        Value::from(records.into_iter().map(Value::Object).collect::<Vec<_>>()),
        json!([{"t": 1000, "n": 1.5, "s": "a"}, {"t": 2000, "s": "c"}])
    );
}
