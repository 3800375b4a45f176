//! Slices cut out of a body that streams by. Holds one slice under construction.

use bytes::Bytes;

use crate::object::Slices;

/// The place in a body that comes from its first byte on.
pub(super) struct Cutter {
    slices: Slices,
    position: u64,
    /// What has come of the slice at `position`.
    pieces: Vec<Bytes>,
}

impl Cutter {
    pub(super) fn new(slices: Slices) -> Self {
        Self { slices, position: 0, pieces: Vec::new() }
    }

    /// Takes the bytes that come next, and hands every slice that is whole to `keep`. What comes
    /// past the end is no part of the object.
    pub(super) fn push(&mut self, mut data: Bytes, mut keep: impl FnMut(u64, &[Bytes])) {
        loop {
            let number = self.slices.number_at(self.position);
            let left = self.slices.range(number).end.saturating_sub(self.position);
            if data.is_empty() || left == 0 {
                return;
            }
            let take = left.min(data.len() as u64);
            self.pieces.push(data.split_to(take as usize));
            self.position += take;
            if take == left {
                keep(number, &self.pieces);
                self.pieces.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_are_the_body_however_it_comes(
            body in proptest::collection::vec(any::<u8>(), 1..400),
            cuts in proptest::collection::vec(1usize..90, 1..9),
            size in 1u64..90,
            surplus in 0usize..9,
        ) {
            let slices = Slices { total: body.len() as u64, size, generation: 0 };
            let mut came = [body.clone(), vec![0; surplus]].concat();
            let mut cutter = Cutter::new(slices);
            let mut kept = Vec::new();
            for cut in cuts.iter().cycle() {
                let rest = came.split_off(came.len().min(*cut));
                let keep = |number, pieces: &[Bytes]| kept.push((number, pieces.concat()));
                cutter.push(Bytes::from(came), keep);
                came = rest;
                if came.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(kept.len() as u64, slices.total.div_ceil(size));
            for (at, (number, slice)) in kept.iter().enumerate() {
                let range = slices.range(*number);
                prop_assert_eq!(*number, at as u64);
                prop_assert_eq!(&slice[..], &body[range.start as usize..range.end as usize]);
            }
        }
    }

    #[test]
    fn a_slice_that_is_not_whole_is_not_kept() {
        let mut cutter = Cutter::new(Slices { total: 10, size: 4, generation: 0 });
        let mut kept = Vec::new();
        cutter.push(Bytes::from_static(b"0123456"), |number, _| kept.push(number));
        assert_eq!(kept, [0]);
    }
}
