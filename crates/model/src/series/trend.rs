//! Where the level of a series is going, from the means of its last days.

/// A straight line with its uncertainties; a day is the unit of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trend {
    /// A day.
    pub slope: f64,
    /// Variance of the slope.
    pub slope_variance: f64,
    /// Variance that the level gathers a day beside the line, as a random walk does: as it was seen, and as much as it
    /// may be. None where too little is known.
    pub walk: Option<[f64; 2]>,
    /// How far each day of the week (the number of the day modulo 7) is off the line again and again.
    pub week: [f64; 7],
}

/// Fewer days show no trend.
const LEAST: usize = 4;
/// A slope is taken for as large as it is likely to be, given that most series have none: so many variances of its
/// estimate are held against its square.
const DOUBT: f64 = 4.0;
/// Parameters that a step counts for: a random walk always looks as if it had one.
const STEP: f64 = 10.0;
/// What a few days show of a random walk is less than what it will do, by this over their number.
const FEW: f64 = 16.0;
/// A walk that noise hides, as a part of the noise.
const UNSEEN: f64 = 0.3;
/// Days and the same ones a week before, that there must be to tell what a week leaves, and how alike they may be by
/// chance.
const WEEK_PAIRS: i32 = 5;
const BY_CHANCE: f64 = 0.3;
/// Differences over up to so many days tell noise from wandering.
const LAGS: usize = 5;

/// Fits levels (number of the day, level), in any order. A lasting step between two days may be taken out first, where the levels ask
/// for it by the Bayesian information criterion: it says nothing of where they go.
pub fn fit(levels: &[(f64, f64)]) -> Trend {
    let n = levels.len();
    if n < LEAST {
        return Trend::default();
    }
    let mut levels = levels.to_vec();
    levels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let cost = |line: &Line, parameters: f64| {
        let n = n as f64;
        n * (line.squares / n + line.rounding).ln() + parameters * n.ln()
    };
    let whole = Line::through(&[&levels]);
    let (mut best, mut least, mut split) = (whole, cost(&whole, 2.0), n);
    for at in 2..n - 1 {
        let (before, after) = levels.split_at(at);
        let line = Line::through(&[before, after]);
        let cost = cost(&line, STEP);
        if cost < least {
            (best, least, split) = (line, cost, at);
        }
    }
    let (before, after) = levels.split_at(split);
    let mut left = best.residuals(before);
    left.extend(best.residuals(after));
    let week = week(&left);
    for (day, left) in &mut left {
        *left -= week[of_week(*day)];
    }
    let (noise, wander) = parts(&left);
    let most = (wander + UNSEEN * noise) * (1.0 + FEW / n as f64);
    let slope_variance = noise / best.spread + 1.2 * most / n as f64;
    let kept =
        best.slope.powi(2) / (best.slope.powi(2) + DOUBT * slope_variance + f64::MIN_POSITIVE);
    Trend {
        slope: best.slope * kept,
        slope_variance: slope_variance * kept,
        walk: Some([wander, most]),
        week,
    }
}

pub fn of_week(day: f64) -> usize {
    (day.floor() as i64).rem_euclid(7) as usize
}

/// What each day of the week has left, as far as one week's tells the next one's.
fn week(left: &[(f64, f64)]) -> [f64; 7] {
    let (mut both, mut squares, mut pairs) = (0.0, 0.0, 0);
    for (day, late) in left {
        let week_before = left.iter().find(|(other, _)| day - other == 7.0);
        if let Some((_, early)) = week_before {
            both += 2.0 * late * early;
            squares += late * late + early * early;
            pairs += 1;
        }
    }
    let mut week = [0.0; 7];
    if pairs < WEEK_PAIRS || squares <= 0.0 {
        return week;
    }
    let alike = ((both / squares - BY_CHANCE) / (1.0 - BY_CHANCE)).max(0.0);
    let mut seen = [0.0; 7];
    for (day, left) in left {
        week[of_week(*day)] += left;
        seen[of_week(*day)] += 1.0;
    }
    for (sum, seen) in week.iter_mut().zip(seen) {
        *sum *= alike / f64::max(seen, 1.0);
    }
    week
}

#[derive(Debug, Clone, Copy)]
struct Line {
    slope: f64,
    /// Sum of the squares of what it leaves, and of the distances in time from the middle.
    squares: f64,
    spread: f64,
    /// A variance that is no more than rounding.
    rounding: f64,
}

impl Line {
    /// Least squares, with one slope and a level for each part.
    fn through(parts: &[&[(f64, f64)]]) -> Self {
        let (mut xx, mut xy, mut yy, mut largest) = (0.0, 0.0, 0.0, 0.0_f64);
        for part in parts {
            let [x_mean, y_mean] = means(part);
            for (x, y) in part.iter() {
                let (dx, dy) = (x - x_mean, y - y_mean);
                xx += dx * dx;
                xy += dx * dy;
                yy += dy * dy;
                largest = largest.max(y.abs());
            }
        }
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        Self {
            slope,
            squares: (yy - slope * xy).max(0.0),
            spread: xx.max(f64::MIN_POSITIVE),
            rounding: (1e-6 * largest).powi(2) + f64::MIN_POSITIVE,
        }
    }

