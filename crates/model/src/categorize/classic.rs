//! The `classic` tokenizer: words, and as one token what is an acronym, a mail address, a host or a number with signs
//! in it, such as that of a product.

use regex::Regex;

/// What a token may look like. Of those that hold at one place, the longest is the token.
#[derive(Debug, Clone)]
pub struct Classic {
    /// The first character of every token.
    first: Regex,
    kinds: Vec<Regex>,
}

impl Classic {
    pub fn new() -> Result<Self, String> {
        const LETTER: &str = r"[\p{L}--\p{Han}\p{Hiragana}\p{Katakana}]";
        const SINGLE: &str = r"[\p{Han}\p{Hiragana}\p{Katakana}]";
        let word = format!(r"(?:{LETTER}|\p{{Nd}})+");
        let with_digit = format!(r"(?:{LETTER}|\p{{Nd}})*\p{{Nd}}(?:{LETTER}|\p{{Nd}})*");
        let join = "[-_/.,]";
        let kinds = [
            word.clone(),
            format!("{LETTER}+(?:'{LETTER}+)+"),
            format!(r"{LETTER}\.(?:{LETTER}\.)+"),
            format!("{LETTER}+[&@]{LETTER}+"),
            format!(r"{word}(?:[-._]{word})*@{word}(?:[-.]{word})+"),
            format!(r"{word}(?:\.{word})+"),
            // Every second part of a number has a digit.
            format!("{word}(?:{join}{with_digit}{join}{word})+"),
            format!("{word}{join}{with_digit}(?:{join}{word}{join}{with_digit})*"),
            format!("{with_digit}(?:{join}{word}{join}{with_digit})+"),
            format!("{with_digit}{join}{word}(?:{join}{with_digit}{join}{word})*"),
            SINGLE.to_owned(),
        ];
        let compile = |pattern: &str| Regex::new(pattern).map_err(|error| error.to_string());
        let kinds = kinds.iter().map(|kind| compile(&format!(r"\A{kind}")));
        Ok(Self {
            first: compile(r"[\p{L}\p{Nd}]")?,
            kinds: kinds.collect::<Result<_, _>>()?,
        })
    }

    /// The next token's bytes.
    pub fn next(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let start = from + self.first.find(&text[from..])?.start();
        let rest = &text[start..];
        let ends = self
            .kinds
            .iter()
            .filter_map(|kind| Some(kind.find(rest)?.end()));
        Some((start, start + ends.max()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_kind_of_token_wins() {
        let classic = Classic::new().expect("valid patterns");
        let tokens = |text: &'static str| {
            let (mut from, mut tokens) = (0, Vec::new());
            while let Some((start, end)) = classic.next(text, from) {
                tokens.push(&text[start..end]);
                from = end;
            }
            tokens
        };
        for (text, expected) in [
            (
                "The 2 QUICK Brown-Foxes",
                vec!["The", "2", "QUICK", "Brown", "Foxes"],
            ),
            ("the dog's bone.", vec!["the", "dog's", "bone"]),
            ("U.S.A. and AT&T", vec!["U.S.A.", "and", "AT&T"]),
            (
                "to john.smith@global-intl.com, now",
                vec!["to", "john.smith@global-intl.com", "now"],
            ),
            (
                "www.example.org/10.0.0.1",
                vec!["www.example.org", "10.0.0.1"],
            ),
            (
                "XL-5000 on 2024-02-29 at 1,024",
                vec!["XL-5000", "on", "2024-02-29", "at", "1,024"],
            ),
            ("\u{6f6e}\u{6c50}x", vec!["\u{6f6e}", "\u{6c50}", "x"]),
            ("--", vec![]),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }
}
