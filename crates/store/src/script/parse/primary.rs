//! Values, and what is asked of them: members, elements and methods.

use std::sync::Arc;

use super::super::context::Context;
use super::super::names::{Constant, Method, Static, is_class, type_of};
use super::super::syntax::{Expr, ExprKind, Literal, Type};
use super::super::token::Token;
use super::{Parser, Result, build, emitted, expression, refuse};

/// Values in a list or map that is written out, and arguments.
const ELEMENTS: usize = 4096;

impl Parser<'_> {
    /// A value and everything after its dots and in its brackets.
    pub(super) fn chain(&mut self) -> Result<Expr> {
        let mut value = self.primary()?;
        loop {
            let at = self.at();
            if self.is(".") || self.is("?.") {
                let safe = self.is("?.");
                self.next += 1;
                value = self.member(value, safe)?;
            } else if self.accept("[") {
                let index = self.expression()?;
                self.expect("]")?;
                value = self.index(at, value, index)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr> {
        let at = self.at();
        match self.advance() {
            Token::Whole {
                digits,
                radix,
                long,
            } => expression::whole(at, &digits, radix, long),
            Token::Double(number) => Ok(build::literal(at, Literal::Double(number))),
            Token::Float(number) => Ok(build::literal(at, Literal::Float(number))),
            Token::Text(text) => Ok(build::literal(at, Literal::Text(Arc::from(text)))),
            Token::Regex(pattern, flags) => {
                let regex = self.regex(at, &pattern, &flags)?;
                Ok(build::leaf(at, Type::Def, ExprKind::Regex(regex)))
            }
            Token::Sign("(") => self.parenthesis(),
            Token::Sign("[") => self.list_or_map(at),
            Token::Sign("$") => self.dollar(at),
            Token::Name(name) => self.named(at, &name),
            Token::Sign(_) => {
                self.next -= 1;
                self.unexpected(at)
            }
            Token::End => self.unexpected(at),
        }
    }

    fn named(&mut self, at: usize, name: &str) -> Result<Expr> {
        match name {
            "true" => return Ok(build::literal(at, Literal::Bool(true))),
            "false" => return Ok(build::literal(at, Literal::Bool(false))),
            "null" => return Ok(build::literal(at, Literal::Null)),
            "new" => return self.new_object(at),
            _ => {}
        }
        if let Some((slot, ty)) = self.local(name) {
            return Ok(build::leaf(at, ty, ExprKind::Local(slot)));
        }
        if self.is("(") {
            return self.function(at, name);
        }
        if is_class(name) {
            return self.of_class(at, name);
        }
        match name {
            "params" => Ok(build::leaf(at, Type::Def, ExprKind::Params)),
            "doc" if self.context != Context::Number => self.doc(at),
            _ => refuse(at, format!("cannot resolve symbol [{name}]")),
        }
    }

    /// `(type) value`, or an expression within parentheses.
    fn parenthesis(&mut self) -> Result<Expr> {
        let cast = match self.peek() {
            Token::Name(name) if self.local(name).is_none() => type_of(name),
            _ => None,
        };
        if let Some(ty) = cast
            && self.is_ahead(1, ")")
        {
            self.next += 2;
            let value = self.deeper(Self::unary)?;
            return build::convert(value, ty, true);
        }
        let value = self.expression()?;
        self.expect(")")?;
        Ok(value)
    }

    /// The arguments of a call, with their parentheses.
    fn arguments(&mut self) -> Result<Vec<Expr>> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.is(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            let argument = self.expression()?;
            if self.is("->") || self.is("::") {
                return refuse(
                    self.at(),
                    "lambdas and references to methods are not supported",
                );
            }
            if argument.ty == Type::Void || arguments.len() >= ELEMENTS {
                return self.unexpected(argument.at as usize);
            }
            arguments.push(argument);
        }
        self.next += 1;
        Ok(arguments)
    }

    /// A function that belongs to no object.
    fn function(&mut self, at: usize, name: &str) -> Result<Expr> {
        let mut arguments = self.arguments()?;
        let count = arguments.len();
        match (name, self.context) {
            ("emit", Context::Runtime(kind)) if count == 1 => {
                let value = build::convert(arguments.remove(0), emitted(kind), false)?;
                let depth = value.depth;
                build::node(at, depth, Type::Void, ExprKind::Emit(Box::new(value)))
            }
            ("field", context) if count == 1 && context != Context::Number => {
                self.field_of(at, arguments.remove(0))
            }
            ("dissect", _) if count == 1 => self.static_call(at, Static::Dissect, arguments),
            _ => refuse(
                at,
                format!("Unknown call [{name}] with [{count}] arguments."),
            ),
        }
    }

    /// `$('field', default)`
    fn dollar(&mut self, at: usize) -> Result<Expr> {
        let mut arguments = self.arguments()?;
        if arguments.len() != 2 || self.context == Context::Number {
            let count = arguments.len();
            return refuse(at, format!("Unknown call [$] with [{count}] arguments."));
        }
        let default = arguments.remove(1);
        let target = self.field_of(at, arguments.remove(0))?;
        let depth = target.depth.max(default.depth);
        let call = ExprKind::Call {
            target: Box::new(target),
            method: Method::Get,
            arguments: vec![default],
            safe: false,
        };
        build::node(at, depth, Type::Def, call)
    }

    fn field_of(&mut self, at: usize, name: Expr) -> Result<Expr> {
        if let ExprKind::Literal(Literal::Text(name)) = &name.kind {
            let place = self.field(at, name)?;
            return Ok(build::leaf(at, Type::Def, ExprKind::Field(place)));
        }
        let name = build::convert(name, Type::String, false)?;
        let depth = name.depth;
        build::node(at, depth, Type::Def, ExprKind::FieldAt(Box::new(name)))
    }

    /// What is after `doc`: it is nothing by itself.
    fn doc(&mut self, at: usize) -> Result<Expr> {
        let name = if self.accept("[") {
            let name = self.expression()?;
            self.expect("]")?;
            name
        } else {
            self.expect(".")?;
            let place = self.at();
            let name = self.name()?;
            if !self.is("(") {
                build::literal(place, Literal::Text(Arc::from(name)))
            } else {
                let mut arguments = self.arguments()?;
                let count = arguments.len();
                match name.as_str() {
                    "get" if count == 1 => arguments.remove(0),
                    "containsKey" if count == 1 => {
                        let field = build::convert(arguments.remove(0), Type::String, false)?;
                        // It is told beforehand which fields are looked at.
                        if let ExprKind::Literal(Literal::Text(name)) = &field.kind {
                            self.field(at, name)?;
                        }
                        let depth = field.depth;
                        let kind = ExprKind::HasField(Box::new(field));
                        return build::node(at, depth, Type::Boolean, kind);
                    }
                    _ => {
                        return refuse(
                            place,
                            format!("member method [java.util.Map, {name}/{count}] not found"),
                        );
                    }
                }
            }
        };
        if let ExprKind::Literal(Literal::Text(name)) = &name.kind {
            let place = self.field(at, name)?;
            return Ok(build::leaf(at, Type::Def, ExprKind::Doc(place)));
        }
        let name = build::convert(name, Type::String, false)?;
        let depth = name.depth;
        build::node(at, depth, Type::Def, ExprKind::DocAt(Box::new(name)))
    }

    /// A function or constant of a class.
    fn of_class(&mut self, at: usize, class: &str) -> Result<Expr> {
        self.expect(".")?;
        let name = self.name()?;
        if self.is("(") {
            let arguments = self.arguments()?;
            let count = arguments.len();
            return match Static::of(class, &name, count) {
                Some(function) => self.static_call(at, function, arguments),
                None => refuse(
                    at,
                    format!("static method [{class}, {name}/{count}] not found"),
                ),
            };
        }
        match Constant::of(class, &name) {
            Some(constant) => {
                let kind = ExprKind::Constant(constant);
                Ok(build::leaf(at, constant.ty(), kind))
            }
            None => refuse(at, format!("static field [{class}, {name}] not found")),
        }
    }

    pub(super) fn static_call(
        &mut self,
        at: usize,
        function: Static,
        arguments: Vec<Expr>,
    ) -> Result<Expr> {
        let wanted = function.parameters().iter();
        let arguments = arguments
            .into_iter()
            .zip(wanted)
            .map(|(argument, ty)| build::convert(argument, *ty, false))
            .collect::<Result<Vec<_>>>()?;
        let depth = build::deepest(&arguments);
        build::node(
            at,
            depth,
            function.ty(),
            ExprKind::Static(function, arguments),
        )
    }

    fn new_object(&mut self, at: usize) -> Result<Expr> {
        let class = self.name()?;
        if self.accept("[") {
            let Some(ty) = type_of(&class) else {
                return refuse(at, format!("cannot resolve symbol [{class}]"));
            };
            if self.accept("]") {
                self.expect("{")?;
                let mut values = Vec::new();
                while !self.accept("}") {
                    if !values.is_empty() {
                        self.expect(",")?;
                    }
                    values.push(build::convert(self.expression()?, ty, false)?);
                }
                return self.list(at, values);
            }
            let length = build::convert(self.expression()?, Type::Int, false)?;
            self.expect("]")?;
            let depth = length.depth;
            let kind = ExprKind::Array(Box::new(length), build::default(ty));
            return build::node(at, depth, Type::List, kind);
        }
        if !matches!(class.as_str(), "ArrayList" | "HashMap") {
            return refuse(at, format!("constructor [{class}, <init>] not found"));
        }
        let arguments = self.arguments()?.len();
        match class.as_str() {
            "ArrayList" if arguments == 0 => self.list(at, Vec::new()),
            "HashMap" if arguments == 0 => {
                Ok(build::leaf(at, Type::Map, ExprKind::Map(Vec::new())))
            }
            _ => refuse(
                at,
                format!("constructor [{class}, <init>/{arguments}] not found"),
            ),
        }
    }

    fn list(&mut self, at: usize, values: Vec<Expr>) -> Result<Expr> {
        if values.len() > ELEMENTS {
            return refuse(
                at,
                format!("there are more than [{ELEMENTS}] values in a list"),
            );
        }
        let depth = build::deepest(&values);
        build::node(at, depth, Type::List, ExprKind::List(values))
    }

    fn list_or_map(&mut self, at: usize) -> Result<Expr> {
        if self.accept(":") {
            self.expect("]")?;
            return Ok(build::leaf(at, Type::Map, ExprKind::Map(Vec::new())));
        }
        let (mut values, mut pairs) = (Vec::new(), Vec::new());
        while !self.accept("]") {
            if values.len() + pairs.len() > 0 {
                self.expect(",")?;
            }
            let value = build::convert(self.expression()?, Type::Def, false)?;
            if self.is(":") && values.is_empty() {
                self.next += 1;
                let other = build::convert(self.expression()?, Type::Def, false)?;
                pairs.push((value, other));
            } else if pairs.is_empty() {
                values.push(value);
            } else {
                return self.unexpected(self.at());
            }
        }
        if pairs.is_empty() {
            return self.list(at, values);
        }
        if pairs.len() > ELEMENTS {
            return refuse(
                at,
                format!("there are more than [{ELEMENTS}] values in a map"),
            );
        }
        let depths = pairs.iter().map(|(key, value)| key.depth.max(value.depth));
        let depth = depths.max().unwrap_or(0);
        build::node(at, depth, Type::Map, ExprKind::Map(pairs))
    }

    fn member(&mut self, target: Expr, safe: bool) -> Result<Expr> {
        let at = self.at();
        let name = match self.peek().clone() {
            Token::Name(name) => name,
            Token::Whole { digits, .. } => digits,
            _ => return self.unexpected(at),
        };
        self.next += 1;
        if target.ty == Type::Void {
            return refuse(at, format!("member [void, {name}] not found"));
        }
        let depth = target.depth;
        if self.is("(") {
            let arguments = self.arguments()?;
            let count = arguments.len();
            let Some(method) = Method::of(&name, count) else {
                let (how, ty) = match target.ty {
                    Type::Def => ("dynamic", "def"),
                    ty => ("member", ty.name()),
                };
                return refuse(at, format!("{how} method [{ty}, {name}/{count}] not found"));
            };
            let depth = depth.max(build::deepest(&arguments));
            let target = Box::new(target);
            let call = ExprKind::Call {
                target,
                method,
                arguments,
                safe,
            };
            return build::node(at, depth, Type::Def, call);
        }
        self.property(at, target, &name, safe)
    }

    fn property(&mut self, at: usize, target: Expr, name: &str, safe: bool) -> Result<Expr> {
        if matches!(target.kind, ExprKind::Params) && name == "_source" {
            self.uses_source = true;
            return Ok(build::leaf(at, Type::Def, ExprKind::Source));
        }
        let depth = target.depth;
        let member = ExprKind::Member {
            target: Box::new(target),
            name: Arc::from(name),
            getter: Method::getter(name),
            safe,
        };
        build::node(at, depth, Type::Def, member)
    }

    fn index(&mut self, at: usize, target: Expr, index: Expr) -> Result<Expr> {
        if let (ExprKind::Params, ExprKind::Literal(Literal::Text(name))) =
            (&target.kind, &index.kind)
        {
            let name = name.clone();
            return self.property(at, target, &name, false);
        }
        let parts = [target, index];
        let depth = build::deepest(&parts);
        build::node(at, depth, Type::Def, ExprKind::Index(Box::new(parts)))
    }
}
