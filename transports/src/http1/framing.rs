//! The headers that decide where a request or response ends and what becomes of its connection.

use super::target::is_host;
use super::{BodyKind, HeadError, Version};

/// What has been seen of the framing headers of one head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing<'a> {
    host: Option<&'a str>,
    delimiter: Delimiter,
    close: bool,
    /// `Connection` lists `upgrade`.
    connection_upgrade: bool,
    upgrade: bool,
    upgrade_websocket: bool,
    expect_continue: bool,
}

impl<'a> Framing<'a> {
    /// Takes note of one header.
    pub(super) fn note(&mut self, name: &str, value: &'a str) -> Result<(), HeadError> {
        // By length first: most headers are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.note_host(value),
            6 if name.eq_ignore_ascii_case("expect") => self.note_expect(value),
            7 if name.eq_ignore_ascii_case("upgrade") => {
                self.upgrade = true;
                self.upgrade_websocket |= lists(value, "websocket");
                Ok(())
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                self.close |= lists(value, "close");
                self.connection_upgrade |= lists(value, "upgrade");
                Ok(())
            }
            _ => self.delimiter.note(name, value),
        }
    }

    fn note_host(&mut self, value: &'a str) -> Result<(), HeadError> {
        if self.host.is_some() {
            return Err(HeadError::HostRepeated);
        }
        if !is_host(value) {
            return Err(HeadError::HostInvalid);
        }
        self.host = Some(value);
        Ok(())
    }

    fn note_expect(&mut self, value: &str) -> Result<(), HeadError> {
        if !value.eq_ignore_ascii_case("100-continue") {
            return Err(HeadError::Expectation);
        }
        self.expect_continue = true;
        Ok(())
    }

    /// How the body is delimited, once all headers are noted (RFC 9112 section 6.3).
    pub(super) fn body(&self, version: Version) -> Result<BodyKind, HeadError> {
        let body = self.delimiter.body(version)?.unwrap_or(BodyKind::None);
        if self.upgrade && !body.is_empty() {
            return Err(HeadError::UpgradeWithBody);
        }
        Ok(body)
    }

    /// Exactly one Host is required of HTTP/1.1 (RFC 9112 section 3.2). The authority of an absolute
    /// target must equal it, so that no reader can choose between them.
    pub(super) fn check_host(&self, version: Version, authority: Option<&str>) -> Result<(), HeadError> {
        match (self.host, authority) {
            (None, _) if version == Version::Http11 => Err(HeadError::HostMissing),
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                Err(HeadError::HostMismatch)
            }
            _ => Ok(()),
        }
    }

    /// HTTP/1.0 connections always close: their keep-alive was never specified beyond a note.
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        version == Version::Http11 && !self.close
    }

    /// Only HTTP/1.1 knows 100 (RFC 9110 section 10.1.1), and only a body is worth waiting for.
    pub(super) fn expect_continue(&self, version: Version, body: BodyKind) -> bool {
        self.expect_continue && version == Version::Http11 && !body.is_empty()
    }

    /// `Upgrade: websocket` that `Connection` names (RFC 6455 section 4.2.1).
    pub(super) fn upgrade_websocket(&self) -> bool {
        self.upgrade_websocket && self.connection_upgrade
    }
}

/// What the headers of a request or response say about the length of its body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delimiter {
    length: Option<u64>,
    chunked: bool,
}

impl Delimiter {
    /// Takes note of one header.
    pub(super) fn note(&mut self, name: &str, value: &str) -> Result<(), HeadError> {
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.note_transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn note_length(&mut self, value: &str) -> Result<(), HeadError> {
        if self.length.is_some() {
            return Err(HeadError::ContentLengthRepeated);
        }
        let digits_only = value.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = value.len() > 1 && value.starts_with('0');
        if !digits_only || leading_zero {
            return Err(HeadError::ContentLengthInvalid);
        }
        // Fails on the empty string and on overflow.
        self.length = Some(value.parse().map_err(|_| HeadError::ContentLengthInvalid)?);
        Ok(())
    }

    fn note_transfer_encoding(&mut self, value: &str) -> Result<(), HeadError> {
        if self.chunked {
            return Err(HeadError::TransferEncodingRepeated);
        }
        if !value.eq_ignore_ascii_case("chunked") {
            return Err(HeadError::TransferEncodingUnknown);
        }
        self.chunked = true;
        Ok(())
    }

    /// How the body is delimited, once all headers are noted; `None` if no header says it.
    pub(super) fn body(&self, version: Version) -> Result<Option<BodyKind>, HeadError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(HeadError::LengthAndChunked),
            (None, true) if version == Version::Http10 => Err(HeadError::TransferEncodingOnHttp10),
            (None, true) => Ok(Some(BodyKind::Chunked)),
            (Some(length), false) => Ok(Some(BodyKind::Length(length))),
            (None, false) => Ok(None),
        }
    }
}

/// Whether the comma-separated `list` holds `token`, whatever its case.
pub(super) fn lists(list: &str, token: &str) -> bool {
    list.split(',').any(|item| item.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
}
