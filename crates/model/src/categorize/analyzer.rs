//! From a message to the tokens that its category is described with: char filters, a tokenizer, token filters.

use std::borrow::Cow;

use regex::Regex;
use serde_json::Value;

use super::classic::Classic;
use super::html;
use super::pattern;
use super::skeleton;
use super::tokenizer::{Span, Tokenizer};
use crate::config::AnalyzerConfig;

#[derive(Debug, Clone)]
pub struct Analyzer {
    char_filters: Vec<CharFilter>,
    tokenizer: Tokenizer,
    token_filters: Vec<TokenFilter>,
    /// Sorted.
    stopped: Vec<String>,
}

#[derive(Debug, Clone)]
enum CharFilter {
    FirstLineWithLetters,
    FirstNonBlankLine,
    /// But for the tags of these elements.
    HtmlStrip(Vec<String>),
    PatternReplace(Regex, String),
}

#[derive(Debug, Clone)]
enum TokenFilter {
    Lowercase,
    Stop(StopWords),
    Limit(usize),
    /// Characters, both ends included.
    Length(usize, usize),
}

#[derive(Debug, Clone)]
struct StopWords {
    /// Sorted; in lower case when case is ignored.
    words: Vec<String>,
    ignore_case: bool,
    /// Which first bytes the words have: most other words have none of them.
    firsts: Box<[bool; 256]>,
}

impl StopWords {
    fn new(mut words: Vec<String>, ignore_case: bool) -> Self {
        if ignore_case {
            words
                .iter_mut()
                .for_each(|word| *word = word.to_lowercase());
        }
        words.sort();
        let mut firsts = Box::new([false; 256]);
        for first in words.iter().filter_map(|word| word.as_bytes().first()) {
            firsts[usize::from(*first)] = true;
        }
        Self {
            words,
            ignore_case,
            firsts,
        }
    }

    fn has(&self, token: &str) -> bool {
        let is_there = |token: &str| {
            let place = self.words.binary_search_by(|word| word.as_str().cmp(token));
            place.is_ok()
        };
        if self.ignore_case {
            return is_there(&token.to_lowercase());
        }
        let first = token.as_bytes().first();
        first.is_some_and(|first| self.firsts[usize::from(*first)]) && is_there(token)
    }
}

/// The text and the tokens of one message. Kept for the next one, so that no memory is asked for.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// What the char filters left, and behind it what token filters wrote.
    text: String,
    /// Bytes of `text` that are the message.
    length: usize,
    /// Bytes of the message that char filters cut off before it.
    cut: usize,
    spans: Vec<Span>,
    /// Where the tokens' texts are in `text`, when they are no longer those of the spans.
    written: Option<Vec<(usize, usize)>>,
}

impl Analysis {
    /// What the char filters left of the message.
    pub fn text(&self) -> &str {
        &self.text[..self.length]
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn token(&self, index: usize) -> &str {
        let span = self.spans[index];
        let (start, end) = match &self.written {
            Some(written) => written[index],
            None => (span.start, span.end),
        };
        &self.text[start..end]
    }

    pub fn tokens(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|index| self.token(index))
    }

    /// The tokens' places in the message that was given. They are exact as long as no pattern was replaced
    /// and no markup stripped.
    pub fn spans(&self) -> impl ExactSizeIterator<Item = Span> {
        self.spans.iter().map(|span| Span {
            start: span.start + self.cut,
            end: span.end + self.cut,
            ..*span
        })
    }

    /// Appends the tokens' places in [`Analysis::text`], in bytes.
    pub fn places(&self, places: &mut Vec<(usize, usize)>) {
        places.extend(self.spans.iter().map(|span| (span.start, span.end)));
    }

    fn keep(&mut self, keep: impl Fn(&str, usize) -> bool) {
        let mut kept = 0;
        for index in 0..self.len() {
            if keep(self.token(index), kept) {
                self.spans[kept] = self.spans[index];
                if let Some(written) = &mut self.written {
                    written[kept] = written[index];
                }
                kept += 1;
            }
        }
        self.spans.truncate(kept);
    }

    fn lowercase(&mut self) {
        let mut written = Vec::with_capacity(self.len());
        for index in 0..self.len() {
            let lower = self.token(index).to_lowercase();
            let start = self.text.len();
            self.text += &lower;
            written.push((start, self.text.len()));
        }
        self.written = Some(written);
    }
}

