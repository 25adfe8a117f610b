//! Authlete's introspection API, which is shown the caller's certificate and proof and judges both.
//!
//! Of its answer facts are taken, and judged as an answer of RFC 7662 is. It names no key that a token is bound to: it is asked
//! without a proof first, and only of a token that it does not take so does its word on a proof tell that the proof is by that key.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::callout::{CalloutId, Proven};
use crate::jose::base64url;
use crate::jose::json::{Object, Value};
use crate::time::UnixTime;
use crate::token::claims::claim;
use crate::token::{Error, Issuer};

use super::{Answered, Asking, Settings, Unusable};

/// A proof as it was presented, and what it was made for.
pub struct Proof<'a> {
    pub field: &'a str,
    pub method: &'a str,
    pub htu: String,
}

pub(super) fn body(asking: &Asking<'_>, proof: Option<&Proof<'_>>) -> Rc<[u8]> {
    let mut body = Object::default();
    let mut put = |name: &str, text: String| body.insert(name.to_owned(), Value::String(text));
    put("token", asking.token.as_str().to_owned());
    if let Some(leaf) = asking.certificate.and_then(|certificate| certificate.leaf.as_deref()) {
        put("clientCertificate", pem(&leaf.der));
    }
    if let Some(Proof { field, method, htu }) = proof {
        put("dpop", (*field).to_owned());
        put("htm", (*method).to_owned());
        put("htu", htu.clone());
    }
    if !asking.scopes.is_empty() {
        let scopes = asking.scopes.iter().cloned().map(Value::String).collect();
        body.insert("scopes".to_owned(), Value::Array(scopes));
    }
    Value::Object(body).to_string().into_bytes().into()
}

/// Token, certificate and scopes, none of which holds a line break.
pub(super) fn remembers(asking: &Asking<'_>) -> String {
    let digest = asking.certificate.map(|certificate| certificate.digest.to_string()).unwrap_or_default();
    format!("{}\n{digest}\n{}", asking.token.as_str(), asking.scopes.join(" "))
}

fn pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, sign) in STANDARD.encode(der).chars().enumerate() {
        if at > 0 && at % LINE == 0 {
            pem.push('\n');
        }
        pem.push(sign);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

/// `action` decides. Of `responseContent` nothing but its error code is read, and nothing goes on.
pub(super) fn read(
    settings: &Settings,
    issuer: &Issuer,
    id: &CalloutId,
    told: Value,
    now: UnixTime,
) -> Result<Answered, Unusable> {
    let text = |name| claim(&told, name).and_then(Value::as_str);
    let nonce = text("dpopNonce").filter(|nonce| is_nonce(nonce)).map(Rc::from);
    let error = error_in(text("responseContent").unwrap_or_default());
    let is = |name| claim(&told, name).and_then(Value::as_bool);
    let of = match text("action").ok_or(Unusable::Body)? {
        "OK" if ["existent", "usable", "sufficient"].iter().any(|name| denies(&told, name)) => Err(Error::Inactive),
        "OK" => settings.read_claims(issuer, claims(told, id.proven)?, now)?,
        "BAD_REQUEST" => Err(Error::BadRequest),
        "UNAUTHORIZED" => Err(match (error, id.proven) {
            ("invalid_dpop_proof" | "use_dpop_nonce", None) => Error::ProofWanted,
            ("use_dpop_nonce", Some(_)) => Error::NonceWanted,
            ("invalid_dpop_proof", Some(_)) => Error::ProofRefused,
            _ if is("usable") == Some(true) => Error::Refused,
            _ => Error::Inactive,
        }),
        "FORBIDDEN" if error == "insufficient_scope" => Err(Error::Scope),
        "FORBIDDEN" => Err(Error::Forbidden),
        "INTERNAL_SERVER_ERROR" => return Err(Unusable::Status(500)),
        _ => return Err(Unusable::Body),
    };
    Ok(Answered::Said { of, nonce })
}

/// The error of a challenge (RFC 6750 §3); empty where there is none.
fn error_in(challenge: &str) -> &str {
    let code = challenge.split_once("error=\"").and_then(|(_, rest)| rest.split_once('"'));
    code.map_or("", |(code, _)| code)
}

/// RFC 9449 §8.1: `1*NQCHAR`.
fn is_nonce(text: &str) -> bool {
    const LONGEST: usize = 256;
    let is_nqchar = |octet: u8| octet.is_ascii_graphic() && octet != b'"' && octet != b'\\';
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_nqchar)
}

/// The same facts under the names of RFC 7662, in front of all that was told.
fn claims(told: Value, proven: Option<Proven>) -> Result<Value, Unusable> {
    let Value::Object(told) = told else { return Err(Unusable::Body) };
    let there = |name| told.get(name).filter(|value| **value != Value::Null);
    let kind = if proven.is_some() { "DPoP" } else { "Bearer" };
    let mut claims = Object::default();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| claims.insert(name.to_owned(), value));
    put("active", Some(Value::Bool(true)));
    // Nothing but access tokens is known there.
    put("token_type", Some(Value::String(kind.to_owned())));
    put("sub", there("subject").cloned());
    put("acr", there("acr").cloned());
    put(
        "client_id",
        there("clientId").map(|id| Value::String(id.as_str().map_or_else(|| id.to_string(), str::to_owned))),
    );
    put("scope", there("scopes").map(joined).transpose()?);
    put("aud", there("accessTokenResources").or_else(|| there("resources")).cloned());
    put("exp", there("expiresAt").filter(|at| **at != Value::Integer(0)).map(seconds));
    put("auth_time", there("authTime").filter(|at| **at != Value::Integer(0)).cloned());
    put("cnf", confirmation(there("certificateThumbprint"), proven));
    told.into_iter().for_each(|(name, value)| claims.insert(name, value));
    Ok(Value::Object(claims))
}

/// Says anything but yes, where it says something.
fn denies(told: &Value, name: &str) -> bool {
    claim(told, name).is_some_and(|value| *value != Value::Null && value.as_bool() != Some(true))
}

/// Scopes as RFC 7662 has them; each is a text of its own, without blanks.
fn joined(scopes: &Value) -> Result<Value, Unusable> {
    let is_scope = |scope: &&str| !scope.is_empty() && !scope.contains(char::is_whitespace);
    let scopes = scopes.as_array().ok_or(Unusable::Body)?.iter();
    let scopes: Option<Vec<&str>> = scopes.map(|scope| scope.as_str().filter(is_scope)).collect();
    Ok(Value::String(scopes.ok_or(Unusable::Body)?.join(" ")))
}

/// Of milliseconds; of anything else nothing is made, and what reads it refuses it.
fn seconds(milliseconds: &Value) -> Value {
    match milliseconds {
        Value::Integer(told) => Value::Integer(told.div_euclid(1000)),
        other => other.clone(),
    }
}

fn confirmation(certificate: Option<&Value>, proven: Option<Proven>) -> Option<Value> {
    let mut cnf = Object::default();
    if let Some(digest) = certificate {
        cnf.insert("x5t#S256".to_owned(), digest.clone());
    }
    if let Some(Proven { key, .. }) = proven {
        cnf.insert("jkt".to_owned(), Value::String(base64url::encode(key)));
    }
    (!cnf.is_empty()).then_some(Value::Object(cnf))
}
