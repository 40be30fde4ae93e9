//! Which words carry the meaning of a message: English as operators write it. Such a word is never taken for a value:
//! "opened" and "closed" make two categories, "bob" and "eve" do not. Usual account names (root, guest, ...) are left
//! out on purpose.

use std::sync::LazyLock;

use rustc_hash::FxHashSet;

static WORDS: LazyLock<FxHashSet<&'static [u8]>> = LazyLock::new(|| {
    let words = include_str!("words.txt").split_ascii_whitespace();
    words.map(str::as_bytes).collect()
});

/// Bytes. Longer words are not looked up.
const MAX_WORD: usize = 32;

const SUFFIXES: [&[u8]; 15] = [
    b"s", b"es", b"ed", b"ing", b"er", b"ers", b"or", b"ors", b"ly", b"ion", b"ions", b"ation",
    b"ment", b"able", b"ness",
];
const PREFIXES: [&[u8]; 11] = [
    b"un", b"re", b"non", b"dis", b"in", b"pre", b"mis", b"auto", b"sub", b"multi", b"de",
];

/// Whether all parts of an identifier are words of the language: `onStandStepChanged`, `read_failed`, `non-empty`.
pub fn is_language(token: &str) -> bool {
    let bytes = token.as_bytes();
    let (mut at, mut parts) = (0, 0);
    while at < bytes.len() {
        let end = part_end(bytes, at);
        if end == at {
            if !bytes[at].is_ascii() {
                return false;
            }
            at += 1;
            continue;
        }
        if !is_word(&bytes[at..end]) {
            return false;
        }
        parts += 1;
        at = end;
    }
    parts > 0
}

/// Where the part that starts at `at` ends: an acronym, or letters up to the next capital.
fn part_end(bytes: &[u8], at: usize) -> usize {
    let run = |from: usize, of: fn(&u8) -> bool| {
        from + bytes[from..].iter().take_while(|byte| of(byte)).count()
    };
    let capitals = run(at, u8::is_ascii_uppercase);
    let small = |from: usize| bytes.get(from).is_some_and(u8::is_ascii_lowercase);
    match capitals - at {
        0 => run(at, u8::is_ascii_lowercase),
        1 => run(capitals, u8::is_ascii_lowercase),
        // The last capital begins the next part: `XMLReader`.
        _ if small(capitals) => capitals - 1,
        _ => capitals,
    }
}

fn is_word(part: &[u8]) -> bool {
    let mut lower = [0; MAX_WORD];
    let Some(lower) = lower.get_mut(..part.len()) else {
        return false;
    };
    for (to, from) in lower.iter_mut().zip(part) {
        *to = from.to_ascii_lowercase();
    }
    is_form(lower)
}

/// A word, or one with a usual ending or beginning.
fn is_form(word: &[u8]) -> bool {
    if WORDS.contains(word) {
        return true;
    }
    let ending = |suffix: &&[u8]| {
        let stem = word.strip_suffix(*suffix);
        stem.is_some_and(|stem| stem.len() >= 3 && is_stem(stem))
    };
    let beginning = |prefix: &&[u8]| {
        let rest = word.strip_prefix(*prefix);
        rest.is_some_and(|rest| rest.len() >= 4 && is_form(rest))
    };
    SUFFIXES.iter().any(ending) || PREFIXES.iter().any(beginning)
}

/// What is left of a word before its ending: as it is, less an `e`, with a doubled last letter, or `i` for `y`.
fn is_stem(stem: &[u8]) -> bool {
    let (last, short) = (stem[stem.len() - 1], &stem[..stem.len() - 1]);
    if WORDS.contains(stem) || (short.last() == Some(&last) && WORDS.contains(short)) {
        return true;
    }
    let mut other = [0; MAX_WORD];
    let Some(room) = other.get_mut(..=stem.len()) else {
        return false;
    };
    room[..stem.len()].copy_from_slice(stem);
    room[stem.len()] = b'e';
    if WORDS.contains(&*room) {
        return true;
    }
    room[stem.len() - 1] = b'y';
    last == b'i' && WORDS.contains(&room[..stem.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_forms_are_known_and_names_are_not() {
        for known in [
            "failed",
            "Stopping",
            "retries",
            "read_failed",
            "onStepChanged",
            "non-empty",
            "XMLParser",
            "cached",
            "unregistered",
            "ASSERT",
        ] {
            assert!(is_language(known), "{known}");
        }
        for name in [
            "bob",
            "sshd",
            "root",
            "ciod",
            "zürich",
            "xfs_repairx",
            "",
            "---",
            &"a".repeat(99),
        ] {
            assert!(!is_language(name), "{name}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_has_no_word_twice() {
        let words: Vec<&str> = include_str!("words.txt").split_ascii_whitespace().collect();
        assert!(words.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
