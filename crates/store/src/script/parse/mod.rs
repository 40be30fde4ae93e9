//! From tokens to a tree whose names, and types as far as they are known, have been checked.

mod build;
mod expression;
mod formula;
mod primary;
mod statement;

use serde_json::{Map, Value};

use super::context::{Context, Kind};
use super::error::Fault;
use super::syntax::{Expr, Pattern, Program, Statement, Type};
use super::token::{Placed, Token, Wrong, tokens};

/// Parentheses within parentheses, blocks within blocks.
const NESTING: usize = 48;
/// Variables at the same time.
const LOCALS: usize = 256;
/// Regular expressions, and what one may take when it is compiled.
const REGEXES: usize = 32;
const REGEX_BYTES: usize = 256 << 10;
/// Different fields that are named.
const FIELDS: usize = 256;

pub(super) type Result<T> = std::result::Result<T, Wrong>;

/// Parses Painless.
pub(super) fn painless(source: &str, context: Context) -> Result<Program> {
    let mut parser = Parser::new(source, context)?;
    let mut statements = Vec::new();
    while *parser.peek() != Token::End {
        parser.statement(&mut statements)?;
    }
    statement::finish(&mut statements, context, true)?;
    Ok(parser.program(statements))
}

/// Parses the language `expression`: one formula of numbers, in which parameters stand by their names.
pub(super) fn formula(
    source: &str,
    context: Context,
    params: &Map<String, Value>,
) -> Result<Program> {
    if let Context::Runtime(kind) = context {
        let reason = format!("no factory for runtime fields of type [{}]", kind.name());
        return refuse(0, reason);
    }
    let mut parser = Parser::new(source, context)?;
    let number = parser.formula(params)?;
    let (at, rest) = (parser.at(), parser.peek().clone());
    if rest != Token::End {
        return parser.unexpected(at);
    }
    let value = match context {
        Context::Filter => build::truth(number)?,
        _ => number,
    };
    Ok(parser.program(vec![Statement::Return(Some(value))]))
}

pub(super) fn refuse<T>(at: usize, reason: impl Into<String>) -> Result<T> {
    Err((at, Fault::argument(reason)))
}

struct Local {
    name: String,
    ty: Type,
}

