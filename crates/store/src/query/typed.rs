//! Queries that people type: `query_string` and its simple form.

use serde_json::{Map, Value};

use super::parse::{Context, QueryError, Result, refuse};
use super::parts::{self, Dates};
use super::{FieldType, How, Limit, Pattern, Query};

const DEPTH: usize = 30;

/// Reads a query in Lucene's syntax, of all fields where it names none.
pub fn query_string(text: &str, context: &Context<'_>) -> Result<Query> {
    let fields = Fields::new(Vec::new(), context, false);
    Typed::new(text, context, fields, false).whole()
}

/// Reads a query in the simple syntax, which has no mistakes.
pub fn simple_query_string(text: &str, context: &Context<'_>) -> Result<Query> {
    simple(
        text,
        context,
        &Fields::new(Vec::new(), context, false),
        false,
    )
}

pub(super) fn parse_query_string(
    body: &Map<String, Value>,
    context: &Context<'_>,
) -> Result<Query> {
    let (mut query, mut fields, mut all) = (None, Vec::new(), false);
    let mut lenient = false;
    for (name, value) in body {
        match name.as_str() {
            "query" => query = value.as_str(),
            "default_field" => fields.extend(value.as_str().map(str::to_owned)),
            "fields" => fields.extend(names(value)),
            "default_operator" => all = is_and(value),
            "lenient" => lenient = matches!(value, Value::Bool(true)) || value == "true",
            "analyze_wildcard"
            | "allow_leading_wildcard"
            | "auto_generate_synonyms_phrase_query"
            | "max_determinized_states"
            | "enable_position_increments"
            | "tie_breaker"
            | "boost"
            | "_name"
            | "time_zone"
            | "escape"
            | "type"
            | "quote_analyzer"
            | "analyzer" => {}
            other => return refuse(format!("[query_string] query does not support [{other}]")),
        }
    }
    let Some(query) = query else {
        return refuse("[query_string] must be provided with a [query]");
    };
    let fields = Fields::new(fields, context, lenient);
    Typed::new(query, context, fields, all).whole()
}

pub(super) fn parse_simple(body: &Map<String, Value>, context: &Context<'_>) -> Result<Query> {
    let (mut query, mut fields, mut all) = (None, Vec::new(), false);
    let mut lenient = false;
    for (name, value) in body {
        match name.as_str() {
            "query" => query = value.as_str(),
            "fields" => fields.extend(names(value)),
            "default_operator" => all = is_and(value),
            "lenient" => lenient = matches!(value, Value::Bool(true)) || value == "true",
            "analyze_wildcard"
            | "auto_generate_synonyms_phrase_query"
            | "flags"
            | "boost"
            | "_name"
            | "analyzer" => {}
            other => {
                return refuse(format!("[simple_query_string] unsupported field [{other}]"));
            }
        }
    }
    let Some(query) = query else {
        return refuse("[simple_query_string] query text missing");
    };
    simple(query, context, &Fields::new(fields, context, lenient), all)
}

pub(super) fn names(value: &Value) -> Vec<String> {
    let one = std::slice::from_ref(value);
    let fields = value.as_array().map_or(one, Vec::as_slice).iter();
    // A boost changes no match.
    let name = |field: &Value| Some(field.as_str()?.split('^').next()?.to_owned());
    fields.filter_map(name).collect()
}

fn is_and(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|operator| operator.eq_ignore_ascii_case("and"))
}

/// The fields that are meant where none is named.
struct Fields {
    /// None: any text of a document.
    paths: Option<Vec<String>>,
    /// Whether what a field can't have is not found there, rather than refused.
    lenient: bool,
}

impl Fields {
    /// No names: all fields.
    fn new(names: Vec<String>, context: &Context<'_>, lenient: bool) -> Self {
        let all = names.is_empty() || names.iter().any(|name| name == "*");
        if all {
            let is_loose = context.schema.has_loose_texts();
            return Self {
                paths: (!is_loose).then(|| context.schema.matching("*")),
                lenient: true,
            };
        }
        let lenient = lenient || names.iter().any(|name| name.contains('*'));
        Self {
            paths: Some(expanded(&names, context)),
            lenient,
        }
    }

