//! What tantivy has not made durable yet
//!
//! A file of frames: length, checksum, one write. It is appended to before a write is answered, and read again when the
//! index is opened: what comes after the last commit is done once more. A frame that the power took is cut off. The
//! files are numbered; one is removed when a commit holds all of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file is left for a new one when it is longer than this, at a commit.
const ROLL: u64 = 64 << 20;
/// Length and checksum.
const HEAD: usize = 8;
/// Longer frames are no frames.
const FRAME: u32 = u32::MAX / 2;

/// One write, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub seq_no: u64,
    pub version: u64,
    pub id: &'a str,
    pub change: Change<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    Put {
        source: &'a str,
        routing: Option<&'a str>,
        /// Whether another document has the id until now.
        replaces: bool,
    },
    Delete,
}

/// Where the source of a frame stands.
#[derive(Debug, Clone)]
pub struct Place {
    file: Arc<File>,
    at: u64,
    length: u32,
}

impl Place {
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut source = vec![0; self.length as usize];
        self.file.read_exact_at(&mut source, self.at)?;
        Ok(source)
    }
}

/// The files of one index.
#[derive(Debug)]
pub struct Translog {
    dir: PathBuf,
    number: u64,
    file: Arc<File>,
    /// Of the file.
    length: u64,
    /// Files before it, and the last write of each.
    older: Vec<(u64, u64)>,
    /// The last write that was appended.
    last: u64,
    /// It ends with half a frame, which hides what would be appended to it.
    pub is_torn: bool,
}

/// Frames that are to be appended together.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    last: u64,
}

impl Frames {
    /// Puts a frame at the end and says where its source begins in these frames, and its length.
    pub fn push(&mut self, frame: &Frame<'_>) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEAD]);
        self.bytes.extend_from_slice(&frame.seq_no.to_le_bytes());
        self.bytes.extend_from_slice(&frame.version.to_le_bytes());
        let (kind, source, routing) = match frame.change {
            Change::Delete => (0, "", None),
            Change::Put {
                source,
                routing,
                replaces,
            } => (1 + u8::from(replaces), source, routing),
        };
        self.bytes
            .push(kind | if routing.is_some() { ROUTED } else { 0 });
        for text in [Some(frame.id), routing].into_iter().flatten() {
            // Both are parts of a request, which is shorter than 4 GiB.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            self.bytes.extend_from_slice(&length.to_le_bytes());
            self.bytes.extend_from_slice(text.as_bytes());
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(source.as_bytes());
        let body = &self.bytes[start + HEAD..];
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let checksum = crc32fast::hash(body);
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.bytes[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
        self.last = frame.seq_no;
        (at, source.len())
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

const ROUTED: u8 = 0x80;

/// A frame's body.
fn parse(body: &[u8]) -> Option<Frame<'_>> {
    fn take<'a>(body: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = body.split_at_checked(length)?;
        *body = rest;
        Some(taken)
    }
    fn number(body: &mut &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(take(body, 8)?.try_into().ok()?))
    }
    fn text<'a>(body: &mut &'a [u8]) -> Option<&'a str> {
        let length = u32::from_le_bytes(take(body, 4)?.try_into().ok()?);
        str::from_utf8(take(body, length as usize)?).ok()
    }
    let mut rest = body;
    let seq_no = number(&mut rest)?;
    let version = number(&mut rest)?;
    let kind = take(&mut rest, 1)?[0];
    let id = text(&mut rest)?;
    let routing = if kind & ROUTED == 0 {
        None
    } else {
        Some(text(&mut rest)?)
    };
    let change = match kind & !ROUTED {
        0 => Change::Delete,
        kind @ (1 | 2) => Change::Put {
            source: str::from_utf8(rest).ok()?,
            routing,
            replaces: kind == 2,
        },
        _ => return None,
    };
    Some(Frame {
        seq_no,
        version,
        id,
        change,
    })
}

