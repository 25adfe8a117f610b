//! What must be true of a permit, said once more and as plainly as can be: nothing here asks the filter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::callout::{Answer, CalloutId};
use serde_json::Value;

use super::agreement::both_say;
use super::pool::{CERTIFICATES, KEYS};
use super::scenario::{Asked, Plain, Shown};
use super::setting::{
    AUDIENCE, Allow, BANK, IDENTIFIERS, Named, OTHER_AUDIENCE, Oddity, Place, Route, Rule, Setting, Test,
};
use super::stage::{is_away, is_of_token};

/// All that servers said and callers showed.
pub struct History {
    setting: Setting,
    /// Certificates whose text was told, so that their dates are known.
    read: Vec<usize>,
    answers: Vec<Told>,
}

struct Told {
    issuer: usize,
    /// The token that was asked about; none where keys were.
    token: Option<String>,
    at: u64,
    /// What stands in a body of JSON that came with 200.
    body: Option<Value>,
    meant: bool,
    away: bool,
}

/// One request, and which answers it got.
pub struct Journey {
    asked: Asked,
    pub token: Option<String>,
    pub told: Vec<usize>,
}

/// Who vouches for claims, and how that became known.
struct Vouched {
    issuer: usize,
    claims: Value,
    how: &'static str,
}

impl History {
    pub fn new(setting: Setting) -> Self {
        Self { setting, read: vec![], answers: vec![] }
    }

    pub fn begin(&mut self, asked: &Asked) -> Journey {
        if let Shown::Whole(id) = asked.peer
            && !self.read.contains(&id)
        {
            self.read.push(id);
        }
        let token = asked.credentials.iter().find_map(|value| bearer(value));
        Journey { asked: asked.clone(), token, told: vec![] }
    }

    /// Notes an answer; its number goes to those who waited for it.
    pub fn answered(&mut self, id: &CalloutId, answer: &Answer, plain: Plain, now: u64) -> usize {
        let body = match answer {
            Answer::Response(response) if response.status == 200 => serde_json::from_slice(&response.body).ok(),
            _ => None,
        };
        let token = is_of_token(id).then(|| {
            let form = String::from_utf8(id.body.to_vec()).unwrap();
            unescaped(form.strip_prefix("token=").unwrap().split('&').next().unwrap()).unwrap()
        });
        let meant = plain == Plain::Meant;
        self.answers.push(Told { issuer: id.service.issuer.0, token, at: now, body, meant, away: is_away(answer) });
        self.answers.len() - 1
    }

    /// How this permit came to be, or which proof it lacks.
    pub fn judge(&self, journey: &Journey, public: bool, name: Option<&str>, now: u64) -> Result<String, String> {
        let asked = &journey.asked;
        let preflight = self.preflight(asked);
        let (route, captured) =
            preflight.clone().or_else(|| self.route(asked, asked.method)).ok_or("no route takes it")?;
        if name != Some(route.place.name()) {
            return Err(format!("it went by {name:?} instead of {:?}", route.place.name()));
        }
        if public != (preflight.is_some() || matches!(route.allow, Allow::Public)) {
            return Err("public is what is not".to_owned());
        }
        if public {
            return Ok(if preflight.is_some() { "a preflight" } else { "public" }.to_owned());
        }
        if matches!(asked.peer, Shown::Plaintext) && !route.plaintext {
            return Err("over plaintext".to_owned());
        }
        let certificate = self.certificate(asked.peer, now);
        let shown = !matches!(asked.peer, Shown::Plaintext | Shown::Anonymous);
        match self.presented(journey, route)? {
            None => {
                self.permits(route, Caller { proof: None, certificate, captured: &captured, now })?;
                Ok("granted to a certificate alone".to_owned())
            }
            Some(_) if shown && certificate.is_none() => Err("its certificate is out of its dates".to_owned()),
            Some(token) => {
                let proofs = self.proofs(journey, route, &token, now);
                let mut lacks = "nobody vouches for its token".to_owned();
                for proof in &proofs {
                    let judged = self.believes(route, proof, certificate, now).and_then(|unbound| {
                        let caller = Caller { proof: Some(proof), certificate, captured: &captured, now };
                        self.permits(route, caller).map(|()| unbound)
                    });
                    match judged {
                        Ok(Some(unbound)) => return Ok(unbound.to_owned()),
                        Ok(None) if matches!(asked.peer, Shown::DigestOnly(id) if !self.read.contains(&id)) => {
                            return Ok("granted without dates".to_owned());
                        }
                        Ok(None) => return Ok(proof.how.to_owned()),
                        Err(why) => lacks = why,
                    }
                }
                Err(lacks)
            }
        }
    }

