//! What a join's payload says about presence.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Bytes of a client's own meta.
const META_BYTES_MAX: usize = 1 << 10;

/// Members of a meta that the server sets.
const OURS: [&str; 3] = ["phx_ref", "phx_ref_prev", "online_at"];

/// The member `presence` of a join's payload: `true`, or an object that others see; `false` is the same
/// as none.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
pub(crate) struct Wish(Option<Box<str>>);

impl Wish {
    /// The members of the client's own meta, without braces, if it wants to be seen at all.
    pub(crate) fn fields(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl TryFrom<Box<RawValue>> for Wish {
    type Error = String;

    fn try_from(value: Box<RawValue>) -> Result<Wish, String> {
        let text = value.get();
        match text {
            "true" => return Ok(Wish(Some(Box::default()))),
            "false" => return Ok(Wish(None)),
            _ => {}
        }
        if text.len() > META_BYTES_MAX {
            return Err(format!("presence may have {META_BYTES_MAX} bytes, not {}", text.len()));
        }
        let members: BTreeMap<String, IgnoredAny> =
            serde_json::from_str(text).map_err(|_| "presence is true, false or an object".to_owned())?;
        if let Some(name) = OURS.iter().find(|name| members.contains_key(**name)) {
            return Err(format!("presence has the member {name}, which the server sets"));
        }
        let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        Ok(Wish(inside.map(|inside| inside.trim().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Result<Wish, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_wish_is_true_false_or_an_object() {
        for (text, fields) in [
            ("false", None),
            ("true", Some("")),
            ("{ }", Some("")),
            (r#" {"name": "ann", "x":{"y":[]} } "#, Some(r#""name": "ann", "x":{"y":[]}"#)),
        ] {
            assert_eq!(wish(text).expect(text).fields(), fields);
        }
    }

    #[test]
    fn others_are_refused_and_told_why() {
        let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(META_BYTES_MAX));
        for (text, why) in [
            ("1", "true, false or an object"),
            ("[1]", "true, false or an object"),
            (r#""true""#, "true, false or an object"),
            (r#"{"phx_ref":"1"}"#, "phx_ref"),
            (r#"{"a":1,"online_at":0}"#, "online_at"),
            (r#"{"phx\u005fref":"1"}"#, "phx_ref"),
            (&*long, "1024 bytes"),
        ] {
            let error = wish(text).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
