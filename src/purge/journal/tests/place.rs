//! Journals whose file is no longer in its place, or not yet.

use super::*;

/// Whatever becomes of the file under a running node.
#[test]
fn a_journal_that_lost_its_place_is_written_anew() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    let other = Place::new();
    for (number, takes_away) in [
        (2, fs::remove_file as fn(_) -> _),
        (4, |path: &PathBuf| fs::copy(path, beside(path, "copy")).map(drop)),
        (6, |path| fs::write(beside(path, "copy"), b"other")),
    ] {
        journal.append(&[purge(number - 1)]).unwrap();
        takes_away(&place.path).unwrap();
        let copy = beside(&place.path, "copy");
        if copy.exists() {
            fs::rename(copy, &place.path).unwrap();
        }
        assert_eq!(journal.append(&[purge(number)]).unwrap(), number);
        let found = Journal::inspect(&place.path).unwrap().unwrap();
        assert_eq!((found.identity, found.rules), (journal.identity(), purged(1..=number)));
    }
    fs::remove_file(&place.path).unwrap();
    journal.keep().unwrap();
    assert_eq!(place.open().1.rules, purged(1..=6));
    // A folder that another node has by now.
    let theirs = other.open().0;
    fs::rename(&other.path, &place.path).unwrap();
    let error = journal.append(&[purge(7)]).unwrap_err().to_string();
    assert!(error.ends_with("cannot be put in its place: another node's stands there"), "{error}");
    drop(theirs);
    assert_eq!(journal.append(&[purge(7)]).unwrap(), 7, "the number was not taken");
    assert_eq!(place.open().1.rules, purged(1..=7));
}

#[test]
fn a_journal_of_a_folder_that_is_not_there_yet_takes_nothing_before() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("cache");
    let path = folder.join("purges.journal");
    let (mut journal, restored) = Journal::ahead(&path, RULES_MAX).unwrap();
    assert_eq!(restored.head, 0);
    assert!(journal.append(&[purge(1)]).is_err());
    fs::create_dir(&folder).unwrap();
    assert_eq!(journal.append(&[purge(1)]).unwrap(), 1);
    let again = Journal::open(&path, RULES_MAX).unwrap().1;
    assert_eq!(again, Restored { head: 1, rules: purged(1..=1), ..restored });
}