    /// The caller's certificate, where it is inside its dates.
    fn certificate(&self, shown: Shown, now: u64) -> Option<usize> {
        let (id, known) = match shown {
            Shown::Plaintext | Shown::Anonymous => return None,
            Shown::Whole(id) => (id, true),
            Shown::DigestOnly(id) => (id, self.read.contains(&id) || self.setting.unchecked_validity),
            Shown::Mixed(id, other) => (id, id == other || self.read.contains(&id)),
            Shown::Broken(id) => (id, self.read.contains(&id)),
        };
        let dated = !matches!(shown, Shown::DigestOnly(_)) || self.read.contains(&id);
        let certificate = &CERTIFICATES[id];
        (known && (!dated || (certificate.not_before <= now && now <= certificate.not_after))).then_some(id)
    }

    /// The token that the route reads; none where a certificate may speak instead.
    fn presented(&self, journey: &Journey, route: &Route) -> Result<Option<String>, String> {
        if !route.reads_token() {
            return Ok(None);
        }
        if journey.asked.path.contains("access_token") && !journey.asked.credentials.is_empty() {
            return Err("a second token in the query".to_owned());
        }
        match journey.asked.credentials.as_slice() {
            [] => Ok(None),
            [one] if !one.contains(&b',') => Ok(bearer(one)),
            _ => Err("several credentials".to_owned()),
        }
    }

    /// The route that lets a browser ask before it sends what it wants to.
    fn preflight(&self, asked: &Asked) -> Option<(&Route, String)> {
        let wanted = asked.preflight.filter(|method| !method.is_empty())?;
        let asks = asked.method == "OPTIONS" && asked.credentials.is_empty();
        self.route(asked, wanted).filter(|(route, _)| asks && route.passes_preflight)
    }

    fn route(&self, asked: &Asked, method: &str) -> Option<(&Route, String)> {
        let (path, oddities) = segments(asked.path)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let host = asked.host.to_ascii_lowercase();
        let host = host.split(':').next().unwrap_or_default().trim_end_matches('.').to_owned();
        let labels: Vec<&str> = host.split('.').collect();
        self.setting.routes.iter().find_map(|route| {
            let captured = match (route.place, method, path.as_slice(), labels.as_slice()) {
                (Place::Public, "GET", ["public"], _) | (Place::Orders, "POST", ["orders"], _) => "",
                (Place::Accounts, _, ["accounts", account], _) if !account.is_empty() => account,
                (Place::Tenants, _, ["t", ..], [tenant, "saas", "example"]) => tenant,
                (Place::Rest, "GET" | "POST", ..) => "",
                _ => return None,
            };
            let is_allowed = oddities.iter().all(|oddity| route.oddities.contains(oddity));
            is_allowed.then(|| (route, captured.to_owned()))
        })
    }
}

/// What the issuers say of a token.
impl History {
    fn proofs(&self, journey: &Journey, route: &Route, token: &str, now: u64) -> Vec<Vouched> {
        if route.revocation && self.setting.keys && is_jwt(token) {
            let Some(signed) = self.signed(BANK, token, now) else { return vec![] };
            let said = self.introspected(journey, token, now);
            let both = said.iter().filter_map(|said| both_say(&signed.claims, &said.claims));
            return both.map(|claims| Vouched { issuer: BANK, claims, how: "granted by both" }).collect();
        }
        let mut proofs: Vec<Vouched> =
            route.issuers.iter().filter_map(|issuer| self.signed(*issuer, token, now)).collect();
        if self.setting.introspection.is_some() && route.issuers.contains(&BANK) {
            proofs.extend(self.introspected(journey, token, now));
        }
        proofs
    }

