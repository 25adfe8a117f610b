//! The downstream peer's leaf certificate: its digest, its names and its dates (RFC 5280, RFC 8705 §3.1).

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::percent::{self, hex_digit};
use crate::time::UnixTime;

/// The other end of the connection, as the host reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// No TLS on this hop.
    Plaintext,
    /// TLS, and the peer showed no certificate.
    Anonymous,
    /// TLS with a certificate; its leaf, PEM, where the proxy tells it.
    Certificate { digest: CertificateDigest, leaf: Option<Vec<u8>> },
    /// TLS with a certificate that this worker has read before.
    Known(PeerCertificate),
}

/// SHA-256 of a certificate's DER; `x5t#S256` in another spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateDigest(pub [u8; 32]);

/// The caller's certificate: the downstream peer's, or the one that a relay tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    pub digest: CertificateDigest,
    /// What stands in it; none where the digest alone is told (Envoy before 1.39, a relay's `Hash` without `Cert`).
    pub leaf: Option<Rc<Leaf>>,
    pub source: Source,
}

/// Who tells of a certificate; what its names are worth depends on that, and never on which certificate it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The TLS of this proxy.
    #[default]
    Connection,
    /// A header of this relay.
    Relay(RelayId),
}

/// A relay by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayId(pub usize);

/// What the proxy tells of a connection only when it is asked. A request that passes asks nothing.
pub trait Session {
    /// Whether this connection's own handshake verified the peer's chain (`connection.peer_certificate_valid`): it is false
    /// on every resumed session, however good the certificate is. None where the proxy does not tell.
    fn is_validated(&self) -> Option<bool>;
}

/// What is read from a leaf certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// Seconds since 1970, the first and the last in which it is valid.
    pub not_before: i64,
    pub not_after: i64,
    /// Subject alternative names, each as it stands in the certificate.
    pub uris: Vec<String>,
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub ips: Vec<IpAddr>,
    /// The attributes of the subject, in their order.
    pub subject: Vec<Attribute>,
    /// Whether it may sign: `cA`, `keyCertSign` or `cRLSign`. Such a certificate is no X.509-SVID.
    pub may_sign: bool,
    /// Whether its extended key usage says `clientAuth`; `anyExtendedKeyUsage` does not (RFC 5280 §4.2.1.12).
    pub for_clients: bool,
    /// SHA-256 of its public key's DER (`SubjectPublicKeyInfo`).
    pub key: [u8; 32],
    /// All of it, for who judges it elsewhere.
    pub der: Box<[u8]>,
}

/// One attribute of a distinguished name (RFC 5280 §4.1.2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its object identifier, in dots.
    pub kind: String,
    /// None where it is of a string type that is not read.
    pub value: Option<String>,
}

/// Why a leaf could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not one PEM certificate, raw or percent-encoded.
    NotPem,
    /// Over 8 KiB, or more than 64 names.
    TooLarge,
    /// Not the DER of one certificate.
    NotX509,
    /// The digest told with it is that of another certificate.
    OtherDigest,
}

pub(super) const MAX_DER: usize = 8 * 1024;
const MAX_NAMES: usize = 64;

impl Peer {
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Plaintext | Self::Anonymous | Self::Known(_) | Self::Certificate { leaf: None, .. } => 0,
            Self::Certificate { leaf: Some(pem), .. } => pem.len(),
        }
    }
}

impl Peer {
    /// Of the certificate that it shows on the connection.
    pub fn digest(&self) -> Option<CertificateDigest> {
        match self {
            Self::Plaintext | Self::Anonymous => None,
            Self::Certificate { digest, .. } | Self::Known(PeerCertificate { digest, .. }) => Some(*digest),
        }
    }
}

impl CertificateDigest {
    /// Reads the host's form: 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != 64 || text.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        }
        Some(Self(digest))
    }

    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// As the host writes it.
    fn digits(&self) -> Digits {
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        let mut digits = [0; 64];
        for (pair, octet) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(octet >> 4), digit(octet & 15)]);
        }
        Digits(digits)
    }
}

impl fmt::Display for CertificateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CertificateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Leaf {
    /// Reads the proxy's PEM, whose digest must be the one told with it.
    pub fn from_pem(pem: &[u8], digest: CertificateDigest) -> Result<Self, Error> {
        let der = pem_to_der(pem)?;
        if CertificateDigest::of(&der) != digest {
            return Err(Error::OtherDigest);
        }
        Self::from_der(&der)
    }

