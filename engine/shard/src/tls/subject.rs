//! Who a certificate says its holder is (RFC 5280, 4.1.2.6 and 4.2.1.6).

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Tags of DER (X.690, 8.1.2) that names are made of.
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// `id-at-commonName`: 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The holder of a certificate that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The subject's common name; the last one, if there are several.
    pub common_name: Option<String>,
    /// DNS names among the alternative names; a first label may be `*`.
    pub dns_names: Vec<String>,
    /// URIs among the alternative names, as SPIFFE has them.
    pub uris: Vec<String>,
}

impl Subject {
    /// The holder of `certificate`; `None` if it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Subject> {
        let certificate = EndEntityCert::try_from(certificate).ok()?;
        Some(Subject {
            common_name: common_name(certificate.subject()).map(str::to_owned),
            dns_names: certificate.valid_dns_names().map(str::to_owned).collect(),
            uris: certificate.valid_uri_names().map(str::to_owned).collect(),
        })
    }
}

/// The last common name of a distinguished name: sets of pairs of a type and a value.
fn common_name(mut name: &[u8]) -> Option<&str> {
    let mut found = None;
    while let Some((_, mut set, rest)) = element(name) {
        while let Some((SEQUENCE, pair, others)) = element(set) {
            found = attribute(pair).or(found);
            set = others;
        }
        name = rest;
    }
    found
}

/// The value of a pair, if its type is the common name.
fn attribute(pair: &[u8]) -> Option<&str> {
    let (OBJECT_IDENTIFIER, kind, value) = element(pair)? else { return None };
    let (UTF8_STRING | PRINTABLE_STRING | IA5_STRING, text, _) = element(value)? else { return None };
    (kind == COMMON_NAME).then(|| std::str::from_utf8(text).ok())?
}

/// The first element: its tag, its value, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Names are shorter than 64 KiB.
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), rest.get(2..)?),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    Some((tag, value, rest))
}
