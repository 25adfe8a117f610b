//! Which peers are relays, whose word for their clients' certificates counts, and for what (checklist 6.6, 13.1).

use crate::facts::Request;
use crate::facts::peer::{PeerCertificate, RelayId};
use crate::facts::relay::{Format, client_cert};

use super::Trust;
use super::certificate::CertificateTest;
use super::operand::Bindings;
use super::truth::Truth;

/// A proxy before this one that ends TLS and hands its client's certificate on.
#[derive(Clone, Debug)]
pub struct Relay {
    /// What its own certificate says, on the connection to this proxy. It refers to nothing.
    pub certificate: CertificateTest,
    /// The field in which it tells its client's, in lower case.
    pub header: String,
    pub format: Format,
    /// What it verified, and so which names in that certificate count.
    pub trust: Trust,
}

/// What a peer is, as far as its certificate tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// Itself the client.
    Client,
    /// These relays; several where one proxy writes several fields.
    Relays(Vec<RelayId>),
    /// A client or a relay: the certificate can't be read, or says of names more than one thing. It speaks for nobody.
    Unknown,
}

impl Relay {
    /// Whether its field holds nothing but what is believed of it.
    pub fn is_all_believed(&self, request: &Request) -> bool {
        request.peer.digest().is_some_and(|own| self.format.is_all_believed(request, &self.header, own))
    }

    /// Whether a field of this name, in this spelling, is one in which it tells certificates.
    pub fn writes(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.header.as_bytes())
            || (self.format == Format::ClientCert && name.eq_ignore_ascii_case(client_cert::CHAIN.as_bytes()))
    }
}

/// What `peer` is among these relays, whose names count as far as the connection's do.
pub fn kind_of(relays: &[Relay], peer: &PeerCertificate, of_connection: &Trust) -> PeerKind {
    let claims = |_: &_| None;
    let nothing = Bindings { captured: &[], claims: &claims };
    let mut found = Vec::new();
    let mut is_unknown = false;
    for (at, relay) in relays.iter().enumerate() {
        match relay.certificate.holds(Some(peer), of_connection, nothing) {
            Truth::True => found.push(RelayId(at)),
            Truth::False => {}
            Truth::Unknown => is_unknown = true,
        }
    }
    match found.is_empty() {
        false => PeerKind::Relays(found),
        true if is_unknown => PeerKind::Unknown,
        true => PeerKind::Client,
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::{DnsPattern, SpiffePattern};
    use super::super::tests::{certificate, trusting};
    use super::*;
    use crate::facts::peer::{CertificateDigest, Leaf};

    fn relay(certificate: CertificateTest) -> Relay {
        Relay { certificate, header: "x".to_owned(), format: Format::Xfcc, trust: Trust::default() }
    }

    fn by_id() -> CertificateTest {
        let id = SpiffePattern::parse("spiffe://bank.example/edge").unwrap();
        CertificateTest { spiffe_id: vec![id], ..CertificateTest::default() }
    }

    fn by_name() -> CertificateTest {
        CertificateTest { san_dns: vec![DnsPattern::parse("edge.example").unwrap()], ..CertificateTest::default() }
    }

    fn by_digest() -> CertificateTest {
        CertificateTest { sha256: vec![CertificateDigest([7; 32])], ..CertificateTest::default() }
    }

    fn leaf(uris: &[&str], dns: &[&str]) -> Option<Leaf> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Some(Leaf { uris: owned(uris), dns: owned(dns), ..Leaf::default() })
    }

    #[test]
    fn a_relay_is_known_by_its_digest_or_by_names_that_the_connection_proves() {
        let relays = [relay(by_id()), relay(by_name())];
        let id = "spiffe://bank.example/edge";
        let (trusted, untrusted) = (trusting("bank.example"), Trust::default());
        for (shown, trust, expected) in [
            (leaf(&[id], &[]), &trusted, PeerKind::Relays(vec![RelayId(0)])),
            (leaf(&[], &["edge.example"]), &trusted, PeerKind::Relays(vec![RelayId(1)])),
            (leaf(&[id], &["edge.example"]), &trusted, PeerKind::Relays(vec![RelayId(0), RelayId(1)])),
            (leaf(&[id], &["edge.example"]), &untrusted, PeerKind::Client),
            (leaf(&["spiffe://shop.example/edge"], &[]), &trusted, PeerKind::Client),
            (leaf(&[], &["client.example"]), &trusted, PeerKind::Client),
            (leaf(&[id, "urn:x"], &[]), &trusted, PeerKind::Unknown),
            (None, &trusted, PeerKind::Unknown),
            (None, &untrusted, PeerKind::Client),
        ] {
            assert_eq!(kind_of(&relays, &certificate(shown.clone()), trust), expected, "{shown:?}");
        }
        for shown in [None, leaf(&[], &[])] {
            let told = kind_of(&[relay(by_digest())], &certificate(shown), &untrusted);
            assert_eq!(told, PeerKind::Relays(vec![RelayId(0)]));
        }
        assert_eq!(kind_of(&[], &certificate(None), &trusted), PeerKind::Client);
    }
}
