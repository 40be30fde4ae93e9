//! Text without its markup: tags, comments and scripts go, entities become what they stand for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// HTML's named entities with their code points, one a line. `nbsp` is a blank: words must part there.
static ENTITIES: LazyLock<HashMap<&str, char>> = LazyLock::new(|| {
    let lines = include_str!("entities.txt").lines();
    lines
        .filter_map(|line| {
            let (name, code) = line.split_once(' ')?;
            Some((name, char::from_u32(code.parse().ok()?)?))
        })
        .collect()
});

/// Elements that do not break a line: nothing stands in their tags' place. A newline stands in that of all others.
const INLINE: [&str; 31] = [
    "a", "abbr", "acronym", "b", "basefont", "bdo", "big", "cite", "code", "dfn", "em", "font",
    "i", "img", "input", "kbd", "label", "q", "s", "samp", "select", "small", "span", "strike",
    "strong", "sub", "sup", "textarea", "tt", "u", "var",
];

/// `kept` are elements whose tags stay as they are.
pub fn strip<'a>(text: &'a str, kept: &[String]) -> Cow<'a, str> {
    if !text.contains(['<', '&']) {
        return Cow::Borrowed(text);
    }
    let mut stripped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        stripped += &rest[..at];
        rest = &rest[at..];
        rest = match rest.starts_with('&') {
            true => entity(rest, &mut stripped),
            false => markup(rest, kept, &mut stripped),
        };
    }
    Cow::Owned(stripped + rest)
}

/// Writes what an entity stands for, or the `&` of what is none, and returns what follows.
fn entity<'a>(text: &'a str, out: &mut String) -> &'a str {
    let after = &text[1..];
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '#';
    let (name, rest) = after.split_at(after.find(|c| !of_name(c)).unwrap_or(after.len()));
    let Some(rest) = rest.strip_prefix(';') else {
        out.push('&');
        return after;
    };
    let meant = match name.strip_prefix('#') {
        None => ENTITIES.get(name).copied(),
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        }
        .and_then(char::from_u32),
    };
    match meant {
        Some(meant) => {
            out.push(meant);
            rest
        }
        None => {
            out.push('&');
            after
        }
    }
}

/// Leaves out a tag or what else stands between angles, and returns what follows. A `<` that begins nothing stays.
fn markup<'a>(text: &'a str, kept: &[String], out: &mut String) -> &'a str {
    let none = |out: &mut String| {
        out.push('<');
        &text[1..]
    };
    for (start, end) in [("<!--", "-->"), ("<?", "?>")] {
        if let Some(inside) = text.strip_prefix(start) {
            return match inside.find(end) {
                Some(at) => &inside[at + end.len()..],
                None => none(out),
            };
        }
    }
    if let Some(inside) = text.strip_prefix("<![CDATA[") {
        let (data, rest) = inside.split_once("]]>").unwrap_or((inside, ""));
        *out += data;
        return rest;
    }
    if text.starts_with("<!") {
        return text.split_once('>').map_or_else(|| none(out), |(_, r)| r);
    }
    let inside = &text[1..];
    let inside = inside.strip_prefix('/').map_or(inside, str::trim_start);
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
    let name = &inside[..inside.find(|c| !of_name(c)).unwrap_or(inside.len())];
    let begins = |c: char| c.is_alphabetic() || c == '_' || c == ':';
    let (true, Some(length)) = (name.starts_with(begins), tag_length(text)) else {
        return none(out);
    };
    let name = name.to_lowercase();
    let (tag, rest) = text.split_at(length);
    if kept.contains(&name) {
        *out += tag;
        return rest;
    }
    if !INLINE.contains(&name.as_str()) {
        out.push('\n');
    }
    let opens = !tag.starts_with("</") && !tag.ends_with("/>");
    match opens && matches!(name.as_str(), "script" | "style") {
        true => after_element(rest, &name),
        false => rest,
    }
}

/// The bytes of a tag to its `>`, which may stand in the quotes of an attribute without ending it.
fn tag_length(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '>' => return Some(at + 1),
            None if c == '<' && at > 0 => return None,
            None => {}
        }
    }
    None
}

/// What follows the end tag of an element whose content is no text; nothing when it does not end.
fn after_element<'a>(text: &'a str, name: &str) -> &'a str {
    let end = format!("</{name}");
    let closes = |at: &usize| {
        let tag = text[*at..].get(..end.len());
        tag.is_some_and(|tag| tag.eq_ignore_ascii_case(&end))
    };
    let at = text.match_indices('<').map(|(at, _)| at).find(closes);
    let tag = at.and_then(|at| text[at..].split_once('>'));
    tag.map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_blocks_break_the_line() {
        for (text, expected) in [
            ("<p>I&apos;m so <b>happy</b>!</p>", "\nI'm so happy!\n"),
            ("one<br/>two", "one\ntwo"),
            ("<a href=\"x>y\" title='1 > 2'>here</a> now", "here now"),
            ("a < b && c > d", "a < b && c > d"),
            ("5 <6> <", "5 <6> <"),
            ("open <b only", "open <b only"),
            ("a<!-- <b> not here -->b", "ab"),
            ("x<![CDATA[1 < 2]]>y", "x1 < 2y"),
            ("<?xml version=\"1.0\"?><!DOCTYPE html>top", "top"),
            ("<SCRIPT>if (a<b) {}</Script >end", "\nend"),
            ("ü<i>ö</i>", "üö"),
        ] {
            assert_eq!(strip(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn entities_are_what_they_stand_for() {
        for (text, expected) in [
            ("1 &lt; 2 &amp;&amp; 3", "1 < 2 && 3"),
            ("&eacute;&#233;&#xE9;", "ééé"),
            ("a&nbsp;b", "a b"),
            ("&nothing; &#xD800; & &amp", "&nothing; &#xD800; & &amp"),
        ] {
            assert_eq!(strip(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn tags_that_are_kept_stay() {
        let kept = ["b".to_owned()];
        assert_eq!(strip("<b>so</b> <i>it</i>", &kept), "<b>so</b> it");
    }
}
