//! How and how recently a user has to have logged in (RFC 9470, checklist §8).

use core::time::Duration;

use crate::time::UnixTime;
use crate::token::VerifiedToken;

/// What a route or a rule asks of the login behind a token; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepUp {
    /// One of them must be the token's `acr`, in order of preference; empty for any.
    pub acr_values: Vec<String>,
    /// Since `auth_time`.
    pub max_age: Option<Duration>,
}

/// What a login lacks, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lacking {
    /// `acr` is none of those asked for, or absent.
    Level,
    /// `auth_time` is too long ago, or absent.
    Recency,
}

/// How far the clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(5);

impl StepUp {
    /// The first thing that the login behind a token lacks of what these ask together; no two of them ask the same.
    pub fn all_lacking<const N: usize>(asking: [&Self; N], token: &VerifiedToken, now: UnixTime) -> Option<Lacking> {
        asking.into_iter().filter_map(|asked| asked.lacking(token, now)).min()
    }

    fn lacking(&self, token: &VerifiedToken, now: UnixTime) -> Option<Lacking> {
        let is_one = |acr: &str| self.acr_values.iter().any(|wanted| wanted == acr);
        if !self.acr_values.is_empty() && !token.acr().is_some_and(is_one) {
            return Some(Lacking::Level);
        }
        let is_recent = |max_age: Duration| {
            token.authenticated().is_some_and(|at| now <= at.plus(max_age).plus(LEEWAY) && at <= now.plus(LEEWAY))
        };
        self.max_age.is_some_and(|max_age| !is_recent(max_age)).then_some(Lacking::Recency)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sender_of;
    use super::*;

    fn lacking(acr_values: &[&str], max_age: Option<u64>, claims: &str) -> Option<Lacking> {
        let acr_values = acr_values.iter().map(|value| (*value).to_owned()).collect();
        let asked = StepUp { acr_values, max_age: max_age.map(Duration::from_secs) };
        asked.lacking(sender_of(0, claims).token(), UnixTime::new(1000))
    }

    #[test]
    fn one_of_the_levels_asked_for_is_compared_octet_by_octet() {
        for (claims, expected) in [
            (r#"{"acr": "gold"}"#, None),
            (r#"{"acr": "silver"}"#, None),
            (r#"{"acr": "Gold"}"#, Some(Lacking::Level)),
            (r#"{"acr": "platinum"}"#, Some(Lacking::Level)),
            (r#"{"acr": "gold silver"}"#, Some(Lacking::Level)),
            (r#"{"acr": ["gold"]}"#, Some(Lacking::Level)),
            ("{}", Some(Lacking::Level)),
        ] {
            assert_eq!(lacking(&["gold", "silver"], None, claims), expected, "{claims}");
        }
    }

    #[test]
    fn a_login_is_recent_to_the_second() {
        for (claims, expected) in [
            (r#"{"auth_time": 1000}"#, None),
            (r#"{"auth_time": 935}"#, None),
            (r#"{"auth_time": 934}"#, Some(Lacking::Recency)),
            (r#"{"auth_time": 0}"#, Some(Lacking::Recency)),
            (r#"{"auth_time": 1005}"#, None),
            (r#"{"auth_time": 1006}"#, Some(Lacking::Recency)),
            // The token was issued a moment ago; that says nothing of the login (RFC 9470 §6.1).
            (r#"{"iat": 1}"#, Some(Lacking::Recency)),
        ] {
            assert_eq!(lacking(&[], Some(60), claims), expected, "{claims}");
        }
    }

    #[test]
    fn the_level_is_told_before_the_age_and_what_nobody_asks_lacks_nothing() {
        assert_eq!(lacking(&["gold"], Some(60), "{}"), Some(Lacking::Level));
        assert_eq!(lacking(&["gold"], Some(60), r#"{"acr": "gold"}"#), Some(Lacking::Recency));
        assert_eq!(lacking(&["gold"], Some(60), r#"{"acr": "gold", "auth_time": 990}"#), None);
        assert_eq!(lacking(&[], None, "{}"), None);
    }

    #[test]
    fn what_a_route_and_a_rule_ask_is_told_in_the_same_order() {
        let level = StepUp { acr_values: vec!["gold".into()], max_age: None };
        let recency = StepUp { acr_values: Vec::new(), max_age: Some(Duration::from_secs(60)) };
        for (claims, expected) in [
            ("{}", Some(Lacking::Level)),
            (r#"{"acr": "gold"}"#, Some(Lacking::Recency)),
            (r#"{"auth_time": 990}"#, Some(Lacking::Level)),
            (r#"{"acr": "gold", "auth_time": 990}"#, None),
        ] {
            let sender = sender_of(0, claims);
            for asking in [[&level, &recency], [&recency, &level]] {
                assert_eq!(StepUp::all_lacking(asking, sender.token(), UnixTime::new(1000)), expected, "{claims}");
            }
        }
    }
}
