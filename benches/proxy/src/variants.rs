//! What is measured: a proxy, what it is asked, and what the figure will be held against.

use std::sync::Arc;

use harness::{Algorithm, Certificate};
use serde_json::json;

use crate::load::Tokens;
use crate::proxies::{DEFAULT_TOKENS, Proxy, ROOM};
use crate::stage::Stage;

#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What `ONLY` calls it.
    pub name: &'static str,
    pub title: &'static str,
    pub proxy: Proxy,
    pub asked: Asked,
    pub targets: &'static [Target],
}

/// The tokens that are shown, each by the bank unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So many, each of them shown before, signed with ES256.
    Known(usize),
    /// Ones that the proxy does not remember.
    Cold(Algorithm),
    /// One that the authorization server was asked about before.
    Opaque,
    /// A good one, by the thief.
    Stolen,
    Expired,
    /// One that is bound to a key, each time with a fresh proof (ES256).
    Proven,
    /// None of them twice, and none of them anybody's.
    Random,
}

/// What the cost above a bare Envoy should not exceed. A figure beyond is marked, and nothing else comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Microseconds.
    AtMost(f64),
    /// That of another variant.
    Below(&'static str),
    /// So many times that of another variant.
    Times(f64, &'static str),
}

/// Tokens that are shown in turn where none may be remembered: the proxy has room for few of them.
pub const COLD: usize = 2_000;

const HOLDFAST: Proxy = Proxy::Holdfast { tokens: DEFAULT_TOKENS };
const FORGETFUL: Proxy = Proxy::Holdfast { tokens: ROOM };

pub const VARIANTS: &[Variant] = &[
    variant("bare-again", "bare Envoy again: the noise", Proxy::BareAgain, Asked::Known(1), &[]),
    variant("floor", "proxy-wasm, two buffers read and nothing done", Proxy::Floor, Asked::Known(1), &[]),
    variant("known", "Holdfast, known JWT", HOLDFAST, Asked::Known(1), &[Target::AtMost(4.0), Target::Below("native")]),
    variant(
        "known-untold",
        "Holdfast, known JWT, facts: refusals",
        Proxy::HoldfastUntold,
        Asked::Known(1),
        &[Target::AtMost(4.0), Target::Below("native")],
    ),
    variant(
        "opaque",
        "Holdfast, known opaque token",
        Proxy::HoldfastOpaque,
        Asked::Opaque,
        &[Target::Times(1.1, "known")],
    ),
    variant(
        "routes-1000",
        "Holdfast, 1,000 routes",
        Proxy::HoldfastRoutes { routes: 1_000 },
        Asked::Known(1),
        &[Target::Times(1.1, "known")],
    ),
    variant("known-1000", "Holdfast, 1,000 tokens", Proxy::Holdfast { tokens: 1_200 }, Asked::Known(1_000), &[]),
    variant(
        "known-10000",
        "Holdfast, 10,000 tokens",
        Proxy::Holdfast { tokens: 12_000 },
        Asked::Known(10_000),
        &[Target::Times(0.6, "native-10000")],
    ),
    variant(
        "known-100000",
        "Holdfast, 100,000 tokens",
        Proxy::Holdfast { tokens: 120_000 },
        Asked::Known(100_000),
        &[Target::Times(1.5, "known")],
    ),
    variant(
        "dpop",
        "Holdfast, known JWT, fresh DPoP proof",
        Proxy::HoldfastDpop,
        Asked::Proven,
        &[Target::AtMost(55.0)],
    ),
    variant("stolen", "Holdfast refuses a stolen token", HOLDFAST, Asked::Stolen, &[Target::Below("known")]),
    variant("expired", "Holdfast refuses an expired token", HOLDFAST, Asked::Expired, &[Target::Below("known")]),
    variant("random", "Holdfast refuses random tokens", HOLDFAST, Asked::Random, &[Target::Below("known")]),
    variant(
        "cold-es256",
        "Holdfast, unknown token, ES256",
        FORGETFUL,
        Asked::Cold(Algorithm::Es256),
        &[Target::Below("jwt-authn-es256")],
    ),
    variant(
        "cold-rs256",
        "Holdfast, unknown token, RS256",
        FORGETFUL,
        Asked::Cold(Algorithm::Rs256),
        &[Target::Below("jwt-authn-rs256")],
    ),
    variant(
        "cold-ps256",
        "Holdfast, unknown token, PS256",
        FORGETFUL,
        Asked::Cold(Algorithm::Ps256),
        &[Target::AtMost(100.0)],
    ),
    variant(
        "cold-eddsa",
        "Holdfast, unknown token, EdDSA",
        FORGETFUL,
        Asked::Cold(Algorithm::EdDsa),
        &[Target::AtMost(90.0)],
    ),
    variant("jwt-authn", "jwt_authn, known JWT", Proxy::JwtAuthn { tokens: ROOM }, Asked::Known(1), &[]),
    variant("jwt-authn-rbac", "jwt_authn, RBAC, known JWT", Proxy::JwtAuthnRbac, Asked::Known(1), &[]),
    variant("native", "jwt_authn, Lua, RBAC, known JWT", Proxy::Native { tokens: ROOM }, Asked::Known(1), &[]),
    variant("native-told", "jwt_authn, Lua, RBAC, the same facts told", Proxy::NativeTold, Asked::Known(1), &[]),
    variant(
        "native-10000",
        "jwt_authn, Lua, RBAC, 10,000 tokens",
        Proxy::Native { tokens: 200_000 },
        Asked::Known(10_000),
        &[],
    ),
    variant("ext-authz", "ext_authz, everything cached in the service", Proxy::ExtAuthz, Asked::Known(1), &[]),
    variant("jwt-authn-es256", "jwt_authn, unknown token, ES256", UNCACHED, Asked::Cold(Algorithm::Es256), &[]),
    variant("jwt-authn-rs256", "jwt_authn, unknown token, RS256", UNCACHED, Asked::Cold(Algorithm::Rs256), &[]),
    variant("jwt-authn-ps256", "jwt_authn, unknown token, PS256", UNCACHED, Asked::Cold(Algorithm::Ps256), &[]),
    variant("jwt-authn-eddsa", "jwt_authn, unknown token, EdDSA", UNCACHED, Asked::Cold(Algorithm::EdDsa), &[]),
];

/// Without its cache.
const UNCACHED: Proxy = Proxy::JwtAuthn { tokens: 0 };

/// What `hot` means: what every change of the hot path has to be held against, in less than a minute.
pub const HOT: &[&str] = &["bare-again", "floor", "known", "known-untold", "opaque", "native", "native-told"];

const fn variant(
    name: &'static str,
    title: &'static str,
    proxy: Proxy,
    asked: Asked,
    targets: &'static [Target],
) -> Variant {
    Variant { name, title, proxy, asked, targets }
}

impl Variant {
    pub fn status(self) -> u16 {
        match self.asked {
            Asked::Known(_) | Asked::Cold(_) | Asked::Opaque | Asked::Proven => 200,
            Asked::Stolen | Asked::Expired | Asked::Random => 401,
        }
    }

    pub fn caller(self, stage: &Stage) -> &Certificate {
        if self.asked == Asked::Stolen { &stage.thief } else { &stage.bank }
    }

    pub fn tokens(self, stage: &Stage) -> Tokens {
        let one = |token: String| Tokens::these(Arc::new(vec![token]));
        match self.asked {
            Asked::Known(count) => Tokens::shuffled(&stage.tokens, count),
            Asked::Cold(algorithm) => Tokens::these(stage.unknown(algorithm)),
            Asked::Opaque => one(stage.opaque.clone()),
            Asked::Stolen => one(stage.tokens[0].clone()),
            Asked::Expired => one(stage.token_with(json!({"iat": harness::now() - 900, "exp": harness::now() - 600}))),
            Asked::Random => Tokens::random(),
            Asked::Proven => Tokens::proven(&stage.bound_to_key, &stage.holder),
        }
    }
}
