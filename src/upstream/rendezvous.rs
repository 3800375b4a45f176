//! Rendezvous hashing (Thaler and Ravishankar, 1998): each member draws a score for each key, and
//! the highest wins. A member that comes or goes moves only its own share of the keys.
//!
//! Nodes that never speak to each other have to agree, whatever their version: the hash is BLAKE3,
//! and the score is made of integers alone, in the steps below. Test vectors pin both.

/// A member's score for a key; the highest comes first, and equal scores go by name.
///
/// `weight` is the member's share, at least 1: it wins the share of keys that its weight has in the
/// sum of all. The score is `weight / -log2(h)` for a hash `h` in (0, 1), in fixed point.
pub(super) fn score(member: &str, weight: usize, key: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    // The length ahead keeps "ab" + "c" and "a" + "bc" apart.
    hasher.update(&(member.len() as u64).to_le_bytes());
    hasher.update(member.as_bytes());
    hasher.update(key);
    let mut draw = [0; 8];
    hasher.finalize_xof().fill(&mut draw);
    let rarity = minus_log2(u64::from_le_bytes(draw));
    ((weight as u128) << 64) / u128::from(rarity)
}

/// `-log2((draw + 1) / 2^64)` in units of 2^-32, rounded up to at least 1.
///
/// Floating point would do, but its logarithm differs between machines.
fn minus_log2(draw: u64) -> u64 {
    // `draw + 1` is `mantissa * 2^(whole - 63)`, with a mantissa in [2^63, 2^64).
    let Some(number) = draw.checked_add(1) else { return 1 };
    let whole = 63 - number.leading_zeros();
    let mut mantissa = number << number.leading_zeros();
    let mut fraction: u64 = 0;
    // Squaring doubles the logarithm: what passes 2 is its next binary digit.
    for _ in 0..32 {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let digit = (square >> 127) as u64;
        mantissa = (square >> (63 + digit)) as u64;
        fraction = fraction << 1 | digit;
    }
    ((64 << 32) - (u64::from(whole) << 32 | fraction)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_the_same_for_ever() {
        let cases = [
            ("a", 1, &b""[..], 7_744_699_491),
            ("a", 2, b"", 15_489_398_982),
            ("https://shield-1.example:443", 1, b"shop.example/cart?id=7", 671_942_930),
            ("https://shield-2.example:443", 3, b"shop.example/cart?id=7", 3_917_086_899),
        ];
        for (member, weight, key, expected) in cases {
            assert_eq!(score(member, weight, key), expected, "{member} {weight}");
        }
    }

    #[test]
    fn the_logarithm_is_one() {
        assert_eq!(minus_log2(u64::MAX), 1);
        assert_eq!(minus_log2(u64::MAX >> 1), 1 << 32);
        assert_eq!(minus_log2(0), 64 << 32);
        for draw in (0..1000).map(|step| step * (u64::MAX / 1000) + 12345) {
            let exact = -((draw as f64 + 1.0) / 2_f64.powi(64)).log2() * 2_f64.powi(32);
            let error = (minus_log2(draw) as f64 - exact).abs();
            assert!(error < 2.0, "{draw}: {exact}");
        }
    }

    #[test]
    fn name_and_key_do_not_run_together() {
        assert_ne!(score("ab", 1, b"c"), score("a", 1, b"bc"));
    }
}
