//! Expressions, and what operators do to values.

use super::super::error::Fault;
use super::super::names::Constant;
use super::super::number::{self, Number};
use super::super::syntax::{
    Assign, Binary, Class, Expr, ExprKind, Literal, Summary, Target, Type, Unary,
};
use super::super::value::Value;
use super::{NESTING, Plain, Result, Run, TEXT, stop};

use crate::dates::Zone;
use serde_json::Value as Json;

/// Of what is asked of nothing.
pub(super) fn null(name: &str) -> Fault {
    Fault::new(
        "null_pointer_exception",
        format!("cannot access method/field [{name}] from a null def reference"),
    )
}

fn cannot_cast(value: &Value, to: Type) -> Fault {
    if matches!(value, Value::Null) {
        return Fault::new(
            "null_pointer_exception",
            "Cannot invoke \"Object.getClass()\" because \"value\" is null",
        );
    }
    let (from, to) = (value.plain_class(), to.name());
    Fault::cast(format!("cannot implicitly cast def [{from}] to {to}"))
}

fn cannot_apply(operation: Binary, left: &Value, right: &Value) -> Fault {
    if matches!(left, Value::Null) || matches!(right, Value::Null) {
        let side = if matches!(left, Value::Null) {
            "left"
        } else {
            "right"
        };
        return Fault::new(
            "null_pointer_exception",
            format!("Cannot invoke \"Object.getClass()\" because \"{side}Object\" is null"),
        );
    }
    let (left, right) = (left.class(), right.class());
    Fault::cast(format!(
        "Cannot apply [{}] operation to types [{left}] and [{right}].",
        operation.sign()
    ))
}

