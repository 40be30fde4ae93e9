use proptest::prelude::*;

use super::*;
use crate::projection::tests::{Read, projection};

fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: BatchLimit) -> Read {
    let projection = Arc::new(projection());
    let mut reader = NdjsonReader::new(projection.clone()).with_limit(limit);
    let (mut batch, mut read) = (projection.batch(), Read::default());
    for mut piece in pieces {
        while reader.push(&mut piece, &mut batch) {
            read.take(&mut batch, 4);
        }
        assert!(piece.is_empty() && !limit.reached(&batch));
    }
    while reader.finish(&mut batch) {
        read.take(&mut batch, 4);
    }
    read.take(&mut batch, 4);
    read
}

/// Reads it whole, and checks that pieces and batches of any size give the same.
fn read(text: impl AsRef<[u8]>) -> Read {
    let bytes = text.as_ref();
    let whole = read_pieces([bytes], BatchLimit::default());
    assert!(whole.input.bytes <= bytes.len() as u64 + whole.input.records);
    let sizes: &[usize] = if bytes.len() < 10_000 {
        &[1, 2, 3, 7]
    } else {
        &[1_000, 65_537, 1 << 20]
    };
    for size in sizes {
        let limit = BatchLimit {
            records: *size,
            weight: 300,
        };
        assert_eq!(
            read_pieces(bytes.chunks(*size), limit),
            whole,
            "pieces of {size}"
        );
    }
    whole
}

#[test]
fn fields_are_projected() {
    let read = read(
        r#"{"t":1,"n":2.5,"s":"web","b":"7","o":{"p":"x","q":{"r":1}},"z":[1,2]}
           {"t":"2","n":"-1e3","s":12,"b":[3],"o.p":true}
           {"t":3.0,"n":true,"s":0.1,"b":["a",null,2,""],"o":{"p":null}}
           {"t":[4],"n":null,"s":"","b":[1,2],"o":{"p":{"x":1}}}
           {"t":5,"n":[],"s":[[1]],"b":[{"a":1}],"o":[{"p":1}]}
           {"t":6,"n":"NaN","s":18446744073709551615,"b":" 1 ","o":{"p":1e21}}"#,
    );
    assert_eq!(
        read.records,
        [
            "1 2.5/- -/web 7/7 -/x",
            "2 -1000/- -/12 3/3 -/true",
            "3 -/- -/0.1 -/a,2 -/-",
            "4 -/- -/- -/1,2 -/-",
            "5 -/- -/- -/- -/-",
            "6 -/- -/18446744073709551615 1/ 1  -/1000000000000000000000",
        ]
    );
    let missing = [0, 0, 3, 4, 4, 1].iter().sum();
    assert_eq!(read.counts(), (6, 0, 6 + 4 + 4 + 4 + 4 + 4, missing));
}

#[test]
fn the_last_of_a_repeated_field_wins() {
    let read = read(
        r#"{"t":1,"n":1,"n":2,"s":"a","s":"b","b":1,"b":null,"t":9}
           {"t":1,"s":["a","b"],"s":["c","d"],"n":1,"n":"x"}
           {"t":1,"t":"x"}"#,
    );
    assert_eq!(read.records, ["9 2/- -/b -/- -/-", "1 -/- -/c,d -/- -/-"]);
    assert_eq!(read.counts(), (3, 1, 7 + 4 + 1, 2 + 3 + 4));
}

#[test]
fn a_time_that_is_no_time_is_a_bad_record_with_its_fields() {
    let read = read(
        "{\"n\":1}{\"t\":\"x\",\"n\":1}{\"t\":true}{\"t\":[1,2]}{\"t\":{\"a\":1}}{}{\"t\":1e999}",
    );
    assert_eq!(read.counts(), (7, 7, 3, 3 + 3 + 4 * 5));
}

#[test]
fn numbers_that_are_too_big_are_missing_and_the_record_counts() {
    let read = read(
        "{\"t\":1,\"n\":1e999,\"s\":\"1e999\",\"b\":-1E+9999,\"o.p\":[1e999,2]}\n{\"t\":2,\"n\":1}",
    );
    assert_eq!(read.records, ["1 -/- -/1e999 -/- -/2", "2 1/- -/- -/- -/-"]);
    assert_eq!(read.counts(), (2, 0, 5, 2 + 3));
    let digits = format!("{{\"t\":1,\"n\":{}}}", "9".repeat(400));
    assert_eq!(super::tests::read(digits).records, ["1 -/- -/- -/- -/-"]);
}

