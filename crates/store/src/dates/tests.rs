use super::*;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

fn at(text: &str) -> i64 {
    DateFormat::default()
        .parse(text, Zone::Utc, false)
        .expect(text)
}

fn zone(text: &str) -> Zone {
    Zone::parse(text).expect(text)
}

#[test]
fn dates_are_read_as_far_as_they_are_said() {
    let iso = DateFormat::default();
    let start = 1_464_739_200_000;
    for (text, expected) in [
        ("2016-06-01", start),
        ("2016-06", start),
        ("2016-06-01T", start),
        ("2016-06-01T12", start + 12 * HOUR),
        ("2016-06-01T12:30:15.123456789Z", start + 45_015_123),
        ("2016-06-01T02:00+02:00", start),
        ("2016-06-01T02:00+0200", start),
        ("1464739200000", start),
        ("-1", -1),
    ] {
        assert_eq!(iso.parse(text, Zone::Utc, false), Some(expected), "{text}");
    }
    for wrong in [
        "2016-13",
        "2016-6-1",
        "2016-06-01T25",
        "2016-06-01 12:00",
        "soon",
        "",
        "2016-06-01T12:00:00.Z",
    ] {
        assert_eq!(iso.parse(wrong, Zone::Utc, false), None, "{wrong}");
    }
    // What is not said of the day is its last; of the year, its first.
    assert_eq!(iso.parse("2016-06", Zone::Utc, true), Some(start + DAY - 1));
    assert_eq!(
        iso.parse("2016-06-01T12", Zone::Utc, true),
        Some(start + 13 * HOUR - 1)
    );
    assert_eq!(
        iso.parse("2016-06-01", zone("+02:00"), false),
        Some(start - 2 * HOUR)
    );
}

#[test]
fn patterns_read_and_write_the_same() {
    let time = at("2016-06-01T12:30:15.123Z");
    for (format, text) in [
        ("yyyy-MM-dd HH:mm:ss.SSS", "2016-06-01 12:30:15.123"),
        (
            "dd/MMM/yyyy:HH:mm:ss.SSS Z",
            "01/Jun/2016:12:30:15.123 +0000",
        ),
        ("basic_date_time", "20160601T123015.123Z"),
        ("strict_date_time", "2016-06-01T12:30:15.123Z"),
        (
            "EEE, d MMM yyyy hh:mm:ss.SSS a",
            "Wed, 1 Jun 2016 12:30:15.123 PM",
        ),
        ("epoch_second", "1464784215.123"),
        ("epoch_millis", "1464784215123"),
        ("yyyy-DDD'T'HH:mm:ss[.SSS]", "2016-153T12:30:15.123"),
    ] {
        let format = DateFormat::new(format).expect(format);
        assert_eq!(format.format(time, Zone::Utc), text);
        assert_eq!(format.parse(text, Zone::Utc, false), Some(time), "{text}");
    }
    assert_eq!(DateFormat::new("yyyy-QQ"), None);
    assert_eq!(
        DateFormat::default().format(time, zone("Europe/Paris")),
        "2016-06-01T14:30:15.123+02:00"
    );
}

#[test]
fn nanoseconds_are_read_and_written() {
    let time = 1_464_784_215_123_456_700;
    for (format, text) in [
        (
            "strict_date_optional_time_nanos",
            "2016-06-01T12:30:15.1234567Z",
        ),
        (
            "yyyy-MM-dd HH:mm:ss.SSSSSSSSS",
            "2016-06-01 12:30:15.123456700",
        ),
    ] {
        let format = DateFormat::new(format).expect(format);
        assert_eq!(format.format_nanos(time, Zone::Utc), text);
        assert_eq!(format.parse(text, Zone::Utc, true), Some(1_464_784_215_123));
        assert_eq!(format.nanos(text), Some(456_700));
    }
    let format = DateFormat::default();
    assert_eq!(
        format.format_nanos(1_000_000, Zone::Utc),
        "1970-01-01T00:00:00.001Z"
    );
    assert_eq!(format.nanos("2016-06-01T12:30:15.123Z"), Some(0));
    assert_eq!(format.nanos("2016-06-01T12:30:15Z"), None);
    let of = |format| {
        DateFormat::new(format)
            .expect(format)
            .format_nanos(time, Zone::Utc)
    };
    assert_eq!(of("epoch_millis"), "1464784215123");
    assert_eq!(of("epoch_second"), "1464784215.1234567");
}

#[test]
fn math_moves_and_rounds() {
    let now = at("2016-06-15T12:30:15.123Z");
    let format = DateFormat::default();
    let of = |text: &str, up| math(text, &format, Zone::Utc, now, up).map_err(|e| e.to_string());
    assert_eq!(of("now", false), Ok(now));
    assert_eq!(of("now-1d/d", false), Ok(at("2016-06-14")));
    assert_eq!(of("now/d", true), Ok(at("2016-06-16") - 1));
    assert_eq!(of("now/w", false), Ok(at("2016-06-13")));
    assert_eq!(of("2016-01-31||+1M", false), Ok(at("2016-02-29")));
    assert_eq!(of("2016-06-01||/M", true), Ok(at("2016-07-01") - 1));
    assert_eq!(of("now+90m", false), Ok(now + 90 * 60_000));
    assert_eq!(
        of("soon", false),
        Err(format!(
            "failed to parse date field [soon] with format [{}]",
            format.text()
        ))
    );
    assert_eq!(
        of("now-1x", false),
        Err("unit [x] not supported for date math [-1x]".to_owned())
    );
    assert_eq!(
        of("now*1d", false),
        Err("operator not supported for date math [*1d]".to_owned())
    );
    assert_eq!(
        of("now-1", false),
        Err("truncated date math [-1]".to_owned())
    );
    let paris = math("2016-06-15||/d", &format, zone("Europe/Paris"), now, false);
    assert_eq!(paris, Ok(at("2016-06-14T22:00")));
}

#[test]
fn parts_of_a_calendar_follow_the_wall_clock() {
    let paris = zone("Europe/Paris");
    // The clock was put forward on 2016-03-27, and back on 2016-10-30.
    let day = Interval::Day;
    assert_eq!(
        day.start(at("2016-03-27T12:00"), paris),
        at("2016-03-26T23:00")
    );
    assert_eq!(
        day.next(at("2016-03-26T23:00"), paris),
        at("2016-03-27T22:00")
    );
    assert_eq!(
        day.next(at("2016-10-29T22:00"), paris),
        at("2016-10-30T23:00")
    );
    let hour = Interval::Clock(HOUR);
    for time in ["2016-10-30T00:30", "2016-10-30T01:30", "2016-03-27T01:30"] {
        let time = at(time);
        assert_eq!(hour.start(time, paris), time - HOUR / 2);
    }
    assert_eq!(
        Interval::Week.start(at("2016-06-15"), Zone::Utc),
        at("2016-06-13")
    );
    assert_eq!(
        Interval::Months(3).start(at("2016-06-15"), Zone::Utc),
        at("2016-04-01")
    );
    assert_eq!(
        Interval::Months(12).next(at("2016-01-01"), Zone::Utc),
        at("2017-01-01")
    );
    assert_eq!(Interval::fixed("90s"), Some(Interval::Millis(90_000)));
    assert_eq!(Interval::fixed("1w"), None);
    assert_eq!(Interval::calendar("2d"), None);
    let shifted = Interval::Millis(DAY).start(at("2016-06-15T01:00"), zone("+02:00"));
    assert_eq!(shifted, at("2016-06-14T22:00"));
}
