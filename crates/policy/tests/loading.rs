//! What loads, what doesn't, and what the message says; and that a policy which fails denies.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::error::Error as _;

use policy::{Policy, PolicyError};

fn nothing(_: &[u8]) -> [u8; 32] {
    [0; 32]
}

fn load(text: &str) -> Result<Policy, PolicyError> {
    let (schema, _) = policy::defaults();
    Policy::from_text(&schema, &[("own.cedar".to_owned(), text.to_owned())], nothing)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let error = load(text).unwrap_err();
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    assert_eq!(format!("{error}{cause}"), expected);
}

#[test]
fn a_wrong_policy_is_refused_with_its_file_and_name() {
    check("", "there is no policy, so nothing would ever be allowed");
    check(
        "permit (principal, action, resource);",
        "policy file `own.cedar`, policy number 1: has no @id(\"…\")",
    );
    check(
        "@id(\"a\") @why(\"w\") permit (principal, action, resource);\n\
         @id(\"b\") permit (principal, action, resource);",
        "policy file `own.cedar`, policy `b`: has no @why(\"…\") for the person",
    );
    check(
        "@id(\"No Good\") @why(\"w\") permit (principal, action, resource);",
        "policy file `own.cedar`, policy `No Good`: an id is 1 to 80 lower-case letters, digits \
         and dashes",
    );
    check(
        "@id(\"a\") @why(\"for {name}\") permit (principal, action, resource);",
        "policy file `own.cedar`, policy `a`: @why has the unknown placeholder `name`",
    );
    check(
        "@id(\"a\") @why(\"w\") permit (principal, action, resource);\n\
         @id(\"a\") @why(\"w\") permit (principal, action, resource);",
        "policy file `own.cedar`, policy `a`: the id is taken by a policy in `own.cedar`",
    );
    check(
        "@id(\"a\") @why(\"w\") permit (principal == ?principal, action, resource);",
        "policy file `own.cedar`: templates (`?principal`, `?resource`) are not read",
    );
}

#[test]
fn text_that_is_not_cedar_is_refused_with_its_line() {
    let text = "@id(\"a\") @why(\"w\")\npermit (principal, action, resource)\nwhen { 1 + };";
    let message = load(text).unwrap_err().to_string();
    assert_eq!(message, "policy file `own.cedar`, line 3: not Cedar");
}

#[test]
fn a_misspelt_attribute_or_action_is_found_when_loading() {
    let misspelt = load(
        "@id(\"a\") @why(\"w\") permit (principal, action, resource)\n\
         when { resource.caveat.contains(\"SEALED\") };",
    );
    let message = misspelt.unwrap_err().to_string();
    assert!(message.starts_with("policy file `own.cedar`, policy `a`: "), "{message}");
    assert!(message.contains("attribute `caveat`"), "{message}");
    let unknown = load(
        "@id(\"a\") @why(\"w\")\n\
         forbid (principal, action == Bailiwick::Action::\"run-querry\", resource);",
    );
    let message = unknown.unwrap_err().to_string();
    assert!(message.contains("run-querry"), "{message}");
    let unguarded = load(
        "@id(\"a\") @why(\"w\") permit (principal, action, resource)\n\
         when { context.purpose == \"C\" };",
    );
    assert!(unguarded.is_err(), "an optional fact must be asked for with `has`");
}

#[test]
fn a_policy_that_can_never_apply_is_refused() {
    let message = load(
        "@id(\"a\") @why(\"w\") permit (principal, action, resource);\n\
         @id(\"b\") @why(\"w\") forbid (principal, action, resource) when { false };",
    );
    let message = message.unwrap_err().to_string();
    assert!(message.starts_with("policy file `own.cedar`, policy `b`: "), "{message}");
}

#[test]
fn a_schema_that_does_not_fit_the_program_is_refused() {
    let (schema, files) = policy::defaults();
    let without_mfa = schema.replace("    mfa: Bool,\n", "");
    assert_ne!(schema, without_mfa);
    let error = Policy::from_text(&without_mfa, &files, nothing).unwrap_err();
    assert!(matches!(error, PolicyError::Invalid { .. }), "{error}");
    // Even when no policy asks for what is missing.
    let quiet = vec![(
        "own.cedar".to_owned(),
        "@id(\"a\") @why(\"w\") permit (principal, action, resource);".to_owned(),
    )];
    let error = Policy::from_text(&without_mfa, &quiet, nothing).unwrap_err();
    assert!(matches!(error, PolicyError::Unfit { .. }), "{error}");
}

#[test]
fn a_folder_is_read_and_its_version_follows_its_content() {
    fn sum(bytes: &[u8]) -> [u8; 32] {
        let sum = bytes
            .iter()
            .fold(7_u64, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
        let mut out = [0; 32];
        out[..8].copy_from_slice(&sum.to_be_bytes());
        out
    }
    let folder = tempfile::tempdir().unwrap();
    let (schema, files) = policy::defaults();
    assert!(matches!(Policy::load(folder.path(), sum), Err(PolicyError::ReadFile { .. })));
    std::fs::write(folder.path().join("schema.cedarschema"), &schema).unwrap();
    assert!(matches!(Policy::load(folder.path(), sum), Err(PolicyError::NoPolicy)));
    for (name, text) in &files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = Policy::load(folder.path(), sum).unwrap().version();
    assert_eq!(loaded, Policy::from_text(&schema, &files, sum).unwrap().version());
    let extra = "@id(\"extra\") @why(\"w\") permit (principal, action, resource);";
    std::fs::write(folder.path().join("extra.cedar"), extra).unwrap();
    assert_ne!(loaded, Policy::load(folder.path(), sum).unwrap().version());
    let missing = folder.path().join("none");
    assert!(matches!(Policy::load(&missing, sum), Err(PolicyError::ReadFolder { .. })));
}
