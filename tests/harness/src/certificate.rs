//! A certificate authority, and leaves with the names, dates and rights that a test wants.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use crate::base64url;

/// Issues certificates for two days around now.
#[derive(Clone)]
pub struct Authority {
    issuer: Arc<Issuer<'static, KeyPair>>,
    pub certificate: Certificate,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub der: Vec<u8>,
    /// The certificate, and those between it and the root, if there are any.
    pub cert_pem: String,
    pub key_pem: String,
}

/// What a leaf shall say.
#[derive(Clone, Debug)]
pub struct Leaf {
    params: CertificateParams,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a P-256 key");
        let certificate = Certificate::of(&params.clone().self_signed(&key).expect("a self-signed certificate"), &key);
        Self { issuer: Arc::new(Issuer::new(params, key)), certificate }
    }

    pub fn issue(&self, leaf: Leaf) -> Certificate {
        self.certify(leaf, &KeyPair::generate().expect("a P-256 key"))
    }

    /// Another certificate for the key of this one.
    pub fn renew(&self, certificate: &Certificate, leaf: Leaf) -> Certificate {
        self.certify(leaf, &KeyPair::from_pem(&certificate.key_pem).expect("its key"))
    }

    fn certify(&self, leaf: Leaf, key: &KeyPair) -> Certificate {
        Certificate::of(&leaf.params.signed_by(key, &self.issuer).expect("a certificate"), key)
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::DAY;
    params.not_after = now + Duration::DAY;
    params
}

impl Leaf {
    /// A client with this common name and DNS name.
    pub fn client(name: &str) -> Self {
        let mut params = params(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Self { params }.dns(name)
    }

    /// A client with a common name and no other.
    pub fn nameless(name: &str) -> Self {
        let mut leaf = Self::client(name);
        leaf.params.subject_alt_names.clear();
        leaf
    }

    /// A server on loopback.
    pub fn server() -> Self {
        let mut leaf = Self::client("localhost").ip([127, 0, 0, 1]);
        leaf.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf
    }

    pub fn dns(mut self, name: &str) -> Self {
        self.params.subject_alt_names.push(SanType::DnsName(name.try_into().expect("ASCII")));
        self
    }

    pub fn uri(mut self, uri: &str) -> Self {
        self.params.subject_alt_names.push(SanType::URI(uri.try_into().expect("ASCII")));
        self
    }

    pub fn email(mut self, address: &str) -> Self {
        self.params.subject_alt_names.push(SanType::Rfc822Name(address.try_into().expect("ASCII")));
        self
    }

    /// The organization of its subject.
    pub fn organization(mut self, name: &str) -> Self {
        self.params.distinguished_name.push(DnType::OrganizationName, name);
        self
    }

    /// An attribute of its subject by object identifier.
    pub fn attribute(mut self, kind: &[u64], value: &str) -> Self {
        self.params.distinguished_name.push(DnType::CustomDnType(kind.to_vec()), value);
        self
    }

    pub fn ip(mut self, address: [u8; 4]) -> Self {
        self.params.subject_alt_names.push(SanType::IpAddress(address.into()));
        self
    }

    /// Valid from and until so many seconds from now.
    pub fn valid(mut self, from: i64, until: i64) -> Self {
        let now = OffsetDateTime::now_utc();
        self.params.not_before = now + Duration::seconds(from);
        self.params.not_after = now + Duration::seconds(until);
        self
    }

    /// May sign certificates, as no workload may.
    pub fn authority(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    /// Has the key usages of an authority, and may not be one.
    pub fn certificate_signing(mut self) -> Self {
        self.params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        self
    }

    /// One extension of the test's own, DER as it shall stand there.
    pub fn extension(mut self, oid: &[u64], der: Vec<u8>) -> Self {
        self.params.custom_extensions.push(CustomExtension::from_oid_content(oid, der));
        self
    }

    /// Signed by its own key, by nobody whom anybody trusts.
    pub fn self_signed(self) -> Certificate {
        let key = KeyPair::generate().expect("a P-256 key");
        Certificate::of(&self.params.self_signed(&key).expect("a certificate"), &key)
    }
}

impl Certificate {
    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self { der: certificate.der().to_vec(), cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// One that another authority issued.
    pub fn read(cert_pem: String, key_pem: String) -> Self {
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).expect("a certificate").to_vec();
        Self { der, cert_pem, key_pem }
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// As Envoy tells it.
    pub fn digest_hex(&self) -> String {
        self.digest().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// As a token names it (RFC 8705 §3.1).
    pub fn x5t_s256(&self) -> String {
        base64url(&self.digest())
    }
}
