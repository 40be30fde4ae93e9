//! The skeleton of a message: what is left when all that looks like a value is taken out.
//!
//! A message is cut into pieces at blanks, brackets, quotes and the like. Each piece is a *value* (it has a digit, is a
//! path, an address, a date, stands behind `=`, ...), *fixed* (made of words of the language) or *loose* (a name: it may
//! be either). Neighbouring values count as one, so that lists of any length look alike.

use super::words;

/// A piece of a skeleton: 0 is a value; fixed pieces are odd, loose ones even.
pub type Piece = u64;

pub const VALUE: Piece = 0;

/// Pieces. What follows is not looked at.
const MAX_PIECES: usize = 100;
/// Bytes. A quoted value may be this long.
const MAX_QUOTED: usize = 200;

pub fn is_fixed(piece: Piece) -> bool {
    piece & 1 == 1
}

/// Remembers which pieces are fixed. What it forgets is only found out again.
#[derive(Debug, Clone)]
pub struct Memo(Box<[Piece]>);

impl Memo {
    pub const BYTES: u64 = (Self::SLOTS * size_of::<Piece>()) as u64;
    const SLOTS: usize = 2048;

    fn piece(&mut self, text: &str, hash: u64) -> Piece {
        let slot = &mut self.0[(hash >> 32) as usize % Self::SLOTS];
        if *slot & !1 != hash & !1 {
            *slot = hash & !1 | u64::from(words::is_language(text));
        }
        *slot
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self(vec![VALUE; Self::SLOTS].into())
    }
}

/// What an analyzer says about pieces.
#[derive(Clone, Copy, Default)]
pub struct Rules<'a> {
    /// Upper and lower case are the same.
    pub fold_case: bool,
    /// Words that are dropped, and so are no part of a skeleton; sorted.
    pub stopped: &'a [String],
    /// Where tokens are, in bytes, sorted; pieces that no token overlaps are values. None: all pieces are looked at.
    pub kept: Option<&'a [(usize, usize)]>,
}

/// Appends the skeleton of a message to `pieces`.
pub fn skeleton(text: &str, rules: Rules<'_>, memo: &mut Memo, pieces: &mut Vec<Piece>) {
    let mut cutter = Cutter {
        text,
        rules,
        memo,
        pieces,
        after_number: false,
        after_equals: false,
        after_user: false,
        kept_from: 0,
    };
    cutter.cut();
}

/// One number for all skeletons that have the same fixed pieces at the same places.
pub fn key(pieces: &[Piece]) -> u64 {
    let fixed = |piece: &Piece| if is_fixed(*piece) { *piece } else { VALUE };
    let folded = pieces.iter().map(fixed).fold(SEED, mix);
    finish(folded, pieces.len())
}

struct Cutter<'a> {
    text: &'a str,
    rules: Rules<'a>,
    memo: &'a mut Memo,
    pieces: &'a mut Vec<Piece>,
    after_number: bool,
    after_equals: bool,
    after_user: bool,
    /// Index of the first kept token that may still overlap a piece.
    kept_from: usize,
}

