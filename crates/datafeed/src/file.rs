//! Records from a file or standard input, as they come: CSV or JSON, as it is or compressed by gzip or zstd.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};
use tidewatch_model::record::RecordBatch;

use crate::csv::{CsvReader, CsvSource};
use crate::ndjson::NdjsonReader;
use crate::projection::{BatchLimit, MAX_RECORD_BYTES, Projection};
use crate::source::files::Compression;

const PIECE: usize = 64 << 10;

/// How the records of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Csv,
    Ndjson,
}

/// An open file whose field names are known, and nothing else of it is decided.
pub struct FileSource {
    kind: FileKind,
    fields: Vec<String>,
    format: Format<CsvSource<Input>, Input>,
    progress: Progress,
}

/// The records of a file.
pub struct FileReader {
    format: Format<CsvReader<Input>, Ndjson>,
    progress: Progress,
}

enum Format<C, N> {
    Csv(Box<C>),
    Ndjson(N),
}

struct Ndjson {
    input: Input,
    reader: NdjsonReader,
    piece: Vec<u8>,
    /// The part of the piece that hasn't been used.
    unused: std::ops::Range<usize>,
    ended: bool,
}

type Input = Box<dyn Read + Send>;

/// How far a file has been read.
#[derive(Debug, Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes of the file that have been read; of a compressed one, compressed bytes.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The size of the file; None of what isn't a regular file.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }
}

impl FileSource {
    /// Opens a file, `-` for standard input. Without a kind it is taken from the extension (`.csv`, `.ndjson`,
    /// `.jsonl`, `.json`, each also with `.gz` and `.zst`), or else from the first character that isn't blank.
    pub fn open(path: &str, kind: Option<FileKind>) -> io::Result<Self> {
        let kind = kind.or_else(|| kind_of_name(path));
        if path == "-" {
            return Self::new(Box::new(io::stdin()), None, kind);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let total = metadata.is_file().then_some(metadata.len());
        Self::new(Box::new(file), total, kind)
    }

    fn new(source: Input, total: Option<u64>, kind: Option<FileKind>) -> io::Result<Self> {
        let progress = Progress {
            read: Arc::default(),
            total,
        };
        let mut raw: Input = Box::new(Counted {
            source,
            read: progress.read.clone(),
        });
        let mut magic = Vec::new();
        fill(&mut raw, &mut magic, |magic| magic.len() >= 4)?;
        let compression = Compression::of(&magic);
        let mut input = compression.decode(Cursor::new(magic).chain(raw))?;
        let mut head = Vec::new();
        let kind = match kind {
            Some(kind) => kind,
            None => {
                fill(&mut input, &mut head, |head| {
                    first_character(head).is_some()
                })?;
                match first_character(&head) {
                    Some(b'{' | b'[') => FileKind::Ndjson,
                    _ => FileKind::Csv,
                }
            }
        };
        let (fields, format) = match kind {
            FileKind::Csv => {
                let csv = CsvSource::new(Box::new(Cursor::new(head).chain(input)) as Input, None)?;
                (csv.fields().to_vec(), Format::Csv(Box::new(csv)))
            }
            FileKind::Ndjson => {
                let mut fields = first_fields(&head);
                fill(&mut input, &mut head, |head| {
                    if fields.is_none() {
                        fields = first_fields(head);
                    }
                    fields.is_some()
                })?;
                (
                    fields.unwrap_or_default(),
                    Format::Ndjson(Box::new(Cursor::new(head).chain(input)) as Input),
                )
            }
        };
        Ok(Self {
            kind,
            fields,
            format,
            progress,
        })
    }

    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// The names in the CSV header, or of the first record's fields, objects flattened with dots.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn project(self, projection: Projection) -> FileReader {
        self.project_with_limit(projection, BatchLimit::default())
    }

    pub fn project_with_limit(self, projection: Projection, limit: BatchLimit) -> FileReader {
        let projection = Arc::new(projection);
        let format = match self.format {
            Format::Csv(source) => {
                Format::Csv(Box::new(source.project(projection).with_limit(limit)))
            }
            Format::Ndjson(input) => Format::Ndjson(Ndjson {
                input,
                reader: NdjsonReader::new(projection).with_limit(limit),
                piece: vec![0; PIECE],
                unused: 0..0,
                ended: false,
            }),
        };
        FileReader {
            format,
            progress: self.progress,
        }
    }
}