struct Parser<'s> {
    source: &'s str,
    context: Context,
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    /// Those that can be seen; a variable's slot is its place.
    locals: Vec<Local>,
    most_locals: usize,
    /// Loops around the statement that is read.
    loops: usize,
    fields: Vec<String>,
    regexes: Vec<Pattern>,
    uses_source: bool,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str, context: Context) -> Result<Self> {
        Ok(Self {
            source,
            context,
            tokens: tokens(source)?,
            next: 0,
            depth: 0,
            locals: Vec::new(),
            most_locals: 0,
            loops: 0,
            fields: Vec::new(),
            regexes: Vec::new(),
            uses_source: false,
        })
    }

    fn program(self, statements: Vec<Statement>) -> Program {
        Program {
            statements,
            locals: self.most_locals,
            fields: self.fields,
            regexes: self.regexes,
            uses_source: self.uses_source,
        }
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    /// The token so many places on.
    fn ahead(&self, by: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.next + by).min(last)].token
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.next += 1;
        }
        token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn is_ahead(&self, by: usize, sign: &str) -> bool {
        matches!(self.ahead(by), Token::Sign(found) if *found == sign)
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<()> {
        if self.accept(sign) {
            return Ok(());
        }
        self.unexpected(self.at())
    }

    /// Accepts a name that is a word of the language.
    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(name) if name == word);
        self.next += usize::from(found);
        found
    }

    fn name(&mut self) -> Result<String> {
        match self.peek().clone() {
            Token::Name(name) => {
                self.next += 1;
                Ok(name)
            }
            _ => self.unexpected(self.at()),
        }
    }

    fn unexpected<T>(&self, at: usize) -> Result<T> {
        let token = &self.tokens[self.next];
        if token.token == Token::End {
            return refuse(at, "unexpected end of script.");
        }
        let text = &self.source[token.at..token.end];
        refuse(at, format!("invalid sequence of tokens near ['{text}']."))
    }

    /// Reads what may have its like within it.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= NESTING {
            return refuse(self.at(), too_deep());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn declare(&mut self, at: usize, name: String, ty: Type) -> Result<usize> {
        if self.locals.iter().any(|local| local.name == name) {
            return refuse(at, format!("variable [{name}] is already defined"));
        }
        if self.locals.len() >= LOCALS {
            return refuse(at, format!("there are more than [{LOCALS}] variables"));
        }
        self.locals.push(Local { name, ty });
        self.most_locals = self.most_locals.max(self.locals.len());
        Ok(self.locals.len() - 1)
    }

    fn local(&self, name: &str) -> Option<(usize, Type)> {
        let slot = self.locals.iter().position(|local| local.name == name)?;
        Some((slot, self.locals[slot].ty))
    }

    /// The place of a field that is named.
    fn field(&mut self, at: usize, name: &str) -> Result<usize> {
        if let Some(place) = self.fields.iter().position(|field| field == name) {
            return Ok(place);
        }
        if self.fields.len() >= FIELDS {
            return refuse(at, format!("there are more than [{FIELDS}] fields"));
        }
        self.fields.push(name.to_owned());
        Ok(self.fields.len() - 1)
    }

    fn regex(&mut self, at: usize, pattern: &str, flags: &str) -> Result<usize> {
        if self.regexes.len() >= REGEXES {
            return refuse(
                at,
                format!("there are more than [{REGEXES}] regular expressions"),
            );
        }
        let compile = |pattern: &str| {
            let mut builder = regex::RegexBuilder::new(pattern);
            builder
                .size_limit(REGEX_BYTES)
                .dfa_size_limit(2 * REGEX_BYTES)
                .nest_limit(50);
            builder
                .case_insensitive(flags.contains('i'))
                .multi_line(flags.contains('m'))
                .dot_matches_new_line(flags.contains('s'))
                .ignore_whitespace(flags.contains('x'));
            builder.build().ok()
        };
        // `u` and `U` are of the cases of all letters, which are meant anyway.
        if let Some(flag) = flags.chars().find(|flag| !"imsxuU".contains(*flag)) {
            return refuse(at, format!("Unknown flag [{flag}]"));
        }
        let java = java_pattern(pattern);
        // A comment within ends with its line.
        let end = if flags.contains('x') { "\n" } else { "" };
        let part = compile(&java);
        match part.and_then(|part| Some((part, compile(&format!("\\A(?:{java}{end})\\z"))?))) {
            Some((part, whole)) => {
                self.regexes.push(Pattern { part, whole });
                Ok(self.regexes.len() - 1)
            }
            None => {
                let reason = format!(
                    "Error compiling regex: [{pattern}] is malformed, too large or uses what is not supported"
                );
                refuse(at, reason)
            }
        }
    }
}

pub(super) fn too_deep() -> String {
    "expressions or blocks are nested too deeply".to_owned()
}

/// Java's classes of characters are of ASCII alone.
fn java_pattern(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('s') => out.push_str(r"[ \t\n\x0B\x0C\r]"),
            Some('S') => out.push_str(r"[^ \t\n\x0B\x0C\r]"),
            Some('Z') => out.push_str(r"\z"),
            Some(char) => out.extend(['\\', char]),
            None => out.push('\\'),
        }
    }
    out
}

/// What `emit` takes.
fn emitted(kind: Kind) -> Type {
    match kind {
        Kind::Keyword | Kind::Ip => Type::String,
        Kind::Long | Kind::Date => Type::Long,
        Kind::Double => Type::Double,
        Kind::Boolean => Type::Boolean,
    }
}

/// An expression that stands where a yes or no is needed.
fn condition(expr: Expr) -> Result<Expr> {
    build::convert(expr, Type::Boolean, false)
}

#[cfg(test)]
mod tests {
    #[test]
    fn classes_of_characters_are_those_of_java() {
        let regex = regex::Regex::new(&super::java_pattern(r"^[\d.]+\s\w$")).unwrap();
        assert!(regex.is_match("1.5 a"));
        assert!(
            !regex.is_match("١.5 a") && !regex.is_match("1.5\u{a0}a") && !regex.is_match("1 é")
        );
    }
}
