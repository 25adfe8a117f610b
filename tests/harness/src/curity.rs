//! A stand-in for Curity: phantom tokens at an introspection endpoint, split tokens at a store.
//!
//! Its words are those of Curity's nginx module and split token publisher: a JWT to who accepts one, 204 for what is not active,
//! `max-age` until the token ends; in the store, header and payload by the SHA-256 of the signature, in base64.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::authorization_server::AuthorizationServer;
use crate::keys::{SigningKey, base64url, sha256};
use crate::now;
use crate::server::{Reaction, Received};

pub struct Curity {
    key: SigningKey,
    /// `Authorization` of the one client that may ask.
    credentials: String,
    /// Claims by opaque token.
    tokens: Mutex<HashMap<String, Value>>,
    /// Header and payload by digest.
    parts: Mutex<HashMap<String, String>>,
}

impl Curity {
    pub const INTROSPECTION: &str = "/oauth/v2/oauth-introspect";
    pub const STORE: &str = "/store";

    /// Speaks at the paths of this server; its one client has this id and secret, both without signs that a form escapes.
    pub fn speak(server: &AuthorizationServer, key: &SigningKey, (id, secret): (&str, &str)) -> Arc<Self> {
        let credentials = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let (tokens, parts) = Default::default();
        let curity = Arc::new(Self { key: key.clone(), credentials, tokens, parts });
        let (introspection, store) = (Arc::clone(&curity), Arc::clone(&curity));
        server.speak(Self::INTROSPECTION, move |asked| introspection.introspect(asked));
        server.speak(Self::STORE, move |asked| store.look_up(asked));
        curity
    }

    /// An opaque token that stands for these claims.
    pub fn issue(&self, claims: &Value) -> String {
        let token = opaque();
        self.tokens.lock().expect("tokens").insert(token.clone(), claims.clone());
        token
    }

    pub fn revoke(&self, token: &str) {
        self.tokens.lock().expect("tokens").remove(token);
    }

    /// The signature of a token with these claims; the rest is published to the store.
    pub fn split(&self, claims: &Value) -> String {
        let whole = self.key.mint(json!({}), claims);
        let (signed, signature) = whole.rsplit_once('.').expect("three parts");
        self.publish(signature, signed);
        signature.to_owned()
    }

    /// Puts this into the store for a signature.
    pub fn publish(&self, signature: &str, signed: &str) {
        self.parts.lock().expect("parts").insert(digest(signature), signed.to_owned());
    }

    /// Where the store has what belongs to this signature.
    pub fn place(signature: &str) -> String {
        let digest = digest(signature).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!("{}/{digest}", Self::STORE)
    }

    fn introspect(&self, asked: &Received) -> Reaction {
        if asked.method != "POST" || asked.values("authorization") != [self.credentials.clone()] {
            return json_of(401, &json!({"error": "invalid_client"}));
        }
        let form = asked.text();
        let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
        let claims = self.tokens.lock().expect("tokens").get(token).cloned();
        let claims = claims.filter(|claims| claims["exp"].as_u64().is_none_or(|exp| exp > now()));
        let wants_jwt = asked.values("accept").iter().any(|types| types.contains("application/jwt"));
        match (claims, wants_jwt) {
            (None, true) => Reaction::Told { status: 204, fields: Vec::new(), body: Vec::new() },
            (None, false) => json_of(200, &json!({"active": false})),
            (Some(claims), true) => self.as_jwt(&claims),
            (Some(mut claims), false) => {
                claims["phantom_token"] = json!(self.key.mint(json!({}), &claims));
                claims["active"] = json!(true);
                json_of(200, &claims)
            }
        }
    }

    fn as_jwt(&self, claims: &Value) -> Reaction {
        let left = claims["exp"].as_u64().unwrap_or(0).saturating_sub(now());
        let fields = vec![
            ("content-type", "application/jwt".to_owned()),
            ("cache-control", format!("max-age={left}, must-revalidate")),
        ];
        Reaction::Told { status: 200, fields, body: self.key.mint(json!({}), claims).into_bytes() }
    }

    fn look_up(&self, asked: &Received) -> Reaction {
        let parts = self.parts.lock().expect("parts");
        let found = parts.iter().find(|(digest, _)| {
            let escaped = digest.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            asked.method == "GET" && asked.path == format!("{}/{escaped}", Self::STORE)
        });
        match found {
            Some((_, signed)) => {
                Reaction::Answer { status: 200, content_type: "text/plain", body: signed.clone().into_bytes() }
            }
            None => json_of(404, &json!({})),
        }
    }
}

fn digest(signature: &str) -> String {
    STANDARD.encode(sha256(signature.as_bytes()))
}

fn opaque() -> String {
    let mut octets = [0; 24];
    getrandom::fill(&mut octets).expect("random octets");
    format!("_0XBPWQQ_{}", base64url(&octets))
}

fn json_of(status: u16, body: &Value) -> Reaction {
    Reaction::Answer { status, content_type: "application/json", body: body.to_string().into_bytes() }
}
