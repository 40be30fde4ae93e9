//! The words of texts.

/// How a text is split into words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Analyzer {
    #[default]
    Standard,
    /// At what is no letter.
    Simple,
    /// At blanks; the case stays.
    Whitespace,
    /// Not at all.
    Keyword,
}

impl Analyzer {
    /// None: it isn't known here.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "standard" | "default" => Self::Standard,
            "simple" => Self::Simple,
            "whitespace" => Self::Whitespace,
            "keyword" => Self::Keyword,
            _ => return None,
        })
    }

    pub fn words(self, text: &str) -> Vec<String> {
        match self {
            Self::Standard => of(text),
            Self::Simple => text
                .split(|c: char| !c.is_alphabetic())
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect(),
            Self::Whitespace => text.split_whitespace().map(str::to_owned).collect(),
            Self::Keyword => vec![text.to_owned()],
        }
    }
}

/// The words of a text, as a field of texts has them: in lower case.
pub fn of(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}
