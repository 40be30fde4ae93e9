//! The runner's own tests: what it must not let pass.

use serde_json::json;

use crate::run::{Outcome, run};
use crate::suite::Suite;
use crate::value::{Stash, contains, difference, java_text, matches_pattern, truthy};

#[test]
fn what_is_no_case_is_an_error() {
    let step = |step: &str| format!("\"a\":\n  - do: {{ info: {{}} }}\n  - {step}\n");
    let wrong = [
        (String::new(), "a file without a case"),
        (
            "setup:\n  - do: { info: {} }\n".into(),
            "a file without a case",
        ),
        ("\"a\": []\n".into(), "does nothing"),
        ("\"a\":\n  - match: { count: 0 }\n".into(), "does nothing"),
        (
            "\"a\":\n  - skip: { moon: full }\n".into(),
            "unknown key moon",
        ),
        (step("mutch: { count: 0 }"), "unknown step mutch"),
        (step("match: { count: 0, jobs: [] }"), "exactly one entry"),
        (step("answer: { code: 200 }"), "an answer has no code"),
        (step("do: { info: {}, ping: {} }"), "unknown key ping"),
        (step("do: { catch: missing }"), "a do without a call"),
        (step("match: { count: 1, count: 2 }"), "not YAML"),
    ];
    for (text, reason) in wrong {
        let error = Suite::parse("wrong", &text).err().unwrap_or_default();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_case_that_does_not_hold_says_where() {
    let failing = [
        (
            "- do: { ml.get_jobs: { job_id: x } }",
            "expected success, got 404",
        ),
        (
            "- do: { catch: missing, ml.get_jobs: {} }",
            "expected missing, got 200",
        ),
        (
            "- do: { catch: conflict, ml.get_jobs: { job_id: x } }",
            "expected conflict",
        ),
        (
            "- do: { catch: /unknown moon/, ml.get_jobs: { job_id: x } }",
            "got 404",
        ),
        (
            "- do: { catch: always, ml.get_jobs: { job_id: x } }",
            "unknown catch always",
        ),
        (
            "- do: { warnings: [ late ], ml.get_jobs: {} }",
            "no warning: late",
        ),
        ("- do: { ml.no_such_thing: {} }", "unknown API"),
        ("- do: { ml.get_jobs: { moon: full } }", "no parameter moon"),
        ("- do: { ml.close_job: {} }", "needs more parts"),
        (
            "- do: { ml.get_jobs: { job_id: $nothing } }",
            "nothing is kept as $nothing",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - match: { count: 1 }",
            "step 2 (Match count)",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - match: { $body: { count: 0 } }",
            ".jobs was not expected",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - match: { moon: 1 }",
            "found nothing",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - length: { jobs: 1 }",
            "expected Length 1",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - gt: { count: 0 }",
            "expected Gt 0",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - is_true: moon",
            "something true",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - is_false: jobs",
            "nothing true",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - answer: { status: 202 }",
            "is 200, expected 202",
        ),
        (
            "- do: { ml.get_jobs: {} }\n  - answer: { headers: { moon: full } }",
            "moon is",
        ),
    ];
    for (steps, reason) in failing {
        let suite = Suite::parse("failing", &format!("\"a\":\n  {steps}\n")).expect("a case");
        match run(&suite, &suite.cases[0]) {
            Outcome::Failed(why) => assert!(why.contains(reason), "{steps}: {why}"),
            other => panic!("{steps}: {other:?}"),
        }
    }
}

#[test]
fn a_case_for_others_is_skipped() {
    let skipped = [
        "skip: { version: all, reason: broken }",
        "skip: { version: \"8.0.0 - \", reason: old }",
        "skip: { features: [ headers, moonlight ] }",
        "skip: { cluster_features: [ gte_v8.1.0 ] }",
        "requires: { test_runner_features: moonlight }",
        "requires: { cluster_features: [ gte_v99.0.0 ] }",
    ];
    for step in skipped {
        let text = format!("\"a\":\n  - {step}\n  - do: {{ ml.no_such_thing: {{}} }}\n");
        let suite = Suite::parse("skipped", &text).expect("a case");
        let outcome = run(&suite, &suite.cases[0]);
        assert!(
            matches!(outcome, Outcome::Skipped(_)),
            "{step}: {outcome:?}"
        );
    }
    let text =
        "\"a\":\n  - skip: { version: \" - 7.99.99\", features: headers }\n  - do: { info: {} }\n";
    let suite = Suite::parse("run", text).expect("a case");
    assert!(matches!(run(&suite, &suite.cases[0]), Outcome::Passed));
}

#[test]
fn values_are_found_filled_and_compared() {
    let mut stash = Stash::default();
    stash.keep("node", json!("n-1"));
    stash.keep("job", json!({ "id": "x", "spans": [1, 2] }));
    let root = json!({ "nodes": { "n-1": { "ml.memory": 7 } }, "list": [{ "a": 1 }] });
    let at = |path: &str| stash.find(&root, path).expect("a path");
    assert_eq!(at("nodes.$node.ml\\.memory"), Some(json!(7)));
    assert_eq!(at("nodes._arbitrary_key_"), Some(json!("n-1")));
    assert_eq!(at("list.0.a"), Some(json!(1)));
    assert_eq!(at("list.1.a"), None);
    assert_eq!(at(""), Some(root.clone()));

    let filled = stash.fill(&json!({ "$node": ["$job", "no. ${node}", "$job.spans.1", "5$"] }));
    let expected = json!({ "n-1": [{ "id": "x", "spans": [1, 2] }, "no. n-1", 2, "5$"] });
    assert_eq!(filled, Ok(expected));

    assert!(difference(&json!(1), &json!(1.0)).is_ok());
    assert!(
        difference(&json!([1]), &json!([1.0])).is_err(),
        "below the top they differ"
    );
    assert!(difference(&json!({ "t": "/^\\d+$/" }), &json!({ "t": 15 })).is_ok());
    assert!(difference(&json!({ "t": "/^\\d+$/" }), &json!({ "t": "x" })).is_err());
    assert!(difference(&json!([1, 2]), &json!([2, 1])).is_err());

    assert_eq!(
        matches_pattern("^ a b \\s c # and so on\n $", "ab c"),
        Ok(true)
    );
    let error = json!({ "root_cause": [{ "type": "t" }], "caused_by": { "reason": null } });
    let text = "{root_cause=[{type=t}], caused_by={reason=null}}";
    assert_eq!(java_text(&error), text);

    assert!(contains(&json!([{ "a": 1, "b": 2 }]), &json!({ "a": 1 })));
    assert!(!contains(&json!(["ab"]), &json!("a")));
    assert!(contains(&json!("abc"), &json!("bc")));
    let false_ones = [
        json!(null),
        json!(false),
        json!(""),
        json!(0),
        json!("False"),
    ];
    assert!(false_ones.iter().all(|v| !truthy(Some(v))));
    assert!(truthy(Some(&json!([]))) && !truthy(None));
}
