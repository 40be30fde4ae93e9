//! Whole categorizers.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{AnalyzerConfig, PerPartition};

const ROOM: u64 = 1 << 30;

fn config(per_partition: PerPartition) -> CategorizationConfig {
    CategorizationConfig {
        field_name: "message".to_owned(),
        analyzer: AnalyzerConfig::standard(&[]),
        per_partition,
    }
}

fn categorizers() -> Categorizers {
    Categorizers::new(&config(PerPartition::default())).expect("the default analyzer")
}

fn ids(categorizers: &mut Categorizers, messages: &[&str]) -> Vec<Option<u32>> {
    messages
        .iter()
        .map(|message| categorizers.categorize(None, message, ROOM))
        .collect()
}

#[test]
fn messages_that_differ_in_values_are_one_category() {
    let mut categorizers = categorizers();
    let messages = [
        "Failed password for eve from 10.1.127.121 port 47579 ssh2",
        "Accepted publickey for eve from 10.1.163.53 port 17384 ssh2",
        "Failed password for bob from 10.1.117.223 port 64806 ssh2",
        "Kernel panic not syncing: VFS unable to mount root fs on unknown-block",
        "Accepted publickey for ann from 10.1.117.223 port 64806 ssh2",
        "link up",
        "link down",
    ];
    assert_eq!(
        ids(&mut categorizers, &messages),
        [1, 2, 1, 3, 2, 4, 5].map(Some)
    );
    let definitions = categorizers.take_changed(false);
    assert_eq!(
        definitions[0],
        CategoryDefinition {
            category_id: 1,
            partition: None,
            terms: "Failed password for from port ssh2".to_owned(),
            regex: ".*?Failed.+?password.+?for.+?from.+?port.+?ssh2.*".to_owned(),
            max_matching_length: 62,
            examples: vec![messages[2].to_owned(), messages[0].to_owned()],
            num_matches: 2,
        }
    );
    assert_eq!(definitions.len(), 5);
    assert_eq!(categorizers.take_changed(true), []);
    ids(
        &mut categorizers,
        &[
            "link up",
            "Failed password for root from 1.2.3.4 port 1 ssh2",
        ],
    );
    let changed = categorizers.take_changed(false);
    assert_eq!(
        changed
            .iter()
            .map(|d| (d.category_id, d.num_matches))
            .collect::<Vec<_>>(),
        [(1, 3)]
    );
    let counted = categorizers.take_changed(true);
    assert_eq!(
        counted
            .iter()
            .map(|d| (d.category_id, d.num_matches))
            .collect::<Vec<_>>(),
        [(4, 2)]
    );
}

#[test]
fn special_characters_of_terms_are_escaped_and_long_examples_are_cut() {
    let mut categorizers = categorizers();
    let long = format!("see www.example.org {}", "ä".repeat(1_100));
    ids(&mut categorizers, &[&long, "12 34"]);
    let definitions = categorizers.take_changed(false);
    assert!(
        definitions[0]
            .regex
            .starts_with(".*?see.+?www\\.example\\.org.+?ä")
    );
    let example = &definitions[0].examples[0];
    assert!(
        example.len() <= 1_000 && example.len() > 990 && example.ends_with("ä..."),
        "{example}"
    );
    assert_eq!(definitions[0].max_matching_length, (20 + 981 * 2) * 11 / 10);
    assert_eq!(
        (definitions[1].terms.as_str(), definitions[1].regex.as_str()),
        ("", ".*")
    );
}

#[test]
fn where_a_long_message_is_cut_makes_no_difference() {
    let mut categorizers = categorizers();
    let list = |n: usize| format!("block list of {n} {}", "blocks-12 ".repeat(200));
    let messages = [1, 22, 333, 4_444, 55_555].map(list);
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    assert_eq!(ids(&mut categorizers, &messages), [Some(1); 5]);
}

#[test]
fn many_names_at_one_place_are_values() {
    let mut categorizers = categorizers();
    // A name is half of such a message: each has its own category at first.
    let name = |n: u32| {
        char::from_u32('a' as u32 + n)
            .expect("a letter")
            .to_string()
            .repeat(3)
    };
    let messages: Vec<String> = (0..26).map(|n| format!("removing {}", name(n))).collect();
    let ids: Vec<_> = messages
        .iter()
        .map(|m| categorizers.categorize(None, m, ROOM).expect("room"))
        .collect();
    assert_eq!(ids[..16], (1..=16).collect::<Vec<_>>());
    assert!(ids[16..].iter().all(|id| *id <= 16), "{ids:?}");
    assert_eq!(categorizers.stats().total_category_count, 16);
}

