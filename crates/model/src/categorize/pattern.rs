//! Regular expressions as Java writes them, as far as they mean the same here.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern may take.
const MAX_SIZE: usize = 1 << 20;

/// A pattern of a char filter or tokenizer. What Java's patterns have beyond regular languages (look-around, back
/// references, atomic groups, possessive quantifiers) is refused: it can't be matched in linear time.
pub fn compile(pattern: &str, flags: Option<&str>) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&translate(pattern)?);
    builder.size_limit(MAX_SIZE).dfa_size_limit(MAX_SIZE);
    for flag in flags.unwrap_or_default().split('|').map(str::trim) {
        match flag {
            "" | "UNICODE_CASE" => {}
            "CASE_INSENSITIVE" => {
                builder.case_insensitive(true);
            }
            "MULTILINE" => {
                builder.multi_line(true);
            }
            "DOTALL" => {
                builder.dot_matches_new_line(true);
            }
            "COMMENTS" => {
                builder.ignore_whitespace(true);
            }
            other => return Err(format!("flag [{other}] is not supported")),
        }
    }
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too big".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().rfind(|line| !line.trim().is_empty());
            last.unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned()
        }
    })
}

/// Java's classes `\d`, `\w`, `\s` and its `\b` know ASCII alone.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut depth = 0_u32;
    // Whether the last thing was a quantifier.
    let mut quantified = false;
    while let Some(c) = chars.next() {
        let was_quantified = std::mem::take(&mut quantified);
        match c {
            '\\' => match chars.next() {
                Some('d') => out += "[0-9]",
                Some('D') => out += "[^0-9]",
                Some('w') => out += "[a-zA-Z0-9_]",
                Some('W') => out += "[^a-zA-Z0-9_]",
                Some('s') => out += r"[ \t\n\x0B\f\r]",
                Some('S') => out += r"[^ \t\n\x0B\f\r]",
                Some('h') => out += r"[ \t\xA0]",
                Some('b') if depth == 0 => out += r"(?-u:\b)",
                Some('Z') if depth == 0 => out += r"\n?\z",
                Some('Q') => {
                    let mut quoted = String::new();
                    while let Some(c) = chars.next() {
                        if c == '\\' && chars.next_if_eq(&'E').is_some() {
                            break;
                        }
                        quoted.push(c);
                    }
                    out += &regex::escape(&quoted);
                }
                Some(digit @ '1'..='9') => {
                    return Err(format!("back reference [\\{digit}] is not supported"));
                }
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' => {
                depth += 1;
                out.push(c);
                if let Some(not) = chars.next_if_eq(&'^') {
                    out.push(not);
                }
                // A bracket that comes first is itself.
                if chars.next_if_eq(&']').is_some() {
                    out += r"\]";
                }
            }
            ']' if depth > 0 => {
                depth -= 1;
                out.push(c);
            }
            '+' if depth == 0 && was_quantified => {
                return Err("possessive quantifiers are not supported".to_owned());
            }
            '?' if depth == 0 && was_quantified => out.push(c),
            '*' | '+' | '?' | '}' if depth == 0 => {
                quantified = true;
                out.push(c);
            }
            '(' if depth == 0 => {
                out.push(c);
                // The question mark of `(?:` quantifies nothing.
                if let Some(mark) = chars.next_if_eq(&'?') {
                    out.push(mark);
                }
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// Java's `$1` and `\$` in a replacement.
pub fn replacement(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out += "$$",
                Some(other) => out.push(other),
                None => {}
            },
            '$' => match chars.next_if(char::is_ascii_digit) {
                Some(digit) => out += &format!("${{{digit}}}"),
                None => out.push('$'),
            },
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_patterns_mean_what_they_mean_in_java() {
        let cases = [
            (r"\d+", "a12٣", "a<>٣"),
            (r"\[statement:.*\]", "x [statement: a] y", "x <> y"),
            (r"[\w.]+@[\w.]+", "to a.b@c.d.", "to <>"),
            (r"\Qa.b\E", "a.b axb", "<> axb"),
            (r"a+?b", "aab", "<>"),
            (r"(?:x|y){2}", "xyz", "<>z"),
            ("[]a]+", "a]b", "<>b"),
        ];
        for (pattern, text, expected) in cases {
            let regex = compile(pattern, None).expect(pattern);
            assert_eq!(regex.replace_all(text, "<>"), expected, "{pattern}");
        }
        let regex = compile("A(b)", Some("CASE_INSENSITIVE|DOTALL")).expect("valid");
        assert_eq!(regex.replace_all("xab1", replacement("$10\\$")), "xb0$1");
    }

    #[test]
    fn what_is_not_regular_is_refused() {
        for pattern in [
            r"(a)\1",
            "a++",
            "a*+b",
            "x{2}+",
            "(?=a)",
            "(?<!a)b",
            "(?>a)",
            "(",
            "[",
            "a{1000}{1000}",
        ] {
            assert!(compile(pattern, None).is_err(), "{pattern}");
        }
        assert!(compile("a", Some("LITERAL")).is_err());
    }
}
