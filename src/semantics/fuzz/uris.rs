//! Parts of URIs, and what they are compared with.

use crate::semantics::uri::{
    Pattern, Reference, normalize_host, normalize_path, normalize_query, split_target,
};

pub(super) fn path(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let once = normalize_path(text);
    assert_eq!(normalize_path(&once), once, "a normal form is its own");
    assert!(once.len() <= text.len().max(1));
    if once.starts_with('/') && once.split('%').skip(1).all(is_escape) {
        assert!(once.split('/').all(|segment| segment != "." && segment != ".."));
    }
    let slashes = |text: &str| text.to_ascii_uppercase().matches("%2F").count();
    assert!(slashes(&once) <= slashes(text), "an escaped slash is no slash");
    let (path, query) = split_target(text);
    match text.split_once('?') {
        Some((before, after)) => assert_eq!((path, query), (normalize_path(before), Some(after))),
        None => assert_eq!((path, query), (once, None)),
    }
}

fn is_escape(behind: &str) -> bool {
    let digits = behind.as_bytes().first_chunk::<2>();
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// The first byte says whether the query is sorted; the last line is the query, those before it are
/// the patterns of names to leave out.
pub(super) fn query(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (patterns, query) = text.rsplit_once('\n').unwrap_or(("", text));
    let patterns: Vec<_> = match patterns {
        "" => Vec::new(),
        patterns => patterns.split('\n').take(8).map(Pattern::new).collect(),
    };
    let sorted = first & 1 == 1;
    let kept = |name: &str| !patterns.iter().any(|pattern| pattern.matches(name));
    let once = normalize_query(query, kept, sorted);
    assert_eq!(normalize_query(&once, kept, sorted), once, "a normal form is its own");
    assert!(once.len() <= query.len());
    let mut given: Vec<_> = query.split('&').collect();
    assert!(once.is_empty() || once.split('&').all(|pair| given.contains(&pair)), "nothing new");
    // Whole names turned about: the order among equal names is kept by a stable sort.
    given.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(name, _)| name));
    let turned = normalize_query(&given.join("&"), kept, sorted).into_owned();
    assert!(!sorted || turned == once, "in any order");
}

pub(super) fn host(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Some(once) = normalize_host(text) else { return };
    assert_eq!(normalize_host(&once).as_deref(), Some(&*once), "a normal form is its own");
    assert!((1..=253).contains(&once.len()) && !once.ends_with('.'));
    assert!(once.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
    assert!(once.starts_with('[') || !once.contains(':'));
    assert_eq!(normalize_host(&text.to_ascii_uppercase()).as_deref(), Some(&*once), "in any case");
    if !text.ends_with(':') && normalize_host(&format!("{text}:8")).is_some() {
        assert_eq!(normalize_host(&format!("{text}:8")).as_deref(), Some(&*once), "at any port");
    }
}

/// Two lines: a base and a reference.
pub(super) fn reference(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (base, reference) = text.split_once('\n').unwrap_or(("", text));
    let base = format!("/{}", base.replace('#', ""));
    let Some(read) = Reference::resolve(reference, &base) else { return };
    assert!(read.target.starts_with('/') && !read.target.contains('#'));
    assert!(read.authority.is_none_or(|authority| !authority.contains(['/', '?', '#'])));
    let told = match read.authority {
        Some(authority) => format!("http://{authority}{}", read.target),
        None if read.target.starts_with("//") => return,
        None => read.target.clone().into_owned(),
    };
    assert_eq!(Reference::resolve(&told, "/elsewhere"), Some(read), "as told on");
}

/// Two lines: a pattern and a text.
pub(super) fn pattern(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (pattern, text) = text.split_once('\n').unwrap_or(("*", text));
    if pattern.len() > 64 || text.len() > 256 {
        return;
    }
    let found = Pattern::new(pattern).matches(text);
    assert_eq!(found, plainly(pattern.as_bytes(), text.as_bytes()), "{pattern:?} {text:?}");
}

/// Whether `text` matches, by trying every end of every star.
fn plainly(pattern: &[u8], text: &[u8]) -> bool {
    // ends[n]: whether the pattern so far matches the first n bytes.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for &wanted in pattern {
        let before = ends.clone();
        for at in 0..=text.len() {
            ends[at] = match wanted {
                b'*' => before[..=at].contains(&true),
                _ => at > 0 && before[at - 1] && text[at - 1] == wanted,
            };
        }
    }
    ends[text.len()]
}
