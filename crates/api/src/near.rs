//! The known names that a wrong one may have meant.

/// Names so near that they are told, the nearest first: `[a]`, or `any of [a, b]`.
pub fn meant(name: &str, known: &[&str]) -> Option<String> {
    let mut near: Vec<(f32, &str)> = known
        .iter()
        .map(|known| (likeness(name, known), *known))
        .filter(|(likeness, _)| *likeness > 0.5)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup();
    let names: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
    match names.len() {
        0 => None,
        1 => Some(format!("[{}]", names[0])),
        _ => Some(format!("any of [{}]", names.join(", "))),
    }
}

/// One less Levenshtein's distance, as a part of the longer name's length.
fn likeness(a: &str, b: &str) -> f32 {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let longer = a.len().max(b.len());
    // A name of more than twice the length can't be near; nor need a very long one be compared.
    if a.len().min(b.len()) * 2 < longer {
        return 0.0;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    1.0 - row[b.len()] as f32 / longer.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_comes_first() {
        let known = ["start", "state", "end"];
        assert_eq!(
            meant("stat", &known).as_deref(),
            Some("any of [start, state]")
        );
        assert_eq!(meant("ende", &known).as_deref(), Some("[end]"));
        // Half of it is wrong.
        assert_eq!(meant("staaaaaaaa", &known), None);
        assert_eq!(meant("", &known), None);
    }
}
