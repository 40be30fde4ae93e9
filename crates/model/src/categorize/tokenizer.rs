//! Cutting a text into tokens: what a category's terms are made of.

use regex::Regex;

use super::classic::Classic;

/// A token: where it stands in its text, in bytes, and its place among the tokens, those that were left out counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub position: usize,
}

#[derive(Debug, Clone)]
pub enum Tokenizer {
    /// Words, paths and addresses; no numbers.
    MlStandard,
    /// As above, but paths and addresses fall apart.
    MlClassic,
    /// Words and numbers as Unicode's text segmentation has them, but for scripts that write no blanks.
    Standard,
    Classic(Classic),
    Whitespace,
    Letter,
    Keyword,
    /// What lies between two matches is a token.
    Split(Regex),
    /// A match, or a group of it, is a token.
    Matches(Regex, usize),
}

impl Tokenizer {
    /// Appends the tokens of a text.
    pub fn tokenize(&self, text: &str, spans: &mut Vec<Span>) {
        match self {
            Self::MlStandard => ml(text, true, spans),
            Self::MlClassic => ml(text, false, spans),
            Self::Standard => standard(text, spans),
            Self::Classic(classic) => {
                let mut from = 0;
                while let Some((start, end)) = classic.next(text, from) {
                    push(spans, start, end);
                    from = end;
                }
            }
            Self::Whitespace => runs(text, |c| !c.is_whitespace(), spans),
            Self::Letter => runs(text, char::is_alphabetic, spans),
            Self::Keyword if text.is_empty() => {}
            Self::Keyword => push(spans, 0, text.len()),
            Self::Split(pattern) => {
                let mut start = 0;
                for gap in pattern.find_iter(text) {
                    push(spans, start, gap.start());
                    start = gap.end();
                }
                push(spans, start, text.len());
            }
            Self::Matches(pattern, 0) => {
                for found in pattern.find_iter(text) {
                    push(spans, found.start(), found.end());
                }
            }
            Self::Matches(pattern, group) => {
                for found in pattern.captures_iter(text).filter_map(|c| c.get(*group)) {
                    push(spans, found.start(), found.end());
                }
            }
        }
    }
}

/// Adds a token that follows the last one, unless it is empty.
fn push(spans: &mut Vec<Span>, start: usize, end: usize) {
    if start < end {
        let position = spans.last().map_or(0, |last| last.position + 1);
        spans.push(Span {
            start,
            end,
            position,
        });
    }
}

fn runs(text: &str, of_token: impl Fn(char) -> bool, spans: &mut Vec<Span>) {
    let mut start = None;
    for (at, c) in text.char_indices() {
        match (of_token(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                push(spans, from, at);
                start = None;
            }
            _ => {}
        }
    }
    push(spans, start.unwrap_or(text.len()), text.len());
}

/// Letters, digits and `_`, joined by `.` `'` `:` between letters, and by `.` `,` between digits.
fn standard(text: &str, spans: &mut Vec<Span>) {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut start, mut before) = (None, ' ');
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, next)| *next);
        let joins = match c {
            '.' => {
                before.is_alphabetic() && after.is_alphabetic()
                    || before.is_numeric() && after.is_numeric()
            }
            '\'' | ':' | '\u{2019}' | '\u{b7}' => before.is_alphabetic() && after.is_alphabetic(),
            ',' => before.is_numeric() && after.is_numeric(),
            _ => false,
        };
        match start {
            None if of_word(c) => start = Some(at),
            Some(from) if !of_word(c) && !joins => {
                push(spans, from, at);
                start = None;
            }
            _ => {}
        }
        before = c;
    }
    push(spans, start.unwrap_or(text.len()), text.len());
}

/// What is known of the token that is being read. Lengths and places count characters from its start.
#[derive(Default, Clone, Copy)]
struct Candidate {
    length: usize,
    not_hex: bool,
    starts_with_digit: bool,
    letters_before_colon: usize,
    has_colon: bool,
    first_slash: Option<usize>,
    first_backslash: Option<usize>,
    slashes: usize,
}

impl Candidate {
    fn is_token(&self) -> bool {
        self.not_hex && !self.starts_with_digit && self.length > self.slashes
    }

    /// Whether a character that is neither letter nor digit belongs to the token. `paths`: as `ml_standard` has it.
    fn takes(&self, c: char, paths: bool) -> bool {
        match c {
            '_' | '.' | '-' => self.length > 0,
            '@' => paths && self.length > 0,
            // `http:` or `c:`; what follows decides.
            ':' => paths && self.length > 0 && self.letters_before_colon == self.length,
            '/' => paths,
            '\\' => {
                let drive = self.has_colon && self.letters_before_colon == 1;
                paths && (self.length == 0 || drive || self.first_backslash == Some(0))
            }
            _ => false,
        }
    }

    /// A colon with something else than a slash behind it is none of the token's.
    fn colon_ends_it(&self, next: char) -> bool {
        let behind = Some(self.letters_before_colon + 1);
        self.has_colon
            && !matches!(next, ':' | '/' | '\\')
            && self.first_slash != behind
            && self.first_backslash != behind
    }

    fn add(&mut self, c: char) {
        if self.length == 0 {
            self.starts_with_digit = c.is_numeric();
        }
        match c {
            ':' => self.has_colon = true,
            '/' | '\\' => {
                let first = if c == '/' {
                    &mut self.first_slash
                } else {
                    &mut self.first_backslash
                };
                first.get_or_insert(self.length);
                self.slashes += 1;
            }
            c if !self.has_colon && c.is_alphabetic() => self.letters_before_colon += 1,
            _ => {}
        }
        self.length += 1;
        self.not_hex |= !c.is_ascii_hexdigit() && !matches!(c, '.' | '-' | '@' | ':');
    }
}