    fn residuals(&self, part: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let [x_mean, y_mean] = means(part);
        let left = |&(x, y): &(f64, f64)| (x, y - y_mean - self.slope * (x - x_mean));
        part.iter().map(left).collect()
    }
}

fn means(part: &[(f64, f64)]) -> [f64; 2] {
    let n = part.len().max(1) as f64;
    let (x, y) = part
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    [x / n, y / n]
}

/// Variances of a day's own noise and of what a random walk adds each day, of what a line has left of `n` days: the mean
/// square of differences over `k` days is twice the one and `k` times the other, less what the line took with it, which
/// is the variance of a walk's slope, `6/5 n`, times `k` squared.
fn parts(levels: &[(f64, f64)]) -> (f64, f64) {
    let mut lags = [(0.0, 0.0); LAGS];
    for (i, late) in levels.iter().enumerate() {
        for early in &levels[..i] {
            let lag = (late.0 - early.0).round() as usize;
            if let Some((squares, pairs)) = lag.checked_sub(1).and_then(|lag| lags.get_mut(lag)) {
                *squares += (late.1 - early.1).powi(2);
                *pairs += 1.0;
            }
        }
    }
    let n = levels.len() as f64;
    let walk = |lag: u8| f64::from(lag) - 1.2 * f64::from(lag).powi(2) / n;
    let known = || (1u8..).zip(&lags).filter(|(_, (_, pairs))| *pairs > 0.0);
    // A line through them, each with the weight of its pairs.
    let (mut w, mut k, mut d) = (0.0, 0.0, 0.0);
    for (lag, (squares, pairs)) in known() {
        w += pairs;
        k += pairs * walk(lag);
        d += squares;
    }
    if w == 0.0 {
        return (0.0, 0.0);
    }
    let (k, d) = (k / w, d / w);
    let (mut kk, mut kd) = (0.0, 0.0);
    for (lag, (squares, pairs)) in known() {
        let away = walk(lag) - k;
        kk += pairs * away * away;
        kd += away * (squares - pairs * d);
    }
    let wander = if kk > 0.0 { (kd / kk).max(0.0) } else { 0.0 };
    // Both are variances: what the walk alone explains is no noise.
    let wander = wander.min(d / k);
    (((d - wander * k) / 2.0).max(0.0), wander)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(day: u32) -> f64 {
        // Of no period that fits into two weeks.
        (f64::from(day) * 2.4).sin() * 0.3
    }

    fn days(level: impl Fn(u32) -> f64) -> Vec<(f64, f64)> {
        (0..14).map(|day| (f64::from(day), level(day))).collect()
    }

    #[test]
    fn a_steady_growth_is_taken_on_and_a_level_is_left() {
        let trend = fit(&days(|day| 50.0 + 2.0 * f64::from(day) + wave(day)));
        assert!((trend.slope - 2.0).abs() < 0.05, "{trend:?}");
        assert!(trend.walk < Some([0.05, 0.0]), "{trend:?}");
        let level = fit(&days(|day| 50.0 + wave(day)));
        assert!(level.slope.abs() < 0.02, "{level:?}");
        assert_eq!(fit(&days(wave)[..3]), Trend::default());
    }

    #[test]
    fn a_step_is_no_growth() {
        let step = |day| if day < 6 { 0.0 } else { 20.0 };
        let trend = fit(&days(|day| 50.0 + step(day) + wave(day)));
        assert!(trend.slope.abs() < 0.05, "{trend:?}");
        let both = fit(&days(|day| 50.0 + step(day) + f64::from(day) + wave(day)));
        assert!((both.slope - 1.0).abs() < 0.15, "{both:?}");
    }

    #[test]
    fn what_a_weekday_leaves_again_and_again_is_its_own() {
        let trend = fit(&days(|day| {
            100.0 + f64::from(u8::from(day % 7 == 2)) * 30.0 + wave(day)
        }));
        let others = trend.week.iter().sum::<f64>() / 6.0 - trend.week[2] / 6.0;
        assert!((trend.week[2] - others - 30.0).abs() < 3.0, "{trend:?}");
        let once = fit(&days(|day| 100.0 + f64::from(u8::from(day == 9)) * 30.0));
        assert_eq!(once.week, [0.0; 7]);
    }

    #[test]
    fn a_walk_is_told_from_noise() {
        // Steps of 1 a day, of mixed signs, against a level that comes back.
        let mut at = 0.0;
        let walk: Vec<f64> = [1, 1, -1, 1, 1, 1, -1, -1, 1, -1, -1, -1, 1, 1]
            .map(|step: i8| {
                at += f64::from(step);
                at
            })
            .into();
        let walk = fit(&days(|day| walk[day as usize]));
        let noise = fit(&days(|day| f64::from(u8::from(day % 2 == 0))));
        assert!(
            walk.walk > Some([0.4, 0.0]) && noise.walk < Some([0.05, 0.0]),
            "{walk:?} {noise:?}"
        );
    }
}
