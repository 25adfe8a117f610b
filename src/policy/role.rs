//! Roles that include others, closed once at load (INCITS 359, checklist 24.2).

use std::collections::{BTreeMap, BTreeSet};

/// The role hierarchy: for each role all that it includes, itself too.
#[derive(Clone, Debug, Default)]
pub struct Roles {
    closure: BTreeMap<String, BTreeSet<String>>,
    /// Lists of which nobody may hold two (static separation of duty).
    exclusive: Vec<Vec<String>>,
}

/// Roles that include one another in a circle, the first one again at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<String>);

impl Roles {
    pub fn new(includes: &[(String, Vec<String>)], exclusive: &[Vec<String>]) -> Result<Self, Circle> {
        let direct: BTreeMap<&str, &[String]> =
            includes.iter().map(|(role, own)| (role.as_str(), own.as_slice())).collect();
        let mut closure = BTreeMap::new();
        for (role, _) in includes {
            let mut all = BTreeSet::new();
            collect(role, &direct, &mut all, &mut Vec::new())?;
            closure.insert(role.clone(), all.into_iter().map(str::to_owned).collect());
        }
        Ok(Self { closure, exclusive: exclusive.to_vec() })
    }

    /// Whether `held`, and what it includes, has two roles of one exclusive list.
    pub fn are_exclusive(&self, held: &[String]) -> bool {
        self.exclusive.iter().any(|list| list.iter().filter(|role| self.includes(held, role)).count() > 1)
    }

    /// All roles of somebody who holds these, each once, those first that were said.
    pub fn all<'a>(&'a self, held: &'a [String]) -> Vec<&'a str> {
        let included = held.iter().filter_map(|own| self.closure.get(own)).flatten();
        let mut all: Vec<&str> = Vec::new();
        for role in held.iter().chain(included) {
            if !all.contains(&role.as_str()) {
                all.push(role);
            }
        }
        all
    }

    /// Whether one of `held` is `role` or includes it.
    pub fn includes(&self, held: &[String], role: &str) -> bool {
        held.iter().any(|own| own == role || self.closure.get(own).is_some_and(|all| all.contains(role)))
    }
}

fn collect<'a>(
    role: &'a str,
    direct: &BTreeMap<&'a str, &'a [String]>,
    all: &mut BTreeSet<&'a str>,
    above: &mut Vec<&'a str>,
) -> Result<(), Circle> {
    if let Some(start) = above.iter().position(|other| *other == role) {
        let circle = above.iter().skip(start).chain([&role]);
        return Err(Circle(circle.map(|role| (*role).to_owned()).collect()));
    }
    if !all.insert(role) {
        return Ok(());
    }
    above.push(role);
    for included in direct.get(role).copied().unwrap_or_default() {
        collect(included, direct, all, above)?;
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(includes: &[(&str, &[&str])]) -> Result<Roles, Circle> {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Roles::new(&includes.iter().map(|(role, names)| ((*role).to_owned(), own(names))).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn nobody_holds_two_of_an_exclusive_list_by_whatever_path() {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let includes = [("head".to_owned(), own(&["payer"]))];
        let roles = Roles::new(&includes, &[own(&["payer", "approver"]), own(&["a", "b", "c"])]).unwrap();
        for (held, expected) in [
            (own(&["payer"]), false),
            (own(&["payer", "payer"]), false),
            (own(&["payer", "approver"]), true),
            (own(&["head", "approver"]), true),
            (own(&["head", "payer"]), false),
            (own(&["a", "payer"]), false),
            (own(&["c", "a"]), true),
            (own(&[]), false),
        ] {
            assert_eq!(roles.are_exclusive(&held), expected, "{held:?}");
        }
    }

    #[test]
    fn a_role_has_all_that_its_included_roles_have() {
        let roles =
            roles(&[("treasurer", &["accountant", "auditor"]), ("accountant", &["clerk"]), ("auditor", &["clerk"])])
                .unwrap();
        let held = |role: &str| vec![role.to_owned()];
        for (own, asked, expected) in [
            ("treasurer", "clerk", true),
            ("treasurer", "treasurer", true),
            ("clerk", "accountant", false),
            ("clerk", "clerk", true),
            ("stranger", "clerk", false),
        ] {
            assert_eq!(roles.includes(&held(own), asked), expected, "{own} {asked}");
        }
    }

    #[test]
    fn all_roles_of_somebody_are_told_once() {
        let roles = roles(&[("treasurer", &["accountant", "clerk"]), ("accountant", &["clerk"])]).unwrap();
        let held: Vec<String> = ["x", "treasurer", "clerk", "x"].map(str::to_owned).to_vec();
        assert_eq!(roles.all(&held), ["x", "treasurer", "clerk", "accountant"]);
        assert_eq!(roles.all(&[]), Vec::<&str>::new());
    }

    #[test]
    fn a_circle_is_named() {
        assert_eq!(roles(&[("a", &["a"])]).unwrap_err(), Circle(vec!["a".into(), "a".into()]));
        let error = roles(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]).unwrap_err();
        assert_eq!(error, Circle(vec!["b".into(), "c".into(), "b".into()]));
    }
}
