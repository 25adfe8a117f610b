//! Conditions on the caller's certificate (RFC 5280, checklist 6.6 and §22).

use core::str::Split;

use crate::facts::peer::{CertificateDigest, Leaf, PeerCertificate};

use super::Trust;
use super::operand::{Bindings, Operand};
use super::pattern::{DnsPattern, SpiffePattern, is_spiffe, split_id};
use super::truth::Truth;

/// Conditions on the caller's certificate, all of which must hold; each a list of which one is enough.
#[derive(Clone, Debug, Default)]
pub struct CertificateTest {
    pub spiffe_id: Vec<SpiffePattern>,
    pub san_dns: Vec<DnsPattern>,
    pub san_uri: Vec<Operand>,
    pub san_email: Vec<Operand>,
    /// Addresses in the spelling of RFC 5952.
    pub san_ip: Vec<Operand>,
    /// Attributes by object identifier; others may stand beside them.
    pub subject: Vec<(String, Vec<Operand>)>,
    /// Of the DER; counts without a verified chain.
    pub sha256: Vec<CertificateDigest>,
    /// Its extended key usage says `clientAuth`.
    pub for_clients: bool,
}

impl CertificateTest {
    /// Whether the caller's certificate meets all of it.
    pub fn holds<'a>(
        &self,
        certificate: Option<&'a PeerCertificate>,
        trust: &'a Trust,
        bindings: Bindings<'a>,
    ) -> Truth {
        let Some(certificate) = certificate else { return Truth::False };
        let sha256 = self.sha256.is_empty() || self.sha256.contains(&certificate.digest);
        let names = match &certificate.leaf {
            _ if !self.asks_for_names() => Truth::True,
            _ if !trust.chain_verified => Truth::False,
            Some(leaf) => self.names_hold(Names { leaf, trust, bindings }),
            None => Truth::Unknown,
        };
        Truth::from(sha256).and(names)
    }

    /// Whether it says whose certificate it is, and not what that is good for alone.
    pub fn names_somebody(&self) -> bool {
        !self.sha256.is_empty() || self.names().any(|name| name != "extended_key_usage")
    }

    /// What it asks of the certificate beside its digest, which only a verified chain can prove.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let asks = [
            ("spiffe_id", !self.spiffe_id.is_empty()),
            ("san_dns", !self.san_dns.is_empty()),
            ("san_uri", !self.san_uri.is_empty()),
            ("san_email", !self.san_email.is_empty()),
            ("san_ip", !self.san_ip.is_empty()),
            ("subject", !self.subject.is_empty()),
            ("extended_key_usage", self.for_clients),
        ];
        asks.into_iter().filter_map(|(name, asks)| asks.then_some(name))
    }

    fn asks_for_names(&self) -> bool {
        self.names().next().is_some()
    }

    fn names_hold(&self, names: Names<'_>) -> Truth {
        let if_asked = |asks: bool, holds: &dyn Fn() -> Truth| if asks { holds() } else { Truth::True };
        let leaf = names.leaf;
        let ips = || leaf.ips.iter().map(|ip| names.is_one_of(&ip.to_string(), &self.san_ip));
        let emails = || leaf.emails.iter().map(|address| names.is_one_of(address, &self.san_email));
        let proven = || leaf.dns.iter().filter(|name| names.trust.proves_dns(name));
        let dns = || proven().map(|name| Truth::any(self.san_dns.iter().map(|pattern| pattern.matches(name))));
        if_asked(!self.spiffe_id.is_empty(), &|| self.spiffe_holds(names))
            .and(if_asked(!self.san_dns.is_empty(), &|| Truth::any(dns())))
            .and(if_asked(!self.san_uri.is_empty(), &|| self.uri_holds(names)))
            .and(if_asked(!self.san_email.is_empty(), &|| Truth::any(emails())))
            .and(if_asked(!self.san_ip.is_empty(), &|| Truth::any(ips())))
            .and((!self.for_clients || leaf.for_clients).into())
            .and(Truth::all(self.subject.iter().map(|(kind, wanted)| names.subject_has(kind, wanted))))
    }

    /// A SPIFFE ID that is not proven does not permit as plain text either.
    fn uri_holds(&self, names: Names<'_>) -> Truth {
        let is_proven = names.trust.spiffe_id(names.leaf).is_some();
        Truth::any(names.leaf.uris.iter().map(|uri| {
            let equals = names.is_one_of(uri, &self.san_uri);
            if is_spiffe(uri) && !is_proven { equals.never_true() } else { equals }
        }))
    }

    /// What a certificate that is no X.509-SVID says of workloads can't be believed, and can't be passed over.
    fn spiffe_holds(&self, names: Names<'_>) -> Truth {
        match names.trust.spiffe_id(names.leaf) {
            Some((_, trust_domain, segments)) => self.takes_id(&trust_domain, segments, names),
            None => Truth::any(names.leaf.uris.iter().map(|uri| match split_id(uri) {
                Some((trust_domain, segments)) if names.trust.trusts(&trust_domain) => {
                    self.takes_id(&trust_domain, segments, names).never_true()
                }
                _ => Truth::False,
            })),
        }
    }

    fn takes_id(&self, trust_domain: &str, segments: Split<'_, char>, names: Names<'_>) -> Truth {
        let ours = self.spiffe_id.iter().filter(|pattern| pattern.trust_domain() == trust_domain);
        Truth::any(ours.map(|pattern| spiffe_path(pattern, segments.clone(), names.bindings)))
    }
}