impl Cutter<'_> {
    fn cut(&mut self) {
        let (text, bytes) = (self.text, self.text.as_bytes());
        let mut at = 0;
        while at < bytes.len() && self.pieces.len() < MAX_PIECES {
            if class(bytes[at]) & BREAK != 0 {
                at = self.separator(at);
                continue;
            }
            let end = at
                + bytes[at..]
                    .iter()
                    .take_while(|&&byte| class(byte) & BREAK == 0)
                    .count();
            // `name(12)` is a thing with its number, except that messages begin with functions.
            if let Some(after) = numbered(bytes, end).filter(|_| at > 0) {
                self.after_equals = false;
                self.value(true);
                at = after;
                continue;
            }
            let assigned = at > 0 && bytes[at - 1] == b'=';
            if std::mem::take(&mut self.after_equals) && assigned {
                self.value(bytes[end - 1].is_ascii_digit());
            } else {
                self.piece(&text[at..end], at);
            }
            at = end;
        }
    }

    /// Returns where to go on.
    fn separator(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        if bytes[at] != b'=' {
            return at + 1;
        }
        if self.after_equals {
            self.value(false);
        }
        self.after_equals = true;
        let Some(quote @ (b'"' | b'\'')) = bytes.get(at + 1) else {
            return at + 1;
        };
        let within = &bytes[at + 2..bytes.len().min(at + 2 + MAX_QUOTED)];
        let Some(length) = within.iter().position(|byte| byte == quote) else {
            return at + 1;
        };
        self.after_equals = false;
        self.value(false);
        at + 3 + length
    }

    fn value(&mut self, number: bool) {
        if self.pieces.last() != Some(&VALUE) {
            self.pieces.push(VALUE);
        }
        self.after_number = number;
        self.after_user = false;
    }

    fn piece(&mut self, piece: &str, at: usize) {
        let bytes = piece.as_bytes();
        let has_colon = bytes.contains(&b':');
        if !has_colon || bytes.iter().all(|&byte| class(byte) & HEX != 0) {
            return self.part(piece, at);
        }
        // A host and its port.
        if let Some((host, port)) = piece.split_once(':')
            && !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && !host.is_empty()
            && !words::is_language(host)
        {
            return self.value(true);
        }
        let mut from = at;
        for part in piece.split(':') {
            self.part(part, from);
            from += part.len() + 1;
        }
    }

    fn part(&mut self, part: &str, at: usize) {
        let of_edge = |c: char| c.is_ascii() && class(c as u8) & EDGE != 0;
        let inner = part.trim_start_matches(of_edge);
        let at = at + part.len() - inner.len();
        let inner = inner.trim_end_matches(of_edge);
        // Leaders: `threshold........0`.
        match inner.as_bytes().windows(2).position(|pair| pair == b"..") {
            Some(leaders) => {
                self.token(&inner[..leaders], at);
                self.value(true);
            }
            None => self.token(inner, at),
        }
    }

    fn token(&mut self, token: &str, at: usize) {
        let bytes = token.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return;
        };
        let dotted = match shape(token) {
            Shape::Value => {
                return self.value(first.is_ascii_digit() || last.is_ascii_digit());
            }
            Shape::Dotted => true,
            Shape::Plain => false,
        };
        if self.after_number && is_unit(token) {
            return;
        }
        let after_user = self.after_user;
        if is_of_calendar(token) || after_user || self.is_dropped(token, at) {
            return self.value(false);
        }
        self.after_number = false;
        self.after_user = token.eq_ignore_ascii_case("user");
        let hash = match self.rules.fold_case {
            true => hash(token.to_lowercase().as_bytes()),
            false => hash(bytes),
        };
        let piece = match dotted {
            true => hash & !1,
            false => self.memo.piece(token, hash),
        };
        // Zero means value.
        self.pieces.push(piece.max(2));
    }

    fn is_dropped(&mut self, token: &str, at: usize) -> bool {
        let stopped = self.rules.stopped;
        if !stopped.is_empty() && stopped.binary_search_by(|s| s.as_str().cmp(token)).is_ok() {
            return true;
        }
        let Some(kept) = self.rules.kept else {
            return false;
        };
        while kept.get(self.kept_from).is_some_and(|(_, end)| *end <= at) {
            self.kept_from += 1;
        }
        let next = kept.get(self.kept_from);
        next.is_none_or(|(start, _)| *start >= at + token.len())
    }
}

/// Where `(digits)` that starts at `at` ends.
fn numbered(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?.strip_prefix(b"(")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0 && rest.get(digits) == Some(&b')')).then_some(at + digits + 2)
}

enum Shape {
    Value,
    Dotted,
    Plain,
}

fn shape(token: &str) -> Shape {
    let bytes = token.as_bytes();
    let (mut any, mut all, mut slashes, mut dots) = (0, !0, 0, 0);
    for &byte in bytes {
        let class = class(byte);
        any |= class;
        all &= class;
        slashes += usize::from(byte == b'/');
        dots += usize::from(byte == b'.');
    }
    let value = any & (DIGIT | ODD) != 0
        || any & LETTER == 0
        || slashes >= 2
        || bytes[0] == b'/'
        || (bytes.len() >= 8 && all & HEX != 0)
        || (dots >= 2 && !token.chars().any(char::is_uppercase));
    match value {
        true => Shape::Value,
        false if dots > 0 => Shape::Dotted,
        false => Shape::Plain,
    }
}

const BREAK: u8 = 1;
const DIGIT: u8 = 2;
const LETTER: u8 = 4;
/// Parts of hexadecimal numbers, of addresses and of masks.
const HEX: u8 = 8;
/// Is no part of a word when it stands at its edge.
const EDGE: u8 = 16;
/// Only in addresses and paths.
const ODD: u8 = 32;

static CLASSES: [u8; 256] = classes();

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if b <= b' '
            || matches!(
                b,
                b',' | b';'
                    | b'='
                    | b'('
                    | b')'
                    | b'['
                    | b']'
                    | b'{'
                    | b'}'
                    | b'<'
                    | b'>'
                    | b'"'
                    | b'\''
                    | b'|'
            )
        {
            class |= BREAK;
        }
        if b.is_ascii_digit() {
            class |= DIGIT;
        }
        if b.is_ascii_alphabetic() || b >= 0x80 {
            class |= LETTER;
        }
        if b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'-' | b'x' | b'X' | b'_' | b'*') {
            class |= HEX;
        }
        if matches!(
            b,
            b'.' | b':'
                | b'!'
                | b'?'
                | b'-'
                | b'*'
                | b'#'
                | b'&'
                | b'+'
                | b'~'
                | b'`'
                | b'^'
                | b'$'
                | b'@'
                | b'%'
                | b'_'
        ) {
            class |= EDGE;
        }
        if matches!(b, b'\\' | b'@') {
            class |= ODD;
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
}

