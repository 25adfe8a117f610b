//! The field of a relay, a proxy that ended the client's TLS, into the certificate that its client showed (checklist §12, §13).
//!
//! Whether the peer is a relay is asked before anything here is: from anybody else such a field says nothing.

use super::peer::{self, CertificateDigest};
use super::{Request, Single};

pub mod client_cert;
pub mod pem;
mod read;
pub mod xfcc;

pub use read::Readings;

/// How a relay writes its client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    Xfcc,
    /// `Client-Cert` (RFC 9440): nginx and Apache with some help, HAProxy.
    ClientCert,
    /// PEM in one line: percent-encoded by nginx and Envoy, with blanks for newlines by Apache. Empty, or Apache's `(null)`, where
    /// there is none.
    Pem,
}

/// What a field tells of a certificate, not yet read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// Its digest alone.
    Digest(CertificateDigest),
    /// Itself, and its digest where the relay writes that too.
    Certificate { written: Written<'a>, digest: Option<CertificateDigest> },
}

/// One certificate as it stands in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// PEM with its newlines escaped or turned into blanks.
    Pem(&'a [u8]),
    /// The base64 of its DER.
    Base64(&'a [u8]),
}

/// Why a relay's field can't be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It stands there twice: one of the two is not the relay's.
    Doubled,
    /// It is not written in the relay's form, or can be read in two ways.
    Malformed,
    /// Over 16 KiB, or more elements than 32.
    TooLarge,
    /// Two fields, both the relay's, tell of different certificates.
    Disagree,
    /// The certificate in it can't be read.
    Certificate(peer::Error),
}

const MAX_FIELD: usize = 16 * 1024;

/// The longest certificate that is read, however it is written.
const MAX_WRITTEN: usize = 16 * 1024;

impl From<peer::Error> for Error {
    fn from(error: peer::Error) -> Self {
        Self::Certificate(error)
    }
}

impl Format {
    /// What the field of this name tells; none where the client showed the relay no certificate. `relay` is the digest of the
    /// connection's own certificate.
    pub fn find<'a>(
        self,
        request: &'a Request,
        name: &'a str,
        relay: CertificateDigest,
    ) -> Result<Option<Told<'a>>, Error> {
        let field = only(request, name)?;
        match self {
            Self::Xfcc => field.map_or(Ok(None), |field| xfcc::find(field, relay)),
            Self::ClientCert => client_cert::find(field, request.values(client_cert::CHAIN.as_bytes())),
            Self::Pem => {
                let field = field.filter(|field| !matches!(*field, b"" | b"(null)"));
                Ok(field.map(|field| Told::Certificate { written: Written::Pem(field), digest: None }))
            }
        }
    }
}

impl Format {
    /// Whether the field of this name holds nothing but what was believed of it, so that whoever is behind may read all of it.
    pub fn is_all_believed(self, request: &Request, name: &str, relay: CertificateDigest) -> bool {
        match (self, only(request, name)) {
            (Self::Xfcc, Ok(Some(field))) => xfcc::begins_with_it(field, relay),
            (Self::Xfcc | Self::ClientCert | Self::Pem, told) => told.is_ok(),
        }
    }
}

fn only<'a>(request: &'a Request, name: &'a str) -> Result<Option<&'a [u8]>, Error> {
    match request.single(name.as_bytes()) {
        Single::None => Ok(None),
        Single::One(field) if field.len() > MAX_FIELD => Err(Error::TooLarge),
        Single::One(field) => Ok(Some(field)),
        Single::Several => Err(Error::Doubled),
    }
}

impl Written<'_> {
    fn octets(&self) -> &[u8] {
        match self {
            Self::Pem(octets) | Self::Base64(octets) => octets,
        }
    }

    fn is_pem(&self) -> bool {
        matches!(self, Self::Pem(_))
    }

    fn der(&self) -> Result<Vec<u8>, peer::Error> {
        match self {
            _ if self.octets().len() > MAX_WRITTEN => Err(peer::Error::TooLarge),
            Self::Pem(text) => pem::to_der(text),
            Self::Base64(text) => peer::from_base64(text),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::peer::Peer;
    use super::super::write_pairs;
    use super::*;

    pub fn request(fields: &[(&str, &str)]) -> Request {
        Request::from_pairs(write_pairs(fields), Peer::Anonymous).unwrap()
    }

    #[test]
    fn a_doubled_field_is_not_believed_in_any_form() {
        let own = CertificateDigest([9; 32]);
        for (format, name, value) in [
            (Format::Xfcc, "x-forwarded-client-cert", format!("Hash={}", "0a".repeat(32))),
            (Format::ClientCert, "client-cert", ":AAAA:".to_owned()),
            (Format::Pem, "ssl-client-cert", "x".to_owned()),
        ] {
            let once = request(&[(name, &value), ("x-other", &value)]);
            assert!(matches!(format.find(&once, name, own), Ok(Some(_))), "{format:?}");
            let twice = request(&[(name, &value), ("x", ""), (&name.to_uppercase(), &value)]);
            assert_eq!(format.find(&twice, name, own), Err(Error::Doubled), "{format:?}");
            assert_eq!(format.find(&request(&[("x", &value)]), name, own), Ok(None), "{format:?}");
            let long = request(&[(name, &"x".repeat(MAX_FIELD + 1))]);
            assert_eq!(format.find(&long, name, own), Err(Error::TooLarge), "{format:?}");
        }
    }
}