/// A leaf whose chain was verified, and what its names are compared by.
#[derive(Clone, Copy)]
struct Names<'a> {
    leaf: &'a Leaf,
    trust: &'a Trust,
    bindings: Bindings<'a>,
}

impl Names<'_> {
    fn is_one_of(self, name: &str, wanted: &[Operand]) -> Truth {
        Truth::any(wanted.iter().map(|operand| operand.equals_text(name, self.bindings)))
    }

    /// A unit or a component of a domain stands several times by its nature, so one is enough. Of any other attribute that
    /// does, each value speaks: where they differ nobody can tell whose certificate it is.
    fn subject_has(self, kind: &str, wanted: &[Operand]) -> Truth {
        let of_kind = self.leaf.subject.iter().filter(|attribute| attribute.kind == kind);
        let equals =
            |value: &Option<String>| value.as_ref().map_or(Truth::Unknown, |text| self.is_one_of(text, wanted));
        let values = of_kind.map(|attribute| equals(&attribute.value));
        let any = Truth::any(values.clone());
        if REPEATABLE.contains(&kind) || any != Truth::True { any } else { Truth::all(values).or(Truth::Unknown) }
    }
}

const REPEATABLE: [&str; 2] = ["2.5.4.11", "0.9.2342.19200300.100.1.25"];

/// The names that operators write for attributes of a subject (RFC 4519, RFC 5280, ETSI EN 319 412-1), with their object
/// identifiers.
const ATTRIBUTES: [(&str, &str); 17] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("serialNumber", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("street", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("title", "2.5.4.12"),
    ("businessCategory", "2.5.4.15"),
    ("postalCode", "2.5.4.17"),
    ("GN", "2.5.4.42"),
    ("organizationIdentifier", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
];

/// The object identifier of an attribute by its name, or by itself in dots.
pub fn attribute(name: &str) -> Option<String> {
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == name).map(|(_, oid)| (*oid).to_owned());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_oid = name.split('.').count() > 2 && name.split('.').all(is_number);
    known.or_else(|| is_oid.then(|| name.to_owned()))
}

/// The names by which attributes are known.
pub fn attribute_names() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.iter().map(|(name, _)| *name)
}