#[test]
fn without_room_there_are_no_new_categories() {
    let mut categorizers = categorizers();
    assert_eq!(categorizers.categorize(None, "link up", ROOM), Some(1));
    let bytes = categorizers.bytes();
    assert_eq!(categorizers.categorize(None, "power lost", 20), None);
    assert_eq!(categorizers.categorize(None, "link up", 0), Some(1));
    assert_eq!(categorizers.bytes(), bytes);
    let stats = categorizers.stats();
    assert_eq!(
        (
            stats.failed_category_count,
            stats.total_category_count,
            stats.categorized_doc_count
        ),
        (1, 1, 2)
    );
}

#[test]
fn a_status_tells_of_messages_without_order() {
    let mut same = categorizers();
    let mut other = categorizers();
    let words = [
        "open", "close", "read", "write", "send", "wait", "stop", "start", "load", "save",
    ];
    let mut texts = Vec::new();
    for a in words {
        texts.extend(words.iter().map(|b| format!("{a} {b}")));
    }
    for (n, text) in texts.iter().enumerate() {
        let warned = if n < 100 {
            CategorizationStatus::Ok
        } else {
            CategorizationStatus::Warn
        };
        assert_eq!(same.stats().categorization_status, warned, "{n}");
        same.categorize(None, "link up", ROOM);
        other.categorize(None, text, ROOM);
    }
    assert_eq!(same.take_statuses(), [(None, CategorizationStatus::Warn)]);
    assert_eq!(same.take_statuses(), []);
    let stats = other.stats();
    assert_eq!(
        (stats.rare_category_count, stats.frequent_category_count),
        (100, 0)
    );
    assert_eq!(stats.categorization_status, CategorizationStatus::Warn);
    for n in 0..1_000 {
        other.categorize(None, &texts[n % 8], ROOM);
    }
    let stats = other.stats();
    assert_eq!(
        (stats.rare_category_count, stats.frequent_category_count),
        (92, 8)
    );
    // More than nine tenths are still rare.
    assert_eq!(stats.categorization_status, CategorizationStatus::Warn);
    for text in &texts {
        other.categorize(None, text, ROOM);
    }
    assert_eq!(other.take_statuses(), []);
    assert_eq!(
        other.stats().categorization_status,
        CategorizationStatus::Ok
    );
}

#[test]
fn a_partition_that_warns_is_given_up_when_so_asked() {
    let per_partition = PerPartition {
        enabled: true,
        stop_on_warn: Some(true),
    };
    let mut categorizers = Categorizers::new(&config(per_partition)).expect("valid");
    let mut given = Vec::new();
    for n in 0..120 {
        given.push(categorizers.categorize(Some("a"), "link up", ROOM));
        let text = if n % 2 == 0 { "link up" } else { "link down" };
        assert!(categorizers.categorize(Some("b"), text, ROOM).is_some());
    }
    assert_eq!(given.iter().flatten().count(), 100);
    assert_eq!(given[..100], [Some(1); 100]);
    let partitions: Vec<_> = categorizers.partition_stats().collect();
    assert_eq!(partitions[1].0, Some("b"));
    assert_eq!(
        (
            partitions[1].1.total_category_count,
            partitions[1].1.categorized_doc_count
        ),
        (2, 120)
    );
    assert_eq!(categorizers.stats().total_category_count, 3);
    let state = postcard::to_stdvec(categorizers.state()).expect("serialises");
    let state = postcard::from_bytes(&state).expect("reads");
    let mut restored = Categorizers::with_state(&config(per_partition), state).expect("valid");
    assert_eq!(restored.categorize(Some("a"), "link up", ROOM), None);
    assert_eq!(restored.categorize(Some("c"), "link up", ROOM), Some(4));
    assert_eq!(restored.take_changed(false).len(), 4);
}

