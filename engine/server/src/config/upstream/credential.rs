//! `auth` of an `[[upstream]]`: where the access tokens that it wants come from.

use std::fs;

use toml::de::{DeTable, DeValue};
use weir_shard::limits::{Credential, Grant, Secret};

use super::text;
use crate::config::auth::{URL, is_url_of_keys};
use crate::config::nearest::nearest;
use crate::config::problem::Fault;
use crate::config::value::Value;

/// What a file may say.
const KEYS: [&str; 8] = [
    "grant",
    "token_url",
    "client_id",
    "client_secret",
    "client_secret_file",
    "scope",
    "audience",
    "resource",
];

/// Those that must be there.
const NEEDED: [&str; 3] = ["grant", "token_url", "client_id"];

const WANTED: &str = "a section such as { grant = \"client_credentials\", token_url = \"https://login.example.com/token\", \
                      client_id = \"weir\", client_secret_file = \"/run/secrets/tools\" }";

/// Reads the section.
///
/// # Errors
/// The first thing that is wrong with it.
pub(super) fn credential(value: &DeValue<'_>) -> Result<Credential, Fault> {
    let table = value
        .as_table()
        .ok_or_else(|| Fault::Value { value: Value::of_toml(value), wanted: WANTED.to_owned() })?;
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.get_ref().as_ref())) {
        let nearest =
            nearest(unknown.get_ref(), KEYS.into_iter()).map(|near| format!("upstream.auth.{near}"));
        return Err(Fault::Unknown { nearest });
    }
    if let Some(missing) = NEEDED.into_iter().find(|name| !table.contains_key(*name)) {
        return Err(Fault::Missing(missing));
    }
    let url = |value: &DeValue<'_>| text(value, URL, is_url_of_keys);
    let words = |value: &DeValue<'_>| text(value, "a text", |text| !text.is_empty());
    Ok(Credential {
        grant: optional(table, "grant", grant)?.ok_or(Fault::Missing("grant"))?,
        token_url: optional(table, "token_url", url)?.ok_or(Fault::Missing("token_url"))?.into(),
        client_id: optional(table, "client_id", words)?.ok_or(Fault::Missing("client_id"))?.into(),
        client_secret: secret(table)?,
        scope: optional(table, "scope", words)?.map(Into::into),
        audience: optional(table, "audience", words)?.map(Into::into),
        resource: optional(table, "resource", words)?.map(Into::into),
    })
}

fn optional<T>(
    table: &DeTable<'_>,
    name: &str,
    read: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    table.get(name).map(|value| read(value.get_ref())).transpose()
}

fn grant(value: &DeValue<'_>) -> Result<Grant, Fault> {
    match value.as_str() {
        Some("client_credentials") => Ok(Grant::ClientCredentials),
        Some("token_exchange") => Ok(Grant::TokenExchange),
        _ => Err(Fault::Value {
            value: Value::of_toml(value),
            wanted: "\"client_credentials\" or \"token_exchange\"".to_owned(),
        }),
    }
}

/// The secret itself, or what its file holds. It is not shown, whatever is wrong with it.
fn secret(table: &DeTable<'_>) -> Result<Option<Secret>, Fault> {
    let hidden = |bytes| Fault::Value { value: Value::Hidden { bytes }, wanted: "a text".to_owned() };
    let (written, file) = (table.get("client_secret"), table.get("client_secret_file"));
    match (written.map(|value| value.get_ref()), file.map(|value| value.get_ref())) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Fault::Beside("upstream.auth.client_secret")),
        (Some(value), None) => match value.as_str() {
            Some(text) if !text.is_empty() => Ok(Some(Secret::new(text.as_bytes()))),
            other => Err(hidden(other.map_or(0, str::len))),
        },
        (None, Some(value)) => {
            let path = text(value, "a file's path", |text| !text.is_empty())?;
            let held = fs::read_to_string(&path).map_err(|error| Fault::Value {
                value: Value::Text(path.clone()),
                wanted: format!("a file with the secret; it cannot be read: {error}"),
            })?;
            match held.trim_end() {
                "" => Err(hidden(0)),
                held => Ok(Some(Secret::new(held.as_bytes()))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Credential, Fault> {
        let text = format!("auth = {{ {text} }}");
        let table = DeTable::parse(&text).expect("TOML");
        credential(table.get_ref().get("auth").expect("the key").get_ref())
    }

    const NEEDS: &str =
        r#"grant = "token_exchange", token_url = "https://login.example/token", client_id = "weir""#;

    #[test]
    fn a_section_says_where_tokens_come_from() {
        let found =
            read(&format!("{NEEDS}, client_secret = \"s3cret\", audience = \"tools\"")).expect("right");
        assert_eq!((found.grant, &*found.token_url), (Grant::TokenExchange, "https://login.example/token"));
        assert_eq!(found.client_secret, Some(Secret::new(*b"s3cret")));
        assert_eq!((found.audience.as_deref(), found.scope), (Some("tools"), None));
        assert!(!format!("{:?}", read(NEEDS)).contains("s3cret"));
        let own = std::env::temp_dir().join(format!("weir-secret-{}", std::process::id()));
        std::fs::write(&own, "s3cret\n").expect("a writable folder for temporary files");
        let held = read(&format!("{NEEDS}, client_secret_file = {own:?}"));
        std::fs::remove_file(&own).expect("it is there");
        assert_eq!(held.expect("right").client_secret, Some(Secret::new(*b"s3cret")));
    }

    #[test]
    fn what_is_wrong_is_said_and_no_secret_shown() {
        for (text, what) in [
            ("", "grant"),
            (r#"grant = "password", token_url = "https://a/t", client_id = "a""#, "client_credentials"),
            (r#"grant = "token_exchange", token_url = "http://a/t", client_id = "a""#, "https"),
            (&format!("{NEEDS}, client_secret = 17"), "text"),
            (&format!("{NEEDS}, client_secret = \"a\", client_secret_file = \"b\""), "client_secret"),
            (&format!("{NEEDS}, client_secret_file = \"/no/such/file\""), "cannot be read"),
            (&format!("{NEEDS}, scopes = \"a\""), "scope"),
        ] {
            let fault = format!("{:?}", read(text).expect_err("wrong"));
            assert!(fault.contains(what) && !fault.contains("s3cret"), "{text}: {fault}");
        }
    }
}
