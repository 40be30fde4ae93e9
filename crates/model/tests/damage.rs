//! A state that is damaged is refused or taken up; it never brings the process down.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options, StateError};
use tidewatch_model::record::RecordBatch;

fn analysis() -> AnalysisConfig {
    serde_json::from_value(json!({
        "bucket_span": "1m", "detectors": [{"function": "count", "partition_field_name": "p"}], "influencers": ["p"]
    }))
    .expect("a valid analysis")
}

fn state() -> Vec<u8> {
    let mut engine = Engine::new(analysis(), Options::default());
    let mut batch = RecordBatch::new(1);
    for minute in 0..200 {
        batch.begin();
        batch.set_display(0, minute % 3);
        batch.commit(1_700_000_000_000 + minute * 60_000);
    }
    engine.process(&batch, 0, &mut Vec::new());
    engine.save()
}

/// A state with every kind of model.
fn every_kind() -> (AnalysisConfig, Vec<u8>) {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let read = |name: &str| std::fs::read(fixtures.join(name)).expect("the fixture is there");
    let analysis = serde_json::from_slice(&read("format-2.json")).expect("a valid analysis");
    (analysis, read("format-2.state"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_kind_of_model_survives_damage(hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let (analysis, mut bytes) = every_kind();
        for (place, value) in hits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = Engine::restore(analysis, &bytes);
    }

    #[test]
    fn damaged_bytes_are_survived(hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<prop::sample::Index>()) {
        let mut bytes = state();
        for (place, value) in hits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        // Either is fine; a panic or an endless allocation is not.
        let _ = Engine::restore(analysis(), &bytes);
    }
}

#[test]
fn a_newer_format_and_another_analysis_are_told() {
    let mut newer = state();
    newer[0] = 77;
    let refused = Engine::restore(analysis(), &newer).expect_err("refused");
    assert_eq!(refused, StateError::Newer(77));
    let two = json!({"detectors": [{"function": "count"}, {"function": "high_count"}]});
    let other: AnalysisConfig = serde_json::from_value(two).expect("valid");
    let refused = Engine::restore(other, &state()).expect_err("refused");
    assert_eq!(refused, StateError::OtherAnalysis);
    assert!(Engine::restore(analysis(), &state()).is_ok());
}
