//! What a key and the endpoint of one issuer say of the same JWT, into what both vouch for: no more than either grants
//! (checklist C32 to C36).

use core::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::jose::json::Value;

use super::claims::claim;
use super::{Confirmation, Error, Evidence, VerifiedToken, Voucher};

impl VerifiedToken {
    /// What is left of a token that was verified by its signature when its issuer's endpoint says this of it.
    pub fn agree(&self, said: &Self) -> Result<Self, Error> {
        let by = match (&self.evidence.by, &said.evidence.by) {
            (Voucher::Key(key), Voucher::Endpoint(endpoint)) if self.issuer == said.issuer => {
                Voucher::Both(Rc::clone(key), Rc::clone(endpoint))
            }
            _ => return Err(Error::Disagreement),
        };
        // A signed answer about another token of the same user and client is one about another token.
        same(claim(&self.claims, "jti"), claim(&said.claims, "jti"))?;
        Ok(Self {
            issuer: self.issuer,
            evidence: Evidence { by, at: said.evidence.at },
            confirmation: self.confirmation.and(said.confirmation)?,
            client_id: same(self.client_id.as_ref(), said.client_id.as_ref())?,
            subject: same(self.subject.as_ref(), said.subject.as_ref())?,
            scopes: match (&self.scopes, &said.scopes) {
                (Some(signed), Some(said)) => Some(granted(self.tells.scopes, signed, said)),
                _ => None,
            },
            roles: granted(self.tells.roles, &self.roles, &said.roles),
            tells: self.tells,
            audiences: in_both(&self.audiences, &said.audiences),
            told_by_audience: self.told_by_audience,
            acr: same(self.acr.as_ref(), said.acr.as_ref()).unwrap_or(None),
            authenticated: earliest(self.authenticated, said.authenticated),
            has_actor: self.has_actor || said.has_actor,
            not_before: self.not_before.max(said.not_before),
            expires: earliest(self.expires, said.expires),
            digest: OnceCell::new(),
            swapped: None,
            claims: known(&self.claims, &said.claims),
        })
    }
}

impl Confirmation {
    /// Bound to all that either says.
    fn and(self, said: Self) -> Result<Self, Error> {
        Ok(Self {
            certificate: same(self.certificate.as_ref(), said.certificate.as_ref())?,
            key: same(self.key.as_ref(), said.key.as_ref())?,
        })
    }
}

/// What one of them leaves unsaid, the other says.
fn same<T: Clone + PartialEq>(signed: Option<&T>, said: Option<&T>) -> Result<Option<T>, Error> {
    match (signed, said) {
        (Some(signed), Some(said)) if signed != said => Err(Error::Disagreement),
        (signed, said) => Ok(signed.or(said).cloned()),
    }
}

/// What the endpoint grants now, cut to what the token itself grants where it tells any: lightweight tokens tell none.
fn granted(tells: bool, signed: &Rc<[String]>, said: &Rc<[String]>) -> Rc<[String]> {
    if tells { in_both(signed, said) } else { Rc::clone(said) }
}

fn in_both(signed: &Rc<[String]>, said: &Rc<[String]>) -> Rc<[String]> {
    if signed == said {
        return Rc::clone(signed);
    }
    let mut known = BTreeSet::new();
    known.extend(said.iter().cloned());
    signed.iter().filter(|one| known.contains(*one)).cloned().collect()
}

fn earliest<T: Ord>(signed: Option<T>, said: Option<T>) -> Option<T> {
    signed.into_iter().chain(said).min()
}

/// Lists longer than this are not compared member by member.
const MOST: usize = 256;

/// A claim that both tell and tell differently is there and compares with nothing: `null`. So it permits nobody, and where a
/// rule refuses by it, it counts against the caller. Of a list it is so with the members that only one of them has.
fn known(signed: &Value, said: &Value) -> Value {
    match (signed, said) {
        (Value::Object(signed), Value::Object(said)) => Value::Object(signed.unite(said, known)),
        (Value::Array(signed), Value::Array(said)) if signed.len() <= MOST && said.len() <= MOST => {
            let mut members: Vec<Value> = signed.iter().filter(|one| said.contains(one)).cloned().collect();
            if members.len() < signed.len() || said.iter().any(|one| !signed.contains(one)) {
                members.push(Value::Null);
            }
            Value::Array(members)
        }
        (signed, said) if signed == said => signed.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::json::{Limits, parse};

    fn value(text: &str) -> Value {
        parse(text.as_bytes(), Limits::TOKEN).unwrap()
    }

    #[test]
    fn a_claim_that_is_told_in_two_ways_is_unknown_and_one_that_is_told_once_is_as_it_is() {
        for (signed, said, expected) in [
            ("1", "1", "1"),
            ("1", "2", "null"),
            ("1", "\"1\"", "null"),
            ("{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"),
            ("{\"a\":1,\"b\":{\"c\":1}}", "{\"a\":2,\"b\":{\"c\":1,\"d\":2}}", "{\"a\":null,\"b\":{\"c\":1,\"d\":2}}"),
            ("[1,2]", "[2,1]", "[1,2]"),
            ("[1,2]", "[2,3]", "[2,null]"),
            ("[1,2]", "[2]", "[2,null]"),
            ("[2]", "[1,2]", "[2,null]"),
            ("[]", "[]", "[]"),
            ("[1]", "1", "null"),
            ("null", "null", "null"),
        ] {
            assert_eq!(known(&value(signed), &value(said)), value(expected), "{signed} and {said}");
        }
    }

    #[test]
    fn long_lists_are_compared_as_they_stand() {
        let list = |first: usize, count: usize| {
            Value::Array((first..first + count).map(|number| Value::Integer(number.try_into().unwrap())).collect())
        };
        assert_eq!(known(&list(0, 257), &list(0, 257)), list(0, 257));
        assert_eq!(known(&list(0, 257), &list(0, 256)), Value::Null);
        assert_ne!(known(&list(0, 256), &list(1, 256)), Value::Null);
    }
}
