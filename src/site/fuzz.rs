//! Fuzz target: the file of key generations.

use super::Generations;

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The target of this room.
pub(crate) const TARGETS: &[Target] = &[("generations", generations)];

fn generations(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Some(read) = Generations::from_lines(text) else { return };
    let told = read.to_lines();
    assert_eq!(Generations::from_lines(&told), Some(read), "as told on");
}
