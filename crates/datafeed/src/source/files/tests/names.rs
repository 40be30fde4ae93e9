//! Which files are read.

use std::os::unix::fs::symlink;

use super::*;

fn names(path: &Path, indices: &[&str]) -> Vec<String> {
    let patterns: Vec<_> = indices
        .iter()
        .map(|pattern| Pattern::new(pattern).unwrap())
        .collect();
    listing::list(path, &patterns)
        .unwrap()
        .into_keys()
        .collect()
}

#[test]
fn patterns_name_files_below_the_directory() {
    let dir = dir();
    for name in [
        "a.csv",
        "b.csv",
        "c.ndjson",
        ".hidden.csv",
        "d/a.csv",
        "d/e/b.csv",
        "d/.h/c.csv",
    ] {
        write(dir.path(), name, "t\n");
    }
    for (pattern, expected) in [
        ("a.csv", vec!["a.csv"]),
        ("*.csv", vec!["a.csv", "b.csv"]),
        (".*", vec![".hidden.csv"]),
        ("./d//a.csv", vec!["d/a.csv"]),
        ("*/?.csv", vec!["d/a.csv"]),
        ("**/b.csv", vec!["b.csv", "d/e/b.csv"]),
        ("d", vec!["d/a.csv", "d/e/b.csv"]),
        ("d/**", vec!["d/a.csv", "d/e/b.csv"]),
        (
            "*",
            vec!["a.csv", "b.csv", "c.ndjson", "d/a.csv", "d/e/b.csv"],
        ),
        ("x*", vec![]),
        ("x/y.csv", vec![]),
        ("a.csv/x", vec![]),
    ] {
        assert_eq!(names(dir.path(), &[pattern]), expected, "{pattern}");
    }
    assert_eq!(
        names(dir.path(), &["b*", "a*", "b.csv"]),
        ["a.csv", "b.csv"]
    );
    assert_eq!(names(&dir.path().join("none"), &["*"]), [""; 0]);
}

#[test]
fn nothing_outside_of_the_directory_is_read() {
    for pattern in ["/etc/passwd", "../x", "a/../../x", "", ".", "a\0b"] {
        assert_eq!(Pattern::new(pattern), None, "{pattern}");
    }
    let (dir, other) = (dir(), dir());
    write(other.path(), "x.csv", "t\n1\n");
    write(dir.path(), "d/a.csv", "t\n1\n");
    symlink(other.path().join("x.csv"), dir.path().join("out.csv")).unwrap();
    symlink(other.path(), dir.path().join("outer")).unwrap();
    symlink(dir.path().join("d/a.csv"), dir.path().join("in.csv")).unwrap();
    symlink(dir.path(), dir.path().join("d/circle")).unwrap();
    for pattern in ["out.csv", "*.csv", "outer/x.csv", "outer"] {
        let error = block_on(source(dir.path(), &[pattern]).check()).unwrap_err();
        assert!(
            error.to_string().contains("leaves the directory"),
            "{error}"
        );
    }
    assert_eq!(
        names(dir.path(), &["in.csv", "d/**"]),
        ["d/a.csv", "in.csv"]
    );
    // It is one file all the same.
    assert_eq!(
        read_all(&source(dir.path(), &["in.csv", "d/*.csv"]))
            .records
            .len(),
        1
    );
}

#[test]
fn what_is_missing_is_told_before_a_start() {
    let dir = dir();
    write(dir.path(), "a.csv", "t,n,s,b\n");
    let check = |indices: &[&str]| block_on(source(dir.path(), indices).check());
    for pattern in ["none.csv", "*.gz"] {
        let missing = SourceError::Refused {
            status: 404,
            kind: "index_not_found_exception",
            reason: format!("no such index [logs:{pattern}]"),
        };
        assert_eq!(check(&["a.csv", pattern]), Err(missing));
    }
    let error = check(&["a.csv"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot retrieve field [o.p] because it has no mappings"
    );
    write(dir.path(), "b.csv", "time,o.p\n");
    assert_eq!(check(&["*.csv"]), Ok(()));
    let error = check(&["b.csv"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot retrieve time field [t] because it has no mappings"
    );
}
