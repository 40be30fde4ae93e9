//! The bytes of one file as they were before any compression, from any place on.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// Bytes that are decompressed at a time. What is damaged costs no more of what is before it.
const PIECE: usize = 8 << 10;
/// Decompressed bytes that are kept, to go back by: a block, and what a reader reads ahead.
const KEPT: usize = 384 << 10;

/// Which file a path leads to, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// What tells that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub id: FileId,
    pub len: u64,
    /// Of the last change, nanoseconds.
    pub modified: i128,
}

impl Stamp {
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            id: FileId {
                device: metadata.dev(),
                inode: metadata.ino(),
            },
            len: metadata.len(),
            modified: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By what a file begins with.
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame that holds no data may be the first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// What `source` holds, all of its parts one after the other.
    pub fn decode(self, source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(source),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
                64 << 10,
                source,
            ))),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(source)?),
        })
    }
}

pub(super) struct Bytes {
    file: File,
    compression: Compression,
    decoded: Option<Decoded>,
}

/// A decoder where it stands, and what it gave last.
struct Decoded {
    decoder: Box<dyn Read + Send>,
    /// The place of the first byte that is kept.
    start: u64,
    kept: Vec<u8>,
    /// Why nothing more comes.
    fault: Option<(io::ErrorKind, String)>,
}

impl Bytes {
    pub fn open(path: &Path) -> io::Result<(Self, Stamp)> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let mut magic = [0; 4];
        let len = fill(&mut magic, |into, at| file.read_at(into, at))?;
        let compression = Compression::of(&magic[..len]);
        let bytes = Self {
            file,
            compression,
            decoded: None,
        };
        Ok((bytes, stamp))
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The file itself.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Reads what stands at a place; 0 bytes at the end. Going on is cheap. Going back in what is compressed further
    /// than what is kept begins anew.
    pub fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if self.compression == Compression::None {
            return retry(|| self.file.read_at(into, at));
        }
        if self
            .decoded
            .as_ref()
            .is_none_or(|decoded| at < decoded.start)
        {
            // The handles of a file share their place.
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            self.decoded = Some(Decoded {
                decoder: self.compression.decode(file)?,
                start: 0,
                kept: Vec::new(),
                fault: None,
            });
        }
        match &mut self.decoded {
            Some(decoded) => decoded.read_at(at, into),
            None => Ok(0),
        }
    }
}

impl Decoded {
    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
            if let Some(kept) = self.kept.get(from..).filter(|kept| !kept.is_empty()) {
                let count = kept.len().min(into.len());
                into[..count].copy_from_slice(&kept[..count]);
                return Ok(count);
            }
            if let Some((kind, reason)) = &self.fault {
                return Err(io::Error::new(*kind, reason.clone()));
            }
            if self.kept.len() >= 2 * KEPT {
                let gone = self.kept.len() - KEPT;
                self.kept.drain(..gone);
                self.start += gone as u64;
            }
            let len = self.kept.len();
            self.kept.resize(len + PIECE, 0);
            let read = retry(|| self.decoder.read(&mut self.kept[len..]));
            self.kept.truncate(len + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(0),
                Ok(_) => {}
                Err(error) => self.fault = Some((error.kind(), error.to_string())),
            }
        }
    }
}

/// As many bytes as there are, or can be read: an error is one of the first of them.
pub(super) fn fill(
    into: &mut [u8],
    mut read_at: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut len = 0;
    while len < into.len() {
        match retry(|| read_at(&mut into[len..], len as u64)) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(_) if len > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
