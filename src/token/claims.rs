//! The claims that an issuer vouches for, read once into a [`VerifiedToken`] (RFC 9068 §2.2, RFC 7662 §2.2).

use core::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::jose::json::{Pointer, Value};
use crate::time::UnixTime;

use super::memory::Alike;
use super::{Audiences, Confirmation, Error, Evidence, Issuer, Kept, Name, Places, ScopeFormat, Told, VerifiedToken};

/// How far `iat` may lie in the future (checklist C42).
const CLOCK_SKEW: u64 = 10;
const MAX_SCOPES: usize = 256;
const MAX_ROLES: usize = 256;
/// A chain of delegation is no longer than this (checklist 20.6).
const MAX_ACTORS: usize = 8;
/// Names of clients and users go to logs and filter state, single-valued and short (checklist (b), state 17).
const MAX_NAME: usize = 256;

impl VerifiedToken {
    /// Reads claims that `issuer` vouches for. Only the two rooms that verify call this.
    pub(super) fn read(issuer: &Issuer, claims: Value, evidence: Evidence) -> Result<Self, Error> {
        let now = evidence.at;
        let confirmation = Confirmation::parse(claim(&claims, "cnf")).map_err(|_| Error::Confirmation)?;
        verify_actor(claim(&claims, "act"))?;
        let token = Self {
            issuer: issuer.id,
            evidence,
            confirmation,
            client_id: name(issuer.places.client_id.find(&claims), "client_id")?,
            subject: name(claim(&claims, "sub"), "sub")?,
            scopes: scopes(&issuer.places, &claims)?,
            roles: roles(&issuer.places, &claims)?.into(),
            tells: tells(&issuer.places, &claims),
            audiences: audiences(claim(&claims, "aud"))?.into(),
            told_by_audience: false,
            acr: claim(&claims, "acr").and_then(Value::as_str).map(Into::into),
            authenticated: whole_date(&claims, "auth_time")?,
            has_actor: claim(&claims, "act").is_some(),
            not_before: date(&claims, "nbf")?,
            expires: date(&claims, "exp")?,
            digest: OnceCell::new(),
            swapped: None,
            claims,
        };
        token.read_lifetime(issuer, now)?;
        Ok(token)
    }

    fn read_lifetime(&self, issuer: &Issuer, now: UnixTime) -> Result<(), Error> {
        let issued = date(&self.claims, "iat")?;
        if issued.is_some_and(|issued| issued.seconds() > now.seconds().saturating_add(CLOCK_SKEW)) {
            return Err(Error::NotYetValid);
        }
        let Some(expires) = self.expires else { return Ok(()) };
        let begins = issued.unwrap_or(now).seconds();
        if expires.seconds().saturating_sub(begins) > issuer.max_token_lifetime.as_secs() {
            return Err(Error::Lifetime);
        }
        Ok(())
    }

    /// Whether the token is good at this moment; judged on every use.
    pub fn verify_time(&self, issuer: &Issuer, now: UnixTime) -> Result<(), Error> {
        if self.expires.is_some_and(|expires| now >= expires.plus(issuer.leeway)) {
            return Err(Error::Expired);
        }
        if self.not_before.is_some_and(|not_before| now < not_before.minus(issuer.leeway)) {
            return Err(Error::NotYetValid);
        }
        Ok(())
    }

    /// Whether the token was meant for one of these; judged on every use (RFC 9700 §2.3).
    pub fn verify_audience(&self, wanted: &Audiences) -> Result<(), Error> {
        match wanted {
            Audiences::Any if self.told_by_audience => Err(Error::Type),
            Audiences::Any => Ok(()),
            Audiences::OneOf(wanted) if wanted.iter().any(|wanted| self.audiences.contains(wanted)) => Ok(()),
            Audiences::OneOf(_) => Err(Error::Audience),
        }
    }

    pub(super) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    pub(super) fn expires(&self) -> Option<UnixTime> {
        self.expires
    }

    /// Until when it is good at the longest, by its own word.
    pub fn good_until(&self, issuer: &Issuer) -> UnixTime {
        self.expires.map_or(UnixTime::new(0), |expires| expires.plus(issuer.leeway))
    }

    /// Lets go of the claims that nobody looks at again.
    pub(super) fn keep(&mut self, kept: &Kept) {
        if let Value::Object(claims) = &mut self.claims {
            claims.retain(|name| kept.holds(name));
        }
    }

    pub(super) fn share(&mut self, alike: &mut Alike) {
        let lists = [Some(&mut self.roles), Some(&mut self.audiences), self.scopes.as_mut()];
        lists.into_iter().flatten().for_each(|list| alike.unify(list));
    }

    /// Bytes that it takes, lists that it shares included, as the allocator counts them, roughly.
    pub fn size(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + of_text(text)).sum::<usize>();
        let name = |name: &Option<Name>| {
            name.as_ref().map_or(0, |name| of_text(&name.text) + name.told.as_deref().map_or(0, of_text))
        };
        size_of::<Self>()
            + name(&self.client_id)
            + name(&self.subject)
            + texts(&self.roles)
            + texts(&self.audiences)
            + self.scopes.as_deref().map_or(0, texts)
            + self.acr.as_deref().map_or(0, of_text)
            + self.swapped.as_deref().map_or(0, of_text)
            + self.claims.size()
    }
}

