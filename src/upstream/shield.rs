//! Which shield a key belongs to, and who comes next: a pure choice on which all edges agree.
//!
//! ```text
//! own region, well ─ other regions, well ─ own region, ill ─ other regions, ill
//!        each group in the order of its scores for the key (rendezvous hashing)
//! ```
//!
//! Invariant: edges of one region that hold the same shields well choose the same order, whatever
//! order their configs list them in.

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::rendezvous::score;

/// A shield, as far as the choice goes.
#[derive(Clone, Copy, Debug)]
pub struct Shield<'a> {
    /// Its name or URL: what all edges call it.
    pub name: &'a str,
    /// Where it is; `None` is near to nobody.
    pub region: Option<&'a str>,
    /// Its share of the keys among those of its region, at least 1.
    pub weight: usize,
    /// Whether it is thought to be well.
    pub healthy: bool,
}

/// Places in the list of shields, the first to be asked first.
pub type ShieldOrder = SmallVec<[usize; 8]>;

/// The order in which to ask shields for `key` (host, path and query) from within `region`.
///
/// A shield that is thought ill comes last but is not left out: it may still answer.
pub fn order(shields: &[Shield<'_>], region: Option<&str>, key: &[u8]) -> ShieldOrder {
    let mut ranked: SmallVec<[_; 8]> = shields
        .iter()
        .enumerate()
        .map(|(place, shield)| {
            let far = region.is_none() || shield.region != region;
            let score = Reverse(score(shield.name, shield.weight, key));
            ((!shield.healthy, far, score, shield.name), place)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u32 = 20_000;

    fn shield<'a>(name: &'a str, region: &'a str) -> Shield<'a> {
        Shield { name, region: Some(region), weight: 1, healthy: true }
    }

    fn key(number: u32) -> [u8; 4] {
        number.to_le_bytes()
    }

    fn names<'a>(shields: &[Shield<'a>], region: &str, key: &[u8]) -> Vec<&'a str> {
        order(shields, Some(region), key).iter().map(|&place| shields[place].name).collect()
    }

    /// How many keys each shield owns.
    fn shares(shields: &[Shield<'_>], region: &str) -> Vec<u32> {
        let mut shares = vec![0; shields.len()];
        for number in 0..KEYS {
            shares[order(shields, Some(region), &key(number))[0]] += 1;
        }
        shares
    }

    #[test]
    fn the_well_come_first_and_among_them_the_near() {
        let ill = |shield| Shield { healthy: false, ..shield };
        let nowhere = Shield { region: None, ..shield("nowhere", "") };
        let shields = [
            ill(shield("near-ill", "eu")),
            ill(shield("far-ill", "us")),
            shield("far", "us"),
            shield("near", "eu"),
        ];
        for number in 0..50 {
            let order = names(&shields, "eu", &key(number));
            assert_eq!(order, ["near", "far", "near-ill", "far-ill"]);
            assert_eq!(names(&[nowhere, shields[3]], "eu", &key(number)), ["near", "nowhere"]);
        }
    }

    #[test]
    fn an_edge_of_no_region_is_near_to_none() {
        let nowhere = Shield { region: None, ..shield("nowhere", "") };
        let shields = [shield("a", "eu"), nowhere];
        let firsts = (0..100).filter(|&number| order(&shields, None, &key(number))[0] == 1);
        assert!((20..80).contains(&firsts.count()));
    }

    #[test]
    fn edges_agree_whatever_the_order_of_their_lists() {
        let mut shields = [
            shield("a", "eu"),
            Shield { weight: 3, ..shield("b", "eu") },
            shield("c", "us"),
            Shield { healthy: false, ..shield("d", "us") },
            shield("e", "us"),
        ];
        let expected: Vec<_> = (0..200).map(|n| names(&shields, "eu", &key(n))).collect();
        for _ in 0..shields.len() {
            shields.rotate_left(1);
            shields.swap(0, 2);
            let found: Vec<_> = (0..200).map(|n| names(&shields, "eu", &key(n))).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn shares_follow_the_weights() {
        let shields = [
            shield("a", "eu"),
            Shield { weight: 2, ..shield("b", "eu") },
            Shield { weight: 5, ..shield("c", "eu") },
            shield("far", "us"),
        ];
        let shares = shares(&shields, "eu");
        for (share, expected) in shares.iter().zip([2500_u32, 5000, 12_500, 0]) {
            assert!(share.abs_diff(expected) <= expected / 20, "{shares:?}");
        }
    }

    #[test]
    fn one_that_goes_or_comes_moves_only_its_share() {
        let all = [shield("a", "eu"), shield("b", "eu"), shield("c", "eu"), shield("d", "eu")];
        let ill = [all[0], Shield { healthy: false, ..all[1] }, all[2], all[3]];
        let fewer = [all[0], all[2], all[3]];
        let mut moved = 0;
        for number in 0..KEYS {
            let mut before = names(&all, "eu", &key(number));
            let owner = before[0];
            // Those that are left keep their order, so what the lost one had goes to its second.
            before.retain(|&name| name != "b");
            assert_eq!(names(&fewer, "eu", &key(number)), before);
            before.push("b");
            assert_eq!(names(&ill, "eu", &key(number)), before);
            moved += u32::from(owner == "b");
        }
        assert!(moved.abs_diff(KEYS / 4) < KEYS / 50, "{moved}");
    }

    #[test]
    fn choices_are_the_same_for_ever() {
        let shields = ["one", "two", "three", "four"].map(|name| shield(name, "eu"));
        let cases = [
            ("shop.example/", ["one", "four", "two", "three"]),
            ("shop.example/a?b=c", ["three", "one", "two", "four"]),
        ];
        for (key, expected) in cases {
            assert_eq!(names(&shields, "eu", key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn no_shield_is_no_order() {
        assert!(order(&[], Some("eu"), b"k").is_empty());
    }
}
