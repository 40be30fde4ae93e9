//! Files that are broken, or break off.

use proptest::prelude::*;

use super::*;

fn text(count: usize) -> String {
    let rows = 0..count;
    rows.map(|at| {
        let noise = (at * 7_919 % 104_729) as f64 / 7.0;
        format!("{{\"t\":{},\"n\":{noise}}}\n", 1000 * at)
    })
    .collect()
}

/// Of files that nobody writes to.
fn whole(path: &Path) -> FilesSource {
    let paths = [path.to_str().unwrap().to_owned()];
    FilesSource::whole(&Directory::default(), &paths, &Map::new(), projection()).unwrap()
}

#[test]
fn what_is_cut_off_may_go_on() {
    let text = text(20_000);
    for (name, packed) in [
        ("a.ndjson.gz", gzip(text.as_bytes())),
        ("a.ndjson.zst", zstd(text.as_bytes())),
    ] {
        let dir = dir();
        let source = source(dir.path(), &["*"]);
        write(dir.path(), name, &packed[..packed.len() / 2]);
        let half = read_all(&source).records;
        assert!((5_000..15_000).contains(&half.len()), "{}", half.len());
        // Nobody writes any more: what there was comes before the error.
        let (seen, outcome) = read(&whole(&dir.path().join(name)), DAY);
        assert_eq!(seen.records, half);
        let error = outcome.unwrap_err().to_string();
        assert!(error.ends_with("is damaged: it ends too early"), "{error}");
        write(dir.path(), name, &packed);
        assert_eq!(read_all(&source).records.len(), 20_000);
    }
}

#[test]
fn time_does_not_pass_over_damage() {
    let dir = dir();
    let mut packed = gzip(text(20_000).as_bytes());
    let middle = packed.len() / 2;
    packed[middle..middle + 40].fill(0xff);
    write(dir.path(), "a.ndjson.gz", &packed);
    write(dir.path(), "b.ndjson", text(20_000));
    let source = source(dir.path(), &["*"]);
    let (seen, outcome) = read(&source, DAY);
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, SourceError::Unavailable(reason) if reason.starts_with("[logs:a.ndjson.gz] is damaged"))
    );
    let times: Vec<&str> = seen
        .records
        .iter()
        .map(|record| record.split(' ').next().unwrap())
        .collect();
    // Of both files, up to where one of them ends.
    assert!(
        times.len() > 10_000 && times.len() < 30_000 && times.chunks(2).all(|two| two[0] == two[1])
    );
    // It is told again for as long as it is so, and nothing comes twice.
    let start = times[times.len() - 1].parse::<i64>().unwrap() + 1;
    let (seen, outcome) = read(&source, Window { start, ..DAY });
    assert_eq!((seen.records.len(), outcome), (0, Err(error)));
    write(dir.path(), "a.ndjson.gz", gzip(text(20_000).as_bytes()));
    let (seen, outcome) = read(&source, Window { start, ..DAY });
    assert_eq!(outcome, Ok(()));
    assert_eq!(seen.records.len() + times.len(), 40_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn broken_bytes_are_no_panic(kind in 0..3_usize, at in 0.0..1.0_f64, with: [u8; 3], cut: bool) {
        let dir = dir();
        let good = text(500);
        let (name, mut bytes) = match kind {
            0 => ("a.ndjson.gz", gzip(good.as_bytes())),
            1 => ("a.ndjson.zst", zstd(good.as_bytes())),
            _ => ("a.parquet", super::parquet::of_rows(500)),
        };
        let at = ((bytes.len() - 3) as f64 * at) as usize;
        match cut {
            true => bytes.truncate(at),
            false => bytes[at..at + 3].copy_from_slice(&with),
        }
        write(dir.path(), name, &bytes);
        let source = whole(&dir.path().join(name));
        let (_, _outcome) = read(&source, DAY);
        let _ = block_on(source.check());
        let _ = block_on(source.summary(DAY));
    }
}
