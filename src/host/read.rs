//! What the host knows, read as octets and whole.

use crate::callout::{Answer, MAX_BODY, NoAnswer, Response};
use crate::facts::peer::{CertificateDigest, Peer, Session};
use crate::facts::{EnvoyRoute, Fields, NotPairs, Request};
use crate::time::UnixTime;

use super::abi::{self, Buffer, Map};
use super::root::Shared;

/// The request of the effective context, in two calls that return a buffer where its certificate is known.
pub fn request(shared: &Shared, has_body: bool) -> Result<Request, NotPairs> {
    let pairs = abi::pairs(Map::RequestHeaders).ok().flatten().ok_or(NotPairs)?;
    let mut request = Request::from_pairs(pairs, peer(shared))?;
    request.has_body = has_body;
    if shared.borrow().enforcer.uses_envoy_route() {
        request.envoy_route = Some(EnvoyRoute {
            name: told("xds\0route_name")?,
            policy: told("xds\0route_metadata\0filter_metadata\0holdfast\0policy")?,
        });
    }
    Ok(request)
}

/// What can't be told is not taken for absent: the request would be judged by a weaker route.
fn told(path: &str) -> Result<Option<Vec<u8>>, NotPairs> {
    abi::property(path).map_err(|_| NotPairs)
}

/// What can't be told of a connection is taken for absent: without it less is proven.
fn fact(path: &str) -> Option<Vec<u8>> {
    abi::property(path).ok().flatten()
}

/// A digest that is none proves no certificate.
fn peer(shared: &Shared) -> Peer {
    let told = fact("connection\0sha256_peer_certificate_digest");
    if let Some(known) = told.as_deref().and_then(|told| shared.borrow().enforcer.known_certificate(told)) {
        return Peer::Known(known);
    }
    if let Some(digest) = told.as_deref().and_then(CertificateDigest::from_hex) {
        let leaf = fact("connection\0peer_certificate");
        return Peer::Certificate { digest, leaf: leaf.filter(|leaf| !leaf.is_empty()) };
    }
    let tls = fact("connection\0tls_version");
    if tls.is_some_and(|version| !version.is_empty()) { Peer::Anonymous } else { Peer::Plaintext }
}

/// The connection of the effective context.
pub struct OfConnection;

impl Session for OfConnection {
    fn is_validated(&self) -> Option<bool> {
        match fact("connection\0peer_certificate_valid")?.as_slice() {
            [told] => Some(*told != 0),
            _ => None,
        }
    }
}

/// The address of the peer, for counting where there is no certificate.
pub fn address() -> Vec<u8> {
    fact("source\0address").unwrap_or_default()
}

/// The answer to a callout, in its callback, and what it says of the time. Without headers there is none: it was reset, or
/// too long for the host.
pub fn answer(headers: usize, body: usize) -> (Answer, Option<UnixTime>) {
    if headers == 0 {
        return (Answer::None(NoAnswer::Reset), None);
    }
    let fields = abi::pairs(Map::CallResponseHeaders).ok().flatten().and_then(|pairs| Fields::from_pairs(pairs).ok());
    let Some((fields, status)) = fields.and_then(|fields| status(&fields).map(|status| (fields, status))) else {
        return (Answer::None(NoAnswer::Reset), None);
    };
    (with_body(&fields, status, body), date(&fields, status))
}

fn with_body(fields: &Fields, status: u16, body: usize) -> Answer {
    if body > MAX_BODY {
        return Answer::None(NoAnswer::TooLarge);
    }
    let (content_type, cache_control) = (joined(fields, b"content-type"), joined(fields, b"cache-control"));
    let of = |body| Response { status, content_type, cache_control, body };
    match abi::buffer(Buffer::CallResponseBody, MAX_BODY) {
        Ok(body) => Answer::Response(of(body.unwrap_or_default())),
        Err(_) if body == 0 => Answer::Response(of(Vec::new())),
        Err(_) => Answer::None(NoAnswer::Reset),
    }
}

/// What stands for a value that is no text: it says nothing that is known.
const UNREADABLE: &str = "\u{fffd}";

/// All values of a field.
fn joined(fields: &Fields, name: &[u8]) -> String {
    let values: Vec<&str> =
        fields.values(name).map(|value| core::str::from_utf8(value).unwrap_or(UNREADABLE)).collect();
    values.join(",")
}

fn status(fields: &Fields) -> Option<u16> {
    let status = fields.values(b":status").next()?;
    core::str::from_utf8(status).ok()?.parse().ok()
}

/// When the server answered: neither a cache (RFC 9111 §5.1) nor Envoy in its place.
fn date(fields: &Fields, status: u16) -> Option<UnixTime> {
    let is_own = status == 200 && fields.values(b"age").next().is_none();
    fields.values(b"date").next().filter(|_| is_own).and_then(UnixTime::from_http_date)
}

/// The status that the upstream, or Envoy in its place, answers with; 0 where that can't be told, which is no success.
pub fn answered_status() -> u16 {
    let fields = abi::pairs(Map::ResponseHeaders).ok().flatten().and_then(|pairs| Fields::from_pairs(pairs).ok());
    fields.and_then(|fields| status(&fields)).unwrap_or(0)
}

/// The request's trailers, names as they are spelt.
pub fn trailers() -> Result<Fields, NotPairs> {
    Fields::from_pairs(abi::pairs(Map::RequestTrailers).ok().flatten().ok_or(NotPairs)?)
}
