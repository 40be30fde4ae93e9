use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A document of a few fields.
struct Fixture {
    fields: Vec<(&'static str, Vec<FieldValue>)>,
    source: Value,
}

impl Document for Fixture {
    fn values(
        &self,
        field: Field<'_>,
        values: &mut Vec<FieldValue>,
    ) -> std::result::Result<(), NoField> {
        if field.name == "message" {
            return Err(NoField::Refused(
                "Fielddata is disabled on [message]".to_owned(),
            ));
        }
        let found = self.fields.iter().find(|(name, _)| *name == field.name);
        values.extend(found.ok_or(NoField::Unmapped)?.1.iter().cloned());
        Ok(())
    }

    fn source(&self) -> Option<&Value> {
        Some(&self.source)
    }
}

/// `2024-02-29T13:05:07.250Z`, a Thursday.
const TIME: i64 = 1_709_211_907_250;

fn document() -> Fixture {
    Fixture {
        fields: vec![
            ("n", vec![FieldValue::Long(7)]),
            (
                "many",
                vec![
                    FieldValue::Long(1),
                    FieldValue::Long(2),
                    FieldValue::Long(9),
                ],
            ),
            ("d", vec![FieldValue::Double(2.5)]),
            ("b", vec![FieldValue::Bool(true)]),
            ("k", vec![FieldValue::Text("GET /a/b?x=1".into())]),
            ("none", vec![]),
            ("t", vec![FieldValue::Date(TIME)]),
            ("nanos", vec![FieldValue::DateNanos(TIME * 1_000_000 + 5)]),
        ],
        source: json!({"a": {"b": [1, 2.5, "x"], "c.d": null}, "message": "10.0.0.1 - bob [x] 200", "big": 5_000_000_000_i64}),
    }
}

fn run(source: &str) -> Result<Value> {
    let params = json!({"p": 3, "list": [1, "two"], "field": "n"});
    let Value::Object(params) = params else {
        unreachable!()
    };
    Script::new(source, "painless", params, Context::Value)?.value(&document())
}

fn cause(error: ScriptError) -> String {
    match error.place {
        Some(place) => format!(
            "{}: {}: {}",
            error.reason, place.cause.kind, place.cause.reason
        ),
        None => format!("{}: {}", error.kind, error.reason),
    }
}

#[track_caller]
fn gives(table: &[(&str, Value)]) {
    for (source, expected) in table {
        let found = run(source).map_err(cause);
        assert_eq!(found.as_ref(), Ok(expected), "{source}");
    }
}

#[track_caller]
fn fails(table: &[(&str, &str)]) {
    for (source, expected) in table {
        let found = run(source).map_err(cause).unwrap_err();
        assert!(found.contains(expected), "{source}: {found}");
    }
}

#[test]
fn numbers_are_those_of_java() {
    gives(&[
        ("1 + 2 * 3", json!(7)),
        ("7 / 2", json!(3)),
        ("-7 / 2", json!(-3)),
        ("-7 % 3", json!(-1)),
        ("7 / 2.0", json!(3.5)),
        ("2147483647 + 1", json!(-2147483648_i64)),
        ("2147483647 + 1L", json!(2147483648_i64)),
        ("-2147483648 / -1", json!(-2147483648_i64)),
        ("9223372036854775807L + 1", json!(i64::MIN)),
        ("(int) 3000000000L", json!(-1294967296)),
        ("(int) 3.99", json!(3)),
        ("(long) -1e30", json!(i64::MIN)),
        ("1 << 33", json!(2)),
        ("-1 >>> 28", json!(15)),
        ("-16 >> 2", json!(-4)),
        ("0x1F + 010", json!(39)),
        ("5 & 6 | 1 ^ 8", json!(13)),
        ("~5", json!(-6)),
        ("1 / 0.0", json!("Infinity")),
        ("0.1f + 0.2f", json!(0.3)),
        ("1.5f * 2", json!(3.0)),
        ("(double) 7 / 2", json!(3.5)),
        ("'a' + 1 + 2.0 + null + true", json!("a12.0nulltrue")),
        ("1 + 2 + 'a'", json!("3a")),
        ("(char) 65 + 1", json!(66)),
        ("(String) (char) 65", json!("A")),
        ("Math.round(2.5) + Math.max(1, 2)", json!(5.0)),
        ("Math.floor(-1.5) == -2", json!(true)),
        ("int x = 5; x += 2.7; x", json!(7)),
        ("def x = 5; x += 2.5; return x", json!(7.5)),
        ("long x = 1; x *= 3; x++; ++x; x-- + x", json!(9)),
        (
            "1 < 2 && 2 <= 2L && 3.0 > 2 && !(1 == 2) || 1 / 0 == 0",
            json!(true),
        ),
        ("true ? 1 : 2.5", json!(1.0)),
        ("null ?: 4", json!(4)),
        ("Long.MAX_VALUE", json!(i64::MAX)),
    ]);
    fails(&[
        ("1 / 0", "runtime error: arithmetic_exception: / by zero"),
        ("doc['n'].value % 0", "arithmetic_exception: / by zero"),
        (
            "int x = 1.5",
            "compile error: class_cast_exception: Cannot cast from [double] to [int].",
        ),
        (
            "int x = 'a'",
            "Cannot cast from [java.lang.String] to [int].",
        ),
        (
            "int x = doc['n'].value",
            "cannot implicitly cast def [long] to int",
        ),
        (
            "true + 1",
            "Cannot apply [+] operation to types [boolean] and [int].",
        ),
        (
            "doc['k'].value * 2",
            "Cannot apply [*] operation to types [java.lang.String] and [java.lang.Integer].",
        ),
        ("3000000000", "Invalid int constant [3000000000]"),
        ("if (1) {}", "Cannot cast from [int] to [boolean]."),
        ("1 ?: 2", "Extraneous elvis operator"),
    ]);
}

#[test]
fn fields_and_what_was_written() {
    gives(&[
        ("doc['n'].value + doc.n.value", json!(14)),
        ("doc[params.field].value", json!(7)),
        ("doc['d'].value * 2", json!(5.0)),
        (
            "doc['b'].value && doc['none'].size() == 0 && doc['none'].empty",
            json!(true),
        ),
        ("doc['many'].values", json!([1, 2, 9])),
        (
            "doc['many'].length + doc['many'][1] + doc['many'].get(2)",
            json!(14),
        ),
        (
            "doc.containsKey('n') && !doc.containsKey('zz')",
            json!(true),
        ),
        (
            "def s = 0; for (def x : doc['many']) { s += x } s",
            json!(12),
        ),
        ("field('none').get(5)", json!(5)),
        ("field('zz').get('-') + $('n', 0)", json!("-7")),
        ("field('many').get(2, 0) + field('many').size()", json!(12)),
        ("params._source.a.b[1]", json!(2.5)),
        ("params['_source']['a']['b'].2", json!("x")),
        ("params._source.zz?.b == null", json!(true)),
        ("params._source.a['c.d'] ?: 'none'", json!("none")),
        ("params._source.big / 2", json!(2_500_000_000_i64)),
        ("params.p * params['p'] + params.list.size()", json!(11)),
        ("params.list", json!([1, "two"])),
    ]);
    fails(&[
        (
            "doc['zz'].value",
            "runtime error: illegal_argument_exception: No field found for [zz] in mapping",
        ),
        (
            "doc['none'].value",
            "illegal_state_exception: A document doesn't have a value for a field!",
        ),
        (
            "doc['message'].value",
            "illegal_argument_exception: Fielddata is disabled on [message]",
        ),
        (
            "doc['n'].nope",
            "dynamic getter [org.elasticsearch.index.fielddata.ScriptDocValues, nope] not found",
        ),
        (
            "params._source.zz.b",
            "null_pointer_exception: cannot access method/field [b] from a null def reference",
        ),
        (
            "doc['many'][3]",
            "index_out_of_bounds_exception: Index 3 out of bounds for length 3",
        ),
        ("doc", "unexpected end of script."),
        ("ctx._source.a", "cannot resolve symbol [ctx]"),
    ]);
}

#[test]
fn times_and_their_parts() {
    gives(&[
        ("doc['t'].value.toInstant().toEpochMilli()", json!(TIME)),
        ("doc['t'].value.millis", json!(TIME)),
        (
            "def t = doc['t'].value; [t.year, t.monthValue, t.dayOfMonth, t.hour, t.getMinute(), t.second, t.dayOfYear]",
            json!([2024, 2, 29, 13, 5, 7, 60]),
        ),
        ("doc['t'].value.dayOfWeekEnum.value", json!(4)),
        ("doc['t'].value.getDayOfWeek().getValue()", json!(4)),
        (
            "doc['t'].value.dayOfWeekEnum.getDisplayName(TextStyle.FULL, Locale.ROOT)",
            json!("Thursday"),
        ),
        (
            "doc['t'].value.dayOfWeek == DayOfWeek.THURSDAY",
            json!(true),
        ),
        (
            "doc['t'].value.toString()",
            json!("2024-02-29T13:05:07.250Z"),
        ),
        (
            "doc['t'].value.truncatedTo(ChronoUnit.HOURS).toString()",
            json!("2024-02-29T13:00Z"),
        ),
        ("doc['t'].value", json!("2024-02-29T13:05:07.250Z")),
        (
            "doc['t'].value.plusYears(1).minusDays(1).dayOfMonth",
            json!(27),
        ),
        (
            "doc['t'].value.withZoneSameInstant(ZoneId.of('+11:30')).hour",
            json!(0),
        ),
        (
            "doc['t'].value.withZoneSameInstant(ZoneId.of('America/New_York')).hour",
            json!(8),
        ),
        (
            "ChronoUnit.DAYS.between(ZonedDateTime.parse('2024-02-01T00:00:00Z'), doc['t'].value)",
            json!(28),
        ),
        (
            "ChronoUnit.MONTHS.between(doc['t'].value, ZonedDateTime.parse('2024-04-29T00:00:00Z'))",
            json!(1),
        ),
        (
            "doc['t'].value.isAfter(ZonedDateTime.parse('2024-02-01T00:00:00Z'))",
            json!(true),
        ),
        ("doc['nanos'].value.nano", json!(250_000_005)),
        (
            "Instant.ofEpochMilli(0L).toString()",
            json!("1970-01-01T00:00:00Z"),
        ),
        (
            "doc['t'].value.format(DateTimeFormatter.ofPattern(\"yyyy-MM-dd'T'HH:mm:ss.SSS EEE\"))",
            json!("2024-02-29T13:05:07.250 Thu"),
        ),
    ]);
    fails(&[
        ("doc['t'].value.plusYears(999999999)", "date_time_exception"),
        (
            "ZoneId.of('Mars/Phobos')",
            "zone_rules_exception: Unknown time-zone ID: Mars/Phobos",
        ),
        (
            "ZonedDateTime.parse('x')",
            "date_time_parse_exception: Text 'x' could not be parsed",
        ),
        (
            "doc['t'].value.truncatedTo(ChronoUnit.MONTHS)",
            "unsupported_temporal_type_exception",
        ),
    ]);
}

#[test]
fn texts_and_regular_expressions() {
    gives(&[
        (
            "def k = doc['k'].value; k.substring(0, k.indexOf(' '))",
            json!("GET"),
        ),
        ("'aXbXc'.splitOnToken('X')", json!(["a", "b", "c"])),
        (
            "String[] parts = 'a,b,c'.splitOnToken(',', 2); parts[1] + parts.length",
            json!("b,c2"),
        ),
        (
            "'héllo😀x'.length() + '|' + 'héllo😀x'.substring(1, 5) + '😀x'.indexOf('x')",
            json!("8|éllo2"),
        ),
        (
            "'abcabc'.lastIndexOf('c') + 'abcabc'.lastIndexOf('c', 4) + 'abc'.indexOf('d')",
            json!(6),
        ),
        (
            "' A b '.trim().toLowerCase().replace('b', 'cc') + 'x'.toUpperCase()",
            json!("a ccX"),
        ),
        (
            "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('b') && ''.isEmpty()",
            json!(true),
        ),
        ("'abc'.charAt(1) == (char) 'b'", json!(true)),
        ("'hello'.hashCode()", json!(99_162_322)),
        ("'b'.compareTo('abc')", json!(1)),
        (
            "'1' == '1' && 'a'.equals('a') && !'a'.equals(1)",
            json!(true),
        ),
        (
            "Integer.parseInt('-12') + Long.parseLong('30') + Double.parseDouble('.5')",
            json!(18.5),
        ),
        (
            "String.valueOf(1.0) + String.join('-', ['a', 'b'])",
            json!("1.0a-b"),
        ),
        (
            "[1, [2.0, null]].toString() + ['a': 1]",
            json!("[1, [2.0, null]]{a=1}"),
        ),
        ("doc['k'].value =~ /a.b/", json!(true)),
        ("doc['k'].value ==~ /a.b/", json!(false)),
        ("'AB' ==~ /a|ab/i", json!(true)),
        (
            "def m = /(\\w+) (?<path>[^?]+)\\?x=(\\d)(z)?/.matcher(doc['k'].value); m.matches() ? m.group(1) + m.group('path') + m.start(3) + m.group(4) : 'no'",
            json!("GET/a/b11null"),
        ),
        (
            "def m = /\\d/.matcher('a1b22'); int n = 0; while (m.find()) { n += Integer.parseInt(m.group()) } n",
            json!(5),
        ),
        ("/,\\s*/.split('a, b,c,,')", json!(["a", "b", "c"])),
        (
            "dissect('%{ip} - %{user} [%{}] %{code}').extract(params._source.message)?.user",
            json!("bob"),
        ),
        ("def a = 6; def b = 3; a / b / 1", json!(2)),
    ]);
    fails(&[
        (
            "'abc'.substring(2, 9)",
            "string_index_out_of_bounds_exception: begin 2, end 9, length 3",
        ),
        (
            "'abc'.charAt(3)",
            "string_index_out_of_bounds_exception: Index 3 out of bounds for length 3",
        ),
        (
            "Integer.parseInt('x1')",
            "number_format_exception: For input string: \"x1\"",
        ),
        (
            "'a' =~ /(?=a)/",
            "compile error: illegal_argument_exception: Error compiling regex: [(?=a)]",
        ),
        ("'a' =~ /\\w{900}{900}/", "Error compiling regex"),
        ("'abc", "unexpected end of script."),
        (
            "doc['k'].value.substring('1')",
            "cannot implicitly cast def [java.lang.String] to int",
        ),
    ]);
}

#[test]
fn statements_lists_and_maps() {
    gives(&[
        (
            "int s = 0; for (int i = 0; i < 10; i++) { if (i == 3) continue; if (i > 5) break; s += i; } return s",
            json!(12),
        ),
        (
            "int i = 0; while (true) { if (++i > 4) { return i } }",
            json!(5),
        ),
        ("int i = 0; do { i++ } while (i < 3); i", json!(3)),
        (
            "if (doc['n'].value > 5) { 'big' } else { 'small' }",
            json!("big"),
        ),
        (
            "if (doc['n'].value > 7) return 'big'; else if (doc['n'].value == 7) { return 'seven' }",
            json!("seven"),
        ),
        (
            "def l = new ArrayList(); l.add(1); l.add('x'); l.add(0, 2.5); l[1] = 7; l[-1] += 'y'; l",
            json!([2.5, 7, "xy"]),
        ),
        (
            "def m = ['a': 1, 'b': [2]]; m.c = 3; m['a'] += 1; [m.a, m.b[0], m.size(), m.containsKey('z'), m.getOrDefault('z', 0)]",
            json!([2, 2, 3, false, 0]),
        ),
        ("int[] a = new int[3]; a[1] = 5; a", json!([0, 5, 0])),
        ("def x = 1, y = x + 1; { int z = 5; x = z } x + y", json!(7)),
        ("/* a */ return 1; // b", json!(1)),
        (
            "def x = 'a'; x instanceof String && !(x instanceof Number)",
            json!(true),
        ),
        ("def n = null; n?.length()", Value::Null),
        ("int x", Value::Null),
    ]);
    fails(&[
        (
            "while (true) {}",
            "runtime error: painless_error: The maximum number of statements",
        ),
        (
            "def l = [1]; for (def x : l) { l.add(x) } def s = 'x'; for (;;) { s += s }",
            "longer than",
        ),
        (
            "def l = [0]; for (;;) { l.add(l) }",
            "maximum number of statements",
        ),
        ("def l = []; l.add(l); l", "nested too deeply"),
        (
            "def s = 'aaaaaaaaaaaaaaaa'; for (int i = 0; i < 9; i++) s = s.replace('a', s); s",
            "longer than",
        ),
        ("1; 2", "not a statement: result not used from constant"),
        ("int x; int x", "variable [x] is already defined"),
        ("{ int z = 1 } z", "cannot resolve symbol [z]"),
        ("Foo x = 1", "cannot resolve symbol [Foo]"),
        ("break", "Break statement outside of a loop."),
        (
            "int f(int x) { x } f(1)",
            "compile error: illegal_argument_exception: invalid sequence of tokens near ['(']",
        ),
        (
            "try { 1 } catch (Exception e) { 2 }",
            "[try] is not supported",
        ),
        (
            "[1, 2].stream()",
            "member method [java.util.List, stream/0] not found",
        ),
        (
            "doc['k'].value.foo(1)",
            "dynamic method [def, foo/1] not found",
        ),
        ("Math.random()", "static method [Math, random/0] not found"),
        ("System.exit(0)", "cannot resolve symbol [System]"),
        ("new Date()", "constructor [Date, <init>] not found"),
        ("emit(1)", "Unknown call [emit] with [1] arguments."),
        ("[1].forEach(x -> x)", "lambdas"),
        ("(1", "unexpected end of script."),
        ("1 +", "unexpected end of script."),
        ("a b c", "cannot resolve symbol [a]"),
        ("1 = 2", "Invalid assignment"),
        ("params.x = 2", "unsupported_operation_exception"),
    ]);
}

#[test]
fn runtime_fields_emit() {
    let emit = |kind, source: &str| {
        let script = Script::new(source, "painless", Map::new(), Context::Runtime(kind));
        let mut values = Vec::new();
        script
            .and_then(|script| script.emit("f", &document(), &mut values))
            .map_err(cause)
            .map(|()| values)
    };
    assert_eq!(
        emit(Kind::Long, "for (def x : doc['many']) { emit(10 - x) }"),
        Ok(vec![
            FieldValue::Long(1),
            FieldValue::Long(8),
            FieldValue::Long(9)
        ])
    );
    assert_eq!(
        emit(
            Kind::Double,
            "if (doc['n'].size() > 0) emit(doc['n'].value * 1.5)"
        ),
        Ok(vec![FieldValue::Double(10.5)])
    );
    assert_eq!(
        emit(
            Kind::Date,
            "emit(doc['t'].value.toInstant().toEpochMilli())"
        ),
        Ok(vec![FieldValue::Date(TIME)])
    );
    assert_eq!(
        emit(
            Kind::Keyword,
            "if (doc['none'].size() == 0) { return; } emit('x')"
        ),
        Ok(vec![])
    );
    assert_eq!(
        emit(Kind::Ip, "emit('0:0:0:0:0:0:0:1')"),
        Ok(vec![FieldValue::Text("::1".into())])
    );
    assert_eq!(
        emit(Kind::Boolean, "emit(true)"),
        Ok(vec![FieldValue::Bool(true)])
    );
    for (kind, source, reason) in [
        (
            Kind::Long,
            "emit(doc['d'].value)",
            "cannot implicitly cast def [double] to long",
        ),
        (
            Kind::Long,
            "emit(1.5)",
            "Cannot cast from [double] to [long].",
        ),
        (
            Kind::Keyword,
            "emit(5)",
            "Cannot cast from [int] to [java.lang.String].",
        ),
        (Kind::Long, "return 5", "Cannot cast from [int] to [void]."),
        (Kind::Long, "doc['n'].value", "not a statement"),
        (Kind::Ip, "emit('x')", "'x' is not an IP string literal."),
        (Kind::Keyword, "emit(null)", "null_pointer_exception"),
        (
            Kind::Long,
            "for (int i = 0; i < 101; i++) emit(i)",
            "Runtime field [f] is emitting [101] values while the maximum number of values allowed is [100]",
        ),
    ] {
        let found = emit(kind, source).unwrap_err();
        assert!(found.contains(reason), "{source}: {found}");
    }
}

#[test]
fn filters_and_numbers() {
    let holds = |source: &str| {
        let script = Script::new(source, "painless", Map::new(), Context::Filter).unwrap();
        script.holds(&document()).unwrap()
    };
    assert!(holds("doc['n'].value > 5"));
    assert!(!holds("if (doc['n'].value > 7) return true;"));
    let number = |source: &str, lang: &str| {
        let script = Script::new(source, lang, Map::new(), Context::Number).unwrap();
        script.number(&[("a", 6.0), ("b", 4.0)]).map_err(cause)
    };
    assert_eq!(number("params.a / params.b", "painless"), Ok(Some(1.5)));
    assert_eq!(
        number("params.b == 0 ? null : params.a", "painless"),
        Ok(Some(6.0))
    );
    assert_eq!(number("return null", "painless"), Ok(None));
    assert_eq!(
        number("a / b + max(a, 10) * (a > b)", "expression"),
        Ok(Some(11.5))
    );
    assert!(number("'x'", "painless").is_err());
}

#[test]
fn formulas_have_numbers_only() {
    let value = |source: &str| {
        let params = Map::from_iter([("p".to_owned(), json!(3))]);
        let script = Script::new(source, "expression", params, Context::Value);
        script
            .and_then(|script| script.value(&document()))
            .map_err(cause)
    };
    for (source, expected) in [
        ("doc['n'].value / 2 + p", 6.5),
        (
            "doc['many'].sum() + doc['many'].max() + doc['many'].length",
            24.0,
        ),
        ("doc['none'].value + doc['none'].empty", 1.0),
        ("doc['n'].value > 5 && !(p == 4) ? ln(exp(2)) : 0", 2.0),
        ("doc['t'].value % 1000", 250.0),
        ("1 / 2 - -3", 3.5),
    ] {
        assert_eq!(value(source), Ok(json!(expected)), "{source}");
    }
    for source in [
        "q + 1",
        "doc['k'].value",
        "int x = 1",
        "'a'",
        "doc['n'].foo()",
        "foo(1)",
    ] {
        assert!(value(source).is_err(), "{source}");
    }
}

#[test]
fn errors_show_their_place() {
    let source = "def total = doc['n'].value; return total / (total - 7) + 1000";
    let error = run(source).unwrap_err();
    assert_eq!(
        (error.kind, error.to_string().as_str()),
        ("script_exception", "runtime error")
    );
    let place = error.place.unwrap();
    assert_eq!(place.cause, Fault::new("arithmetic_exception", "/ by zero"));
    assert_eq!(
        Value::Object(place.to_json()),
        json!({
            "script_stack": [
                "... 'n'].value; return total / (total - 7) + 1000",
                "                             ^---- HERE",
            ],
            "script": source,
            "lang": "painless",
            "position": {"offset": 41, "start": 16, "end": 61},
        })
    );
    let error = run("1 ++ 'é' foo").unwrap_err();
    assert_eq!(error.reason, "compile error");
}

#[test]
fn what_is_around_a_script() {
    let read = |json: Value| {
        Script::read(&json, Context::Value).map(|script| script.value(&document()).unwrap())
    };
    assert_eq!(read(json!("1 + 1")), Ok(json!(2)));
    let whole = json!({"source": "params.x", "lang": "painless", "params": {"x": [1]}});
    assert_eq!(read(whole), Ok(json!([1])));
    for (json, reason) in [
        (json!({"id": "mine"}), "stored scripts are not supported"),
        (json!({"lang": "painless"}), "must specify either [source]"),
        (
            json!({"source": "1", "lang": "mustache"}),
            "script_lang not supported [mustache]",
        ),
        (
            json!({"source": "1", "foo": 1}),
            "[script] unknown field [foo]",
        ),
        (
            json!({"source": 1}),
            "[script] failed to parse field [source]",
        ),
        (json!(5), "[script] expected a text"),
        (
            json!(" ".repeat(16385)),
            "exceeded max allowed inline script size in bytes",
        ),
    ] {
        let found = read(json.clone()).unwrap_err().to_string();
        assert!(found.contains(reason), "{json}: {found}");
    }
}

#[test]
fn nesting_is_bounded() {
    for source in [
        format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}1{}", "[".repeat(5000), "]".repeat(5000)),
        "{".repeat(9000),
        "-".repeat(9001).replace("--", "- ") + "1",
        "!".repeat(9000) + "true",
        "1+".repeat(8000) + "1",
        "a.".repeat(8000) + "a",
        "true?1:".repeat(2000) + "1",
        "(int)".repeat(3000) + "1",
        "if(true)".repeat(2000) + "1",
        "x=".repeat(5000) + "1",
        "null?:".repeat(2500) + "1",
        "'a'".to_owned() + &".trim()".repeat(2000),
    ] {
        assert!(run(&source).is_err());
        let formula = Script::new(&source, "expression", Map::new(), Context::Value);
        assert!(formula.is_err());
    }
}

