//! A verified token and the caller's certificate into a confirmed sender (RFC 8705 §3, checklist §6).

use subtle::ConstantTimeEq as _;

use crate::facts::peer::PeerCertificate;
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

/// How the caller showed that the token is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Certificate,
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

/// Confirms that `token` is in the hands of the one it was issued to. `certificate` is the caller's, inside its dates.
pub fn confirm(
    token: Vouched,
    certificate: Option<&PeerCertificate>,
    requirement: Requirement,
) -> Result<ConfirmedSender, Error> {
    let bound = *token.confirmation();
    if bound.key.is_some() {
        return Err(Error::BearerDowngrade);
    }
    let means = match (bound.certificate, certificate, requirement) {
        (Some(_), None, _) => return Err(Error::NoCertificate),
        (Some(bound), Some(shown), _) if bool::from(bound.0.ct_eq(&shown.digest.0)) => Means::Certificate,
        (Some(_), Some(_), _) => return Err(Error::OtherCertificate),
        (None, _, Requirement::Certificate) => return Err(Error::Unbound),
        (None, _, Requirement::WhenBound) => Means::Bearer,
    };
    Ok(ConfirmedSender { token, means })
}

/// Refuses a certificate outside its dates (an open or resumed connection outlives them) or whose dates are unknown.
pub fn verify_dates(certificate: &PeerCertificate, unchecked_validity: bool, now: UnixTime) -> Result<(), Error> {
    match &certificate.leaf {
        Some(leaf) if leaf.is_valid_at(now) => Ok(()),
        Some(_) => Err(Error::CertificateExpired),
        None if unchecked_validity => Ok(()),
        None => Err(Error::UncheckedValidity),
    }
}

impl Means {
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Bearer => "none",
        }
    }
}
