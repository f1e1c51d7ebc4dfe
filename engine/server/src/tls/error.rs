//! Why the files of TLS cannot be used: which, what, and how to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

/// Nothing is made of files of which one cannot be used.
#[derive(Debug)]
pub(crate) enum TlsError {
    /// It cannot be read.
    File { path: PathBuf, error: io::Error },
    /// It is no PEM.
    Pem { path: PathBuf, error: pem::Error },
    /// It has no certificate.
    NoCertificate(PathBuf),
    /// It has no private key in plain text.
    NoKey(PathBuf),
    /// The first certificate cannot be read.
    Broken { path: PathBuf, error: webpki::Error },
    /// A certificate to be trusted cannot be.
    Certificate { path: PathBuf, error: rustls::Error },
    /// Its certificates cannot be those of CAs.
    Ca { path: PathBuf, error: VerifierBuilderError },
    /// The key is of a kind that is not served.
    Key { path: PathBuf, error: rustls::Error },
    /// The key is another one's.
    Mismatch { cert: PathBuf, key: PathBuf },
    /// The certificate is for no DNS name, so that nobody could ask for it.
    Nameless(PathBuf),
    /// The library refuses, which is no file's fault.
    Library(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::File { path, error } => write!(
                f,
                "{} cannot be read: {error}; correct the path, or let this process's user read it",
                path.display()
            ),
            TlsError::Pem { path, error } => write!(
                f,
                "{} is no PEM file: {error}; if it is DER, `openssl x509 -inform der` or `openssl pkey -inform der` \
                 turns it into one",
                path.display()
            ),
            TlsError::NoCertificate(path) => write!(
                f,
                "{} holds no certificate, which begins with -----BEGIN CERTIFICATE-----; are certificate and key \
                 swapped?",
                path.display()
            ),
            TlsError::NoKey(path) => write!(
                f,
                "{} holds no private key, which begins with -----BEGIN PRIVATE KEY----- (or EC or RSA PRIVATE KEY); \
                 one that is encrypted has to be decrypted first (`openssl pkey -in FILE -out KEY`)",
                path.display()
            ),
            TlsError::Broken { path, error } => write!(
                f,
                "the first certificate in {} cannot be read ({error}); it must be an X.509 v3 certificate, that of the \
                 server first, then those of its issuers",
                path.display()
            ),
            TlsError::Certificate { path, error } => write!(
                f,
                "a certificate in {} cannot be trusted: {error}; it must be a CA's X.509 certificate",
                path.display()
            ),
            TlsError::Ca { path, error } => {
                write!(f, "the certificates in {} cannot be those of clients' CAs: {error}", path.display())
            }
            TlsError::Key { path, error } => write!(
                f,
                "the private key in {} cannot be used: {error}; make it RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519",
                path.display()
            ),
            TlsError::Mismatch { cert, key } => write!(
                f,
                "the key in {1} is not that of the first certificate in {0}: `openssl x509 -noout -pubkey -in {0}` and \
                 `openssl pkey -pubout -in {1}` must print the same",
                cert.display(),
                key.display()
            ),
            TlsError::Nameless(path) => write!(
                f,
                "the certificate in {} is for no DNS name (subjectAltName), so that no client could ask for it; make it \
                 tls.cert, or take it out",
                path.display()
            ),
            TlsError::Library(error) => write!(f, "TLS cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}
