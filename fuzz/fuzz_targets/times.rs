#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch_model::time_format::TimeFormat;
use tidewatch_model::units::{Memory, TimeSpan};

fuzz_target!(|data: (&str, &str)| {
    let (format, text) = data;
    if let Ok(format) = TimeFormat::new(format) {
        let _ = format.parse(text);
    }
    let _ = TimeFormat::Iso8601.parse(text);
    let _ = Memory::parse(text);
    if let Ok(span) = TimeSpan::parse(text) {
        // All that are negative print as -1.
        let again = TimeSpan::parse(&span.to_string()).map(TimeSpan::as_secs);
        assert!(span.is_negative() || again == Ok(span.as_secs()));
        let _ = span.human();
    }
});
