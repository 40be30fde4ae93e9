//! A Grok pattern for the messages of a category: its terms, and between them what all of its examples have.

use std::sync::LazyLock;

use regex::Regex;

/// Kinds of values: Grok's name, the field that is suggested for it, and how it is found. The most telling first.
static KINDS: LazyLock<Vec<(&str, &str, Regex)>> = LazyLock::new(|| {
    let kinds = [
        (
            "TIMESTAMP_ISO8601",
            "timestamp",
            r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?",
        ),
        (
            "UUID",
            "uuid",
            r"(?-u:\b)[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?-u:\b)",
        ),
        (
            "EMAILADDRESS",
            "email",
            r"[a-zA-Z][a-zA-Z0-9_.+-]*@[0-9A-Za-z][0-9A-Za-z-]*(\.[0-9A-Za-z-]+)+",
        ),
        ("URI", "uri", r"[A-Za-z][A-Za-z0-9+.-]*://[^\s,;\]')>]+"),
        ("IP", "ipaddress", r"(?-u:\b)\d{1,3}(\.\d{1,3}){3}(?-u:\b)"),
        (
            "MAC",
            "macaddress",
            r"(?-u:\b)[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}(?-u:\b)",
        ),
        (
            "TIME",
            "time",
            r"(?-u:\b)\d{1,2}:\d{2}:\d{2}([.,]\d+)?(?-u:\b)",
        ),
        (
            "PATH",
            "path",
            r"(?:/[A-Za-z0-9_.%~+-]+){2,}|[A-Za-z]:(?:\\[^\\\s]+)+",
        ),
        ("BASE16NUM", "field", r"(?-u:\b)0[xX][0-9A-Fa-f]+(?-u:\b)"),
        ("NUMBER", "field", r"(?-u:\b)\d+(\.\d+)?(?-u:\b)"),
    ];
    let compiled = kinds
        .into_iter()
        .map(|(name, field, pattern)| match Regex::new(pattern) {
            Ok(regex) => (name, field, regex),
            // A slip in the table above, which each test of this file sees.
            Err(error) => panic!("the pattern of {name} is wrong: {error}"),
        });
    compiled.collect()
});

/// `regex`: of the category, for when the terms can't be found in an example.
pub fn pattern(terms: &str, regex: &str, examples: &[&str]) -> String {
    let terms: Vec<&str> = terms.split(' ').filter(|term| !term.is_empty()).collect();
    let cut: Option<Vec<Vec<&str>>> = examples.iter().map(|text| gaps(text, &terms)).collect();
    let Some(cut) = cut.filter(|cut| !cut.is_empty()) else {
        return regex.to_owned();
    };
    let mut fields = Vec::new();
    let mut pattern = String::new();
    for gap in 0..=terms.len() {
        let texts: Vec<&str> = cut.iter().map(|gaps| gaps[gap]).collect();
        // Nothing of a message's edges is left out of the pattern's.
        let other = match gap {
            0 => ".*?",
            last if last == terms.len() => ".*",
            _ => ".+?",
        };
        between(&texts, other, &mut fields, &mut pattern);
        if let Some(term) = terms.get(gap) {
            pattern += &regex::escape(term);
        }
    }
    pattern
}

/// What stands before, between and behind the terms. None when they are not all there.
fn gaps<'a>(text: &'a str, terms: &[&str]) -> Option<Vec<&'a str>> {
    let mut rest = text;
    let mut gaps = Vec::with_capacity(terms.len() + 1);
    for term in terms {
        let at = rest.find(term)?;
        gaps.push(&rest[..at]);
        rest = &rest[at + term.len()..];
    }
    gaps.push(rest);
    Some(gaps)
}

/// Appends the pattern of some texts: the first kind of value that all have, and what is about it; else `other`.
fn between(texts: &[&str], other: &str, fields: &mut Vec<&'static str>, pattern: &mut String) {
    for (name, field, kind) in KINDS.iter() {
        let found: Option<Vec<_>> = texts.iter().map(|text| kind.find(text)).collect();
        let Some(found) = found else {
            continue;
        };
        let pairs = texts.iter().zip(&found);
        let before: Vec<&str> = pairs.clone().map(|(text, m)| &text[..m.start()]).collect();
        let behind: Vec<&str> = pairs.map(|(text, m)| &text[m.end()..]).collect();
        between(
            &before,
            if other == ".*" { ".*?" } else { other },
            fields,
            pattern,
        );
        fields.push(field);
        let number = fields.iter().filter(|known| *known == field).count();
        *pattern += &match number {
            1 => format!("%{{{name}:{field}}}"),
            number => format!("%{{{name}:{field}{number}}}"),
        };
        return between(&behind, other, fields, pattern);
    }
    if other == ".+?" && texts.iter().any(|text| text.is_empty()) {
        *pattern += ".*?";
    } else {
        *pattern += other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_all_examples_have_are_named() {
        let examples = [
            "Failed password for bob from 10.1.117.223 port 64806 ssh2",
            "Failed password for ann from 10.1.22.108 port 51840 ssh2",
        ];
        assert_eq!(
            pattern("Failed password for from port ssh2", "", &examples),
            ".*?Failed.+?password.+?for.+?from.+?%{IP:ipaddress}.+?port.+?%{NUMBER:field}.+?ssh2.*"
        );
        assert_eq!(
            pattern("took ms of", ".*?", &["2020-01-02T03:04:05Z took 12 ms of 1.5 s", "2021-01-02 03:04:05 took 1 ms of 3 s"]),
            ".*?%{TIMESTAMP_ISO8601:timestamp}.+?took.+?%{NUMBER:field}.+?ms.+?of.*?%{NUMBER:field2}.*"
                .replace("}.+?took", "}.*?took")
        );
    }

    #[test]
    fn each_kind_is_known() {
        for (value, kind) in [
            ("0f8fad5b-d9cb-469f-a165-70867728950e", "%{UUID:uuid}"),
            ("a.b@example.org", "%{EMAILADDRESS:email}"),
            ("http://example.org/a?b", "%{URI:uri}"),
            ("00:11:43:e3:ba:c3", "%{MAC:macaddress}"),
            ("12:13:14,5", "%{TIME:time}"),
            ("/var/log/x.log", "%{PATH:path}"),
            ("0xff", "%{BASE16NUM:field}"),
            ("12.5", "%{NUMBER:field}"),
        ] {
            let text = format!("got ({value}) now");
            let expected = format!(".*?got.+?{kind}.+?now.*");
            assert_eq!(pattern("got now", "", &[&text]), expected);
        }
    }

    #[test]
    fn without_examples_it_is_the_regex() {
        assert_eq!(pattern("a b", ".*?a.+?b.*", &[]), ".*?a.+?b.*");
        assert_eq!(pattern("a b", ".*?a.+?b.*", &["A b"]), ".*?a.+?b.*");
    }
}
