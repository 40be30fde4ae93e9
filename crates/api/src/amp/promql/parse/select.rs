//! Selectors of series: matchers, a range, an offset.

use regex::RegexBuilder;

use super::super::{Matcher, NAME, Selector, Test};
use super::{Outcome, Parser, Token, unexpected};

/// Bytes that a regular expression may become.
const LARGEST_REGEX: usize = 1 << 20;

impl Parser<'_> {
    pub(super) fn selector(&mut self) -> Outcome<Selector> {
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
        let range = match self.take("[") {
            true => Some(self.duration()?),
            false => None,
        };
        if range.is_some() {
            if matches!(self.peek(), Some(Token::Sign(":"))) {
                return Err((self.place(), "subqueries are not supported here".to_owned()));
            }
            self.expect("]")?;
        }
        let mut offset = 0;
        if self.word("offset") {
            let is_negative = self.take("-");
            offset = self.duration()?;
            if is_negative {
                offset = -offset;
            }
        }
        if let Some(Token::Sign("@")) = self.peek() {
            return Err((self.place(), "\"@\" is not supported here".to_owned()));
        }
        self.selectors += 1;
        Ok(Selector {
            number: self.selectors - 1,
            matchers,
            range,
            offset,
        })
    }

    /// Milliseconds; a number is of seconds.
    fn duration(&mut self) -> Outcome<i64> {
        let place = self.place();
        match self.next()? {
            Token::Duration(duration) => Ok(duration),
            Token::Number(seconds) if seconds >= 0.001 => Ok((seconds * 1_000.0) as i64),
            token => {
                let told = format!("{}, expected number or duration", unexpected(&token));
                Err((place, told))
            }
        }
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
