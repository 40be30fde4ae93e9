//! The words of a text, as Elasticsearch's standard analyzer finds them: by Unicode's rules (UAX 29), in small letters
//!
//! Letters, digits and underscores are words; a point, a colon or an apostrophe within letters and a point or a comma
//! within digits belong to them. A Chinese or Japanese character is a word of its own.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longer words are cut into pieces, in characters.
const LENGTH: usize = 255;

#[derive(Clone, Default)]
pub struct Standard {
    token: Token,
}

pub struct Words<'a> {
    text: &'a str,
    at: usize,
    token: &'a mut Token,
}

impl Tokenizer for Standard {
    type TokenStream<'a> = Words<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words<'a> {
        self.token.reset();
        Words {
            text,
            at: 0,
            token: &mut self.token,
        }
    }
}

impl TokenStream for Words<'_> {
    fn advance(&mut self) -> bool {
        let Some((start, end)) = word(self.text, self.at) else {
            return false;
        };
        self.at = end;
        let word = &self.text[start..end];
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = start;
        self.token.offset_to = end;
        self.token.text.clear();
        if word.is_ascii() {
            self.token.text.push_str(word);
            self.token.text.make_ascii_lowercase();
        } else {
            self.token
                .text
                .extend(word.chars().flat_map(char::to_lowercase));
        }
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// The words of a text, one after the other: what is in the index, and what a query must ask for.
pub fn words(text: &str) -> Vec<String> {
    let mut tokenizer = Standard::default();
    let mut stream = tokenizer.token_stream(text);
    let mut words = Vec::new();
    while stream.advance() {
        words.push(stream.token().text.clone());
    }
    words
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// Joins words of any kind, and is part of them.
    Underscore,
    /// Between letters.
    MidLetter,
    /// Between digits.
    MidNumber,
    /// Between either.
    MidBoth,
    /// Belongs to the character before it.
    Mark,
    Katakana,
    /// A word of its own.
    Ideograph,
    Other,
}

const ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'_' => Class::Underscore,
            b':' => Class::MidLetter,
            b',' | b';' => Class::MidNumber,
            b'.' | b'\'' => Class::MidBoth,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

fn class(c: char) -> Class {
    if c.is_ascii() {
        return ASCII[c as usize];
    }
    match c {
        '\u{b7}' | '\u{387}' | '\u{55f}' | '\u{5f4}' | '\u{2027}' | '\u{fe13}' | '\u{fe55}'
        | '\u{ff1a}' => Class::MidLetter,
        '\u{2018}' | '\u{2019}' | '\u{2024}' | '\u{fe52}' | '\u{ff07}' | '\u{ff0e}' => {
            Class::MidBoth
        }
        '\u{37e}' | '\u{589}' | '\u{60c}' | '\u{60d}' | '\u{66c}' | '\u{7f8}' | '\u{2044}'
        | '\u{fe10}' | '\u{fe14}' | '\u{ff0c}' | '\u{ff1b}' => Class::MidNumber,
        '\u{203f}' | '\u{2040}' | '\u{2054}' | '\u{fe33}' | '\u{fe34}' | '\u{ff3f}' => {
            Class::Underscore
        }
        '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}' => {
            Class::Mark
        }
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{93a}'..='\u{93c}'
        | '\u{93e}'..='\u{94f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' => Class::Mark,
        '\u{30a0}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9d}' => {
            Class::Katakana
        }
        '\u{3040}'..='\u{309f}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}' => Class::Ideograph,
        // Thai, Lao, Burmese and Khmer are cut by dictionaries elsewhere; here they are words between blanks.
        c if c.is_numeric() && c.to_digit(10).is_none() && !c.is_alphabetic() => {
            if is_decimal(c) {
                Class::Digit
            } else {
                Class::Other
            }
        }
        c if c.is_alphabetic() => Class::Letter,
        _ => Class::Other,
    }
}

/// Digits of other scripts.
fn is_decimal(c: char) -> bool {
    matches!(
        c,
        '\u{660}'..='\u{669}'
            | '\u{6f0}'..='\u{6f9}'
            | '\u{966}'..='\u{96f}'
            | '\u{9e6}'..='\u{9ef}'
            | '\u{e50}'..='\u{e59}'
            | '\u{ff10}'..='\u{ff19}'
    )
}

/// The next word of a text from a place on.
fn word(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut chars = text[from..].char_indices();
    let (start, first) = loop {
        let (at, c) = chars.next()?;
        match class(c) {
            Class::Other | Class::MidLetter | Class::MidNumber | Class::MidBoth | Class::Mark => {}
            // Underscores alone are no word.
            Class::Underscore if !joins(&text[from + at..]) => {}
            class => break (from + at, class),
        }
    };
    let mut last = first;
    let mut length = 0;
    let mut end = start;
    let mut rest = text[start..].char_indices().peekable();
    rest.next();
    end += text[start..].chars().next().map_or(0, char::len_utf8);
    while let Some((at, c)) = rest.next() {
        length += 1;
        let kind = class(c);
        let goes_on = match kind {
            Class::Mark => true,
            _ if length >= LENGTH => false,
            Class::Ideograph => false,
            Class::Letter | Class::Digit => !matches!(last, Class::Ideograph | Class::Katakana),
            Class::Katakana => matches!(last, Class::Katakana | Class::Underscore),
            Class::Underscore => last != Class::Ideograph,
            Class::MidLetter | Class::MidNumber | Class::MidBoth => {
                let next = rest.peek().map(|(_, next)| class(*next));
                let within = match kind {
                    Class::MidLetter => last == Class::Letter && next == Some(Class::Letter),
                    Class::MidNumber => last == Class::Digit && next == Some(Class::Digit),
                    _ => matches!(
                        (last, next),
                        (Class::Letter, Some(Class::Letter)) | (Class::Digit, Some(Class::Digit))
                    ),
                };
                if !within {
                    break;
                }
                true
            }
            Class::Other => false,
        };
        if !goes_on {
            break;
        }
        end = start + at + c.len_utf8();
        if kind != Class::Mark {
            last = kind;
        }
    }
    Some((start, end))
}

/// Whether underscores at the start of a text lead to something that they join.
fn joins(text: &str) -> bool {
    text.chars()
        .map(class)
        .find(|class| !matches!(class, Class::Underscore | Class::Mark))
        .is_some_and(|class| matches!(class, Class::Letter | Class::Digit | Class::Katakana))
}

#[cfg(test)]
mod tests {
    use super::words;
    use proptest::prelude::*;

    #[test]
    fn words_as_the_standard_analyzer_finds_them() {
        for (text, expected) in [
            (
                "The 2 QUICK Brown-Foxes jumped over the lazy dog's bone.",
                "the 2 quick brown foxes jumped over the lazy dog's bone",
            ),
            (
                "GET /api/v1/users?id=42 HTTP/1.1",
                "get api v1 users id 42 http 1.1",
            ),
            (
                "web-01.example.com 10.0.0.1:8080",
                "web 01 example.com 10.0.0.1 8080",
            ),
            ("foo_bar __init__ _ ___", "foo_bar __init__"),
            ("1,000.5 a,b 3;4 x:y", "1,000.5 a b 3;4 x:y"),
            ("e.g. 'quoted' end.", "e.g quoted end"),
            ("Ünïcödé ΣΑΣ naïve", "ünïcödé σασ naïve"),
            ("東京都 カタカナ ひ", "東 京 都 カタカナ ひ"),
            ("user@example.org #tag $5", "user example.org tag 5"),
            ("a1b2 3d", "a1b2 3d"),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
        let long = "a".repeat(600);
        assert_eq!(
            words(&long).iter().map(String::len).collect::<Vec<_>>(),
            [255, 255, 90]
        );
    }

    proptest! {
        #[test]
        fn any_text_has_words(text in "\\PC{0,60}|[a-z0-9_.:,' \u{301}東ア]{0,30}") {
            for word in words(&text) {
                prop_assert!(!word.is_empty());
                // A word is one word.
                prop_assert!(words(&word).len() == 1 || !word.is_ascii());
            }
        }
    }
}
