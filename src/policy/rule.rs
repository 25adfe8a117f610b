//! One rule: conditions on token and certificate, all of which must hold.

use crate::binding::ConfirmedSender;
use crate::callout::IssuerId;
use crate::facts::peer::{CertificateDigest, Leaf, PeerCertificate};
use crate::jose::json::{Pointer, Value};

use super::Trust;
use super::operand::{Bindings, Operand, Reference};
use super::pattern::{DnsPattern, Piece, SpiffePattern};
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
        self.holds_but_for_scopes(facts).and(self.has_scopes(facts.sender).into())
    }

    pub fn has_scopes(&self, sender: Option<&ConfirmedSender>) -> bool {
        has_all(sender, &self.scopes)
    }

    /// Whether it has a condition on the party that acts for the subject (RFC 8693 §4.1).
    pub fn names_actor(&self) -> bool {
        self.claims.iter().any(|(place, _)| place.as_str() == "/act" || place.as_str().starts_with("/act/"))
    }
}

/// Whether the token has all of these scopes.
pub fn has_all(sender: Option<&ConfirmedSender>, scopes: &[String]) -> bool {
    scopes.iter().all(|scope| sender.is_some_and(|sender| sender.token().scopes().contains(scope)))
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

/// False as soon as one operand could be compared and none of them is equal; a reference to nothing leaves it unknown.
fn one_of(value: &Value, operands: &[Operand], bindings: Bindings<'_>) -> Truth {
    let mut compared = Truth::Unknown;
    for operand in operands {
        match operand.equals(value, bindings) {
            Truth::True => return Truth::True,
            Truth::False => compared = Truth::False,
            Truth::Unknown if operand.reference().is_some() => return one_of_others(value, operands, bindings),
            Truth::Unknown => {}
        }
    }
    compared
}

fn one_of_others(value: &Value, operands: &[Operand], bindings: Bindings<'_>) -> Truth {
    Truth::any(operands.iter().map(|operand| operand.equals(value, bindings))).or(Truth::Unknown)
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
        let matches = |name: &String| self.san_dns.iter().any(|pattern| pattern.matches(name));
        let dns = self.san_dns.is_empty() || leaf.dns.iter().any(matches);
        let equals =
            |uri: &String| Truth::any(self.san_uri.iter().map(|operand| operand.equals_text(uri, facts.bindings)));
        let uri = if self.san_uri.is_empty() { Truth::True } else { Truth::any(leaf.uris.iter().map(equals)) };
        spiffe.and(dns.into()).and(uri)
    }

    fn spiffe_holds(&self, leaf: &Leaf, facts: Facts<'_>) -> Truth {
        let Some((_, trust_domain, segments)) = facts.trust.spiffe_id(leaf) else { return Truth::False };
        let ours = self.spiffe_id.iter().filter(|pattern| pattern.trust_domain() == trust_domain);
        Truth::any(ours.map(|pattern| spiffe_path(pattern, &segments, facts.bindings)))
    }
}

fn spiffe_path(pattern: &SpiffePattern, segments: &[&str], bindings: Bindings<'_>) -> Truth {
    let mut named = Vec::new();
    if !pattern.path.take(segments, |name, segment| named.push((name, *segment))) {
        return Truth::False;
    }
    Truth::all(named.into_iter().map(|(name, segment)| match Reference::parse(name) {
        Ok(reference) => reference.find(bindings).map_or(Truth::Unknown, |found| (found == segment).into()),
        Err(_) => Truth::Unknown,
    }))
}

impl SpiffePattern {
    /// The references that stand for a segment.
    pub fn references(&self) -> impl Iterator<Item = Reference> {
        self.path.pieces.iter().filter_map(|piece| match piece {
            Piece::Named(name) => Reference::parse(name).ok(),
            Piece::Text(_) | Piece::Any => None,
        })
    }
}
