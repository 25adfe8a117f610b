//! The header of a proof, which a client writes alike in all that it makes, into the key that it names: read once, and known again
//! by its text.

use core::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::{PublicKey, Thumbprint};

/// Somebody who signs proofs: by which algorithm, and with which key.
#[derive(Debug, PartialEq, Eq)]
pub struct Prover {
    pub algorithm: Algorithm,
    pub key: PublicKey,
    pub thumbprint: Thumbprint,
}

/// Those who have proven that they hold a token's key, by the header of their proofs as it was written. Nobody else gets in, so a
/// flood of made-up keys drives out nobody.
#[derive(Default)]
pub struct Provers(RefCell<Known>);

#[derive(Default)]
struct Known {
    by_header: HashMap<Rc<str>, Rc<Prover>>,
    /// Each key has one header: whoever writes many takes no place of others.
    headers: HashMap<Thumbprint, Rc<str>>,
    /// The oldest first.
    order: VecDeque<Thumbprint>,
}

const MOST: usize = 4096;
/// Longer headers than any key needs are read each time.
const LONGEST_HEADER: usize = 1024;

impl Provers {
    pub fn known(&self, header: &str) -> Option<Rc<Prover>> {
        self.0.borrow().by_header.get(header).cloned()
    }

    pub fn remember(&self, header: &str, prover: &Rc<Prover>) {
        let mut known = self.0.borrow_mut();
        if header.len() > LONGEST_HEADER || known.by_header.contains_key(header) {
            return;
        }
        let header: Rc<str> = header.into();
        match known.headers.insert(prover.thumbprint, Rc::clone(&header)) {
            Some(other) => drop(known.by_header.remove(&other)),
            None => known.order.push_back(prover.thumbprint),
        }
        known.by_header.insert(header, Rc::clone(prover));
        known.forget_oldest();
    }
}

impl Known {
    fn forget_oldest(&mut self) {
        if self.order.len() > MOST
            && let Some(header) = self.order.pop_front().and_then(|oldest| self.headers.remove(&oldest))
        {
            self.by_header.remove(&header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::json::{Limits, parse};
    use crate::jose::jwk::Jwk;

    fn prover() -> Prover {
        let jwk = br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let key = Jwk::parse(&parse(jwk, Limits::TOKEN).unwrap()).unwrap().key;
        Prover { algorithm: Algorithm::EdDsa, thumbprint: key.thumbprint(), key }
    }

    #[test]
    fn a_prover_is_known_again_by_the_whole_header() {
        let (provers, prover) = (Provers::default(), Rc::new(prover()));
        assert_eq!(provers.known("abc"), None);
        provers.remember("abc", &prover);
        assert_eq!(provers.known("abc"), Some(prover));
        for other in ["", "ab", "abcd", "abC"] {
            assert_eq!(provers.known(other), None, "{other}");
        }
    }

    #[test]
    fn only_so_many_are_known_and_the_oldest_goes_first() {
        let provers = Provers::default();
        for number in 0..=MOST {
            let octets = core::array::from_fn(|at| number.to_le_bytes().get(at).copied().unwrap_or(0));
            let prover = Rc::new(Prover { thumbprint: Thumbprint(octets), ..prover() });
            provers.remember(&number.to_string(), &prover);
            provers.remember(&number.to_string(), &prover);
        }
        assert_eq!((provers.known("0"), provers.known("1").is_some()), (None, true));
        let known = provers.0.borrow();
        assert_eq!((known.by_header.len(), known.headers.len(), known.order.len()), (MOST, MOST, MOST));
    }

    #[test]
    fn a_key_with_many_headers_has_one_place() {
        let (provers, prover) = (Provers::default(), Rc::new(prover()));
        (0..10).for_each(|number| provers.remember(&number.to_string(), &prover));
        assert_eq!((provers.known("8"), provers.known("9").is_some()), (None, true));
        let known = provers.0.borrow();
        assert_eq!((known.by_header.len(), known.headers.len(), known.order.len()), (1, 1, 1));
    }

    #[test]
    fn a_header_longer_than_any_key_needs_is_not_kept() {
        let (provers, prover) = (Provers::default(), Rc::new(prover()));
        for (length, kept) in [(LONGEST_HEADER, true), (LONGEST_HEADER + 1, false)] {
            let header = "a".repeat(length);
            provers.remember(&header, &prover);
            assert_eq!(provers.known(&header).is_some(), kept, "{length}");
        }
    }
}
