use proptest::prelude::*;

use super::*;
use crate::forest::random::Random;

const SAMPLE: usize = 64;

/// A forest's points, of a feature: some values come again and again, some are far out.
fn points(seed: u64, features: usize, shingle: usize, count: usize) -> (Points, Vec<u16>) {
    let mut points = Points::new(1_024, features, shingle);
    let mut random = Random::of(seed, 0, 0);
    let kind = seed % 3;
    let mut places = Vec::new();
    for _ in 0..count {
        let mut value = || match kind {
            0 => random.unit() as f32,
            1 => (random.unit() * 3.0).floor() as f32,
            _ => (1.0 / (random.unit() + 0.01)) as f32,
        };
        let entry: Vec<f32> = (0..features).map(|_| value()).collect();
        places.extend(points.push(&entry));
    }
    (points, places)
}

/// Checks what is under a node, and gives its box; a naive score of a point on the way.
fn check(
    tree: &Tree,
    points: &Points,
    (node, first, mass): (usize, usize, usize),
    query: &[f32],
    depth: usize,
) -> (Vec<f32>, Vec<f32>, f64) {
    let leaf = points.at(tree.leaves[first]);
    let same = mass > 1 && tree.nodes[node].dimension == SAME;
    if mass == 1 || same {
        for i in 0..mass {
            assert_eq!(points.at(tree.leaves[first + i]), leaf);
            assert!(i + 1 == mass || tree.nodes[node + i].dimension == SAME);
        }
        let score = match leaf == query {
            true => tree.seen(depth as f32, mass as u16),
            false => 1.0 / (depth as f64 + 1.0),
        };
        return (leaf.to_vec(), leaf.to_vec(), score);
    }
    let Node {
        cut,
        dimension,
        left,
    } = tree.nodes[node];
    let (dimension, left) = (usize::from(dimension), usize::from(left));
    assert!(left > 0 && left < mass);
    let sides = [
        (node + 1, first, left),
        (node + left, first + left, mass - left),
    ];
    let [a, b] = sides.map(|side| check(tree, points, side, query, depth + 1));
    assert!(a.1[dimension] <= cut && cut < b.0[dimension]);
    let pick = |a: &[f32], b: &[f32], of: fn(f32, f32) -> f32| {
        let each = a.iter().zip(b);
        each.map(|(&a, &b)| of(a, b)).collect::<Vec<f32>>()
    };
    let (low, high) = (pick(&a.0, &b.0, f32::min), pick(&a.1, &b.1, f32::max));
    let below = if query[dimension] <= cut { a.2 } else { b.2 };
    let seen = tree.leaves[first..][..mass]
        .iter()
        .any(|&place| points.at(place) == query);
    let score = match span::measure(&low, &high, query) {
        Some((outside, width)) if !seen => {
            let cut_off = f64::from(outside) / f64::from(outside + width);
            below + cut_off * (1.0 / (depth as f64 + 1.0) - below)
        }
        _ => below,
    };
    (low, high, score)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_stays_one_and_scores_as_its_definition_says(
        seed in 0_u64..1_000_000, features in 1_usize..4, shingle in 1_usize..6, count in 40_usize..400,
    ) {
        let (points, places) = points(seed, features, shingle, count);
        let mut tree = Tree::new(SAMPLE, points.dimensions());
        let mut scratch = Scratch::default();
        for (step, &place) in places.iter().enumerate() {
            let mut random = Random::of(seed, 1, step as u64);
            if tree.mass() == SAMPLE {
                tree.evict(&points, &mut scratch);
            }
            let weight = random.unit() as f32;
            tree.insert(&points, place, weight, &mut random, &mut scratch);
            if step % 7 != 0 {
                continue;
            }
            let other = points.at(places[step / 2]).to_vec();
            let moved: Vec<f32> = other.iter().map(|x| x + random.unit() as f32 - 0.5).collect();
            for query in [other, moved] {
                let whole = (0, 0, tree.mass());
                let (low, high, naive) = check(&tree, &points, whole, &query, 0);
                let score = tree.score(&points, &query, &mut scratch);
                prop_assert!((score - naive).abs() < 1e-5, "{} {}", score, naive);
                let all = std::array::from_fn(|_| tree.clone());
                for abreast in Tree::scores(&all, &points, &query, &mut scratch) {
                    prop_assert!((abreast - score).abs() < 1e-6, "{} {}", abreast, score);
                }
                if let Some(kept) = tree.boxes.values.get(..2 * points.dimensions()) {
                    prop_assert_eq!(kept, [low, high].concat());
                }
                let mut shares = vec![[0.0; 2]; query.len()];
                tree.attribute(&points, &query, &mut scratch, &mut shares, 1.0);
                let all: f64 = shares.iter().flatten().sum();
                prop_assert!((all - score).abs() < 1e-4, "{} {}", all, score);
            }
            let heaviest = tree.weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(tree.heaviest, heaviest);
            prop_assert_eq!(tree.nodes.len(), tree.mass() - 1);
        }
        tree.purge(&points, |place| place % 3 == 0, &mut scratch);
        if tree.mass() > 0 {
            check(&tree, &points, (0, 0, tree.mass()), points.at(places[0]), 0);
        }
        tree.purge(&points, |_| true, &mut scratch);
        prop_assert_eq!((tree.mass(), tree.nodes.len()), (0, 0));
    }
}

#[test]
fn the_nearest_point_is_found_where_something_is_not_known() {
    let mut points = Points::new(256, 2, 1);
    let mut tree = Tree::new(SAMPLE, 2);
    let mut scratch = Scratch::default();
    for i in 0..50_u16 {
        let place = points
            .push(&[f32::from(i), 100.0 - f32::from(i)])
            .expect("a point");
        let mut random = Random::of(7, 0, u64::from(i));
        tree.insert(&points, place, 0.0, &mut random, &mut scratch);
    }
    for i in 0..50 {
        let near = tree.nearest(&points, &[i as f32, 0.0], &[true, false], &mut scratch);
        let near = near.expect("there are points");
        assert_eq!(
            (points.at(near.place)[1], near.distance),
            (100.0 - i as f32, 0.0)
        );
    }
}
