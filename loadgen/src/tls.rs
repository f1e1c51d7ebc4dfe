//! TLS of a user's connection, by rustls. The server's certificate is whatever it shows: a load needs no proof of whom
//! it loads.

use std::{
    cell::RefCell,
    io::{self, Read, Write},
    net::TcpStream,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, IpAddr, ServerName, UnixTime},
};

use crate::error::Error;

/// The TLS of a connection, shared by its two halves.
#[derive(Clone)]
pub(crate) struct Session(Rc<RefCell<ClientConnection>>);

impl Session {
    /// A full handshake: none is shortened by one before it.
    pub(crate) fn open(stream: &mut TcpStream) -> io::Result<Self> {
        let name = ServerName::IpAddress(IpAddr::from(stream.peer_addr()?.ip()));
        let mut connection = ClientConnection::new(config(), name).map_err(io::Error::other)?;
        connection.set_buffer_limit(None);
        while connection.is_handshaking() {
            connection.complete_io(stream)?;
        }
        Ok(Self(Rc::new(RefCell::new(connection))))
    }

    /// Encrypts `plain`; what is to be sent.
    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut connection = self.0.borrow_mut();
        connection.writer().write_all(plain).map_err(Error::io("encrypt"))?;
        let mut sealed = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut sealed).map_err(Error::io("encrypt"))?;
        }
        Ok(sealed)
    }

    /// Decrypts what was received and appends it to `plain`.
    pub(crate) fn open_records(&self, mut sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), Error> {
        let mut connection = self.0.borrow_mut();
        while !sealed.is_empty() {
            connection.read_tls(&mut sealed).map_err(Error::io("decrypt"))?;
            let state = connection.process_new_packets().map_err(|e| Error::Protocol(e.to_string()))?;
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            connection.reader().read_exact(&mut plain[start..]).map_err(Error::io("decrypt"))?;
        }
        Ok(())
    }
}

fn config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    };
    CONFIG.get_or_init(make).clone()
}

/// Takes every certificate whose key has signed the handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
