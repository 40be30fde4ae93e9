//! The items of a filter: texts, with `*` before or after for any text there.

/// A filter, made ready for look-ups. Case matters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patterns {
    /// Sorted, as all lists of texts here.
    whole: Vec<String>,
    heads: Ends,
    tails: Ends,
    inside: Vec<String>,
}

/// Texts that a value may begin or end with.
#[derive(Debug, Clone, Default, PartialEq)]
struct Ends {
    texts: Vec<String>,
    /// The lengths that occur: a look-up tries each of them, however many texts there are.
    lengths: Vec<usize>,
}

impl Ends {
    fn new(mut texts: Vec<String>) -> Self {
        texts.sort_unstable();
        let mut lengths: Vec<usize> = texts.iter().map(String::len).collect();
        lengths.sort_unstable();
        lengths.dedup();
        Self { texts, lengths }
    }

    /// Whether one of the texts is what `cut` makes of a value for its length.
    fn any<'v>(&self, cut: impl Fn(usize) -> Option<&'v str>) -> bool {
        let mut parts = self.lengths.iter().filter_map(|&length| cut(length));
        parts.any(|part| has(&self.texts, part))
    }
}

fn has(texts: &[String], text: &str) -> bool {
    texts
        .binary_search_by(|known| known.as_str().cmp(text))
        .is_ok()
}

impl Patterns {
    pub fn new(items: &[String]) -> Self {
        let (mut whole, mut heads, mut tails, mut inside) = (vec![], vec![], vec![], vec![]);
        for item in items {
            let (text, open_before) = match item.strip_prefix('*') {
                Some(text) => (text, true),
                None => (item.as_str(), false),
            };
            let (text, open_after) = match text.strip_suffix('*') {
                Some(text) => (text, true),
                None => (text, false),
            };
            let list = match (open_before, open_after) {
                (false, false) => &mut whole,
                (false, true) => &mut heads,
                (true, false) => &mut tails,
                (true, true) => &mut inside,
            };
            list.push(text.to_owned());
        }
        whole.sort_unstable();
        Self {
            whole,
            heads: Ends::new(heads),
            tails: Ends::new(tails),
            inside,
        }
    }

    pub fn fits(&self, value: &str) -> bool {
        has(&self.whole, value)
            || self.heads.any(|length| value.get(..length))
            || self
                .tails
                .any(|length| value.get(value.len().checked_sub(length)?..))
            || self.inside.iter().any(|part| value.contains(part.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_fit_whole_or_by_their_ends() {
        let items = ["a.org", "*.google.com", "web-*", "*mid*", "a*b", "é*"].map(str::to_owned);
        let filter = Patterns::new(&items);
        for (value, fits) in [
            ("a.org", true),
            ("A.org", false),
            ("a.orgs", false),
            ("mail.google.com", true),
            ("google.com", false),
            (".google.com", true),
            ("web-", true),
            ("web", false),
            ("amidst", true),
            ("axb", false),
            ("a*b", true),
            ("ére", true),
            ("ère", false),
            ("", false),
        ] {
            assert_eq!(filter.fits(value), fits, "{value}");
        }
        assert!(Patterns::new(&["*".to_owned()]).fits("anything"));
        assert!(!Patterns::new(&[]).fits(""));
    }
}
