use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::sign::CertifiedKey;

use super::*;
use crate::config::Pair;

/// A folder that is gone at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("weir-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a writable folder for temporary files");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a writable folder");
        path
    }

    /// A certificate for these names, which ends in this year, and its key.
    fn pair(&self, names: &[&str], end: i32) -> Pair {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
                .expect("names");
        params.not_after = date_time_ymd(end, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("a certificate");
        let name = names.first().unwrap_or(&"nobody").replace('*', "any");
        Pair {
            cert: self.write(&format!("{name}.pem"), &cert.pem()),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(first: &Pair) -> Files {
    let listeners = Tls { cert: Some(first.cert.clone()), key: Some(first.key.clone()), ..Tls::default() };
    Files { listeners, upstreams: Vec::new() }
}

/// What is wrong with these files.
fn refusal(files: &Files) -> String {
    load(files).expect_err("refused").to_string()
}

#[test]
fn without_files_nothing_is_made() {
    let loaded = load(&Files::default()).expect("nothing to read");
    assert!(loaded.credentials.server.is_none() && loaded.warnings.is_empty());
}

#[test]
fn a_pair_makes_a_server_that_speaks_http_1_1() {
    let folder = Folder::new("pair");
    let loaded = load(&files(&folder.pair(&["localhost"], 4000))).expect("a pair");
    let server = loaded.credentials.server.expect("a server");
    assert_eq!(server.alpn_protocols, [b"http/1.1"]);
    assert!(server.ticketer.enabled() && loaded.warnings.is_empty());
}

#[test]
fn what_cannot_be_used_is_named_with_the_way_out() {
    let folder = Folder::new("refusals");
    let (one, other) = (folder.pair(&["one.example"], 4000), folder.pair(&["other.example"], 4000));
    let with =
        |cert: &PathBuf, key: &PathBuf| refusal(&files(&Pair { cert: cert.clone(), key: key.clone() }));
    let said = with(&one.cert, &other.key);
    assert!(said.contains("other.example.key is not that of the first certificate in"), "{said}");
    let said = with(&folder.0.join("none.pem"), &one.key);
    assert!(said.contains("none.pem cannot be read: No such file"), "{said}");
    let said = with(&one.key, &one.cert);
    assert!(said.contains("one.example.key holds no certificate") && said.contains("swapped?"), "{said}");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let said = with(&one.cert, &folder.write("encrypted.key", encrypted));
    assert!(said.contains("encrypted.key holds no private key") && said.contains("openssl pkey"), "{said}");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let said = with(&folder.write("broken.pem", broken), &one.key);
    assert!(said.contains("the first certificate in") && said.contains("cannot be read ("), "{said}");
    let key = fs::read_to_string(&one.key).expect("a key");
    let said = with(&one.cert, &folder.write("cut.key", key.get(..100).expect("a longer key")));
    assert!(said.contains("cut.key is no PEM file"), "{said}");
}

#[test]
fn a_further_certificate_needs_a_name() {
    let folder = Folder::new("nameless");
    let mut files = files(&folder.pair(&["localhost"], 4000));
    files.listeners.certificates.push(folder.pair(&[], 4000));
    let said = refusal(&files);
    assert!(said.contains("nobody.pem is for no DNS name"), "{said}");
}

#[test]
fn certificates_are_found_by_name() {
    let folder = Folder::new("names");
    let provider = suites::provider();
    let read = |pair: &Pair| -> CertifiedKey {
        let chain = pem::certificates(&pair.cert).expect("a chain");
        pem::certified(&pair.cert, chain, &pair.key, &provider).expect("a pair")
    };
    let first = folder.pair(&["first.example"], 4000);
    let (one, any) =
        (folder.pair(&["One.example", "two.example"], 4000), folder.pair(&["*.any.example"], 4000));
    let mut certificates = Certificates::new(read(&first));
    for pair in [&one, &any] {
        certificates.add(pem::names(&pair.cert).expect("names"), read(pair));
    }
    let found = |name: &str| certificates.find(name).cert.clone();
    assert_eq!(found("one.example"), read(&one).cert);
    assert_eq!(found("two.example"), read(&one).cert);
    assert_eq!(found("three.any.example"), read(&any).cert);
    for name in ["a.three.any.example", "any.example", "example", "elsewhere", ""] {
        assert_eq!(found(name), read(&first).cert, "{name}");
    }
}

#[test]
fn the_end_of_a_certificate_is_warned_about() {
    let folder = Folder::new("validity");
    let pair = folder.pair(&["localhost"], 2020);
    let warnings = load(&files(&pair)).expect("it is served all the same").warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("localhost.pem has expired"), "{warnings:?}");
    let chain = pem::certificates(&pair.cert).expect("a chain");
    let at = |days: u64| {
        // 2020-01-01.
        let end = Duration::from_secs(1_577_836_800);
        pem::validity(
            &pair.cert,
            &chain[0],
            UnixTime::since_unix_epoch(end - Duration::from_secs(days * 86_400)),
        )
    };
    assert!(at(13).expect("a warning").contains("expires in 13 days"));
    assert_eq!(at(15), None);
}

#[test]
fn an_upstream_trusts_public_roots_and_its_own() {
    let folder = Folder::new("upstream");
    let own = UpstreamTls { ca: Some(folder.pair(&["ca.example"], 4000).cert), ..UpstreamTls::default() };
    let files = Files { upstreams: vec![None, Some(own), Some(UpstreamTls::default())], ..Files::default() };
    let upstreams = load(&files).expect("right").credentials.upstreams;
    assert_eq!(upstreams.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
}

/// A server of these credentials and a client of the library's own suites understand each other, in both versions.
#[test]
fn slim_suites_are_those_of_the_library() {
    let folder = Folder::new("suites");
    let pair = folder.pair(&["localhost"], 4000);
    let server = load(&files(&pair)).expect("a pair").credentials.server.expect("a server");
    let roots = Arc::new(pem::roots(&pair.cert).expect("a certificate"));
    // The certificate's key is one of elliptic curves.
    let rsa = |suite: &rustls::SupportedCipherSuite| format!("{suite:?}").contains("_RSA_");
    for suite in ring::ALL_CIPHER_SUITES.iter().filter(|suite| !rsa(suite)) {
        let provider = CryptoProvider { cipher_suites: vec![*suite], ..ring::default_provider() };
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[suite.version()])
            .expect("a version")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let mut client = rustls::ClientConnection::new(config.into(), name).expect("a client");
        let mut server = rustls::ServerConnection::new(server.clone()).expect("a server");
        server.set_buffer_limit(None);
        client.set_buffer_limit(None);
        client.writer().write_all(&[7; 40_000]).expect("room");
        let (mut heard, mut answered) = (Vec::new(), Vec::new());
        while client.wants_write() || server.wants_write() {
            carry(&mut client, &mut server, &mut heard);
            if heard.len() == 40_000 && answered.is_empty() {
                server.writer().write_all(&[9; 40_000]).expect("room");
            }
            carry(&mut server, &mut client, &mut answered);
        }
        assert_eq!((heard, answered), (vec![7; 40_000], vec![9; 40_000]), "{suite:?}");
    }
}

/// Carries what one side has to say to the other, and appends what that is told to `heard`.
fn carry<A, B>(
    from: &mut rustls::ConnectionCommon<A>,
    to: &mut rustls::ConnectionCommon<B>,
    heard: &mut Vec<u8>,
) {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("a vector has room");
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("a slice can be read");
        let len = to.process_new_packets().expect("TLS").plaintext_bytes_to_read();
        let start = heard.len();
        heard.resize(start + len, 0);
        to.reader().read_exact(&mut heard[start..]).expect("so many bytes");
    }
}
