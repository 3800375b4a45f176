//! Files that hang, are none, or are damaged.

use super::*;

#[test]
fn what_cannot_be_written_is_gone_and_the_next_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log/audit.log");
    let mut writer = Writer { path: path.clone(), lines_max: 2, open: None, has_failed: false };
    assert!(writer.write("1\n", 1).is_err());
    fs::create_dir(folder.path().join("log")).unwrap();
    writer.write("2\n3\n", 2).unwrap();
    // There is no way to begin anew.
    fs::create_dir(beside(&path, "1")).unwrap();
    assert!(writer.write("4\n", 1).is_err());
    assert!(writer.write("5\n", 1).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "2\n3\n", "it stays bounded");
    fs::remove_dir(beside(&path, "1")).unwrap();
    writer.write("6\n", 1).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "6\n");
}

fn event(status: u16) -> Event {
    Event {
        at: 1_795_000_000_123,
        by: "deploy".to_owned(),
        address: [127, 0, 0, 1].into(),
        what: "POST /v1/purges".to_owned(),
        status,
        detail: "tag \"a\"".to_owned(),
        trace: None,
    }
}

fn read_back(path: &Path) -> Vec<(u64, Event)> {
    read(path, 9).unwrap().into()
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [&*pipe, folder.path(), Path::new("/dev/full"), Path::new("/dev/zero")] {
        let refused = read(path, 9).unwrap_err().to_string();
        let named = format!("audit.file: {} is no regular file; ", path.display());
        assert!(refused.starts_with(&named), "{refused}");
        assert!(Open::at(path).is_err(), "nor where it became one since");
    }
}

#[test]
fn a_line_without_end_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let long = Event { detail: "x".repeat(LINE_MAX as usize), ..event(200) };
    let lines = [to_line(1, &event(200)), to_line(2, &long), to_line(3, &event(202))];
    fs::write(&path, lines.concat()).unwrap();
    assert_eq!(read_back(&path), [(1, event(200)), (3, event(202))]);
}

#[test]
fn a_damaged_line_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let lines: Vec<_> = (1..=3).map(|number| to_line(number, &event(200))).collect();
    for at in 0..lines[1].len() - 1 {
        let mut hit = lines[1].clone().into_bytes();
        hit[at] ^= 4;
        fs::write(&path, [lines[0].as_bytes(), &hit, lines[2].as_bytes()].concat()).unwrap();
        let mut events = read_back(&path);
        events.retain(|event| *event != (2, self::event(200)));
        assert_eq!(events, [(1, event(200)), (3, event(200))], "{at}");
    }
    // Of before there were sums.
    let (json, _) = lines[0].rsplit_once(SUM).unwrap();
    let highest = json.replace("\"number\":1", &format!("\"number\":{}", u64::MAX));
    fs::write(&path, format!("{json}}}\n{highest}}}\n{}", lines[1])).unwrap();
    assert_eq!(read_back(&path), [(1, event(200)), (2, event(200))]);
}

#[test]
fn a_disk_that_hangs_holds_nobody() {
    let (_for_ever, hangs) = sync_channel::<()>(0);
    let hang = move |_: &Receiver<String>| assert!(hangs.recv().is_err());
    drop(AuditFile::over(hang, Duration::ZERO));
}
