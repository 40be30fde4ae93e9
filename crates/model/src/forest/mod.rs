//! The random cut forest: a second engine, for jobs that ask for it (Guha, Mishra, Roy and Schrijvers 2016, ICML).

mod band;
mod config;
mod correct;
mod entity;
mod gaps;
mod points;
mod random;
mod range;
mod result;
mod running;
mod scale;
mod span;
mod threshold;
mod tree;
mod trees;

pub use config::{ForestConfig, Imputation, Method, NearExpected};
pub use entity::{Beside, Entity, Finding, Rule};
pub use result::{EntityField, ForestResult};
pub use tree::Scratch;
pub use trees::Trees;
