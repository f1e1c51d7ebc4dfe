//! Signing tokens on the command line: with the gateway's secret, or a private key of one's own.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use weir_shard::limits::{Algorithm, Signing};
use weir_shard::policy::auth::{Grant, mint, unsigned};

/// What signs.
pub(super) enum Signer {
    Secret(Signing),
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

/// Why nothing is signed.
#[derive(Debug)]
pub(in crate::cli) enum SignError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// It has no private key of a kind that is known.
    NoKey(PathBuf),
    /// The key refuses.
    Refused,
}

impl Signer {
    /// The private key in a PEM file (PKCS#8; of RSA also PKCS#1).
    pub(super) fn of_file(path: &Path) -> Result<Signer, SignError> {
        let bytes = fs::read(path).map_err(|error| SignError::Read(path.to_owned(), error))?;
        let no_key = || SignError::NoKey(path.to_owned());
        match PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| no_key())? {
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Signer::Rsa).map_err(|_| no_key())
            }
            PrivateKeyDer::Pkcs8(der) => Signer::of_pkcs8(der.secret_pkcs8_der()).ok_or_else(no_key),
            _ => Err(no_key()),
        }
    }

    fn of_pkcs8(der: &[u8]) -> Option<Signer> {
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Some(Signer::Ed25519(key));
        }
        let random = SystemRandom::new();
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random) {
            return Some(Signer::P256(key, random));
        }
        RsaKeyPair::from_pkcs8(der).ok().map(Signer::Rsa)
    }

    /// A token of `grant`.
    pub(super) fn token(&self, grant: &Grant<'_>, kid: Option<&str>) -> Result<String, SignError> {
        let (algorithm, refused) = (self.algorithm(), |_| SignError::Refused);
        let text = unsigned(grant, algorithm, kid);
        let signature = match self {
            Signer::Secret(signing) => return Ok(mint(grant, signing)),
            Signer::Ed25519(key) => key.sign(text.as_bytes()).as_ref().to_vec(),
            Signer::P256(key, random) => {
                key.sign(random, text.as_bytes()).map_err(refused)?.as_ref().to_vec()
            }
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let random = SystemRandom::new();
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).map_err(refused)?;
                signature
            }
        };
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Signer::Secret(_) => Algorithm::Hs256,
            Signer::Rsa(_) => Algorithm::Rs256,
            Signer::P256(..) => Algorithm::Es256,
            Signer::Ed25519(_) => Algorithm::EdDsa,
        }
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignError::Read(path, error) => {
                write!(f, "--private-key: {} cannot be read: {error}", path.display())
            }
            SignError::NoKey(path) => write!(
                f,
                "--private-key: {} has no private key of RSA (2,048 bits or more), P-256 or Ed25519; `openssl pkcs8 -topk8 \
                 -nocrypt` writes other forms anew",
                path.display()
            ),
            SignError::Refused => f.write_str("--private-key: the key does not sign"),
        }
    }
}