/// Parts of which sources are made up.
const PARTS: &[&str] = &[
    "1",
    "2147483647",
    "-9223372036854775808L",
    "2.5",
    "0.1f",
    "'a'",
    "\"é😀\"",
    "null",
    "true",
    "x",
    "y",
    "params",
    "params._source",
    "doc['n']",
    "doc['many']",
    "doc['t'].value",
    "doc['k'].value",
    "doc['none']",
    ".value",
    ".size()",
    ".length",
    ".substring(1)",
    ".substring(0, 2)",
    ".indexOf('x')",
    ".hour",
    ".plusDays(1)",
    ".get(0)",
    ".add(x)",
    ".put('a', y)",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<<",
    ">>>",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "?",
    ":",
    "?:",
    "?.a",
    "=",
    "+=",
    "++",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ";",
    ",",
    "def x =",
    "int y =",
    "if (",
    "else",
    "while (",
    "for (def z :",
    "return",
    "(int)",
    "(String)",
    "instanceof String",
    "=~ /a+/",
    "==~ /(.*)x/",
    "Math.max(",
    "[1, 2]",
    "['a': 1]",
    "new ArrayList()",
    "emit(",
    "field('many').get(",
    "/a/.matcher(",
    ".find()",
    ".group(1)",
    ".toString()",
    ".splitOnToken(',')",
    ".replace('', x)",
    " ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_source_panics_or_runs_on(parts in prop::collection::vec(prop::sample::select(PARTS), 1..25)) {
        let source = parts.join(" ");
        let contexts = [Context::Value, Context::Filter, Context::Number, Context::Runtime(Kind::Keyword)];
        for context in contexts {
            for lang in ["painless", "expression"] {
                let script = Script::new(&source, lang, Map::new(), context);
                let Ok(script) = script else { continue };
                let _ = script.value(&document());
                let _ = script.emit("f", &document(), &mut Vec::new());
                let _ = script.number(&[("x", 1.0)]);
            }
        }
    }

    #[test]
    fn no_text_panics(source in "\\PC{0,60}") {
        let _ = Script::new(&source, "painless", Map::new(), Context::Value).map(|script| script.value(&document()));
        let _ = Script::new(&source, "expression", Map::new(), Context::Value);
    }

    #[test]
    fn arithmetic_agrees_with_wide_numbers(tree in tree()) {
        let source = tree.source();
        let found = run(&source);
        match tree.value() {
            Some(Exact::Int(number)) => prop_assert_eq!(found, Ok(json!(number)), "{}", source),
            Some(Exact::Long(number)) => prop_assert_eq!(found, Ok(json!(number)), "{}", source),
            Some(Exact::Double(number)) => prop_assert_eq!(found, Ok(output::number(number)), "{}", source),
            None => prop_assert_eq!(found.map_err(cause), Err("runtime error: arithmetic_exception: / by zero".to_owned())),
        }
    }
}