#[test]
fn objects_are_found_however_they_are_separated() {
    for text in [
        "{\"t\":1}\n{\"t\":2}\n{\"t\":3}\n",
        "{\"t\":1}{\"t\":2} {\"t\":3}",
        "\u{feff}[{\"t\":1},{\"t\":2},\r\n{\"t\":3}]\n",
        "[\n{\n  \"t\":\n  1\n},\n{\"t\":2}\n, {\n\"t\":3,\"x\":{\n\"y\":[\n{\"t\":4},\n{\"t\":5}\n]}}]",
    ] {
        let read = read(text);
        assert_eq!(read.counts().1, 0, "{text}");
        assert_eq!(
            read.records,
            [1, 2, 3].map(|time| format!("{time} -/- -/- -/- -/-")),
            "{text}"
        );
    }
    for text in ["", " \n\n", "[]", "[\n]\n"] {
        assert_eq!(read(text).counts(), (0, 0, 0, 0));
    }
}

#[test]
fn bad_lines_leave_the_good_ones_beside_them() {
    for (bad, count) in [
        ("{\"a\":1", 1),
        ("{\"a\":", 1),
        ("{\"a", 1),
        ("{", 1),
        ("{\"a\":\"x\\", 1),
        ("{\"a\":[1,", 1),
        ("{\"a\":tru}", 1),
        ("{\"a\":1,}", 1),
        ("{\"a\":\"\\ud800\"}", 1),
        ("{\"a\":01}", 1),
        ("{a:1}", 1),
        ("}", 1),
        ("hello", 1),
        ("\"x\"", 1),
        ("12 {\"t\":7}", 1),
        ("null", 1),
        ("{\"a\":1\n{\"b\":2", 2),
        ("hello\nworld", 2),
        ("{\n\"a\":1\n\"b\":{\n}\n}", 1),
        ("{\"a\":1\nhello", 2),
    ] {
        let read = read(format!("{{\"t\":1}}\n{bad}\n{{\"t\":2}}\r\n\n{{\"t\":3}}"));
        let bad = format!("{bad:?}");
        assert_eq!(
            read.records,
            [1, 2, 3].map(|time| format!("{time} -/- -/- -/- -/-")),
            "{bad}"
        );
        assert_eq!(
            (read.counts().0, read.counts().1),
            (3 + count, count),
            "{bad}"
        );
    }
    assert_eq!(
        read(b"{\"t\":1,\"x\":\"\xff\"}{\"t\":2}").counts(),
        (2, 1, 0, 4)
    );
    assert_eq!(
        read(b"{\"t\":1}\n\xff\xfe\n{\"t\":2}").counts(),
        (3, 1, 0, 8)
    );
    assert_eq!(read("{\"t\":1}\n{\"t\":2").counts(), (2, 1, 0, 4));
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| {
        format!(
            "{{\"t\":1,\"x\":{}{}}}",
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };
    let read = read(format!(
        "{}{}{}{{\"t\":2}}",
        nested(32),
        nested(33),
        nested(128)
    ));
    assert_eq!((read.records.len(), read.counts().1), (2, 2));
    let objects = |depth: usize| {
        format!(
            "{}{}",
            "{\"x\":".repeat(depth - 1) + "{\"t\":1",
            "}".repeat(depth)
        )
    };
    let read = super::tests::read(format!(
        "{}\n{}\n{{\"t\":2}}",
        objects(1_000),
        "[".repeat(100_000)
    ));
    assert_eq!((read.records.len(), read.counts().1), (1, 2));
}

#[test]
fn length_is_limited() {
    let record = |len: usize| format!("{{\"t\":1,\"s\":\"{}\"}}", "x".repeat(len - 14));
    let good = record(MAX_RECORD_BYTES);
    assert_eq!(good.len(), MAX_RECORD_BYTES);
    let long = record(MAX_RECORD_BYTES + 1);
    let cut = &record(3 * MAX_RECORD_BYTES)[..2 * MAX_RECORD_BYTES];
    let list = format!("{{\"a\":[{}1", "1,\n".repeat(MAX_RECORD_BYTES));
    let read = read(format!(
        "{good}\n{long}{long}\n{good}\n{cut}\n{list}\n{{\"t\":2}}\n{{\"t\":3}}\n{cut}"
    ));
    assert_eq!((read.records.len(), read.counts().1), (4, 5));
}

#[test]
fn an_object_that_swallows_a_megabyte_of_lines_gives_them_back() {
    let lines = "{\"t\":1,\"s\":\"some text\"},\n".repeat(50_000);
    let read = read(format!("[\n{{\"a\":[\n{lines}"));
    assert_eq!((read.records.len(), read.counts().1), (50_000, 1));
}

#[test]
fn memory_is_bounded() {
    let projection = Arc::new(projection());
    let mut reader = NdjsonReader::new(projection.clone());
    let mut batch = projection.batch();
    let long = [b"{\"s\":\"".as_slice(), &vec![b'x'; 8 << 20]].concat();
    assert!(!reader.push(&mut &long[..], &mut batch));
    assert!(reader.buffer.capacity() <= 2 * MAX_RECORD_BYTES + 2 * PIECE);
    assert_eq!(
        (batch.input.bytes, batch.input.records),
        (long.len() as u64 + 1, 1)
    );
}

#[test]
fn batches_are_cut_at_the_limit() {
    let projection = Arc::new(projection());
    let mut reader = NdjsonReader::new(projection.clone());
    let mut batch = projection.batch();
    let text = "{\"t\":1}\n".repeat(10_000);
    let mut bytes = text.as_bytes();
    let mut sizes = Vec::new();
    while reader.push(&mut bytes, &mut batch) {
        sizes.push(batch.len());
        batch.clear();
    }
    assert_eq!((sizes, batch.len()), (vec![4096, 4096], 10_000 - 8192));
}

#[test]
fn a_record_counts_one_delimiter_wherever_the_stream_was_cut() {
    let count = |pieces: &[&str]| {
        pieces
            .iter()
            .map(|piece| {
                read_pieces([piece.as_bytes()], BatchLimit::default())
                    .input
                    .bytes
            })
            .sum::<u64>()
    };
    let (one, two) = ("{\"t\":1}", "{\"t\":22}");
    let whole = count(&[&format!("{one}\n{two}\n")]);
    assert_eq!(whole, (one.len() + two.len() + 2) as u64);
    assert_eq!(count(&[one, &format!("{two}\n")]), whole);
    assert_eq!(count(&[&format!("{one}\n"), two]), whole);
}

#[test]
fn one_array_may_enclose_the_records_and_no_more() {
    let counts = |text: &str| {
        let input = read_pieces([text.as_bytes()], BatchLimit::default()).input;
        (input.records, input.invalid_dates)
    };
    assert_eq!(counts("[{\"t\":1},\n{\"t\":2}]"), (2, 0));
    assert_eq!(counts("{\"t\":1}\n[[[[[\n{\"t\":2}\n"), (3, 1));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::sample::select(vec![
        "{\"t\":1}",
        "{\"t\":2,\"n\":1e999}",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        "\n",
        " ",
        "{\"t\":",
        "\"s\":",
        "\"a\"",
        "1",
        "null",
        "tru",
        "{\"a\":1",
        "{\"s\":[\"x\",1]",
        "{\n\"o\":{\"p\":\n2},\"t\":7}",
        "é",
        "\u{feff}",
        "e9",
        "-",
        "\n{\"t\":3,\"b\":\"4\"}\n",
    ]);
    let token = prop_oneof![
        8 => tokens.prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn invariant(
    bytes: &[u8],
    cuts: &[usize],
    records: usize,
    weight: usize,
) -> Result<(), TestCaseError> {
    let whole = read_pieces([bytes], BatchLimit::default());
    prop_assert!(whole.input.bytes <= bytes.len() as u64 + whole.input.records);
    prop_assert_eq!(
        whole.input.records,
        whole.records.len() as u64 + whole.input.invalid_dates
    );
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for cut in cuts {
        let (piece, left) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    pieces.push(rest);
    prop_assert_eq!(&read_pieces(pieces, BatchLimit { records, weight }), &whole);
    prop_assert_eq!(
        &read_pieces(bytes.chunks(1), BatchLimit { records, weight }),
        &whole
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn pieces_and_batches_change_nothing(
        bytes in text(), cuts in prop::collection::vec(0_usize..20, 0..20), records in 1_usize..5, weight in 1_usize..500,
    ) {
        invariant(&bytes, &cuts, records, weight)?;
    }

    #[test]
    fn arbitrary_bytes_are_read(
        bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0_usize..20, 0..20),
    ) {
        invariant(&bytes, &cuts, 1, 1)?;
    }

    #[test]
    fn a_good_line_is_read_whatever_line_is_before_it(line in prop_oneof!["[^\n]{0,40}", "[{}\\[\\]:,\"a1 \\\\]{0,20}"]) {
        let read = read_pieces([format!("{line}\n{{\"t\":77,\"n\":5}}\n").as_bytes()], BatchLimit::default());
        prop_assert!(read.records.iter().any(|record| record == "77 5/- -/- -/- -/-"), "{:?}", read);
    }
}
