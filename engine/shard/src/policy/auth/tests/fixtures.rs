//! Keys that were made for these tests alone, and tokens signed with them that end in 2100.

/// RSA, 2,048 bits.
pub(super) const RSA_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsNhTk7z9dMWXjnL+Mf5c
PFcvudoAzc4nSopbobzY1lZHiV4do46NvfWNdSMbopgYFguwc5htaKlP6MEBQGVF
7ALmP/hTehDlnNFAiyTB+ExkS2Q8TTLojuSzix4ywtvsLOdr6rdDB1PfOhcX/Zhy
mSV47ZyfZfVYA7SXcbQNoDSfW0qSeUXe3mWgYNEt8MOa9qWdtxj0dLe5yPZhPkSD
S6JJImaYt8VC1ht8soD4oPPR7jJl1cKe743dyVbCQ03WpMFVryHDnoLihUN/cLFE
/FdlKCHPL5IsLC3ucW/9eKOf8M8eO+ljiNWdrufg7rkpRsT2XQbOTkMvWuI14EeX
QQIDAQAB
-----END PUBLIC KEY-----
";

/// P-256, the first.
pub(super) const P256_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMVXxNrkTdAuzc01qcVUt5rH8koOd
zrWbuxonBH2JcvahRj14OJ9YGJmpNTw45mmCOrPdeB1c6mev1+e4xU3yXQ==
-----END PUBLIC KEY-----
";

/// Ed25519.
pub(super) const ED25519_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAtAFaiyKlxY1fvKAQa9nB8bDd7IXBoAyrUlpkzRGcsbA=
-----END PUBLIC KEY-----
";

/// P-384, which no algorithm here has.
pub(super) const P384_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEKbZO3G43RVPDio8diDmNuFwN1PEpjGlk
IMi/gi17uLhszLXjCqBa10nj69dKXIGYfYrfX8HKb/WgYI/436kHt+fUjXIb099t
owUUxulM99jEZZs7zMnOY9jzf8Cf+9ks
-----END PUBLIC KEY-----
";

/// RSA, 1,024 bits: too short.
pub(super) const RSA_SHORT_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDYvcCeTZFP+SYAlvFwxGxcjPcr
XZInuwZfRkQeW7qn03E1c2GQwNTc+dNsGAdjZQudYdno0Jq3WN9VxU522syWuJyZ
vtANTid8XF7+t9YdxrdJRy5qmZoxwHFGfhdiyrQgI418x0bhzOFvR2OL8dGl+bUj
+AAaV9mH5Uu6RA3wqQIDAQAB
-----END PUBLIC KEY-----
";

/// A private key where a public one belongs.
pub(super) const PRIVATE_PEM: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJD4F3sNKAgG0nyiL9q2/7nesyyce6A4mUU/tyh3dGC/
-----END PRIVATE KEY-----
";

/// Of `rsa-1`.
pub(super) const RS256: &str = concat!(
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQi",
    "OiJtY3AtZ2F0ZXdheSIsInN1YiI6InUxIiwicm9sZSI6InByZW1pdW0iLCJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTcwMDAwMDAw",
    "MCwianRpIjoiZml4dHVyZSJ9.cp3A49AAG61XsSR1JCO-U1M3fFcfgaKyMO9XIyoOc_TmZxZF8IcyyHqG7efdDeobAfX_a95z6fQ",
    "8N0j_uTydnRI5G5mXyRXTW2SLY2Yu1b037wD4UbnFYMGaRDZG_Xs3_Q59eJuh-ccXYcEdhbjAmrCiGutpFbFFJHSs8bvo-4fqJOK",
    "YmckPftwQ2bKjA7oDkIGwSssli35wj4KRsaPltJSR9CVDfocUy8XPbGQBSaZPyeMLqIs8yQAn7xZtX2DuKzmkCMV3zInevhhOk-n",
    "96X-mJrCshbfWUk7UU70-G0lOTHzsg7TvIhajPlZkEuILosY4W7SbiGae-fhaFTkkXg",
);

