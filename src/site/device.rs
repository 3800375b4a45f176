//! What kind of device asks: a few classes, so that a key has few variants. Pure.
//!
//! | class | User-Agent has, in any case |
//! |---|---|
//! | `bot` | `bot`, `crawl`, `spider`, `slurp`, `facebookexternalhit`, `preview` |
//! | `tablet` | `ipad`, `tablet`, `kindle`, `silk/`, `playbook`; or `android` without `mobi` |
//! | `mobile` | `mobi`, `iphone`, `ipod`, `phone`, `blackberry`, `opera mini`; `?1` |
//! | `desktop` | anything else, or nothing |
//!
//! The first class that fits holds. `Sec-CH-UA-Mobile: ?1` is a client's word for mobile.

/// The classes, in the words in which keys and origins have them.
pub(super) const BOT: &str = "bot";
pub(super) const TABLET: &str = "tablet";
pub(super) const MOBILE: &str = "mobile";
pub(super) const DESKTOP: &str = "desktop";

/// Bytes of a User-Agent that are looked at.
const LOOKED_AT: usize = 512;

/// The class of a client by its `User-Agent` and `Sec-CH-UA-Mobile`.
pub(super) fn class(user_agent: Option<&[u8]>, mobile_hint: Option<&[u8]>) -> &'static str {
    let agent = user_agent.unwrap_or_default();
    let agent = agent[..agent.len().min(LOOKED_AT)].to_ascii_lowercase();
    let has = |words: &[&str]| {
        words.iter().any(|word| memchr::memmem::find(&agent, word.as_bytes()).is_some())
    };
    if has(&["bot", "crawl", "spider", "slurp", "facebookexternalhit", "preview"]) {
        BOT
    } else if has(&["ipad", "tablet", "kindle", "silk/", "playbook"])
        || (has(&["android"]) && !has(&["mobi"]))
    {
        TABLET
    } else if has(&["mobi", "iphone", "ipod", "phone", "blackberry", "opera mini"])
        || mobile_hint == Some(b"?1")
    {
        MOBILE
    } else {
        DESKTOP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_apart() {
        let apple = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 \
                     (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";
        let cases = [
            (Some(apple), None, MOBILE),
            (Some("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) Mobile/15E148"), None, TABLET),
            (Some("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120 Mobile"), None, MOBILE),
            (Some("Mozilla/5.0 (Linux; Android 13; SM-X900) Chrome/120 Safari"), None, TABLET),
            (Some("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120"), None, DESKTOP),
            (Some("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120"), Some("?0"), DESKTOP),
            (Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0"), Some("?1"), MOBILE),
            (Some("Mozilla/5.0 (compatible; Googlebot/2.1)"), None, BOT),
            (Some("Mozilla/5.0 (iPhone) (compatible; bingbot/2.0)"), None, BOT),
            (Some("facebookexternalhit/1.1"), None, BOT),
            (Some("Opera/9.80 (J2ME/MIDP; Opera Mini/9)"), None, MOBILE),
            (Some("curl/8.5.0"), None, DESKTOP),
            (Some(""), None, DESKTOP),
            (None, None, DESKTOP),
            (None, Some("?1"), MOBILE),
        ];
        for (agent, hint, expected) in cases {
            let found = class(agent.map(str::as_bytes), hint.map(str::as_bytes));
            assert_eq!(found, expected, "{agent:?} {hint:?}");
        }
        let far = format!("{}mobile", " ".repeat(LOOKED_AT));
        assert_eq!(class(Some(far.as_bytes()), None), DESKTOP);
    }
}
