//! Statements.

use super::super::context::Context;
use super::super::names::type_of;
use super::super::syntax::{Expr, ExprKind, Statement, Type};
use super::super::token::Token;
use super::{Parser, Result, build, condition, refuse};

/// Words of the language that are not supported.
const REFUSED: &[&str] = &[
    "throw", "try", "catch", "function", "this", "switch", "import", "class",
];

impl Parser<'_> {
    /// Reads one statement, which may be several: `int a, b`.
    pub(super) fn statement(&mut self, out: &mut Vec<Statement>) -> Result<()> {
        self.deeper(|parser| parser.statement_within(out))
    }

    fn statement_within(&mut self, out: &mut Vec<Statement>) -> Result<()> {
        let at = self.at();
        if self.accept(";") {
            return Ok(());
        }
        if self.is("{") {
            out.push(Statement::Block(self.block()?));
            return Ok(());
        }
        let word = match self.peek() {
            Token::Name(name) => name.clone(),
            _ => String::new(),
        };
        if REFUSED.contains(&word.as_str()) && self.local(&word).is_none() {
            return refuse(at, format!("[{word}] is not supported"));
        }
        match word.as_str() {
            "if" => {
                self.next += 1;
                out.push(self.choice()?);
                return Ok(());
            }
            "while" => {
                self.next += 1;
                let condition = Some(self.in_parentheses()?);
                let body = self.body()?;
                out.push(Statement::Loop {
                    condition,
                    body,
                    step: None,
                    body_first: false,
                });
                return Ok(());
            }
            "for" => {
                self.next += 1;
                return self.for_loop(out);
            }
            "do" => {
                self.next += 1;
                let body = self.body()?;
                if !self.word("while") {
                    return self.unexpected(self.at());
                }
                let condition = Some(self.in_parentheses()?);
                out.push(Statement::Loop {
                    condition,
                    body,
                    step: None,
                    body_first: true,
                });
            }
            "return" => {
                self.next += 1;
                let end = self.is(";") || self.is("}") || *self.peek() == Token::End;
                let value = if end { None } else { Some(self.expression()?) };
                out.push(Statement::Return(returned(at, value, self.context)?));
            }
            "break" | "continue" => {
                self.next += 1;
                if self.loops == 0 {
                    let word = if word == "break" { "Break" } else { "Continue" };
                    return refuse(at, format!("{word} statement outside of a loop."));
                }
                out.push(if word == "break" {
                    Statement::Break
                } else {
                    Statement::Continue
                });
            }
            _ if self.is_declaration() => self.declaration(out)?,
            _ => {
                let expr = self.expression()?;
                out.push(Statement::Expr(expr));
            }
        }
        self.end_of_statement()
    }

    fn end_of_statement(&mut self) -> Result<()> {
        if self.accept(";") || self.is("}") || *self.peek() == Token::End {
            return Ok(());
        }
        self.unexpected(self.at())
    }

    /// Statements in braces; what they declare is seen by them alone.
    fn block(&mut self) -> Result<Vec<Statement>> {
        self.expect("{")?;
        let seen = self.locals.len();
        let mut statements = Vec::new();
        while !self.is("}") {
            if *self.peek() == Token::End {
                return self.unexpected(self.at());
            }
            self.statement(&mut statements)?;
        }
        self.next += 1;
        self.locals.truncate(seen);
        Ok(statements)
    }

    /// A block, or one statement.
    fn branch(&mut self) -> Result<Vec<Statement>> {
        if self.is("{") {
            return self.block();
        }
        let seen = self.locals.len();
        let mut statements = Vec::new();
        self.statement(&mut statements)?;
        self.locals.truncate(seen);
        Ok(statements)
    }

    fn body(&mut self) -> Result<Vec<Statement>> {
        self.loops += 1;
        let body = self.branch();
        self.loops -= 1;
        body
    }

    fn in_parentheses(&mut self) -> Result<Expr> {
        self.expect("(")?;
        let expr = condition(self.expression()?)?;
        self.expect(")")?;
        Ok(expr)
    }

    fn choice(&mut self) -> Result<Statement> {
        let condition = self.in_parentheses()?;
        let then = self.branch()?;
        let otherwise = if self.word("else") {
            self.branch()?
        } else {
            Vec::new()
        };
        Ok(Statement::If {
            condition,
            then,
            otherwise,
        })
    }

    /// `type name`, `type[] name`.
    fn is_declaration(&self) -> bool {
        let Token::Name(_) = self.peek() else {
            return false;
        };
        let mut by = 1;
        while self.is_ahead(by, "[") && self.is_ahead(by + 1, "]") {
            by += 2;
        }
        matches!(self.ahead(by), Token::Name(name) if name != "instanceof" && name != "in")
    }

    fn declared_type(&mut self) -> Result<Type> {
        let at = self.at();
        let name = self.name()?;
        let Some(ty) = type_of(&name) else {
            return refuse(at, format!("cannot resolve symbol [{name}]"));
        };
        let mut array = false;
        while self.accept("[") {
            self.expect("]")?;
            array = true;
        }
        Ok(if array { Type::List } else { ty })
    }

    fn declaration(&mut self, out: &mut Vec<Statement>) -> Result<()> {
        let ty = self.declared_type()?;
        loop {
            let at = self.at();
            let name = self.name()?;
            let value = if self.accept("=") {
                build::convert(self.expression()?, ty, false)?
            } else {
                let value = build::literal(at, build::default(ty));
                if ty == Type::Char {
                    build::convert(value, ty, true)?
                } else {
                    value
                }
            };
            let slot = self.declare(at, name, ty)?;
            out.push(Statement::Declare { slot, value });
            if !self.accept(",") {
                return Ok(());
            }
        }
    }

    fn for_loop(&mut self, out: &mut Vec<Statement>) -> Result<()> {
        self.expect("(")?;
        let seen = self.locals.len();
        let statement = self.for_loop_within()?;
        self.locals.truncate(seen);
        out.push(statement);
        Ok(())
    }

    fn for_loop_within(&mut self) -> Result<Statement> {
        // `for (x in list)`
        if matches!(self.ahead(1), Token::Name(word) if word == "in") {
            let at = self.at();
            let name = self.name()?;
            self.next += 1;
            return self.each(at, name, Type::Def);
        }
        let mut statements = Vec::new();
        if self.is_declaration() {
            let before = self.next;
            let ty = self.declared_type()?;
            let at = self.at();
            let name = self.name()?;
            if self.accept(":") {
                return self.each(at, name, ty);
            }
            self.next = before;
            self.declaration(&mut statements)?;
        } else if !self.is(";") {
            let expr = self.expression()?;
            statements.push(Statement::Expr(expr));
        }
        self.expect(";")?;
        let condition = if self.is(";") {
            None
        } else {
            Some(condition(self.expression()?)?)
        };
        self.expect(";")?;
        let step = if self.is(")") {
            None
        } else {
            Some(self.expression()?)
        };
        self.expect(")")?;
        let body = self.body()?;
        statements.push(Statement::Loop {
            condition,
            body,
            step,
            body_first: false,
        });
        Ok(Statement::Block(statements))
    }

    fn each(&mut self, at: usize, name: String, ty: Type) -> Result<Statement> {
        let of = self.expression()?;
        self.expect(")")?;
        let slot = self.declare(at, name, ty)?;
        let body = self.body()?;
        Ok(Statement::Each { slot, ty, of, body })
    }
}

