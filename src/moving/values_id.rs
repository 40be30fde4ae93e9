//! The end of a result's id: what Elasticsearch makes of the values that tell a series from others.

/// A hash of the values one after the other, and their length together (in UTF-16 units, as Java counts).
pub fn values_id(values: &[&str]) -> String {
    let together = values.concat();
    let (first, second) = murmur3(together.as_bytes());
    let hash = (i128::from(first as i64) << 64) | i128::from(second);
    format!("{hash}_{}", together.encode_utf16().count())
}

const FACTORS: (u64, u64) = (0x87c3_7b91_1142_53d5, 0x4cf5_ad43_2745_937f);

/// MurmurHash3, its form of 128 bits for 64-bit machines, with seed 0.
fn murmur3(bytes: &[u8]) -> (u64, u64) {
    let (mut h1, mut h2) = (0u64, 0u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= scrambled(word(&block[..8]), FACTORS.0, 31, FACTORS.1);
        h1 = h1.rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scrambled(word(&block[8..]), FACTORS.1, 33, FACTORS.0);
        h2 = h2.rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let rest = blocks.remainder();
    let (low, high) = rest.split_at(rest.len().min(8));
    h1 ^= scrambled(word(low), FACTORS.0, 31, FACTORS.1);
    h2 ^= scrambled(word(high), FACTORS.1, 33, FACTORS.0);
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2) = (mixed(h1), mixed(h2));
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2)
}

fn scrambled(word: u64, before: u64, turn: u32, after: u64) -> u64 {
    word.wrapping_mul(before)
        .rotate_left(turn)
        .wrapping_mul(after)
}

/// Up to eight bytes, the lowest first.
fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn mixed(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_algorithm() {
        assert_eq!(murmur3(b""), (0, 0));
        // Published vectors of the algorithm.
        assert_eq!(
            murmur3(b"The quick brown fox jumps over the lazy dog"),
            (0xe34b_bc7b_bc07_1b6c, 0x7a43_3ca9_c49a_9347)
        );
        assert_eq!(
            murmur3(b"hello"),
            (0xcbd8_a7b3_41bd_9b02, 0x5b1e_906a_48ae_1d19)
        );
    }

    #[test]
    fn values_are_one_number_and_their_length() {
        assert_eq!(values_id(&[]), "0_0");
        assert_eq!(
            values_id(&["he", "llo"]),
            "-69324146290566373985303187135944319719_5"
        );
        assert!(values_id(&["🙂"]).ends_with("_2"));
    }
}
