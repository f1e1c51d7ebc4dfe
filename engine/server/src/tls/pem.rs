//! The files: PEM in, parts of credentials out.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use webpki::{EndEntityCert, KeyUsage};

use super::TlsError;

/// A certificate that ends sooner is warned about.
const SOON: Duration = Duration::from_secs(14 * DAY);
const DAY: u64 = 24 * 3_600;

/// The certificates of a file, at least one.
///
/// # Errors
/// It cannot be read, is no PEM, or has none.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate(path.to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::Pem { path: path.to_owned(), error }),
    }
}

/// The DNS names that the first certificate of a file is for, at least one, in lower case.
///
/// # Errors
/// It cannot be read, or is for none.
pub(super) fn names(path: &Path) -> Result<Vec<String>, TlsError> {
    let chain = certificates(path)?;
    let first = chain.first().ok_or_else(|| TlsError::NoCertificate(path.to_owned()))?;
    let names: Vec<String> = parsed(path, first)?.valid_dns_names().map(str::to_ascii_lowercase).collect();
    if names.is_empty() { Err(TlsError::Nameless(path.to_owned())) } else { Ok(names) }
}

/// The certificates of a file, to be trusted.
///
/// # Errors
/// It cannot be read, has none, or one that is broken.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let broken = |error| TlsError::Certificate { path: path.to_owned(), error };
        roots.add(certificate).map_err(broken)?;
    }
    Ok(roots)
}

/// A chain with its key, which is in the file `key`.
///
/// # Errors
/// A part is missing or broken, or they do not belong together.
pub(super) fn certified(
    cert: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let text = read(key)?;
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(key.to_owned()),
        error => TlsError::Pem { path: key.to_owned(), error },
    })?;
    if let Some(first) = chain.first() {
        parsed(cert, first)?;
    }
    let private = provider.key_provider.load_private_key(private);
    let private = private.map_err(|error| TlsError::Key { path: key.to_owned(), error })?;
    let certified = CertifiedKey::new(chain, private);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() })
        }
        // What cannot be told is found out by the first client.
        _ => Ok(certified),
    }
}

/// What is to be said of how long a certificate is good, if anything is.
pub(super) fn validity(path: &Path, certificate: &CertificateDer<'_>, now: UnixTime) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let judge = |at| certificate.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None);
    let days = |from: UnixTime, to: UnixTime| to.as_secs().saturating_sub(from.as_secs()).div_ceil(DAY);
    let path = path.display();
    match judge(now).err()? {
        webpki::Error::CertExpired { not_after, .. } => Some(format!(
            "the certificate in {path} has expired {} days ago, and clients refuse it; renew it, and send SIGHUP",
            days(not_after, now)
        )),
        webpki::Error::CertNotValidYet { not_before, .. } => Some(format!(
            "the certificate in {path} is not good before {} days from now, and clients refuse it until then; is this \
             machine's clock right?",
            days(now, not_before)
        )),
        _ => match judge(UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON)).err()? {
            webpki::Error::CertExpired { not_after, .. } => Some(format!(
                "the certificate in {path} expires in {} days; renew it, and send SIGHUP",
                days(now, not_after)
            )),
            _ => None,
        },
    }
}

fn parsed<'a>(path: &Path, certificate: &'a CertificateDer<'_>) -> Result<EndEntityCert<'a>, TlsError> {
    let broken = |error| TlsError::Broken { path: path.to_owned(), error };
    EndEntityCert::try_from(certificate).map_err(broken)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), error })
}