fn spiffe_path(pattern: &SpiffePattern, segments: Split<'_, char>, bindings: Bindings<'_>) -> Truth {
    let mut named = Vec::new();
    if !pattern.path.take(segments, |_, segment| named.push(segment)) {
        return Truth::False;
    }
    Truth::all(
        pattern.references.iter().zip(named).map(|(reference, segment)| {
            reference.find(bindings).map_or(Truth::Unknown, |found| (found == segment).into())
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::super::role::Roles;
    use super::super::route::Allow;
    use super::super::rule::Rule;
    use super::super::tests::{
        Answers, DOES_NOT, HOLDS, UNKNOWN, certificate, decision, route_of, sender_of, three_places, trusting,
    };
    use super::super::{Error, Policy};
    use super::*;
    use crate::facts::peer::Attribute;

    fn spiffe(pattern: &str) -> CertificateTest {
        CertificateTest { spiffe_id: vec![SpiffePattern::parse(pattern).unwrap()], ..CertificateTest::default() }
    }

    fn rule(test: CertificateTest) -> Rule {
        Rule { certificate: Some(test), ..Rule::default() }
    }

    fn leaf(uris: &[&str], dns: &[&str]) -> Leaf {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Leaf { uris: owned(uris), dns: owned(dns), ..Leaf::default() }
    }

    fn of(test: CertificateTest, shown: Option<Leaf>) -> Answers {
        three_places(&rule(test), &sender_of(0, r#"{"client_id": "n26"}"#), Some(&certificate(shown)))
    }

    #[test]
    fn a_spiffe_id_counts_in_a_certificate_of_one_uri_and_a_listed_trust_domain() {
        let id = "spiffe://bank.example/ns/treasury/sa/ledger";
        for (uris, expected) in [
            ([id].as_slice(), HOLDS),
            (&["spiffe://BANK.example/ns/treasury/sa/ledger"], HOLDS),
            (&["spiffe://bank.example/ns/Treasury/sa/ledger"], DOES_NOT),
            (&["spiffe://bank.example/ns/treasury/sa/ledger/x"], DOES_NOT),
            (&["spiffe://shop.example/ns/treasury/sa/ledger"], DOES_NOT),
            (&["spiffe://bank.example/ns/treasury/sa/"], DOES_NOT),
            (&["https://bank.example/ns/treasury/sa/ledger"], DOES_NOT),
            (&[], DOES_NOT),
            (&[id, "urn:x"], UNKNOWN),
            (&["urn:x", id], UNKNOWN),
            (&[id, id], UNKNOWN),
            (&["spiffe://bank.example/x", "urn:x"], DOES_NOT),
            (&["spiffe://shop.example/ns/treasury/sa/ledger", "urn:x"], DOES_NOT),
        ] {
            let pattern = "spiffe://bank.example/ns/treasury/sa/*";
            assert_eq!(of(spiffe(pattern), Some(leaf(uris, &["any.example", "other.example"]))), expected, "{uris:?}");
        }
        let unlisted = spiffe("spiffe://shop.example/**");
        assert_eq!(of(unlisted, Some(leaf(&["spiffe://shop.example/x"], &[]))), DOES_NOT);
    }

    #[test]
    fn a_certificate_that_may_sign_others_has_no_spiffe_id() {
        let signing = Leaf { may_sign: true, ..leaf(&["spiffe://bank.example/x"], &["a.example"]) };
        assert_eq!(of(spiffe("spiffe://bank.example/x"), Some(signing.clone())), UNKNOWN);
        assert_eq!(of(spiffe("spiffe://bank.example/y"), Some(signing.clone())), DOES_NOT);
        let dns =
            CertificateTest { san_dns: vec![DnsPattern::parse("a.example").unwrap()], ..CertificateTest::default() };
        assert_eq!(of(dns, Some(signing)), HOLDS);
    }

    #[test]
    fn names_that_the_proxy_can_not_give_count_against_the_caller_and_a_digest_is_enough_by_itself() {
        let dns =
            || CertificateTest { san_dns: vec![DnsPattern::parse("*.example").unwrap()], ..CertificateTest::default() };
        let uri = || CertificateTest { san_uri: vec![Operand::parse("urn:x").unwrap()], ..CertificateTest::default() };
        let digest =
            |octet: u8| CertificateTest { sha256: vec![CertificateDigest([octet; 32])], ..CertificateTest::default() };
        for (test, unread, read) in [
            (spiffe("spiffe://bank.example/**"), UNKNOWN, DOES_NOT),
            (dns(), UNKNOWN, HOLDS),
            (uri(), UNKNOWN, HOLDS),
            (digest(7), HOLDS, HOLDS),
            (digest(8), DOES_NOT, DOES_NOT),
            (CertificateTest { sha256: digest(7).sha256, ..dns() }, UNKNOWN, HOLDS),
            (CertificateTest { sha256: digest(8).sha256, ..dns() }, DOES_NOT, DOES_NOT),
        ] {
            assert_eq!(of(test.clone(), None), unread, "{test:?}");
            assert_eq!(of(test.clone(), Some(leaf(&["urn:x"], &["b.c", "a.example"]))), read, "{test:?}");
            let nobody = three_places(&rule(test), &sender_of(0, r#"{"client_id": "n26"}"#), None);
            assert_eq!(nobody, DOES_NOT, "no certificate");
        }
    }

    #[test]
    fn a_spiffe_id_that_is_not_proven_does_not_permit_as_a_uri() {
        let uri =
            |text: &str| CertificateTest { san_uri: vec![Operand::parse(text).unwrap()], ..CertificateTest::default() };
        for (text, uris, expected) in [
            ("spiffe://bank.example/x", ["spiffe://bank.example/x"].as_slice(), HOLDS),
            ("spiffe://shop.example/x", &["spiffe://shop.example/x"], UNKNOWN),
            ("SPIFFE://shop.example/x", &["SPIFFE://shop.example/x"], UNKNOWN),
            ("spiffe://bank.example/x", &["spiffe://bank.example/x", "urn:x"], UNKNOWN),
            ("urn:x", &["spiffe://bank.example/x", "urn:x"], HOLDS),
        ] {
            assert_eq!(of(uri(text), Some(leaf(uris, &[]))), expected, "{text} {uris:?}");
        }
    }

    #[test]
    fn names_count_only_where_the_chain_was_verified() {
        let told = |trust: Trust, test: CertificateTest| {
            let rule = Rule { without_token: true, ..rule(test) };
            let policy =
                Policy::new(vec![route_of("/{x}", Allow::Rules(vec![rule]))], Roles::default(), vec![], vec![], trust);
            decision(&policy, "/b", None, Some(&certificate(Some(leaf(&["spiffe://bank.example/x"], &["a.example"])))))
        };
        let unverified = || Trust { chain_verified: false, ..trusting("bank.example") };
        let dns =
            || CertificateTest { san_dns: vec![DnsPattern::parse("a.example").unwrap()], ..CertificateTest::default() };
        let digest = || CertificateTest { sha256: vec![CertificateDigest([7; 32])], ..CertificateTest::default() };
        let id = || spiffe("spiffe://bank.example/x");
        for (test, verified, not_verified) in [
            (id as fn() -> CertificateTest, Ok(()), Err(Error::NoRule)),
            (dns, Ok(()), Err(Error::NoRule)),
            (digest, Ok(()), Ok(())),
        ] {
            assert_eq!(told(trusting("bank.example"), test()), verified);
            assert_eq!(told(unverified(), test()), not_verified);
        }
        assert_eq!(told(trusting("shop.example"), id()), Err(Error::NoRule), "another trust domain's CA");
    }

    #[test]
    fn a_certificate_is_for_clients_where_it_says_so_and_its_chain_is_verified() {
        let test = || CertificateTest { for_clients: true, ..CertificateTest::default() };
        let shown = |for_clients| Leaf { for_clients, ..leaf(&[], &["a.example"]) };
        assert_eq!(of(test(), Some(shown(true))), HOLDS);
        assert_eq!(of(test(), Some(shown(false))), DOES_NOT);
        assert_eq!(of(test(), None), UNKNOWN);
        let dns = |name: &str| CertificateTest { san_dns: vec![DnsPattern::parse(name).unwrap()], ..test() };
        assert_eq!(of(dns("a.example"), Some(shown(true))), HOLDS);
        assert_eq!(of(dns("a.example"), Some(shown(false))), DOES_NOT);
        assert_eq!(of(dns("b.example"), Some(shown(true))), DOES_NOT);
        assert!(dns("a.example").names_somebody() && !test().names_somebody());
    }

    #[test]
    fn a_reference_in_a_certificate_stands_for_one_whole_segment_or_text() {
        let uri =
            |text: &str| CertificateTest { san_uri: vec![Operand::parse(text).unwrap()], ..CertificateTest::default() };
        let by_path = || spiffe("spiffe://bank.example/ns/{x}/sa/booking");
        let by_claim = || spiffe("spiffe://bank.example/ns/{/ns}/sa/booking");
        let token = |ns: &str| format!(r#"{{"client_id": "n26", "ns": {ns}}}"#);
        let id = |ns: &str| format!("spiffe://bank.example/ns/{ns}/sa/booking");
        for (test, shown, ns, expected) in [
            (by_path(), id("b"), "1", HOLDS),
            (by_path(), id("c"), "1", DOES_NOT),
            (by_path(), id("B"), "1", DOES_NOT),
            (by_claim(), id("treasury"), r#""treasury""#, HOLDS),
            (by_claim(), id("treasury"), r#""other""#, DOES_NOT),
            (by_claim(), id("treasury"), r#""*""#, DOES_NOT),
            (by_claim(), "spiffe://bank.example/ns/a/b/sa/booking".to_owned(), r#""a/b""#, DOES_NOT),
            (by_claim(), id("treasury"), r#"["treasury"]"#, UNKNOWN),
            (uri("urn:{/ns}:x"), "urn:a:x".to_owned(), r#""a""#, HOLDS),
            (uri("urn:{/ns}:x"), "urn:a:x".to_owned(), r#""b""#, DOES_NOT),
            (uri("urn:{/ns}:x"), "urn:a:x".to_owned(), "7", UNKNOWN),
        ] {
            let shown = certificate(Some(leaf(&[&shown], &[])));
            assert_eq!(
                three_places(&rule(test.clone()), &sender_of(0, &token(ns)), Some(&shown)),
                expected,
                "{test:?} {ns}"
            );
        }
    }

    #[test]
    fn addresses_are_compared_as_they_stand() {
        let email = |text: &str| CertificateTest {
            san_email: vec![Operand::parse(text).unwrap()],
            ..CertificateTest::default()
        };
        let ip =
            |text: &str| CertificateTest { san_ip: vec![Operand::parse(text).unwrap()], ..CertificateTest::default() };
        let shown = || Leaf {
            emails: vec!["ops@bank.example".into(), "n26".into()],
            ips: vec!["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            ..Leaf::default()
        };
        for (test, expected) in [
            (email("ops@bank.example"), HOLDS),
            (email("{/client_id}"), HOLDS),
            (email("OPS@bank.example"), DOES_NOT),
            (email("bank.example"), DOES_NOT),
            (email("{/absent}"), UNKNOWN),
            (ip("10.0.0.1"), HOLDS),
            (ip("2001:db8::1"), HOLDS),
            (ip("10.0.0.10"), DOES_NOT),
        ] {
            assert_eq!(of(test.clone(), Some(shown())), expected, "{test:?}");
        }
    }

    #[test]
    fn an_attribute_that_says_two_things_names_nobody_unless_it_does_so_by_nature() {
        let subject = |attributes: &[(&str, Option<&str>)]| {
            let attribute = |(kind, value): &(&str, Option<&str>)| Attribute {
                kind: attribute(kind).unwrap(),
                value: value.map(str::to_owned),
            };
            Leaf { subject: attributes.iter().map(attribute).collect(), ..Leaf::default() }
        };
        let wants = |wanted: &[(&str, &str)]| CertificateTest {
            subject: wanted
                .iter()
                .map(|(kind, text)| (attribute(kind).unwrap(), vec![Operand::parse(text).unwrap()]))
                .collect(),
            ..CertificateTest::default()
        };
        let bank = [("O", Some("Bank")), ("CN", Some("api"))];
        for (wanted, shown, expected) in [
            (wants(&[("O", "Bank")]), subject(&bank), HOLDS),
            (wants(&[("O", "Bank"), ("CN", "api")]), subject(&bank), HOLDS),
            (wants(&[("O", "Bank"), ("CN", "web")]), subject(&bank), DOES_NOT),
            (wants(&[("O", "bank")]), subject(&bank), DOES_NOT),
            (wants(&[("2.5.4.10", "Bank")]), subject(&bank), HOLDS),
            (wants(&[("OU", "Bank")]), subject(&bank), DOES_NOT),
            (wants(&[("CN", "api")]), subject(&[("CN", Some("api")), ("CN", Some("evil"))]), UNKNOWN),
            (wants(&[("CN", "api")]), subject(&[("CN", Some("api")), ("CN", Some("api"))]), HOLDS),
            (wants(&[("CN", "api")]), subject(&[("CN", Some("web")), ("CN", Some("evil"))]), DOES_NOT),
            (wants(&[("CN", "api")]), subject(&[("CN", None)]), UNKNOWN),
            (wants(&[("CN", "api")]), subject(&[("CN", Some("api")), ("CN", None)]), UNKNOWN),
            (wants(&[("OU", "pay")]), subject(&[("OU", Some("pay")), ("OU", Some("fx"))]), HOLDS),
            (wants(&[("DC", "bank")]), subject(&[("DC", Some("example")), ("DC", Some("bank"))]), HOLDS),
            (wants(&[("CN", "{/client_id}")]), subject(&[("CN", Some("n26"))]), HOLDS),
            (wants(&[("CN", "api")]), subject(&[]), DOES_NOT),
        ] {
            assert_eq!(of(wanted.clone(), Some(shown.clone())), expected, "{wanted:?} {shown:?}");
        }
    }

    #[test]
    fn an_attribute_is_known_by_its_name_or_its_object_identifier() {
        assert_eq!(attribute("organizationIdentifier").as_deref(), Some("2.5.4.97"));
        assert_eq!(attribute("2.5.4.97").as_deref(), Some("2.5.4.97"));
        for name in ["cn", "commonName", "2.5", "2..4", "2.5.x", ""] {
            assert_eq!(attribute(name), None, "{name}");
        }
    }
}
