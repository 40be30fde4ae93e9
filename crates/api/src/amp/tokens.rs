//! What clients' tokens were used for: a client that heard nothing asks again, and nothing is done twice.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use tidewatch_store::Store;

use super::sigv4::hexadecimal;

/// Where the deletions are kept, the oldest first: what they deleted is no more.
const DELETIONS: &str = "amp_deletions";
const MOST_DELETIONS: usize = 1_000;
/// Of the changes of one thing the last ones are remembered.
const MOST_CHANGES: usize = 16;
/// Bytes of a hash that are kept.
const HASH: usize = 16;

/// The last changes of a thing, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes(Vec<Change>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    token: String,
    /// Of what was asked for.
    hash: String,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token was used for just this; None where it was not used.
    pub fn was_used_for(&self, token: Option<&str>, asked: &impl Serialize) -> Option<bool> {
        let used = self.0.iter().find(|change| Some(&*change.token) == token);
        used.map(|change| change.hash == hash(asked))
    }

    pub fn remember(&mut self, token: Option<&str>, asked: &impl Serialize) {
        let Some(token) = token else { return };
        if self.0.len() == MOST_CHANGES {
            self.0.remove(0);
        }
        self.0.push(Change {
            token: token.to_owned(),
            hash: hash(asked),
        });
    }
}

fn hash(of: &impl Serialize) -> String {
    // What came as JSON can be written as JSON.
    let text = serde_json::to_string(of).unwrap_or_default();
    let hash = digest(&SHA256, text.as_bytes());
    hexadecimal(&hash.as_ref()[..HASH])
}

/// Keeps that something was deleted by a request with this token. `what`: its kind, and the ids that make it one; `made`:
/// when it was made, seconds.
pub async fn remember_deletion(
    store: &Store,
    what: &[&str],
    token: &str,
    made: f64,
) -> tidewatch_store::Result<()> {
    let mut known = deletions(store).await?;
    if known.len() >= MOST_DELETIONS {
        known.drain(..=known.len() - MOST_DELETIONS);
    }
    known.push(format!("{}@{}", hash(&(what, token)), millis(made)));
    let text = serde_json::json!(known).to_string();
    store.set_meta(DELETIONS, &text).await
}

/// Whether a request with this token has deleted what has these ids. `there`: when what has them now was made, seconds;
/// that may be another thing, or the same where the deletion was cut short.
pub async fn was_deleted_by(
    store: &Store,
    what: &[&str],
    token: &str,
    there: Option<f64>,
) -> tidewatch_store::Result<bool> {
    let hash = hash(&(what, token));
    let known = deletions(store).await?;
    // The last one counts. Once, the time was not kept.
    let known = known.iter().rev().find_map(|known| {
        let (of, made) = known.split_once('@').unwrap_or((known, ""));
        (of == hash).then_some(made)
    });
    Ok(match (known, there) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(made), Some(there)) => !made.is_empty() && made != millis(there).to_string(),
    })
}

fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

async fn deletions(store: &Store) -> tidewatch_store::Result<Vec<String>> {
    let kept = store.meta(DELETIONS).await?;
    let known = kept.and_then(|kept| serde_json::from_str(&kept).ok());
    Ok(known.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_changes_are_known_by_their_tokens() {
        let mut changes = Changes::default();
        changes.remember(None, &"x");
        assert!(changes.is_empty());
        for n in 0..20 {
            changes.remember(Some(&n.to_string()), &n);
        }
        assert_eq!(changes.was_used_for(Some("3"), &3), None);
        assert_eq!(changes.was_used_for(None, &19), None);
        assert_eq!(changes.was_used_for(Some("4"), &4), Some(true));
        assert_eq!(changes.was_used_for(Some("19"), &4), Some(false));
    }

    #[tokio::test]
    async fn deletions_outlast_a_restart_and_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        for n in 0..MOST_DELETIONS + 2 {
            let id = n.to_string();
            remember_deletion(&store, &["detector", &id], "t", 7.25)
                .await
                .unwrap();
        }
        store.close().await;
        let store = Store::open(dir.path()).await.unwrap();
        let known = async |id: &str, token: &str| {
            was_deleted_by(&store, &["detector", id], token, None)
                .await
                .unwrap()
        };
        assert!(!known("1", "t").await && known("2", "t").await);
        assert!(known("1001", "t").await && !known("1001", "u").await);
        assert_eq!(deletions(&store).await.unwrap().len(), MOST_DELETIONS);
        // What is there may be another, or what was to be deleted.
        let of = async |id: &str, there: f64| {
            was_deleted_by(&store, &["detector", id], "t", Some(there))
                .await
                .unwrap()
        };
        assert!(!of("2", 7.25).await && of("2", 7.251).await);
        let before = serde_json::json!([hash(&(["detector", "x"], "t"))]).to_string();
        store.set_meta(DELETIONS, &before).await.unwrap();
        assert!(known("x", "t").await && !of("x", 7.25).await);
    }
}
