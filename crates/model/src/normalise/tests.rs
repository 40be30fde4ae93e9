use proptest::prelude::*;

use super::*;
use crate::results::{BucketInfluencer, Echoed, Influencer};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A bucket with a score as a whole, and the same of one host.
fn bucket(start: i64, score: f64) -> BucketResults {
    let timestamp = start * 1_000;
    let told = score > 0.0;
    let of_bucket = told.then(|| BucketInfluencer {
        job_id: String::new(),
        result_type: "bucket_influencer",
        influencer_field_name: BUCKET_TIME.to_owned(),
        initial_anomaly_score: score,
        anomaly_score: score,
        raw_anomaly_score: 0.0,
        probability: 0.5,
        timestamp,
        bucket_span: HOUR,
        is_interim: false,
    });
    let of_host = told.then(|| Influencer {
        influencer_field_name: "host".to_owned(),
        influencer_field_value: "a".to_owned(),
        influencer_score: score,
        initial_influencer_score: score,
        probability: 0.5,
        bucket_span: HOUR,
        is_interim: false,
        timestamp,
        echoed: Echoed::default(),
    });
    BucketResults {
        bucket: Bucket {
            timestamp,
            anomaly_score: score,
            bucket_span: HOUR,
            initial_anomaly_score: score,
            event_count: 1,
            is_interim: false,
            bucket_influencers: of_bucket.into_iter().collect(),
            processing_time_ms: 0,
            scheduled_events: Vec::new(),
        },
        records: Vec::new(),
        influencers: of_host.into_iter().collect(),
        model_plots: Vec::new(),
        annotations: Vec::new(),
        renormalisation: None,
        forests: Vec::new(),
    }
}

/// A job of hourly buckets with all that it wrote, rescored as it is told.
struct Job {
    normaliser: Normaliser,
    written: Vec<BucketResults>,
    tellings: usize,
}

impl Job {
    fn new() -> Self {
        Self {
            normaliser: Normaliser::new(HOUR),
            written: Vec::new(),
            tellings: 0,
        }
    }

    fn see(&mut self, hour: i64, score: f64) {
        let mut results = bucket(hour * HOUR, score);
        let influencers = ["host".to_owned()];
        self.normaliser.take(&influencers, &mut results, u64::MAX);
        if let Some(renormalisation) = results.renormalisation.take() {
            self.tellings += 1;
            self.rescore(&renormalisation);
        }
        let time = results.bucket.timestamp;
        let place = self
            .written
            .partition_point(|of| of.bucket.timestamp < time);
        match self.written.get_mut(place) {
            Some(written) => *written = results,
            None => self.written.push(results),
        }
    }

    fn rescore(&mut self, told: &Renormalisation) {
        let kinds = told.kinds;
        for results in &mut self.written {
            let of = &mut results.bucket;
            if !(told.from..told.before).contains(&of.timestamp) {
                continue;
            }
            if kinds.buckets && of.anomaly_score >= told.floor {
                for time in &mut of.bucket_influencers {
                    let score = time.initial_anomaly_score;
                    time.anomaly_score = told.curves.bucket_influencer(BUCKET_TIME, score);
                    of.anomaly_score = time.anomaly_score;
                }
            }
            for of in &mut results.influencers {
                if kinds.influencers && of.influencer_score >= told.floor {
                    let score = of.initial_influencer_score;
                    of.influencer_score = told.curves.influencer("host", score);
                }
            }
        }
    }

    fn run(&mut self, hours: std::ops::Range<i64>, score: impl Fn(i64) -> f64) {
        hours.for_each(|hour| self.see(hour, score(hour)));
    }

    fn score(&self, hour: usize) -> f64 {
        self.written[hour].bucket.anomaly_score
    }
}

#[test]
fn an_early_small_anomaly_falls_and_rises_with_what_comes_after() {
    let mut job = Job::new();
    let quiet = |hour| if hour == 100 { 60.0 } else { 0.0 };
    job.run(0..300, quiet);
    assert_eq!((job.score(100), job.tellings), (60.0, 0));
    job.run(300..420, |hour| if hour % 6 == 0 { 95.0 } else { 0.0 });
    let fallen = job.score(100);
    assert!(fallen < 30.0, "{fallen}");
    assert!(job.score(300) < 45.0, "{}", job.score(300));
    job.run(420..700, |_| 0.0);
    let risen = job.score(100);
    assert!(risen > fallen + 5.0 && risen <= 60.0, "{fallen} {risen}");
    assert_eq!(job.written[100].bucket.initial_anomaly_score, 60.0);
    assert_eq!(job.written[100].influencers[0].influencer_score, risen);
}