/// Of `ec-1`.
pub(super) const ES256: &str = concat!(
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjLTEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiO",
    "iJtY3AtZ2F0ZXdheSIsInN1YiI6InUxIiwicm9sZSI6InByZW1pdW0iLCJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTcwMDAwMDAwM",
    "CwianRpIjoiZml4dHVyZSJ9.Ou6SD1ieciZ7Phia-U4gvXZdbI3CPrkm3j0HybsCEWVqmYtXS3qeDfIlN-Ju99tK021yXVWzshWC",
    "5sSxj49cDA",
);

/// Says `ec-1`, and is signed with `ec-2`.
pub(super) const ES256_OF_ANOTHER: &str = concat!(
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjLTEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiO",
    "iJtY3AtZ2F0ZXdheSIsInN1YiI6InUxIiwicm9sZSI6InByZW1pdW0iLCJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTcwMDAwMDAwM",
    "CwianRpIjoiZml4dHVyZSJ9.BV7d__6Pz85x1IhKQ1Cfwsnj4DZX6ImnxrgAIeKwsrgLOvaCpZlPGG_JZcDMkfC5Ycru0UecaQgC",
    "3pHC9qBaXw",
);

/// Of `ed-1`.
pub(super) const EDDSA: &str = concat!(
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImVkLTEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiO",
    "iJtY3AtZ2F0ZXdheSIsInN1YiI6InUxIiwicm9sZSI6InByZW1pdW0iLCJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTcwMDAwMDAwM",
    "CwianRpIjoiZml4dHVyZSJ9.N8T1NDorMHkkvFRNwQ_duCn2dzuGr3i8VP63ducpv24b3vwHDv_D8QSXIN4Ych8ytt8P55RrwS_K",
    "DiXSkgA3Dg",
);

/// All four keys, as their issuer publishes them.
pub(super) const JWKS: &str = r#"{"keys":[
{"kty":"RSA","kid":"rsa-1","use":"sig","alg":"RS256","n":"sNhTk7z9dMWXjnL-Mf5cPFcvudoAzc4nSopbobzY1lZHiV4do46NvfWNdSMbopgYFguwc5htaKlP6MEBQGVF7ALmP_hTehDlnNFAiyTB-ExkS2Q8TTLojuSzix4ywtvsLOdr6rdDB1PfOhcX_ZhymSV47ZyfZfVYA7SXcbQNoDSfW0qSeUXe3mWgYNEt8MOa9qWdtxj0dLe5yPZhPkSDS6JJImaYt8VC1ht8soD4oPPR7jJl1cKe743dyVbCQ03WpMFVryHDnoLihUN_cLFE_FdlKCHPL5IsLC3ucW_9eKOf8M8eO-ljiNWdrufg7rkpRsT2XQbOTkMvWuI14EeXQQ","e":"AQAB"},
{"kty":"EC","crv":"P-256","kid":"ec-1","use":"sig","alg":"ES256","x":"MVXxNrkTdAuzc01qcVUt5rH8koOdzrWbuxonBH2JcvY","y":"oUY9eDifWBiZqTU8OOZpgjqz3XgdXOpnr9fnuMVN8l0"},
{"kty":"EC","crv":"P-256","kid":"ec-2","use":"sig","alg":"ES256","x":"-qS5Dgt9QqqShzA3Yjc_ISX5GbilA1Qge45pcpyiG-A","y":"WpMtDTiO2azkI9LprXEy23xArg_75QLNITN-5XwHIQU"},
{"kty":"OKP","crv":"Ed25519","kid":"ed-1","use":"sig","alg":"EdDSA","x":"tAFaiyKlxY1fvKAQa9nB8bDd7IXBoAyrUlpkzRGcsbA"}]}"#;
