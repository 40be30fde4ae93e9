//! The index as its users see it

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::Store;

async fn open(dir: &Path) -> Store {
    Store::open(dir).await.unwrap()
}

fn put(id: &str, source: &Value) -> Write {
    Write {
        id: Some(id.to_owned()),
        source: source.to_string().into(),
        ..Write::default()
    }
}

fn delete(id: &str) -> Write {
    Write {
        op: Op::Delete,
        id: Some(id.to_owned()),
        ..Write::default()
    }
}

async fn one(index: &std::sync::Arc<Index>, write: Write) -> std::result::Result<Done, Refusal> {
    index.write(vec![write]).await.unwrap().remove(0).result
}

async fn source(index: &std::sync::Arc<Index>, id: &str) -> Option<Value> {
    let stored = index.get(id).await.unwrap()?;
    Some(serde_json::from_slice(&stored.source).unwrap())
}

/// Ids and sources of all that searches see, in the order of writing.
fn seen(index: &std::sync::Arc<Index>) -> Vec<(String, Value)> {
    let reader = index.reader().unwrap();
    let mut all = Vec::new();
    for (ord, segment) in (0..).zip(reader.searcher.segment_readers()) {
        let order = reader.seq_nos(ord).unwrap();
        for doc in segment.doc_ids_alive() {
            let hit = reader.document(tantivy::DocAddress::new(ord, doc)).unwrap();
            all.push((
                order.get_val(doc),
                hit.id,
                serde_json::from_slice(&hit.source).unwrap(),
            ));
        }
    }
    all.sort_by_key(|(seq_no, ..)| *seq_no);
    all.into_iter()
        .map(|(_, id, source)| (id, source))
        .collect()
}

#[tokio::test]
async fn documents_are_written_replaced_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let index = store
        .indices()
        .create("logs", Creation::default())
        .await
        .unwrap();

    let first = one(&index, put("1", &json!({"a": 1}))).await.unwrap();
    assert_eq!(
        first,
        Done {
            effect: Effect::Created,
            version: 1,
            seq_no: 0,
            primary_term: 1
        }
    );
    let second = one(&index, put("1", &json!({"a": 2}))).await.unwrap();
    assert_eq!(
        second,
        Done {
            effect: Effect::Updated,
            version: 2,
            seq_no: 1,
            primary_term: 1
        }
    );
    assert_eq!(source(&index, "1").await, Some(json!({"a": 2})));
    assert_eq!(seen(&index), []);
    index.refresh().await.unwrap();
    assert_eq!(seen(&index), [("1".to_owned(), json!({"a": 2}))]);
    assert_eq!(source(&index, "1").await, Some(json!({"a": 2})));

    // Over a commit, within one, and twice in one request.
    let outcomes = index
        .write(vec![
            put("1", &json!({"a": 3})),
            put("2", &json!({"a": 4})),
            delete("1"),
            put("2", &json!({"a": 5})),
            delete("3"),
        ])
        .await
        .unwrap();
    let effects: Vec<_> = outcomes
        .iter()
        .map(|o| o.result.as_ref().unwrap().effect.name())
        .collect();
    assert_eq!(
        effects,
        ["updated", "created", "deleted", "updated", "not_found"]
    );
    assert_eq!(source(&index, "1").await, None);
    index.refresh().await.unwrap();
    assert_eq!(seen(&index), [("2".to_owned(), json!({"a": 5}))]);
    // A deletion is remembered for a while.
    assert_eq!(one(&index, put("1", &json!({}))).await.unwrap().version, 5);

    let made_up = index
        .write(vec![Write {
            source: "{}".into(),
            ..Write::default()
        }])
        .await
        .unwrap();
    assert_eq!(made_up[0].id.len(), 20);
    assert!(source(&index, &made_up[0].id).await.is_some());
    store.close().await;
    assert!(matches!(
        index.write(vec![delete("1")]).await,
        Err(IndexError::Store(_))
    ));
}

