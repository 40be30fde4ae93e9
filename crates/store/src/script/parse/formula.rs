//! The language `expression`: numbers only, each a double; yes is 1, no is 0.

use serde_json::{Map, Value};

use super::super::names::Static;
use super::super::syntax::{Binary, Expr, ExprKind, Literal, Summary, Type, Unary};
use super::super::token::Token;
use super::{Context, Parser, Result, build, refuse};

type Params = Map<String, Value>;

fn constant(at: usize, number: f64) -> Expr {
    build::literal(at, Literal::Double(number))
}

/// 1 or 0.
fn number(at: usize, condition: Expr) -> Result<Expr> {
    build::choice(at, condition, constant(at, 1.0), constant(at, 0.0))
}

/// The function of this name.
fn function(name: &str, arguments: usize) -> Option<Static> {
    let name = match name {
        "ln" => "log",
        "log" => return None,
        name => name,
    };
    Static::of("Math", name, arguments).filter(|function| function.ty() == Type::Double)
}

impl Parser<'_> {
    pub(super) fn formula(&mut self, params: &Params) -> Result<Expr> {
        self.deeper(|parser| parser.formula_within(params))
    }

    fn formula_within(&mut self, params: &Params) -> Result<Expr> {
        let left = self.formula_of(params, 1)?;
        let at = self.at();
        if !self.accept("?") {
            return Ok(left);
        }
        let then = self.formula(params)?;
        self.expect(":")?;
        let otherwise = self.formula(params)?;
        build::choice(at, build::truth(left)?, then, otherwise)
    }

    fn formula_of(&mut self, params: &Params, lowest: u8) -> Result<Expr> {
        let mut left = self.formula_unary(params)?;
        loop {
            let (level, operation) = match self.peek() {
                Token::Sign("||") => (1, None),
                Token::Sign("&&") => (2, None),
                Token::Sign("==") => (3, Some(Binary::Eq)),
                Token::Sign("!=") => (3, Some(Binary::Ne)),
                Token::Sign("<") => (4, Some(Binary::Lt)),
                Token::Sign("<=") => (4, Some(Binary::Le)),
                Token::Sign(">") => (4, Some(Binary::Gt)),
                Token::Sign(">=") => (4, Some(Binary::Ge)),
                Token::Sign("+") => (5, Some(Binary::Add)),
                Token::Sign("-") => (5, Some(Binary::Sub)),
                Token::Sign("*") => (6, Some(Binary::Mul)),
                Token::Sign("/") => (6, Some(Binary::Div)),
                Token::Sign("%") => (6, Some(Binary::Rem)),
                _ => return Ok(left),
            };
            if level < lowest {
                return Ok(left);
            }
            let at = self.at();
            self.next += 1;
            let right = self.formula_of(params, level + 1)?;
            left = match operation {
                Some(operation) => {
                    let result = build::binary(at, operation, left, right)?;
                    if operation.compares() {
                        number(at, result)?
                    } else {
                        result
                    }
                }
                None => {
                    let parts = [build::truth(left)?, build::truth(right)?];
                    let depth = build::deepest(&parts);
                    let parts = Box::new(parts);
                    let kind = match level {
                        1 => ExprKind::OrElse(parts),
                        _ => ExprKind::AndAlso(parts),
                    };
                    number(at, build::node(at, depth, Type::Boolean, kind)?)?
                }
            };
        }
    }

    fn formula_unary(&mut self, params: &Params) -> Result<Expr> {
        let at = self.at();
        if self.accept("-") {
            let value = self.deeper(|parser| parser.formula_unary(params))?;
            return build::unary(at, Unary::Minus, value);
        }
        if self.accept("+") {
            return self.deeper(|parser| parser.formula_unary(params));
        }
        if self.accept("!") {
            let value = self.deeper(|parser| parser.formula_unary(params))?;
            let truth = build::truth(value)?;
            return number(at, build::unary(at, Unary::Not, truth)?);
        }
        self.formula_value(params)
    }

    fn formula_value(&mut self, params: &Params) -> Result<Expr> {
        let at = self.at();
        let name = match self.peek().clone() {
            Token::Whole { digits, radix, .. } => {
                self.next += 1;
                let whole = match radix {
                    10 => digits.parse().ok(),
                    radix => u64::from_str_radix(&digits, radix)
                        .ok()
                        .map(|bits| bits as f64),
                };
                return match whole {
                    Some(number) => Ok(constant(at, number)),
                    None => refuse(at, format!("Invalid double constant [{digits}].")),
                };
            }
            Token::Double(number) => {
                self.next += 1;
                return Ok(constant(at, number));
            }
            Token::Sign("(") => {
                self.next += 1;
                let value = self.formula(params)?;
                self.expect(")")?;
                return Ok(value);
            }
            Token::Name(name) => name,
            _ => return self.unexpected(at),
        };
        self.next += 1;
        if self.is("(") {
            return self.formula_call(at, &name, params);
        }
        if name == "doc" && self.context != Context::Number {
            return self.formula_field(at);
        }
        // What a bucket is given is known only when it is there.
        let given = match params.get(&name) {
            Some(Value::Number(value)) => value.as_f64().map(|number| constant(at, number)),
            Some(_) => {
                let reason = format!("Parameter [{name}] must be a numeric type");
                return refuse(at, reason);
            }
            None => None,
        };
        match given {
            Some(number) => Ok(number),
            None if self.context == Context::Number => {
                let params = build::leaf(at, Type::Def, ExprKind::Params);
                let member = ExprKind::Member {
                    target: Box::new(params),
                    name: name.into(),
                    getter: None,
                    safe: false,
                };
                build::convert(build::node(at, 1, Type::Def, member)?, Type::Double, false)
            }
            None => refuse(at, format!("Unknown variable [{name}]")),
        }
    }

    fn formula_call(&mut self, at: usize, name: &str, params: &Params) -> Result<Expr> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.accept(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.formula(params)?);
        }
        match function(name, arguments.len()) {
            Some(function) => self.static_call(at, function, arguments),
            None => {
                let count = arguments.len();
                refuse(
                    at,
                    format!("Unrecognized function call ({name}) with [{count}] arguments."),
                )
            }
        }
    }

    /// `doc['x'].value`, `doc['x'].sum()`.
    fn formula_field(&mut self, at: usize) -> Result<Expr> {
        self.expect("[")?;
        let Token::Text(name) = self.peek().clone() else {
            return self.unexpected(self.at());
        };
        self.next += 1;
        self.expect("]")?;
        let field = self.field(at, &name)?;
        let mut summary = Summary::First;
        if self.accept(".") {
            let place = self.at();
            let asked = self.name()?;
            let call = self.accept("(");
            if call {
                self.expect(")")?;
            }
            summary = match (asked.as_str(), call) {
                ("value", false) => Summary::First,
                ("min", true) => Summary::Min,
                ("max", true) => Summary::Max,
                ("sum", true) => Summary::Sum,
                ("avg", true) => Summary::Mean,
                ("median", true) => Summary::Median,
                ("count", true) | ("length", false) => Summary::Count,
                ("empty", false) => Summary::Empty,
                (_, true) => {
                    let reason = format!(
                        "Member method [{asked}] does not exist for numeric field [{name}]."
                    );
                    return refuse(place, reason);
                }
                (_, false) => {
                    let reason = format!(
                        "Member variable [{asked}] does not exist for numeric field [{name}]."
                    );
                    return refuse(place, reason);
                }
            };
        }
        let doc = Box::new(build::leaf(at, Type::Def, ExprKind::Doc(field)));
        build::node(at, 1, Type::Double, ExprKind::Summary(doc, summary))
    }
}
