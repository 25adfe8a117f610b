//! A stand-in for Authlete's introspection API, v2 (`/api/auth/introspection`, Basic) and v3 (`/api/{service}/auth/introspection`,
//! Bearer): what it asks of a request, and each `action` that it answers with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Verifier as _;
use serde_json::{Value, json};

use crate::authorization_server::AuthorizationServer;
use crate::keys::{base64url, sha256};
use crate::now;
use crate::server::{Reaction, Received};

pub struct Authlete {
    /// `Authorization` of its one service.
    credentials: String,
    records: Mutex<HashMap<String, Record>>,
}

/// What it knows of an access token.
#[derive(Clone, Debug)]
pub struct Record {
    pub subject: String,
    pub scopes: Vec<String>,
    pub resources: Vec<String>,
    /// In seconds; it tells milliseconds.
    pub expires: u64,
    /// `x5t#S256`
    pub certificate: Option<String>,
    /// `jkt`; it tells nobody.
    pub key: Option<String>,
    /// Proofs have to hold this nonce.
    pub nonce: Option<String>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            subject: "ann".into(),
            scopes: vec!["read".into()],
            resources: vec!["https://api.bank.example".into()],
            expires: now() + 300,
            certificate: None,
            key: None,
            nonce: None,
        }
    }
}

impl Authlete {
    pub const V2: &str = "/api/auth/introspection";
    pub const V3: &str = "/api/21653835348762/auth/introspection";

    /// Speaks at both paths; v2 asks for key and secret of the service, v3 for its access token.
    pub fn speak(server: &AuthorizationServer, (key, secret): (&str, &str), token: &str) -> [Arc<Self>; 2] {
        let basic = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
        [(Self::V2, basic), (Self::V3, format!("Bearer {token}"))].map(|(path, credentials)| {
            let own = Arc::new(Self { credentials, records: Mutex::default() });
            let speaker = Arc::clone(&own);
            server.speak(path, move |asked| speaker.answer(asked));
            own
        })
    }

    pub fn know(&self, token: &str, record: Record) {
        self.records.lock().expect("records").insert(token.to_owned(), record);
    }

    pub fn forget(&self, token: &str) {
        self.records.lock().expect("records").remove(token);
    }

    fn answer(&self, asked: &Received) -> Reaction {
        let (status, body) = if asked.values("authorization") == [self.credentials.clone()] {
            (200, self.introspect(&serde_json::from_slice(&asked.body).unwrap_or_default()))
        } else {
            (401, json!({"resultCode": "A001202", "resultMessage": "Authorization failed"}))
        };
        Reaction::Answer { status, content_type: "application/json;charset=UTF-8", body: body.to_string().into_bytes() }
    }

    fn introspect(&self, asked: &Value) -> Value {
        let Some(token) = asked["token"].as_str() else {
            return said("BAD_REQUEST", "Bearer error=\"invalid_request\"", json!({}));
        };
        let Some(record) = self.records.lock().expect("records").get(token).cloned() else {
            return said("UNAUTHORIZED", "Bearer error=\"invalid_token\"", json!({"existent": false, "usable": false}));
        };
        if record.expires <= now() {
            return said("UNAUTHORIZED", "Bearer error=\"invalid_token\"", json!({"existent": true, "usable": false}));
        }
        let facts = record.facts();
        if let Some(bound) = &record.certificate
            && thumbprint(asked["clientCertificate"].as_str().unwrap_or_default()).as_ref() != Some(bound)
        {
            return said("UNAUTHORIZED", "Bearer error=\"invalid_token\"", facts);
        }
        if let Err((error, nonce)) = record.judge(token, asked) {
            let content = format!("DPoP error=\"{error}\",error_description=\"[A254303] a proof\"");
            return said("UNAUTHORIZED", &content, with(facts, "dpopNonce", json!(nonce)));
        }
        let wanted: Vec<&str> = asked["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !wanted.iter().all(|scope| record.scopes.iter().any(|own| own == scope)) {
            let content = format!("Bearer error=\"insufficient_scope\",scope=\"{}\"", wanted.join(" "));
            return said("FORBIDDEN", &content, with(facts, "sufficient", json!(false)));
        }
        // It does say that beside OK.
        said("OK", "Bearer error=\"invalid_request\"", with(facts, "dpopNonce", json!(record.nonce)))
    }
}

impl Record {
    fn facts(&self) -> Value {
        json!({
            "clientId": 26_478_243_745_571_i64, "clientIdAlias": "n26", "clientIdAliasUsed": true, "subject": self.subject, "scopes": self.scopes,
            "existent": true, "usable": true, "sufficient": true, "refreshable": false, "expiresAt": self.expires * 1000,
            "certificateThumbprint": self.certificate, "accessTokenResources": self.resources, "properties": null, "acr": null, "authTime": 0
        })
    }

    /// Judges a proof, where the token is bound to a key: the error, and the nonce that it should hold.
    fn judge(&self, token: &str, asked: &Value) -> Result<(), (&'static str, Option<String>)> {
        let Some(bound) = &self.key else { return Ok(()) };
        let wrong = || ("invalid_dpop_proof", self.nonce.clone());
        let proof = asked["dpop"].as_str().ok_or_else(wrong)?;
        let (header, claims, is_signed) = read(proof).ok_or_else(wrong)?;
        let jwk = &header["jwk"];
        let named =
            base64url(&sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]).as_bytes()));
        let ath = base64url(&sha256(token.as_bytes()));
        let is_for = claims["htm"] == asked["htm"] && claims["htu"] == asked["htu"] && claims["ath"] == json!(ath);
        if !is_signed || !is_for || header["typ"] != "dpop+jwt" || named != *bound {
            return Err(wrong());
        }
        match &self.nonce {
            Some(nonce) if claims["nonce"] != json!(nonce) => Err(("use_dpop_nonce", Some(nonce.clone()))),
            _ => Ok(()),
        }
    }
}

fn said(action: &str, content: &str, facts: Value) -> Value {
    let whole = json!({"type": "introspectionResponse", "resultCode": "A056001", "resultMessage": format!("[A056001] {action}"),
                       "action": action, "responseContent": content});
    facts.as_object().expect("facts").iter().fold(whole, |whole, (name, value)| with(whole, name, value.clone()))
}

fn with(mut whole: Value, name: &str, value: Value) -> Value {
    whole[name] = value;
    whole
}

/// `x5t#S256` of a PEM.
fn thumbprint(pem: &str) -> Option<String> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).ok().filter(|der| !der.is_empty()).map(|der| base64url(&sha256(&der)))
}

/// Header and claims of a proof by ES256, and whether it is signed with the key that it names.
fn read(proof: &str) -> Option<(Value, Value, bool)> {
    let (input, signature) = proof.rsplit_once('.')?;
    let (header, claims) = input.split_once('.')?;
    let octets = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| serde_json::from_slice::<Value>(&octets(text)?).ok();
    let (header, claims) = (json(header)?, json(claims)?);
    let coordinate = |name: &str| octets(header["jwk"][name].as_str()?);
    let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
    let signature = p256::ecdsa::Signature::from_slice(&octets(signature)?).ok()?;
    let is_signed = key.verify(input.as_bytes(), &signature).is_ok();
    Some((header, claims, is_signed))
}
