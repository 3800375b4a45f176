//! Fuzz targets: what stands in a stream and beside it.

use super::saved::Index;
use super::tail::{Message, begin, begin_at, read};
use crate::object::Position;

pub(in crate::control::log) fn message(bytes: &[u8]) {
    match read(bytes) {
        Some(Message::Begin(position)) => {
            let told = match position == Position::start(position.log) {
                true => begin(position.log),
                false => begin_at(position),
            };
            let again = read(told.as_bytes());
            assert!(matches!(again, Some(Message::Begin(again)) if again == position));
        }
        Some(Message::Entries(entries)) => {
            let told: Vec<_> = entries.iter().flat_map(|entry| entry.line().to_vec()).collect();
            assert_eq!(told, bytes, "there is one way to write it");
        }
        None => {}
    }
}

pub(in crate::control::log) fn saved(bytes: &[u8]) {
    let Some(index) = Index::from_json(bytes) else { return };
    assert_eq!(Index::from_json(index.to_json().as_bytes()), Some(index.clone()), "as told on");
    let part = index.part(0);
    assert!(part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/=".contains(&byte)));
}
