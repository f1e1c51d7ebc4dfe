#![no_main]
//! A set of keys or a public key is read or refused; no key is a secret, and each belongs to whose set it is.

use weir_shard::limits::Material;
use weir_shard::policy::auth::{jwks, public_key};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(!matches!(public_key(data), Ok(Material::Secret(_))));
    let Ok((keys, _)) = jwks(data, "issuer") else { return };
    assert!(keys.iter().all(|key| key.issuer.as_deref() == Some("issuer")));
    assert!(!keys.iter().any(|key| matches!(key.material, Material::Secret(_))));
});
