//! Files that hold the same records: what a rotation copies or compresses beside the file it was.
//!
//! Two files are twins when their names are of one family (`app.log`, `app.log.1`, `app.log.2.gz`,
//! `app.log-20240131.zst`), in one directory, they begin with the same bytes and the same time, and either have all
//! records at the same times and places, or one is being written and has, as far as it goes, what the other has. The
//! longer one is read, of two that are as long the one that isn't compressed. Copies under other names can't be told
//! from files that happen to be alike: they are read.

use rustc_hash::FxHashMap;

use super::bytes::FileId;
use super::index::Known;

/// Takes the shorter twins out of the order.
pub(super) fn remove(order: &mut Vec<FileId>, files: &FxHashMap<FileId, Known>) {
    let mut families: FxHashMap<&str, Vec<&Known>> = FxHashMap::default();
    for known in order.iter().filter_map(|id| files.get(id)) {
        families
            .entry(family(&known.info.name))
            .or_default()
            .push(known);
    }
    let mut gone = rustc_hash::FxHashSet::default();
    for members in families.values().filter(|members| members.len() > 1) {
        // The first holds more, or the same.
        let mut members = members.clone();
        members.sort_by(|a, b| {
            let key = |known: &Known| (u64::MAX - known.blocks.end(), known.info.compressed);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.info.name.cmp(&b.info.name))
        });
        for (at, known) in members.iter().enumerate() {
            let longer = members[..at]
                .iter()
                .filter(|longer| !gone.contains(&longer.info.id));
            if longer.into_iter().any(|longer| has(longer, known)) {
                gone.insert(known.info.id);
            }
        }
    }
    order.retain(|id| !gone.contains(id));
}

/// Whether the other holds all that `known` does.
fn has(longer: &Known, known: &Known) -> bool {
    let (a, b) = (longer.blocks.all(), known.blocks.all());
    let (Some(first), Some(begin)) = (a.first(), b.first()) else {
        return false;
    };
    let alike = longer.info.layout == known.info.layout
        && longer.info.head.starts_with(&known.info.head)
        && first.lead == begin.lead;
    if longer.blocks.end() == known.blocks.end() {
        return alike && longer.blocks.digest() == known.blocks.digest();
    }
    // Blocks are cut alike where both are compressed, or neither is. The last one may still grow.
    let full = b.len() - 1;
    let cut_alike = longer.info.compressed == known.info.compressed;
    alike && known.waits() && (!cut_alike || a.get(..full) == b.get(..full))
}

/// The name without what a rotation and a compression append to it.
fn family(name: &str) -> &str {
    let mut rest = name;
    for end in [".gz", ".zst", ".zstd"] {
        rest = rest.strip_suffix(end).unwrap_or(rest);
    }
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | 'T' | ':' | '.');
    let stem = rest.trim_end_matches(digits);
    // What is left must be a name with an ending of its own: `app.log`, and not the `2024-01-01` of a day's file.
    let own = stem.rsplit('/').next().unwrap_or(stem);
    if own.contains('.') { stem } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_of_one_family() {
        for name in [
            "d/app.log",
            "d/app.log.1",
            "d/app.log.12.gz",
            "d/app.log-20240131.zst",
            "d/app.log.2024-01-31T10",
            "d/app.log.gz",
        ] {
            assert_eq!(family(name), "d/app.log", "{name}");
        }
        for name in ["2024-01-31.csv", "host1.csv", "host2", "a.d/1"] {
            assert_eq!(family(name), name);
        }
    }
}
