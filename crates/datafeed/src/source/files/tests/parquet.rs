//! Parquet files, made by the library's own writer.

use std::sync::Arc;

use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::*;

/// Values of a column, with their levels.
enum Column {
    Int32(Vec<i32>, Option<Vec<i16>>),
    Int64(Vec<i64>, Option<Vec<i16>>),
    Int96(Vec<Int96>),
    Double(Vec<f64>, Option<Vec<i16>>),
    Bool(Vec<bool>),
    Bytes(Vec<&'static str>, Option<Vec<i16>>, Option<Vec<i16>>),
    Fixed(Vec<Vec<u8>>),
}

fn file(schema: &str, groups: Vec<Vec<Column>>) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50)
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for group in groups {
        let mut rows = writer.next_row_group().unwrap();
        for column in group {
            let mut to = rows.next_column().unwrap().unwrap();
            match (to.untyped(), column) {
                (ColumnWriter::Int32ColumnWriter(to), Column::Int32(values, defs)) => {
                    to.write_batch(&values, defs.as_deref(), None).unwrap()
                }
                (ColumnWriter::Int64ColumnWriter(to), Column::Int64(values, defs)) => {
                    to.write_batch(&values, defs.as_deref(), None).unwrap()
                }
                (ColumnWriter::Int96ColumnWriter(to), Column::Int96(values)) => {
                    to.write_batch(&values, None, None).unwrap()
                }
                (ColumnWriter::DoubleColumnWriter(to), Column::Double(values, defs)) => {
                    to.write_batch(&values, defs.as_deref(), None).unwrap()
                }
                (ColumnWriter::BoolColumnWriter(to), Column::Bool(values)) => {
                    to.write_batch(&values, None, None).unwrap()
                }
                (ColumnWriter::ByteArrayColumnWriter(to), Column::Bytes(values, defs, reps)) => {
                    let values: Vec<ByteArray> = values.into_iter().map(ByteArray::from).collect();
                    to.write_batch(&values, defs.as_deref(), reps.as_deref())
                        .unwrap()
                }
                (ColumnWriter::FixedLenByteArrayColumnWriter(to), Column::Fixed(values)) => {
                    let values: Vec<FixedLenByteArray> = values
                        .into_iter()
                        .map(|value| ByteArray::from(value).into())
                        .collect();
                    to.write_batch(&values, None, None).unwrap()
                }
                _ => panic!("the columns aren't those of the schema"),
            };
            to.close().unwrap();
        }
        rows.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

const PLAIN: &str = "message m {
    optional int64 t (TIMESTAMP(MICROS, true));
    required double n;
    optional binary s (STRING);
}";

/// So many rows, a second each, in row groups of 200.
pub fn of_rows(count: usize) -> Vec<u8> {
    let rows: Vec<i64> = (0..count as i64).collect();
    let groups = rows.chunks(200).map(|rows| {
        vec![
            Column::Int64(
                rows.iter().map(|at| at * 1_000_000 + 999).collect(),
                Some(vec![1; rows.len()]),
            ),
            Column::Double(rows.iter().map(|at| *at as f64).collect(), None),
            Column::Bytes(vec!["x"; rows.len()], Some(vec![1; rows.len()]), None),
        ]
    });
    file(PLAIN, groups.collect())
}

#[test]
fn windows_read_the_row_groups_that_they_overlap() {
    let dir = dir();
    write(dir.path(), "a.parquet", of_rows(1000));
    let source = source(dir.path(), &["*.parquet"]);
    let summary = block_on(source.summary(DAY)).unwrap();
    assert_eq!(
        (summary.earliest, summary.latest, summary.documents),
        (Some(0), Some(999_000), 1000)
    );
    let coarse = |source: &FilesSource| {
        let index = source.shared.index.lock();
        let blocks = index.files().flat_map(|known| known.blocks.all());
        blocks.map(|block| block.coarse).collect::<Vec<_>>()
    };
    // Their statistics say it: nothing has been read.
    assert_eq!(coarse(&source), [true; 5]);
    let (seen, outcome) = read(
        &source,
        Window {
            start: 450_000,
            end: 460_000,
        },
    );
    assert_eq!(outcome, Ok(()));
    let expected: Vec<String> = (450..460)
        .map(|at| format!("{at}000 {at}/- -/x -/- -/-"))
        .collect();
    assert_eq!(seen.records, expected);
    assert_eq!(coarse(&source), [true, true, false, true, true]);
    let counts = block_on(source.counts(DAY, 400_000)).unwrap();
    assert_eq!(counts, [(0, 400), (400_000, 400), (800_000, 200)]);
    assert_eq!(read_all(&source).records.len(), 1000);
    // No bytes are told of.
    assert_eq!(read_all(&source).counts(), (1000, 0, 2000, 2000));
}

