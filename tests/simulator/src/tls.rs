//! A certificate authority of our own, for clients that insist on https.

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

pub struct Tls {
    pub config: ServerConfig,
    pub ca_pem: String,
}

pub fn make() -> anyhow::Result<Tls> {
    let ca_key = KeyPair::generate().context("make the key of the CA")?;
    let mut ca = CertificateParams::new(Vec::<String>::new()).context("describe the CA")?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "Simulated tenant CA");
    let ca_pem = ca.self_signed(&ca_key).context("sign the CA")?.pem();
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate().context("make the server key")?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names).context("describe the server")?;
    server.distinguished_name.push(DnType::CommonName, "simulated graph");
    let certificate = server.signed_by(&key, &issuer).context("sign the server")?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("choose TLS versions")?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .context("use the server certificate")?;
    Ok(Tls { config, ca_pem })
}
