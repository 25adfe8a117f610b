//! A verified token and the caller's certificate or proof into a confirmed sender (RFC 8705 §3, RFC 9449 §7, checklist §6 and §7).

use subtle::ConstantTimeEq as _;

use crate::credential::Scheme;
use crate::facts::peer::{Leaf, PeerCertificate};
use crate::jose::jwk::Thumbprint;
use crate::jose::verifier::Verifier;
use crate::time::UnixTime;
use crate::token::{Confirmation, Vouched};

pub mod dpop;
pub mod htu;
pub mod nonce;
pub mod prover;
pub mod replay;

use dpop::{FittingProof, VerifiedProof};

/// What a token has to be bound to on a route. Whatever it is bound to, it is always held to all of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The caller's certificate.
    Certificate,
    /// A key that the caller proves to hold.
    Dpop,
    /// One of the two.
    Either,
    /// The two of them.
    Both,
    /// Nothing: an unbound token passes too (plain RFC 6750).
    WhenBound,
}

/// How the caller presents the token.
pub enum By<'a> {
    Bearer,
    /// With a proof, and who verifies it.
    Dpop(&'a FittingProof<'a>, &'a dyn Verifier),
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
    /// A proof by the key that the token is bound to.
    Dpop,
    /// Certificate and proof: the token is bound to both.
    Both,
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
    proof: Option<VerifiedProof>,
}

/// Why possession was not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The token is not bound to what the route wants it to be bound to.
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
    /// The token came with a proof and is bound to no key (RFC 9449 §4.3).
    NoKey,
    /// The token is bound to another key than that of the proof.
    OtherKey,
    /// The proof proves nothing.
    Proof(dpop::Error),
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

    /// The proof by which it was shown, where it was.
    pub fn proof(&self) -> Option<&VerifiedProof> {
        self.proof.as_ref()
    }

    /// The scheme by which the token came.
    pub fn scheme(&self) -> Scheme {
        if self.proof.is_some() { Scheme::Dpop } else { Scheme::Bearer }
    }
}

/// Confirms that `token` is in the hands of the one it was issued to. `certificate` is the caller's, inside its dates; what
/// is known of the token's client counts only where the token itself is bound to nothing.
pub fn confirm(
    token: Vouched,
    certificate: Option<&PeerCertificate>,
    of_client: ClientCertificate,
    by: &By<'_>,
    requirement: Requirement,
) -> Result<ConfirmedSender, Error> {
    let bound = *token.confirmation();
    let means = means(&bound, of_client, by, requirement)?;
    match (bound.certificate, certificate) {
        (None, _) => {}
        (Some(_), None) => return Err(Error::NoCertificate),
        (Some(bound), Some(shown)) if bool::from(bound.0.ct_eq(&shown.digest.0)) => {}
        (Some(_), Some(_)) => return Err(Error::OtherCertificate),
    }
    let proof = match (bound.key, by) {
        (None, _) => None,
        (Some(bound), By::Dpop(proof, verifier)) => Some(possess(&bound, proof, *verifier)?),
        (Some(_), By::Bearer) => return Err(Error::BearerDowngrade),
    };
    Ok(ConfirmedSender { token, means, proof })
}

/// Another's key fails before its signature costs anything.
fn possess(bound: &Thumbprint, proof: &FittingProof<'_>, verifier: &dyn Verifier) -> Result<VerifiedProof, Error> {
    let prover = proof.prover()?;
    match bool::from(bound.0.ct_eq(&prover.thumbprint.0)) {
        true => Ok(proof.verify(&prover, verifier)?),
        false => Err(Error::OtherKey),
    }
}

/// What has to be shown, by what the token is bound to and what the route asks; nothing of it is shown yet.
fn means(bound: &Confirmation, of_client: ClientCertificate, by: &By<'_>, asked: Requirement) -> Result<Means, Error> {
    use Requirement::{Both, Certificate, Dpop, Either, WhenBound};
    let means = match (bound.certificate.is_some(), bound.key.is_some(), asked) {
        (_, true, _) if matches!(by, By::Bearer) => return Err(Error::BearerDowngrade),
        (true, true, _) => Means::Both,
        (true, false, Certificate | Either | WhenBound) => Means::Certificate,
        (false, true, Dpop | Either | WhenBound) => Means::Dpop,
        (false, false, Certificate | Either | WhenBound) => unbound(of_client, asked)?,
        (true, false, Dpop | Both) | (false, true, Certificate | Both) | (false, false, Dpop | Both) => {
            return Err(Error::Unbound);
        }
    };
    match by {
        By::Dpop(..) if bound.key.is_none() => Err(Error::NoKey),
        By::Dpop(..) | By::Bearer => Ok(means),
    }
}

/// A token without `cnf`: its client may be known by a certificate.
fn unbound(of_client: ClientCertificate, asked: Requirement) -> Result<Means, Error> {
    match (of_client, asked) {
        (ClientCertificate::Shown, _) => Ok(Means::ClientCertificate),
        (ClientCertificate::NotShown, _) => Err(Error::OtherClientCertificate),
        (ClientCertificate::NotNamed, Requirement::WhenBound) => Ok(Means::Bearer),
        (ClientCertificate::NotNamed, _) => Err(Error::Unbound),
    }
}