/// A real run of Elastic's engine. Its category 3 took all of one user's messages; here there are only the six kinds.
#[test]
fn a_recorded_run_has_its_kinds_of_messages_as_categories() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/recorded_engine/count_by_mlcategory");
    let (Ok(input), Ok(output)) = (
        std::fs::read_to_string(run.join("input.csv")),
        std::fs::read_to_string(run.join("output.ndjson")),
    ) else {
        return;
    };
    let mut categorizers = categorizers();
    for line in input.lines().skip(1) {
        let (_, message) = line.split_once(',').expect("two columns");
        assert!(categorizers.categorize(None, message, ROOM).is_some());
    }
    let mut recorded: Vec<Value> = output
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<Value>(line)
                .ok()?
                .get_mut("category_definition")
                .map(Value::take)
        })
        .collect();
    recorded.reverse();
    let definitions = categorizers.take_changed(false);
    assert_eq!(definitions.len(), 6);
    for definition in definitions {
        let like = recorded
            .iter()
            .find(|other| other["terms"] == *definition.terms)
            .expect("the same terms");
        let told = json!({
            "job_id": "count-by-mlcategory", "category_id": like["category_id"], "terms": definition.terms,
            "regex": definition.regex, "max_matching_length": like["max_matching_length"],
            "examples": definition.examples, "num_matches": like["num_matches"], "preferred_to_categories": [],
        });
        // Where Elastic's engine has the same messages in the category, all of it is the same.
        if definition.num_matches == like["num_matches"] {
            assert_eq!(
                (&told, Some(definition.max_matching_length)),
                (like, like["max_matching_length"].as_u64())
            );
        }
    }
    let stats = categorizers.stats();
    assert_eq!(
        (
            stats.categorized_doc_count,
            stats.frequent_category_count,
            stats.rare_category_count
        ),
        (6789, 5, 1)
    );
}

fn any_message() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("failed".to_owned()),
        Just("opened".to_owned()),
        Just("for".to_owned()),
        Just("user".to_owned()),
        Just("10.0.0.1".to_owned()),
        Just("x=1".to_owned()),
        "[a-e]{1,3}",
        "\\PC{0,6}",
    ];
    proptest::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_changes_nothing(messages in proptest::collection::vec(any_message(), 1..80), at in 0_usize..80, room in 0_u64..8_000) {
        let mut whole = categorizers();
        let mut parts = categorizers();
        for (n, message) in messages.iter().enumerate() {
            if n == at {
                let state = postcard::to_stdvec(parts.state()).expect("serialises");
                let state: State = postcard::from_bytes(&state).expect("reads");
                parts = Categorizers::with_state(&config(PerPartition::default()), state).expect("valid");
                prop_assert_eq!(parts.bytes(), whole.bytes());
            }
            let left = |categorizers: &Categorizers| room.saturating_sub(categorizers.bytes() - Memo::BYTES);
            let rooms = (left(&whole), left(&parts));
            prop_assert_eq!(whole.categorize(None, message, rooms.0), parts.categorize(None, message, rooms.1));
            prop_assert!(whole.bytes() - Memo::BYTES <= room);
        }
        prop_assert_eq!(whole.stats(), parts.stats());
        prop_assert_eq!(whole.state(), parts.state());
        prop_assert_eq!(whole.take_changed(false), parts.take_changed(false));
        let definitions = whole.state.partitions.iter_mut();
        for partition in definitions {
            let restored: Categorizer = postcard::from_bytes(&postcard::to_stdvec(&partition.categorizer).expect("serialises")).expect("reads");
            prop_assert_eq!(&restored, &partition.categorizer);
        }
    }

    #[test]
    fn every_message_of_a_category_has_its_terms(messages in proptest::collection::vec(any_message(), 1..60)) {
        let mut categorizers = categorizers();
        let mut of: Vec<(u32, &String)> = Vec::new();
        for message in &messages {
            of.push((categorizers.categorize(None, message, ROOM).expect("room"), message));
        }
        let analyzer = Analyzer::new(&AnalyzerConfig::standard(&[])).expect("valid");
        let mut analysis = Analysis::default();
        for definition in categorizers.take_changed(false) {
            let members = of.iter().filter(|(id, _)| *id == definition.category_id);
            prop_assert_eq!(members.clone().count() as u64, definition.num_matches);
            for (_, message) in members {
                analyzer.analyze(message, &mut analysis);
                let mut tokens = analysis.tokens();
                let mut terms = definition.terms.split(' ').filter(|term| !term.is_empty());
                prop_assert!(terms.all(|term| tokens.any(|token| token == term)), "{} {}", message, definition.terms);
                prop_assert!(message.len() as u64 <= definition.max_matching_length);
            }
        }
    }
}
