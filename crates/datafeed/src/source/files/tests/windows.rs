//! The same records, however they are written, in whichever windows they are read.

use proptest::prelude::*;

use super::*;

/// Records as they stand in a file: a time each, and what it is the value of.
#[derive(Debug, Clone)]
struct Made {
    name: &'static str,
    times: Vec<i64>,
}

fn csv(made: &Made) -> String {
    let rows = made.times.iter().enumerate();
    let rows = rows.map(|(at, time)| format!("{time},{at},\"{} \n{at}\"\n", made.name));
    format!("t,n,s\n{}", rows.collect::<String>())
}

fn ndjson(made: &Made) -> String {
    let rows = made.times.iter().enumerate();
    let rows = rows.map(|(at, time)| {
        format!(
            "{{\"t\":{time},\"n\":{at},\"s\":\"{} \\n{at}\"}}\n",
            made.name
        )
    });
    rows.collect()
}

fn bytes(name: &str, made: &Made) -> Vec<u8> {
    let text = match name.contains("csv") {
        true => csv(made),
        false => ndjson(made),
    };
    let (a, b) = text.as_bytes().split_at(text.len() / 3);
    match name.rsplit('.').next() {
        Some("gz") => [gzip(a), gzip(b)].concat(),
        Some("zst") => [zstd(a), zstd(b)].concat(),
        _ => text.into_bytes(),
    }
}

/// What must be read: all in the order of time, file and place.
fn expected(all: &[Made], window: Window) -> Vec<String> {
    let mut records: Vec<(i64, &str, usize)> = all
        .iter()
        .flat_map(|made| {
            let times = made.times.iter().enumerate();
            times.map(|(at, time)| (*time, made.name, at))
        })
        .filter(|(time, ..)| (window.start..window.end).contains(time))
        .collect();
    records.sort();
    records
        .iter()
        .map(|(time, name, at)| format!("{time} {at}/- -/{name} \n{at} -/- -/-"))
        .collect()
}

fn make(dir: &Path, all: &[Made]) -> FilesSource {
    for made in all {
        write(dir, made.name, bytes(made.name, made));
    }
    source(dir, &["*"])
}

const NAMES: [&str; 5] = [
    "a.csv",
    "b.ndjson",
    "c.csv.gz",
    "d.ndjson.zst",
    "e.ndjson.gz",
];

/// Mostly in order, some not, some the same.
fn times() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec((0..2000_i64, -300..300_i64), 0..60).prop_map(|steps| {
        let mut time = 1_000_000;
        let times = steps.into_iter().map(|(step, jitter)| {
            time += if step < 1500 { 0 } else { step };
            time + if jitter.abs() < 50 { jitter * 1000 } else { 0 }
        });
        times.collect()
    })
}

