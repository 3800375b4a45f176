//! Fuzz targets: the file of key generations, the class of a device, and those of the edge rules.

use super::device::class;
use super::{Generations, access};

/// Name and function of a target.
type Target = (&'static str, fn(&[u8]));

/// The targets of this room.
pub(crate) const TARGETS: &[Target] = &[
    ("cors", access::fuzz::cors),
    ("device", device),
    ("generations", generations),
    ("signed-url", access::fuzz::signed_url),
];

fn generations(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Some(read) = Generations::from_lines(text) else { return };
    let told = read.to_lines();
    assert_eq!(Generations::from_lines(&told), Some(read), "as told on");
}

/// A User-Agent; the second line is Sec-CH-UA-Mobile.
fn device(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |&byte| byte == b'\n');
    let (agent, hint) = (lines.next(), lines.next());
    let found = class(agent, hint);
    let agent = agent.unwrap_or_default();
    assert_eq!(class(Some(&agent.to_ascii_uppercase()), hint), found, "in any case");
    let hinted = class(Some(agent), Some(b"?1"));
    assert!(
        hinted != "desktop" && (hinted == found || found == "desktop"),
        "the agent comes first"
    );
    let longer = [agent, &b" ".repeat(512), b"googlebot"].concat();
    assert_eq!(class(Some(&longer), hint), found, "what comes late is not looked at");
}
