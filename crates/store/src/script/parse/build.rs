//! Nodes of the tree, with the types that follow from those of their parts.

use super::super::error::Fault;
use super::super::syntax::{Binary, Expr, ExprKind, Literal, Type, Unary};
use super::{Result, too_deep};

/// Expressions within expressions.
const DEPTH: u16 = 160;

fn cast_fault<T>(at: u32, reason: String) -> Result<T> {
    Err((at as usize, Fault::cast(reason)))
}

/// A node of which `inner` is the deepest part.
pub(super) fn node(at: usize, inner: u16, ty: Type, kind: ExprKind) -> Result<Expr> {
    if inner >= DEPTH {
        return Err((at, Fault::argument(too_deep())));
    }
    Ok(Expr {
        at: at as u32,
        depth: inner + 1,
        ty,
        kind,
    })
}

pub(super) fn leaf(at: usize, ty: Type, kind: ExprKind) -> Expr {
    Expr {
        at: at as u32,
        depth: 1,
        ty,
        kind,
    }
}

pub(super) fn deepest(parts: &[Expr]) -> u16 {
    parts.iter().map(|part| part.depth).max().unwrap_or(0)
}

pub(super) fn literal(at: usize, literal: Literal) -> Expr {
    let ty = match literal {
        Literal::Null => Type::Def,
        Literal::Bool(_) => Type::Boolean,
        Literal::Int(_) => Type::Int,
        Literal::Long(_) => Type::Long,
        Literal::Float(_) => Type::Float,
        Literal::Double(_) => Type::Double,
        Literal::Text(_) => Type::String,
    };
    leaf(at, ty, ExprKind::Literal(literal))
}

/// What a variable of a type is before it was given a value.
pub(super) fn default(ty: Type) -> Literal {
    match ty {
        Type::Boolean => Literal::Bool(false),
        Type::Char | Type::Int => Literal::Int(0),
        Type::Long => Literal::Long(0),
        Type::Float => Literal::Float(0.0),
        Type::Double => Literal::Double(0.0),
        _ => Literal::Null,
    }
}

/// The expression as a value of a type.
pub(super) fn convert(expr: Expr, to: Type, explicit: bool) -> Result<Expr> {
    let from = expr.ty;
    let null = matches!(expr.kind, ExprKind::Literal(Literal::Null));
    let fits = match (from, to) {
        (Type::Void, _) => false,
        _ if from == to => return Ok(expr),
        (_, Type::Def) => {
            return Ok(Expr {
                ty: Type::Def,
                ..expr
            });
        }
        _ if null => !to.is_number() && to != Type::Boolean,
        (Type::Def, _) => true,
        // A character of a text, and back.
        (Type::String, Type::Char) | (Type::Char, Type::String) => explicit,
        (from, to) => match (from.rank(), to.rank()) {
            (Some(from), Some(wide)) => explicit || (from < wide && to != Type::Char),
            _ => false,
        },
    };
    if !fits {
        let reason = format!("Cannot cast from [{}] to [{}].", from.name(), to.name());
        return cast_fault(expr.at, reason);
    }
    let (at, depth) = (expr.at as usize, expr.depth);
    let value = Box::new(expr);
    node(
        at,
        depth,
        to,
        ExprKind::Cast {
            value,
            to,
            explicit,
        },
    )
}

/// The type of numbers that two numbers become.
fn promoted(left: Type, right: Type) -> Type {
    let rank = left.rank().max(right.rank());
    match rank {
        Some(2) => Type::Long,
        Some(3) => Type::Float,
        Some(4) => Type::Double,
        _ => Type::Int,
    }
}

