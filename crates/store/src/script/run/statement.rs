//! Statements, one after the other.

use super::super::error::Fault;
use super::super::syntax::{Expr, Statement, Type};
use super::super::value::Value;
use super::{Result, Run, stop, too_long};

/// Where to go on.
enum Flow<'a> {
    Next,
    Break,
    Continue,
    Return(Option<Value<'a>>),
}

impl<'a> Run<'a> {
    /// Runs the script; what it returns, if it does.
    pub fn execute(&mut self) -> Result<Option<Value<'a>>> {
        let program = self.program;
        match self.statements(&program.statements)? {
            Flow::Return(value) => Ok(value),
            _ => Ok(None),
        }
    }

    fn statements(&mut self, statements: &'a [Statement]) -> Result<Flow<'a>> {
        for statement in statements {
            match self.statement(statement)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'a Statement) -> Result<Flow<'a>> {
        match statement {
            Statement::Declare { slot, value } => {
                self.locals[*slot] = self.evaluate(value)?;
            }
            Statement::Expr(expr) => {
                self.evaluate(expr)?;
            }
            Statement::Block(statements) => return self.statements(statements),
            Statement::If {
                condition,
                then,
                otherwise,
            } => {
                let branch = if self.truth(condition)? {
                    then
                } else {
                    otherwise
                };
                return self.statements(branch);
            }
            Statement::Loop {
                condition,
                body,
                step,
                body_first,
            } => return self.repeat(condition.as_ref(), body, step.as_ref(), *body_first),
            Statement::Each { slot, ty, of, body } => return self.each(*slot, *ty, of, body),
            Statement::Return(value) => {
                let value = value.as_ref().map(|value| self.evaluate(value));
                return Ok(Flow::Return(value.transpose()?));
            }
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// One more time through a loop.
    fn turn(&mut self, at: u32) -> Result<()> {
        self.work(1).map_err(|_| stop(at)(too_long()))
    }

    fn repeat(
        &mut self,
        condition: Option<&'a Expr>,
        body: &'a [Statement],
        step: Option<&'a Expr>,
        body_first: bool,
    ) -> Result<Flow<'a>> {
        let at = condition.or(step).map_or(0, |expr| expr.at);
        let mut check = !body_first;
        loop {
            if let Some(condition) = condition
                && check
                && !self.truth(condition)?
            {
                return Ok(Flow::Next);
            }
            check = true;
            self.turn(at)?;
            match self.statements(body)? {
                Flow::Break => return Ok(Flow::Next),
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next | Flow::Continue => {}
            }
            if let Some(step) = step {
                self.evaluate(step)?;
            }
        }
    }

    fn each(
        &mut self,
        slot: usize,
        ty: Type,
        of: &'a Expr,
        body: &'a [Statement],
    ) -> Result<Flow<'a>> {
        let list = self.evaluate(of)?;
        let values = self.elements(&list).map_err(stop(of.at))?;
        for value in values {
            self.turn(of.at)?;
            self.locals[slot] = match ty {
                Type::Def => value,
                ty => self.cast(value, ty, false).map_err(stop(of.at))?,
            };
            match self.statements(body)? {
                Flow::Break => break,
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next | Flow::Continue => {}
            }
        }
        Ok(Flow::Next)
    }

    /// All values of what can be gone through.
    pub(in super::super) fn elements(&mut self, list: &Value<'a>) -> super::Plain<Vec<Value<'a>>> {
        let values: Vec<Value> = match list {
            Value::List(list) => self.lists[*list].clone(),
            Value::Json(serde_json::Value::Array(values)) => {
                values.iter().map(Value::json).collect()
            }
            Value::Doc(place) | Value::Field(place) => self.field_values(*place)?,
            Value::Null => return Err(super::expression::null("iterator")),
            other => {
                let reason = format!("Cannot iterate over [{}]", other.class());
                return Err(Fault::argument(reason));
            }
        };
        self.take(values.len() * size_of::<Value>())?;
        Ok(values)
    }
}
