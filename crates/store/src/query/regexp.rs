//! Lucene's regular expressions, which always mean the whole of a term.

use regex::{Regex, RegexBuilder};

use super::parse::{QueryError, Result};

/// Bytes that a compiled expression may take.
const MOST_BYTES: usize = 4 << 20;
/// Characters of an expression, as `index.max_regex_length`.
const MOST_CHARS: usize = 1_000;

/// An expression that terms are held against.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    ignore_case: bool,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.source, self.ignore_case) == (&other.source, other.ignore_case)
    }
}

fn refuse<T>(reason: String) -> Result<T> {
    Err(QueryError {
        kind: "illegal_argument_exception",
        reason,
    })
}

impl Pattern {
    /// # Errors
    /// For what is malformed, too large, or has operators that aren't known here: `~`, `&` and `<`.
    pub fn new(source: &str, ignore_case: bool) -> Result<Self> {
        let length = source.chars().count();
        if length > MOST_CHARS {
            return refuse(format!(
                "The length of regex [{length}] used in the Regexp Query request has exceeded the allowed maximum of \
                 [{MOST_CHARS}]. This maximum can be set by changing the [index.max_regex_length] index level setting."
            ));
        }
        let regex = RegexBuilder::new(&translated(source)?)
            .case_insensitive(ignore_case)
            .dot_matches_new_line(true)
            .size_limit(MOST_BYTES)
            .build();
        match regex {
            Ok(regex) => Ok(Self {
                source: source.to_owned(),
                ignore_case,
                regex,
            }),
            Err(error) => refuse(format!(
                "invalid regular expression [{source}]: {}",
                error.to_string().lines().last().unwrap_or_default().trim()
            )),
        }
    }

    pub fn is_match(&self, term: &str) -> bool {
        self.regex.is_match(term)
    }

    /// What all that matches begins with.
    pub fn prefix(&self) -> &str {
        let end = self
            .source
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ' '))
            .unwrap_or(self.source.len());
        // What may be missing or stands beside another is none.
        let follows = self.source[end..].chars().next();
        if self.ignore_case || self.source.contains('|') {
            return "";
        }
        match follows {
            Some('?' | '*' | '{' | '+') => {
                let before = self.source[..end].char_indices().next_back();
                &self.source[..before.map_or(0, |(at, _)| at)]
            }
            _ => &self.source[..end],
        }
    }
}

/// The same in the syntax of the `regex` crate.
fn translated(source: &str) -> Result<String> {
    let mut told = String::from("^(?:");
    let mut chars = source.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => {
                    told.push('\\');
                    told.push(c);
                }
                Some(c) => told.push_str(&regex::escape(&c.to_string())),
                None => {
                    return refuse(format!(
                        "end-of-string expected at position {}",
                        source.len()
                    ));
                }
            },
            '"' if !in_class => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(c) => told.push_str(&regex::escape(&c.to_string())),
                    None => return refuse(format!("expected '\"' at position {}", source.len())),
                }
            },
            '[' if in_class => told.push_str("\\["),
            '[' => {
                in_class = true;
                told.push(c);
            }
            ']' => {
                in_class = false;
                told.push(c);
            }
            '&' | '~' if in_class => {
                told.push('\\');
                told.push(c);
            }
            c if in_class => told.push(c),
            '~' | '&' | '<' => {
                return refuse(format!("the operator [{c}] is not supported in [regexp]"));
            }
            '@' => told.push_str(".*"),
            '#' => told.push_str("[^\\s\\S]"),
            '^' | '$' | '>' | '=' | '!' | '-' | ':' => {
                told.push_str(&regex::escape(&c.to_string()))
            }
            c => told.push(c),
        }
    }
    told.push_str(")$");
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_whole_terms() {
        for (source, text, is) in [
            ("web-[0-9]+", "web-12", true),
            ("web-[0-9]+", "a web-12", false),
            ("a.*z|b", "b", true),
            ("a\\.b", "axb", false),
            ("\"a.b\"c", "a.bc", true),
            ("^a$", "a", false),
            ("@", "anything", true),
            ("ab{2,3}", "abbb", true),
        ] {
            let pattern = Pattern::new(source, false).unwrap();
            assert_eq!(pattern.is_match(text), is, "{source} {text}");
        }
        assert!(Pattern::new("WEB", true).unwrap().is_match("web"));
        for wrong in ["(", "~a", "a&b", "<1-5>", "\\", "(a{1000}){1000}"] {
            assert!(Pattern::new(wrong, false).is_err(), "{wrong}");
        }
        for (source, prefix) in [
            ("web.*", "web"),
            ("web?", "we"),
            ("a|b", ""),
            ("abc", "abc"),
            ("(a)", ""),
        ] {
            assert_eq!(
                Pattern::new(source, false).unwrap().prefix(),
                prefix,
                "{source}"
            );
        }
    }
}