#[tokio::test]
async fn conflicts_are_told_in_elasticsearchs_words() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let index = store
        .indices()
        .create("c", Creation::default())
        .await
        .unwrap();
    let if_seq = |seq_no| Write {
        if_seq_no: Some(seq_no),
        if_primary_term: Some(1),
        ..put("1", &json!({}))
    };
    let external = |version| Write {
        version: Some(Versioned::External(version)),
        ..put("e", &json!({}))
    };
    let reason = |result: std::result::Result<Done, Refusal>| {
        let refusal = result.unwrap_err();
        assert_eq!(
            (refusal.kind, refusal.status()),
            ("version_conflict_engine_exception", 409)
        );
        assert_eq!(refusal.index.unwrap().name, "c");
        refusal.reason
    };
    assert_eq!(
        reason(one(&index, if_seq(0)).await),
        "[1]: version conflict, required seqNo [0], primary term [1]. but no document was found"
    );
    for _ in 0..2 {
        one(&index, put("1", &json!({}))).await.unwrap();
    }
    assert_eq!(
        reason(one(&index, if_seq(0)).await),
        "[1]: version conflict, required seqNo [0], primary term [1]. current document has seqNo [1] and primary term [1]"
    );
    assert_eq!(one(&index, if_seq(1)).await.unwrap().version, 3);
    assert_eq!(
        reason(
            one(
                &index,
                Write {
                    op: Op::Create,
                    ..put("1", &json!({}))
                }
            )
            .await
        ),
        "[1]: version conflict, document already exists (current version [3])"
    );
    assert_eq!(one(&index, external(7)).await.unwrap().version, 7);
    index.refresh().await.unwrap();
    assert_eq!(
        reason(one(&index, external(7)).await),
        "[e]: version conflict, current version [7] is higher or equal to the one provided [7]"
    );
    // What is refused takes no place in the order.
    assert_eq!(index.max_seq_no().unwrap(), Some(3));
    store.close().await;
}

#[tokio::test]
async fn updates_go_over_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let index = store
        .indices()
        .create("u", Creation::default())
        .await
        .unwrap();
    let update = |doc: Value, upsert: Option<Value>, doc_as_upsert| Write {
        op: Op::Update(Box::new(Update {
            doc: doc.as_object().cloned(),
            upsert: upsert.and_then(|u| u.as_object().cloned()),
            doc_as_upsert,
            ..Update::default()
        })),
        id: Some("1".to_owned()),
        ..Write::default()
    };
    let missing = one(&index, update(json!({"a": 1}), None, false))
        .await
        .unwrap_err();
    assert_eq!(
        (missing.kind, missing.reason.as_str()),
        ("document_missing_exception", "[1]: document missing")
    );
    let effects = index
        .write(vec![
            update(json!({"a": {"b": 1}}), Some(json!({"a": {"c": 2}})), false),
            update(json!({"a": {"b": 1}}), None, false),
            update(json!({"a": {"b": 1}}), None, false),
            put("1", &json!({"x": 1})),
            update(json!({"y": [1]}), None, true),
        ])
        .await
        .unwrap();
    let effects: Vec<_> = effects
        .iter()
        .map(|o| o.result.as_ref().unwrap().effect.name())
        .collect();
    assert_eq!(
        effects,
        ["created", "updated", "noop", "updated", "updated"]
    );
    assert_eq!(source(&index, "1").await, Some(json!({"x": 1, "y": [1]})));
    store.close().await;
}

