//! Records of a Parquet file: its columns side by side, only those that are wanted.

mod column;
mod schema;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Number, Value};
use tidewatch_model::record::RecordBatch;

use self::column::{Cell, Column, Shown, instant};
use self::schema::{Kind, Leaf, leaves};
use super::records::Step;
use crate::projection::Projection;
use crate::row::{Row, Scalar, Target};

/// Rows that are read at once from each column.
const ROWS: usize = 1024;

pub(super) struct Rows {
    file: SerializedFileReader<File>,
    projection: Arc<Projection>,
    /// The columns that are read, by their places in the file.
    wanted: Vec<Wanted>,
    /// Fields that aren't.
    others: usize,
    /// The first row of each row group, and one behind the last.
    starts: Vec<u64>,
    /// The column of the time.
    time: Option<(usize, Kind)>,
    group: Option<Group>,
    /// The next row.
    at: u64,
    row: Row,
    /// The last row, where documents are asked for.
    document: Option<Map<String, Value>>,
}

struct Wanted {
    column: usize,
    kind: Kind,
    name: String,
    target: Target,
}

/// An open row group.
struct Group {
    number: usize,
    columns: Vec<Column>,
    /// The next row, and how many have been read from it on.
    at: u64,
    read: usize,
}

/// What the file says of the times of a row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The row behind the last.
    pub end: u64,
    pub first: i64,
    pub last: i64,
    /// Rows with a time.
    pub count: u64,
}

