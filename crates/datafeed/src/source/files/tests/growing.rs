//! Files that are written while they are read.

use std::fs;

use proptest::prelude::*;

use super::*;

fn lines(name: &str, count: usize) -> String {
    let rows = 0..count;
    match name.ends_with("csv") {
        true => {
            let rows = rows.map(|at| format!("{},{at},\"x\n\"\"{at}\"\r\n", 1000 * at));
            format!("t,n,s\r\n{}", rows.collect::<String>())
        }
        false => rows
            .map(|at| format!("{{\"t\":{},\n\"n\":{at}}}\n", 1000 * at))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_cut_gives_the_same_records(csv: bool, cuts in prop::collection::vec(0..900_usize, 1..6)) {
        let name = if csv { "a.csv" } else { "a.ndjson" };
        let text = lines(name, 30);
        let reference = dir();
        write(reference.path(), name, &text);
        let whole = read_all(&source(reference.path(), &["*"]));
        prop_assert_eq!(whole.records.len(), 30);

        let dir = dir();
        let growing = source(dir.path(), &["*"]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort();
        let mut all = Read::default();
        let mut start = 0;
        for cut in cuts.windows(2) {
            append(dir.path(), name, &text[cut[0]..cut[1]]);
            // What is there is as it will be, and comes once.
            let (seen, outcome) = read(&growing, Window { start, ..DAY });
            prop_assert_eq!(outcome, Ok(()));
            if let Some(last) = seen.records.last() {
                start = last.split(' ').next().unwrap().parse::<i64>().unwrap() + 1;
            }
            all.records.extend(seen.records);
            all.input += seen.input;
            prop_assert_eq!(&all.records[..], &whole.records[..all.records.len()]);
        }
        prop_assert_eq!(&all, &whole);
        prop_assert_eq!(read_all(&growing), whole);
    }
}

#[test]
fn only_what_is_new_is_scanned() {
    let dir = dir();
    let source = source(dir.path(), &["*"]);
    write(dir.path(), "a.csv", "t,n\n1000,1\n2000,2");
    assert_eq!(read_all(&source).records.len(), 1);
    let scanned = |source: &FilesSource| {
        let index = source.shared.index.lock();
        index.files().map(|known| known.blocks.end()).sum::<u64>()
    };
    assert_eq!(scanned(&source), 11);
    // In what has been read nobody looks again.
    append(dir.path(), "a.csv", "2\n");
    let damaged = fs::read_to_string(dir.path().join("a.csv")).unwrap();
    assert_eq!(read_all(&source).records[1], "2000 22/- -/- -/- -/-");
    assert_eq!(scanned(&source), damaged.len() as u64);
}

#[test]
fn the_last_line_counts_when_its_file_is_left_alone() {
    let dir = dir();
    for name in ["a.csv", "b.csv.gz"] {
        let text = "t,n\n1000,1\n2000,2";
        let bytes = match name {
            "a.csv" => text.as_bytes().to_vec(),
            _ => gzip(text.as_bytes()),
        };
        write(dir.path(), name, bytes);
        let source = source(dir.path(), &[name]);
        assert_eq!(read_all(&source).records.len(), 1);
        age(dir.path(), name);
        assert_eq!(read_all(&source).records.len(), 2, "{name}");
    }
}

#[test]
fn a_header_waits_for_its_end() {
    let dir = dir();
    let source = source(dir.path(), &["*"]);
    for (piece, count) in [("", 0), ("t,", 0), ("n", 0), ("\n1000", 0), (",1\n", 1)] {
        append(dir.path(), "a.csv", piece);
        assert_eq!(read_all(&source).records.len(), count, "{piece}");
    }
    assert_eq!(read_all(&source).records, ["1000 1/- -/- -/- -/-"]);
}

fn log(from: usize, to: usize) -> String {
    let rows = from..to;
    rows.map(|at| format!("{{\"t\":{},\"n\":{at}}}\n", 1000 * at))
        .collect()
}

fn numbers(source: &FilesSource) -> Vec<usize> {
    let records = read_all(source).records;
    let number = |record: &String| record.split([' ', '/']).nth(1).unwrap().parse().unwrap();
    records.iter().map(number).collect()
}

#[test]
fn rotated_files_are_read_once() {
    let dir = dir();
    let (path, source) = (dir.path(), source(dir.path(), &["app.log*"]));
    let expect = |count: usize, when: &str| {
        assert_eq!(numbers(&source), Vec::from_iter(0..count), "{when}");
    };
    write(path, "app.log", log(0, 50));
    expect(50, "at first");
    fs::rename(path.join("app.log"), path.join("app.log.1")).unwrap();
    expect(50, "renamed");
    append(path, "app.log.1", log(50, 60));
    write(path, "app.log", log(60, 80));
    expect(80, "begun anew");

    // Compressed: beside the plain file for a while, and not whole at first.
    let packed = gzip(log(0, 60).as_bytes());
    write(path, "app.log.1.gz", &packed[..packed.len() / 2]);
    expect(80, "half compressed");
    write(path, "app.log.1.gz", &packed);
    expect(80, "compressed");
    fs::remove_file(path.join("app.log.1")).unwrap();
    expect(80, "the plain one gone");
    fs::rename(path.join("app.log.1.gz"), path.join("app.log.2.gz")).unwrap();
    expect(80, "renamed again");

    // Copied and truncated.
    fs::copy(path.join("app.log"), path.join("app.log.1")).unwrap();
    expect(80, "copied");
    write(path, "app.log", "");
    expect(80, "truncated");
    append(path, "app.log", log(80, 130));
    expect(130, "grown beyond what it was");
    fs::remove_file(path.join("app.log.2.gz")).unwrap();
    assert_eq!(numbers(&source), Vec::from_iter(60..130));
}

#[test]
fn files_that_are_alike_are_read_all() {
    let dir = dir();
    for name in ["host1.log", "host2.log", "a/app.log.1", "b/app.log.1"] {
        write(dir.path(), name, log(0, 5));
    }
    assert_eq!(read_all(&source(dir.path(), &["*"])).records.len(), 20);
}

#[test]
fn a_file_that_changes_under_its_pages_is_told() {
    let dir = dir();
    write(dir.path(), "a.log", log(0, 5000));
    let source = source(dir.path(), &["*"]);
    block_on(async {
        let mut pages = source.read(DAY).await.unwrap();
        write(dir.path(), "a.log", "");
        let mut outcome = Ok(None);
        for _ in 0..9 {
            outcome = pages.next().await;
            if outcome.is_err() {
                break;
            }
        }
        assert!(matches!(outcome, Err(SourceError::Unavailable(_))));
        assert!(pages.next().await.is_err());
    });
    assert_eq!(read_all(&source).records.len(), 0);
}