impl Analyzer {
    /// Fails with Elasticsearch's words for what is not known, and in plain words for what is known but not supported.
    pub fn new(config: &AnalyzerConfig) -> Result<Self, String> {
        let (char_filters, tokenizer, token_filters) = match config {
            AnalyzerConfig::Named(name) => named(name)?,
            AnalyzerConfig::Custom(custom) => (
                custom
                    .char_filter
                    .iter()
                    .map(char_filter)
                    .collect::<Result<_, _>>()?,
                tokenizer(&custom.tokenizer)?,
                custom
                    .filter
                    .iter()
                    .map(token_filters_of)
                    .collect::<Result<Vec<_>, _>>()?,
            ),
        };
        let (tokenizer, lowercase) = tokenizer;
        let of_tokenizer = lowercase.then_some(TokenFilter::Lowercase);
        let token_filters: Vec<TokenFilter> =
            of_tokenizer.into_iter().chain(token_filters).collect();
        let mut stopped: Vec<String> = Vec::new();
        for filter in &token_filters {
            if let TokenFilter::Stop(stop) = filter {
                stopped.extend(stop.words.iter().cloned());
            }
        }
        // Those are values anyhow.
        stopped.retain(|word| !skeleton::is_of_calendar(word));
        stopped.sort();
        stopped.dedup();
        Ok(Self {
            char_filters,
            tokenizer,
            token_filters,
            stopped,
        })
    }

    pub fn analyze(&self, message: &str, analysis: &mut Analysis) {
        let mut text = Cow::Borrowed(message);
        analysis.cut = 0;
        for filter in &self.char_filters {
            let line = match filter {
                CharFilter::FirstLineWithLetters => {
                    first_line(&text, |line| line.contains(char::is_alphabetic))
                }
                CharFilter::FirstNonBlankLine => {
                    first_line(&text, |line| line.contains(|c: char| !c.is_whitespace()))
                }
                CharFilter::HtmlStrip(kept) => {
                    if let Cow::Owned(stripped) = html::strip(&text, kept) {
                        text = Cow::Owned(stripped);
                    }
                    continue;
                }
                CharFilter::PatternReplace(pattern, with) => {
                    if let Cow::Owned(replaced) = pattern.replace_all(&text, with) {
                        text = Cow::Owned(replaced);
                    }
                    continue;
                }
            };
            analysis.cut += line.start;
            text = match text {
                Cow::Borrowed(text) => Cow::Borrowed(&text[line]),
                Cow::Owned(text) => Cow::Owned(text[line].to_owned()),
            };
        }
        analysis.text.clear();
        analysis.text += &text;
        analysis.length = text.len();
        analysis.written = None;
        analysis.spans.clear();
        self.tokenizer.tokenize(&text, &mut analysis.spans);
        for filter in &self.token_filters {
            match filter {
                TokenFilter::Lowercase => analysis.lowercase(),
                TokenFilter::Stop(stop) => analysis.keep(|token, _| !stop.has(token)),
                TokenFilter::Limit(limit) => analysis.keep(|_, kept| kept < *limit),
                TokenFilter::Length(min, max) => {
                    analysis.keep(|token, _| (*min..=*max).contains(&token.chars().count()))
                }
            }
        }
    }

    /// Words that are dropped and look like words, sorted.
    pub fn stopped(&self) -> &[String] {
        &self.stopped
    }

    /// Whether tokens that differ in case alone are the same.
    pub fn folds_case(&self) -> bool {
        self.token_filters
            .iter()
            .any(|filter| matches!(filter, TokenFilter::Lowercase))
    }

    /// Whether what is no token was left out on purpose, and not for being a number.
    pub fn is_selective(&self) -> bool {
        matches!(self.tokenizer, Tokenizer::Split(_) | Tokenizer::Matches(..))
            || self
                .token_filters
                .iter()
                .any(|filter| matches!(filter, TokenFilter::Length(..)))
    }
}

fn first_line(text: &str, wanted: impl Fn(&str) -> bool) -> std::ops::Range<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if wanted(line) {
            return start..start + line.trim_end_matches(['\n', '\r']).len();
        }
        start += line.len();
    }
    0..0
}

type Parts = (Vec<CharFilter>, (Tokenizer, bool), Vec<TokenFilter>);

/// Elasticsearch's analyzers that need no settings.
fn named(name: &str) -> Result<Parts, String> {
    let (tokenizer, filters) = match name {
        "standard" => ((Tokenizer::Standard, true), Vec::new()),
        "simple" => ((Tokenizer::Letter, true), Vec::new()),
        "stop" => {
            let stop = StopWords::new(english_stop_words(), false);
            ((Tokenizer::Letter, true), vec![TokenFilter::Stop(stop)])
        }
        "whitespace" => ((Tokenizer::Whitespace, false), Vec::new()),
        "keyword" => ((Tokenizer::Keyword, false), Vec::new()),
        "pattern" => (
            (Tokenizer::Split(pattern::compile(r"\W+", None)?), true),
            Vec::new(),
        ),
        _ => return Err(format!("failed to find global analyzer [{name}]")),
    };
    Ok((Vec::new(), tokenizer, filters))
}

