//! Signatures of AWS's published test suite (by their names there), and of botocore for requests of its `amp` client.

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TIME: &str = "20150830T123600Z";
const FORM: &str = "application/x-www-form-urlencoded";

struct Case {
    service: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static str,
    host: &'static str,
    content_type: Option<&'static str>,
    body: &'static str,
    signature: &'static str,
}

const GET_VANILLA: Case = Case {
    service: "service",
    method: "GET",
    path: "/",
    query: "",
    host: "example.amazonaws.com",
    content_type: None,
    body: "",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
};
const OF_CLIENT: Case = Case {
    service: "aps",
    host: "127.0.0.1:18081",
    ..GET_VANILLA
};

fn cases() -> [Case; 6] {
    [
        GET_VANILLA,
        // get-vanilla-query-order-key-case
        Case {
            query: "Param2=value2&Param1=value1",
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ..GET_VANILLA
        },
        // post-x-www-form-urlencoded
        Case {
            method: "POST",
            content_type: Some(FORM),
            body: "Param1=value1",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ..GET_VANILLA
        },
        Case {
            method: "PUT",
            path: "/workspaces/ws-1/anomalydetectors/ad-1",
            content_type: Some("application/json"),
            body: r#"{"configuration": {"randomCutForest": {"query": "avg(up)"}}, "clientToken": "tok-1"}"#,
            signature: "578b82f18cb3191b498144e89baca4550983f84a3d8d6dd7042e73278cdf773f",
            ..OF_CLIENT
        },
        Case {
            path: "/workspaces/ws%201/anomalydetectors",
            query: "alias=my-&maxResults=5&nextToken=a%2Fb",
            signature: "d6b551479fb9bf9322021e4ee7de80d428afb0b85ca1faac211fa746904c5b77",
            ..OF_CLIENT
        },
        Case {
            method: "DELETE",
            path: "/tags/arn%3Aaws%3Aaps%3Aus-east-1%3A123456789012%3Aanomalydetector%2Fws-1%2Fad-1",
            query: "tagKeys=b&tagKeys=a",
            signature: "11e874ef6eb86bd6ad8852bfb15b041e23b0d9b4941391a817d797c943fddb81",
            ..OF_CLIENT
        },
    ]
}

impl Case {
    fn is_taken(&self, secret: &str, path: &str, body: &str) -> bool {
        let mut headers = vec![("host", self.host), ("x-amz-date", TIME)];
        headers.extend(self.content_type.map(|kind| ("content-type", kind)));
        let names = match self.content_type {
            Some(_) => "content-type;host;x-amz-date",
            None => "host;x-amz-date",
        };
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{}/aws4_request, SignedHeaders={names}, \
             Signature={}",
            self.service, self.signature
        );
        let authorization = Authorization::parse(&header).unwrap();
        assert_eq!(authorization.access_key_id, "AKIDEXAMPLE");
        let request = Signed {
            method: self.method,
            path,
            query: self.query,
            headers: &headers,
            time: TIME,
            body: body.as_bytes(),
        };
        authorization.is_of(request, secret)
    }
}

#[test]
fn published_signatures_are_taken_and_others_are_not() {
    for case in cases() {
        let told = format!("{} {}?{}", case.method, case.path, case.query);
        assert!(case.is_taken(SECRET, case.path, case.body), "{told}");
        assert!(!case.is_taken("secret", case.path, case.body), "{told}");
        assert!(!case.is_taken(SECRET, "/x", case.body), "{told}");
        assert!(!case.is_taken(SECRET, case.path, "x"), "{told}");
    }
}

#[test]
fn headers_that_say_too_little_are_told() {
    let told = |header: &str| Authorization::parse(header).unwrap_err();
    assert!(told("Bearer x").contains("requires 'AWS4-HMAC-SHA256'"));
    assert!(told("AWS4-HMAC-SHA256 SignedHeaders=host").contains("'Credential'"));
    let short = told("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00");
    assert!(short.contains("5 slash-delimited elements"), "{short}");
    let end = told("AWS4-HMAC-SHA256 Credential=k/d/r/s/x, SignedHeaders=host, Signature=00");
    assert!(end.contains("valid terminator"), "{end}");
    // An access key's id may have slashes, and what is no hexadecimal is no signature.
    let good = "AWS4-HMAC-SHA256 Credential=a/b/d/r/s/aws4_request,SignedHeaders=host,Signature=0é";
    let parsed = Authorization::parse(good).unwrap();
    assert_eq!(parsed.access_key_id, "a/b");
    assert_eq!(bytes(&parsed.signature), None);
}
