//! Texts with some of their parts changed and all else to the byte.

use std::ops::Range;

use super::object::{members, write_str};

/// Appends `text` with some slices of it replaced. An empty slice is a place to insert at.
///
/// The slices must be of `text` itself, not of a copy, in its order and apart from each other; one that is
/// not is left as it stands.
pub fn splice(out: &mut Vec<u8>, text: &str, edits: &[(&str, &[u8])]) {
    let added: usize = edits.iter().map(|(_, with)| with.len()).sum();
    out.reserve(text.len() + added);
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (slice, with) in edits {
        let place = place(text, slice).filter(|place| place.start >= copied);
        debug_assert!(place.is_some(), "an edit is no slice of the text, or not behind the one before");
        let Some(place) = place else { continue };
        out.extend_from_slice(bytes.get(copied..place.start).unwrap_or_default());
        out.extend_from_slice(with);
        copied = place.end;
    }
    out.extend_from_slice(bytes.get(copied..).unwrap_or_default());
}

/// Appends `object`, the text of an object, with one more member before the others. `key` is written as a
/// JSON string, `value` is the text of a value. The object must not have the key.
pub fn insert_member(out: &mut Vec<u8>, object: &str, key: &str, value: &[u8]) {
    let inside = object.trim_start().strip_prefix('{');
    debug_assert!(inside.is_some(), "not the text of an object");
    let Some(inside) = inside else { return out.extend_from_slice(object.as_bytes()) };
    out.push(b'{');
    write_str(out, key);
    out.push(b':');
    out.extend_from_slice(value);
    if !inside.trim_start().starts_with('}') {
        out.push(b',');
    }
    out.extend_from_slice(inside.as_bytes());
}

/// Appends `params`, the text of an object, with a changed `_meta`: without the keys in `removals` and in
/// `additions`, and then with `additions`, each a key and the text of its value. Values that stay are the
/// same to the byte, as is all outside of `_meta`. No params count as none in them; a `_meta` that is no
/// object is replaced.
pub fn with_meta(out: &mut Vec<u8>, params: Option<&str>, additions: &[(&str, &str)], removals: &[&str]) {
    let params = params.unwrap_or("{}");
    // Whoever reads the params has judged them before: there is no error to stop at.
    let found = members(params).map_while(Result::ok).find(|(key, _)| key == "_meta");
    match found {
        None if additions.is_empty() => out.extend_from_slice(params.as_bytes()),
        None => insert_member(out, params, "_meta", &meta("{}", additions, removals)),
        Some((_, old)) => splice(out, params, &[(old, &meta(old, additions, removals))]),
    }
}

/// A `_meta` made of `old` as [`with_meta`] says.
fn meta(old: &str, additions: &[(&str, &str)], removals: &[&str]) -> Vec<u8> {
    let goes = |key: &str| removals.contains(&key) || additions.iter().any(|(added, _)| *added == key);
    let mut out = Vec::with_capacity(old.len() + 64 * additions.len());
    out.push(b'{');
    let mut put = |key: &str, value: &str| {
        if out.len() > 1 {
            out.push(b',');
        }
        write_str(&mut out, key);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    };
    for (key, value) in members(old).map_while(Result::ok).filter(|(key, _)| !goes(key)) {
        put(&key, value);
    }
    for (key, value) in additions {
        put(key, value);
    }
    out.push(b'}');
    out
}

/// Where in `text` its slice `part` lies. `None`: it is no slice of it.
fn place(text: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= text.len()).then_some(start..end)
}
