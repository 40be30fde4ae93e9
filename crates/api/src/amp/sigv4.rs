//! Signatures of requests, version 4: what a client that has the same secret would have signed.

use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::escape;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The parameter that signs the others.
const SIGNATURE: &str = "X-Amz-Signature";

/// What a request says of its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub access_key_id: String,
    /// `20261121`, as the key's scope has it.
    pub date: String,
    pub region: String,
    pub service: String,
    /// Names, lower case, in the order that was signed.
    pub signed_headers: Vec<String>,
    /// Lower-case hexadecimal.
    pub signature: String,
}

/// A request as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    pub method: &'a str,
    /// With its escapes.
    pub path: &'a str,
    pub query: &'a str,
    /// Lower-case names and values, in the order in which they came.
    pub headers: &'a [(&'a str, &'a str)],
    /// The header or parameter `X-Amz-Date`, as `20261121T051518Z`.
    pub time: &'a str,
    pub body: &'a [u8],
}

impl Authorization {
    /// Reads the header of this name.
    ///
    /// # Errors
    /// What is missing or has no meaning.
    pub fn parse(header: &str) -> Result<Self, String> {
        let Some(parts) = header.strip_prefix(ALGORITHM) else {
            return Err(format!("Authorization header requires '{ALGORITHM}'."));
        };
        let part = |name: &str| {
            let mut parts = parts.split(',').map(str::trim);
            let found = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| {
                format!("Authorization header requires '{name}' parameter. Authorization={header}")
            })
        };
        Self::of(
            part("Credential")?,
            part("SignedHeaders")?,
            part("Signature")?,
        )
    }

    /// Reads the parameters of a URL that was signed before it was handed on.
    ///
    /// # Errors
    /// What is missing or has no meaning.
    pub fn of_parameters(pairs: &[(String, String)]) -> Result<Self, String> {
        let part = |name: &str| {
            let found = pairs.iter().find(|(other, _)| other == name);
            let value = found.map(|(_, value)| value.as_str());
            value.ok_or_else(|| {
                format!("AWS query-string parameters must include '{name}'. Re-examine the query-string parameters.")
            })
        };
        let algorithm = part("X-Amz-Algorithm")?;
        if algorithm != ALGORITHM {
            return Err(format!("Unsupported AWS 'algorithm': '{algorithm}'."));
        }
        let [credential, headers, signature] =
            ["X-Amz-Credential", "X-Amz-SignedHeaders", SIGNATURE].map(part);
        Self::of(credential?, headers?, signature?)
    }

    fn of(credential: &str, signed_headers: &str, signature: &str) -> Result<Self, String> {
        let mut scope = credential.rsplitn(5, '/');
        let mut next = || {
            let part = scope.next().filter(|part| !part.is_empty());
            part.map(str::to_owned).ok_or_else(|| {
                format!(
                    "Credential must have exactly 5 slash-delimited elements, got '{credential}'"
                )
            })
        };
        let (end, service, region, date) = (next()?, next()?, next()?, next()?);
        let access_key_id = next()?;
        if end != "aws4_request" {
            return Err(format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{end}'."
            ));
        }
        Ok(Self {
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
            access_key_id,
            date,
            region,
            service,
        })
    }

    /// Whether the one who has the secret signed this request.
    pub fn is_of(&self, request: Signed, secret: &str) -> bool {
        let Some(canonical) = self.canonical(request) else {
            return false;
        };
        let scope = format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        );
        let text = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            request.time,
            hexadecimal(digest(&SHA256, canonical.as_bytes()).as_ref())
        );
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{secret}").as_bytes());
        for part in [&self.date, &self.region, &self.service, "aws4_request"] {
            let signed = hmac::sign(&key, part.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, signed.as_ref());
        }
        // In constant time, whatever it is.
        bytes(&self.signature)
            .is_some_and(|signature| hmac::verify(&key, text.as_bytes(), &signature).is_ok())
    }

    /// The text that stands for the request; None where its parts can't be read.
    fn canonical(&self, request: Signed) -> Option<String> {
        let mut headers = String::new();
        for name in &self.signed_headers {
            let values = request.headers.iter().filter(|(other, _)| other == name);
            let values: Vec<String> = values.map(|(_, value)| trimmed(value)).collect();
            headers += &format!("{name}:{}\n", values.join(","));
        }
        let told = request
            .headers
            .iter()
            .find(|(name, _)| *name == "x-amz-content-sha256");
        let hash = hexadecimal(digest(&SHA256, request.body).as_ref());
        // A hash that is told must be that of what came.
        if told.is_some_and(|(_, told)| *told != hash) {
            return None;
        }
        Some(format!(
            "{}\n{}\n{}\n{headers}\n{}\n{hash}",
            request.method,
            encoded(&without_dots(request.path), true),
            query(request.query)?,
            self.signed_headers.join(";")
        ))
    }
}

/// Without blanks at the ends, and one where there are several.
fn trimmed(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `/a/./b//../c` is `/a/c`.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", parts.join("/"))
}

/// Sorted by name and value, each escaped in one way.
fn query(query: &str) -> Option<String> {
    let pairs = escape::pairs(query).ok()?;
    let mut pairs: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, _)| name != SIGNATURE)
        .map(|(name, value)| (encoded(name, false), encoded(value, false)))
        .collect();
    pairs.sort();
    let pairs = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    Some(pairs.collect::<Vec<_>>().join("&"))
}

/// Escapes all but what is reserved for nothing.
fn encoded(text: &str, is_path: bool) -> String {
    let mut to = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                to.push(char::from(byte));
            }
            b'/' if is_path => to.push('/'),
            byte => to += &format!("%{byte:02X}"),
        }
    }
    to
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if !hexadecimal.len().is_multiple_of(2) {
        return None;
    }
    let pairs = hexadecimal.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8))
        .collect()
}

#[cfg(test)]
mod tests;