    /// The claims of a JWT that a key of this issuer signed.
    fn signed(&self, issuer: usize, token: &str, now: u64) -> Option<Vouched> {
        let has_keys = if issuer == BANK { self.setting.keys } else { self.setting.other };
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { return None };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header_value: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let claims: Value = serde_json::from_slice(&decode(payload)?).ok()?;
        let signature = decode(signature)?;
        let message = format!("{header}.{payload}");
        let made = self.keys(issuer, now).into_iter().any(|id| {
            let key = &KEYS[id];
            header_value["alg"] == key.signing.algorithm.name()
                && (header_value["kid"].is_null() || header_value["kid"] == key.signing.kid)
                && key.made(&signature, message.as_bytes())
        });
        let typ = header_value["typ"].as_str()?.to_ascii_lowercase();
        let typed = matches!(typ.as_str(), "at+jwt" | "application/at+jwt");
        let extended = header_value.get("crit").is_some() || header_value.get("b64").is_some();
        let complete = ["exp", "iat", "sub", "jti", "client_id"].iter().all(|name| claims.get(name).is_some());
        let good = has_keys && made && typed && !extended && complete && claims["iss"] == IDENTIFIERS[issuer];
        good.then_some(Vouched { issuer, claims, how: "granted by a signature" })
    }

    /// The keys that an issuer said it has, the last time that it could be understood; an hour at most.
    fn keys(&self, issuer: usize, now: u64) -> Vec<usize> {
        let mut held = vec![];
        for told in self.answers.iter().filter(|told| told.issuer == issuer && told.token.is_none()) {
            let Some(keys) = told.body.as_ref().and_then(|body| body["keys"].as_array()) else { continue };
            if told.meant {
                held.clear();
            }
            if now < told.at.saturating_add(3600) {
                let named = |id: &usize| keys.iter().any(|key| key["x"] == KEYS[*id].jwk["x"]);
                held.extend((0..KEYS.len()).filter(named));
            }
        }
        held
    }

    /// What the bank last said of exactly this token, as long as that may be believed.
    fn introspected(&self, journey: &Journey, token: &str, now: u64) -> Vec<Vouched> {
        let (cache, stale) = self.setting.introspection.unwrap_or_default();
        let away = journey.told.last().is_some_and(|number| self.answers[*number].away);
        let mut held: Vec<Vouched> = vec![];
        for (number, told) in self.answers.iter().enumerate() {
            let (Some(of), Some(body)) = (&told.token, &told.body) else { continue };
            if of != token {
                continue;
            }
            if told.meant {
                held.clear();
            }
            let how = match journey.told.contains(&number) {
                true => "granted by an answer",
                false if now < told.at.saturating_add(cache) => "granted from memory",
                false if away && now < told.at.saturating_add(cache + stale) => "granted by a stale answer",
                false => continue,
            };
            let is_issuers = body.get("iss").is_none_or(|iss| iss == IDENTIFIERS[BANK]);
            let kind = body.get("token_type").is_none_or(|kind| kind == "Bearer");
            if body["active"] == true && is_issuers && kind && body.get("exp").is_some() {
                held.push(Vouched { issuer: BANK, claims: body.clone(), how });
            }
        }
        held
    }

