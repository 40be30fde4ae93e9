//! Queries that people type: `query_string` and its simple form.

use serde_json::{Map, Value};

use super::parse::{Context, Result, date, refuse};
use super::{FieldType, How, Limit, Query, QueryError};

const DEPTH: usize = 30;

/// The words of a text, as a field of texts has them: in lower case.
pub fn of(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Reads a query in Lucene's syntax, of all fields where it names none.
pub fn query_string(text: &str, context: &Context<'_>) -> Result<Query> {
    Typed::new(text, context, Vec::new(), false).whole()
}

/// Reads a query in the simple syntax, which has no mistakes.
pub fn simple_query_string(text: &str, context: &Context<'_>) -> Result<Query> {
    simple(text, context, Vec::new(), false)
}

pub(super) fn parse_query_string(
    body: &Map<String, Value>,
    context: &Context<'_>,
) -> Result<Query> {
    let (mut query, mut fields, mut all) = (None, Vec::new(), false);
    for (name, value) in body {
        match name.as_str() {
            "query" => query = value.as_str(),
            "default_field" => fields.extend(value.as_str().map(str::to_owned)),
            "fields" => fields.extend(names(value)),
            "default_operator" => all = is_and(value),
            "analyze_wildcard"
            | "allow_leading_wildcard"
            | "lenient"
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
    Typed::new(query, context, anywhere(fields), all).whole()
}

pub(super) fn parse_simple(body: &Map<String, Value>, context: &Context<'_>) -> Result<Query> {
    let (mut query, mut fields, mut all) = (None, Vec::new(), false);
    for (name, value) in body {
        match name.as_str() {
            "query" => query = value.as_str(),
            "fields" => fields.extend(names(value)),
            "default_operator" => all = is_and(value),
            "analyze_wildcard" | "lenient" | "flags" | "boost" | "_name" | "analyzer" => {}
            other => {
                return refuse(format!("[simple_query_string] unsupported field [{other}]"));
            }
        }
    }
    let Some(query) = query else {
        return refuse("[simple_query_string] query text missing");
    };
    simple(query, context, anywhere(fields), all)
}

fn names(value: &Value) -> Vec<String> {
    let fields = value.as_array().into_iter().flatten();
    // A boost changes no match.
    let name = |field: &Value| Some(field.as_str()?.split('^').next()?.to_owned());
    fields.filter_map(name).collect()
}

fn is_and(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|operator| operator.eq_ignore_ascii_case("and"))
}

/// No fields: all of them.
fn anywhere(fields: Vec<String>) -> Vec<String> {
    match fields.iter().any(|field| field == "*") {
        true => Vec::new(),
        false => fields,
    }
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
    fields: Vec<String>,
    /// Whether clauses that nothing joins must all be.
    all: bool,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'c> Typed<'c> {
    fn new(text: &'c str, context: &'c Context<'c>, fields: Vec<String>, all: bool) -> Self {
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
            Some(Token::Word(word)) => self.of_fields(field, &|field| self.word(field, &word)),
            Some(Token::Phrase(phrase)) => {
                self.of_fields(field, &|field| Ok(self.phrase(field, &phrase)))
            }
            Some(Token::Range { from, to, ends }) => {
                let Some(field) = field else {
                    return broken(self.text);
                };
                Ok(Query::Range {
                    field: field.to_owned(),
                    from: self.limit(field, &from, ends.0, false)?,
                    to: self.limit(field, &to, ends.1, true)?,
                })
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
        match (field, &self.fields[..]) {
            (Some(field), _) => query(Some(field)),
            (None, []) => query(None),
            (None, [one]) => query(Some(one)),
            (None, several) => {
                let each: Result<Vec<Query>> =
                    several.iter().map(|field| query(Some(field))).collect();
                each.map(Query::or)
            }
        }
    }

    fn word(&self, field: Option<&str>, word: &str) -> Result<Query> {
        word_query(self.context, field, word)
    }

    fn phrase(&self, field: Option<&str>, phrase: &str) -> Query {
        phrase_query(self.context, field, phrase)
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
        let value = match (self.context.type_of)(field) {
            // The end of what is included, the start of what is not.
            FieldType::Date => date(self.context, text, inclusive == is_end)?.into(),
            FieldType::Number => match text.parse::<serde_json::Number>() {
                Ok(number) => Value::Number(number),
                Err(_) => return broken(self.text),
            },
            _ => text.into(),
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
    let mut escaped = false;
    word.chars().any(|c| {
        let is = !escaped && matches!(c, '*' | '?');
        escaped = !escaped && c == '\\';
        is
    })
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
                how: How::Any,
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
    if has_wildcard(word) {
        return Ok(Query::Wildcard {
            field: field.to_owned(),
            pattern: word.to_owned(),
            ignore_case: false,
        });
    }
    Ok(match (context.type_of)(field) {
        FieldType::Text => Query::Words {
            field: Some(field.to_owned()),
            words: of(&unescaped(word)),
            how: How::Any,
        },
        FieldType::Date => {
            // A date means all of it.
            let word = unescaped(word);
            let limit = |up| {
                Ok(Some(Limit {
                    value: date(context, &word, up)?.into(),
                    inclusive: true,
                }))
            };
            Query::Range {
                field: field.to_owned(),
                from: limit(false)?,
                to: limit(true)?,
            }
        }
        _ => Query::term(field, unescaped(word)),
    })
}

fn phrase_query(context: &Context<'_>, field: Option<&str>, phrase: &str) -> Query {
    match field {
        Some(field) if (context.type_of)(field) != FieldType::Text => Query::term(field, phrase),
        field => Query::Words {
            field: field.map(str::to_owned),
            words: match field {
                Some(_) => of(phrase),
                None => phrase.split_whitespace().map(str::to_owned).collect(),
            },
            how: How::Phrase,
        },
    }
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
                    tokens.push(match word {
                        "AND" => Token::And,
                        "OR" => Token::Or,
                        "NOT" => Token::Not,
                        // How much a word weighs changes no match.
                        word => Token::Word(word.split('^').next().unwrap_or(word).to_owned()),
                    });
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
fn simple(text: &str, context: &Context<'_>, fields: Vec<String>, all: bool) -> Result<Query> {
    let of = |query: &dyn Fn(Option<&str>) -> Result<Query>| match fields.is_empty() {
        true => query(None),
        false => {
            let each: Result<Vec<Query>> = fields.iter().map(|field| query(Some(field))).collect();
            each.map(Query::or)
        }
    };
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
                    Some(of(&|field| Ok(phrase_query(context, field, &phrase)))?)
                }
                None => None,
            },
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || "+|\"()".contains(c));
                let word = &rest[..length.unwrap_or(rest.len())];
                eat = word.len();
                Some(of(&|field| word_query(context, field, word))?)
            }
        };
        if let Some(query) = query {
            joined_and.push(next_and.take().unwrap_or(all));
            clauses.push(match std::mem::take(&mut not) {
                true => Query::Bool {
                    must: Vec::new(),
                    should: Vec::new(),
                    must_not: vec![query],
                    at_least: 0,
                },
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
