//! One rule: conditions on token and certificate, all of which must hold.

use crate::binding::ConfirmedSender;
use crate::callout::IssuerId;
use crate::facts::peer::PeerCertificate;
use crate::jose::json::{Pointer, Value};
use crate::time::UnixTime;

use super::Trust;
use super::certificate::CertificateTest;
use super::operand::{Bindings, Operand};
use super::principal::{Principal, Principals};
use super::role::Roles;
use super::step_up::StepUp;
use super::truth::Truth;

/// Conditions, each a list of which one is enough; empty for no condition.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub roles: Vec<String>,
    pub clients: Vec<String>,
    pub issuers: Vec<IssuerId>,
    pub principal: Option<Principal>,
    /// All of them.
    pub claims: Vec<(Pointer, ClaimTest)>,
    pub certificate: Option<CertificateTest>,
    /// All of them.
    pub scopes: Vec<String>,
    pub step_up: StepUp,
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

/// What rules are judged by.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub sender: Option<&'a ConfirmedSender>,
    pub certificate: Option<&'a PeerCertificate>,
    pub bindings: Bindings<'a>,
    pub roles: &'a Roles,
    /// By issuer.
    pub principals: &'a [Principals],
    pub trust: &'a Trust,
    pub now: UnixTime,
}

impl Rule {
    /// Whether every condition holds but those that a new token may cure: `scopes`, and those on the login.
    pub fn holds_but_for_token(&self, facts: Facts<'_>) -> Truth {
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
        let shown = |test: &CertificateTest| test.holds(facts.certificate, facts.trust, facts.bindings);
        let certificate = self.certificate.as_ref().map_or(Truth::True, shown);
        let not = self.not.iter().map(|rule| rule.holds(facts).negated());
        Truth::from(role && client && issuer)
            .and(self.principal_is(facts))
            .and(Truth::all(claims))
            .and(certificate)
            .and(Truth::all(not))
    }

    fn principal_is(&self, facts: Facts<'_>) -> Truth {
        let Some(principal) = self.principal else { return Truth::True };
        let Some(token) = facts.sender.map(ConfirmedSender::token) else { return Truth::False };
        facts.principals.get(token.issuer().0).map_or(Truth::Unknown, |principals| principals.is(principal, token))
    }

    /// Whether it holds of who is to be refused; nothing is asked of a login there.
    pub fn holds(&self, facts: Facts<'_>) -> Truth {
        self.holds_but_for_token(facts).and(has_all(facts.sender, &self.scopes))
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
    pub fn holds(&self, claim: Option<&Value>, bindings: Bindings<'_>) -> Truth {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_stands_for_nothing_leaves_a_claim_unknown_in_whatever_place() {
        let nothing = |_: &Pointer| -> Option<&Value> { None };
        let bindings = Bindings { captured: &[], claims: &nothing };
        let operands = |texts: &[&str]| texts.iter().map(|text| Operand::parse(text).unwrap()).collect();
        let claim = Value::String("y".into());
        for (texts, expected) in [
            (&["x"][..], Truth::False),
            (&["{/absent}"], Truth::Unknown),
            (&["{/absent}", "x"], Truth::Unknown),
            (&["x", "{/absent}"], Truth::Unknown),
            (&["{/absent}", "y"], Truth::True),
        ] {
            assert_eq!(ClaimTest::OneOf(operands(texts)).holds(Some(&claim), bindings), expected, "{texts:?}");
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