    /// Whether token and caller belong together at this time; by what else than the token's own word, if so.
    fn believes(
        &self,
        route: &Route,
        proof: &Vouched,
        certificate: Option<usize>,
        now: u64,
    ) -> Result<Option<&'static str>, String> {
        let claims = &proof.claims;
        let date = |name: &str| claims.get(name).map(|date| date.as_f64().unwrap_or(f64::NAN));
        let (now, leeway) = (now as f64, self.setting.leeway as f64);
        if !date("exp").is_some_and(|exp| now < exp.floor() + leeway) {
            return Err("it has expired".to_owned());
        }
        if !date("nbf").is_none_or(|nbf| nbf.floor() - leeway <= now) {
            return Err("it is not valid yet".to_owned());
        }
        let wanted = if route.other_audience { OTHER_AUDIENCE } else { AUDIENCE };
        let meant = match &claims["aud"] {
            Value::Array(several) => several.iter().any(|one| one == wanted),
            one => one == wanted,
        };
        if !meant {
            return Err("it is meant for somebody else".to_owned());
        }
        let client = self.setting.client.filter(|_| proof.issuer == BANK && claims["client_id"] == "n26");
        match (claims.get("cnf"), certificate) {
            (None, Some(id)) if client.is_some_and(|named| is_named(named, id)) => {
                Ok(Some("granted to a client's certificate"))
            }
            (None, _) if route.when_bound && client.is_none() => Ok(Some("granted unbound")),
            (Some(cnf), Some(id)) if cnf.get("jkt").is_none() && cnf["x5t#S256"] == CERTIFICATES[id].x5t_s256 => {
                Ok(None)
            }
            (cnf, certificate) => Err(format!("it is bound to {cnf:?}, and {certificate:?} was shown")),
        }
    }
}

/// Whom the policy judges, and when.
#[derive(Clone, Copy)]
struct Caller<'a> {
    proof: Option<&'a Vouched>,
    certificate: Option<usize>,
    captured: &'a str,
    now: u64,
}

/// What the policy says.
impl History {
    fn permits(&self, route: &Route, caller: Caller<'_>) -> Result<(), String> {
        let roles = caller.roles();
        let is = |role: &str| roles.contains(&role);
        if self.setting.exclusive && (is("auditor") || is("chief")) && (is("clerk") || is("manager")) {
            return Err("it has two exclusive roles".to_owned());
        }
        if self.setting.deny.iter().any(|rule| caller.is(rule) != Some(false)) {
            return Err("it is denied".to_owned());
        }
        let has_token = caller.proof.is_some();
        if has_token && !route.scopes.iter().all(|scope| caller.has_scope(scope) == Some(true)) {
            return Err("it lacks a scope of the route".to_owned());
        }
        if has_token && !route.max_age.is_none_or(|max_age| caller.has_logged_in(max_age)) {
            return Err("the login is too old for the route".to_owned());
        }
        let is_delegated = caller.claim("act").is_some();
        let speaks = |rule: &&Rule| {
            let names_actor = rule.claim.is_some_and(|(place, _)| place.starts_with("/act/"));
            (has_token || rule.without_token) && (!is_delegated || names_actor)
        };
        let permitted = match &route.allow {
            Allow::Public => false,
            Allow::Authenticated => has_token && !is_delegated,
            Allow::Rules(rules) => rules.iter().filter(speaks).any(|rule| {
                caller.is(rule) == Some(true)
                    && rule.acr.is_none_or(|acr| caller.claim("acr") == Some(&Value::from(acr)))
            }),
        };
        if permitted { Ok(()) } else { Err("no rule holds".to_owned()) }
    }
}

