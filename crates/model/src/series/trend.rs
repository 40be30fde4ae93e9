//! Where the level of a series is going, from the means of its last days.

/// A straight line with its uncertainties; a day is the unit of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trend {
    /// A day.
    pub slope: f64,
    /// Variance of the slope.
    pub slope_variance: f64,
    /// Variance that the level gathers a day beside the line, as a random walk does; none where too little is known.
    pub wander: Option<f64>,
}

/// Fewer days show no trend.
const LEAST: usize = 4;
/// A slope is taken for as large as it is likely to be, given that most series have none: so many variances of its
/// estimate are held against its square.
const DOUBT: f64 = 2.0;
/// Differences over up to so many days tell noise from wandering.
const LAGS: usize = 5;

/// Fits levels (day, level), in any order. A lasting step between two days may be taken out first, where the levels ask
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
        // The place of the step is a parameter as well.
        let cost = cost(&line, 4.5);
        if cost < least {
            (best, least, split) = (line, cost, at);
        }
    }
    let (before, after) = levels.split_at(split);
    let mut left = best.residuals(before);
    left.extend(best.residuals(after));
    let (noise, wander) = parts(&left);
    let slope_variance = noise / best.spread + 1.2 * wander / n as f64;
    let kept =
        best.slope.powi(2) / (best.slope.powi(2) + DOUBT * slope_variance + f64::MIN_POSITIVE);
    Trend {
        slope: best.slope * kept,
        slope_variance: slope_variance * kept,
        wander: Some(wander),
    }
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

/// Variances of a day's own noise and of what a random walk adds each day: the mean square of differences over `k` days
/// is twice the one and `k` times the other.
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
    let known = || (1u8..).zip(&lags).filter(|(_, (_, pairs))| *pairs > 0.0);
    // A line through them, each with the weight of its pairs.
    let (mut w, mut k, mut d) = (0.0, 0.0, 0.0);
    for (lag, (squares, pairs)) in known() {
        w += pairs;
        k += pairs * f64::from(lag);
        d += squares;
    }
    if w == 0.0 {
        return (0.0, 0.0);
    }
    let (k, d) = (k / w, d / w);
    let (mut kk, mut kd) = (0.0, 0.0);
    for (lag, (squares, pairs)) in known() {
        let away = f64::from(lag) - k;
        kk += pairs * away * away;
        kd += away * (squares - pairs * d);
    }
    let wander = if kk > 0.0 { (kd / kk).max(0.0) } else { 0.0 };
    // Both are variances: what the walk alone explains is no noise.
    let wander = wander.min(d / k);
    (((d - wander * k) / 2.0).max(0.0), wander)
}