    /// Reads one certificate, nothing behind it.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if der.len() > MAX_DER {
            return Err(Error::TooLarge);
        }
        let Ok(([], certificate)) = X509Certificate::from_der(der) else { return Err(Error::NotX509) };
        let mut leaf = Self {
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            key: Sha256::digest(certificate.public_key().raw).into(),
            der: der.into(),
            ..Self::default()
        };
        for attribute in certificate.subject().iter_attributes() {
            if leaf.subject.len() == MAX_NAMES {
                return Err(Error::TooLarge);
            }
            let value = attribute.as_str().ok().map(str::to_owned);
            leaf.subject.push(Attribute { kind: attribute.attr_type().to_id_string(), value });
        }
        for extension in certificate.extensions() {
            leaf.read_extension(extension.parsed_extension())?;
        }
        Ok(leaf)
    }

    fn read_extension(&mut self, extension: &ParsedExtension<'_>) -> Result<(), Error> {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                if names.general_names.len() > MAX_NAMES {
                    return Err(Error::TooLarge);
                }
                for name in &names.general_names {
                    match name {
                        GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
                        GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
                        GeneralName::RFC822Name(address) => self.emails.push((*address).to_owned()),
                        GeneralName::IPAddress(octets) => self.ips.push(read_ip(octets).ok_or(Error::NotX509)?),
                        // A name that can't be read may be the one that a rule refuses.
                        GeneralName::Invalid(..) => return Err(Error::NotX509),
                        GeneralName::OtherName(..)
                        | GeneralName::X400Address(_)
                        | GeneralName::DirectoryName(_)
                        | GeneralName::EDIPartyName(_)
                        | GeneralName::RegisteredID(_) => {}
                    }
                }
            }
            ParsedExtension::BasicConstraints(constraints) => self.may_sign |= constraints.ca,
            ParsedExtension::KeyUsage(usage) => self.may_sign |= usage.key_cert_sign() || usage.crl_sign(),
            ParsedExtension::ExtendedKeyUsage(usage) => self.for_clients |= usage.client_auth,
            ParsedExtension::ParseError { .. } => return Err(Error::NotX509),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn size(&self) -> usize {
        let names = self.uris.iter().chain(&self.dns).chain(&self.emails).map(|name| name.len() + size_of::<String>());
        let told = |attribute: &Attribute| attribute.kind.len() + attribute.value.as_ref().map_or(0, String::len);
        let subject = self.subject.iter().map(|attribute| told(attribute) + size_of::<Attribute>());
        size_of::<Self>() + self.der.len() + names.chain(subject).sum::<usize>() + self.ips.len() * size_of::<IpAddr>()
    }

    /// Whether `now` lies within its dates, both included.
    pub fn lasts_at(&self, now: UnixTime) -> bool {
        let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it is a successor of `other`, or the other way round: for the same key, or, where names prove something, for
    /// the same names.
    pub fn renews(&self, other: &Self, names_count: bool) -> bool {
        let is_named = self.names() != Self::default().names();
        self.key == other.key || (names_count && is_named && self.names() == other.names())
    }

    fn names(&self) -> (&[Attribute], [&[String]; 3], &[IpAddr]) {
        (&self.subject, [&self.uris, &self.dns, &self.emails], &self.ips)
    }
}

/// An address is of four octets or of sixteen (RFC 5280 §4.2.1.6).
fn read_ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into());
    v4().or_else(|| <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into()))
}

/// Takes exactly one block, raw or percent-encoded (Envoy documents the one and sends the other).
fn pem_to_der(pem: &[u8]) -> Result<Vec<u8>, Error> {
    one_block(&percent::decode(pem).ok_or(Error::NotPem)?, b"\r\n")
}

