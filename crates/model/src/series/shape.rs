//! A second view of a series: has it ever moved like this?
//!
//! The last few values, relative to the slow mean and in units of the whole variation, make a piece. The distance to
//! the nearest of a codebook of pieces from the past tells how new it is, judged by its own history ([`Tail`]). A new
//! piece enters the codebook in place of the one that was matched longest ago, so that what happened once is known:
//! adaptive resonance (Carpenter & Grossberg 1987, Applied Optics 26, p. 4919) in its plainest form.

use serde::{Deserialize, Serialize};

use super::season::allocated;
use super::tail::Tail;

/// Values of a piece.
const LENGTH: usize = 8;
/// Pieces kept.
pub const PIECES: usize = 40;
/// Steps of a stored value to one unit of variation; a byte thus holds some ten units either way.
const STEPS: f64 = 12.0;
/// A piece is new beyond so much of the distance that few exceed.
const NEW: f64 = 0.8;
/// Pieces that must have been seen before one is judged.
const WARM: u32 = 24;

type Piece = [i8; LENGTH];
/// In rows, since serde takes no longer arrays.
type Pieces = [[Piece; PIECES / ROWS]; ROWS];
const ROWS: usize = 2;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    pub(super) seen: u32,
    pub(super) last: Piece,
    /// Pieces known: the first of `pieces`.
    pub(super) known: u8,
    /// Those that were the nearest last come first.
    pub(super) pieces: Pieces,
    pub(super) tail: Tail,
}

/// The piece that a value completes, and its distance to the nearest known.
pub struct Seen {
    piece: Piece,
    nearest: usize,
    distance: f64,
}

impl Default for Shapes {
    fn default() -> Self {
        Self {
            seen: 0,
            last: [0; LENGTH],
            known: 0,
            pieces: [[[0; LENGTH]; PIECES / ROWS]; ROWS],
            tail: Tail::new(1.0, [-10.0, 0.0, 10.0], 1.0),
        }
    }
}

impl Shapes {
    /// Looks at the piece that `value`, in units of variation, completes.
    pub fn see(&self, value: f64) -> Seen {
        let mut piece = self.last;
        piece.rotate_left(1);
        piece[LENGTH - 1] = (value * STEPS).round().clamp(-127.0, 127.0) as i8;
        let nearest = self.pieces.as_flattened()[..usize::from(self.known)]
            .iter()
            .enumerate()
            .map(|(i, other)| (apart(&piece, other), i))
            .min();
        let (distance, nearest) = nearest.unwrap_or((0, 0));
        Seen {
            piece,
            nearest,
            // About in the units that a tail starts from.
            distance: f64::from(distance) / (2.0 * STEPS),
        }
    }

    /// Of a piece at least as new.
    pub fn probability(&self, seen: &Seen) -> f64 {
        if self.seen < WARM {
            return 1.0;
        }
        self.tail.probability(seen.distance)
    }

    pub fn learn(&mut self, seen: &Seen, weight: f64) {
        self.seen = self.seen.saturating_add(1);
        self.last = seen.piece;
        if self.seen > WARM / 2 {
            self.tail.learn(seen.distance, weight);
        }
        // A new piece comes in place of the last, which was matched longest ago.
        let known = usize::from(self.known);
        let pieces = self.pieces.as_flattened_mut();
        let place = if known < PIECES {
            self.known += 1;
            pieces[known] = seen.piece;
            known
        } else if seen.distance > NEW * self.tail.threshold() {
            pieces[PIECES - 1] = seen.piece;
            PIECES - 1
        } else {
            seen.nearest
        };
        pieces[..=place].rotate_right(1);
    }

    /// Bytes of its allocations, this struct's own included.
    pub const fn bytes() -> usize {
        allocated(size_of::<Self>())
    }
}

/// In 16 bits, so that one instruction takes all of a piece.
fn apart(a: &Piece, b: &Piece) -> u16 {
    let each = a.iter().zip(b);
    each.map(|(&a, &b)| (i16::from(a) - i16::from(b)).unsigned_abs())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(i: u32) -> f64 {
        let noise = f64::from((i.wrapping_mul(2_654_435_761) >> 8) & 0xffff) / 65_536.0;
        2.0 * (f64::from(i) * 0.7).sin() + 0.2 * noise
    }

    #[test]
    fn a_new_shape_is_unlikely_once() {
        let mut shapes = Shapes::default();
        for i in 0..2_000 {
            let seen = shapes.see(wave(i));
            shapes.learn(&seen, 1.0);
        }
        // A flat piece amid waves: each of its values is an ordinary one.
        let mut odd = |from: u32| {
            let mut least: f64 = 1.0;
            for i in 0..60 {
                let value = if i < 12 { 0.4 } else { wave(from + i) };
                let seen = shapes.see(value);
                if i < 12 {
                    least = least.min(shapes.probability(&seen));
                }
                shapes.learn(&seen, 1.0);
            }
            least
        };
        let first = odd(2_000);
        let second = odd(2_060);
        assert!(first < 1e-4, "{first}");
        assert!(second > 10.0 * first, "{second} after {first}");
    }

    #[test]
    fn the_codebook_is_bounded() {
        let mut shapes = Shapes::default();
        for i in 0..5_000u32 {
            let seen = shapes.see(if i.is_multiple_of(2) { 1e300 } else { wave(i) });
            assert!((0.0..=1.0).contains(&shapes.probability(&seen)));
            shapes.learn(&seen, 1.0);
        }
        assert_eq!(usize::from(shapes.known), PIECES);
    }
}
