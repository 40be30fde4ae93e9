//! The default query delay: between one and two minutes, so that the datafeeds of a cluster don't all ask at once, and
//! always the same for a job.

use tidewatch_model::units::TimeSpan;

const SHORTEST: i64 = 60_000;
const LONGEST: i64 = 120_000;

/// Drawn from the generator that Elasticsearch draws it from, seeded by the job's id: a datafeed that is moved keeps
/// what its first server made up.
pub(super) fn of_job(job_id: &str) -> TimeSpan {
    let mut random = Random::new(hash(job_id));
    let range = LONGEST - SHORTEST;
    loop {
        let drawn = (random.next_long() as u64 >> 1) as i64;
        let delay = drawn % range;
        // Above the last whole multiple of the range some delays would come more often than others.
        if drawn.checked_add(range - 1 - delay).is_some() {
            return TimeSpan::millis(SHORTEST + delay);
        }
    }
}

/// A text's hash by the polynomial of 31 over its UTF-16 units.
fn hash(text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    text.encode_utf16().fold(0, step)
}

/// The linear congruential generator of 48 bits.
struct Random(u64);

impl Random {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;

    fn new(seed: i32) -> Self {
        Self((i64::from(seed) as u64 ^ Self::MULTIPLIER) & Self::MASK)
    }

    fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xB) & Self::MASK;
        (self.0 >> 16) as i32
    }

    fn next_long(&mut self) -> i64 {
        let high = i64::from(self.next()) << 32;
        high.wrapping_add(i64::from(self.next()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_well_known_one() {
        // The first two draws of seed 42.
        let mut random = Random::new(42);
        assert_eq!(random.next(), -1_170_105_035);
        assert_eq!(random.next(), 234_785_527);
        assert_eq!(
            hash("test-job"),
            "test-job"
                .bytes()
                .fold(0_i32, |h, b| h.wrapping_mul(31).wrapping_add(i32::from(b)))
        );
        assert_eq!(hash("hello"), 99_162_322);
    }

    #[test]
    fn a_job_has_its_delay() {
        for job_id in ["a", "total-requests", "x-1", "z.z"] {
            let delay = of_job(job_id);
            assert_eq!(delay, of_job(job_id));
            let millis = delay.as_duration().as_millis();
            assert!((60_000..120_000).contains(&millis), "{millis}");
        }
    }
}
