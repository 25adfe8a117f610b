//! One rule: conditions on token and certificate, all of which must hold.

use crate::binding::ConfirmedSender;
use crate::callout::IssuerId;
use crate::facts::peer::{CertificateDigest, Leaf, PeerCertificate};
use crate::jose::json::{Pointer, Value};

use super::Trust;
use super::operand::{Bindings, Operand};
use super::pattern::{DnsPattern, SpiffePattern, is_spiffe, split_id};
use super::role::Roles;
use super::truth::Truth;

/// Conditions, each a list of which one is enough; empty for no condition.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub roles: Vec<String>,
    pub clients: Vec<String>,
    pub issuers: Vec<IssuerId>,
    /// All of them.
    pub claims: Vec<(Pointer, ClaimTest)>,
    pub certificate: Option<CertificateTest>,
    /// All of them.
    pub scopes: Vec<String>,
    /// `token: none`: the certificate speaks.
    pub without_token: bool,
    /// None of them.
    pub not: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub enum ClaimTest {
    /// Equals one of them.
    OneOf(Vec<Operand>),
    /// A list that has one of them; a text is a list of one.
    Contains(Vec<Operand>),
    /// A list that has all of them.
    ContainsAll(Vec<Operand>),
    /// It is there, whatever it says.
    Present,
}

/// Conditions on the caller's certificate, all of which must hold; each a list of which one is enough.
#[derive(Clone, Debug, Default)]
pub struct CertificateTest {
    pub spiffe_id: Vec<SpiffePattern>,
    pub san_dns: Vec<DnsPattern>,
    pub san_uri: Vec<Operand>,
    /// Of the DER; counts without a verified chain.
    pub sha256: Vec<CertificateDigest>,
}

/// What rules are judged by.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub sender: Option<&'a ConfirmedSender>,
    pub certificate: Option<&'a PeerCertificate>,
    pub bindings: Bindings<'a>,
    pub roles: &'a Roles,
    pub trust: &'a Trust,
}

impl Rule {
    /// Whether every condition but `scopes` holds.
    pub fn holds_but_for_scopes(&self, facts: Facts<'_>) -> Truth {
        let token = facts.sender.map(ConfirmedSender::token);
        let role = self.roles.is_empty()
            || token.is_some_and(|token| self.roles.iter().any(|role| facts.roles.includes(token.roles(), role)));
        let client = self.clients.is_empty()
            || token
                .and_then(|token| token.client_id())
                .is_some_and(|id| self.clients.iter().any(|client| client == id));
        let issuer = self.issuers.is_empty() || token.is_some_and(|token| self.issuers.contains(&token.issuer()));
        let claims = self
            .claims
            .iter()
            .map(|(place, test)| test.holds(token.and_then(|token| token.claim(place)), facts.bindings));
        let certificate = self.certificate.as_ref().map_or(Truth::True, |test| test.holds(facts));
        let not = self.not.iter().map(|rule| rule.holds(facts).negated());
        Truth::from(role && client && issuer).and(Truth::all(claims)).and(certificate).and(Truth::all(not))
    }

    pub fn holds(&self, facts: Facts<'_>) -> Truth {
        self.holds_but_for_scopes(facts).and(has_all(facts.sender, &self.scopes))
    }

    /// Whether it has a condition on the party that acts for the subject (RFC 8693 §4.1).
    pub fn names_actor(&self) -> bool {
        let is_below = |place: &Pointer| place.as_str() == "/act" || place.as_str().starts_with("/act/");
        self.claims.iter().any(|(place, _)| is_below(place))
    }
}

/// Whether the token has all of these scopes; unknown where its scopes can't be read.
pub fn has_all(sender: Option<&ConfirmedSender>, scopes: &[String]) -> Truth {
    match (scopes, sender) {
        ([], _) => Truth::True,
        (_, None) => Truth::False,
        (wanted, Some(sender)) => match sender.token().scopes() {
            Some(held) => wanted.iter().all(|scope| held.contains(scope)).into(),
            None => Truth::Unknown,
        },
    }
}

impl ClaimTest {
    /// An absent claim does not hold. One that is there and can't be compared is unknown.
    fn holds(&self, claim: Option<&Value>, bindings: Bindings<'_>) -> Truth {
        let Some(claim) = claim else { return Truth::False };
        match self {
            Self::Present => Truth::True,
            Self::OneOf(operands) => one_of(claim, operands, bindings),
            Self::Contains(operands) => members(claim).map_or(Truth::Unknown, |members| {
                Truth::any(members.iter().map(|value| one_of(value, operands, bindings)))
            }),
            Self::ContainsAll(operands) => members(claim).map_or(Truth::Unknown, |members| {
                let has = |operand: &Operand| Truth::any(members.iter().map(|value| operand.equals(value, bindings)));
                Truth::all(operands.iter().map(has))
            }),
        }
    }

    pub fn operands(&self) -> &[Operand] {
        match self {
            Self::OneOf(operands) | Self::Contains(operands) | Self::ContainsAll(operands) => operands,
            Self::Present => &[],
        }
    }
}