#[tokio::test]
async fn indices_and_aliases_outlast_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let creation = Creation {
        mappings: json!({"properties": {"t": {"type": "date"}}}),
        settings: json!({"refresh_interval": "-1", "hidden": true}),
        aliases: json!({"al": {"is_write_index": true}}),
    };
    let index = store
        .indices()
        .create("a-1", creation.clone())
        .await
        .unwrap();
    let add = |index: &str, alias: &str| AliasAction::Add {
        index: index.to_owned(),
        alias: alias.to_owned(),
        settings: Alias::default(),
    };
    for (name, kind) in [
        ("a-1", "resource_already_exists_exception"),
        ("al", "invalid_index_name_exception"),
        ("A", "invalid_index_name_exception"),
    ] {
        let Err(IndexError::Refused(refusal)) =
            store.indices().create(name, Creation::default()).await
        else {
            panic!("{name}");
        };
        assert_eq!(refusal.kind, kind);
    }
    let two_writers = Creation {
        mappings: Value::Null,
        ..creation
    };
    store
        .indices()
        .create("b", Creation::default())
        .await
        .unwrap();
    let refused = store
        .indices()
        .update_aliases(vec![
            add("b", "kept"),
            AliasAction::Add {
                index: "b".to_owned(),
                alias: "al".to_owned(),
                settings: Alias {
                    is_write_index: Some(true),
                    ..Alias::default()
                },
            },
        ])
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "alias [al] has more than one write index [a-1,b]"
    );
    assert!(store.indices().with_alias("kept").is_empty());
    drop(two_writers);
    index
        .put_mapping(json!({"properties": {"n": {"type": "long"}}}))
        .await
        .unwrap();
    let (uuid, mapping, settings) = (
        index.uuid().to_owned(),
        index.mapping().to_json(),
        index.flat_settings(),
    );
    store
        .indices()
        .update_aliases(vec![
            add("a-1", "b"),
            AliasAction::RemoveIndex {
                index: "b".to_owned(),
            },
        ])
        .await
        .unwrap();
    drop(index);
    store.close().await;

    std::fs::create_dir(dir.path().join("indices/ghost")).unwrap();
    let store = open(dir.path()).await;
    assert!(!dir.path().join("indices/ghost").exists());
    assert_eq!(
        std::fs::read_dir(dir.path().join("indices"))
            .unwrap()
            .count(),
        1
    );
    let index = store.indices().get("a-1").unwrap();
    assert_eq!(
        (
            index.uuid(),
            index.mapping().to_json(),
            index.flat_settings()
        ),
        (uuid.as_str(), mapping, settings)
    );
    assert!(index.is_hidden());
    assert_eq!(index.aliases().keys().collect::<Vec<_>>(), ["al", "b"]);
    assert!(store.indices().get("b").is_none());
    store.indices().delete("a-1").await.unwrap();
    assert!(store.indices().all().is_empty());
    let Err(IndexError::Refused(refusal)) = store.indices().delete("a-1").await else {
        panic!("deleted twice");
    };
    assert_eq!(
        (refusal.reason.as_str(), refusal.status()),
        ("no such index [a-1]", 404)
    );
    store.close().await;
}

/// A copy of a data directory, as a crash would leave it: begun again where a file goes away under it.
fn copied(from: &Path, to: &Path) {
    while let Err(error) = copy(from, to) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        std::fs::remove_dir_all(to).unwrap();
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The translog files of the one index of a data directory.
fn translogs(dir: &Path) -> Vec<std::path::PathBuf> {
    let index = std::fs::read_dir(dir.join("indices"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut files: Vec<_> = std::fs::read_dir(index)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("translog-")
        })
        .collect();
    files.sort();
    files
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, i64),
    Delete(u8),
    Refresh,
}

