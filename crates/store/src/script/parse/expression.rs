//! Operators and assignments.

use super::super::names::class_of;
use super::super::syntax::{Assign, Binary, Expr, ExprKind, Literal, Target, Type, Unary};
use super::super::token::Token;
use super::{Parser, Result, build, condition, refuse};

/// How tightly an operator holds its sides; `?:` is the loosest, `?` is looser still.
const ELVIS: u8 = 1;
const FIND: u8 = 10;
const RELATION: u8 = 8;

enum Operator {
    Elvis,
    OrElse,
    AndAlso,
    Binary(Binary),
    Match { whole: bool },
    InstanceOf,
}

fn operator(token: &Token) -> Option<(u8, Operator)> {
    let sign = match token {
        Token::Sign(sign) => *sign,
        Token::Name(name) if name == "instanceof" => return Some((RELATION, Operator::InstanceOf)),
        _ => return None,
    };
    let (level, binary) = match sign {
        "?:" => return Some((ELVIS, Operator::Elvis)),
        "||" => return Some((2, Operator::OrElse)),
        "&&" => return Some((3, Operator::AndAlso)),
        "=~" => return Some((FIND, Operator::Match { whole: false })),
        "==~" => return Some((FIND, Operator::Match { whole: true })),
        "|" => (4, Binary::Or),
        "^" => (5, Binary::Xor),
        "&" => (6, Binary::And),
        "==" => (7, Binary::Eq),
        "!=" => (7, Binary::Ne),
        "<" => (RELATION, Binary::Lt),
        "<=" => (RELATION, Binary::Le),
        ">" => (RELATION, Binary::Gt),
        ">=" => (RELATION, Binary::Ge),
        "<<" => (9, Binary::Shl),
        ">>" => (9, Binary::Shr),
        ">>>" => (9, Binary::Ushr),
        "+" => (11, Binary::Add),
        "-" => (11, Binary::Sub),
        "*" => (12, Binary::Mul),
        "/" => (12, Binary::Div),
        "%" => (12, Binary::Rem),
        _ => return None,
    };
    Some((level, Operator::Binary(binary)))
}

/// What is put into a place: `=` is the operation `None`.
fn assignment(token: &Token) -> Option<Option<Binary>> {
    let Token::Sign(sign) = token else {
        return None;
    };
    Some(match *sign {
        "=" => None,
        "+=" => Some(Binary::Add),
        "-=" => Some(Binary::Sub),
        "*=" => Some(Binary::Mul),
        "/=" => Some(Binary::Div),
        "%=" => Some(Binary::Rem),
        "&=" => Some(Binary::And),
        "|=" => Some(Binary::Or),
        "^=" => Some(Binary::Xor),
        "<<=" => Some(Binary::Shl),
        ">>=" => Some(Binary::Shr),
        ">>>=" => Some(Binary::Ushr),
        _ => return None,
    })
}

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.deeper(Self::expression_within)
    }

    fn expression_within(&mut self) -> Result<Expr> {
        let left = self.operators(ELVIS)?;
        let at = self.at();
        if self.accept("?") {
            let then = self.expression()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            return build::choice(at, left, then, otherwise);
        }
        let Some(operation) = assignment(self.peek()) else {
            return Ok(left);
        };
        self.next += 1;
        let value = self.expression()?;
        assign(at, left, operation, value, false)
    }

    fn operators(&mut self, lowest: u8) -> Result<Expr> {
        let mut left = self.unary()?;
        while let Some((level, operator)) = operator(self.peek()) {
            if level < lowest {
                break;
            }
            let at = self.at();
            self.next += 1;
            if let Operator::InstanceOf = operator {
                left = self.instance_of(at, left)?;
                continue;
            }
            // Only `?:` holds to the right.
            let right = if level == ELVIS {
                self.deeper(|parser| parser.operators(ELVIS))?
            } else {
                self.operators(level + 1)?
            };
            left = match operator {
                Operator::Binary(binary) => build::binary(at, binary, left, right)?,
                Operator::OrElse | Operator::AndAlso => {
                    let parts = [condition(left)?, condition(right)?];
                    let depth = build::deepest(&parts);
                    let parts = Box::new(parts);
                    let kind = match operator {
                        Operator::OrElse => ExprKind::OrElse(parts),
                        _ => ExprKind::AndAlso(parts),
                    };
                    build::node(at, depth, Type::Boolean, kind)?
                }
                Operator::Elvis => elvis(at, left, right)?,
                Operator::Match { whole } => {
                    let text = Box::new(build::convert(left, Type::String, false)?);
                    let depth = text.depth.max(right.depth);
                    let regex = Box::new(right);
                    build::node(
                        at,
                        depth,
                        Type::Boolean,
                        ExprKind::Match { text, regex, whole },
                    )?
                }
                Operator::InstanceOf => left,
            };
        }
        Ok(left)
    }

    fn instance_of(&mut self, at: usize, value: Expr) -> Result<Expr> {
        let name = self.name()?;
        let Some(class) = class_of(&name) else {
            return refuse(at, format!("cannot resolve symbol [{name}]"));
        };
        let depth = value.depth;
        let kind = ExprKind::InstanceOf(Box::new(value), class);
        build::node(at, depth, Type::Boolean, kind)
    }

    pub(super) fn unary(&mut self) -> Result<Expr> {
        let at = self.at();
        let operation = match self.peek() {
            Token::Sign("!") => Unary::Not,
            Token::Sign("-") => Unary::Minus,
            Token::Sign("+") => Unary::Plus,
            Token::Sign("~") => Unary::Invert,
            Token::Sign(sign @ ("++" | "--")) => {
                let operation = step(sign);
                self.next += 1;
                let place = self.deeper(Self::unary)?;
                let one = build::literal(at, Literal::Int(1));
                return assign(at, place, Some(operation), one, false);
            }
            _ => return self.postfix(),
        };
        self.next += 1;
        // The least number has no positive counterpart.
        if operation == Unary::Minus
            && let Token::Whole {
                digits,
                radix,
                long,
            } = self.peek().clone()
            && !self.is_ahead(1, ".")
        {
            self.next += 1;
            return whole(at, &format!("-{digits}"), radix, long);
        }
        let value = self.deeper(Self::unary)?;
        build::unary(at, operation, value)
    }

    /// A value, what is asked of it, and `++` after it.
    fn postfix(&mut self) -> Result<Expr> {
        let value = self.chain()?;
        let at = self.at();
        match self.peek() {
            Token::Sign(sign @ ("++" | "--")) => {
                let operation = step(sign);
                self.next += 1;
                let one = build::literal(at, Literal::Int(1));
                assign(at, value, Some(operation), one, true)
            }
            _ => Ok(value),
        }
    }
}

