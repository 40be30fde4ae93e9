//! Which dimensions' values are wanted.

use std::collections::BTreeSet;

/// A tree of equalities.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Everything, where there are none.
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Is {
        dimension: String,
        value: String,
    },
}

impl Default for Condition {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Condition {
    /// Whether it holds for these dimensions and values.
    pub fn holds(&self, dimensions: &[(String, String)]) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(dimensions)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(dimensions)),
            Self::Is { dimension, value } => dimensions
                .iter()
                .any(|(name, has)| name == dimension && has == value),
        }
    }

    /// The dimensions that it asks for.
    pub fn dimensions(&self) -> BTreeSet<&str> {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().flat_map(|part| part.dimensions()).collect()
            }
            Self::Is { dimension, .. } => BTreeSet::from([dimension.as_str()]),
        }
    }

    /// Whether a dimension has one value, wherever it holds.
    pub fn pins(&self, name: &str) -> bool {
        match self {
            Self::All(parts) => parts.iter().any(|part| part.pins(name)),
            Self::Any(parts) => parts.len() == 1 && parts[0].pins(name),
            Self::Is { dimension, .. } => dimension == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_and_pin() {
        let is = |dimension: &str, value: &str| Condition::Is {
            dimension: dimension.to_owned(),
            value: value.to_owned(),
        };
        let some = Condition::Any(vec![is("a", "1"), is("a", "2")]);
        let both = Condition::All(vec![some.clone(), is("b", "x")]);
        let of = |a: &str, b: &str| [("a".into(), a.into()), ("b".into(), b.into())];
        assert!(Condition::default().holds(&[]));
        assert!(both.holds(&of("1", "x")) && both.holds(&of("2", "x")));
        assert!(!both.holds(&of("3", "x")) && !both.holds(&of("1", "y")));
        assert!(!some.holds(&[]));
        assert_eq!(both.dimensions(), BTreeSet::from(["a", "b"]));
        assert!(both.pins("b") && !both.pins("a") && !some.pins("a"));
    }
}