fn members(claim: &Value) -> Option<&[Value]> {
    match claim {
        Value::String(_) => Some(core::slice::from_ref(claim)),
        _ => claim.as_array(),
    }
}

/// True if one is equal. Else false, if one could be compared at all: an operand of another type takes nothing away from
/// that, but a reference that stands for nothing leaves it unknown.
fn one_of(value: &Value, operands: &[Operand], bindings: Bindings<'_>) -> Truth {
    let mut otherwise = Truth::Unknown;
    let mut dangles = false;
    for operand in operands {
        match operand.equals(value, bindings) {
            Truth::True => return Truth::True,
            Truth::False => otherwise = Truth::False,
            Truth::Unknown => dangles |= operand.reference().is_some(),
        }
    }
    if dangles { Truth::Unknown } else { otherwise }
}

impl CertificateTest {
    fn holds(&self, facts: Facts<'_>) -> Truth {
        let Some(certificate) = facts.certificate else { return Truth::False };
        let sha256 = self.sha256.is_empty() || self.sha256.contains(&certificate.digest);
        let names = match &certificate.leaf {
            _ if !self.asks_for_names() => Truth::True,
            _ if !facts.trust.chain_verified => Truth::False,
            Some(leaf) => self.names_hold(leaf, facts),
            None => Truth::Unknown,
        };
        Truth::from(sha256).and(names)
    }

    pub fn asks_for_names(&self) -> bool {
        !(self.spiffe_id.is_empty() && self.san_dns.is_empty() && self.san_uri.is_empty())
    }

    fn names_hold(&self, leaf: &Leaf, facts: Facts<'_>) -> Truth {
        let spiffe = if self.spiffe_id.is_empty() { Truth::True } else { self.spiffe_holds(leaf, facts) };
        let matches = |name: &String| Truth::any(self.san_dns.iter().map(|pattern| pattern.matches(name)));
        let dns = if self.san_dns.is_empty() { Truth::True } else { Truth::any(leaf.dns.iter().map(matches)) };
        let uri = if self.san_uri.is_empty() { Truth::True } else { self.uri_holds(leaf, facts) };
        spiffe.and(dns).and(uri)
    }

    /// A SPIFFE ID that is not proven does not permit as plain text either.
    fn uri_holds(&self, leaf: &Leaf, facts: Facts<'_>) -> Truth {
        let is_proven = facts.trust.spiffe_id(leaf).is_some();
        Truth::any(leaf.uris.iter().map(|uri| {
            let equals = Truth::any(self.san_uri.iter().map(|operand| operand.equals_text(uri, facts.bindings)));
            if is_spiffe(uri) && !is_proven { equals.never_true() } else { equals }
        }))
    }

    /// What a certificate that is no X.509-SVID says of workloads can't be believed, and can't be passed over.
    fn spiffe_holds(&self, leaf: &Leaf, facts: Facts<'_>) -> Truth {
        match facts.trust.spiffe_id(leaf) {
            Some((_, trust_domain, segments)) => self.takes_id(&trust_domain, &segments, facts),
            None => Truth::any(leaf.uris.iter().map(|uri| match split_id(uri) {
                Some((trust_domain, segments)) if facts.trust.trust_domains.contains(&trust_domain) => {
                    self.takes_id(&trust_domain, &segments, facts).never_true()
                }
                _ => Truth::False,
            })),
        }
    }

    fn takes_id(&self, trust_domain: &str, segments: &[&str], facts: Facts<'_>) -> Truth {
        let ours = self.spiffe_id.iter().filter(|pattern| pattern.trust_domain() == trust_domain);
        Truth::any(ours.map(|pattern| spiffe_path(pattern, segments, facts.bindings)))
    }
}

fn spiffe_path(pattern: &SpiffePattern, segments: &[&str], bindings: Bindings<'_>) -> Truth {
    let mut named = Vec::new();
    if !pattern.path.take(segments, |_, segment| named.push(*segment)) {
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
    use super::super::route::Allow;
    use super::super::tests::{
        Answers, DOES_NOT, HOLDS, UNKNOWN, certificate, decision, route_of, sender_of, three_places, trusting,
    };
    use super::super::{Error, Policy};
    use super::*;

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
            let policy = Policy::new(vec![route_of("/{x}", Allow::Rules(vec![rule]))], Roles::default(), vec![], trust);
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
    fn only_a_condition_at_or_below_act_speaks_of_the_actor() {
        for (place, expected) in [
            ("/act", true),
            ("/act/sub", true),
            ("/act/act/sub", true),
            ("/actor", false),
            ("/sub", false),
            ("/x/act", false),
            ("/act~1sub", false),
        ] {
            let claims = vec![(Pointer::parse(place).unwrap(), ClaimTest::Present)];
            assert_eq!(Rule { claims, ..Rule::default() }.names_actor(), expected, "{place}");
        }
    }
}