/// What the allocator takes for a text: it rounds up, and keeps notes.
fn of_text(text: &str) -> usize {
    const NOTES: usize = 16;
    text.len() + NOTES
}

impl Kept {
    /// Every name that one of these texts may hold in a JSON pointer: more than is
    /// needed at times, and never less.
    pub fn named_in<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut names = BTreeSet::new();
        for text in texts {
            for piece in text.split('/').skip(1) {
                let reference = piece.split('}').next().unwrap_or_default();
                let shorter = piece.strip_suffix('}').unwrap_or_default();
                names.extend([piece, shorter, reference].map(|name| name.replace("~1", "/").replace("~0", "~")));
            }
        }
        Self(names)
    }

    /// And this one.
    pub fn and(mut self, name: &str) -> Self {
        self.0.insert(name.to_owned());
        self
    }

    pub fn holds(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// A member at the top.
pub(super) fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    claims.as_object()?.get(name)
}

/// A text of at least one character, and of 256 octets at most when it is told in visible ASCII.
fn name(value: Option<&Value>, claim: &'static str) -> Result<Option<Name>, Error> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().filter(|text| !text.is_empty()).ok_or(Error::Claim(claim))?;
    let is_visible = text.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'%');
    let told = (!is_visible).then(|| visible(text).into_boxed_str());
    if told.as_deref().unwrap_or(text).len() > MAX_NAME {
        return Err(Error::Claim(claim));
    }
    Ok(Some(Name { text: text.into(), told }))
}

/// Visible ASCII as it is; every other octet, and `%`, percent-encoded.
pub fn visible(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => encoded.push_str("%25"),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A date that is there must be one: a malformed date is refused, never taken as absent.
fn date(claims: &Value, name: &'static str) -> Result<Option<UnixTime>, Error> {
    let Some(value) = claim(claims, name) else { return Ok(None) };
    value.numeric_date().map(UnixTime::new).map(Some).ok_or(Error::Claim(name))
}

/// The same for what is a whole number by its definition (OpenID Connect Core §2).
fn whole_date(claims: &Value, name: &'static str) -> Result<Option<UnixTime>, Error> {
    match claim(claims, name) {
        Some(value) if value.integer().is_none() => Err(Error::Claim(name)),
        _ => date(claims, name),
    }
}

/// Those who act, the current one first, each say who they are (RFC 8693 §4.1).
fn verify_actor(act: Option<&Value>) -> Result<(), Error> {
    let mut actor = act;
    for _ in 0..MAX_ACTORS {
        let Some(value) = actor else { return Ok(()) };
        let says = |name: &str| claim(value, name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !says("sub") && !says("client_id") {
            return Err(Error::Claim("act"));
        }
        actor = claim(value, "act");
    }
    if actor.is_none() { Ok(()) } else { Err(Error::Claim("act")) }
}

pub(super) fn audiences(value: Option<&Value>) -> Result<Vec<String>, Error> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(audience)) => Ok(vec![audience.clone()]),
        Some(Value::Array(audiences)) => texts(audiences).ok_or(Error::Claim("aud")),
        Some(_) => Err(Error::Claim("aud")),
    }
}

/// Scopes as a set; none where they can't be read. A claim of the other format grants nothing (checklist C43), and where
/// a rule refuses by scope it counts against the caller.
fn scopes(places: &Places, claims: &Value) -> Result<Option<Rc<[String]>>, Error> {
    let scopes = match (places.scope.find(claims), places.scope_format) {
        (Some(Value::String(scopes)), ScopeFormat::String) => {
            Some(scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect::<Vec<_>>())
        }
        (Some(Value::Array(scopes)), ScopeFormat::Array) => texts(scopes),
        (None, _) => Some(Vec::new()),
        (Some(_), _) => None,
    };
    if scopes.as_ref().is_some_and(|scopes| scopes.len() > MAX_SCOPES) {
        return Err(Error::Claim("scope"));
    }
    Ok(scopes.map(Vec::into))
}

fn tells(places: &Places, claims: &Value) -> Told {
    let is_there = |place: &Pointer| place.find(claims).is_some();
    Told { scopes: is_there(&places.scope), roles: places.roles.iter().any(is_there) }
}

/// Each place holds one role or a list of roles (checklist 24.7); the issuer may assert only its own (24.5).
fn roles(places: &Places, claims: &Value) -> Result<Vec<String>, Error> {
    let mut roles = Vec::new();
    for place in &places.roles {
        roles.extend(roles_at(place, claims)?);
    }
    if roles.len() > MAX_ROLES {
        return Err(Error::Claim("roles"));
    }
    if let Some(only) = &places.only {
        roles.retain(|role| only.contains(role));
    }
    Ok(roles)
}

fn roles_at(place: &Pointer, claims: &Value) -> Result<Vec<String>, Error> {
    match place.find(claims) {
        None => Ok(Vec::new()),
        Some(Value::String(role)) => Ok(vec![role.clone()]),
        Some(Value::Array(roles)) => texts(roles).ok_or(Error::Claim("roles")),
        Some(_) => Err(Error::Claim("roles")),
    }
}

fn texts(values: &[Value]) -> Option<Vec<String>> {
    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}
