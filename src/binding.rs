//! A verified token and the caller's certificate into a confirmed sender (RFC 8705 §3, checklist §6).

use subtle::ConstantTimeEq as _;

use crate::facts::peer::{Leaf, PeerCertificate};
use crate::time::UnixTime;
use crate::token::Vouched;

/// What a route asks of a token without `cnf`. One with `cnf` is always held to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Only a token that is bound to the caller's certificate passes.
    Certificate,
    /// An unbound token passes too (plain RFC 6750).
    WhenBound,
}

/// What the configuration says of the certificate that the client of an unbound token has to present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It names none for this client.
    NotNamed,
    /// It names one, and the caller presents it.
    Shown,
    /// It names one, and the caller presents another, or none.
    NotShown,
}

/// How the caller showed that the token is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The certificate that the token is bound to.
    Certificate,
    /// The certificate by which the configuration knows the client of an unbound token.
    ClientCertificate,
    /// Nothing was asked: an unbound token on a route `when_bound`.
    Bearer,
}

/// A token in the hands of the one it was issued to (*sender-constrained*, RFC 9700).
#[derive(Debug)]
pub struct ConfirmedSender {
    token: Vouched,
    means: Means,
}

/// Why possession was not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The token is not bound, and the route wants it to be.
    Unbound,
    /// The token is bound to a certificate, and the caller showed none.
    NoCertificate,
    /// The token is bound to another certificate.
    OtherCertificate,
    /// The same, and both certificates are for one key, or proven to have the same names: the client has renewed its own and
    /// goes on with the old token, or the other way round (RFC 8705 §6.3).
    RenewedCertificate,
    /// The same, and the certificate is that of a session that was resumed: the client may have another by now.
    ResumedSession,
    /// The token is not bound, and the caller does not present the certificate by which its client is known.
    OtherClientCertificate,
    /// The token is bound to a DPoP key and came as a bearer token (RFC 9449 §7.2).
    BearerDowngrade,
    /// The caller's certificate is not valid yet, or no longer.
    CertificateExpired,
    /// Nothing is known of the certificate but its digest, so its dates can't be read.
    UncheckedValidity,
}

impl ConfirmedSender {
    pub fn token(&self) -> &Vouched {
        &self.token
    }

    pub fn means(&self) -> Means {
        self.means
    }
}

/// Confirms that `token` is in the hands of the one it was issued to. `certificate` is the caller's, inside its dates; what
/// is known of the token's client counts only where the token itself is bound to nothing.
pub fn confirm(
    token: Vouched,
    certificate: Option<&PeerCertificate>,
    of_client: ClientCertificate,
    requirement: Requirement,
) -> Result<ConfirmedSender, Error> {
    let bound = *token.confirmation();
    if bound.key.is_some() {
        return Err(Error::BearerDowngrade);
    }
    let means = match (bound.certificate, certificate) {
        (Some(_), None) => return Err(Error::NoCertificate),
        (Some(bound), Some(shown)) if bool::from(bound.0.ct_eq(&shown.digest.0)) => Means::Certificate,
        (Some(_), Some(_)) => return Err(Error::OtherCertificate),
        (None, _) => match (of_client, requirement) {
            (ClientCertificate::Shown, _) => Means::ClientCertificate,
            (ClientCertificate::NotShown, _) => return Err(Error::OtherClientCertificate),
            (ClientCertificate::NotNamed, Requirement::Certificate) => return Err(Error::Unbound),
            (ClientCertificate::NotNamed, Requirement::WhenBound) => Means::Bearer,
        },
    };
    Ok(ConfirmedSender { token, means })
}

/// What is known of a certificate that is not the one that a token is bound to. `bound` is that one, where it was seen before.
pub fn mismatch(
    bound: Option<&Leaf>,
    shown: &PeerCertificate,
    names_count: bool,
    is_resumed: impl FnOnce() -> bool,
) -> Error {
    let renews = |(bound, shown): (&Leaf, &Leaf)| shown.renews(bound, names_count);
    match bound.zip(shown.leaf.as_deref()).is_some_and(renews) {
        true => Error::RenewedCertificate,
        false if is_resumed() => Error::ResumedSession,
        false => Error::OtherCertificate,
    }
}

/// Refuses a certificate outside its dates (an open or resumed connection outlives them) or whose dates are unknown.
pub fn verify_dates(certificate: &PeerCertificate, unchecked_validity: bool, now: UnixTime) -> Result<(), Error> {
    match &certificate.leaf {
        Some(leaf) if leaf.lasts_at(now) => Ok(()),
        Some(_) => Err(Error::CertificateExpired),
        None if unchecked_validity => Ok(()),
        None => Err(Error::UncheckedValidity),
    }
}

impl Means {
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::ClientCertificate => "client_certificate",
            Self::Bearer => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::facts::peer::{CertificateDigest, Leaf, Source};
    use crate::jose::jwk::Thumbprint;
    use crate::token::{Confirmation, VerifiedToken};

    fn certificate(octet: u8) -> PeerCertificate {
        PeerCertificate { digest: CertificateDigest([octet; 32]), leaf: None, source: Source::Connection }
    }

    fn confirmed(
        confirmation: Confirmation,
        shown: Option<&PeerCertificate>,
        requirement: Requirement,
    ) -> Result<Means, Error> {
        known(confirmation, shown, ClientCertificate::NotNamed, requirement)
    }

    fn known(
        confirmation: Confirmation,
        shown: Option<&PeerCertificate>,
        of_client: ClientCertificate,
        requirement: Requirement,
    ) -> Result<Means, Error> {
        let token = Rc::new(VerifiedToken::bound_to(confirmation));
        confirm(token, shown, of_client, requirement).map(|sender| sender.means())
    }