impl Rows {
    pub fn open(file: File, projection: Arc<Projection>, full: bool) -> io::Result<Self> {
        let file = guarded(|| SerializedFileReader::new(file))?;
        let metadata = file.metadata();
        let leaves = leaves(metadata.file_metadata().schema_descr());
        let mut wanted = Vec::new();
        let mut time = None;
        for (column, leaf) in leaves.iter().enumerate() {
            let target = projection.target(&leaf.name);
            let kind = match leaf.kind {
                Ok(kind) => kind,
                Err(why) if target.is_wanted() => return Err(unreadable(leaf, why)),
                Err(_) => continue,
            };
            if target.time {
                if leaf.is_list {
                    return Err(unreadable(leaf, "it is a list"));
                }
                time = Some((column, kind));
            }
            if target.is_wanted() || full {
                wanted.push(Wanted {
                    column,
                    kind,
                    name: leaf.name.clone(),
                    target,
                });
            }
        }
        let mut starts = vec![0];
        for group in metadata.row_groups() {
            let rows = u64::try_from(group.num_rows())
                .map_err(|_| damaged("a row group has less than no rows"))?;
            starts.push(starts[starts.len() - 1] + rows);
        }
        let read = wanted.iter().filter(|wanted| wanted.target.is_wanted());
        Ok(Self {
            others: leaves.len() - read.count(),
            row: Row::new(&projection),
            file,
            projection,
            wanted,
            starts,
            time,
            group: None,
            at: 0,
            document: full.then(Map::new),
        })
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    pub fn seek(&mut self, at: u64) {
        self.at = at;
    }

    pub fn next(&mut self, batch: &mut RecordBatch) -> io::Result<Step> {
        if self.at >= self.starts[self.starts.len() - 1] {
            return Ok(Step::End);
        }
        guarded(|| self.place())?;
        let Self {
            group: Some(group),
            wanted,
            row,
            projection,
            document,
            ..
        } = self
        else {
            return Ok(Step::End);
        };
        row.clear();
        if let Some(document) = document {
            document.clear();
        }
        for (column, wanted) in group.columns.iter_mut().zip(wanted.iter()) {
            let target = wanted.target;
            column.row(&mut |shown| {
                if let Some(document) = document {
                    keep(document, &wanted.name, &shown);
                }
                if target.is_wanted() {
                    put(row, projection, target, shown);
                }
            });
        }
        for _ in 0..self.others {
            row.skip();
        }
        group.at += 1;
        group.read -= 1;
        self.at += 1;
        let before = batch.len();
        row.deliver(projection, batch);
        Ok(match batch.len() > before {
            true => Step::Record,
            false => Step::Bad,
        })
    }

    pub fn document(&self) -> Map<String, Value> {
        self.document.clone().unwrap_or_default()
    }

    /// What is said of the row group that begins here, where its time is one and all is said.
    pub fn times(&self) -> Option<Times> {
        let (column, kind) = self.time?;
        let number = self.starts.binary_search(&self.at).ok()?;
        let metadata = self.file.metadata();
        let group = metadata.row_groups().get(number)?;
        let descriptor = metadata.file_metadata().schema_descr().column(column);
        let statistics = group.columns().get(column)?.statistics()?;
        let (first, last) = match statistics {
            Statistics::Int64(values) => (*values.min_opt()?, *values.max_opt()?),
            Statistics::Int32(values) => {
                (i64::from(*values.min_opt()?), i64::from(*values.max_opt()?))
            }
            _ => return None,
        };
        let nulls = match descriptor.max_def_level() {
            0 => 0,
            _ => statistics.null_count_opt()?,
        };
        let end = *self.starts.get(number + 1)?;
        let count = (end - self.at)
            .checked_sub(nulls)
            .filter(|count| *count > 0)?;
        Some(Times {
            end,
            first: instant(first, kind)?,
            last: instant(last, kind)?,
            count,
        })
    }

    /// Makes the next row the first of those that are read.
    fn place(&mut self) -> parquet::errors::Result<()> {
        let number = self.starts.partition_point(|start| *start <= self.at) - 1;
        let goes_on = self
            .group
            .as_ref()
            .is_some_and(|group| group.number == number && group.at <= self.at);
        if !goes_on {
            self.group = None;
            let reader = self.file.get_row_group(number)?;
            let schema = self.file.metadata().file_metadata().schema_descr();
            let columns = self.wanted.iter().map(|wanted| {
                let descriptor = schema.column(wanted.column);
                let column = reader.get_column_reader(wanted.column)?;
                Ok(Column::new(column, &descriptor, wanted.kind))
            });
            self.group = Some(Group {
                number,
                columns: columns.collect::<parquet::errors::Result<_>>()?,
                at: self.starts[number],
                read: 0,
            });
        }
        let left = self.starts[number + 1] - self.at;
        match &mut self.group {
            Some(group) => group.advance(self.at, left),
            None => Ok(()),
        }
    }
}

impl Group {
    /// Goes on to a row, of which `left` are left with it.
    fn advance(&mut self, at: u64, left: u64) -> parquet::errors::Result<()> {
        let pass = ((at - self.at) as usize).min(self.read);
        for column in &mut self.columns {
            (0..pass).for_each(|_| column.row(&mut |_| {}));
        }
        self.at += pass as u64;
        self.read -= pass;
        let skip = (at - self.at) as usize;
        let rows = (left as usize).min(ROWS);
        if skip == 0 && self.read > 0 {
            return Ok(());
        }
        for column in &mut self.columns {
            let done = column.skip(skip)? == skip && column.fill(rows)? == rows;
            if !done {
                return Err(ParquetError::EOF("a column has too few rows".to_owned()));
            }
        }
        (self.at, self.read) = (at, rows);
        Ok(())
    }
}

fn put(row: &mut Row, projection: &Projection, target: Target, shown: Shown<'_>) {
    let scalar = |cell| match cell {
        Cell::Value(scalar) => scalar,
        Cell::Instant(time) => Scalar::Signed(time),
    };
    match shown {
        Shown::Single(Cell::Instant(time)) => row.put_instant(projection, target, time),
        Shown::Single(Cell::Value(value)) => row.put(projection, target, value),
        Shown::Open => row.open_list(),
        Shown::Element(cell) => row.add_to_list(projection, target, scalar(cell)),
        Shown::Close => row.put_list(target),
    }
}

/// Adds a value to a document.
fn keep(document: &mut Map<String, Value>, name: &str, shown: &Shown<'_>) {
    let value = |cell: &Cell<'_>| match cell {
        Cell::Instant(time) => (*time).into(),
        Cell::Value(scalar) => match *scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => value.into(),
            Scalar::Unsigned(value) => value.into(),
            Scalar::Signed(value) => value.into(),
            Scalar::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Scalar::Text(value) => value.into(),
        },
    };
    match shown {
        Shown::Single(cell) => {
            document.insert(name.to_owned(), value(cell));
        }
        Shown::Open => {
            document.insert(name.to_owned(), Value::Array(Vec::new()));
        }
        Shown::Element(cell) => {
            if let Some(Value::Array(elements)) = document.get_mut(name) {
                elements.push(value(cell));
            }
        }
        Shown::Close => {}
    }
}

/// The names of the fields that can be read.
pub(super) fn columns(file: File) -> io::Result<Vec<String>> {
    let file = guarded(|| SerializedFileReader::new(file))?;
    let leaves = leaves(file.metadata().file_metadata().schema_descr());
    let readable = leaves.into_iter().filter(|leaf| leaf.kind.is_ok());
    Ok(readable.map(|leaf| leaf.name).collect())
}

/// Whether a file has its end, where all about it is written.
pub(super) fn is_whole(mut file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    if file.seek(SeekFrom::End(0))? < 12 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut magic)?;
    Ok(&magic == b"PAR1" || &magic == b"PARE")
}

/// Damage may make the library panic: that is an error as well.
fn guarded<T>(read: impl FnOnce() -> parquet::errors::Result<T>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ParquetError::External(error))) => Err(match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => damaged(error),
        }),
        Ok(Err(error)) => Err(damaged(error)),
        Err(_) => Err(damaged("it can't be decoded")),
    }
}

fn damaged(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn unreadable(leaf: &Leaf, why: &str) -> io::Error {
    damaged(format!("field [{}] can't be read: {why}", leaf.name))
}