impl<'a> Run<'a> {
    pub(super) fn evaluate(&mut self, expr: &'a Expr) -> Result<Value<'a>> {
        let at = expr.at;
        self.work(1).map_err(stop(at))?;
        Ok(match &expr.kind {
            ExprKind::Literal(literal) => constant(literal),
            ExprKind::Constant(constant) => match constant {
                Constant::Int(number) => Value::int(*number),
                Constant::Long(number) => Value::long(*number),
                Constant::Double(number) => Value::double(*number),
                Constant::Bool(value) => Value::Bool(*value),
                Constant::Day(day) => Value::Day(*day),
                Constant::Style(style) => Value::Style(*style),
                Constant::Unit(unit) => Value::Unit(*unit),
                Constant::Utc => Value::Zone(Zone::Utc),
                Constant::Locale => Value::Locale,
            },
            ExprKind::Regex(regex) => Value::Regex(*regex),
            ExprKind::Local(slot) => self.locals[*slot].clone(),
            ExprKind::Params => Value::Json(self.params),
            ExprKind::Source => self.document.source().map_or(Value::Null, Value::json),
            ExprKind::Doc(place) => Value::Doc(self.named(*place).map_err(stop(at))?),
            ExprKind::DocAt(name) => {
                let name = self.text_of(name)?;
                Value::Doc(self.unnamed(&name).map_err(stop(at))?)
            }
            ExprKind::HasField(name) => {
                let name = self.text_of(name)?;
                Value::Bool(self.has_field(&name))
            }
            ExprKind::Field(place) => Value::Field(self.named_or_none(*place).map_err(stop(at))?),
            ExprKind::FieldAt(name) => {
                let name = self.text_of(name)?;
                Value::Field(self.unnamed_or_none(&name).map_err(stop(at))?)
            }
            ExprKind::Unary(operation, value) => {
                let value = self.evaluate(value)?;
                unary(*operation, &value).map_err(stop(at))?
            }
            ExprKind::Binary(operation, parts) => {
                let left = self.evaluate(&parts[0])?;
                let right = self.evaluate(&parts[1])?;
                self.binary(*operation, &left, &right).map_err(stop(at))?
            }
            ExprKind::AndAlso(parts) => {
                Value::Bool(self.truth(&parts[0])? && self.truth(&parts[1])?)
            }
            ExprKind::OrElse(parts) => {
                Value::Bool(self.truth(&parts[0])? || self.truth(&parts[1])?)
            }
            ExprKind::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                let branch = if self.truth(condition)? {
                    then
                } else {
                    otherwise
                };
                self.evaluate(branch)?
            }
            ExprKind::Elvis(parts) => match self.evaluate(&parts[0])? {
                Value::Null => self.evaluate(&parts[1])?,
                value => value,
            },
            ExprKind::Cast {
                value,
                to,
                explicit,
            } => {
                let value = self.evaluate(value)?;
                self.cast(value, *to, *explicit).map_err(stop(at))?
            }
            ExprKind::InstanceOf(value, class) => {
                let value = self.evaluate(value)?;
                Value::Bool(is_instance(&value, *class))
            }
            ExprKind::Member {
                target,
                name,
                getter,
                safe,
            } => {
                let target = self.evaluate(target)?;
                if *safe && matches!(target, Value::Null) {
                    return Ok(Value::Null);
                }
                self.member(&target, name, *getter).map_err(stop(at))?
            }
            ExprKind::Index(parts) => {
                let target = self.evaluate(&parts[0])?;
                let index = self.evaluate(&parts[1])?;
                self.element(&target, &index).map_err(stop(at))?
            }
            ExprKind::Call {
                target,
                method,
                arguments,
                safe,
            } => {
                let target = self.evaluate(target)?;
                if *safe && matches!(target, Value::Null) {
                    return Ok(Value::Null);
                }
                let arguments = self.all(arguments)?;
                self.call(&target, *method, &arguments).map_err(stop(at))?
            }
            ExprKind::Static(function, arguments) => {
                let arguments = self.all(arguments)?;
                self.function(*function, &arguments).map_err(stop(at))?
            }
            ExprKind::List(values) => {
                let values = self.all(values)?;
                self.new_list(values).map_err(stop(at))?
            }
            ExprKind::Map(pairs) => {
                let map = self.new_map(Vec::new()).map_err(stop(at))?;
                for (key, value) in pairs {
                    let (key, value) = (self.evaluate(key)?, self.evaluate(value)?);
                    self.put(&map, key, value).map_err(stop(at))?;
                }
                map
            }
            ExprKind::Array(length, element) => {
                let length = self.evaluate(length)?.number().map_or(-1, Number::int);
                let Ok(length) = usize::try_from(length) else {
                    let fault = Fault::new("negative_array_size_exception", length.to_string());
                    return Err(stop(at)(fault));
                };
                self.take(length.saturating_mul(size_of::<Value>()))
                    .map_err(stop(at))?;
                let values = vec![constant(element); length];
                self.new_list(values).map_err(stop(at))?
            }
            ExprKind::Assign(assign) => self.assign(at, assign)?,
            ExprKind::Match { text, regex, whole } => {
                let text = self.evaluate(text)?;
                let regex = self.evaluate(regex)?;
                self.matches(&text, &regex, *whole).map_err(stop(at))?
            }
            ExprKind::Emit(value) => {
                let value = self.evaluate(value)?;
                self.emit(value).map_err(stop(at))?;
                Value::Null
            }
            ExprKind::Summary(doc, summary) => {
                let doc = self.evaluate(doc)?;
                self.summary(&doc, *summary).map_err(stop(at))?
            }
        })
    }

