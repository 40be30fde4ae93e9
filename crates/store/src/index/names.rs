//! What an index, an alias and a document may be called

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Refusal;

const LENGTH: usize = 255;
const ID_LENGTH: usize = 512;

/// Refuses what is no name of an index, as Elasticsearch does.
pub fn check_index(name: &str) -> Result<(), Refusal> {
    let refuse = |reason: String| {
        Refusal::new(
            "invalid_index_name_exception",
            format!("Invalid index name [{name}], {reason}"),
        )
        .about(name, "_na_")
    };
    check(name).map_err(|reason| refuse(reason.replace("{}", "index")))?;
    if name.chars().any(char::is_uppercase) {
        return Err(refuse("must be lowercase".to_owned()));
    }
    Ok(())
}

/// Refuses what is no name of an alias. It may have capitals.
pub fn check_alias(name: &str) -> Result<(), Refusal> {
    check(name).map_err(|reason| {
        Refusal::new(
            "invalid_alias_name_exception",
            format!(
                "Invalid alias name [{name}], {}",
                reason.replace("{}", "alias")
            ),
        )
    })
}

/// What both have in common. `{}` stands for what is named.
fn check(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if name.contains([' ', '"', '*', ',', '/', '<', '>', '?', '\\', '|']) {
        return Err(
            r#"must not contain the following characters [' ','"','*',',','/','<','>','?','\','|']"#
                .to_owned(),
        );
    }
    if name.contains('#') {
        return Err("must not contain '#'".to_owned());
    }
    if name.contains(':') {
        return Err("must not contain ':'".to_owned());
    }
    if name.starts_with(['_', '-', '+']) {
        return Err("must not start with '_', '-', or '+'".to_owned());
    }
    if name.len() > LENGTH {
        return Err(format!(
            "{{}} name is too long, ({} > {LENGTH})",
            name.len()
        ));
    }
    if name == "." || name == ".." {
        return Err("must not be '.' or '..'".to_owned());
    }
    Ok(())
}

/// Refuses what is no id of a document.
pub fn check_id(id: &str) -> Result<(), Refusal> {
    if id.is_empty() {
        return Err(Refusal::illegal_argument(
            "if _id is specified it must not be empty",
        ));
    }
    if id.len() > ID_LENGTH {
        return Err(Refusal::illegal_argument(format!(
            "id [{id}] is too long, must be no longer than {ID_LENGTH} bytes but was: {}",
            id.len()
        )));
    }
    Ok(())
}

/// Ids for documents that have none: 20 characters as in Elasticsearch, safe in a URL. Ids that follow each other share
/// their beginnings, which keeps the terms small.
#[derive(Debug)]
pub struct MadeUpIds {
    /// 48 bits that nobody else has.
    random: u64,
    next: AtomicU64,
}

impl MadeUpIds {
    pub fn new() -> Self {
        Self {
            random: uuid::Uuid::new_v4().as_u64_pair().1 & 0xffff_ffff_ffff,
            next: AtomicU64::new(0),
        }
    }

    pub fn next(&self) -> String {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        digits(u128::from(self.random) << 72 | u128::from(count), 20)
    }
}

/// A uuid as indices have it in Elasticsearch: 22 characters, safe in a URL.
pub fn new_uuid() -> String {
    digits(uuid::Uuid::new_v4().as_u128(), 22)
}

/// The lowest bits of a number, six in a character.
fn digits(bits: u128, length: u32) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..length)
        .rev()
        .map(|at| {
            let digit = (bits >> (at * 6)) & 63;
            // Six bits fit any index.
            char::from(DIGITS[usize::try_from(digit).unwrap_or(0)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_checked_as_in_elasticsearch() {
        for (name, reason) in [
            ("Logs", "must be lowercase"),
            ("", "must not be empty"),
            (
                "a b",
                r#"must not contain the following characters [' ','"','*',',','/','<','>','?','\','|']"#,
            ),
            ("a#b", "must not contain '#'"),
            ("a:b", "must not contain ':'"),
            ("_a", "must not start with '_', '-', or '+'"),
            ("..", "must not be '.' or '..'"),
        ] {
            let refusal = check_index(name).unwrap_err();
            assert_eq!(
                refusal.reason,
                format!("Invalid index name [{name}], {reason}")
            );
            assert_eq!(refusal.kind, "invalid_index_name_exception");
        }
        let long = "a".repeat(256);
        assert!(
            check_index(&long)
                .unwrap_err()
                .reason
                .ends_with("index name is too long, (256 > 255)")
        );
        assert!(check_index(&long[1..]).is_ok());
        assert!(check_index(".logs-2024.01.01").is_ok());
        assert!(check_alias("Logs").is_ok());
        assert_eq!(
            check_alias("a*").unwrap_err().kind,
            "invalid_alias_name_exception"
        );
    }

    #[test]
    fn made_up_ids_are_all_different() {
        let (some, others) = (MadeUpIds::new(), MadeUpIds::new());
        let ids: HashSet<_> = (0..5000)
            .flat_map(|_| [some.next(), others.next()])
            .collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(id.len(), 20);
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            );
        }
    }
}