/// The DER of one PEM block, whose lines end in one of these octets.
pub(super) fn one_block(pem: &[u8], ends: &[u8]) -> Result<Vec<u8>, Error> {
    let text = core::str::from_utf8(pem).map_err(|_| Error::NotPem)?;
    let body = text.trim_ascii().strip_prefix("-----BEGIN CERTIFICATE-----").ok_or(Error::NotPem)?;
    let body = body.strip_suffix("-----END CERTIFICATE-----").ok_or(Error::NotPem)?;
    let ends_line = |octet: Option<&u8>| octet.is_some_and(|octet| ends.contains(octet));
    if !ends_line(body.as_bytes().first()) || !ends_line(body.as_bytes().last()) {
        return Err(Error::NotPem);
    }
    let body: Vec<u8> = body.bytes().filter(|byte| !ends.contains(byte)).collect();
    from_base64(&body)
}

/// DER in canonical base64, nothing between its signs (RFC 4648 §4).
pub fn from_base64(body: &[u8]) -> Result<Vec<u8>, Error> {
    if body.len() > MAX_DER * 4 / 3 + 4 {
        return Err(Error::TooLarge);
    }
    STANDARD.decode(body).map_err(|_| Error::NotPem)
}

/// The certificates that this worker has read, by their digests as the proxy tells them: each is parsed once. Full, it forgets
/// those that it has known longest.
#[derive(Debug, Default)]
pub struct Leaves {
    known: HashMap<Digits, PeerCertificate>,
    /// In the order in which they were read.
    order: VecDeque<Digits>,
    bytes: usize,
}

/// A digest in 64 lower-case hexadecimal digits. Its first eight octets tell where it stands: nobody makes many certificates
/// that are alike in them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digits([u8; 64]);

impl Hash for Digits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.first_chunk::<16>().map_or(&[], <[u8; 16]>::as_slice));
    }
}

const MAX_LEAVES: usize = 4096;
const MAX_LEAVES_BYTES: usize = 4 * 1024 * 1024;

impl Leaves {
    /// The certificate of this digest, as the proxy writes it, if it was read before.
    pub fn known(&self, digest: &[u8]) -> Option<PeerCertificate> {
        self.known.get(&Digits(*digest.first_chunk()?)).filter(|_| digest.len() == 64).cloned()
    }

    /// What stands in the certificate of this digest, if it was read before.
    pub fn leaf(&self, digest: CertificateDigest) -> Option<Rc<Leaf>> {
        self.known.get(&digest.digits())?.leaf.clone()
    }

    /// How many it knows.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// The peer's certificate, if it showed one.
    pub fn of(&mut self, peer: &Peer) -> Result<Option<PeerCertificate>, Error> {
        match peer {
            Peer::Plaintext | Peer::Anonymous => Ok(None),
            Peer::Known(certificate) => Ok(Some(certificate.clone())),
            Peer::Certificate { digest, leaf } => self.certificate(*digest, leaf.as_deref()).map(Some),
        }
    }

    /// The certificate behind a digest, read from `pem` if this worker has not read it before.
    pub fn certificate(&mut self, digest: CertificateDigest, pem: Option<&[u8]>) -> Result<PeerCertificate, Error> {
        // Where the proxy tells no leaf, none was ever read.
        if (pem.is_some() || !self.known.is_empty())
            && let Some(known) = self.known.get(&digest.digits())
        {
            return Ok(known.clone());
        }
        let Some(pem) = pem else { return Ok(PeerCertificate { digest, leaf: None, source: Source::Connection }) };
        let leaf = Rc::new(Leaf::from_pem(pem, digest)?);
        while self.known.len() >= MAX_LEAVES || self.bytes >= MAX_LEAVES_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            let gone = self.known.remove(&oldest).and_then(|certificate| certificate.leaf);
            self.bytes = self.bytes.saturating_sub(gone.map_or(0, |leaf| leaf.size()));
        }
        self.bytes += leaf.size();
        let certificate = PeerCertificate { digest, leaf: Some(leaf), source: Source::Connection };
        self.order.push_back(digest.digits());
        self.known.insert(digest.digits(), certificate.clone());
        Ok(certificate)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// RFC 8705 Appendix A.
    pub const PEM: &str = "-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
";
    const HEX: &str = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";

    fn digest() -> CertificateDigest {
        CertificateDigest::from_hex(HEX.as_bytes()).unwrap()
    }

