//! xmlsec1, which shares nothing with our verifier, as a second judge of the generated cases: an honest message
//! must satisfy it, and where a case says that an attack left the honest signature whole, it must still hold. A case
//! that broke it on its way would be refused for nothing.

use std::path::Path;
use std::process::Command;

use crate::common::{idp_signer, response};
use crate::generated::{Case, cases};

const RESPONSE: &str = "urn:oasis:names:tc:SAML:2.0:protocol:Response";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion:Assertion";

/// Whether xmlsec1 verifies a signature that refers to this ID, wherever it stands. An attack may have put copies
/// beside it that hold nothing.
fn holds(program: &Path, folder: &Path, xml: &[u8], id: &str) -> Result<(), String> {
    let mut outcome = Ok(());
    for place in 1..=3 {
        outcome = one_holds(program, folder, xml, id, place);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn one_holds(
    program: &Path,
    folder: &Path,
    xml: &[u8],
    id: &str,
    place: usize,
) -> Result<(), String> {
    let file = folder.join("case.xml");
    std::fs::write(&file, xml).unwrap();
    let signature = format!(
        "(//*[local-name()='Signature'][*[local-name()='SignedInfo']/*[local-name()='Reference']\
         [@URI='#{id}']])[{place}]"
    );
    let done = Command::new(program)
        .args(["--verify", "--enabled-reference-uris", "same-doc", "--id-attr:ID", RESPONSE])
        .args(["--id-attr:ID", ASSERTION, "--node-xpath", &signature, "--pubkey-cert-pem"])
        .arg(folder.join("idp.pem"))
        .arg(&file)
        .output()
        .unwrap();
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).lines().take(2).collect::<Vec<_>>().join(" "))
}

/// The IDs of the elements whose signatures must hold.
fn expected(case: &Case, xml: &[u8]) -> Vec<&'static str> {
    let signed = |id: &&'static str| {
        let reference = format!("URI=\"#{id}\"");
        String::from_utf8_lossy(xml).contains(&reference)
    };
    match (case.expect, case.intact) {
        ("accepted", _) => ["_response", "_assertion"].into_iter().filter(signed).collect(),
        (_, Some("Response")) => vec!["_response"],
        (_, Some(_)) => vec!["_assertion"],
        (_, None) => Vec::new(),
    }
}

/// Cases in which two elements have the ID: xmlsec1 takes either, or none.
fn is_ambiguous(case: &Case) -> bool {
    case.name.contains("same ID")
}

#[test]
fn what_is_called_honest_or_left_whole_holds_for_xmlsec1() {
    let Some(program) = testkit::need("the second judge", &["xmlsec1"]).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("idp.pem"), idp_signer().certificate.pem()).unwrap();
    let base = response();
    let (mut honest, mut whole, mut ambiguous, mut wrong) = (0, 0, 0, Vec::new());
    for case in cases() {
        let xml = case.make(&base);
        for id in expected(&case, &xml) {
            match holds(&program, folder.path(), &xml, id) {
                Ok(()) if case.expect == "accepted" => honest += 1,
                Ok(()) => whole += 1,
                Err(_) if is_ambiguous(&case) => ambiguous += 1,
                Err(why) => wrong.push(format!("{} ({id}): {why}", case.name)),
            }
        }
    }
    // It is no judge if it says yes to everything.
    let changed = crate::common::signed(&base, crate::common::Layout::Both).replace("ruiz", "evil");
    assert!(holds(&program, folder.path(), changed.as_bytes(), "_assertion").is_err());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(honest >= 10 && whole >= 20, "{honest} {whole}");
    eprintln!(
        "xmlsec1: {honest} honest signatures hold, {whole} beside attacks, {ambiguous} ambiguous"
    );
}