    /// A query of one of them.
    fn each(&self, query: &dyn Fn(Option<&str>) -> Result<Query>) -> Result<Query> {
        let Some(paths) = &self.paths else {
            return query(None);
        };
        best(paths, self.lenient, query)
    }
}

fn expanded(names: &[String], context: &Context<'_>) -> Vec<String> {
    let each = names.iter().flat_map(|name| match name.contains('*') {
        true => context.schema.matching(name),
        false => vec![name.clone()],
    });
    each.collect()
}

fn best(
    paths: &[String],
    lenient: bool,
    query: &dyn Fn(Option<&str>) -> Result<Query>,
) -> Result<Query> {
    let mut queries = Vec::new();
    for path in paths {
        match query(Some(path)) {
            Ok(query) => queries.push(query),
            Err(_) if lenient => {}
            Err(error) => return Err(error),
        }
    }
    Ok(match queries.len() {
        0 => Query::None,
        1 => queries.remove(0),
        _ => Query::Best {
            queries,
            tie_breaker: 0.0,
        },
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Plus,
    Minus,
    /// A name, and what follows is of that field.
    Field(String),
    /// With its escapes.
    Word(String),
    /// What stood between slashes.
    Regexp(String),
    Phrase(String),
    Range {
        from: String,
        to: String,
        /// Whether the ends belong to it.
        ends: (bool, bool),
    },
}

fn broken<T>(text: &str) -> Result<T> {
    Err(QueryError {
        kind: "query_shard_exception",
        reason: format!("Failed to parse query [{text}]"),
    })
}

/// A clause of a group: what joins it to the one before, and how it is meant.
struct Clause {
    query: Query,
    required: bool,
    prohibited: bool,
}

struct Typed<'c> {
    text: &'c str,
    context: &'c Context<'c>,
    fields: Fields,
    /// Whether clauses that nothing joins must all be.
    all: bool,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'c> Typed<'c> {
    fn new(text: &'c str, context: &'c Context<'c>, fields: Fields, all: bool) -> Self {
        Self {
            text,
            context,
            fields,
            all,
            tokens: Vec::new(),
            at: 0,
            depth: 0,
        }
    }

    fn whole(mut self) -> Result<Query> {
        self.tokens = match tokens(self.text) {
            Some(tokens) => tokens,
            None => return broken(self.text),
        };
        if self.tokens.is_empty() {
            return Ok(Query::None);
        }
        let query = self.group(None)?;
        match self.at < self.tokens.len() {
            true => broken(self.text),
            false => Ok(query),
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let is_next = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(is_next);
        is_next
    }

    /// Clauses up to the end or a closing bracket.
    fn group(&mut self, field: Option<&str>) -> Result<Query> {
        self.depth += 1;
        if self.depth > DEPTH {
            return broken(self.text);
        }
        let mut clauses: Vec<Clause> = Vec::new();
        while !matches!(self.tokens.get(self.at), None | Some(Token::Close)) {
            let and = self.takes(&Token::And);
            let or = !and && self.takes(&Token::Or);
            if (and || or) && clauses.is_empty() {
                return broken(self.text);
            }
            let not = self.takes(&Token::Not) || self.takes(&Token::Minus);
            let plus = !not && self.takes(&Token::Plus);
            let query = self.clause(field)?;
            // What joins a clause says something of the one before it too.
            if let Some(before) = clauses.last_mut() {
                before.required = match self.all {
                    false => before.required || (and && !before.prohibited),
                    true => before.required && !or,
                };
            }
            let required = plus
                || !not
                    && match self.all {
                        false => and,
                        true => !or,
                    };
            clauses.push(Clause {
                query,
                required,
                prohibited: not,
            });
        }
        self.depth -= 1;
        if clauses.is_empty() {
            return broken(self.text);
        }
        let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
        for clause in clauses {
            match (clause.prohibited, clause.required) {
                (true, _) => must_not.push(clause.query),
                (_, true) => must.push(clause.query),
                _ => should.push(clause.query),
            }
        }
        let at_least = usize::from(must.is_empty() && !should.is_empty());
        Ok(match (&must[..], &should[..], &must_not[..]) {
            ([_], [], []) => must.remove(0),
            ([], [_], []) => should.remove(0),
            _ => Query::Bool {
                must,
                filter: Vec::new(),
                should,
                must_not,
                at_least,
            },
        })
    }

    fn clause(&mut self, field: Option<&str>) -> Result<Query> {
        match self.next() {
            Some(Token::Open) => {
                let query = self.group(field)?;
                match self.takes(&Token::Close) {
                    true => Ok(query),
                    false => broken(self.text),
                }
            }
            Some(Token::Field(name)) => self.clause(Some(&name)),
            // Words that are nearly so: what a fuzzy query finds isn't known here.
            Some(Token::Word(word)) if bare(&word, |c| c == '~').is_some() => refuse(format!(
                "fuzzy terms are not supported in a query string: [{word}]"
            )),
            Some(Token::Word(word)) => self.of_fields(field, &|field| self.word(field, &word)),
            Some(Token::Regexp(expression)) => {
                self.of_fields(field, &|field| self.regexp(field, &expression))
            }
            Some(Token::Phrase(phrase)) => {
                let slop = self.slop();
                self.of_fields(field, &|field| {
                    phrase_query(self.context, field, &phrase, slop)
                })
            }
            Some(Token::Range { from, to, ends }) => {
                let Some(field) = field else {
                    return broken(self.text);
                };
                let (from, to) = (
                    self.limit(field, &from, ends.0, false)?,
                    self.limit(field, &to, ends.1, true)?,
                );
                parts::between(field, self.context.field(field).as_ref(), from, to)
            }
            _ => broken(self.text),
        }
    }

    /// A query of one field, or of one of those that are meant where none is named.
    fn of_fields(
        &self,
        field: Option<&str>,
        query: &dyn Fn(Option<&str>) -> Result<Query>,
    ) -> Result<Query> {
        match field {
            None => self.fields.each(query),
            Some(field) if field.contains('*') && !self.context.schema.has_loose_texts() => {
                best(&self.context.schema.matching(field), true, query)
            }
            Some(field) => query(Some(field)),
        }
    }

    fn word(&self, field: Option<&str>, word: &str) -> Result<Query> {
        word_query(self.context, field, word)
    }

    fn regexp(&self, field: Option<&str>, expression: &str) -> Result<Query> {
        let Some(field) = field else {
            return refuse("a regular expression in a query string needs a field before it");
        };
        Ok(Query::Regexp {
            field: field.to_owned(),
            pattern: Pattern::new(expression, false)?,
        })
    }

    /// The number behind a phrase: `~2`.
    fn slop(&mut self) -> u32 {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => match word.strip_prefix('~').map(str::parse) {
                Some(Ok(slop)) => {
                    self.at += 1;
                    slop
                }
                _ => 0,
            },
            _ => 0,
        }
    }

    fn limit(
        &self,
        field: &str,
        text: &str,
        inclusive: bool,
        is_end: bool,
    ) -> Result<Option<Limit>> {
        if text == "*" {
            return Ok(None);
        }
        let known = self.context.field(field);
        // The end of what is included, the start of what is not.
        let up = inclusive == is_end;
        let value = parts::end(
            self.context,
            known.as_ref(),
            &text.into(),
            &Dates::PLAIN,
            up,
        );
        let value = match value {
            Err(error) if error.kind == "number_format_exception" => return broken(self.text),
            value => value?,
        };
        Ok(Some(Limit { value, inclusive }))
    }
}

fn unescaped(word: &str) -> String {
    let mut chars = word.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => chars.next().unwrap_or('\\'),
            c => c,
        });
    }
    text
}

