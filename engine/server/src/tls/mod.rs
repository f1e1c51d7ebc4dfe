//! From files to credentials: certificates, keys and trusted CAs are read and checked here, at start and again
//! whenever somebody asks for it.

mod certificates;
mod error;
mod pem;
mod suites;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use weir_shard::tls::{Clock, Credentials};

use self::certificates::Certificates;
pub(crate) use self::error::TlsError;
use crate::config::{ClientAuth, Files, Tls, UpstreamTls};

/// The only protocol spoken over TLS (RFC 7301; "http/1.1" in IANA's registry).
const ALPN: &[u8] = b"http/1.1";

/// TLS 1.2 sessions that are remembered for clients that take no tickets.
const SESSIONS_MAX: usize = 1_024;

/// What was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) credentials: Credentials,
    /// What works, and somebody should look at; a sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Reads all of `files`.
///
/// # Errors
/// What is wrong with the first that cannot be used.
pub(crate) fn load(files: &Files) -> Result<Loaded, TlsError> {
    let mut loading =
        Loading { provider: suites::provider().into(), clock: Arc::default(), warnings: Vec::new() };
    let server = loading.server(&files.listeners)?;
    let upstreams =
        files.upstreams.iter().map(|files| files.as_ref().map(|files| loading.client(files)).transpose());
    let upstreams = upstreams.collect::<Result<_, _>>()?;
    let Loading { clock, warnings, .. } = loading;
    Ok(Loaded { credentials: Credentials { server, upstreams, clock }, warnings })
}

/// Files being read.
struct Loading {
    provider: Arc<CryptoProvider>,
    clock: Arc<Clock>,
    warnings: Vec<String>,
}

impl Loading {
    /// How clients are met. Tickets are sealed with keys of this reading: who was let in by what no longer holds
    /// does not come back with an old one.
    fn server(&mut self, files: &Tls) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        let Some(first) = files.first() else { return Ok(None) };
        let mut certificates = Certificates::new(self.pair(&first.cert, &first.key)?);
        for pair in &files.certificates {
            let names = pem::names(&pair.cert)?;
            certificates.add(names, self.pair(&pair.cert, &pair.key)?);
        }
        let versions: &[&SupportedProtocolVersion] =
            if files.tls13_only { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let builder = ServerConfig::builder_with_details(self.provider.clone(), self.clock.clone())
            .with_protocol_versions(versions)
            .map_err(TlsError::Library)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(pem::roots(ca)?);
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, self.provider.clone());
                if files.client_auth == ClientAuth::Optional {
                    verifier = verifier.allow_unauthenticated();
                }
                let unusable = |error| TlsError::Ca { path: ca.clone(), error };
                builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Library)?;
        Ok(Some(config.into()))
    }

    /// How an upstream is met: its certificate must lead to a public root or one of its own.
    fn client(&mut self, files: &UpstreamTls) -> Result<Arc<ClientConfig>, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(ca) = &files.ca {
            roots.roots.extend(pem::roots(ca)?.roots);
        }
        let builder = ClientConfig::builder_with_details(self.provider.clone(), self.clock.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_root_certificates(roots);
        let mut config = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => {
                let key = self.pair(cert, key)?;
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)))
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config.into())
    }

    /// A certificate and its key, which belong together.
    fn pair(&mut self, cert: &Path, key: &Path) -> Result<rustls::sign::CertifiedKey, TlsError> {
        let chain = pem::certificates(cert)?;
        self.warnings.extend(chain.first().and_then(|first| pem::validity(cert, first, UnixTime::now())));
        pem::certified(cert, chain, key, &self.provider)
    }
}
