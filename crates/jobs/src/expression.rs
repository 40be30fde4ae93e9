//! Which jobs a request means: ids, groups and wildcards in a comma list; `_all`, or nothing, for all.

use std::collections::BTreeSet;

use crate::error::{JobError, Result};

pub struct Expression<'a> {
    parts: Vec<&'a str>,
}

impl<'a> Expression<'a> {
    pub fn parse(text: &'a str) -> Self {
        Self {
            parts: text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect(),
        }
    }

    /// The ids that are meant, sorted. A literal that is neither a job nor a group is always an error; a wildcard
    /// without a match is one unless `allow_no_match`.
    pub fn select(
        &self,
        jobs: impl Iterator<Item = (String, Vec<String>)>,
        allow_no_match: bool,
    ) -> Result<BTreeSet<String>> {
        let jobs: Vec<(String, Vec<String>)> = jobs.collect();
        let mut selected = BTreeSet::new();
        let everything = ["*"];
        let parts = if self.parts.is_empty() {
            &everything[..]
        } else {
            &self.parts
        };
        let mut missing = Vec::new();
        for part in parts {
            let pattern = if *part == "_all" { "*" } else { part };
            let mut found = jobs
                .iter()
                .filter(|(id, groups)| {
                    matches(pattern, id) || groups.iter().any(|group| matches(pattern, group))
                })
                .peekable();
            if found.peek().is_none() && (!pattern.contains('*') || !allow_no_match) {
                missing.push(pattern);
            }
            selected.extend(found.map(|(id, _)| id.clone()));
        }
        if !missing.is_empty() {
            return Err(JobError::no_such_job(&missing.join(",")));
        }
        Ok(selected)
    }
}

/// The ids that an expression means, of things that have no groups. A literal that isn't there is refused as `missing`
/// says, and so is a wildcard that fits nothing unless `allow_no_match`.
pub fn pick<'i>(
    ids: impl Iterator<Item = &'i str> + Clone,
    expression: &str,
    allow_no_match: bool,
    missing: impl Fn(&str) -> JobError,
) -> Result<BTreeSet<&'i str>> {
    let parts = Expression::parse(expression).parts;
    let parts = if parts.is_empty() { vec!["*"] } else { parts };
    let mut picked = BTreeSet::new();
    let mut absent = Vec::new();
    for part in parts {
        let pattern = if part == "_all" { "*" } else { part };
        let mut found = ids.clone().filter(|id| matches(pattern, id)).peekable();
        if found.peek().is_none() && (!pattern.contains('*') || !allow_no_match) {
            absent.push(pattern);
        }
        picked.extend(found);
    }
    match absent.is_empty() {
        true => Ok(picked),
        false => Err(missing(&absent.join(","))),
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let Some(last) = pieces.pop() else {
        return true;
    };
    for piece in pieces {
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, fits) in [
            ("*", "anything", true),
            ("a*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("*b*", "abc", true),
            ("a*a", "a", false),
            ("a*b*c", "aXbYbc", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn groups_stand_for_their_jobs_and_literals_must_exist() {
        let jobs = || {
            [
                ("b".to_owned(), vec!["web".to_owned()]),
                ("a".to_owned(), vec![]),
            ]
            .into_iter()
        };
        let select = |text: &str, allow| {
            Expression::parse(text)
                .select(jobs(), allow)
                .map(|ids| ids.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(select("", true), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(
            select("we*,a", true),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(select("x*", true), Ok(vec![]));
        assert_eq!(select("x*", false).map_err(|e| e.status), Err(404));
        assert_eq!(
            select("a,x", true).map_err(|e| e.reason),
            Err("No known job with id 'x'".to_owned())
        );
        assert_eq!(
            select("x,a,z*,y", false).map_err(|e| e.reason),
            Err("No known job with id 'x,z*,y'".to_owned())
        );
        for text in ["_all", ""] {
            let none = Expression::parse(text).select(std::iter::empty(), false);
            let reason = "No known job with id '*'".to_owned();
            assert_eq!(none.map_err(|e| e.reason), Err(reason), "{text}");
        }
    }
}