impl Translog {
    /// Opens the files of a directory, shows every frame after `committed` and where its source stands, and cuts off what
    /// is no frame.
    pub fn open<E: From<io::Error>>(
        dir: &Path,
        committed: Option<u64>,
        mut each: impl FnMut(&Frame<'_>, Place) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut numbers: Vec<u64> = fs::read_dir(dir)?
            .filter_map(|entry| {
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .strip_prefix("translog-")?
                    .parse()
                    .ok()
            })
            .collect();
        numbers.sort_unstable();
        let mut last = committed.unwrap_or(0);
        let mut older = Vec::new();
        let mut current = None;
        for (at, number) in numbers.iter().enumerate() {
            let path = path(dir, *number);
            let file = Arc::new(OpenOptions::new().read(true).append(true).open(&path)?);
            let (mut seen, length) = (last, file.metadata()?.len());
            let whole = read(&file, |frame, place| {
                seen = seen.max(frame.seq_no);
                if committed.is_none_or(|committed| frame.seq_no > committed) {
                    each(frame, place)?;
                }
                Ok::<_, E>(())
            })?;
            last = seen;
            if whole < length {
                tracing::warn!(
                    file = %path.display(),
                    "cutting off {} bytes that no write was answered for",
                    length - whole
                );
                file.set_len(whole)?;
                file.sync_all()?;
            }
            if at + 1 == numbers.len() {
                current = Some((*number, file, whole));
            } else {
                older.push((*number, last));
            }
        }
        let (number, file, length) = match current {
            Some(current) => current,
            None => (0, create(dir, 0)?, 0),
        };
        Ok(Self {
            dir: dir.to_owned(),
            number,
            file,
            length,
            older,
            last,
            is_torn: false,
        })
    }

    /// Where a source will be, of frames that are appended next: from [`Frames::push`].
    pub fn place(&self, (at, length): (usize, usize)) -> Place {
        Place {
            file: self.file.clone(),
            at: self.length + at as u64,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        }
    }

    /// Appends frames. They are durable after [`Translog::file`] is synced.
    pub fn append(&mut self, frames: &Frames) -> io::Result<()> {
        if let Err(error) = (&*self.file).write_all(&frames.bytes) {
            // Half a frame would hide those after it.
            if let Err(stays) = self.file.set_len(self.length) {
                self.is_torn = true;
                return Err(stays);
            }
            return Err(error);
        }
        self.length += frames.bytes.len() as u64;
        self.last = self.last.max(frames.last);
        Ok(())
    }

    /// What is to be synced for all that was appended.
    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Goes on in a new file if this one is long.
    pub fn roll(&mut self) -> io::Result<()> {
        if self.length >= ROLL {
            self.roll_now()?;
        }
        Ok(())
    }

    fn roll_now(&mut self) -> io::Result<()> {
        // From now on only the new one is synced.
        self.file.sync_data()?;
        let file = create(&self.dir, self.number + 1)?;
        self.older.push((self.number, self.last));
        self.number += 1;
        self.file = file;
        self.length = 0;
        Ok(())
    }

    /// Removes the files whose writes a commit holds: those up to `committed`. The last one is emptied if it may be.
    pub fn trim(&mut self, committed: u64) -> io::Result<()> {
        let dir = &self.dir;
        let done = self
            .older
            .iter()
            .take_while(|(_, last)| *last <= committed)
            .count();
        for (number, _) in self.older.drain(..done) {
            fs::remove_file(path(dir, number))?;
        }
        Ok(())
    }

    /// Begins anew: all of it is held by a commit.
    pub fn clear(&mut self, committed: u64) -> io::Result<()> {
        if self.length > 0 {
            self.roll_now()?;
        }
        self.trim(committed)
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("translog-{number}"))
}

fn create(dir: &Path, number: u64) -> io::Result<Arc<File>> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path(dir, number))?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok(Arc::new(file))
}

