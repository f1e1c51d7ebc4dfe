//! Where keys come from: files and URLs.

use std::fs;

use weir_shard::limits::Material;
use weir_shard::policy::auth::public_key;

use crate::config::problem::Fault;
use crate::config::value::is_host;

/// What a PEM text begins with (RFC 7468, 2).
const PEM: &str = "-----BEGIN ";

/// Longest URL, bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Where keys may be fetched, in words.
pub(in crate::config) const URL: &str =
    "an https URL, or an http one on this machine such as \"http://127.0.0.1:8080/jwks.json\"";

/// The public key in `text`, or in the file of that path.
///
/// # Errors
/// It cannot be read, or is no public key.
pub(in crate::config) fn pem(text: &str) -> Result<Material, Fault> {
    let (source, bytes) = if text.trim_start().starts_with(PEM) {
        ("the text".to_owned(), text.as_bytes().to_vec())
    } else {
        let source = format!("{text:?}");
        match fs::read(text) {
            Ok(bytes) => (source, bytes),
            Err(error) => return Err(Fault::Pem { source, why: format!("cannot be read: {error}") }),
        }
    };
    public_key(&bytes).map_err(|fault| Fault::Pem { source, why: fault.to_string() })
}

/// Whether keys may be fetched from `url`: over TLS, or from this machine, and so from where nobody between can
/// change them.
pub(in crate::config) fn is_url_of_keys(url: &str) -> bool {
    match parts(url) {
        Some((true, _)) => true,
        Some((false, host)) => is_loopback(host),
        None => false,
    }
}

/// Whether `url` may be that of the gateway's `/mcp`.
pub(in crate::config) fn is_resource(url: &str) -> bool {
    parts(url).is_some() && url.ends_with("/mcp") && !url.contains('?')
}

/// Whether a URL of http is one of https, and its host.
fn parts(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let bracket = authority.find(']').map_or(0, |end| end + 1);
    let colon = authority[bracket..].find(':').map_or(authority.len(), |at| bracket + at);
    let (host, port) = authority.split_at(colon);
    let right = is_host(host)
        && (port.is_empty() || port[1..].parse::<u16>().is_ok_and(|port| port != 0))
        && url.len() <= URL_BYTES_MAX
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    match scheme.to_ascii_lowercase().as_str() {
        "https" if right => Some((true, host)),
        "http" if right => Some((false, host)),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for url in [
            "https://id.example.com/.well-known/jwks.json",
            "https://id.example.com:8443/keys?v=1",
            "HTTPS://10.0.0.1",
            "http://127.0.0.1:8080/jwks.json",
            "http://localhost/jwks",
            "http://[::1]:80/",
        ] {
            assert!(is_url_of_keys(url), "{url}");
        }
        for url in [
            "",
            "id.example.com/keys",
            "http://id.example.com/keys",
            "http://169.254.169.254/latest/meta-data",
            "http://localhost.example.com/",
            "http://127.0.0.1@example.com/",
            "https://user:secret@example.com/",
            "https:///keys",
            "https://a:0/",
            "https://a:99999/",
            "https://a/b c",
            "https://a/#b",
            "file:///etc/passwd",
            "ftp://127.0.0.1/",
        ] {
            assert!(!is_url_of_keys(url), "{url}");
        }
    }

    #[test]
    fn the_gateway_is_where_its_mcp_is() {
        for url in ["https://weir.example.com/mcp", "http://intranet:4001/mcp", "https://a/gate/mcp"] {
            assert!(is_resource(url), "{url}");
        }
        for url in [
            "",
            "weir.example.com/mcp",
            "https://a/",
            "https://a/mcp/",
            "https://a/mcp?b",
            "https://a/b#/mcp",
        ] {
            assert!(!is_resource(url), "{url}");
        }
    }

    #[test]
    fn what_is_no_key_says_so() {
        let why = |text: &str| match pem(text) {
            Err(Fault::Pem { source, why }) => format!("{source} {why}"),
            other => format!("{other:?}"),
        };
        assert!(why("no/such/file.pem").starts_with("\"no/such/file.pem\" cannot be read: "));
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(why(private).starts_with("the text is a private key"), "{}", why(private));
    }
}
