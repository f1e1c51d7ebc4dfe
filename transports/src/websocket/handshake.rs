//! The upgrade, RFC 6455 section 4.2. Whether a request is one at all (`GET`, HTTP/1.1,
//! `Upgrade: websocket`, `Connection: upgrade`) has been found out before.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

use super::deflate::DeflateParams;

/// What is hashed behind the client's key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Header fields of an upgrade request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// `Sec-WebSocket-Key`.
    pub key: Option<&'a str>,
    /// `Sec-WebSocket-Version`.
    pub version: Option<&'a str>,
    /// `Sec-WebSocket-Extensions`; several are joined with commas. Empty to decline all.
    pub extensions: &'a str,
}

/// What the answer to an upgrade says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// `Sec-WebSocket-Accept`.
    pub accept: [u8; 28],
    /// permessage-deflate, if the client offered it acceptably.
    pub deflate: Option<DeflateParams>,
}

/// Why an upgrade is refused. The client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeError {
    /// Not version 13, the only one there is.
    Version,
    /// `Sec-WebSocket-Key` is missing or not the base64 of 16 bytes.
    Key,
}

impl UpgradeError {
    /// What is wrong and how to mend it.
    pub fn reason(self) -> &'static str {
        match self {
            UpgradeError::Version => "send Sec-WebSocket-Version: 13, the only version there is",
            UpgradeError::Key => "Sec-WebSocket-Key must be the base64 of 16 bytes",
        }
    }

    /// The HTTP status to answer with.
    pub fn status(self) -> u16 {
        match self {
            UpgradeError::Version => 426,
            UpgradeError::Key => 400,
        }
    }

    /// Header fields the answer must have (section 4.4; RFC 9110 section 15.5.22).
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            UpgradeError::Version => &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")],
            UpgradeError::Key => &[],
        }
    }
}

/// Decides on an upgrade.
pub fn negotiate(request: Request<'_>) -> Result<Upgrade, UpgradeError> {
    if request.version != Some("13") {
        return Err(UpgradeError::Version);
    }
    let key = request.key.filter(|key| is_key(key)).ok_or(UpgradeError::Key)?;
    Ok(Upgrade { accept: accept_key(key), deflate: DeflateParams::accept(request.extensions) })
}

fn is_key(key: &str) -> bool {
    // The decoder asks for one byte of room more than it fills.
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// The `Sec-WebSocket-Accept` that proves the receipt of `key`: base64 of its SHA-1 with the GUID.
pub fn accept_key(key: &str) -> [u8; 28] {
    let mut sha1 = Sha1::new();
    sha1.update(key.as_bytes());
    sha1.update(GUID);
    let mut accept = [0; 28];
    let written = STANDARD.encode_slice(sha1.digest().bytes(), &mut accept);
    debug_assert_eq!(written, Ok(accept.len()));
    accept
}

/// The names in `Sec-WebSocket-Protocol`, in the client's order of preference. Clients also pass
/// credentials here, so only names that the server knows may be answered.
pub fn protocols(header: &str) -> impl Iterator<Item = &str> {
    header.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Appends the response that completes the upgrade. `protocol` is a name the server knows, never
/// the client's own text.
pub fn write_response(out: &mut Vec<u8>, upgrade: &Upgrade, protocol: Option<&'static str>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    );
    out.extend_from_slice(b"Sec-WebSocket-Accept: ");
    out.extend_from_slice(&upgrade.accept);
    if let Some(protocol) = protocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
    }
    if let Some(deflate) = upgrade.deflate {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        deflate.write(out);
    }
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(&accept_key(KEY), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_and_versions() {
        let request = Request { key: Some(KEY), version: Some("13"), extensions: "" };
        assert!(negotiate(request).is_ok());
        for version in [None, Some(""), Some("8"), Some("13, 8"), Some("013")] {
            let error = negotiate(Request { version, ..request }).unwrap_err();
            assert_eq!((error.status(), error.headers()[0].1), (426, "13"), "{version:?}");
        }
        let bad_keys = [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZTE=",
            "dGhlIHNhbXBsZSBub25jZTEy",
            "dGhlIHNhbXBsZSBub25j!Q==",
            "dGhlIHNhbXBsZSBub25jZQ==AAAA",
        ];
        for key in bad_keys.into_iter().map(Some).chain([None]) {
            let error = negotiate(Request { key, ..request }).unwrap_err();
            assert_eq!(error.status(), 400, "{key:?}");
        }
    }

    #[test]
    fn names_of_protocols() {
        let names: Vec<&str> = protocols("phoenix,base64url.bearer.phx.c2Vj,, mcp ").collect();
        assert_eq!(names, ["phoenix", "base64url.bearer.phx.c2Vj", "mcp"]);
        assert_eq!(protocols("").count(), 0);
    }

    #[test]
    fn the_response() {
        let offer = "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
        let request = Request { key: Some(KEY), version: Some("13"), extensions: offer };
        let mut upgrade = negotiate(request).unwrap();
        let mut out = Vec::new();
        write_response(&mut out, &upgrade, Some("mcp"));
        let expected = "HTTP/1.1 101 Switching Protocols\r\n\
            Upgrade: websocket\r\n\
            Connection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
            Sec-WebSocket-Protocol: mcp\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
            client_no_context_takeover; server_max_window_bits=10\r\n\r\n";
        assert_eq!(std::str::from_utf8(&out), Ok(expected));
        upgrade.deflate = None;
        out.clear();
        write_response(&mut out, &upgrade, None);
        assert!(out.ends_with(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    }
}
