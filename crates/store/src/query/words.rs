//! The words of texts.

/// The words of a text, as a field of texts has them: in lower case.
pub fn of(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}