/// Days, months and time zones; those that are also words only in the form in which a date has them.
pub fn is_of_calendar(token: &str) -> bool {
    const NAMES: [&str; 37] = [
        "Mon",
        "Tue",
        "Wed",
        "Thu",
        "Fri",
        "Sat",
        "Sun",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Jan",
        "Feb",
        "Mar",
        "Apr",
        "May",
        "Jun",
        "Jul",
        "Aug",
        "Sep",
        "Oct",
        "Nov",
        "Dec",
        "January",
        "February",
        "March",
        "April",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const ZONES: [&str; 17] = [
        "GMT", "UTC", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "CET", "CEST", "BST",
        "IST", "JST", "AM", "PM",
    ];
    let as_in_dates = |name: &&str| {
        let is_word = matches!(
            *name,
            "May" | "Sun" | "Mar" | "Dec" | "Sat" | "Mon" | "March"
        );
        token == *name || (!is_word && token.eq_ignore_ascii_case(name))
    };
    let bytes = token.as_bytes();
    let begins_as_name = || {
        let begin = [bytes[0], bytes[1], bytes[2]].map(|byte| byte.to_ascii_lowercase());
        matches!(
            &begin,
            b"mon"
                | b"tue"
                | b"wed"
                | b"thu"
                | b"fri"
                | b"sat"
                | b"sun"
                | b"jan"
                | b"feb"
                | b"mar"
                | b"apr"
                | b"may"
                | b"jun"
                | b"jul"
                | b"aug"
                | b"sep"
                | b"oct"
                | b"nov"
                | b"dec"
        )
    };
    match bytes.len() {
        2..=4 if bytes[1].is_ascii_uppercase() && ZONES.contains(&token) => true,
        3..=9 => begins_as_name() && NAMES.iter().any(as_in_dates),
        _ => false,
    }
}

/// What may follow a number and belongs to it.
fn is_unit(token: &str) -> bool {
    let mut lower = [0; 8];
    let Some(lower) = lower.get_mut(..token.len()) else {
        return false;
    };
    lower.copy_from_slice(token.as_bytes());
    lower.make_ascii_lowercase();
    matches!(
        &*lower,
        b"ns"
            | b"us"
            | b"ms"
            | b"s"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"msec"
            | b"usec"
            | b"min"
            | b"mins"
            | b"minute"
            | b"minutes"
            | b"hour"
            | b"hours"
            | b"day"
            | b"days"
            | b"kb"
            | b"mb"
            | b"gb"
            | b"tb"
            | b"pb"
            | b"kib"
            | b"mib"
            | b"gib"
            | b"kbps"
            | b"mbps"
            | b"gbps"
            | b"hz"
            | b"khz"
            | b"mhz"
            | b"ghz"
            | b"b"
            | b"byte"
            | b"bytes"
            | b"bit"
            | b"bits"
            | b"k"
            | b"m"
            | b"g"
            | b"percent"
            | b"mv"
            | b"ma"
            | b"c"
    )
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

/// The finalizer of MurmurHash3.
fn finish(hash: u64, length: usize) -> u64 {
    let mut hash = hash ^ length as u64;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// It is part of the format of states: it may not change.
fn hash(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    finish(words.fold(SEED, mix), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        skeleton(text, Rules::default(), &mut Memo::default(), &mut pieces);
        pieces
    }

    /// V: value, F: fixed, L: loose
    fn kinds(text: &str) -> String {
        let kind = |piece: &Piece| match *piece {
            VALUE => 'V',
            piece if is_fixed(piece) => 'F',
            _ => 'L',
        };
        of(text).iter().map(kind).collect()
    }

    #[test]
    fn pieces_are_values_fixed_or_loose() {
        for (text, expected) in [
            ("connection from 10.1.2.3:80 closed", "FFVF"),
            (
                "Failed password for bob from 10.0.0.1 port 22 ssh2",
                "FFFLFVFV",
            ),
            ("took 12 ms, 1.5 KB read", "FVF"),
            ("at Sun Jul  3 10:05:25 2005", "FV"),
            ("uid=0 user=root name=\"a b c\" tty= x", "FVFVFVLL"),
            ("opened /var/log/messages by com.example.tool", "FVFV"),
            ("session for user news closed", "FFFVF"),
            ("update from LOCAL(0), level 10", "FFVFV"),
            ("icbi.........0", "LV"),
            ("example.org:443 open", "VF"),
            ("state:ready", "FF"),
            ("mask ffffffff", "FV"),
            ("...", ""),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn lists_of_values_of_any_length_look_alike() {
        assert_eq!(of("slots 1, 2, 3 free"), of("slots 17 free"));
        assert_ne!(of("slots 1, 2, 3 free"), of("slots 17 used"));
    }

    #[test]
    fn what_an_analyzer_drops_is_a_value() {
        let mut memo = Memo::default();
        let stopped = ["bob".to_owned(), "failed".to_owned()];
        let rules = Rules {
            stopped: &stopped,
            ..Rules::default()
        };
        let (mut a, mut b) = (Vec::new(), Vec::new());
        skeleton("failed for bob", rules, &mut memo, &mut a);
        skeleton("17 for 4", Rules::default(), &mut memo, &mut b);
        assert_eq!(a, b);
        a.clear();
        let rules = Rules {
            kept: Some(&[(7, 10)]),
            ..Rules::default()
        };
        skeleton("failed for bob", rules, &mut memo, &mut a);
        assert_eq!(a, b);
    }
}