    #[test]
    fn the_certificate_of_rfc_8705_is_read_in_both_spellings_of_the_host() {
        let encoded =
            PEM.replace('\n', "%0A").replace('+', "%2B").replace('/', "%2f").replace(' ', "%20").replace('=', "%3D");
        for pem in [PEM, &encoded, &PEM.replace('\n', "\r\n"), PEM.trim_end()] {
            let leaf = Leaf::from_pem(pem.as_bytes(), digest()).unwrap();
            assert_eq!((leaf.not_before, leaf.not_after), (1_539_866_229, 1_651_495_029));
            assert_eq!((leaf.uris.len(), leaf.dns.len(), leaf.may_sign), (0, 0, false));
        }
    }

    #[test]
    fn nothing_looser_than_one_whole_certificate_is_read() {
        let table: [(String, Error); 8] = [
            (String::new(), Error::NotPem),
            (format!("{PEM}{PEM}"), Error::NotPem),
            (format!("x{PEM}"), Error::NotPem),
            (PEM.replace("MIIB", "MI B"), Error::NotPem),
            (PEM.replace("CERTIFICATE", "PUBLIC KEY"), Error::NotPem),
            (PEM.replace('\n', "%0"), Error::NotPem),
            (PEM.replace("MIIB", "MIIC"), Error::OtherDigest),
            (PEM.replace("MIIB", &"MIIB".repeat(4000)), Error::TooLarge),
        ];
        for (pem, error) in table {
            assert_eq!(Leaf::from_pem(pem.as_bytes(), digest()), Err(error), "{pem:.80}");
        }
        let mut der = pem_to_der(PEM.as_bytes()).unwrap();
        assert!(Leaf::from_der(&der).is_ok());
        der.push(0);
        assert_eq!(Leaf::from_der(&der), Err(Error::NotX509));
        assert_eq!(Leaf::from_der(b""), Err(Error::NotX509));
    }

    #[test]
    fn only_the_hosts_own_form_is_a_digest() {
        for text in
            ["", &HEX[1..], &format!("{HEX}0"), &HEX.to_uppercase(), &HEX.replace('f', "g"), &HEX.replace("03", "0:")]
        {
            assert_eq!(CertificateDigest::from_hex(text.as_bytes()), None, "{text}");
        }
        assert_eq!(digest().to_string(), HEX);
    }

    #[test]
    fn a_leaf_is_read_once_and_never_under_another_digest() {
        let mut leaves = Leaves::default();
        assert_eq!(leaves.certificate(digest(), None).unwrap().leaf, None);
        assert!(leaves.certificate(digest(), Some(PEM.as_bytes())).unwrap().leaf.is_some());
        assert!(leaves.known(HEX.as_bytes()).is_some());
        assert!(leaves.certificate(digest(), None).unwrap().leaf.is_some());
        let other = CertificateDigest([0; 32]);
        assert_eq!(leaves.certificate(other, Some(PEM.as_bytes())), Err(Error::OtherDigest));
        assert!(leaves.known(other.to_string().as_bytes()).is_none());
        assert!(leaves.known(&HEX.as_bytes()[..63]).is_none() && leaves.known(format!("{HEX}0").as_bytes()).is_none());
        assert_eq!(leaves.count(), 1);
    }

    #[test]
    fn full_it_forgets_what_it_has_known_longest_and_nothing_else() {
        let mut leaves = Leaves::default();
        for number in 0..MAX_LEAVES {
            let other =
                CertificateDigest(core::array::from_fn(|at| number.to_le_bytes().get(at).copied().unwrap_or(0)));
            let digits = Digits(*other.to_string().as_bytes().first_chunk().unwrap());
            leaves.order.push_back(digits.clone());
            leaves.known.insert(digits, PeerCertificate { digest: other, leaf: None, source: Source::Connection });
        }
        let [oldest, next] = [0, 1].map(|at| leaves.order[at].clone());
        leaves.certificate(digest(), Some(PEM.as_bytes())).unwrap();
        assert_eq!(leaves.count(), MAX_LEAVES);
        assert!(leaves.known(HEX.as_bytes()).is_some());
        assert!(!leaves.known.contains_key(&oldest) && leaves.known.contains_key(&next));
        leaves.bytes = MAX_LEAVES_BYTES;
        let (other, pem) = (CertificateDigest::from_hex(HEX.as_bytes()).unwrap(), Some(PEM.as_bytes()));
        leaves.known.clear();
        leaves.certificate(other, pem).unwrap();
        assert_eq!(leaves.order.len(), 1, "octets are bounded too");
    }
}
