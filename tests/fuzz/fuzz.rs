//! One target of `headland::fuzz` under libFuzzer: which one HEADLAND_FUZZ says.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("HEADLAND_FUZZ").unwrap_or_default();
    let found = headland::fuzz::targets().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("HEADLAND_FUZZ: expected a target, found {name:?}")).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