impl From<dpop::Error> for Error {
    fn from(error: dpop::Error) -> Self {
        Self::Proof(error)
    }
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
            Self::Dpop => "dpop",
            Self::Both => "both",
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
    use crate::jose::verifier::InRust;
    use crate::token::VerifiedToken;

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
        confirm(token, shown, of_client, &By::Bearer, requirement).map(|sender| sender.means())
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

    /// What a token is bound to: the certificate 1, the key of RFC 9449's proof.
    fn bound(certificate: bool, key: bool) -> Confirmation {
        let (_, thumbprint) = dpop::tests::of_rfc_9449();
        Confirmation { certificate: certificate.then_some(CertificateDigest([1; 32])), key: key.then_some(thumbprint) }
    }

    fn told(
        confirmation: Confirmation,
        certificate_shown: Option<u8>,
        with_proof: bool,
        asked: Requirement,
    ) -> Result<Means, Error> {
        let (proof, _) = dpop::tests::of_rfc_9449();
        let by = if with_proof { By::Dpop(&proof, &InRust) } else { By::Bearer };
        let shown = certificate_shown.map(certificate);
        let token = Rc::new(VerifiedToken::bound_to(confirmation));
        let sender = confirm(token, shown.as_ref(), ClientCertificate::NotNamed, &by, asked)?;
        assert_eq!(sender.proof().is_some(), with_proof, "who shows a proof is known by it, and nobody else");
        Ok(sender.means())
    }

    #[test]
    fn each_cell_of_the_table_of_bindings_holds() {
        use Requirement::{Both, Certificate, Dpop, Either, WhenBound};
        let unbound = Err(Error::Unbound);
        // By what each token has to be shown, with all of it at hand: without `cnf`, `x5t#S256`, `jkt`, both.
        let table = [
            (Certificate, [unbound, Ok(Means::Certificate), unbound, Ok(Means::Both)]),
            (Dpop, [unbound, unbound, Ok(Means::Dpop), Ok(Means::Both)]),
            (Either, [unbound, Ok(Means::Certificate), Ok(Means::Dpop), Ok(Means::Both)]),
            (Both, [unbound, unbound, unbound, Ok(Means::Both)]),
            (WhenBound, [Ok(Means::Bearer), Ok(Means::Certificate), Ok(Means::Dpop), Ok(Means::Both)]),
        ];
        for (asked, row) in table {
            for ((certificate, key), expected) in
                [(false, false), (true, false), (false, true), (true, true)].into_iter().zip(row)
            {
                let confirmation = bound(certificate, key);
                let case = format!("{asked:?} {certificate} {key}");
                // By the scheme that is right for the token.
                assert_eq!(told(confirmation, Some(1), key, asked), expected, "{case}");
                // Whoever lacks what the token is bound to.
                if expected.is_ok() && certificate {
                    assert_eq!(told(confirmation, None, key, asked), Err(Error::NoCertificate), "{case}");
                    assert_eq!(told(confirmation, Some(2), key, asked), Err(Error::OtherCertificate), "{case}");
                }
                if expected.is_ok() && !certificate {
                    assert_eq!(told(confirmation, None, key, asked), expected, "{case}: no certificate is asked for");
                }
                // By the other scheme.
                let downgrade = if key { Err(Error::BearerDowngrade) } else { Err(Error::NoKey) };
                let other = if expected == unbound && !key { unbound } else { downgrade };
                assert_eq!(told(confirmation, Some(1), !key, asked), other, "{case}");
            }
        }
    }

    #[test]
    fn a_route_for_proofs_or_both_knows_no_clients_by_their_certificates() {
        let shown = certificate(1);
        let of = |asked| known(Confirmation::default(), Some(&shown), ClientCertificate::Shown, asked);
        assert_eq!(of(Requirement::Either), Ok(Means::ClientCertificate));
        assert_eq!(of(Requirement::Dpop), Err(Error::Unbound));
        assert_eq!(of(Requirement::Both), Err(Error::Unbound));
        let (proof, _) = dpop::tests::of_rfc_9449();
        let by = By::Dpop(&proof, &InRust);
        let token = Rc::new(VerifiedToken::default());
        let confirmed = confirm(token, Some(&shown), ClientCertificate::Shown, &by, Requirement::Either);
        assert_eq!(confirmed.map(|sender| sender.means()).unwrap_err(), Error::NoKey);
    }

    #[test]
    fn a_proof_by_another_key_is_told_before_its_signature_is_looked_at() {
        let (_, Thumbprint(key)) = dpop::tests::of_rfc_9449();
        let forged = dpop::tests::forged();
        let told = |key| {
            let proof = dpop::tests::forged_of_rfc_9449(&forged);
            let by = By::Dpop(&proof, &InRust);
            let token =
                Rc::new(VerifiedToken::bound_to(Confirmation { certificate: None, key: Some(Thumbprint(key)) }));
            confirm(token, None, ClientCertificate::NotNamed, &by, Requirement::Dpop).map(|sender| sender.means())
        };
        assert_eq!(told(key), Err(Error::Proof(dpop::Error::Signature)));
        for bit in 0..256 {
            let mut other = key;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(told(other), Err(Error::OtherKey), "{bit}");
        }
    }
}
