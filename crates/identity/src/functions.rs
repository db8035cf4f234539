//! Job functions: from what a provider says about a person to what `policy` knows.
//!
//! Invariant: nobody holds duties that exist to watch one another (AC-5). Who audits or guards the
//! platform neither works with its records nor administers it; who administers it does neither.

use std::collections::{BTreeMap, BTreeSet};

use policy::Function;

use crate::Refusal;

/// The functions that this program knows, each with the duty that it serves.
const KNOWN: &[(&str, Duty)] = &[
    ("patrol-officer", Duty::Operate),
    ("detective", Duty::Operate),
    ("investigator", Duty::Operate),
    ("records-clerk", Duty::Operate),
    ("supervisor", Duty::Operate),
    ("builder", Duty::Operate),
    ("security-officer", Duty::Watch),
    ("auditor", Duty::Watch),
    ("administrator", Duty::Administer),
    ("partner-guest", Duty::Visit),
];

/// Duties of which a person may serve one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    Operate,
    Watch,
    Administer,
    /// Fetches what is addressed to another agency, and has no part in this one.
    Visit,
}

/// Longest value of the functions attribute that is looked at; a directory group's name may be long.
const VALUE_BYTES_MAX: usize = 512;

/// The functions that the values name. `map` gives an agency's own names for them (a directory group,
/// say); a known function's own name needs no entry. Values that name nothing known grant nothing, and
/// neither does a function that is not among `allowed`, if those are given.
///
/// # Errors
/// `authz.not_provisioned` when no function is left, `authz.functions.conflict` when duties conflict.
pub fn granted(
    values: &[String],
    map: &BTreeMap<String, Function>,
    allowed: Option<&BTreeSet<Function>>,
) -> Result<BTreeSet<Function>, Refusal> {
    let mut functions = BTreeSet::new();
    for value in values.iter().filter(|value| value.len() <= VALUE_BYTES_MAX) {
        let named = match map.get(value) {
            Some(function) => Some(function.clone()),
            None => value.parse().ok(),
        };
        let may = |function: &Function| allowed.is_none_or(|allowed| allowed.contains(function));
        functions.extend(named.filter(|function| duty(function).is_some() && may(function)));
    }
    if functions.is_empty() {
        let detail = "the provider names no job function that this platform knows";
        return Err(Refusal::new("authz.not_provisioned", detail));
    }
    apart(functions)
}

/// The functions that an account holds, if `allowed` has them, where those are given.
///
/// # Errors
/// As [`granted`].
pub fn held(
    names: &[String],
    allowed: Option<&BTreeSet<Function>>,
) -> Result<BTreeSet<Function>, Refusal> {
    let known = names.iter().filter_map(|name| name.parse::<Function>().ok());
    let may = |function: &Function| allowed.is_none_or(|allowed| allowed.contains(function));
    let functions: BTreeSet<Function> =
        known.filter(|function| duty(function).is_some() && may(function)).collect();
    if functions.is_empty() {
        let detail = "the account has no job function";
        return Err(Refusal::new("authz.not_provisioned", detail));
    }
    apart(functions)
}

/// Every function that this program knows.
pub fn known() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name)
}

/// The functions, if one person may have them all.
fn apart(functions: BTreeSet<Function>) -> Result<BTreeSet<Function>, Refusal> {
    let duties: BTreeSet<Duty> = functions.iter().filter_map(duty).collect();
    if duties.len() > 1 {
        let names: Vec<&str> = functions.iter().map(Function::as_str).collect();
        let detail = format!("one person may not be all of: {}", names.join(", "));
        return Err(Refusal::new("authz.functions.conflict", detail));
    }
    Ok(functions)
}

fn duty(function: &Function) -> Option<Duty> {
    KNOWN.iter().find(|(name, _)| *name == function.as_str()).map(|(_, duty)| *duty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: Result<&[&str], &str>) {
        let values: Vec<String> = values.iter().map(|value| (*value).into()).collect();
        let map = BTreeMap::from([("CN=Det".to_owned(), "detective".parse().unwrap())]);
        let granted = granted(&values, &map, None);
        match expected {
            Ok(names) => {
                let granted = granted.unwrap();
                let granted: Vec<&str> = granted.iter().map(Function::as_str).collect();
                assert_eq!(granted, names);
            }
            Err(code) => assert_eq!(granted.unwrap_err().code, code),
        }
    }

    #[test]
    fn known_functions_and_mapped_groups_are_granted_and_others_are_nothing() {
        check(&["detective"], Ok(&["detective"]));
        check(&["CN=Det", "root", "Detective", "supervisor"], Ok(&["detective", "supervisor"]));
        check(&["root"], Err("authz.not_provisioned"));
        check(&["partner-guest"], Ok(&["partner-guest"]));
        check(&[], Err("authz.not_provisioned"));
        check(&[&"x".repeat(600)], Err("authz.not_provisioned"));
    }

    #[test]
    fn conflicting_duties_are_refused_in_every_mixture() {
        check(&["auditor", "security-officer"], Ok(&["auditor", "security-officer"]));
        for (first, one) in KNOWN {
            for (second, other) in KNOWN {
                if one != other {
                    check(&[first, second], Err("authz.functions.conflict"));
                }
            }
        }
    }
}