fn has_wildcard(word: &str) -> bool {
    bare(word, |c| matches!(c, '*' | '?')).is_some()
}

/// Where the first of such characters stands that no backslash is before.
fn bare(word: &str, is: impl Fn(char) -> bool) -> Option<usize> {
    let mut escaped = false;
    let found = word.char_indices().find(|(_, c)| {
        let found = !escaped && is(*c);
        escaped = !escaped && *c == '\\';
        found
    });
    found.map(|(at, _)| at)
}

fn word_query(context: &Context<'_>, field: Option<&str>, word: &str) -> Result<Query> {
    let Some(field) = field else {
        return Ok(match word {
            "*" => Query::All,
            word if has_wildcard(word) => Query::Wildcard {
                field: "*".to_owned(),
                pattern: word.to_owned(),
                ignore_case: false,
            },
            word => Query::Words {
                field: None,
                words: vec![unescaped(word)],
                how: How::ANY,
            },
        });
    };
    if field == "_exists_" {
        return Ok(Query::Exists(unescaped(word)));
    }
    if field == "*" && word == "*" {
        return Ok(Query::All);
    }
    if word == "*" {
        return Ok(Query::Exists(field.to_owned()));
    }
    let of = context.type_of(field);
    let is_text = of.is_none_or(|of| matches!(of, FieldType::Keyword | FieldType::Text));
    if has_wildcard(word) {
        if !is_text {
            return refuse(format!(
                "Can only use wildcard queries on keyword, text and wildcard fields - not on [{field}]"
            ));
        }
        let pattern = match of {
            Some(FieldType::Text) => word.to_lowercase(),
            _ => word.to_owned(),
        };
        return Ok(Query::Wildcard {
            field: field.to_owned(),
            pattern,
            ignore_case: false,
        });
    }
    let word = unescaped(word);
    match context.field(field) {
        Some(known) if known.of == FieldType::Text => Ok(Query::Words {
            field: Some(field.to_owned()),
            words: crate::index::words(&word),
            how: How::ANY,
        }),
        _ => parts::is(context, field, &word.into(), false),
    }
}

