//! How fast files are read, from their scan to the last page: `cargo bench --bench files`. One item is a record, of
//! three fields and about 50 bytes; the bytes are those of the file.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Map;
use tidewatch_datafeed::Projection;
use tidewatch_datafeed::source::files::{Directory, FilesSource};
use tidewatch_datafeed::source::{Source, Window};
use tidewatch_model::record::Schema;
use tidewatch_model::time_format::TimeFormat;

const RECORDS: i64 = 1_000_000;
const START: i64 = 1_700_006_400_000;

fn main() {
    divan::main();
}

fn host(at: i64) -> String {
    format!("host-{}.example", at % 40)
}

fn csv() -> Vec<u8> {
    let mut text = "time,value,host\n".to_owned();
    for at in 0..RECORDS {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{},{}.25,{}", START + at * 10, at % 977, host(at));
    }
    text.into_bytes()
}

fn ndjson() -> Vec<u8> {
    let mut text = String::new();
    for at in 0..RECORDS {
        let (time, value, host) = (START + at * 10, at % 977, host(at));
        let _ = writeln!(
            text,
            r#"{{"time":{time},"value":{value}.25,"host":"{host}"}}"#
        );
    }
    text.into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn columns() -> Vec<u8> {
    let schema = "message m {
        required int64 time (TIMESTAMP(MILLIS, true)); required double value; required binary host (STRING);
    }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).expect("a writer");
    let rows: Vec<i64> = (0..RECORDS).collect();
    for rows in rows.chunks(100_000) {
        let mut group = writer.next_row_group().expect("a row group");
        macro_rules! column {
            ($of:ty, $value:expr) => {{
                let values: Vec<_> = rows.iter().map($value).collect();
                let mut column = group.next_column().expect("a column").expect("a column");
                column
                    .typed::<$of>()
                    .write_batch(&values, None, None)
                    .expect("written");
                column.close().expect("closed");
            }};
        }
        column!(Int64Type, |at| START + at * 10);
        column!(DoubleType, |at| (at % 977) as f64 + 0.25);
        column!(ByteArrayType, |at| ByteArray::from(host(*at).as_str()));
        group.close().expect("closed");
    }
    writer.close().expect("closed");
    bytes
}

fn read(path: &Path) -> u64 {
    let mut schema = Schema::default();
    schema.column("value", true, false);
    schema.column("host", false, true);
    let projection = Projection::new(schema, "time", TimeFormat::EpochMs);
    let paths = [path.to_str().expect("a text").to_owned()];
    let source = FilesSource::whole(&Directory::default(), &paths, &Map::new(), projection);
    let source = source.expect("a source");
    let window = Window {
        start: 0,
        end: i64::MAX,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let mut pages = source.read(window).await.expect("pages");
        let mut records = 0;
        while let Some(page) = pages.next().await.expect("a page") {
            records += page.batch.len() as u64;
        }
        records
    })
}

#[divan::bench(args = ["csv", "csv.gz", "csv.zst", "ndjson", "ndjson.gz", "ndjson.zst", "parquet"], sample_count = 5)]
fn files(bencher: Bencher, kind: &str) {
    let plain = match kind.split('.').next() {
        Some("csv") => csv(),
        Some("ndjson") => ndjson(),
        _ => columns(),
    };
    let bytes = match kind.rsplit('.').next() {
        Some("gz") => gzip(&plain),
        Some("zst") => zstd::encode_all(plain.as_slice(), 3).expect("compressed"),
        _ => plain,
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path: PathBuf = directory.path().join(format!("records.{kind}"));
    std::fs::write(&path, &bytes).expect("written");
    bencher
        .counter(ItemsCount::new(RECORDS as u64))
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| assert_eq!(read(&path), RECORDS as u64));
}
