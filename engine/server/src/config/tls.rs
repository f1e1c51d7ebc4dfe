//! `[tls]` and its certificates: which files TLS is made from. The files themselves are read elsewhere.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::file::Document;
use super::problem::{Fault, Problem};
use super::settings::Settings;
use super::value::{Value, sections};

/// What the list of further certificates is called.
pub(super) const CERTIFICATES: &str = "tls.certificate";

/// A certificate with its chain, and its key: PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// What data listeners show, and what they ask of clients. Without a certificate they are plaintext.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// For those who ask for one of their names; for others there is the first.
    pub(crate) certificates: Vec<Pair>,
    /// Whose certificates clients may show.
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_auth: ClientAuth,
    /// TLS 1.2 is not spoken.
    pub(crate) tls13_only: bool,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// What connections to an upstream over https take beside the public roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamTls {
    /// Whom to trust, too.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and key that are shown if the upstream asks for them.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// All files that TLS is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) listeners: Tls,
    /// By their places among all; none for those in plaintext only.
    pub(crate) upstreams: Vec<Option<UpstreamTls>>,
}

impl Tls {
    /// The certificate that is shown to who asks for none of the others.
    pub(crate) fn first(&self) -> Option<Pair> {
        Some(Pair { cert: self.cert.clone()?, key: self.key.clone()? })
    }

    /// Values that are fine alone and not together, each with its reason and what to do.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let asked = self.client_auth != ClientAuth::Off;
        let first = self.cert.is_some();
        let found = [
            half("tls", self.cert.is_some(), self.key.is_some()),
            (asked && self.client_ca.is_none()).then(|| {
                "tls.client_auth asks for certificates and tls.client_ca does not say whose are trusted: name a file \
                 with the CA's certificate"
                    .into()
            }),
            (!asked && self.client_ca.is_some()).then(|| {
                "tls.client_ca is set and tls.client_auth is off, so that nobody is asked for a certificate: set it \
                 to \"required\" or \"optional\", or leave tls.client_ca out"
                    .into()
            }),
            (!first && (!self.certificates.is_empty() || asked || self.tls13_only)).then(|| {
                "[tls] says how TLS is spoken and has no certificate: set tls.cert and tls.key, or leave [tls] out"
                    .into()
            }),
        ];
        found.into_iter().flatten().collect()
    }
}

impl UpstreamTls {
    /// As [`Tls::contradictions`]; `secure`: there is a URL with https.
    pub(super) fn contradictions(&self, name: &str, secure: bool) -> Vec<String> {
        let half = half(&format!("the upstream {name}:"), self.cert.is_some(), self.key.is_some());
        let idle = (!secure && *self != UpstreamTls::default()).then(|| {
            format!(
                "the upstream {name} has files for TLS and no URL that begins with https://: correct the URL, or leave \
                 ca, cert and key out"
            )
        });
        half.into_iter().chain(idle).collect()
    }
}

/// What is wrong with a certificate without a key, or the other way round.
fn half(of: &str, cert: bool, key: bool) -> Option<String> {
    let dot = if of.ends_with(':') { " " } else { "." };
    match (cert, key) {
        (true, false) => {
            Some(format!("{of}{dot}cert has no {of}{dot}key beside it: name the file of its private key"))
        }
        (false, true) => {
            Some(format!("{of}{dot}key has no {of}{dot}cert beside it: name the file of its certificate"))
        }
        _ => None,
    }
}

/// Adds the certificates of `list`, which stands at the byte `at` of `document`.
pub(super) fn apply(
    document: &Document<'_>,
    at: usize,
    list: &DeValue<'_>,
    settings: &mut Settings,
    problems: &mut Vec<Problem>,
) {
    let pairs: Option<Vec<_>> =
        sections(list).and_then(|tables| tables.into_iter().map(|(_, table)| pair(table)).collect());
    match pairs {
        Some(pairs) => settings.tls.certificates.extend(pairs),
        None => {
            let wanted =
                "a list of sections, each of which begins with [[tls.certificate]] and has a cert and a key"
                    .into();
            let fault = Fault::Value { value: Value::of_toml(list), wanted };
            problems.push(document.problem(at, CERTIFICATES.to_owned(), fault));
        }
    }
}

/// A section with exactly these two keys.
fn pair(table: &DeTable<'_>) -> Option<Pair> {
    let path = |name: &str| {
        let path = table.get(name)?.get_ref().as_str().filter(|path| !path.is_empty());
        path.map(PathBuf::from)
    };
    let pair = Pair { cert: path("cert")?, key: path("key")? };
    (table.len() == 2).then_some(pair)
}