#[test]
fn two_alarms_a_month_stay() {
    let mut job = Job::new();
    job.run(0..720, |hour| if hour % 360 == 200 { 95.0 } else { 0.0 });
    assert_eq!((job.score(200), job.score(560)), (95.0, 95.0));
}

#[test]
fn what_left_the_window_is_forgotten_and_stays_as_it_was() {
    let mut job = Job::new();
    job.run(0..720, |hour| if hour % 10 == 0 { 90.0 } else { 0.0 });
    let old = job.score(100);
    assert!(old < 4.0, "{old}");
    job.run(720..1_600, |_| 0.0);
    assert!(job.score(100) < 20.0 && job.score(700) > 35.0);
    assert!(job.score(100) <= job.score(700), "it left before");
    job.see(1_600, 90.0);
    assert_eq!(job.score(1_600), 90.0);
    // A leap in time forgets as well.
    job.run(1_601..1_700, |_| 90.0);
    assert!(job.score(1_699) < 4.0, "{}", job.score(1_699));
    job.see(5_000, 90.0);
    assert_eq!(job.written.last().expect("one").bucket.anomaly_score, 90.0);
}

#[test]
fn a_window_of_nothing_leaves_scores_alone() {
    let mut job = Job::new();
    job.normaliser.configure(Some(0), HOUR);
    job.run(0..500, |hour| if hour % 5 == 0 { 90.0 } else { 0.0 });
    assert_eq!(
        (job.score(5), job.tellings, job.normaliser.bytes()),
        (90.0, 0, 0)
    );
}

#[test]
fn steady_noise_is_told_now_and_then() {
    let mut job = Job::new();
    let noise = |hour: i64| {
        if hour * 7_919 % 53 == 0 {
            40.0 + (hour * 31 % 60) as f64
        } else {
            0.0
        }
    };
    job.run(0..2_000, noise);
    let before = job.tellings;
    job.run(2_000..4_000, noise);
    let told = job.tellings - before;
    assert!(told < 100, "{told} tellings for 38 alarms in 2000 buckets");
}

#[test]
fn no_room_no_bounds() {
    let mut normaliser = Normaliser::new(HOUR);
    let fields = ["host".to_owned()];
    for hour in 0..200 {
        normaliser.take(
            &fields,
            &mut bucket(hour * HOUR, 90.0),
            1_500 - normaliser.bytes(),
        );
    }
    assert!((1_000..=1_500).contains(&normaliser.bytes()));
    let bytes = normaliser.bytes();
    normaliser.weigh();
    assert_eq!(normaliser.bytes(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Results in the window are always under the bounds of now, also when a part of the past is gone through again.
    #[test]
    fn rescoring_again_changes_nothing(
        scores in prop::collection::vec(prop_oneof![3 => Just(0.0), 1 => 0.0..=100.0f64], 50..400),
        saved in 0usize..400,
        span in 1i64..3,
    ) {
        let saved = saved.min(scores.len());
        let window = 10 * DAY;
        let run = |job: &mut Job, hours: std::ops::Range<usize>| {
            for hour in hours {
                job.see(hour as i64 * span, scores[hour]);
                let end = hour as i64 * span * HOUR;
                for results in &job.written {
                    let of = &results.bucket;
                    prop_assert!((0.0..=of.initial_anomaly_score).contains(&of.anomaly_score));
                    let mut again = results.clone();
                    job.normaliser.bound(&["host".to_owned()], &mut again);
                    if of.timestamp >= (end - window) * 1_000 {
                        prop_assert_eq!(results, &again);
                    }
                }
            }
            Ok(())
        };
        let mut job = Job::new();
        job.normaliser.configure(Some(window), HOUR);
        job.normaliser.unsure = false;
        run(&mut job, 0..saved)?;
        let state = job.normaliser.clone();
        run(&mut job, saved..scores.len())?;
        let whole = job.written.clone();
        // The crash: what is written stays, and is written over.
        job.normaliser = state;
        for (hour, score) in scores.iter().enumerate().skip(saved) {
            job.see(hour as i64 * span, *score);
        }
        prop_assert_eq!(job.written, whole);
    }
}
