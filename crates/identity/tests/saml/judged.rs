//! The generated cases before the verifier.

use std::collections::BTreeMap;

use crate::generated::cases;

#[test]
fn every_generated_case_is_judged_for_its_own_reason() {
    let idp = crate::common::idp_with_sha1();
    let expectation = crate::common::expectation(&idp);
    let base = crate::common::response();
    let mut wrong = Vec::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let all = cases();
    for case in &all {
        let verdict = identity::saml::verify_xml(&case.make(&base), &expectation);
        let verdict = match verdict {
            // Whoever is let in is the person whom the provider named.
            Ok(assertion) if assertion.name_id != "det.ruiz" => "somebody else",
            Ok(_) => "accepted",
            Err(refusal) => refusal.code,
        };
        if verdict != case.expect {
            wrong.push(format!("{}: {verdict} instead of {}", case.name, case.expect));
        }
        *reasons.entry(case.expect).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eprintln!("{} cases: {reasons:?}", all.len());
    assert!(all.len() >= 120);
    let names: std::collections::BTreeSet<_> = all.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), all.len(), "each case has its own name");
}