/// Arithmetic, stated a second time: whole numbers are computed in 128 bits and cut.
#[derive(Debug, Clone)]
enum Tree {
    Int(i32),
    Long(i64),
    Double(f64),
    Of(Box<Tree>, char, Box<Tree>),
}

#[derive(Debug, Clone, Copy)]
enum Exact {
    Int(i32),
    Long(i64),
    Double(f64),
}

impl Exact {
    fn double(self) -> f64 {
        match self {
            Self::Int(number) => number.into(),
            Self::Long(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    fn wide(self) -> i128 {
        match self {
            Self::Int(number) => number.into(),
            Self::Long(number) => number.into(),
            Self::Double(_) => unreachable!(),
        }
    }
}

impl Tree {
    fn source(&self) -> String {
        match self {
            Self::Int(number) => format!("({number})"),
            Self::Long(number) => format!("({number}L)"),
            Self::Double(number) => format!("({number:?}d)"),
            Self::Of(left, sign, right) => format!("({} {sign} {})", left.source(), right.source()),
        }
    }

    fn value(&self) -> Option<Exact> {
        let (left, sign, right) = match self {
            Self::Int(number) => return Some(Exact::Int(*number)),
            Self::Long(number) => return Some(Exact::Long(*number)),
            Self::Double(number) => return Some(Exact::Double(*number)),
            Self::Of(left, sign, right) => (left.value()?, sign, right.value()?),
        };
        if matches!(left, Exact::Double(_)) || matches!(right, Exact::Double(_)) {
            let (left, right) = (left.double(), right.double());
            return Some(Exact::Double(match sign {
                '+' => left + right,
                '-' => left - right,
                '*' => left * right,
                '/' => left / right,
                _ => left % right,
            }));
        }
        let long = matches!(left, Exact::Long(_)) || matches!(right, Exact::Long(_));
        let (left, right) = (left.wide(), right.wide());
        if right == 0 && "/%".contains(*sign) {
            return None;
        }
        let wide = match sign {
            '+' => left + right,
            '-' => left - right,
            '*' => left * right,
            '/' => left / right,
            _ => left % right,
        };
        Some(if long {
            Exact::Long(wide as i64)
        } else {
            Exact::Int(wide as i32)
        })
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        prop_oneof![
            Just(0),
            Just(i32::MIN),
            Just(i32::MAX),
            -9..9_i32,
            any::<i32>()
        ]
        .prop_map(Tree::Int),
        prop_oneof![
            Just(0),
            Just(i64::MIN),
            Just(i64::MAX),
            -9..9_i64,
            any::<i64>()
        ]
        .prop_map(Tree::Long),
        (-1000.0..1000.0_f64).prop_map(Tree::Double),
    ];
    leaf.prop_recursive(4, 32, 2, |inner| {
        let signs = prop::sample::select(vec!['+', '-', '*', '/', '%']);
        (inner.clone(), signs, inner)
            .prop_map(|(left, sign, right)| Tree::Of(Box::new(left), sign, Box::new(right)))
    })
}
