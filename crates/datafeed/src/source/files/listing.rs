//! The files that patterns name below a directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tidewatch_store::query::wildcard;

/// More are refused: of each there is something in memory.
pub(super) const MAX_FILES: usize = 20_000;
/// Directories in directories.
const MAX_DEPTH: usize = 64;

/// A path below a directory. `*` and `?` stand for what a name has, `**` for directories within each other; names
/// that begin with a dot are meant only where the pattern has the dot. A directory means all files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    parts: Vec<String>,
}

/// Why there is no listing.
#[derive(Debug)]
pub(super) enum ListError {
    Io(PathBuf, io::Error),
    /// A link that leads out of the directory.
    Outside(String),
    TooMany,
}

impl Pattern {
    /// None when it could be outside of the directory.
    pub fn new(text: &str) -> Option<Self> {
        let parts: Vec<String> = text
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect();
        let inside = !text.starts_with('/') && !parts.iter().any(|part| part == "..");
        (inside && !text.contains(['\0', '\\']) && !parts.is_empty()).then_some(Self { parts })
    }
}

/// The files, each once, by their paths below `root` with `/` between: in this order.
pub(super) fn list(
    root: &Path,
    patterns: &[Pattern],
) -> Result<BTreeMap<String, PathBuf>, ListError> {
    let canonical = match root.canonicalize() {
        Ok(canonical) => canonical,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(ListError::Io(root.to_owned(), error)),
    };
    let mut walk = Walk {
        root: &canonical,
        found: BTreeMap::new(),
    };
    for pattern in patterns {
        walk.visit(&canonical, "", &pattern.parts, 0)?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    found: BTreeMap<String, PathBuf>,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        path: &Path,
        name: &str,
        parts: &[String],
        depth: usize,
    ) -> Result<(), ListError> {
        let Some((part, rest)) = parts.split_first() else {
            return self.take(path, name, depth);
        };
        if part == "**" {
            if !rest.is_empty() {
                self.visit(path, name, rest, depth)?;
            }
            for entry in entries(path)? {
                let inner = join(name, &entry.name);
                if entry.name.starts_with('.') || depth >= MAX_DEPTH {
                    continue;
                }
                // Links to directories aren't followed: there may be circles.
                if entry.is_dir {
                    self.visit(&entry.path, &inner, parts, depth + 1)?;
                } else if rest.is_empty() && entry.path.is_file() {
                    self.take(&entry.path, &inner, depth)?;
                }
            }
            return Ok(());
        }
        if !is_wild(part) {
            return self.visit(&path.join(part), &join(name, part), rest, depth + 1);
        }
        for entry in entries(path)? {
            let hidden = entry.name.starts_with('.') && !part.starts_with('.');
            if !hidden && wildcard(part, &entry.name) {
                self.visit(&entry.path, &join(name, &entry.name), rest, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A file, or all files of a directory.
    fn take(&mut self, path: &Path, name: &str, depth: usize) -> Result<(), ListError> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(ListError::Io(path.to_owned(), error)),
        };
        if !real.starts_with(self.root) {
            return Err(ListError::Outside(name.to_owned()));
        }
        if real.is_dir() {
            return self.visit(&real, name, &["**".to_owned()], depth);
        }
        // Pipes and devices have no end, or no beginning.
        if real.is_file() {
            if self.found.len() >= MAX_FILES && !self.found.contains_key(name) {
                return Err(ListError::TooMany);
            }
            self.found.insert(name.to_owned(), real);
        }
        Ok(())
    }
}

struct Entry {
    name: String,
    path: PathBuf,
    is_dir: bool,
}

/// What is in a directory; nothing where there is none.
fn entries(path: &Path) -> Result<Vec<Entry>, ListError> {
    let told = |error| ListError::Io(path.to_owned(), error);
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(told(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(told)?;
        // A name that is no text can't be named.
        if let Ok(name) = entry.file_name().into_string() {
            found.push(Entry {
                name,
                path: entry.path(),
                is_dir: entry.file_type().is_ok_and(|kind| kind.is_dir()),
            });
        }
    }
    Ok(found)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_wild(part: &str) -> bool {
    part.contains(['*', '?'])
}

fn join(name: &str, inner: &str) -> String {
    match name {
        "" => inner.to_owned(),
        name => format!("{name}/{inner}"),
    }
}
