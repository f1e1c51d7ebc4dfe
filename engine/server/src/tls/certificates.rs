//! Which certificate a client is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// All certificates, by the names they are for.
#[derive(Debug)]
pub(super) struct Certificates {
    /// For who names nobody, or nobody that is known: it may know better.
    first: Arc<CertifiedKey>,
    /// In lower case, without a dot at the end; a first label may be `*`.
    by_name: BTreeMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn new(first: CertifiedKey) -> Certificates {
        Certificates { first: first.into(), by_name: BTreeMap::new() }
    }

    /// Adds one for these names. Of two for the same name the first is shown.
    pub(super) fn add(&mut self, names: Vec<String>, certificate: CertifiedKey) {
        let certificate = Arc::new(certificate);
        for name in names {
            self.by_name.entry(name).or_insert_with(|| certificate.clone());
        }
    }

    /// The one for a name in lower case (RFC 6066, section 3; RFC 9525, section 6.3).
    pub(super) fn find(&self, name: &str) -> &Arc<CertifiedKey> {
        let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        self.by_name.get(name).or_else(wildcard).unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(hello.server_name().map_or(&self.first, |name| self.find(name)).clone())
    }
}
