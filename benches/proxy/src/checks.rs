//! Before anything is measured: each proxy lets pass what it must, and refuses what it must.

use harness::{Certificate, Envoy, Request, now};
use serde_json::json;

use crate::proofs;
use crate::proxies::{Duty, Proxy};
use crate::stage::{PATH, SCOPE, Stage};

/// Stands for the path that is good, asked for by POST.
const POSTED: &str = "POST";

/// What it does wrong, if it does.
pub fn check(proxy: Proxy, envoy: &Envoy, stage: &Stage) -> Result<(), String> {
    let token = &stage.tokens[0];
    let send = |by: &Certificate, path: &str, token: &str| {
        let (method, path) = if path == POSTED { ("POST", PATH) } else { ("GET", path) };
        envoy.client(by).try_send(&Request::new(method, path).bearer(token)).map(|answer| answer.status)
    };
    let expired = stage.token_with(json!({"iat": now() - 900, "exp": now() - 600}));
    let other_scope = stage.token_with(json!({"scope": "openid payments.read"}));
    let longer_scope = stage.token_with(json!({"scope": format!("openid x{SCOPE}.write")}));
    let forged = stage.forged();
    let mut rows: Vec<(&str, Duty, &Certificate, &str, &str)> = vec![
        ("a good token", Duty::Nothing, &stage.bank, PATH, token),
        ("an expired token", Duty::Token, &stage.bank, PATH, &expired),
        ("a forged token", Duty::Token, &stage.bank, PATH, &forged),
        ("a token without the scope", Duty::Route, &stage.bank, PATH, &other_scope),
        ("a token with a longer scope", Duty::Route, &stage.bank, PATH, &longer_scope),
        ("another path", Duty::Route, &stage.bank, "/admin", token),
        ("a path beside it", Duty::Route, &stage.bank, "/accounts/4711/close", token),
        ("another method", Duty::Route, &stage.bank, POSTED, token),
        ("a stolen token", Duty::Binding, &stage.thief, PATH, token),
    ];
    if proxy == Proxy::HoldfastOpaque {
        rows.extend([
            ("a good opaque token", Duty::Nothing, &stage.bank, PATH, stage.opaque.as_str()),
            ("an opaque token that nobody issued", Duty::Token, &stage.bank, PATH, stage.secret.as_str()),
            ("a stolen opaque token", Duty::Binding, &stage.thief, PATH, stage.opaque.as_str()),
        ]);
    }
    // Twice, for what is remembered is judged too.
    for (what, duty, by, path, token) in rows.iter().chain(&rows) {
        let refuses = *duty != Duty::Nothing && *duty <= proxy.duty();
        let status = send(by, path, token).map_err(|error| format!("{what} is not answered: {error}"))?;
        let is_right = if refuses { matches!(status, 401 | 403) } else { status == 200 };
        if !is_right {
            return Err(format!("{what} is answered with {status}"));
        }
    }
    if proxy == Proxy::HoldfastDpop { check_proofs(envoy, stage) } else { Ok(()) }
}

fn check_proofs(envoy: &Envoy, stage: &Stage) -> Result<(), String> {
    let token = &stage.bound_to_key;
    let ath = harness::base64url(&harness::sha256(token.as_bytes()));
    let thief = harness::SigningKey::new(harness::Algorithm::Es256, "thief");
    let good = stage.holder.proof(&ath, 0);
    let rows = [
        ("a good proof", good.clone(), 200),
        ("the same proof again", good, 401),
        ("a proof by another key", proofs::stolen(token, &thief), 401),
        ("a proof for another token", stage.holder.proof("x", 0), 401),
    ];
    for (what, proof, expected) in rows {
        let request = Request::get(PATH).field("authorization", format!("DPoP {token}")).field("dpop", proof);
        let status = envoy.client(&stage.thief).try_send(&request).map(|answer| answer.status);
        let status = status.map_err(|error| format!("{what} is not answered: {error}"))?;
        if status != expected {
            return Err(format!("{what} is answered with {status}"));
        }
    }
    Ok(())
}