fn phrase_query(
    context: &Context<'_>,
    field: Option<&str>,
    phrase: &str,
    slop: u32,
) -> Result<Query> {
    let words = match field {
        Some(path) => match context.field(path) {
            Some(field) if field.of == FieldType::Text => crate::index::words(phrase),
            _ => return parts::is(context, path, &phrase.into(), false),
        },
        None => phrase.split_whitespace().map(str::to_owned).collect(),
    };
    Ok(Query::Words {
        field: field.map(str::to_owned),
        words,
        how: How::Phrase(slop),
    })
}

/// The tokens of Lucene's syntax. `None`: a bracket or quote that doesn't end.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut eat = first.len_utf8();
        match first {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '+' => tokens.push(Token::Plus),
            '-' => tokens.push(Token::Minus),
            '!' => tokens.push(Token::Not),
            '&' if rest.starts_with("&&") => {
                eat = 2;
                tokens.push(Token::And);
            }
            '|' if rest.starts_with("||") => {
                eat = 2;
                tokens.push(Token::Or);
            }
            '"' => {
                let (phrase, length) = quoted(&rest[1..])?;
                eat = 1 + length;
                tokens.push(Token::Phrase(phrase));
            }
            '/' => {
                let end = bare(&rest[1..], |c| c == '/')?;
                tokens.push(Token::Regexp(rest[1..=end].replace("\\/", "/")));
                eat = end + 2;
            }
            '[' | '{' => {
                let end = rest.find([']', '}'])?;
                let ends = (first == '[', rest[end..].starts_with(']'));
                let (from, to) = rest[1..end].split_once(" TO ")?;
                let clean = |text: &str| unescaped(text.trim().trim_matches('"'));
                tokens.push(Token::Range {
                    from: clean(from),
                    to: clean(to),
                    ends,
                });
                eat = end + 1;
            }
            '<' | '>' => {
                let inclusive = rest[1..].starts_with('=');
                let start = 1 + usize::from(inclusive);
                let length = word_length(&rest[start..]);
                if length == 0 {
                    return None;
                }
                let value = unescaped(&rest[start..start + length]);
                let any = "*".to_owned();
                tokens.push(match first {
                    '>' => Token::Range {
                        from: value,
                        to: any,
                        ends: (inclusive, true),
                    },
                    _ => Token::Range {
                        from: any,
                        to: value,
                        ends: (true, inclusive),
                    },
                });
                eat = start + length;
            }
            _ => {
                let length = word_length(rest);
                if length == 0 {
                    return None;
                }
                let word = &rest[..length];
                eat = length;
                if rest[length..].starts_with(':') {
                    eat += 1;
                    tokens.push(Token::Field(unescaped(word)));
                } else {
                    // How much a word, phrase or group weighs changes no match.
                    let word = match bare(word, |c| c == '^') {
                        Some(at) => {
                            word[at + 1..].parse::<f32>().ok()?;
                            &word[..at]
                        }
                        None => word,
                    };
                    match word {
                        "" => {}
                        "AND" => tokens.push(Token::And),
                        "OR" => tokens.push(Token::Or),
                        "NOT" => tokens.push(Token::Not),
                        word => tokens.push(Token::Word(word.to_owned())),
                    }
                }
            }
        }
        rest = rest[eat..].trim_start();
    }
    Some(tokens)
}