#[test]
fn rows_without_a_time_are_bad_records() {
    let dir = dir();
    let columns = vec![
        Column::Int64(vec![5_000_000, 3_000_000], Some(vec![0, 1, 0, 1, 0])),
        Column::Double(vec![0.0, 1.0, 2.0, 3.0, 4.0], None),
        Column::Bytes(vec!["a"], Some(vec![0, 1, 0, 0, 0]), None),
    ];
    write(dir.path(), "a.parquet", file(PLAIN, vec![columns]));
    let seen = read_all(&source(dir.path(), &["a.parquet"]));
    assert_eq!(
        seen.records,
        ["3000 3/- -/- -/- -/-", "5000 1/- -/a -/- -/-"]
    );
    assert_eq!((seen.counts().0, seen.counts().1), (5, 3));
}

#[test]
fn all_kinds_of_values_are_read() {
    let schema = "message m {
        required int32 t (DATE);
        optional group o { optional binary p (STRING); optional int64 t (TIMESTAMP(NANOS, false)); }
        required fixed_len_byte_array(2) n (DECIMAL(4, 1));
        optional group s (LIST) { repeated group list { optional binary element (STRING); } }
        required int32 b (UINT_8);
        required int96 old;
        required boolean flag;
        required fixed_len_byte_array(16) id (UUID);
        optional group m (MAP) { repeated group key_value { required binary key (STRING); required int32 value; } }
    }";
    let columns = || {
        vec![
            Column::Int32(vec![0, 0, 0], None),
            Column::Bytes(vec!["q"], Some(vec![2, 1, 0]), None),
            Column::Int64(vec![7_000_000_001], Some(vec![2, 1, 0])),
            Column::Fixed(vec![vec![0xff, 0xff], vec![0, 15], vec![1, 0]]),
            // A list of two, one with nothing in it, and none.
            Column::Bytes(
                vec!["x", "y"],
                Some(vec![3, 3, 1, 0]),
                Some(vec![0, 1, 0, 0]),
            ),
            Column::Int32(vec![-1, 1, 2], None),
            Column::Int96(vec![Int96::from(vec![0, 0, 2_440_589]); 3]),
            Column::Bool(vec![true, false, true]),
            Column::Fixed(vec![(0..16).collect(); 3]),
            Column::Bytes(vec![], Some(vec![0, 0, 0]), Some(vec![0, 0, 0])),
            Column::Int32(vec![], Some(vec![0, 0, 0])),
        ]
    };
    // A column of a map has levels of its own, which the helper doesn't write.
    let mut columns = columns();
    columns.truncate(9);
    let schema = schema.replace(
        "optional group m (MAP) { repeated group key_value { required binary key (STRING); required int32 value; } }",
        "",
    );
    let bytes = file(&schema, vec![columns]);
    let dir = dir();
    write(dir.path(), "a.parquet", bytes);
    let seen = read_all(&source(dir.path(), &["a.parquet"]));
    assert_eq!(
        seen.records,
        [
            "0 -0.1/- -/x,y 4294967295/4294967295 -/q",
            "0 1.5/- -/- 1/1 -/-",
            "0 25.6/- -/- 2/2 -/-"
        ]
    );
    assert_eq!(seen.counts().2, 3 * 8);
    // What a query sees.
    for (query, count) in [
        (json!({"term": {"s": "y"}}), 1),
        (json!({"term": {"flag": true}}), 2),
        (
            json!({"term": {"id": "00010203-0405-0607-0809-0a0b0c0d0e0f"}}),
            3,
        ),
        (json!({"term": {"o.t": 7000}}), 1),
        (json!({"term": {"old": 86_400_000}}), 3),
        (json!({"exists": {"field": "o.p"}}), 1),
    ] {
        let wanted = Wanted {
            query: query.as_object().unwrap().clone(),
            ..wanted(&["a.parquet"])
        };
        let source =
            FilesSource::open("logs", &directory(dir.path()), &wanted, TimeFormat::EpochMs)
                .unwrap();
        assert_eq!(read_all(&source).records.len(), count, "{query}");
    }
}

#[test]
fn what_cannot_be_a_field_is_told() {
    let schema = "message m {
        required int64 t (TIMESTAMP(MILLIS, true));
        required int64 n; required int64 b; optional group o { required binary p (STRING); }
        repeated group s { required binary x (STRING); }
    }";
    let dir = dir();
    write(dir.path(), "a.parquet", file(schema, vec![]));
    let source = source(dir.path(), &["a.parquet"]);
    assert_eq!(read_all(&source).records.len(), 0);
    let error = block_on(source.check()).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot retrieve field [s] because it has no mappings"
    );
}

#[test]
fn what_is_being_written_is_no_file_yet() {
    let dir = dir();
    let bytes = of_rows(300);
    let source = source(dir.path(), &["*"]);
    write(dir.path(), "a.parquet", &bytes[..bytes.len() - 100]);
    assert_eq!(read_all(&source).records.len(), 0);
    write(dir.path(), "a.parquet", &bytes);
    assert_eq!(read_all(&source).records.len(), 300);
}
