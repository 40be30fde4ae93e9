//! From tokens to an expression.

use regex::RegexBuilder;

use super::lex::{Placed, Token, tokens};
use super::{Comparison, Expression, Matcher, NAME, OverTime, Selector, Test};

/// Parentheses within each other.
const DEEPEST: usize = 50;
/// Bytes that a regular expression may become.
const LARGEST_REGEX: usize = 1 << 20;

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
];

/// # Errors
/// In the words of Prometheus where it has them, with the place.
pub fn parse(query: &str) -> Result<Expression, String> {
    Parser::read(query, |parser| parser.expression(0))
}

/// A selector alone, as `match[]` has it.
///
/// # Errors
/// As [`parse`].
pub fn selector(query: &str) -> Result<Selector, String> {
    Parser::read(query, |parser| {
        let start = parser.place();
        match parser.selector()? {
            selector if selector.range.is_none() => Ok(selector),
            _ => Err((start, "unexpected range selector".to_owned())),
        }
    })
}

type Outcome<T> = Result<T, (usize, String)>;

struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    end: usize,
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

    fn expression(&mut self, depth: usize) -> Outcome<Expression> {
        let start = self.place();
        if depth > DEEPEST {
            return Err((start, "too many parentheses".to_owned()));
        }
        let mut left = self.operand(depth)?;
        loop {
            let place = self.place();
            let Some(Token::Sign(sign)) = self.peek() else {
                return Ok(left);
            };
            let known = COMPARISONS.iter().find(|(name, _)| name == sign);
            let Some((_, operator)) = known else {
                return match *sign {
                    ")" => Ok(left),
                    "+" | "-" | "*" | "/" => Err((
                        place,
                        format!("the operator \"{sign}\" is not supported here"),
                    )),
                    _ => Err((place, unexpected(&Token::Sign(sign)))),
                };
            };
            self.at += 1;
            let is_bool = matches!(self.peek(), Some(Token::Word(word)) if word == "bool");
            self.at += usize::from(is_bool);
            let right = self.operand(depth)?;
            left = compare(left, *operator, is_bool, right).map_err(|told| (place, told))?;
        }
    }

    fn operand(&mut self, depth: usize) -> Outcome<Expression> {
        let start = self.place();
        let sign = match self.peek() {
            Some(Token::Sign("-")) => -1.0,
            Some(Token::Sign("+")) => 1.0,
            _ => return self.primary(depth),
        };
        self.at += 1;
        match self.primary(depth)? {
            Expression::Number(number) => Ok(Expression::Number(sign * number)),
            _ => Err((start, "a sign is supported before numbers only".to_owned())),
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
                let inner = self.expression(depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("nan") => {
                self.at += 1;
                Ok(Expression::Number(f64::NAN))
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("inf") => {
                self.at += 1;
                Ok(Expression::Number(f64::INFINITY))
            }
            Some(Token::Word(word)) if self.is_call() => self.call(&word, start),
            Some(Token::Word(_) | Token::Sign("{")) => Ok(Expression::Selector(self.selector()?)),
            Some(token) => Err((start, unexpected(&token))),
            None => Err((start, "unexpected end of input".to_owned())),
        }
    }

    /// Whether a word is followed by parentheses, or by a grouping.
    fn is_call(&self) -> bool {
        match self.tokens.get(self.at + 1) {
            Some((_, Token::Sign(sign))) => *sign == "(",
            Some((_, Token::Word(word))) => word == "by" || word == "without",
            _ => false,
        }
    }

    fn call(&mut self, name: &str, start: usize) -> Outcome<Expression> {
        let function = match name {
            "max_over_time" => OverTime::Max,
            "min_over_time" => OverTime::Min,
            "avg_over_time" => OverTime::Avg,
            _ => {
                return Err((
                    start,
                    format!("the function \"{name}\" is not supported here"),
                ));
            }
        };
        self.at += 1;
        self.expect("(")?;
        let place = self.place();
        let selector = self.selector()?;
        self.expect(")")?;
        match selector.range {
            Some(_) => Ok(Expression::OverTime(function, selector)),
            None => Err((
                place,
                format!(
                    "expected type range vector in call to function \"{name}\", got instant vector"
                ),
            )),
        }
    }

    fn selector(&mut self) -> Outcome<Selector> {
        let start = self.place();
        let mut matchers = Vec::new();
        if let Some(Token::Word(name)) = self.peek().cloned() {
            self.at += 1;
            matchers.push(Matcher {
                label: NAME.to_owned(),
                test: Test::Is(name),
            });
        }
        if self.take("{") {
            while !self.take("}") {
                matchers.push(self.matcher()?);
                if !self.take(",") {
                    self.expect("}")?;
                    break;
                }
            }
        } else if matchers.is_empty() {
            let token = self.next()?;
            return Err((start, unexpected(&token)));
        }
        if matchers.iter().all(|matcher| matcher.test.holds("")) {
            return Err((
                start,
                "vector selector must contain at least one non-empty matcher".to_owned(),
            ));
        }
        let mut range = None;
        if self.take("[") {
            let place = self.place();
            range = match self.next()? {
                Token::Duration(range) => Some(range),
                Token::Number(seconds) if seconds >= 0.001 => Some((seconds * 1_000.0) as i64),
                token => {
                    let told = format!("{}, expected number or duration", unexpected(&token));
                    return Err((place, told));
                }
            };
            self.expect("]")?;
        }
        if let Some(Token::Word(word)) = self.peek()
            && word == "offset"
        {
            return Err((self.place(), "\"offset\" is not supported here".to_owned()));
        }
        Ok(Selector { matchers, range })
    }

    fn matcher(&mut self) -> Outcome<Matcher> {
        let place = self.place();
        let label = match self.next()? {
            Token::Word(label) if !label.contains(':') => label,
            Token::Text(label) => label,
            token => {
                let told = format!(
                    "{} in label matching, expected identifier",
                    unexpected(&token)
                );
                return Err((place, told));
            }
        };
        let place = self.place();
        let Token::Sign(sign @ ("=" | "!=" | "=~" | "!~")) = self.next()? else {
            let told = "unexpected token in label matching, expected label matching operator";
            return Err((place, told.to_owned()));
        };
        let place = self.place();
        let Token::Text(text) = self.next()? else {
            let told = "unexpected token in label matching, expected string";
            return Err((place, told.to_owned()));
        };
        let regex = || {
            // All of the value must fit.
            let mut regex = RegexBuilder::new(&format!("^(?s:{text})$"));
            let regex = regex.size_limit(LARGEST_REGEX).build();
            regex.map_err(|error| (place, format!("error parsing regexp: {error}")))
        };
        let test = match sign {
            "=" => Test::Is(text),
            "!=" => Test::IsNot(text),
            "=~" => Test::Fits(regex()?),
            _ => Test::FitsNot(regex()?),
        };
        Ok(Matcher { label, test })
    }
}

fn compare(
    left: Expression,
    operator: Comparison,
    is_bool: bool,
    right: Expression,
) -> Result<Expression, String> {
    for side in [&left, &right] {
        if let Expression::Selector(Selector { range: Some(_), .. }) = side {
            return Err(
                "binary expression must contain only scalar and instant vector types".to_owned(),
            );
        }
    }
    match (left.is_number(), right.is_number()) {
        (true, true) if !is_bool => {
            Err("comparisons between scalars must use BOOL modifier".to_owned())
        }
        (false, false) => Err("a comparison of two vectors is not supported here".to_owned()),
        _ => Ok(Expression::Compare {
            left: Box::new(left),
            operator,
            is_bool,
            right: Box::new(right),
        }),
    }
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
