//! Keys as they are written: PEM files and JWK Sets.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

use crate::limits::{Algorithm, Key, Material};

/// Keys of one JWK Set that are looked at.
const JWKS_KEYS_MAX: usize = 256;

/// Bits of an RSA modulus: below, anybody can compute the private key; above, a signature takes too long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It is not PEM, or has no section `PUBLIC KEY`.
    NoPublicKey,
    /// It is a private key.
    Private,
    /// It is none of RSA, P-256 and Ed25519.
    Kind,
    /// It is RSA with fewer than 2,048 or more than 8,192 bits.
    Bits,
    /// It is not a JSON object with a list `keys`.
    NoSet,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyFault::NoPublicKey => {
                "has no section that begins with -----BEGIN PUBLIC KEY----- (of a certificate, `openssl x509 -pubkey \
                 -noout` writes it)"
            }
            KeyFault::Private => {
                "is a private key, which belongs to who makes tokens; `openssl pkey -pubout` writes its public part"
            }
            KeyFault::Kind => "is none of RSA, EC on P-256, and Ed25519",
            KeyFault::Bits => "is RSA with fewer than 2,048 or more than 8,192 bits",
            KeyFault::NoSet => "is no JWK Set: a JSON object with a list `keys`",
        })
    }
}

impl std::error::Error for KeyFault {}

/// The public key of a PEM file (RFC 7468, 13).
///
/// # Errors
/// It has none that can be used.
pub fn public_key(pem: &[u8]) -> Result<Material, KeyFault> {
    let private = memchr::memmem::find(pem, b"PRIVATE KEY-----").is_some();
    let info = match SubjectPublicKeyInfoDer::from_pem_slice(pem) {
        Ok(info) if !private => info,
        _ if private => return Err(KeyFault::Private),
        _ => return Err(KeyFault::NoPublicKey),
    };
    let (kind, key) = public_key_info(info.as_ref()).ok_or(KeyFault::NoPublicKey)?;
    match kind {
        RSA => {
            let (modulus, exponent) = rsa_public_key(key).ok_or(KeyFault::NoPublicKey)?;
            rsa(modulus, exponent)
        }
        P256 => p256(key).ok_or(KeyFault::Kind),
        ED25519 => key.try_into().map(Material::Ed25519).map_err(|_| KeyFault::Kind),
        _ => Err(KeyFault::Kind),
    }
}

/// The keys of a JWK Set that sign tokens of `issuer`, and how many others there were. Keys of other kinds and for
/// other purposes are left out (RFC 7517, 5), and so are secrets, for a set is public.
///
/// # Errors
/// `NoSet`.
pub fn jwks(json: &[u8], issuer: &str) -> Result<(Vec<Key>, usize), KeyFault> {
    let Set { keys } = serde_json::from_slice(json).map_err(|_| KeyFault::NoSet)?;
    let total = keys.len();
    let keys = keys.into_iter().take(JWKS_KEYS_MAX).filter_map(|key| {
        let jwk: Jwk = serde_json::from_str(key.get()).ok()?;
        let material = jwk.material()?;
        Some(Key { issuer: Some(issuer.into()), kid: jwk.kid, material })
    });
    let keys: Vec<Key> = keys.collect();
    let others = total - keys.len();
    Ok((keys, others))
}

/// A JWK Set whose members may be anything.
#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a serde_json::value::RawValue>,
}

/// The members of a JWK that are used (RFC 7517, 4; RFC 7518, 6; RFC 8037, 2).
#[derive(Deserialize)]
struct Jwk {
    kty: Box<str>,
    kid: Option<Box<str>>,
    #[serde(rename = "use")]
    usage: Option<Box<str>>,
    key_ops: Option<Vec<Box<str>>>,
    alg: Option<Box<str>>,
    crv: Option<Box<str>>,
    n: Option<Box<str>>,
    e: Option<Box<str>>,
    x: Option<Box<str>>,
    y: Option<Box<str>>,
}

impl Jwk {
    fn material(&self) -> Option<Material> {
        let material = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => rsa(&decoded(&self.n)?, &decoded(&self.e)?).ok()?,
            ("EC", Some("P-256")) => {
                let (x, y) = (decoded(&self.x)?, decoded(&self.y)?);
                p256(&[&[UNCOMPRESSED], &*x, &*y].concat()).filter(|_| x.len() == y.len())?
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(decoded(&self.x)?.try_into().ok()?),
            _ => return None,
        };
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = |ops: &Vec<Box<str>>| ops.iter().any(|op| &**op == "verify");
        let algorithm = self.alg.as_deref().is_none_or(|alg| is_name_of(alg, material.algorithm()));
        (signs && self.key_ops.as_ref().is_none_or(verifies) && algorithm).then_some(material)
    }
}

/// Ed25519 has a second name since RFC 9864.
fn is_name_of(name: &str, algorithm: Algorithm) -> bool {
    name == algorithm.name() || (algorithm == Algorithm::EdDsa && name == "Ed25519")
}

fn decoded(text: &Option<Box<str>>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()
}

/// What an uncompressed point begins with (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

fn p256(point: &[u8]) -> Option<Material> {
    let point: [u8; 65] = point.try_into().ok()?;
    (point[0] == UNCOMPRESSED).then(|| Material::P256(Box::new(point)))
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Material, KeyFault> {
    let significant =
        |bytes: &[u8]| -> Box<[u8]> { bytes.iter().copied().skip_while(|byte| *byte == 0).collect() };
    let (modulus, exponent) = (significant(modulus), significant(exponent));
    let spare = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !RSA_BITS.contains(&(modulus.len() * 8 - spare)) {
        return Err(KeyFault::Bits);
    }
    Ok(Material::Rsa { modulus, exponent })
}

/// `AlgorithmIdentifier`s (RFC 8017, A.1; RFC 5480, 2.1.1; RFC 8410, 3) without their own head, as DER has them.
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// Tags of DER (X.690, 8).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A `SubjectPublicKeyInfo` (RFC 5280, 4.1): the algorithm and the key's bits.
fn public_key_info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, _) = element(der, SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    match bits {
        // The first byte counts bits to spare, of which keys have none.
        [0, key @ ..] => Some((algorithm, key)),
        _ => None,
    }
}

/// An `RSAPublicKey` (RFC 8017, A.1.1): modulus and exponent.
fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, _) = element(der, SEQUENCE)?;
    let (modulus, rest) = element(numbers, INTEGER)?;
    let (exponent, _) = element(rest, INTEGER)?;
    Some((modulus, exponent))
}

/// The first element of some DER, which must have this tag, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
