//! The random cut forest: a second engine, for jobs that ask for it.

mod config;
mod result;

pub use config::{ForestConfig, Imputation, Method, NearExpected};
pub use result::{EntityField, ForestResult};
