//! From the values of a population's members to its people: one judgement for each, with its causes.

use super::{Closed, Closing, Judged, Key, NO_SPLIT};
use crate::aggregate::joint;

/// Judgements by person: those of one lie together, ordered by what they are of.
pub fn by_person(all: &mut [Judged]) {
    all.sort_unstable_by_key(|judged| {
        let Key {
            partition,
            by,
            over,
        } = judged.key;
        (partition, over, by)
    });
}

/// One judgement of what a person did, at least one thing, which has come to `probability`.
pub fn person(probability: f64, mut causes: Vec<Judged>) -> Judged {
    causes.sort_by(|a, b| a.probability.total_cmp(&b.probability));
    let mut person = causes[0].clone();
    person.key.by = NO_SPLIT;
    person.probability = probability;
    person.finding.probability = probability;
    person.causes = causes;
    person
}

/// A judgement for each person, all that one did taken together.
pub fn told(closing: &Closing<'_>, mut all: Vec<Judged>) -> Closed {
    by_person(&mut all);
    let mut closed = Closed::default();
    let same =
        |a: &Judged, b: &Judged| (a.key.partition, a.key.over) == (b.key.partition, b.key.over);
    for of_person in all.chunk_by(same) {
        closed.judged += 1;
        let mut least: Vec<f64> = of_person.iter().map(|judged| judged.probability).collect();
        least.sort_unstable_by(f64::total_cmp);
        let probability = joint(&least, least.len());
        if of_person.iter().any(|j| closing.wants(j.key, probability)) {
            closed.told.push(person(probability, of_person.to_vec()));
        }
    }
    closed
}
