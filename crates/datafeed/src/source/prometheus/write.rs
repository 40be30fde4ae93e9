//! Remote write: samples are sent to a server that takes them in as a Prometheus does (version 1.0 of the protocol).

use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::source::http::Http;
use crate::source::settings::Endpoint;
use crate::source::{Result, SourceError};

const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    ),
    (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
    (
        HeaderName::from_static("x-prometheus-remote-write-version"),
        HeaderValue::from_static("0.1.0"),
    ),
];

/// A server that is written to.
#[derive(Debug)]
pub struct RemoteWrite(Http);

/// Samples of one set of labels: epoch milliseconds, ascending. The labels are in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub labels: Vec<(String, String)>,
    pub samples: Vec<(i64, f64)>,
}

impl RemoteWrite {
    /// # Errors
    /// What is wrong in the settings.
    pub fn new(endpoint: &Endpoint) -> std::result::Result<Self, String> {
        let others = [
            ("api_key", endpoint.api_key.is_some()),
            ("workspace", endpoint.workspace.is_some()),
            ("scroll", endpoint.scroll),
        ];
        match others.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!("{name} is nothing that remote write has")),
            None => Ok(Self(Http::new(endpoint)?)),
        }
    }

    /// # Errors
    /// Unavailable where it may go better later, Refused where the server doesn't want these samples.
    pub async fn send(&self, series: &[Written]) -> Result<()> {
        let packed = snap::raw::Encoder::new().compress_vec(&encode(series));
        let packed = packed.map_err(|error| SourceError::refused(400, error.to_string()))?;
        let answer = self.0.send_as(Method::POST, "", &HEADERS, packed).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&answer.body);
        let text: String = text.trim().chars().take(300).collect();
        let reason = format!("{}: {text}", answer.status);
        Err(match answer.status.as_u16() {
            429 | 500.. => SourceError::Unavailable(reason),
            status => SourceError::refused(status, reason),
        })
    }
}

/// A `WriteRequest` of protobuf: `timeseries = 1 {labels = 1 {name = 1, value = 2}, samples = 2 {value = 1, timestamp
/// = 2}}`.
fn encode(series: &[Written]) -> Vec<u8> {
    let mut request = Vec::new();
    for of in series {
        let mut body = Vec::new();
        for (name, value) in &of.labels {
            let mut label = Vec::new();
            message(&mut label, 1, name.as_bytes());
            message(&mut label, 2, value.as_bytes());
            message(&mut body, 1, &label);
        }
        for (time, value) in &of.samples {
            // A double, eight bytes; and an int64, as its 64 bits.
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, time.cast_unsigned());
            message(&mut body, 2, &sample);
        }
        message(&mut request, 1, &body);
    }
    request
}

/// A field whose length is told.
fn message(to: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    to.push(field << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_protobuf_has_it() {
        let series = Written {
            labels: vec![("a".to_owned(), "b".repeat(200))],
            samples: vec![(300, 1.0), (-1, 0.0)],
        };
        let mut expected = vec![0x0a, 0xf3, 0x01];
        // The label: 3 bytes of its name, 203 of its value.
        expected.extend([0x0a, 0xce, 0x01, 0x0a, 1, b'a', 0x12, 0xc8, 0x01]);
        expected.extend([b'b'; 200]);
        // 300 is ac 02; -1 has all its bits.
        expected.extend([0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 2]);
        expected.extend([0x12, 20, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]);
        expected.extend([0xff; 9]);
        expected.push(1);
        let body = expected.len() - 3;
        expected[1..3].copy_from_slice(&[(body as u8 & 0x7f) | 0x80, (body >> 7) as u8]);
        assert_eq!(encode(&[series]), expected);
    }
}
