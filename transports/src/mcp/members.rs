//! Objects that get members or lose some.

use super::object::{members, write_str};

/// The edit for `splice` that puts `added`, the text of members, in front of those that `object` has.
/// `None`: there is nothing to add, or no object to add it to.
pub(super) fn in_front<'a>(object: &'a str, added: &str) -> Option<(&'a str, String)> {
    let rest = object.strip_prefix('{').filter(|_| !added.is_empty())?;
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    Some((&object[..1], format!("{{{added}{comma}")))
}

/// Appends an object of `added`, the text of members, and of the members of `object` that have none of the
/// `removed` keys. Their values stay the same to the byte.
pub(super) fn rebuild(out: &mut Vec<u8>, object: &str, added: &[u8], removed: &[&str]) {
    let kept = members(object).map_while(Result::ok).filter(|(key, _)| !removed.contains(&&**key));
    let mut comma = !added.is_empty();
    out.push(b'{');
    out.extend_from_slice(added);
    for (key, value) in kept {
        if comma {
            out.push(b',');
        }
        comma = true;
        write_str(out, &key);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
}
