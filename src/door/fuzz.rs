//! Fuzz targets: what is asked of a private door.

use std::time::Duration;

use super::access::basic_as_bearer;
use super::{body, query};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: &[Target] =
    &[("door-credential", credential), ("door-purges", purges), ("door-query", parameters)];

fn credential(bytes: &[u8]) {
    let Some(bearer) = basic_as_bearer(bytes) else { return };
    assert!(bearer.starts_with("Bearer "));
    assert!(bearer.len() <= bytes.len() + "Bearer ".len());
}

fn parameters(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(page) = query::page(text) {
        assert!((1..=1000).contains(&page.limit));
    }
    if let Ok(asking) = query::asking(text, Duration::ZERO) {
        assert!(asking.patience <= Duration::from_mins(1));
    }
    assert_eq!(query::none(text).is_ok(), query::pairs(text).next().is_none());
}

fn purges(bytes: &[u8]) {
    match body::purges(bytes) {
        Ok((commands, is_list)) => {
            assert!((1..=1000).contains(&commands.len()) && (is_list || commands.len() == 1));
            assert!(commands.iter().all(|command| command.clone().asked().as_ref() == Ok(command)));
            let told = match (is_list, &commands[..]) {
                (false, [one]) => one.to_json(),
                (_, all) => all.iter().map(|command| command.to_json()).collect(),
            };
            let again = body::purges(told.to_string().as_bytes()).expect("as told on");
            assert_eq!(again, (commands, is_list));
        }
        Err((place, fault)) => {
            assert!(fault.to_string().len() < 4000, "what is quoted is cut");
            assert!(place.is_none_or(|place| place < 1000));
        }
    }
    let _ = body::check_type(Some(bytes));
}