impl<'a> Caller<'a> {
    fn claim(self, name: &str) -> Option<&'a Value> {
        self.proof.and_then(|proof| proof.claims.get(name))
    }

    fn roles(self) -> Vec<&'a str> {
        match self.claim("roles") {
            Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(role)) => vec![role.as_str()],
            _ => vec![],
        }
    }

    fn has_scope(self, scope: &str) -> Option<bool> {
        match self.claim("scope") {
            None => Some(false),
            Some(Value::String(held)) => Some(held.split(' ').any(|one| one == scope)),
            Some(_) => None,
        }
    }

    fn has_logged_in(self, max_age: u64) -> bool {
        let at = self.claim("auth_time").and_then(Value::as_u64);
        at.is_some_and(|at| self.now <= at + max_age + 5 && at <= self.now.saturating_add(5))
    }

    /// None where it can't be told.
    fn is(self, rule: &Rule) -> Option<bool> {
        let mut parts = vec![];
        if let Some(role) = rule.role {
            parts.push(Some(self.roles().iter().any(|held| *held == role || (*held == "manager" && role == "clerk"))));
        }
        if let Some(client) = rule.client {
            parts.push(Some(self.claim("client_id").is_some_and(|id| id == client)));
        }
        if let Some(of_client) = rule.of_client {
            let own = self.claim("sub").is_none_or(|subject| Some(subject) == self.claim("client_id"));
            parts.push(Some(self.proof.is_some() && own == of_client));
        }
        if let Some(issuer) = rule.issuer {
            parts.push(Some(self.proof.is_some_and(|proof| proof.issuer == issuer)));
        }
        if let Some((place, test)) = rule.claim {
            let claim = self.proof.and_then(|proof| proof.claims.pointer(place));
            parts.push(test_holds(test, claim, self.captured));
        }
        if let Some(named) = rule.certificate {
            // Its names may not be told; then nothing is known of them, which is no permit either.
            parts.push(Some(self.certificate.is_some_and(|id| is_named(named, id))));
        }
        parts.extend(rule.scopes.iter().map(|scope| self.has_scope(scope)));
        if let Some(not) = &rule.not {
            parts.push(self.is(not).map(|truth| !truth));
        }
        if parts.contains(&Some(false)) {
            return Some(false);
        }
        parts.into_iter().collect::<Option<Vec<bool>>>().map(|_| true)
    }
}

fn is_named(named: Named, id: usize) -> bool {
    match named {
        Named::Digest(wanted) => id == wanted,
        Named::Workload => CERTIFICATES[id].spiffe_id.is_some(),
    }
}

fn test_holds(test: Test, claim: Option<&Value>, captured: &str) -> Option<bool> {
    let Some(claim) = claim else { return Some(false) };
    match test {
        Test::Present => Some(true),
        Test::Equals(text) => claim.as_str().map(|claim| claim == text),
        Test::Captured => claim.as_str().map(|claim| claim == captured),
        Test::Contains(text) => match claim {
            Value::String(one) => Some(one == text),
            Value::Array(several) => Some(several.iter().any(|one| one == text)),
            _ => None,
        },
    }
}

/// Whether its issuer's keys can tell whose it is.
fn is_jwt(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let header = URL_SAFE_NO_PAD.decode(parts[0]).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    parts.len() == 3 && header.is_some_and(|header| header.is_object())
}

/// The token of a field of this scheme.
fn bearer(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' ').to_owned())
}

/// The segments of a path, and what is odd in them; none where even those who read it oddly may not agree.
fn segments(target: &str) -> Option<(Vec<String>, Vec<Oddity>)> {
    let path = target.split('?').next()?.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() && !target.starts_with("//") {
        return Some((vec![], vec![]));
    }
    let segments: Vec<String> = path.split('/').map(unescaped).collect::<Option<_>>()?;
    let is_dot = |part: &str| [".", ".."].contains(&part.split(';').next().unwrap_or_default());
    if segments.iter().any(|segment| segment.contains(['\\', '#', '\0']) || segment.split('/').any(is_dot)) {
        return None;
    }
    let has = |oddity: Oddity| {
        segments.iter().any(|segment| match oddity {
            Oddity::EncodedSlash => segment.contains('/'),
            Oddity::EmptySegment => segment.is_empty(),
            Oddity::Semicolon => segment.contains(';'),
        })
    };
    let mut oddities = vec![Oddity::EncodedSlash, Oddity::EmptySegment, Oddity::Semicolon];
    oddities.retain(|oddity| has(*oddity));
    Some((segments, oddities))
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut octets = parts.next()?.as_bytes().to_vec();
    for part in parts {
        octets.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        octets.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(octets).ok()
}
