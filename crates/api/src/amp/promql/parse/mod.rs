//! From tokens to an expression.

mod call;
mod select;

use super::binary::OPERATORS;
use super::lex::{Placed, Token, tokens};
use super::{Expression, Kind, Matching, Operator, Selector};

/// Expressions within each other.
const DEEPEST: usize = 50;
/// Operators of a query.
const MOST_OPERATORS: usize = 500;
/// How closely a sign binds what stands after it: less than a power.
const SIGN_LEVEL: u8 = 6;

/// # Errors
/// In the words of Prometheus where it has them, with the place.
pub fn parse(query: &str) -> Result<Expression, String> {
    Parser::read(query, |parser| parser.expression(0, 0))
}

/// A selector alone, as `match[]` has it.
///
/// # Errors
/// As [`parse`].
pub fn selector(query: &str) -> Result<Selector, String> {
    Parser::read(query, |parser| {
        let start = parser.place();
        match parser.selector()? {
            selector if selector.range.is_none() && selector.offset == 0 => Ok(selector),
            _ => Err((start, "unexpected range selector".to_owned())),
        }
    })
}

type Outcome<T> = Result<T, (usize, String)>;

struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    end: usize,
    operators: usize,
    selectors: usize,
}

impl Parser<'_> {
    fn read<T>(query: &str, read: impl FnOnce(&mut Parser) -> Outcome<T>) -> Result<T, String> {
        let told = |(at, told): (usize, String)| {
            let before = &query[..at.min(query.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
            format!("{line}:{column}: parse error: {told}")
        };
        let tokens = tokens(query).map_err(told)?;
        if tokens.is_empty() {
            return Err("unknown position: parse error: no expression found in input".to_owned());
        }
        let mut parser = Parser {
            tokens: &tokens,
            at: 0,
            end: query.len(),
            operators: 0,
            selectors: 0,
        };
        let outcome = read(&mut parser).and_then(|read| match parser.peek() {
            None => Ok(read),
            Some(token) => Err((parser.place(), unexpected(token))),
        });
        outcome.map_err(told)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(at, _)| *at)
    }

    fn next(&mut self) -> Outcome<Token> {
        let token = self.peek().cloned();
        let place = self.place();
        self.at += 1;
        token.ok_or_else(|| (place, "unexpected end of input".to_owned()))
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.peek(), Some(Token::Sign(other)) if *other == sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Outcome<()> {
        let place = self.place();
        match self.next()? {
            Token::Sign(other) if other == sign => Ok(()),
            token => Err((
                place,
                format!("{}, expected \"{sign}\"", unexpected(&token)),
            )),
        }
    }

    /// What binds at least as closely as `level`.
    fn expression(&mut self, depth: usize, level: u8) -> Outcome<Expression> {
        let start = self.place();
        if depth > DEEPEST {
            return Err((start, "the query is nested too deeply".to_owned()));
        }
        let mut left = self.operand(depth)?;
        while let Some((operator, its)) = self.operator() {
            if its < level {
                break;
            }
            let place = self.place();
            self.operators += 1;
            if self.operators > MOST_OPERATORS {
                return Err((place, "the query has too many operators".to_owned()));
            }
            self.at += 1;
            let is_bool = self.word("bool");
            let matching = self.matching()?;
            // Powers go from the right to the left.
            let next = if operator == Operator::Power {
                its
            } else {
                its + 1
            };
            let right = self.expression(depth + 1, next)?;
            left =
                joined(left, operator, is_bool, matching, right).map_err(|told| (place, told))?;
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(Operator, u8)> {
        let written = match self.peek()? {
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Word(word) => word.to_ascii_lowercase(),
            _ => return None,
        };
        let found = OPERATORS.iter().find(|(name, ..)| *name == written);
        found.map(|(_, operator, level)| (*operator, *level))
    }

    /// Takes a keyword, if it is the next token.
    fn word(&mut self, word: &str) -> bool {
        let is_there =
            matches!(self.peek(), Some(Token::Word(other)) if other.eq_ignore_ascii_case(word));
        self.at += usize::from(is_there);
        is_there
    }

    /// `on (..)` or `ignoring (..)`; None where neither is written.
    fn matching(&mut self) -> Outcome<Option<Matching>> {
        let matching = if self.word("on") {
            Matching::On(self.names()?)
        } else if self.word("ignoring") {
            Matching::Ignoring(self.names()?)
        } else {
            return Ok(None);
        };
        let place = self.place();
        match self.word("group_left") || self.word("group_right") {
            true => Err((
                place,
                "matching of many to one is not supported here".to_owned(),
            )),
            false => Ok(Some(matching)),
        }
    }

    /// Names of labels in parentheses.
    fn names(&mut self) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            let place = self.place();
            match self.next()? {
                Token::Word(name) if !name.contains(':') => names.push(name),
                Token::Text(name) => names.push(name),
                token => {
                    let told = format!("{} in grouping opts, expected label", unexpected(&token));
                    return Err((place, told));
                }
            }
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(names)
    }

    fn operand(&mut self, depth: usize) -> Outcome<Expression> {
        let start = self.place();
        let is_negative = match self.peek() {
            Some(Token::Sign("-")) => true,
            Some(Token::Sign("+")) => false,
            _ => return self.primary(depth),
        };
        self.at += 1;
        let inner = self.expression(depth + 1, SIGN_LEVEL)?;
        match inner {
            Expression::Number(number) if is_negative => Ok(Expression::Number(-number)),
            inner if inner.kind() == Kind::Matrix => Err((
                start,
                "unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\""
                    .to_owned(),
            )),
            inner if is_negative => Ok(Expression::Negative(Box::new(inner))),
            inner => Ok(inner),
        }
    }

    fn primary(&mut self, depth: usize) -> Outcome<Expression> {
        let start = self.place();
        match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.at += 1;
                Ok(Expression::Number(number))
            }
            Some(Token::Sign("(")) => {
                self.at += 1;
                let inner = self.expression(depth + 1, 0)?;
                self.expect(")")?;
                match self.peek() {
                    Some(Token::Sign("[")) => {
                        Err((self.place(), "subqueries are not supported here".to_owned()))
                    }
                    _ => Ok(inner),
                }
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("nan") => {
                self.at += 1;
                Ok(Expression::Number(f64::NAN))
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("inf") => {
                self.at += 1;
                Ok(Expression::Number(f64::INFINITY))
            }
            Some(Token::Word(word)) if self.is_call() => self.call(&word, start, depth),
            Some(Token::Word(_) | Token::Sign("{")) => Ok(Expression::Selector(self.selector()?)),
            Some(token) => Err((start, unexpected(&token))),
            None => Err((start, "unexpected end of input".to_owned())),
        }
    }
}

fn joined(
    left: Expression,
    operator: Operator,
    is_bool: bool,
    matching: Option<Matching>,
    right: Expression,
) -> Result<Expression, String> {
    let kinds = [left.kind(), right.kind()];
    if kinds.contains(&Kind::Matrix) {
        return Err(
            "binary expression must contain only scalar and instant vector types".to_owned(),
        );
    }
    let are_vectors = kinds == [Kind::Vector; 2];
    if is_bool && !operator.is_comparison() {
        return Err("bool modifier can only be used on comparison operators".to_owned());
    }
    if kinds == [Kind::Scalar; 2] && operator.is_comparison() && !is_bool {
        return Err("comparisons between scalars must use BOOL modifier".to_owned());
    }
    if operator.is_of_sets() && !are_vectors {
        return Err("set operator not allowed in binary scalar expression".to_owned());
    }
    if matching.is_some() && !are_vectors {
        return Err("vector matching only allowed between instant vectors".to_owned());
    }
    Ok(Expression::Binary {
        left: Box::new(left),
        operator,
        is_bool,
        matching: matching.unwrap_or(Matching::Ignoring(Vec::new())),
        right: Box::new(right),
    })
}

fn unexpected(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("unexpected identifier \"{word}\""),
        Token::Number(number) => format!("unexpected number \"{number}\""),
        Token::Duration(ms) => format!("unexpected duration \"{ms}ms\""),
        Token::Text(text) => format!("unexpected string {text:?}"),
        Token::Sign(sign) => format!("unexpected \"{sign}\""),
    }
}