/// The type of a component and its settings.
fn kind<'a>(component: &'a Value, what: &str) -> Result<&'a str, String> {
    match component {
        Value::String(name) => Ok(name),
        component => {
            let kind = component.get("type").and_then(Value::as_str);
            kind.ok_or_else(|| format!("Missing [type] setting for anonymous {what}: {component}"))
        }
    }
}

fn setting<'a>(component: &'a Value, name: &str) -> Option<&'a str> {
    component.get(name).and_then(Value::as_str)
}

/// A list, which may stand in one text with commas.
fn list(component: &Value, name: &str) -> Vec<String> {
    match component.get(name) {
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Some(Value::String(items)) => items.split(',').map(|i| i.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn number(component: &Value, name: &str, default: usize) -> Result<usize, String> {
    let Some(text) = setting(component, name) else {
        return Ok(default);
    };
    let refused = || format!("Failed to parse value [{text}] for setting [{name}]");
    text.parse().map_err(|_| refused())
}

/// A pattern setting. Java's own syntax that is not regular is refused.
fn compiled(component: &Value, default: Option<&str>, what: &str) -> Result<Regex, String> {
    let Some(text) = setting(component, "pattern").or(default) else {
        return Err(format!("pattern is missing for [{what}]"));
    };
    pattern::compile(text, setting(component, "flags"))
        .map_err(|error| format!("pattern [{text}] of [{what}] cannot be used: {error}"))
}

fn char_filter(component: &Value) -> Result<CharFilter, String> {
    Ok(match kind(component, "char_filter")? {
        "first_line_with_letters" => CharFilter::FirstLineWithLetters,
        "first_non_blank_line" => CharFilter::FirstNonBlankLine,
        "pattern_replace" => {
            let pattern = compiled(component, None, "pattern_replace")?;
            let replacement = setting(component, "replacement").unwrap_or_default();
            CharFilter::PatternReplace(pattern, pattern::replacement(replacement))
        }
        "html_strip" => CharFilter::HtmlStrip(list(component, "escaped_tags")),
        other => return Err(unknown("char_filter", other, &["mapping"])),
    })
}

/// A tokenizer, and whether it writes its tokens in lower case.
fn tokenizer(component: &Value) -> Result<(Tokenizer, bool), String> {
    let kind = kind(component, "tokenizer")?;
    let tokenizer = match kind {
        "ml_standard" => Tokenizer::MlStandard,
        "ml_classic" => Tokenizer::MlClassic,
        "standard" => Tokenizer::Standard,
        "classic" => Tokenizer::Classic(Classic::new()?),
        "whitespace" => Tokenizer::Whitespace,
        "letter" | "lowercase" => Tokenizer::Letter,
        "keyword" => Tokenizer::Keyword,
        "pattern" => {
            let pattern = compiled(component, Some(r"\W+"), kind)?;
            match setting(component, "group").unwrap_or("-1") {
                "-1" => Tokenizer::Split(pattern),
                _ => {
                    let group = number(component, "group", 0)?;
                    if group >= pattern.captures_len() {
                        return Err(format!(
                            "invalid group specified: pattern only has: {} capturing groups",
                            pattern.captures_len() - 1
                        ));
                    }
                    Tokenizer::Matches(pattern, group)
                }
            }
        }
        "simple_pattern" => Tokenizer::Matches(compiled(component, Some(""), kind)?, 0),
        "simple_pattern_split" => Tokenizer::Split(compiled(component, Some(""), kind)?),
        other => {
            let known = [
                "char_group",
                "edge_ngram",
                "ngram",
                "path_hierarchy",
                "thai",
                "uax_url_email",
            ];
            return Err(unknown("tokenizer", other, &known));
        }
    };
    Ok((tokenizer, kind == "lowercase"))
}

fn token_filters_of(component: &Value) -> Result<TokenFilter, String> {
    Ok(match kind(component, "filter")? {
        "lowercase" => TokenFilter::Lowercase,
        "limit" => TokenFilter::Limit(number(component, "max_token_count", 1)?),
        "length" => TokenFilter::Length(
            number(component, "min", 0)?,
            number(component, "max", usize::MAX)?,
        ),
        "stop" => {
            let ignore_case = setting(component, "ignore_case") == Some("true");
            let words: Vec<String> = match component.get("stopwords") {
                None => english_stop_words(),
                Some(Value::Array(words)) => words
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                Some(words) => match words.as_str().unwrap_or_default() {
                    "_english_" => english_stop_words(),
                    "_none_" => Vec::new(),
                    list if !list.starts_with('_') => {
                        list.split(',').map(|word| word.trim().to_owned()).collect()
                    }
                    other => {
                        return Err(format!(
                            "stopwords [{other}] are not supported by this version of tidewatch"
                        ));
                    }
                },
            };
            TokenFilter::Stop(StopWords::new(words, ignore_case))
        }
        other => {
            let known = [
                "apostrophe",
                "asciifolding",
                "classic",
                "elision",
                "keep",
                "ngram",
                "pattern_replace",
                "porter_stem",
                "reverse",
                "shingle",
                "snowball",
                "stemmer",
                "synonym",
                "trim",
                "truncate",
                "unique",
                "uppercase",
                "word_delimiter",
            ];
            return Err(unknown("filter", other, &known));
        }
    })
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match known.contains(&name) {
        true => format!("{what} [{name}] is not supported by this version of tidewatch"),
        false => format!("failed to find global {what} under [{name}]"),
    }
}

/// Lucene's list.
fn english_stop_words() -> Vec<String> {
    let words = "a an and are as at be but by for if in into is it no not of on or such that the their then there these \
                 they this to was will with";
    words.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn analyzer(config: Value) -> Result<Analyzer, String> {
        Analyzer::new(&serde_json::from_value(config).expect("an analyzer"))
    }

    fn tokens(analyzer: &Analyzer, message: &str) -> Vec<String> {
        let mut analysis = Analysis::default();
        analyzer.analyze(message, &mut analysis);
        analysis.tokens().map(str::to_owned).collect()
    }

    #[test]
    fn the_default_analyzer_takes_the_first_line_with_letters_and_no_dates() {
        let analyzer = Analyzer::new(&AnalyzerConfig::standard(&[])).expect("valid");
        let mut analysis = Analysis::default();
        analyzer.analyze(
            "---\r\n12\n  Mon May failed of mon UTC\r\nat x",
            &mut analysis,
        );
        assert_eq!(
            analysis.tokens().collect::<Vec<_>>(),
            ["failed", "of", "mon"]
        );
        let first = analysis.spans().next();
        assert_eq!(
            first,
            Some(Span {
                start: 18,
                end: 24,
                position: 2
            })
        );
        let long = "word ".repeat(200);
        assert_eq!(tokens(&analyzer, &long).len(), 100);
        assert_eq!(tokens(&analyzer, "12\n--"), [""; 0]);
    }

    #[test]
    fn filters_become_char_filters_of_the_default_analyzer() {
        let analyzer = Analyzer::new(&AnalyzerConfig::standard(&["\\[statement:.*\\]".into()]))
            .expect("valid");
        assert_eq!(
            tokens(&analyzer, "started [statement: drop it] now"),
            ["started", "now"]
        );
    }

    #[test]
    fn custom_analyzers_do_as_they_say() {
        for (config, expected) in [
            (
                json!("standard"),
                vec!["the", "user", "bob42", "said", "no"],
            ),
            (json!("stop"), vec!["user", "bob", "said"]),
            (
                json!({"tokenizer": "whitespace"}),
                vec!["The", "user", "Bob42", "said:", "no"],
            ),
            (
                json!({"tokenizer": "lowercase", "filter": [{"type": "length", "min": 3}]}),
                vec!["the", "user", "bob", "said"],
            ),
            (
                json!({"tokenizer": "ml_classic", "filter": [{"type": "stop", "stopwords": ["THE", "no"], "ignore_case": true},
                      {"type": "limit", "max_token_count": 2}]}),
                vec!["user", "Bob42"],
            ),
            (
                json!({"char_filter": ["html_strip"], "tokenizer": "classic", "filter": ["stop"]}),
                vec!["The", "user", "Bob42", "said"],
            ),
            (
                json!({"char_filter": [{"type": "pattern_replace", "pattern": "(\\w+)(\\d\\d)", "replacement": "$2_$1"}],
                      "tokenizer": {"type": "pattern", "pattern": ":? "}}),
                vec!["The", "user", "42_Bob", "said", "no"],
            ),
        ] {
            let analyzer = analyzer(config.clone()).expect("valid");
            assert_eq!(
                tokens(&analyzer, "The user Bob42 said: no"),
                expected,
                "{config}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (config, expected) in [
            (json!("stadard"), "failed to find global analyzer [stadard]"),
            (
                json!({"tokenizer": "wild"}),
                "failed to find global tokenizer under [wild]",
            ),
            (
                json!({"tokenizer": "ngram"}),
                "tokenizer [ngram] is not supported by this version of tidewatch",
            ),
            (
                json!({"tokenizer": "letter", "filter": ["wild"]}),
                "failed to find global filter under [wild]",
            ),
            (
                json!({"char_filter": [{"type": "pattern_replace", "pattern": "(a)\\1"}], "tokenizer": "letter"}),
                "pattern [(a)\\1] of [pattern_replace] cannot be used: back reference [\\1] is not supported",
            ),
        ] {
            assert_eq!(analyzer(config).map(|_| ()), Err(expected.to_owned()));
        }
    }
}
