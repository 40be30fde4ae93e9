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
