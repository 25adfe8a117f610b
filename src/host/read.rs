//! What the host knows, read as octets and whole.

use crate::callout::{Answer, MAX_BODY, NoAnswer, Response};
use crate::facts::peer::{CertificateDigest, Peer};
use crate::facts::{EnvoyRoute, Fields, NotPairs, Request};

use super::abi::{self, Buffer, Map};
use super::root::Shared;

/// The request of the effective context, in two calls that return a buffer where its certificate is known.
pub fn request(shared: &Shared) -> Result<Request, NotPairs> {
    let pairs = abi::pairs(Map::RequestHeaders).ok().flatten().ok_or(NotPairs)?;
    let mut request = Request::from_pairs(pairs, peer(shared))?;
    if shared.borrow().enforcer.uses_envoy_route() {
        request.envoy_route = Some(EnvoyRoute {
            name: abi::property(&["xds", "route_name"]),
            policy: abi::property(&["xds", "route_metadata", "filter_metadata", "holdfast", "policy"]),
        });
    }
    Ok(request)
}

/// A digest that is none proves no certificate.
fn peer(shared: &Shared) -> Peer {
    let digest = abi::property(&["connection", "sha256_peer_certificate_digest"]);
    if let Some(digest) = digest.as_deref().and_then(CertificateDigest::from_hex) {
        let known = shared.borrow().enforcer.knows(&digest);
        let leaf = if known { None } else { abi::property(&["connection", "peer_certificate"]) };
        return Peer::Certificate { digest, leaf: leaf.filter(|leaf| !leaf.is_empty()) };
    }
    let tls = abi::property(&["connection", "tls_version"]);
    if tls.is_some_and(|version| !version.is_empty()) { Peer::Anonymous } else { Peer::Plaintext }
}

/// The address of the peer, for counting where there is no certificate; without its port.
pub fn address() -> Vec<u8> {
    let mut address = abi::property(&["source", "address"]).unwrap_or_default();
    if let Some(port) = address.iter().rposition(|byte| *byte == b':') {
        address.truncate(port);
    }
    address
}

/// The answer to a callout, in its callback. Without headers there is none: it was reset, or too long for the host.
pub fn answer(headers: usize, body: usize) -> Answer {
    if headers == 0 {
        return Answer::None(NoAnswer::Reset);
    }
    if body > MAX_BODY {
        return Answer::None(NoAnswer::TooLarge);
    }
    let Some(status) = status() else { return Answer::None(NoAnswer::Reset) };
    match abi::buffer(Buffer::CallResponseBody, MAX_BODY) {
        Ok(body) => Answer::Response(Response { status, body: body.unwrap_or_default() }),
        Err(_) if body == 0 => Answer::Response(Response { status, body: Vec::new() }),
        Err(_) => Answer::None(NoAnswer::Reset),
    }
}

fn status() -> Option<u16> {
    let pairs = abi::pairs(Map::CallResponseHeaders).ok().flatten()?;
    let fields = Fields::from_pairs(pairs).ok()?;
    let status = fields.values(b":status").next()?;
    core::str::from_utf8(status).ok()?.parse().ok()
}

/// Names of the request's trailers, as they are spelt.
pub fn trailers() -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = abi::pairs(Map::RequestTrailers).ok().flatten();
    let Some(Ok(fields)) = pairs.map(Fields::from_pairs) else { return Vec::new() };
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}