    fn all(&mut self, exprs: &'a [Expr]) -> Result<Vec<Value<'a>>> {
        exprs.iter().map(|expr| self.evaluate(expr)).collect()
    }

    /// A yes or no.
    pub(super) fn truth(&mut self, expr: &'a Expr) -> Result<bool> {
        match self.evaluate(expr)? {
            Value::Bool(value) => Ok(value),
            other => Err(stop(expr.at)(cannot_cast(&other, Type::Boolean))),
        }
    }

    fn text_of(&mut self, expr: &'a Expr) -> Result<std::sync::Arc<str>> {
        match self.evaluate(expr)? {
            Value::Text(text) => Ok(text),
            other => Err(stop(expr.at)(cannot_cast(&other, Type::String))),
        }
    }

    /// A value as one of a type. What isn't explicit only widens.
    pub(super) fn cast(&mut self, value: Value<'a>, to: Type, explicit: bool) -> Plain<Value<'a>> {
        let number = match &value {
            Value::Number(number) => Some(*number),
            Value::Char(unit) => Some(Number::Int(i32::from(*unit))),
            _ => None,
        };
        Ok(match (to, number) {
            (Type::Def, _) => value,
            (Type::Boolean, _) if matches!(value, Value::Bool(_)) => value,
            (Type::String, _) if matches!(value, Value::Text(_) | Value::Null) => value,
            (Type::String, Some(number)) if explicit && matches!(value, Value::Char(_)) => {
                let text = super::super::value::from_units(&[number.int() as u16]);
                self.new_text(text)?
            }
            (Type::Char, Some(number)) if explicit => Value::Char(number.int() as u16),
            (Type::Char, _) if matches!(value, Value::Char(_)) => value,
            (Type::Char, _) if explicit && matches!(value, Value::Text(_)) => {
                let Value::Text(text) = &value else {
                    return Err(cannot_cast(&value, to));
                };
                let mut units = text.encode_utf16();
                match (units.next(), units.next()) {
                    (Some(unit), None) => Value::Char(unit),
                    _ => {
                        let reason = format!(
                            "cannot convert String with length [{}] to char",
                            text.encode_utf16().count()
                        );
                        return Err(Fault::cast(reason));
                    }
                }
            }
            (Type::Int, Some(number @ Number::Int(_))) => Value::Number(number),
            (Type::Int, Some(number)) if explicit => Value::int(number.int()),
            (Type::Long, Some(number @ (Number::Int(_) | Number::Long(_)))) => {
                Value::long(number.long())
            }
            (Type::Long, Some(number)) if explicit => Value::long(number.long()),
            (Type::Float, Some(number @ Number::Double(_))) if !explicit => {
                return Err(cannot_cast(&Value::Number(number), to));
            }
            (Type::Float, Some(number)) => Value::Number(number.to_float()),
            (Type::Double, Some(number)) => Value::double(number.double()),
            (Type::List, _)
                if matches!(
                    value,
                    Value::List(_) | Value::Null | Value::Json(Json::Array(_))
                ) || matches!(value, Value::Doc(_)) =>
            {
                value
            }
            (Type::Map, _)
                if matches!(
                    value,
                    Value::Map(_) | Value::Null | Value::Json(Json::Object(_))
                ) =>
            {
                value
            }
            _ => return Err(cannot_cast(&value, to)),
        })
    }

    pub(super) fn binary(
        &mut self,
        operation: Binary,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Plain<Value<'a>> {
        if let (Some(left), Some(right)) = (left.number(), right.number()) {
            if operation.compares() {
                return Ok(Value::Bool(number::compare(operation, left, right)));
            }
            if let Some(result) = number::arithmetic(operation, left, right) {
                return result.map(Value::Number);
            }
        }
        match operation {
            Binary::Eq => return Ok(Value::Bool(self.equal(left, right, 0)?)),
            Binary::Ne => return Ok(Value::Bool(!self.equal(left, right, 0)?)),
            Binary::Add if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
                let mut text = String::new();
                self.write(left, &mut text, 0)?;
                self.write(right, &mut text, 0)?;
                return self.new_text(text);
            }
            _ => {}
        }
        if let (Value::Bool(left), Value::Bool(right)) = (left, right) {
            match operation {
                Binary::And => return Ok(Value::Bool(left & right)),
                Binary::Or => return Ok(Value::Bool(left | right)),
                Binary::Xor => return Ok(Value::Bool(left ^ right)),
                _ => {}
            }
        }
        Err(cannot_apply(operation, left, right))
    }

    /// As Java's `equals`, but that numbers are the same in every type.
    pub(super) fn equal(
        &mut self,
        left: &Value<'a>,
        right: &Value<'a>,
        depth: usize,
    ) -> Plain<bool> {
        self.work(1)?;
        if depth > NESTING {
            return Err(Fault::argument("lists are nested too deeply"));
        }
        if let (Some(left), Some(right)) = (left.number(), right.number()) {
            return Ok(number::compare(Binary::Eq, left, right));
        }
        Ok(match (left, right) {
            (Value::Null, Value::Null) | (Value::Locale, Value::Locale) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Text(left), Value::Text(right)) => {
                self.work(left.len().min(right.len()) / 64)?;
                left == right
            }
            (Value::Zoned(left), Value::Zoned(right)) => {
                left == right && left.offset() == right.offset()
            }
            (Value::Instant(left), Value::Instant(right)) => left == right,
            (Value::Day(left), Value::Day(right)) => left == right,
            (Value::Zone(left), Value::Zone(right)) => left == right,
            (Value::Style(left), Value::Style(right)) => left == right,
            (Value::Unit(left), Value::Unit(right)) => left == right,
            (Value::Map(left), Value::Map(right)) => left == right,
            (Value::Regex(left), Value::Regex(right)) => left == right,
            _ if is_list(left) && is_list(right) => {
                let (left, right) = (self.elements(left)?, self.elements(right)?);
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(&right) {
                    if !self.equal(left, right, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => false,
        })
    }

    fn assign(&mut self, at: u32, assign: &'a Assign) -> Result<Value<'a>> {
        // What the place belongs to is looked at once, before the value.
        let place = match &assign.place {
            Target::Local(..) => None,
            Target::Index(list, index) => Some((self.evaluate(list)?, self.evaluate(index)?)),
            Target::Member(target, name) => {
                Some((self.evaluate(target)?, Value::Text(name.clone())))
            }
        };
        let old = match (&assign.place, &place, assign.operation) {
            (_, _, None) => Value::Null,
            (Target::Local(slot, _), _, _) => self.locals[*slot].clone(),
            (_, Some((target, index)), _) => self.element(target, index).map_err(stop(at))?,
            _ => Value::Null,
        };
        let mut value = self.evaluate(&assign.value)?;
        if let Some(operation) = assign.operation {
            value = self.binary(operation, &old, &value).map_err(stop(at))?;
            if let Target::Local(_, ty) = assign.place {
                value = self.cast(value, ty, true).map_err(stop(at))?;
            }
        }
        match (&assign.place, place) {
            (Target::Local(slot, _), _) => self.locals[*slot] = value.clone(),
            (_, Some((target, index))) => {
                self.put(&target, index, value.clone()).map_err(stop(at))?;
            }
            _ => {}
        }
        Ok(if assign.before { old } else { value })
    }

    /// Appends a value's text.
    pub(in super::super) fn write(
        &mut self,
        value: &Value<'a>,
        to: &mut String,
        depth: usize,
    ) -> Plain<()> {
        self.work(1)?;
        if depth > NESTING {
            return Err(Fault::argument("lists are nested too deeply"));
        }
        match value {
            _ if is_list(value) => {
                to.push('[');
                for (at, element) in self.elements(value)?.iter().enumerate() {
                    if at > 0 {
                        to.push_str(", ");
                    }
                    self.write(element, to, depth + 1)?;
                }
                to.push(']');
            }
            Value::Map(_) | Value::Json(Json::Object(_)) => {
                to.push('{');
                for (at, (key, element)) in self.pairs(value)?.iter().enumerate() {
                    if at > 0 {
                        to.push_str(", ");
                    }
                    self.write(key, to, depth + 1)?;
                    to.push('=');
                    self.write(element, to, depth + 1)?;
                }
                to.push('}');
            }
            Value::Text(text) => to.push_str(text),
            other => to.push_str(&self.plain_text(other)),
        }
        if to.len() > TEXT {
            return Err(super::text_too_long());
        }
        Ok(())
    }

    /// What a field's values come to, as numbers.
    fn summary(&mut self, doc: &Value<'a>, summary: Summary) -> Plain<Value<'a>> {
        let Value::Doc(place) = doc else {
            return Ok(Value::double(0.0));
        };
        let mut numbers = Vec::new();
        for value in self.field_values(*place)? {
            numbers.push(match value {
                Value::Bool(value) => f64::from(u8::from(value)),
                Value::Zoned(time) => time.timestamp_millis() as f64,
                other => match other.number() {
                    Some(number) => number.double(),
                    None => {
                        let reason = "Field must be numeric, date, or geopoint";
                        return Err(Fault::argument(reason));
                    }
                },
            });
        }
        let count = numbers.len() as f64;
        let sum: f64 = numbers.iter().sum();
        let first = numbers.first().copied().unwrap_or(0.0);
        Ok(Value::double(match summary {
            Summary::First => first,
            Summary::Count => count,
            Summary::Empty => f64::from(u8::from(numbers.is_empty())),
            Summary::Sum => sum,
            Summary::Mean if count > 0.0 => sum / count,
            Summary::Min => numbers.iter().copied().reduce(f64::min).unwrap_or(0.0),
            Summary::Max => numbers.iter().copied().reduce(f64::max).unwrap_or(0.0),
            Summary::Median if count > 0.0 => {
                numbers.sort_by(f64::total_cmp);
                let middle = numbers.len() / 2;
                if numbers.len() % 2 == 1 {
                    numbers[middle]
                } else {
                    (numbers[middle - 1] + numbers[middle]) / 2.0
                }
            }
            Summary::Mean | Summary::Median => 0.0,
        }))
    }
}

pub(super) fn is_list(value: &Value) -> bool {
    matches!(
        value,
        Value::List(_) | Value::Doc(_) | Value::Field(_) | Value::Json(Json::Array(_))
    )
}

fn constant<'a>(literal: &Literal) -> Value<'a> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(number) => Value::int(*number),
        Literal::Long(number) => Value::long(*number),
        Literal::Float(number) => Value::Number(Number::Float(*number)),
        Literal::Double(number) => Value::double(*number),
        Literal::Text(text) => Value::Text(text.clone()),
    }
}

fn unary<'a>(operation: Unary, value: &Value<'a>) -> Plain<Value<'a>> {
    let result = match (operation, value, value.number()) {
        (Unary::Not, Value::Bool(value), _) => return Ok(Value::Bool(!value)),
        (Unary::Plus, _, Some(number)) => Some(number),
        (Unary::Minus, _, Some(number)) => Some(match number {
            Number::Int(number) => Number::Int(number.wrapping_neg()),
            Number::Long(number) => Number::Long(number.wrapping_neg()),
            Number::Float(number) => Number::Float(-number),
            Number::Double(number) => Number::Double(-number),
        }),
        (Unary::Invert, _, Some(Number::Int(number))) => Some(Number::Int(!number)),
        (Unary::Invert, _, Some(Number::Long(number))) => Some(Number::Long(!number)),
        _ => None,
    };
    result.map(Value::Number).ok_or_else(|| {
        let sign = match operation {
            Unary::Not => "!",
            Unary::Minus => "-",
            Unary::Plus => "+",
            Unary::Invert => "~",
        };
        if matches!(value, Value::Null) {
            return null(sign);
        }
        Fault::cast(format!(
            "Cannot apply [{sign}] operation to type [{}].",
            value.class()
        ))
    })
}

fn is_instance(value: &Value, class: Class) -> bool {
    match (class, value) {
        (_, Value::Null) => false,
        (Class::Any, _)
        | (Class::Text, Value::Text(_))
        | (Class::Number, Value::Number(_))
        | (Class::Int, Value::Number(Number::Int(_)))
        | (Class::Long, Value::Number(Number::Long(_)))
        | (Class::Float, Value::Number(Number::Float(_)))
        | (Class::Double, Value::Number(Number::Double(_)))
        | (Class::Boolean, Value::Bool(_))
        | (Class::Character, Value::Char(_))
        | (Class::Map, Value::Map(_) | Value::Json(Json::Object(_)))
        | (Class::Zoned, Value::Zoned(_))
        | (Class::Instant, Value::Instant(_)) => true,
        (Class::List, value) => is_list(value),
        _ => false,
    }
}
