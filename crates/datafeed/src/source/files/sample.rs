//! The beginning of a file, to see what is in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tidewatch_model::record::RecordBatch;

use super::bytes::{Bytes, fill};
use super::layout::Layout;
use super::listing::{ListError, Pattern, list};
use super::parquet;
use super::records::{Records, Step, open};
use super::settings::Directory;
use crate::file::first_fields;
use crate::projection::{MAX_RECORD_BYTES, Projection};

/// A file, from its beginning.
pub struct Sample {
    bytes: Arc<Mutex<Bytes>>,
    layout: Layout,
}

impl Sample {
    /// None when there is nothing in it.
    pub fn open(directory: &Directory, path: &Path) -> io::Result<Option<Self>> {
        let (bytes, ..) = open(path)?;
        let name = path.to_string_lossy();
        let layout = Layout::find(directory, &name, &bytes, true)?;
        Ok(layout.map(|layout| Self { bytes, layout }))
    }

    /// The names of its columns, or of the first record's fields, objects flattened with dots.
    pub fn fields(&self) -> io::Result<Vec<String>> {
        match &self.layout {
            Layout::Csv { columns, .. } => Ok(columns.clone()),
            Layout::Parquet => parquet::columns(self.bytes.lock().file()?),
            Layout::Ndjson => {
                let mut head = vec![0; MAX_RECORD_BYTES];
                let len = fill(&mut head, |into, at| self.bytes.lock().read_at(at, into))?;
                Ok(first_fields(&head[..len]).unwrap_or_default())
            }
        }
    }

    /// The first records, at most `count` of them; of a damaged file those before the damage.
    pub fn records(&self, projection: Projection, count: u64) -> io::Result<RecordBatch> {
        let projection = Arc::new(projection);
        let mut batch = projection.batch();
        let mut records = Records::new(self.bytes.clone(), &self.layout, projection, true, false)?;
        while batch.input.records < count {
            match records.next(&mut batch) {
                Ok(Step::Record | Step::Bad) => {}
                Err(error) if batch.input.records == 0 => return Err(error),
                Ok(_) | Err(_) => break,
            }
        }
        Ok(batch)
    }
}

/// The files that absolute paths name, `*`, `?` and `**` among them.
///
/// # Errors
/// Where a directory can't be read, or there are too many files.
pub fn named(paths: &[String]) -> io::Result<Vec<PathBuf>> {
    let patterns = paths
        .iter()
        .filter_map(|path| Pattern::new(path.trim_start_matches('/')));
    let patterns: Vec<Pattern> = patterns.collect();
    match list(Path::new("/"), &patterns) {
        Ok(found) => Ok(found.into_values().collect()),
        Err(ListError::Io(path, error)) => Err(io::Error::new(
            error.kind(),
            format!("{}: {error}", path.display()),
        )),
        Err(ListError::Outside(name)) => Err(io::Error::other(name)),
        Err(ListError::TooMany) => Err(io::Error::other("there are too many files")),
    }
}