fn step(sign: &str) -> Binary {
    if sign == "++" {
        Binary::Add
    } else {
        Binary::Sub
    }
}

/// A whole number that is written out.
pub(super) fn whole(at: usize, digits: &str, radix: u32, long: bool) -> Result<Expr> {
    // In another base than 10 the bits are written, whatever they mean.
    let (int, wide) = match radix {
        10 => (digits.parse::<i32>().ok(), digits.parse::<i64>().ok()),
        _ => {
            let (sign, digits) = match digits.strip_prefix('-') {
                Some(digits) => (-1, digits),
                None => (1, digits),
            };
            let bits = u64::from_str_radix(digits, radix).ok();
            let int = bits
                .and_then(|bits| u32::try_from(bits).ok())
                .map(|bits| bits as i32);
            (
                int.map(|int| int.wrapping_mul(sign as i32)),
                bits.map(|bits| (bits as i64).wrapping_mul(sign)),
            )
        }
    };
    match (int, wide) {
        (_, Some(number)) if long => Ok(build::literal(at, Literal::Long(number))),
        (Some(number), _) => Ok(build::literal(at, Literal::Int(number))),
        (None, Some(_)) => refuse(
            at,
            format!(
                "Invalid int constant [{digits}]. If you want a long constant then change it to [{digits}L]."
            ),
        ),
        _ => {
            let kind = if long { "long" } else { "int" };
            refuse(at, format!("Invalid {kind} constant [{digits}]."))
        }
    }
}

fn elvis(at: usize, left: Expr, right: Expr) -> Result<Expr> {
    if left.ty.is_number() || left.ty == Type::Boolean {
        return refuse(at, "Extraneous elvis operator. LHS is a primitive.");
    }
    let ty = if left.ty == right.ty {
        left.ty
    } else {
        Type::Def
    };
    let parts = [
        build::convert(left, ty, false)?,
        build::convert(right, ty, false)?,
    ];
    let depth = build::deepest(&parts);
    build::node(at, depth, ty, ExprKind::Elvis(Box::new(parts)))
}

fn assign(
    at: usize,
    place: Expr,
    operation: Option<Binary>,
    value: Expr,
    before: bool,
) -> Result<Expr> {
    let (place_depth, ty) = (place.depth, place.ty);
    let place = match place.kind {
        ExprKind::Local(slot) => Target::Local(slot, ty),
        ExprKind::Index(parts) => {
            let [list, index] = *parts;
            Target::Index(list, index)
        }
        ExprKind::Member {
            target,
            name,
            safe: false,
            ..
        } => Target::Member(*target, name),
        _ => {
            let reason = "Invalid assignment: cannot assign a value to what is neither a variable nor an element";
            return refuse(at, reason);
        }
    };
    // What the operation yields is made to fit, as in Java; a value must fit.
    let value = match operation {
        None => build::convert(value, ty, false)?,
        Some(operation) => {
            let shown = Expr {
                at: at as u32,
                depth: 1,
                ty,
                kind: ExprKind::Literal(Literal::Null),
            };
            let checked = build::binary(at, operation, shown, value)?;
            let text = ty != Type::Def && ty != Type::String && checked.ty == Type::String;
            let ExprKind::Binary(_, parts) = checked.kind else {
                return refuse(at, "Invalid assignment");
            };
            let [_, value] = *parts;
            if text {
                return build::convert(
                    Expr {
                        ty: Type::String,
                        ..value
                    },
                    ty,
                    false,
                );
            }
            value
        }
    };
    let depth = place_depth.max(value.depth);
    let assign = Assign {
        place,
        operation,
        value,
        before,
    };
    build::node(at, depth, ty, ExprKind::Assign(Box::new(assign)))
}