mod crashes {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0..6u8, any::<i64>()).prop_map(|(id, value)| Step::Put(id, value)),
            2 => (0..6u8).prop_map(Step::Delete),
            2 => Just(Step::Refresh),
        ];
        prop::collection::vec(step, 1..25)
    }

    type State = BTreeMap<String, Value>;

    fn found(index: &std::sync::Arc<Index>) -> State {
        seen(index).into_iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

        /// After a crash there is what was answered; where the tail of the translog is lost too, what was answered up to
        /// some write. A second crash while it is read again changes nothing.
        #[test]
        fn what_was_answered_is_there_after_a_crash(steps in steps(), cut in any::<prop::sample::Index>()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let dir = tempfile::tempdir().unwrap();
                let crash = tempfile::tempdir().unwrap();
                let store = open(dir.path()).await;
                let creation = Creation { settings: json!({"refresh_interval": "-1"}), ..Creation::default() };
                let index = store.indices().create("i", creation).await.unwrap();
                let mut states = vec![State::new()];
                for step in &steps {
                    let mut state = states.last().unwrap().clone();
                    match step {
                        Step::Put(id, value) => {
                            let source = json!({"v": value, format!("f{id}"): id});
                            one(&index, put(&id.to_string(), &source)).await.unwrap();
                            state.insert(id.to_string(), source);
                        }
                        Step::Delete(id) => {
                            one(&index, delete(&id.to_string())).await.unwrap();
                            state.remove(&id.to_string());
                        }
                        Step::Refresh => index.refresh().await.unwrap(),
                    }
                    states.push(state);
                }
                let last = index.max_seq_no().unwrap();
                copied(dir.path(), &crash.path().join("whole"));
                copied(dir.path(), &crash.path().join("torn"));
                store.close().await;

                for _ in 0..2 {
                    let store = open(&crash.path().join("whole")).await;
                    let index = store.indices().get("i").unwrap();
                    assert_eq!(&found(&index), states.last().unwrap());
                    assert_eq!(index.max_seq_no().unwrap(), last);
                    for id in 0..6 {
                        let expected = states.last().unwrap().get(&id.to_string()).cloned();
                        assert_eq!(source(&index, &id.to_string()).await, expected);
                    }
                    // As it was before: killed, not closed.
                    std::mem::forget(index);
                    store.close().await;
                }

                let torn = crash.path().join("torn");
                let file = translogs(&torn).pop().unwrap();
                let bytes = std::fs::read(&file).unwrap();
                std::fs::write(&file, &bytes[..cut.index(bytes.len() + 1)]).unwrap();
                let store = open(&torn).await;
                let index = store.indices().get("i").unwrap();
                let state = found(&index);
                assert!(states.contains(&state), "{state:?}");
                one(&index, put("new", &json!({}))).await.unwrap();
                index.refresh().await.unwrap();
                assert_eq!(found(&index).len(), state.len() + 1);
                store.close().await;
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_indices_are_written_side_by_side_and_refresh_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut tasks = Vec::new();
    for number in 0..10 {
        let indices = store.indices().clone();
        tasks.push(tokio::spawn(async move {
            let creation = Creation {
                settings: json!({"refresh_interval": "10ms"}),
                ..Creation::default()
            };
            let index = indices
                .create(&format!("i{number}"), creation)
                .await
                .unwrap();
            for round in 0..5 {
                let writes = (0..20)
                    .map(|id| put(&format!("{round}-{id}"), &json!({"n": id, "s": "words"})))
                    .collect();
                index.write(writes).await.unwrap();
            }
            index.refreshed().await.unwrap();
            assert_eq!(seen(&index).len(), 100);
            let reader = index.reader().unwrap();
            for segment in 0..u32::try_from(reader.searcher.segment_readers().len()).unwrap() {
                assert!(matches!(
                    reader.column(segment, "n").unwrap(),
                    Some(Column::I64(_))
                ));
                assert!(matches!(
                    reader.column(segment, "s.keyword").unwrap(),
                    Some(Column::Str(_))
                ));
                assert!(reader.column(segment, "s").unwrap().is_none());
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.indices().all().len(), 10);
    store.close().await;
}

/// Damages the columns of a segment, below its footer, and returns what was there.
fn damaged(segments: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let mut files = std::fs::read_dir(segments)
        .unwrap()
        .map(|f| f.unwrap().path());
    let file = files
        .find(|file| file.extension().is_some_and(|kind| kind == "fast"))
        .unwrap();
    let whole = std::fs::read(&file).unwrap();
    let end = whole.len() - 8;
    let footer = u32::from_le_bytes(whole[end..end + 4].try_into().unwrap()) as usize;
    // How long the list of columns is.
    let length = end - footer - 20;
    let mut damaged = whole.clone();
    damaged[length..length + 8].fill(0x7f);
    std::fs::write(&file, damaged).unwrap();
    (file, whole)
}

#[tokio::test]
async fn an_index_that_could_not_commit_goes_on_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let index = store
        .indices()
        .create("i", Creation::default())
        .await
        .unwrap();
    one(&index, put("a", &json!({"n": 1}))).await.unwrap();
    index.refresh().await.unwrap();
    // Nothing can be written where the segments were.
    let segments = dir
        .path()
        .join("indices")
        .join(index.uuid())
        .join("segments");
    let away = dir.path().join("away");
    std::fs::rename(&segments, &away).unwrap();
    one(&index, put("b", &json!({"n": 2}))).await.unwrap();
    index
        .refresh()
        .await
        .expect_err("there is no place for a commit");
    index
        .write(vec![put("c", &json!({"n": 3}))])
        .await
        .expect_err("it has failed");
    assert!(index.reader().is_err());
    // At first what comes back can't be read, which tantivy panics of. It is never there whole: the index may just be
    // trying again.
    let (file, whole) = damaged(&away);
    std::fs::rename(&away, &segments).unwrap();
    let file = segments.join(file.file_name().unwrap());
    for _ in 0..4 {
        index.reader().err().expect("it has failed");
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    std::fs::write(file, whole).unwrap();
    let mut tries = 0;
    while index.write(vec![put("d", &json!({"n": 4}))]).await.is_err() {
        tries += 1;
        assert!(tries < 1_000, "it does not go on");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    index.refresh().await.unwrap();
    let ids: Vec<String> = seen(&index).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["a", "b", "d"]);
    assert_eq!(index.max_seq_no().unwrap(), Some(2));
    store.close().await;
}
