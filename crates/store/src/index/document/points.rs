//! Points on the globe, in every form that Elasticsearch reads

use super::super::error::Refusal;

type Result<T> = std::result::Result<T, Refusal>;

/// A point: latitude and longitude.
pub type Point = (f64, f64);

/// A point that is on the globe.
pub fn checked((lat, lon): Point, path: &str) -> Result<Point> {
    if !(-90.0..=90.0).contains(&lat) {
        return Err(Refusal::illegal_argument(format!(
            "illegal latitude value [{lat:?}] for {path}"
        )));
    }
    if !(-180.0..=180.0).contains(&lon) {
        return Err(Refusal::illegal_argument(format!(
            "illegal longitude value [{lon:?}] for {path}"
        )));
    }
    Ok((lat, lon))
}

/// `"lat,lon"`, `"POINT (lon lat)"` or a geohash.
pub fn from_text(text: &str) -> Result<Point> {
    let wrong = |what: &str| Refusal::new("parse_exception", what.to_owned());
    if let Some((lat, lon)) = text.split_once(',') {
        let lon = lon.split(',').next().unwrap_or(lon);
        return match (lat.trim().parse(), lon.trim().parse()) {
            (Err(_), _) => Err(wrong("latitude must be a number")),
            (_, Err(_)) => Err(wrong("longitude must be a number")),
            (Ok(lat), Ok(lon)) => Ok((lat, lon)),
        };
    }
    let upper = text.trim().to_ascii_uppercase();
    if let Some(inside) = upper
        .strip_prefix("POINT")
        .and_then(|rest| rest.trim().strip_prefix('(')?.strip_suffix(')'))
    {
        let numbers: Vec<f64> = inside
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        return match numbers[..] {
            [lon, lat] | [lon, lat, _] => Ok((lat, lon)),
            _ => Err(wrong("Invalid WKT format")),
        };
    }
    geohash(text).ok_or_else(|| wrong(&format!("unsupported symbol in geohash [{text}]")))
}

/// The south-western corner of a geohash's cell.
fn geohash(text: &str) -> Option<Point> {
    const DIGITS: &[u8] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    let (mut lat, mut lon) = ((-90.0, 90.0), (-180.0, 180.0));
    let mut even = true;
    for byte in text.bytes() {
        let digit = DIGITS
            .iter()
            .position(|d| *d == byte.to_ascii_lowercase())?;
        for bit in (0..5).rev() {
            let range: &mut (f64, f64) = if even { &mut lon } else { &mut lat };
            let middle = f64::midpoint(range.0, range.1);
            if digit >> bit & 1 == 1 {
                range.0 = middle;
            } else {
                range.1 = middle;
            }
            even = !even;
        }
    }
    Some((lat.0, lon.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_from_texts() {
        assert_eq!(from_text("41.12,-71.34").unwrap(), (41.12, -71.34));
        assert_eq!(from_text("POINT (-71.34 41.12)").unwrap(), (41.12, -71.34));
        let (lat, lon) = from_text("drm3btev3e86").unwrap();
        assert!(
            (lat - 41.12).abs() < 1e-5 && (lon + 71.34).abs() < 1e-5,
            "{lat} {lon}"
        );
        assert!(from_text("a,b").is_err());
        assert!(from_text("!").is_err());
        assert!(checked((90.1, 0.0), "p").is_err());
    }
}
