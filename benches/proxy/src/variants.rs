//! What is measured: a proxy, what it is asked, and what the figure will be held against.

use std::sync::Arc;

use harness::{Algorithm, Certificate};
use serde_json::json;

use crate::load::Tokens;
use crate::proxies::{DEFAULT_TOKENS, Proxy};
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

/// Tokens that are shown in turn where none may be remembered: more than the proxy then has room for.
pub const COLD: usize = 2_000;
const COLD_ROOM: usize = 100;

pub const VARIANTS: &[Variant] = &[
    variant("bare-again", "bare Envoy again: the noise", Proxy::BareAgain, Asked::Known(1), &[]),
    variant(
        "known",
        "known JWT, binding, RBAC",
        Proxy::Holdfast { tokens: DEFAULT_TOKENS },
        Asked::Known(1),
        &[Target::AtMost(4.0), Target::Below("native")],
    ),
    variant(
        "opaque",
        "known opaque token, the same",
        Proxy::HoldfastOpaque,
        Asked::Opaque,
        &[Target::Times(1.1, "known")],
    ),
    variant(
        "native",
        "jwt_authn (cache), Lua comparing cnf, RBAC",
        Proxy::Native { tokens: 100 },
        Asked::Known(1),
        &[],
    ),
];

/// What `ONLY=hot` means: what every change of the hot path has to be held against, in less than a minute.
pub const HOT: &[&str] = &["bare-again", "known", "opaque", "native"];

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
            Asked::Known(_) | Asked::Cold(_) | Asked::Opaque => 200,
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
            Asked::Cold(algorithm) => Tokens::these(stage.mint(algorithm, COLD)),
            Asked::Opaque => one(stage.opaque.clone()),
            Asked::Stolen => one(stage.tokens[0].clone()),
            Asked::Expired => one(stage.token_with(json!({"iat": harness::now() - 900, "exp": harness::now() - 600}))),
            Asked::Random => Tokens::random(),
        }
    }
}