/// The type that comes of an operation, if it can be applied at all.
fn result(operation: Binary, left: Type, right: Type) -> Option<Type> {
    use Binary as B;
    let def = left == Type::Def || right == Type::Def;
    let numbers = left.is_number() && right.is_number();
    let booleans = left == Type::Boolean && right == Type::Boolean;
    let whole = |ty: Type| ty.rank().is_some_and(|rank| rank <= 2);
    if left == Type::Void || right == Type::Void {
        return None;
    }
    match operation {
        B::Add if left == Type::String || right == Type::String => Some(Type::String),
        B::Eq | B::Ne => {
            let primitive = |ty: Type| ty.is_number() || ty == Type::Boolean;
            let differ = primitive(left) && primitive(right) && !numbers && !booleans;
            (!differ).then_some(Type::Boolean)
        }
        B::Lt | B::Le | B::Gt | B::Ge => {
            let usable = |ty: Type| ty == Type::Def || ty.is_number();
            (usable(left) && usable(right)).then_some(Type::Boolean)
        }
        B::And | B::Or | B::Xor if booleans => Some(Type::Boolean),
        B::Shl | B::Shr | B::Ushr => {
            let usable = |ty: Type| ty == Type::Def || whole(ty);
            let ty = if left == Type::Def {
                Type::Def
            } else {
                promoted(left, left)
            };
            (usable(left) && usable(right)).then_some(ty)
        }
        B::And | B::Or | B::Xor => {
            let usable = |ty: Type| ty == Type::Def || ty == Type::Boolean || whole(ty);
            match def {
                true => (usable(left) && usable(right)).then_some(Type::Def),
                false => (whole(left) && whole(right)).then(|| promoted(left, right)),
            }
        }
        _ if def => {
            // Either may turn out to be a text.
            let usable = |ty: Type| ty == Type::Def || ty.is_number() || operation == B::Add;
            (usable(left) && usable(right)).then_some(Type::Def)
        }
        _ => numbers.then(|| promoted(left, right)),
    }
}

pub(super) fn binary(at: usize, operation: Binary, left: Expr, right: Expr) -> Result<Expr> {
    let Some(ty) = result(operation, left.ty, right.ty) else {
        let reason = format!(
            "Cannot apply [{}] operation to types [{}] and [{}].",
            operation.sign(),
            left.ty.name(),
            right.ty.name()
        );
        return cast_fault(at as u32, reason);
    };
    let parts = [left, right];
    let depth = deepest(&parts);
    node(at, depth, ty, ExprKind::Binary(operation, Box::new(parts)))
}

pub(super) fn unary(at: usize, operation: Unary, value: Expr) -> Result<Expr> {
    let whole = value.ty.rank().is_some_and(|rank| rank <= 2);
    let ty = match (operation, value.ty) {
        (Unary::Not, _) => {
            let value = super::condition(value)?;
            let depth = value.depth;
            return node(
                at,
                depth,
                Type::Boolean,
                ExprKind::Unary(operation, Box::new(value)),
            );
        }
        (_, Type::Def) => Type::Def,
        (Unary::Invert, _) if !whole => Type::Void,
        (_, ty) if ty.is_number() => promoted(ty, ty),
        _ => Type::Void,
    };
    if ty == Type::Void {
        let sign = match operation {
            Unary::Not => "!",
            Unary::Minus => "-",
            Unary::Plus => "+",
            Unary::Invert => "~",
        };
        let reason = format!(
            "Cannot apply [{sign}] operation to type [{}].",
            value.ty.name()
        );
        return cast_fault(at as u32, reason);
    }
    let depth = value.depth;
    node(at, depth, ty, ExprKind::Unary(operation, Box::new(value)))
}

/// `condition ? then : otherwise`
pub(super) fn choice(at: usize, condition: Expr, then: Expr, otherwise: Expr) -> Result<Expr> {
    let (left, right) = (then.ty, otherwise.ty);
    let ty = match () {
        () if left == Type::Void || right == Type::Void => {
            let name = Type::Void.name();
            return cast_fault(at as u32, format!("Cannot cast from [{name}] to [def]."));
        }
        () if left == right => left,
        () if left.is_number() && right.is_number() => promoted(left, right),
        () => Type::Def,
    };
    let widened = |part: Expr| match ty {
        Type::Def => Ok(part),
        _ => convert(part, ty, true),
    };
    let parts = [
        super::condition(condition)?,
        widened(then)?,
        widened(otherwise)?,
    ];
    let depth = deepest(&parts);
    node(at, depth, ty, ExprKind::Choice(Box::new(parts)))
}

/// Whether a number isn't 0, where numbers are all there is.
pub(super) fn truth(number: Expr) -> Result<Expr> {
    let at = number.at as usize;
    binary(at, Binary::Ne, number, literal(at, Literal::Double(0.0)))
}
