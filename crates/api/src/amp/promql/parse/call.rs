//! Calls of functions, and aggregations.

use super::super::aggregate::{AGGREGATIONS, Aggregation};
use super::super::call::FUNCTIONS;
use super::super::{Expression, Function, Grouping, Kind};
use super::{Outcome, Parser, Token};

impl Parser<'_> {
    /// Whether a word is followed by parentheses, or by a grouping.
    pub(super) fn is_call(&self) -> bool {
        match self.tokens.get(self.at + 1) {
            Some((_, Token::Sign(sign))) => *sign == "(",
            Some((_, Token::Word(word))) => ["by", "without"]
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known)),
            _ => false,
        }
    }

    pub(super) fn call(&mut self, name: &str, start: usize, depth: usize) -> Outcome<Expression> {
        self.at += 1;
        let lower = name.to_ascii_lowercase();
        if let Some((_, aggregation)) = AGGREGATIONS.iter().find(|(known, _)| *known == lower) {
            return self.aggregate(name, *aggregation, start, depth);
        }
        let Some((_, function, kinds)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            let told = format!("the function \"{name}\" is not supported here");
            return Err((start, told));
        };
        let arguments = self.arguments(depth)?;
        check(name, *function, kinds, &arguments).map_err(|told| (start, told))?;
        let arguments = arguments.into_iter().map(|(_, argument)| argument);
        Ok(Expression::Call(*function, arguments.collect()))
    }

    /// Arguments in parentheses, each with its place.
    fn arguments(&mut self, depth: usize) -> Outcome<Vec<(usize, Expression)>> {
        let mut arguments = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            let place = self.place();
            arguments.push((place, self.expression(depth + 1, 0)?));
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(arguments)
    }

    fn aggregate(
        &mut self,
        name: &str,
        aggregation: Aggregation,
        start: usize,
        depth: usize,
    ) -> Outcome<Expression> {
        let before = self.grouping()?;
        let mut arguments = self.arguments(depth)?;
        let grouping = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or(Grouping::By(Vec::new())),
        };
        let wanted = 1 + usize::from(aggregation.has_parameter());
        if arguments.len() != wanted {
            return Err((
                start,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                    arguments.len()
                ),
            ));
        }
        let expected = |(place, argument): (usize, Expression), kind: Kind| match argument.kind() {
            found if found == kind => Ok(Box::new(argument)),
            found => Err((
                place,
                format!(
                    "expected type {} in aggregation expression \"{name}\", got {}",
                    kind.name(),
                    found.name()
                ),
            )),
        };
        let of = arguments.pop().ok_or((start, String::new()))?;
        let of = expected(of, Kind::Vector)?;
        let parameter = arguments
            .pop()
            .map(|argument| expected(argument, Kind::Scalar));
        Ok(Expression::Aggregate {
            aggregation,
            grouping,
            parameter: parameter.transpose()?,
            of,
        })
    }

    fn grouping(&mut self) -> Outcome<Option<Grouping>> {
        if self.word("by") {
            Ok(Some(Grouping::By(self.names()?)))
        } else if self.word("without") {
            Ok(Some(Grouping::Without(self.names()?)))
        } else {
            Ok(None)
        }
    }
}

fn check(
    name: &str,
    function: Function,
    kinds: &[Kind],
    arguments: &[(usize, Expression)],
) -> Result<(), String> {
    let (least, most) = (function.needed(kinds.len()), kinds.len());
    if !(least..=most).contains(&arguments.len()) {
        let s = if least == 1 { "" } else { "s" };
        return Err(format!(
            "expected {least} argument{s} in call to \"{name}\", got {}",
            arguments.len()
        ));
    }
    for ((_, argument), kind) in arguments.iter().zip(kinds) {
        if argument.kind() != *kind {
            return Err(format!(
                "expected type {} in call to function \"{name}\", got {}",
                kind.name(),
                argument.kind().name()
            ));
        }
    }
    Ok(())
}