    #[test]
    fn an_unbound_token_of_a_client_with_a_certificate_is_good_with_that_certificate_only() {
        let (unbound, shown) = (Confirmation::default(), certificate(1));
        for requirement in [Requirement::Certificate, Requirement::WhenBound] {
            let told = |of_client| known(unbound, Some(&shown), of_client, requirement);
            assert_eq!(told(ClientCertificate::Shown), Ok(Means::ClientCertificate));
            assert_eq!(told(ClientCertificate::NotShown), Err(Error::OtherClientCertificate));
        }
    }

    #[test]
    fn a_bound_token_is_held_to_its_binding_whatever_is_known_of_its_client() {
        let bound = Confirmation { certificate: Some(CertificateDigest([1; 32])), key: None };
        for of_client in [ClientCertificate::NotNamed, ClientCertificate::Shown, ClientCertificate::NotShown] {
            let told = |shown| known(bound, Some(&shown), of_client, Requirement::Certificate);
            assert_eq!(told(certificate(1)), Ok(Means::Certificate), "{of_client:?}");
            assert_eq!(told(certificate(2)), Err(Error::OtherCertificate), "{of_client:?}");
        }
    }

    #[test]
    fn a_bound_token_is_held_to_its_binding_whatever_the_route_says() {
        let bound = Confirmation { certificate: Some(CertificateDigest([1; 32])), key: None };
        for requirement in [Requirement::Certificate, Requirement::WhenBound] {
            assert_eq!(confirmed(bound, Some(&certificate(1)), requirement), Ok(Means::Certificate));
            assert_eq!(confirmed(bound, Some(&certificate(2)), requirement), Err(Error::OtherCertificate));
            assert_eq!(confirmed(bound, None, requirement), Err(Error::NoCertificate));
        }
    }

    #[test]
    fn each_of_the_256_bits_counts() {
        let bound = Confirmation { certificate: Some(CertificateDigest([1; 32])), key: None };
        for bit in 0..256 {
            let mut digest = [1; 32];
            digest[bit / 8] ^= 1 << (bit % 8);
            let shown = PeerCertificate { digest: CertificateDigest(digest), ..certificate(1) };
            assert_eq!(confirmed(bound, Some(&shown), Requirement::Certificate), Err(Error::OtherCertificate), "{bit}");
        }
    }

    #[test]
    fn an_unbound_token_passes_only_where_the_route_says_when_bound() {
        let unbound = Confirmation::default();
        assert_eq!(confirmed(unbound, Some(&certificate(1)), Requirement::Certificate), Err(Error::Unbound));
        assert_eq!(confirmed(unbound, Some(&certificate(1)), Requirement::WhenBound), Ok(Means::Bearer));
        assert_eq!(confirmed(unbound, None, Requirement::WhenBound), Ok(Means::Bearer));
    }

    #[test]
    fn a_dpop_bound_token_is_refused_as_bearer_with_the_right_certificate_too() {
        let digest = Some(CertificateDigest([1; 32]));
        for bound in [
            Confirmation { certificate: None, key: Some(Thumbprint([9; 32])) },
            Confirmation { certificate: digest, key: Some(Thumbprint([9; 32])) },
        ] {
            for requirement in [Requirement::Certificate, Requirement::WhenBound] {
                assert_eq!(confirmed(bound, Some(&certificate(1)), requirement), Err(Error::BearerDowngrade));
            }
        }
    }

    #[test]
    fn who_shows_another_certificate_is_told_apart_by_key_names_and_session() {
        let named = |name: &str, key| Leaf { dns: vec![name.to_owned()], key: [key; 32], ..Leaf::default() };
        let bound = named("n26.example", 1);
        let nameless = Leaf { key: [3; 32], ..Leaf::default() };
        let (renewed, resumed, other) = (Error::RenewedCertificate, Error::ResumedSession, Error::OtherCertificate);
        for (bound, shown, names_count, is_resumed, expected) in [
            (Some(&bound), Some(named("n26.example", 2)), true, false, renewed),
            (Some(&bound), Some(named("n26.example", 2)), true, true, renewed),
            (Some(&bound), Some(named("n26.example", 2)), false, false, other),
            (Some(&bound), Some(named("other.example", 1)), false, false, renewed),
            (Some(&bound), Some(named("other.example", 2)), true, false, other),
            (Some(&bound), Some(named("other.example", 2)), true, true, resumed),
            (Some(&nameless), Some(Leaf::default()), true, false, other),
            (Some(&bound), None, true, false, other),
            (None, Some(named("n26.example", 1)), true, false, other),
            (None, Some(named("n26.example", 1)), true, true, resumed),
        ] {
            let shown = PeerCertificate { leaf: shown.map(Rc::new), ..certificate(2) };
            assert_eq!(mismatch(bound, &shown, names_count, || is_resumed), expected, "{shown:?} {names_count}");
        }
    }

    #[test]
    fn a_certificate_counts_from_its_first_second_to_its_last() {
        let leaf = Leaf { not_before: 100, not_after: 200, ..Leaf::default() };
        let certificate = PeerCertificate { leaf: Some(Rc::new(leaf)), ..certificate(1) };
        for (now, expected) in
            [(99, Err(Error::CertificateExpired)), (100, Ok(())), (200, Ok(())), (201, Err(Error::CertificateExpired))]
        {
            assert_eq!(verify_dates(&certificate, true, UnixTime::new(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_certificate_whose_dates_are_unknown_counts_only_where_the_operator_says_so() {
        assert_eq!(verify_dates(&certificate(1), false, UnixTime::new(1)), Err(Error::UncheckedValidity));
        assert_eq!(verify_dates(&certificate(1), true, UnixTime::new(1)), Ok(()));
    }
}