/// The value that a script returns, as its context takes it.
fn returned(at: usize, value: Option<Expr>, context: Context) -> Result<Option<Expr>> {
    let wanted = match context {
        Context::Value | Context::Number => Type::Def,
        Context::Filter => Type::Boolean,
        Context::Runtime(_) => {
            return match value {
                None => Ok(None),
                Some(value) => refuse(
                    value.at as usize,
                    format!("Cannot cast from [{}] to [void].", value.ty.name()),
                ),
            };
        }
    };
    let value = value.unwrap_or_else(|| build::literal(at, build::default(wanted)));
    build::convert(value, wanted, false).map(Some)
}

/// The last expression is what a script returns; any other must do something.
pub(super) fn finish(statements: &mut [Statement], context: Context, last: bool) -> Result<()> {
    let count = statements.len();
    for (at, statement) in statements.iter_mut().enumerate() {
        let last = last && at + 1 == count;
        match statement {
            Statement::Expr(_) if last && !matches!(context, Context::Runtime(_)) => {
                let Statement::Expr(expr) = std::mem::replace(statement, Statement::Break) else {
                    continue;
                };
                *statement = if expr.ty == Type::Void {
                    Statement::Expr(expr)
                } else {
                    let at = expr.at as usize;
                    Statement::Return(returned(at, Some(expr), context)?)
                };
            }
            Statement::Expr(expr) => does_something(expr)?,
            Statement::Block(inner) => finish(inner, context, last)?,
            Statement::If {
                then, otherwise, ..
            } => {
                finish(then, context, last)?;
                finish(otherwise, context, last)?;
            }
            Statement::Loop { body, step, .. } => {
                step.as_ref().map_or(Ok(()), does_something)?;
                finish(body, context, false)?;
            }
            Statement::Each { body, .. } => finish(body, context, false)?,
            Statement::Declare { .. }
            | Statement::Return(_)
            | Statement::Break
            | Statement::Continue => {}
        }
    }
    Ok(())
}

fn does_something(expr: &Expr) -> Result<()> {
    let done = matches!(
        expr.kind,
        ExprKind::Assign(_) | ExprKind::Call { .. } | ExprKind::Static(..) | ExprKind::Emit(_)
    );
    if done {
        return Ok(());
    }
    let what = match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Constant(_) => "constant",
        ExprKind::Local(_) => "variable",
        ExprKind::Binary(..) | ExprKind::AndAlso(_) | ExprKind::OrElse(_) => "binary operation",
        ExprKind::Unary(..) => "unary operation",
        ExprKind::Choice(_) | ExprKind::Elvis(_) => "conditional",
        ExprKind::Member { .. } => "field",
        ExprKind::Index(_) => "brace",
        _ => "expression",
    };
    refuse(
        expr.at as usize,
        format!("not a statement: result not used from {what}"),
    )
}