/// Letters and digits with `_ . -` within; with `paths` also `@`, slashes, drives and schemes. Numbers, also
/// hexadecimal ones, whatever starts with a digit and bare slashes are left out, and leave a gap in the positions.
fn ml(text: &str, paths: bool, spans: &mut Vec<Span>) {
    let (mut candidate, mut start, mut position) = (Candidate::default(), 0, 0);
    let mut finish = |candidate: &mut Candidate, start: usize, end: usize| {
        let candidate = std::mem::take(candidate);
        if candidate.is_token() {
            let edge = [
                '_',
                '.',
                '-',
                if paths { '@' } else { '.' },
                if paths { ':' } else { '.' },
            ];
            let length = text[start..end].trim_end_matches(edge).len();
            spans.push(Span {
                start,
                end: start + length,
                position,
            });
        }
        position += usize::from(candidate.length > 0);
    };
    for (at, c) in text.char_indices() {
        // Most characters stand within a word.
        if c.is_ascii_alphanumeric() && candidate.length > 0 && !candidate.has_colon {
            candidate.letters_before_colon += usize::from(c.is_ascii_alphabetic());
            candidate.length += 1;
            candidate.not_hex |= !c.is_ascii_hexdigit();
            continue;
        }
        if !c.is_alphanumeric() && !candidate.takes(c, paths) {
            finish(&mut candidate, start, at);
            continue;
        }
        if candidate.colon_ends_it(c) {
            // The colon itself is one byte long.
            candidate.length -= 1;
            finish(&mut candidate, start, at - 1);
            // What ended the token may begin the next.
            if !c.is_alphanumeric() && !candidate.takes(c, paths) {
                continue;
            }
        }
        if candidate.length == 0 {
            start = at;
        }
        candidate.add(c);
    }
    finish(&mut candidate, start, text.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<(String, usize)> {
        let mut spans = Vec::new();
        tokenizer.tokenize(text, &mut spans);
        let token = |span: &Span| (text[span.start..span.end].to_owned(), span.position);
        spans.iter().map(token).collect()
    }

    fn texts(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        tokens(tokenizer, text)
            .into_iter()
            .map(|(text, _)| text)
            .collect()
    }

    #[test]
    fn ml_standard_keeps_names_and_paths_and_leaves_numbers_out() {
        for (text, expected) in [
            (
                "one .-_two **stars**in**text g123 -- 5d",
                vec!["one", "two", "stars", "in", "text", "g123"],
            ),
            ("12:34 0xff deadbeef cafe.babe x-1.2-", vec!["x-1.2"]),
            (
                "see http://www.example.org/a/b, or c:\\x\\y",
                vec!["see", "http://www.example.org/a/b", "or", "c:\\x\\y"],
            ),
            (
                "\\\\server\\share a\\b /usr/lib ///",
                vec!["\\\\server\\share", "/usr/lib"],
            ),
            (
                "key:value error: done",
                vec!["key", "value", "error", "done"],
            ),
            ("user@example.org.", vec!["user@example.org"]),
            ("änderung größe", vec!["änderung", "größe"]),
            ("", vec![]),
        ] {
            assert_eq!(texts(&Tokenizer::MlStandard, text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_leaves_a_gap() {
        let tokens = tokens(&Tokenizer::MlStandard, "a1 12 ff zone 7");
        // `a1` and `ff` are hexadecimal.
        assert_eq!(tokens, [("zone".to_owned(), 3)]);
    }

    #[test]
    fn ml_classic_takes_paths_and_addresses_apart() {
        assert_eq!(
            texts(
                &Tokenizer::MlClassic,
                "/usr/lib user@host x:y 10.1 my_name-"
            ),
            ["usr", "lib", "user", "host", "x", "y", "my_name"]
        );
    }

    #[test]
    fn the_other_tokenizers() {
        let pattern = |text| super::super::pattern::compile(text, None).expect("valid");
        let text = "It's 3.5, at host:a.b";
        for (tokenizer, expected) in [
            (Tokenizer::Standard, vec!["It's", "3.5", "at", "host:a.b"]),
            (
                Tokenizer::Whitespace,
                vec!["It's", "3.5,", "at", "host:a.b"],
            ),
            (Tokenizer::Letter, vec!["It", "s", "at", "host", "a", "b"]),
            (Tokenizer::Keyword, vec![text]),
            (
                Tokenizer::Split(pattern(r"\W+")),
                vec!["It", "s", "3", "5", "at", "host", "a", "b"],
            ),
            (
                Tokenizer::Matches(pattern("[a-z]+"), 0),
                vec!["t", "s", "at", "host", "a", "b"],
            ),
            (Tokenizer::Matches(pattern("h(o)(s)"), 2), vec!["s"]),
        ] {
            assert_eq!(texts(&tokenizer, text), expected, "{tokenizer:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_tokens_in_order(text in "[ a-zA-Z0-9/\\\\:._@-]{0,40}|\\PC{0,40}") {
            for tokenizer in [Tokenizer::MlStandard, Tokenizer::MlClassic, Tokenizer::Standard] {
                let mut spans = Vec::new();
                tokenizer.tokenize(&text, &mut spans);
                prop_assert!(spans.iter().all(|span| !text[span.start..span.end].is_empty()));
                prop_assert!(spans.windows(2).all(|s| s[0].end <= s[1].start && s[0].position < s[1].position));
            }
        }
    }
}
