//! Signatures: HMAC, RSA, ECDSA, Ed25519. The key says which; a token has no say in it.

use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};

use crate::limits::{Material, Secret};

/// Whether `signature` is that of `message`.
pub(super) fn verifies(material: &Material, message: &[u8], signature: &[u8]) -> bool {
    match material {
        Material::Secret(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
            hmac::verify(&key, message, signature).is_ok()
        }
        Material::Rsa { modulus: n, exponent: e } => {
            let key = RsaPublicKeyComponents { n, e };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
        }
        Material::P256(point) => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &**point).verify(message, signature).is_ok()
        }
        Material::Ed25519(point) => {
            UnparsedPublicKey::new(&ED25519, point).verify(message, signature).is_ok()
        }
    }
}

/// HMAC with SHA-256.
pub(super) fn hs256(secret: &Secret, message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()), message)
}
