//! A trial, step by step: what the verifier found good, where it stopped, and what it did not come to.

use identity::IdpSettings;
use identity::trial::functions_of;
use state::drafts::Trial;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Good,
    /// It is no obstacle, but somebody should know.
    Odd,
    Bad,
    NotReached,
}

/// One step, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) ended: Ended,
    pub(super) detail: String,
}

/// The verifier's stages in its own order, with how the codes begin that stop it there.
const STAGES: [(&str, &[&str]); 7] = [
    ("An answer came that is a SAML response", &["saml.malformed", "saml.shape", "saml.version"]),
    ("The provider did sign the person in", &["saml.status"]),
    (
        "A key of its metadata signed the answer, and it is unchanged",
        &["saml.signature", "saml.alg", "saml.decrypt"],
    ),
    (
        "It is from this provider, to this service, for this request and this moment",
        &[
            "saml.issuer",
            "saml.destination",
            "saml.inresponseto",
            "saml.time",
            "saml.conditions",
            "saml.subjectconfirmation",
        ],
    ),
    ("It names the person, and its attributes can be read", &["saml.nameid", "saml.attribute"]),
    ("It says when and how the person was authenticated", &["saml.authn"]),
    ("It states more than one factor", &["saml.mfa"]),
];

/// Where a code stops the verifier: by the longest beginning that is listed; one that is not listed, at the first.
fn stage_of(code: &str) -> usize {
    let begins = |beginnings: &[&str]| {
        beginnings.iter().filter(|one| code.starts_with(**one)).map(|one| one.len()).max()
    };
    let found = STAGES.iter().enumerate().filter_map(|(at, (_, all))| Some((begins(all)?, at)));
    found.max().map_or(0, |(_, at)| at)
}

/// All steps of a trial.
pub(super) fn steps(trial: &Trial, idp: &IdpSettings) -> Vec<Step> {
    let stopped = trial.refused.as_ref().map(|(code, _)| stage_of(code));
    let mut steps: Vec<Step> = STAGES
        .iter()
        .enumerate()
        .map(|(at, (what, _))| {
            let (ended, detail) = match (stopped, &trial.refused) {
                (Some(stop), _) if at > stop => (Ended::NotReached, String::new()),
                (Some(stop), Some((code, words))) if at == stop => {
                    (Ended::Bad, format!("{words} ({code})"))
                }
                (Some(_) | None, _) => (Ended::Good, told(at, trial)),
            };
            Step { what, ended, detail }
        })
        .collect();
    steps.push(functions(trial, idp));
    steps.push(name(trial, idp));
    steps
}

/// What a stage that went well found out.
fn told(stage: usize, trial: &Trial) -> String {
    let said = trial.said.as_ref();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    match stage {
        2 => trial.notes.join("; "),
        4 => text(said.and_then(|said| said.name_id.as_ref())),
        5 => text(said.and_then(|said| said.authenticated_at.as_ref())),
        6 => text(said.and_then(|said| said.context.as_ref())),
        _ => String::new(),
    }
}

/// The values of an attribute, if it came.
pub(super) fn values<'a>(trial: &'a Trial, attribute: &str) -> Option<&'a [String]> {
    let said = trial.said.as_ref()?;
    let found = said.attributes.iter().find(|(name, _)| name == attribute);
    found.map(|(_, values)| values.as_slice())
}

fn functions(trial: &Trial, idp: &IdpSettings) -> Step {
    let what = "Its groups give job functions";
    let step = |ended, detail: String| Step { what, ended, detail };
    if trial.said.is_none() {
        return step(Ended::NotReached, String::new());
    }
    if idp.accounts.functions_from_account {
        return step(
            Ended::Good,
            "They come from the account, whatever the provider says.".to_owned(),
        );
    }
    let attribute = &idp.function_attribute;
    let Some(values) = values(trial, attribute) else {
        let detail = format!(
            "The attribute `{attribute}` did not come. Who has an account keeps its functions."
        );
        return step(Ended::Odd, detail);
    };
    match functions_of(idp, values) {
        Ok(functions) => {
            let names: Vec<&str> = functions.iter().map(policy::Function::as_str).collect();
            step(Ended::Good, names.join(", "))
        }
        Err(refusal) => step(Ended::Bad, format!("{} ({})", refusal.detail, refusal.code)),
    }
}

fn name(trial: &Trial, idp: &IdpSettings) -> Step {
    let what = "It says the person's name";
    let found = values(trial, &idp.name_attribute).and_then(|values| values.first());
    let (ended, detail) = match (&trial.said, found) {
        (None, _) => (Ended::NotReached, String::new()),
        (Some(_), Some(name)) if !name.is_empty() => (Ended::Good, name.clone()),
        (Some(_), _) => {
            let detail = format!("The attribute `{}` did not come.", idp.name_attribute);
            (Ended::Odd, detail)
        }
    };
    Step { what, ended, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stops_the_verifier_at_its_own_stage() {
        for (code, stage) in [
            ("saml.malformed", 0),
            ("saml.shape.attribute", 0),
            ("saml.status.authn-failed", 1),
            ("saml.signature.digest", 2),
            ("saml.decrypt", 2),
            ("saml.conditions.audience", 3),
            ("saml.attribute", 4),
            ("saml.authn.old", 5),
            ("saml.mfa.missing", 6),
            ("else", 0),
        ] {
            assert_eq!(stage_of(code), stage, "{code}");
        }
    }
}