impl FileReader {
    /// Adds records to the batch until it is full. False when there are no more: what has been added is the last.
    /// A file that ends early, as a cut off gzip does, is an error after the batches before it.
    pub fn next_batch(&mut self, batch: &mut RecordBatch) -> io::Result<bool> {
        match &mut self.format {
            Format::Csv(reader) => reader.next_batch(batch),
            Format::Ndjson(reader) => reader.next_batch(batch),
        }
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn bytes_read(&self) -> u64 {
        self.progress.bytes_read()
    }

    pub fn total_bytes(&self) -> Option<u64> {
        self.progress.total_bytes()
    }
}

impl Ndjson {
    fn next_batch(&mut self, batch: &mut RecordBatch) -> io::Result<bool> {
        loop {
            let mut bytes = &self.piece[self.unused.clone()];
            let full = self.reader.push(&mut bytes, batch);
            self.unused.start = self.unused.end - bytes.len();
            if full {
                return Ok(true);
            }
            if self.ended {
                return Ok(self.reader.finish(batch));
            }
            self.unused = 0..read(&mut self.input, &mut self.piece)?;
            self.ended = self.unused.is_empty();
        }
    }
}

/// Counts the bytes that are read.
struct Counted {
    source: Input,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn read(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Reads ahead until it is enough, or as much as a record may have.
fn fill(
    source: &mut impl Read,
    head: &mut Vec<u8>,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while head.len() < MAX_RECORD_BYTES && !enough(head) {
        match read(source, &mut piece)? {
            0 => break,
            count => head.extend_from_slice(&piece[..count]),
        }
    }
    Ok(())
}

fn kind_of_name(path: &str) -> Option<FileKind> {
    let name = path.to_ascii_lowercase();
    let compression = [".gz", ".zst"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    let name = compression.unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(FileKind::Csv),
        "ndjson" | "jsonl" | "json" => Some(FileKind::Ndjson),
        _ => None,
    }
}

/// The first that is neither blank nor of a byte order mark.
fn first_character(head: &[u8]) -> Option<u8> {
    let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head);
    head.iter()
        .copied()
        .find(|byte| !byte.is_ascii_whitespace())
}

/// The names of the fields of the first object that starts a line and is complete.
pub(crate) fn first_fields(head: &[u8]) -> Option<Vec<String>> {
    let starts = [0]
        .into_iter()
        .chain(memchr::memchr_iter(b'\n', head).map(|end| end + 1));
    let objects = starts.filter_map(|start| {
        let delimiter = |byte: &u8| {
            byte.is_ascii_whitespace() || matches!(byte, b'[' | b',' | 0xEF | 0xBB | 0xBF)
        };
        let object = start + head[start..].iter().position(|byte| !delimiter(byte))?;
        (head[object] == b'{').then(|| &head[object..])
    });
    for object in objects {
        match serde_json::Deserializer::from_slice(object)
            .into_iter::<Map<String, Value>>()
            .next()
        {
            Some(Ok(object)) => {
                let mut names = Vec::new();
                flatten(&object, "", &mut names);
                return Some(names);
            }
            // It may be complete with more bytes.
            Some(Err(error)) if error.is_eof() => return None,
            _ => {}
        }
    }
    None
}

fn flatten(object: &Map<String, Value>, prefix: &str, names: &mut Vec<String>) {
    for (name, value) in object {
        match value {
            Value::Object(inner) => flatten(inner, &format!("{prefix}{name}."), names),
            _ => names.push(format!("{prefix}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::projection::tests::{Read as Seen, projection};

    fn open(bytes: &[u8], kind: Option<FileKind>) -> FileSource {
        FileSource::new(
            Box::new(Cursor::new(bytes.to_vec())),
            Some(bytes.len() as u64),
            kind,
        )
        .unwrap()
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(source: FileSource) -> Seen {
        let mut reader = source.project_with_limit(
            projection(),
            BatchLimit {
                records: 3,
                weight: 200,
            },
        );
        let (mut batch, mut seen) = (projection().batch(), Seen::default());
        while reader.next_batch(&mut batch).unwrap() {
            seen.take(&mut batch, 4);
        }
        seen.take(&mut batch, 4);
        assert!(!reader.next_batch(&mut batch).unwrap() && batch.is_empty());
        assert_eq!(Some(reader.bytes_read()), reader.total_bytes());
        seen
    }

    #[test]
    fn names_say_the_kind() {
        for (name, kind) in [
            ("a.csv", Some(FileKind::Csv)),
            ("dir.csv/a.NDJSON.gz", Some(FileKind::Ndjson)),
            ("a.jsonl", Some(FileKind::Ndjson)),
            ("a.json.gz", Some(FileKind::Ndjson)),
            ("a.gz", None),
            ("a.log", None),
            ("-", None),
        ] {
            assert_eq!(kind_of_name(name), kind, "{name}");
        }
    }

    #[test]
    fn the_same_records_are_read_from_each_kind() {
        let json = "  {\"t\":1,\"n\":2,\"o\":{\"p\":\"x\"}}\n".repeat(10_000);
        let csv = format!("t,n,o.p\n{}", "1,2,x\n".repeat(10_000));
        for (text, kind) in [(json, FileKind::Ndjson), (csv, FileKind::Csv)] {
            for bytes in [
                text.as_bytes().to_vec(),
                gzip(&text),
                [gzip(&text[..99]), gzip(&text[99..])].concat(),
            ] {
                let source = open(&bytes, None);
                assert_eq!(source.kind(), kind);
                assert_eq!(source.fields(), ["t", "n", "o.p"]);
                let seen = read(source);
                assert_eq!(seen.counts(), (10_000, 0, 20_000, 20_000));
                // What stands before a record is not counted.
                let blanks = if kind == FileKind::Ndjson { 20_000 } else { 0 };
                assert_eq!(seen.input.bytes, text.len() as u64 - blanks);
                assert_eq!(seen.records[9_999], "1 2/- -/- -/- -/x");
            }
        }
    }

    #[test]
    fn fields_are_those_of_the_first_good_record() {
        let long = format!("{{\"a\":\"{}\",\"b\":1}}\n", "x".repeat(200_000));
        for (text, fields) in [
            ("\u{feff}[\n{\"a\":1,\n\"b\":[1]}]", vec!["a", "b"]),
            (
                "{\"a\":1\n{\"b\":{\"c\":1,\"d\":{\"e\":2}}}\n",
                vec!["b.c", "b.d.e"],
            ),
            (&long, vec!["a", "b"]),
            ("{\"a\":", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(
                open(text.as_bytes(), Some(FileKind::Ndjson)).fields(),
                fields
            );
        }
        assert_eq!(open(b"", None).fields(), [""; 0]);
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let bytes = gzip(&"{\"t\":1}\n".repeat(10_000));
        let mut reader = open(&bytes[..bytes.len() - 20], None).project(projection());
        let mut batch = projection().batch();
        let error = loop {
            match reader.next_batch(&mut batch) {
                Ok(true) => batch.clear(),
                Ok(false) => panic!("no error"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(FileSource::open("/nowhere/at/all.csv", None).is_err());
    }
}
