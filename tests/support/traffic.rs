//! Deterministic data: what some web hosts of three regions would log, with planted anomalies.

use serde_json::{Value, json};

/// Seconds of a bucket of the jobs in these tests.
pub const BUCKET_SPAN: u64 = 900;
/// When the data begins: a Monday, at midnight UTC.
pub const START: u64 = 1_704_067_200;

const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// xorshift64*: the same numbers on every machine, for ever.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A whole number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// A real number in `0..1`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal, mean 0, deviation 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A job of mean and count a host, 15 minutes a bucket.
pub fn job_config() -> Value {
    json!({
        "description": "response times of web hosts",
        "analysis_config": {
            "bucket_span": "15m",
            "detectors": [
                {"function": "mean", "field_name": "value", "partition_field_name": "host"},
                {"function": "count", "partition_field_name": "host"}
            ],
            "influencers": ["host", "region"]
        },
        "data_description": {"time_field": "time", "time_format": "epoch_ms"}
    })
}

/// One record as a line of NDJSON, its newline included.
pub fn record(time_ms: u64, host: &str, region: &str, value: f64) -> String {
    let fields = format!(r#""host":"{host}","region":"{region}","value":{value:.3}"#);
    format!("{{\"time\":{time_ms},{fields}}}\n")
}

/// Lines of NDJSON, one after the other, with where each begins.
pub struct Traffic {
    pub bytes: Vec<u8>,
    /// `offsets[i]` is where record i begins; one more than there are records.
    pub offsets: Vec<usize>,
}

impl Traffic {
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The records `from..to`.
    pub fn slice(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[self.offsets[from]..self.offsets[to]]
    }

    /// How many records lie whole (their newline aside) in the first `bytes`.
    pub fn whole_in(&self, bytes: usize) -> usize {
        self.offsets[1..].partition_point(|end| end - 1 <= bytes)
    }

    fn push(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.offsets.push(self.bytes.len());
    }

    /// About three records a host and bucket over `buckets` buckets. Every 997th line is a record that comes two
    /// hours late and every 1499th has no readable time. A quarter of the bytes is a field that no job uses.
    pub fn generate(seed: u64, hosts: usize, buckets: usize) -> Self {
        Self::of(seed, hosts, buckets, |_| None)
    }

    /// The same with so many alarms in the middle third, now of one host and now of another, that scores fall.
    pub fn restless(seed: u64, hosts: usize, buckets: usize) -> Self {
        let middle = buckets / 3..buckets * 2 / 3;
        Self::of(seed, hosts, buckets, |bucket| {
            let is_slow = middle.contains(&bucket) && bucket % 13 == 0;
            is_slow.then_some(bucket / 13 % hosts)
        })
    }

    /// With the host, if any, that is slow in a bucket beside those planted always.
    fn of(seed: u64, hosts: usize, buckets: usize, slow: impl Fn(usize) -> Option<usize>) -> Self {
        let mut rng = Rng::new(seed);
        let mut traffic = Self {
            bytes: Vec::new(),
            offsets: vec![0],
        };
        for bucket in 0..buckets {
            for (time, host) in arrivals(&mut rng, bucket, hosts, buckets) {
                let n = traffic.len() + 1;
                let region = REGIONS[host % REGIONS.len()];
                let mut value = value_at(&mut rng, time, bucket, host, buckets);
                if slow(bucket) == Some(host) {
                    value *= 4.0;
                }
                let time = if n.is_multiple_of(1499) {
                    "\"soon\"".to_owned()
                } else if n.is_multiple_of(997) {
                    (time - 7_200_000).to_string()
                } else {
                    time.to_string()
                };
                let unused = rng.next();
                traffic.push(&format!(
                    "{{\"time\":{time},\"host\":\"web-{host}\",\"region\":\"{region}\",\"value\":{value:.3},\"unused\":\"{unused:016x}{unused:016x}\"}}\n"
                ));
            }
        }
        traffic
    }
}

/// When (ms) which host logs in a bucket, in the order of time. A burst and a silence are planted.
fn arrivals(rng: &mut Rng, bucket: usize, hosts: usize, buckets: usize) -> Vec<(u64, usize)> {
    let start = (START + bucket as u64 * BUCKET_SPAN) * 1000;
    let mut arrivals = Vec::new();
    for host in 0..hosts {
        let silent = host == 2 && (buckets * 7 / 10..buckets * 7 / 10 + 6).contains(&bucket);
        let burst = host == 1 && bucket == buckets * 8 / 10;
        let count = if silent { 0 } else { 2 + rng.below(3) } + if burst { 60 } else { 0 };
        arrivals.extend(
            (0..count).map(|_| (start + rng.below(BUCKET_SPAN as usize * 1000) as u64, host)),
        );
    }
    arrivals.sort_unstable();
    arrivals
}

/// A daily wave with noise; host 0 is five times as slow for two buckets near the end.
fn value_at(rng: &mut Rng, time_ms: u64, bucket: usize, host: usize, buckets: usize) -> f64 {
    let day = time_ms as f64 / 86_400_000.0;
    let normal = 100.0
        + 10.0 * host as f64
        + 30.0 * (day * std::f64::consts::TAU).sin()
        + 5.0 * rng.normal();
    let slow = host == 0 && (buckets * 9 / 10..buckets * 9 / 10 + 2).contains(&bucket);
    if slow { 5.0 * normal } else { normal }
}
