//! Shared bytes of small objects: the count of their owners and themselves in one allocation.
//!
//! ```text
//!  small   Bytes ─► │ count │ bytes │ slack │
//!  large   Bytes ─► │ count, address, size │ ─► │ bytes │
//! ```
//!
//! A block is as large as one of the size classes of common allocators (four to a doubling, in
//! mimalloc as in jemalloc), so the slack is what the allocator would have added anyway.

use std::mem::size_of;

use bytes::Bytes;

/// Bytes of the count that stands in front of a block.
const COUNT: usize = size_of::<usize>();

/// Bytes of the largest block, its count included. Above it what could be saved is some 1 % of the
/// object, and a block is made on the stack.
const LARGEST: usize = 4096;

/// Bytes from which on an allocation has no size class.
const CLASSES_END: usize = 128 * 1024;

/// The parts one behind the other, `length` bytes in all, in an allocation of their own.
pub(super) fn joined<'p>(length: usize, parts: impl Iterator<Item = &'p [u8]>) -> Bytes {
    macro_rules! smallest_of {
        ($($class:literal)*) => {
            $(if length + COUNT <= $class {
                return block::<{ $class - COUNT }>(length, parts);
            })*
        };
    }
    smallest_of!(128 160 192 224 256 320 384 448 512 640 768 896 1024 1280 1536 1792 2048);
    smallest_of!(2560 3072 3584 4096);
    let mut bytes = Vec::with_capacity(length);
    parts.for_each(|part| bytes.extend_from_slice(part));
    bytes.into()
}

/// Bytes that sharing takes beside `length` bytes of content, slack included: up to a quarter.
pub(super) fn overhead(length: usize) -> usize {
    match length + COUNT {
        size if size <= LARGEST => class_of(size) - length,
        _ => class_of(length) - length + COUNT + size_of::<&[u8]>(),
    }
}

/// The size class of an allocation of `size` bytes: four to a doubling. Above the last, whole pages
/// are given, whose rest is nothing beside what they hold.
fn class_of(size: usize) -> usize {
    match size {
        0..=128 => size.next_multiple_of(16),
        129..CLASSES_END => size.next_multiple_of(1 << ((size - 1).ilog2() - 2)),
        _ => size,
    }
}

fn block<'p, const SIZE: usize>(length: usize, parts: impl Iterator<Item = &'p [u8]>) -> Bytes {
    let mut bytes = [0; SIZE];
    let mut end = 0;
    for part in parts {
        bytes[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    let mut shared = Bytes::from_owner(bytes);
    shared.truncate(length);
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_joined_comes_back_at_every_size() {
        let bytes: Vec<u8> = (0..LARGEST + 99).map(|n| (n % 251) as u8).collect();
        for length in 0..bytes.len() {
            let (front, back) = bytes[..length].split_at(length / 3);
            assert!(joined(length, [front, back].into_iter()) == bytes[..length], "{length}");
        }
    }

    #[test]
    fn sharing_is_counted_with_its_slack() {
        let cases = [
            (8, 8),
            (9, 23),
            (504, 8),
            (505, 135),
            (LARGEST - COUNT, 8),
            (LARGEST - COUNT + 1, 24 + 7),
            (4097, 24 + 1023),
            (CLASSES_END, 24),
        ];
        for (length, beside) in cases {
            assert_eq!(overhead(length), beside, "{length}");
        }
    }

    #[test]
    fn blocks_are_of_the_size_classes() {
        for class in [128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 3072, 3584]
        {
            assert_eq!((class_of(class), class_of(class - 7)), (class, class));
            assert!(class_of(class + 1) > class);
        }
    }
}
