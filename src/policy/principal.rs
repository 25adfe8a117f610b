//! Who stands behind a token: a user or a client (RFC 9068 §5, RFC 9700 §4.15), and which certificate a client is known by.

use crate::binding::ClientCertificate;
use crate::facts::peer::PeerCertificate;
use crate::jose::json::{Pointer, Value};
use crate::token::VerifiedToken;

use super::Trust;
use super::certificate::CertificateTest;
use super::operand::Bindings;
use super::rule::ClaimTest;
use super::truth::Truth;

/// Who a rule is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    User,
    /// No user stands behind the token.
    Client,
}

/// What one issuer's tokens tell of those who stand behind them.
#[derive(Clone, Debug, Default)]
pub struct Principals {
    /// All of them hold of a client's own token. None: it has no `sub`, or the client's id stands there.
    pub client_token_when: Vec<(Pointer, ClaimTest)>,
    /// For tokens without `cnf`: the first for a client counts.
    pub clients: Vec<Client>,
}

/// The certificate that a client has to present, its tokens being bound to none.
#[derive(Clone, Debug)]
pub struct Client {
    /// None for all that no entry before it names.
    pub client: Option<String>,
    pub certificate: CertificateTest,
}

impl Principals {
    /// Whether the token is of this kind; unknown where a claim that tells it can't be compared.
    pub fn is(&self, principal: Principal, token: &VerifiedToken) -> Truth {
        let of_client = self.is_client(token);
        match principal {
            Principal::Client => of_client,
            Principal::User => of_client.negated(),
        }
    }

    fn is_client(&self, token: &VerifiedToken) -> Truth {
        if self.client_token_when.is_empty() {
            return token.subject().is_none_or(|subject| token.client_id() == Some(subject)).into();
        }
        let claims = |place: &Pointer| token.claim(place);
        let bindings = Bindings { captured: &[], claims: &claims };
        Truth::all(self.client_token_when.iter().map(|(place, test)| test.holds(token.claim(place), bindings)))
    }

    /// What the configuration says of the client of an unbound token, and of the certificate beside it.
    pub fn certificate_of(
        &self,
        token: &VerifiedToken,
        certificate: Option<&PeerCertificate>,
        trust: &Trust,
    ) -> ClientCertificate {
        let is_for = |client: &&Client| client.client.as_deref().is_none_or(|id| token.client_id() == Some(id));
        let Some(client) = self.clients.iter().find(is_for) else { return ClientCertificate::NotNamed };
        let claims = |place: &Pointer| -> Option<&Value> { token.claim(place) };
        let bindings = Bindings { captured: &[], claims: &claims };
        match client.certificate.holds(certificate, trust, bindings) {
            Truth::True => ClientCertificate::Shown,
            Truth::False | Truth::Unknown => ClientCertificate::NotShown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::operand::Operand;
    use super::super::tests::{certificate, sender_of, trusting};
    use super::*;
    use crate::facts::peer::Leaf;

    #[test]
    fn a_token_without_a_user_is_a_clients_own() {
        for (claims, expected) in [
            (r#"{"sub": "ann", "client_id": "n26"}"#, Principal::User),
            (r#"{"sub": "n26", "client_id": "n26"}"#, Principal::Client),
            (r#"{"client_id": "n26"}"#, Principal::Client),
            (r#"{"sub": "ann"}"#, Principal::User),
            (r#"{"sub": "N26", "client_id": "n26"}"#, Principal::User),
        ] {
            let token = sender_of(0, claims);
            let told = [Principal::User, Principal::Client].map(|kind| Principals::default().is(kind, token.token()));
            let expected = [Principal::User, Principal::Client].map(|kind| Truth::from(kind == expected));
            assert_eq!(told, expected, "{claims}");
        }
    }

    #[test]
    fn an_issuer_tells_its_clients_own_tokens_by_its_own_claims() {
        let at = |place: &str, test| (Pointer::parse(place).unwrap(), test);
        let grant = ClaimTest::OneOf(vec![Operand::Text("client_credentials".into())]);
        let principals = Principals {
            client_token_when: vec![at("/clientHost", ClaimTest::Present), at("/gty", grant)],
            clients: vec![],
        };
        let both = |claims| {
            let token = sender_of(0, claims);
            [Principal::Client, Principal::User].map(|kind| principals.is(kind, token.token()))
        };
        let own = r#"{"sub": "x", "clientHost": "10.0.0.1", "gty": "client_credentials"}"#;
        assert_eq!(both(own), [Truth::True, Truth::False]);
        assert_eq!(both(r#"{"clientHost": "10.0.0.1"}"#), [Truth::False, Truth::True]);
        assert_eq!(both("{}"), [Truth::False, Truth::True]);
        let unknown = r#"{"clientHost": "10.0.0.1", "gty": ["client_credentials"]}"#;
        assert_eq!(both(unknown), [Truth::Unknown, Truth::Unknown]);
    }

    #[test]
    fn the_first_entry_for_a_client_says_which_certificate_it_presents() {
        let email = |text: &str| CertificateTest {
            san_email: vec![Operand::parse(text).unwrap()],
            ..CertificateTest::default()
        };
        let entry =
            |client: Option<&str>, text: &str| Client { client: client.map(str::to_owned), certificate: email(text) };
        let principals = Principals {
            client_token_when: vec![],
            clients: vec![entry(Some("n26"), "api@n26.example"), entry(None, "{/client_id}")],
        };
        let shown = |address: &str| certificate(Some(Leaf { emails: vec![address.to_owned()], ..Leaf::default() }));
        let verified = trusting("bank.example");
        for (claims, address, expected) in [
            (r#"{"client_id": "n26"}"#, "api@n26.example", ClientCertificate::Shown),
            (r#"{"client_id": "n26"}"#, "API@n26.example", ClientCertificate::NotShown),
            (r#"{"client_id": "n26"}"#, "n26", ClientCertificate::NotShown),
            (r#"{"client_id": "curl@internal"}"#, "curl@internal", ClientCertificate::Shown),
            (r#"{"client_id": "curl@internal"}"#, "api@n26.example", ClientCertificate::NotShown),
            ("{}", "curl@internal", ClientCertificate::NotShown),
        ] {
            let told = principals.certificate_of(sender_of(0, claims).token(), Some(&shown(address)), &verified);
            assert_eq!(told, expected, "{claims} {address}");
        }
        let n26 = sender_of(0, r#"{"client_id": "n26"}"#);
        let leaf = shown("api@n26.example");
        assert_eq!(principals.certificate_of(n26.token(), None, &verified), ClientCertificate::NotShown);
        let unverified = Trust::default();
        assert_eq!(principals.certificate_of(n26.token(), Some(&leaf), &unverified), ClientCertificate::NotShown);
        let nobody = Principals::default();
        assert_eq!(nobody.certificate_of(n26.token(), Some(&leaf), &verified), ClientCertificate::NotNamed);
    }
}