fn all() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec(times(), NAMES.len()).prop_map(|times| {
        let all = NAMES.into_iter().zip(times);
        all.map(|(name, times)| Made { name, times }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn windows_part_the_records(made in all(), cuts in prop::collection::vec(900_000..1_200_000_i64, 0..4)) {
        let dir = dir();
        let source = make(dir.path(), &made);
        let mut cuts = cuts;
        cuts.extend([DAY.start, DAY.end]);
        cuts.sort();
        for cut in cuts.windows(2) {
            let window = Window { start: cut[0], end: cut[1] };
            let expected = expected(&made, window);
            let (seen, outcome) = read(&source, window);
            prop_assert_eq!(outcome, Ok(()));
            prop_assert_eq!(&seen.records, &expected);
            let summary = block_on(source.summary(window)).unwrap();
            let time = |record: Option<&String>| record.map(|record| record.split(' ').next().unwrap().parse::<i64>().unwrap());
            prop_assert_eq!(summary.documents, expected.len() as u64);
            prop_assert_eq!(summary.earliest, time(expected.first()));
            prop_assert_eq!(summary.latest, time(expected.last()));
            let mut counts = std::collections::BTreeMap::new();
            for record in &expected {
                *counts.entry(time(Some(record)).unwrap() / 7_000 * 7_000).or_insert(0) += 1;
            }
            prop_assert_eq!(block_on(source.counts(window, 7_000)).unwrap(), Vec::from_iter(counts));
        }
    }

    #[test]
    fn little_room_changes_nothing(made in all(), room in 100_usize..4000, records in 1_usize..9) {
        let dir = dir();
        let source = make(dir.path(), &made);
        block_on(source.refresh()).unwrap();
        let limit = crate::BatchLimit { records, weight: 1 << 20 };
        let mut merge = Merge::new(DAY, 4, source.shared.parts(DAY, |_| false)).with_limits(limit, room);
        let mut reader = source.shared.reader.lock();
        let (mut seen, mut pages) = (Read::default(), 0);
        loop {
            match merge.turn(&mut reader).unwrap() {
                Turn::Page(mut page) => {
                    pages += 1;
                    seen.take(&mut page.batch, 4);
                }
                Turn::Again => {}
                Turn::End => break,
            }
        }
        let expected = expected(&made, DAY);
        prop_assert_eq!(&seen.records, &expected);
        prop_assert!(pages >= expected.len().min(1));
    }
}

/// Larger than blocks, pieces and what decoders keep, in every order.
#[test]
fn large_files_are_read_in_the_order_of_time() {
    let count = 40_000_i64;
    type Order = Box<dyn Fn(i64) -> i64>;
    let orders: [(&str, Order); 4] = [
        ("a.csv", Box::new(|at| at * 100)),
        ("b.ndjson", Box::new(move |at| (count - at) * 100)),
        ("c.csv.gz", Box::new(|at| at * 100 + at % 7 * 1000)),
        ("d.ndjson.zst", Box::new(move |at| at * 7_919 % count * 100)),
    ];
    let made: Vec<Made> = orders
        .iter()
        .map(|(name, time)| Made {
            name,
            times: (0..count).map(time).collect(),
        })
        .collect();
    let dir = dir();
    let source = make(dir.path(), &made);
    let half = 1_777_777;
    for (start, end) in [
        (0, half),
        (half, half + 50_000),
        (half + 50_000, DAY.end),
        (0, 500),
    ] {
        let window = Window { start, end };
        let (seen, outcome) = read(&source, window);
        assert_eq!(outcome, Ok(()));
        let expected = expected(&made, window);
        assert!(
            seen.records == expected,
            "{start}: {} of {}",
            seen.records.len(),
            expected.len()
        );
        assert_eq!(seen.input.records, expected.len() as u64);
    }
    let summary = block_on(source.summary(DAY)).unwrap();
    assert_eq!(summary.documents, 4 * count as u64);
    let index = source.shared.index.lock();
    let blocks: Vec<usize> = index
        .files()
        .map(|known| known.blocks.all().len())
        .collect();
    assert!(blocks.iter().all(|blocks| *blocks >= 2), "{blocks:?}");
}

#[test]
fn settings_say_how_files_are_written() {
    let dir = dir();
    write(dir.path(), "x.log", "1000|a,b|7\n2000|c|8\n");
    let directory = Directory {
        format: Some(Format::Csv),
        delimiter: Some('|'),
        columns: Some(["t", "s", "n"].map(str::to_owned).to_vec()),
        ..directory(dir.path())
    };
    let source =
        FilesSource::open("logs", &directory, &wanted(&["x.log"]), TimeFormat::EpochMs).unwrap();
    let seen = read_all(&source);
    assert_eq!(
        seen.records,
        ["1000 7/- -/a,b -/- -/-", "2000 8/- -/c -/- -/-"]
    );
    assert_eq!(seen.counts(), (2, 0, 4, 4));
}

#[test]
fn bad_lines_count_once_and_cost_nothing_else() {
    let dir = dir();
    write(
        dir.path(),
        "a.ndjson",
        "no\n{\"t\":1000}\n{\"t\":\n{\"t\":5000}\n{\"n\":1}\nno\n{\"t\":9000}\nno\n",
    );
    write(dir.path(), "b.csv", "t,n\nx,1\n1500,1\n,\n");
    write(dir.path(), "c.csv", "t,n\nx,1\n");
    let source = source(dir.path(), &["*"]);
    let mut all = Read::default();
    for (start, end) in [
        (0, 1000),
        (1000, 1001),
        (1001, 5000),
        (5000, 5001),
        (5001, DAY.end),
    ] {
        let (seen, outcome) = read(&source, Window { start, end });
        assert_eq!(outcome, Ok(()));
        all.input += seen.input;
        all.records.extend(seen.records);
    }
    assert_eq!(all.records.len(), 4);
    // But for the file in which nothing has a time.
    assert_eq!((all.counts().0, all.counts().1), (11, 7));
    assert_eq!(all, read_all(&source));
}
