//! The files of the demo's origin: made by the command, so that nothing has to be fetched.

use std::fs;
use std::io;
use std::path::Path;

/// Bytes of the big file.
pub(super) const BIG: usize = 10 * 1024 * 1024;

/// Bytes of the film.
pub(super) const FILM: usize = 32 * 1024 * 1024;

const STYLE: &str =
    "body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; }\n";

const NEWS: &str = "<!doctype html>\n<title>News</title>\n<p>Asked for again each time.</p>\n";

const ABOUT: &str =
    "<!doctype html>\n<title>About</title>\n<p>Nobody has asked for this yet.</p>\n";

const IMAGE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 160">
<rect width="320" height="160" fill="#cfe8f5"/>
<path d="M0 96 Q60 40 120 84 T200 112 L200 160 L0 160 Z" fill="#5b7f4b"/>
<path d="M0 128 Q80 112 160 128 T320 128 L320 160 L0 160 Z" fill="#2b6c99"/>
</svg>
"##;

/// Writes the files into `folder`.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    publish(folder, 1)?;
    fs::write(folder.join("style.css"), STYLE)?;
    fs::write(folder.join("news.html"), NEWS)?;
    fs::write(folder.join("about.html"), ABOUT)?;
    fs::write(folder.join("headland.svg"), IMAGE)?;
    fs::write(folder.join("big.bin"), numbered(BIG))?;
    fs::write(folder.join("film.bin"), numbered(FILM))
}

/// Writes a version of the first page.
pub(super) fn publish(folder: &Path, version: u32) -> io::Result<()> {
    fs::write(folder.join("index.html"), index(version))
}

/// The first page.
pub(super) fn index(version: u32) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Served by Headland</title>
<link rel="stylesheet" href="/style.css">
<h1>Served by Headland, version {version}</h1>
<p>This page came from a small origin once, and from the memory of an edge ever since.</p>
<img src="/headland.svg" alt="A headland and the sea" width="320" height="160">
"#
    )
}

/// Bytes that tell where they are, so that a part out of place is seen.
pub(super) fn numbered(length: usize) -> Vec<u8> {
    (0..length as u32 / 4).flat_map(u32::to_be_bytes).collect()
}
