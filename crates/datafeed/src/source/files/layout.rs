//! How the records of one file are written, as far as its settings, its name and its beginning tell.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bytes::{Bytes, fill};
use super::lines::Section;
use super::settings::{Directory, Format};
use crate::csv::CsvSource;

/// Bytes in which the first character is looked for.
const HEAD: usize = 64 << 10;
/// What a Parquet file begins and ends with.
const PARQUET: &[u8; 4] = b"PAR1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    Csv {
        delimiter: u8,
        columns: Vec<String>,
        /// Bytes before the first row.
        header: u64,
    },
    Ndjson,
    Parquet,
}

impl Layout {
    /// None when what is there doesn't tell yet; `whole` says that there won't be more.
    pub fn find(
        settings: &Directory,
        name: &str,
        bytes: &Arc<Mutex<Bytes>>,
        whole: bool,
    ) -> io::Result<Option<Self>> {
        let mut head = vec![0; HEAD];
        let len = fill(&mut head, |into, at| bytes.lock().read_at(at, into))?;
        head.truncate(len);
        if head.is_empty() {
            return Ok(None);
        }
        let format = settings.format.or_else(|| Format::of_name(name));
        let format = match format {
            Some(format) => format,
            None if head.starts_with(PARQUET) => Format::Parquet,
            None => match first_character(&head) {
                Some(b'{' | b'[') => Format::Ndjson,
                Some(_) => Format::Csv,
                None => return Ok(None),
            },
        };
        match format {
            Format::Ndjson => Ok(Some(Self::Ndjson)),
            Format::Parquet => Ok(Some(Self::Parquet)),
            Format::Csv | Format::Tsv => {
                let given = settings.delimiter.and_then(|it| u8::try_from(it).ok());
                let delimiter = given.or((format == Format::Tsv).then_some(b'\t'));
                Self::csv(settings, bytes, delimiter, whole)
            }
        }
    }

    fn csv(
        settings: &Directory,
        bytes: &Arc<Mutex<Bytes>>,
        delimiter: Option<u8>,
        whole: bool,
    ) -> io::Result<Option<Self>> {
        let section = Section::new(bytes.clone(), 0);
        let csv = CsvSource::new(section.clone(), delimiter)?;
        let delimiter = csv.delimiter();
        if let Some(columns) = &settings.columns {
            return Ok(Some(Self::Csv {
                delimiter,
                columns: columns.clone(),
                header: 0,
            }));
        }
        // A header that ends with the file may go on. Small files are read to their end at once.
        let header = csv.header_bytes();
        let mut last = [0];
        let before = header.saturating_sub(1);
        let count = bytes.lock().read_at(before, &mut last)?;
        let ended = count == 1 && matches!(last[0], b'\n' | b'\r');
        if header == 0 || !(ended || whole) {
            return Ok(None);
        }
        Ok(Some(Self::Csv {
            delimiter,
            columns: csv.fields().to_vec(),
            header,
        }))
    }

    /// The names of its fields, where they are known.
    pub fn columns(&self) -> Option<&[String]> {
        match self {
            Self::Csv { columns, .. } => Some(columns),
            Self::Ndjson | Self::Parquet => None,
        }
    }
}

/// The first that is neither blank nor of a byte order mark.
fn first_character(head: &[u8]) -> Option<u8> {
    let head = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head);
    head.iter()
        .copied()
        .find(|byte| !byte.is_ascii_whitespace())
}