/// Makes the entries of a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Shows the frames of a file and says where the last whole one ends.
fn read<E: From<io::Error>>(
    file: &Arc<File>,
    mut each: impl FnMut(&Frame<'_>, Place) -> Result<(), E>,
) -> Result<u64, E> {
    let mut reader = io::BufReader::with_capacity(1 << 20, &**file);
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let mut head = [0; HEAD];
        if let Err(error) = reader.read_exact(&mut head) {
            return if error.kind() == io::ErrorKind::UnexpectedEof {
                Ok(at)
            } else {
                Err(error.into())
            };
        }
        let [a, b, c, d, checksum @ ..] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        if length > FRAME {
            return Ok(at);
        }
        body.clear();
        // By and by, since the length may be nonsense.
        let read = (&mut reader).take(length.into()).read_to_end(&mut body)?;
        if read < length as usize || crc32fast::hash(&body) != u32::from_le_bytes(checksum) {
            return Ok(at);
        }
        let Some(frame) = parse(&body) else {
            return Ok(at);
        };
        let source = match frame.change {
            Change::Put { source, .. } => source.len(),
            Change::Delete => 0,
        };
        let end = at + HEAD as u64 + u64::from(length);
        let place = Place {
            file: file.clone(),
            at: end - source as u64,
            length: u32::try_from(source).unwrap_or(u32::MAX),
        };
        each(&frame, place)?;
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (u64, u64, String, Option<(String, Option<String>, bool)>);

    fn frame(row: &Row) -> Frame<'_> {
        let (seq_no, version, id, put) = row;
        Frame {
            seq_no: *seq_no,
            version: *version,
            id,
            change: match put {
                Some((source, routing, replaces)) => Change::Put {
                    source,
                    routing: routing.as_deref(),
                    replaces: *replaces,
                },
                None => Change::Delete,
            },
        }
    }

    fn all(dir: &Path, committed: Option<u64>) -> (Translog, Vec<Row>) {
        let mut rows = Vec::new();
        let translog = Translog::open(dir, committed, |frame, place| {
            let put = match frame.change {
                Change::Put {
                    source,
                    routing,
                    replaces,
                } => {
                    assert_eq!(place.read().unwrap(), source.as_bytes());
                    Some((source.to_owned(), routing.map(str::to_owned), replaces))
                }
                Change::Delete => None,
            };
            rows.push((frame.seq_no, frame.version, frame.id.to_owned(), put));
            Ok::<_, io::Error>(())
        })
        .unwrap();
        (translog, rows)
    }

    fn append(translog: &mut Translog, rows: &[Row]) {
        let mut frames = Frames::default();
        let places: Vec<_> = rows
            .iter()
            .map(|row| translog.place(frames.push(&frame(row))))
            .collect();
        translog.append(&frames).unwrap();
        for (row, place) in rows.iter().zip(places) {
            if let Some((source, ..)) = &row.3 {
                assert_eq!(place.read().unwrap(), source.as_bytes());
            }
        }
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let put = prop::option::of((".{0,40}", prop::option::of("[a-z]{0,3}"), any::<bool>()));
        prop::collection::vec((1..9u64, ".{1,10}", put), 1..20).prop_map(|rows| {
            (1..)
                .zip(rows)
                .map(|(seq_no, (version, id, put))| (seq_no, version, id, put))
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_torn_tail_is_cut_and_the_rest_stays(rows in rows(), cut in any::<prop::sample::Index>(), junk in any::<Option<u8>>()) {
            let dir = tempfile::tempdir().unwrap();
            let (mut translog, none) = all(dir.path(), None);
            prop_assert!(none.is_empty());
            let (first, second) = rows.split_at(rows.len() / 2);
            append(&mut translog, first);
            append(&mut translog, second);
            drop(translog);
            let file = path(dir.path(), 0);
            let mut bytes = fs::read(&file).unwrap();
            let at = cut.index(bytes.len());
            match junk {
                None => bytes.truncate(at),
                Some(junk) => bytes[at] ^= junk | 1,
            }
            fs::write(&file, &bytes).unwrap();
            let (mut translog, kept) = all(dir.path(), None);
            prop_assert!(kept.len() < rows.len());
            prop_assert_eq!(&kept[..], &rows[..kept.len()]);
            // What is written from now on is read again.
            append(&mut translog, &rows[kept.len()..]);
            drop(translog);
            prop_assert_eq!(all(dir.path(), None).1, rows);
        }
    }

    #[test]
    fn files_go_when_a_commit_holds_them() {
        let dir = tempfile::tempdir().unwrap();
        let row = |seq_no| -> Row { (seq_no, 1, seq_no.to_string(), None) };
        let (mut translog, _) = all(dir.path(), None);
        append(&mut translog, &[row(0), row(1)]);
        translog.roll_now().unwrap();
        append(&mut translog, &[row(2)]);
        translog.trim(0).unwrap();
        let seqs = |dir: &Path, committed| {
            all(dir, committed)
                .1
                .iter()
                .map(|row| row.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(seqs(dir.path(), None), [0, 1, 2]);
        translog.trim(1).unwrap();
        assert_eq!(seqs(dir.path(), None), [2]);
        assert_eq!(seqs(dir.path(), Some(2)), [0; 0]);
        translog.clear(2).unwrap();
        assert_eq!(seqs(dir.path(), None), [0; 0]);
        append(&mut translog, &[row(3)]);
        assert_eq!(seqs(dir.path(), Some(2)), [3]);
    }
}
