//! The tree of a script.

use std::sync::Arc;

use super::names::{Constant, Method, Static};

/// A type as far as it is known before the script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Known when the script runs; objects other than those below as well.
    Def,
    Void,
    Boolean,
    Char,
    Int,
    Long,
    Float,
    Double,
    String,
    List,
    Map,
}

impl Type {
    /// As Elasticsearch tells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Def => "def",
            Self::Void => "void",
            Self::Boolean => "boolean",
            Self::Char => "char",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "java.lang.String",
            Self::List => "java.util.List",
            Self::Map => "java.util.Map",
        }
    }

    /// How wide a number is; characters are numbers too.
    pub fn rank(self) -> Option<u8> {
        match self {
            Self::Char => Some(0),
            Self::Int => Some(1),
            Self::Long => Some(2),
            Self::Float => Some(3),
            Self::Double => Some(4),
            _ => None,
        }
    }

    pub fn is_number(self) -> bool {
        self.rank().is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Shl,
    Shr,
    /// `>>>`
    Ushr,
    And,
    Or,
    Xor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Binary {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::Ushr => ">>>",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    pub fn compares(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
    /// `~`
    Invert,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Text(Arc<str>),
}

#[derive(Debug)]
pub(super) struct Expr {
    /// Byte offset in the script.
    pub at: u32,
    /// Expressions within expressions; it is bounded, so that whoever walks the tree may recurse.
    pub depth: u16,
    pub ty: Type,
    pub kind: ExprKind,
}

#[derive(Debug)]
pub(super) enum ExprKind {
    Literal(Literal),
    Constant(Constant),
    /// By its place in `Program::regexes`.
    Regex(usize),
    Local(usize),
    Params,
    Source,
    /// `doc['x']`, by the place of the name in `Program::fields`.
    Doc(usize),
    DocAt(Box<Expr>),
    HasField(Box<Expr>),
    /// `field('x')`, which has defaults instead of errors.
    Field(usize),
    FieldAt(Box<Expr>),
    Unary(Unary, Box<Expr>),
    Binary(Binary, Box<[Expr; 2]>),
    AndAlso(Box<[Expr; 2]>),
    OrElse(Box<[Expr; 2]>),
    /// Condition, then, else.
    Choice(Box<[Expr; 3]>),
    /// `a ?: b`
    Elvis(Box<[Expr; 2]>),
    /// What isn't explicit only widens.
    Cast {
        value: Box<Expr>,
        to: Type,
        explicit: bool,
    },
    InstanceOf(Box<Expr>, Class),
    Member {
        target: Box<Expr>,
        name: Arc<str>,
        /// The method that gives it, where there is one: `getName` or `isName`.
        getter: Option<Method>,
        /// `?.`
        safe: bool,
    },
    Index(Box<[Expr; 2]>),
    Call {
        target: Box<Expr>,
        method: Method,
        arguments: Vec<Expr>,
        safe: bool,
    },
    Static(Static, Vec<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// `new int[n]`, of this element.
    Array(Box<Expr>, Literal),
    Assign(Box<Assign>),
    /// `=~`, or `==~` where all of the text is meant.
    Match {
        text: Box<Expr>,
        regex: Box<Expr>,
        whole: bool,
    },
    Emit(Box<Expr>),
    /// Of the language `expression`: what the values of a field come to, 0 where there are none.
    Summary(Box<Expr>, Summary),
}

/// What values come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Summary {
    First,
    Min,
    Max,
    Sum,
    Mean,
    Median,
    Count,
    Empty,
}

#[derive(Debug)]
pub(super) struct Assign {
    pub place: Target,
    /// Of `+=` and its like.
    pub operation: Option<Binary>,
    pub value: Expr,
    /// What it was before is the value of the expression: `x++`.
    pub before: bool,
}

/// Where a value can be put.
#[derive(Debug)]
pub(super) enum Target {
    Local(usize, Type),
    Index(Expr, Expr),
    Member(Expr, Arc<str>),
}

/// What `instanceof` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Any,
    Text,
    Number,
    Int,
    Long,
    Float,
    Double,
    Boolean,
    Character,
    List,
    Map,
    Zoned,
    Instant,
}

#[derive(Debug)]
pub(super) enum Statement {
    Declare {
        slot: usize,
        value: Expr,
    },
    Expr(Expr),
    If {
        condition: Expr,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// Also `for (;;)` and, where the body comes first, `do`.
    Loop {
        condition: Option<Expr>,
        body: Vec<Statement>,
        step: Option<Expr>,
        body_first: bool,
    },
    Each {
        slot: usize,
        ty: Type,
        of: Expr,
        body: Vec<Statement>,
    },
    Block(Vec<Statement>),
    Return(Option<Expr>),
    Break,
    Continue,
}

/// A script that was parsed.
#[derive(Debug)]
pub(super) struct Program {
    pub statements: Vec<Statement>,
    pub locals: usize,
    pub fields: Vec<String>,
    pub regexes: Vec<Pattern>,
    pub uses_source: bool,
}

/// A regular expression, once for parts of a text and once for all of it.
#[derive(Debug)]
pub(super) struct Pattern {
    pub part: regex::Regex,
    pub whole: regex::Regex,
}
