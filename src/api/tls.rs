//! The certificate of the API: the administrator's, or one that kodo makes for itself at the first start.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use chrono::Datelike;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ServerConfig;
use crate::clock;
use crate::secret::write_private;

/// How long a generated certificate is good for. It is pinned by its file, not trusted by a public root.
const YEARS_VALID: i32 = 20;

/// The generated certificate of a state directory: what clients on this machine trust by default.
pub fn generated_cert(state_dir: &Path) -> PathBuf {
    state_dir.join("tls").join("cert.pem")
}

fn generated_key(state_dir: &Path) -> PathBuf {
    state_dir.join("tls").join("key.pem")
}

/// What rustls needs to serve; makes the certificate first when there is none.
pub fn acceptor(config: &ServerConfig, state_dir: &Path) -> anyhow::Result<rustls::ServerConfig> {
    let (cert, key) = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        (None, None) => generate_once(state_dir)?,
        _ => bail!("server.tls_cert and server.tls_key belong together"),
    };
    let chain = CertificateDer::pem_file_iter(&cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {}", cert.display()))?;
    ensure!(!chain.is_empty(), "{} holds no certificate in PEM form", cert.display());
    let private =
        PrivateKeyDer::from_pem_file(&key).with_context(|| format!("cannot read the private key {}", key.display()))?;
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set up TLS")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("the key {} does not fit the certificate {}", key.display(), cert.display()))
}

/// Makes certificate and key unless both are there. The key is written first and is never replaced.
fn generate_once(state_dir: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (cert, key) = (generated_cert(state_dir), generated_key(state_dir));
    if cert.exists() && key.exists() {
        return Ok((cert, key));
    }
    let dir = state_dir.join("tls");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&dir)
        .with_context(|| format!("cannot create {}", dir.display()))?;
    let pair = if key.exists() {
        let pem = std::fs::read_to_string(&key).with_context(|| format!("cannot read {}", key.display()))?;
        KeyPair::from_pem(&pem).with_context(|| format!("{} is not a private key; remove it", key.display()))?
    } else {
        let pair = KeyPair::generate().context("cannot make a TLS key")?;
        write_private(&key, pair.serialize_pem().trim_end())?;
        pair
    };
    let pem = certificate(&pair)?;
    let fresh = dir.join("cert.pem.new");
    std::fs::write(&fresh, pem).with_context(|| format!("cannot write {}", fresh.display()))?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o644))
        .and_then(|()| std::fs::rename(&fresh, &cert))
        .with_context(|| format!("cannot put {} in place", cert.display()))?;
    tracing::info!(path = %cert.display(), "TLS certificate generated");
    Ok((cert, key))
}

fn certificate(pair: &KeyPair) -> anyhow::Result<String> {
    let mut params = CertificateParams::new(names()).context("this machine's name does not fit a certificate")?;
    let year = clock::now().year();
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + YEARS_VALID, 1, 1);
    params.is_ca = IsCa::NoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name.push(DnType::CommonName, "kodo");
    Ok(params.self_signed(pair).context("cannot sign the certificate")?.pem())
}

fn names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    // Absent outside Linux: the certificate then serves this machine only.
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        let host = host.trim();
        if is_dns_name(host) && !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
    }
    names
}

fn is_dns_name(host: &str) -> bool {
    (1..=253).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();

        acceptor(&ServerConfig::default(), dir.path()).unwrap();
        let first = std::fs::read(generated_cert(dir.path())).unwrap();
        acceptor(&ServerConfig::default(), dir.path()).unwrap();

        assert_eq!(std::fs::read(generated_cert(dir.path())).unwrap(), first);
        let mode = std::fs::metadata(generated_key(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        acceptor(&ServerConfig::default(), one.path()).unwrap();
        acceptor(&ServerConfig::default(), two.path()).unwrap();
        let mixed = ServerConfig {
            tls_cert: Some(generated_cert(one.path())),
            tls_key: Some(generated_key(two.path())),
            ..Default::default()
        };

        assert!(acceptor(&mixed, one.path()).unwrap_err().to_string().contains("does not fit"));
    }
}