/// Bytes of the word that a text begins with.
fn word_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        let ends = c.is_whitespace() || matches!(c, '(' | ')' | ':' | '"' | '[' | ']' | '{' | '}');
        if ends && !escaped {
            return at;
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// What stands before the next quote, and the bytes up to behind it.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == '"' && !escaped {
            return Some((unescaped(&text[..at]), at + 1));
        }
        escaped = !escaped && c == '\\';
    }
    None
}

/// The simple syntax: `+` and, `|` or, `-` not, `"` a phrase, `*` at the end of a word. What is wrong is left out.
fn simple(text: &str, context: &Context<'_>, fields: &Fields, all: bool) -> Result<Query> {
    let (mut clauses, mut joined_and, mut not) = (Vec::new(), Vec::new(), false);
    let mut next_and = None;
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut eat = first.len_utf8();
        let query = match first {
            '+' => {
                next_and = Some(true);
                None
            }
            '|' => {
                next_and = Some(false);
                None
            }
            '-' => {
                not = true;
                None
            }
            '(' | ')' => None,
            '"' => match quoted(&rest[1..]) {
                Some((phrase, length)) => {
                    eat = 1 + length;
                    Some(fields.each(&|field| phrase_query(context, field, &phrase, 0))?)
                }
                None => None,
            },
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || "+|\"()".contains(c));
                let word = &rest[..length.unwrap_or(rest.len())];
                eat = word.len();
                Some(fields.each(&|field| word_query(context, field, word))?)
            }
        };
        if let Some(query) = query {
            joined_and.push(next_and.take().unwrap_or(all));
            clauses.push(match std::mem::take(&mut not) {
                true => Query::except(query),
                false => query,
            });
        }
        rest = rest[eat..].trim_start();
    }
    // Those that are joined by "and" stand together.
    let mut groups: Vec<Vec<Query>> = Vec::new();
    for (and, query) in joined_and.into_iter().zip(clauses) {
        match groups.last_mut().filter(|_| and) {
            Some(group) => group.push(query),
            None => groups.push(vec![query]),
        }
    }
    Ok(match groups.len() {
        0 => Query::None,
        _ => Query::or(groups.into_iter().map(Query::and).collect()),
    })
}
