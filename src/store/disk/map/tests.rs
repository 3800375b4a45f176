use std::fs::File;

use super::*;

const PAGE: usize = 4096;

fn file(pages: usize) -> File {
    let file = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut &file, &vec![7; pages * PAGE]).unwrap();
    file
}

#[test]
fn a_cut_file_reads_as_zeros_and_is_known_to_be_lost() {
    let (cut, whole) = (file(8), file(8));
    let (map, other) = (Map::of(&cut, 8 * PAGE).unwrap(), Map::of(&whole, 8 * PAGE).unwrap());
    let before = crate::message::losses::count();
    assert_eq!(map.slice(0..8 * PAGE).unwrap(), [7; 8 * PAGE]);
    cut.set_len(2 * PAGE as u64).unwrap();
    assert!(map.is_intact());
    assert_eq!(map.slice(PAGE..2 * PAGE).unwrap(), [7; PAGE]);
    assert_eq!(map.slice(5 * PAGE..6 * PAGE).unwrap(), [0; PAGE]);
    assert!(!map.is_intact());
    assert!(crate::message::losses::count() > before);
    assert!(other.is_intact());
    assert_eq!(other.slice(0..8 * PAGE).unwrap(), [7; 8 * PAGE]);
}
