#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tidewatch_datafeed::{NdjsonReader, Projection};
use tidewatch_model::record::{RecordBatch, Schema};
use tidewatch_model::time_format::TimeFormat;

fn read(projection: &Arc<Projection>, pieces: &[&[u8]]) -> (RecordBatch, u64) {
    let mut reader = NdjsonReader::new(projection.clone());
    let mut batch = projection.batch();
    let mut full = 0;
    for piece in pieces {
        let mut bytes = *piece;
        while reader.push(&mut bytes, &mut batch) {
            full += batch.input.records;
            batch.clear();
        }
    }
    while reader.finish(&mut batch) {
        full += batch.input.records;
        batch.clear();
    }
    (batch, full)
}

fuzz_target!(|data: (u8, &[u8])| {
    let (cut, bytes) = data;
    let mut schema = Schema::default();
    schema.column("n", true, false);
    schema.column("t.x", false, true);
    let projection = Arc::new(Projection::new(schema, "time".to_owned(), TimeFormat::EpochMs));
    let whole = read(&projection, &[bytes]);
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let parts = read(&projection, &[head, tail]);
    assert_eq!(whole.1 + whole.0.input.records, parts.1 + parts.0.input.records);
    if whole.1 == 0 && parts.1 == 0 {
        assert_eq!(whole.0.input, parts.0.input);
    }
});
