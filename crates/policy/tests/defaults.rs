//! What the policies that come with the program decide, story by story.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod questions;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use policy::{Action, AgreementFacts, Lack, Question, Verdict};

use questions::{asks, check, exports, marked, now, policy, with};

#[test]
fn a_detective_reads_records_for_a_purpose() {
    check(&asks(&["detective"], Action::RunQuery), "permit: your job function reads records");
}

#[test]
fn a_query_on_cji_without_a_purpose_is_denied() {
    check(
        &with(asks(&["detective"], Action::RunQuery), |q| q.why.purpose = None),
        "deny: a query on CJI records needs a purpose code",
    );
    check(
        &with(asks(&["detective"], Action::RunQuery), |q| {
            q.why.purpose = None;
            q.resource.record_class = "VEHICLE".parse().unwrap();
        }),
        "permit: your job function reads records",
    );
}

#[test]
fn a_person_who_lacks_a_training_gets_no_records_and_reads_what_to_do() {
    let policy = policy();
    let lack = |id: &str, words: &str| Lack { id: id.to_owned(), words: words.to_owned() };
    let training =
        lack("training/awareness", "the training Awareness ended on 2026-11-01. Take it anew");
    let screening = lack("screening/prints", "the screening Fingerprints is missing");
    let lacking = |q: &mut Question| q.actor.lacking = vec![training.clone(), screening.clone()];
    check(
        &with(asks(&["detective"], Action::RunQuery), lacking),
        "deny: you get no criminal justice information before this is in order: the training Awareness \
         ended on 2026-11-01. Take it anew; the screening Fingerprints is missing",
    );
    let cji = [
        Action::RunQuery,
        Action::WriteRecord,
        Action::ReadEvidence,
        Action::RequestExport,
        Action::ApproveExport,
        Action::SealExport,
        Action::DownloadParcel,
        Action::ReceiveParcel,
        Action::OpenParcel,
        Action::ViewExports,
        Action::ViewParcels,
    ];
    for action in Action::ALL {
        for function in ["supervisor", "auditor", "administrator", "security-officer"] {
            let question = exports(&[function], *action);
            let before = policy.decide(&question).verdict;
            let decision = policy.decide(&with(question, lacking));
            if cji.contains(action) {
                assert_eq!(decision.verdict, Verdict::Deny, "{function} {action}");
                let named = decision.policies.contains(&"qualified-for-cji".to_owned());
                assert!(named, "{function} {action}");
            } else {
                assert_eq!(decision.verdict, before, "{function} {action} is no record");
            }
        }
    }
}

#[test]
fn without_mfa_nobody_does_anything() {
    let policy = policy();
    let functions = [
        "patrol-officer",
        "detective",
        "records-clerk",
        "supervisor",
        "security-officer",
        "auditor",
        "builder",
        "administrator",
        "investigator",
    ];
    for action in Action::ALL {
        for function in functions {
            let question = with(exports(&[function], *action), |q| q.actor.assurance.mfa = false);
            let decision = policy.decide(&question);
            assert_eq!(decision.verdict, Verdict::Deny, "{function} {action}");
            assert!(decision.policies.contains(&"mfa-always".to_owned()), "{function} {action}");
        }
    }
}

#[test]
fn every_action_is_open_to_somebody_and_none_to_everybody() {
    let policy = policy();
    for action in Action::ALL {
        let permits = |function: &str| {
            policy.decide(&exports(&[function], *action)).verdict == Verdict::Permit
        };
        let somebody =
            ["supervisor", "auditor", "administrator", "security-officer", "partner-guest"];
        assert!(somebody.into_iter().any(permits), "{action}");
        // What was read by oneself is everybody's to see.
        assert_eq!(permits("builder"), *action == Action::ReadOwnAccesses, "{action}");
    }
}

#[test]
fn only_a_security_officer_who_has_just_proved_it_holds_and_disposes() {
    for action in [Action::HoldRecords, Action::DisposeRecords] {
        let officer = asks(&["security-officer"], action);
        let why = "permit: security officers place and release holds, and dispose of what is due";
        check(&officer, why);
        let stale = with(officer.clone(), |q| {
            q.actor.assurance.stepped_up_at = Some(now() - SignedDuration::from_secs(301));
        });
        let never = with(officer, |q| q.actor.assurance.stepped_up_at = None);
        for question in [stale, never] {
            let why = "deny: to hold, release or dispose of records, prove again who you are, at most \
                       5 minutes before";
            check(&question, why);
        }
        check(
            &asks(&["security-officer", "administrator"], action),
            "deny: administrators neither hold nor dispose of records, for some are about them",
        );
        check(
            &asks(&["security-officer", "auditor"], action),
            "deny: people who audit the log do not dispose of it",
        );
        let policy = policy();
        for function in ["detective", "supervisor", "records-clerk", "builder"] {
            let decision = policy.decide(&asks(&[function], action));
            assert_eq!(decision.verdict, Verdict::Deny, "{function} {action}");
        }
    }
}

#[test]
fn juvenile_records_are_closed_to_patrol() {
    let denied = "deny: juvenile records are closed to patrol officers";
    check(&marked(&["patrol-officer"], "JUVENILE"), denied);
    // A second function does not lift what the first forbids.
    check(&marked(&["patrol-officer", "detective"], "JUVENILE"), denied);
    check(&marked(&["detective"], "JUVENILE"), "permit: your job function reads records");
}

#[test]
fn sealed_records_are_for_supervisors() {
    check(&marked(&["detective"], "SEALED"), "deny: sealed records are open to supervisors only");
    check(&marked(&["supervisor"], "SEALED"), "permit: your job function reads records");
}

#[test]
fn those_who_audit_touch_no_records() {
    for function in ["security-officer", "auditor"] {
        check(
            &asks(&[function], Action::ReadAudit),
            "permit: security officers and auditors read the audit log",
        );
        for action in [Action::RunQuery, Action::WriteRecord, Action::ReadEvidence] {
            // Even with a function that may.
            check(
                &asks(&["detective", function], action),
                "deny: people who read the audit log do not work on the records that it watches",
            );
        }
    }
}

#[test]
fn an_administrator_reads_no_audit_even_as_auditor() {
    check(
        &asks(&["administrator", "auditor"], Action::ReadAudit),
        "deny: administrators do not read the audit log, for it watches them too",
    );
    check(
        &asks(&["administrator"], Action::ManagePartners),
        "permit: administrators manage partners",
    );
}

#[test]
fn what_no_rule_allows_is_denied_in_words() {
    check(
        &asks(&["patrol-officer"], Action::ReadAudit),
        "deny: no rule allows you to read the audit log (CJI records); \
         your functions: patrol-officer",
    );
    check(
        &asks(&[], Action::RunQuery),
        "deny: no rule allows you to read records (CJI records); your functions: none",
    );
}

#[test]
fn a_tools_own_list_narrows_and_never_widens() {
    let only = |functions: &[&str], allowed: &str| {
        with(asks(functions, Action::WriteRecord), |q| {
            q.allowed_functions = BTreeSet::from([allowed.parse().unwrap()]);
        })
    };
    check(&only(&["detective"], "detective"), "permit: your job function changes records");
    check(
        &only(&["detective"], "records-clerk"),
        "deny: this tool opens that to records-clerk only; your functions: detective",
    );
    check(
        &only(&["patrol-officer"], "patrol-officer"),
        "deny: no rule allows you to change a record (CJI records); \
         your functions: patrol-officer",
    );
}

#[test]
fn another_agencys_record_is_denied() {
    check(
        &with(asks(&["detective"], Action::RunQuery), |q| {
            q.resource.agency = "NB0020000".parse().unwrap();
        }),
        "deny: the record belongs to another agency",
    );
}

#[test]
fn exports_need_a_fresh_proof_of_identity() {
    let stepped_up = |seconds: Option<i64>| {
        with(exports(&["detective"], Action::RequestExport), |q| {
            q.actor.assurance.stepped_up_at =
                seconds.map(|seconds| now() - SignedDuration::from_secs(seconds));
        })
    };
    let permitted =
        "permit: your job function asks for exports, and seals and downloads what was approved";
    let denied =
        "deny: to ask for or approve an export, prove again who you are, at most 5 minutes before";
    check(&stepped_up(Some(0)), permitted);
    check(&stepped_up(Some(300)), permitted);
    check(&stepped_up(Some(301)), denied);
    check(&stepped_up(None), denied);
    // A clock that was set back makes no proof fresh.
    check(&stepped_up(Some(-1)), denied);
    let takes = |seconds: i64| {
        with(asks(&["detective"], Action::DownloadParcel), |q| {
            q.actor.assurance.stepped_up_at = Some(now() - SignedDuration::from_secs(seconds));
        })
    };
    check(&takes(300), permitted);
    check(
        &takes(301),
        "deny: to take a parcel away, prove again who you are, at most 5 minutes before",
    );
}

#[test]
fn a_recall_is_open_to_who_may_export_and_destruction_needs_a_fresh_proof_of_identity() {
    let recall = |function: &str| exports(&[function], Action::RecallExport);
    check(&recall("detective"), "permit: your job function takes exports back");
    let destroy = |function: &str, seconds: i64| {
        with(asks(&[function], Action::DestroyParcel), |q| {
            q.actor.assurance.stepped_up_at = Some(now() - SignedDuration::from_secs(seconds));
        })
    };
    let permitted = "permit: your job function accepts, opens and destroys parcels";
    check(&destroy("investigator", 300), permitted);
    let late = "deny: to destroy a parcel, prove again who you are, at most 5 minutes before";
    check(&destroy("investigator", 301), late);
    let policy = policy();
    for function in ["patrol-officer", "security-officer", "auditor", "administrator"] {
        for question in [recall(function), destroy(function, 0)] {
            assert_eq!(policy.decide(&question).verdict, Verdict::Deny, "{function}");
        }
    }
}

#[test]
fn a_held_file_is_opened_only_by_a_supervisors_fresh_decision() {
    let release = |function: &str, seconds: i64| {
        with(asks(&[function], Action::ReleaseHeldFile), |q| {
            q.actor.assurance.stepped_up_at = Some(now() - SignedDuration::from_secs(seconds));
        })
    };
    check(
        &release("supervisor", 300),
        "permit: supervisors decide about files that the malware scanner holds",
    );
    let late =
        "deny: to let a held file be opened, prove again who you are, at most 5 minutes before";
    check(&release("supervisor", 301), late);
    let policy = policy();
    for function in ["detective", "investigator", "patrol-officer", "security-officer", "auditor"] {
        assert_eq!(policy.decide(&release(function, 0)).verdict, Verdict::Deny, "{function}");
    }
}

#[test]
fn nobody_approves_their_own_export() {
    let approves = |requester: Option<&str>| {
        with(exports(&["supervisor"], Action::ApproveExport), |q| {
            q.resource.requested_by = requester.map(|id| id.parse().unwrap());
        })
    };
    check(&approves(Some("riverton|det.moss")), "permit: supervisors approve exports");
    let denied = "deny: an export is approved by somebody other than the person who asked for it";
    check(&approves(Some("riverton|det.ruiz")), denied);
    check(&approves(None), denied);
}

#[test]
fn an_export_stays_within_its_agreement() {
    let seals = |change: &dyn Fn(&mut Question)| {
        with(exports(&["supervisor"], Action::SealExport), |q| change(q))
    };
    let facts = |change: &dyn Fn(&mut AgreementFacts)| {
        seals(&|q| change(q.resource.agreement.as_mut().unwrap()))
    };
    let second = SignedDuration::from_secs(1);
    let permitted =
        "permit: your job function asks for exports, and seals and downloads what was approved";
    let not_in_force = "deny: no agreement with the partner is in force today";
    check(&seals(&|_| ()), permitted);
    check(&seals(&|q| q.resource.agreement = None), not_in_force);
    // The last second is in, the end is out.
    check(&facts(&|a| a.ends = now() + second), permitted);
    check(&facts(&|a| a.ends = now()), not_in_force);
    check(&facts(&|a| a.starts = now()), permitted);
    check(&facts(&|a| a.starts = now() + second), not_in_force);
    let late = "deny: the agreement with the partner is overdue for its review";
    check(&facts(&|a| a.review = now()), late);
    check(&facts(&|a| a.partner = "NB0010100".parse().unwrap()), not_in_force);
    check(
        &seals(&|q| q.resource.record_class = "CHRI".parse().unwrap()),
        "deny: the agreement with the partner does not cover CHRI records",
    );
    check(
        &seals(&|q| q.resource.caveats = BTreeSet::from(["JUVENILE".parse().unwrap()])),
        "deny: the agreement with the partner bars records marked JUVENILE",
    );
    let listed = |mark: &str| {
        let intel = BTreeSet::from(["INTEL".parse().unwrap()]);
        with(facts(&|a| a.caveats_allowed = Some(intel.clone())), |q| {
            q.resource.caveats = BTreeSet::from([mark.parse().unwrap()]);
        })
    };
    check(&listed("INTEL"), permitted);
    let unlisted = "deny: the agreement with the partner does not let records marked GANG cross";
    check(&listed("GANG"), unlisted);
    let purpose = "deny: the agreement with the partner does not cover that purpose";
    check(&seals(&|q| q.why.purpose = Some("E".parse().unwrap())), purpose);
    check(&seals(&|q| q.why.purpose = None), purpose);
}

#[test]
fn a_reason_over_its_limit_is_denied() {
    let reason = |length: usize| {
        with(asks(&["detective"], Action::RunQuery), |q| q.why.reason = Some("é".repeat(length)))
    };
    check(&reason(1000), "permit: your job function reads records");
    check(&reason(1001), "deny: the reason is over 1000 characters");
}

#[test]
fn an_explanation_names_every_policy_that_had_a_say() {
    let explanation = policy().explain(&marked(&["patrol-officer"], "JUVENILE"));
    assert_eq!(explanation.decision.policies, ["juvenile-not-on-patrol"]);
    let lines: Vec<String> = explanation
        .considered
        .iter()
        .map(|c| format!("{} {} {:?} {:?}", c.file, c.policy, c.effect, c.finding))
        .collect();
    assert_eq!(
        lines,
        [
            "duties.cedar auditors-touch-no-records Forbid DoesNotApply",
            "always.cedar juvenile-not-on-patrol Forbid Applies",
            "always.cedar mfa-always Forbid DoesNotApply",
            "always.cedar own-agency-only Forbid DoesNotApply",
            "always.cedar purpose-for-cji Forbid DoesNotApply",
            "always.cedar qualified-for-cji Forbid DoesNotApply",
            "functions.cedar read-records Permit Applies",
            "always.cedar sealed-for-supervisors Forbid DoesNotApply",
            "always.cedar tool-access Forbid DoesNotApply",
        ]
    );
}

#[test]
fn administrators_change_accounts_after_a_step_up_and_others_only_look() {
    let manages = |functions: &[&str]| asks(functions, Action::ManagePeople);
    check(&manages(&["administrator"]), "permit: administrators change accounts");
    check(
        &with(manages(&["administrator"]), |q| q.actor.assurance.stepped_up_at = None),
        "deny: to change accounts, prove again who you are, at most 5 minutes before",
    );
    assert_eq!(policy().decide(&manages(&["security-officer"])).verdict, Verdict::Deny);
    assert_eq!(policy().decide(&manages(&["supervisor"])).verdict, Verdict::Deny);
    check(
        &with(asks(&["administrator"], Action::ManageProviders), |q| {
            q.actor.assurance.stepped_up_at = None;
        }),
        "deny: to set up identity providers, prove again who you are, at most 5 minutes before",
    );
    let sets_up = asks(&["administrator"], Action::ManageProviders);
    check(&sets_up, "permit: administrators set up identity providers");
    let sets_up = asks(&["security-officer"], Action::ManageProviders);
    assert_eq!(policy().decide(&sets_up).verdict, Verdict::Deny);
    let looks = |functions: &[&str]| asks(functions, Action::ViewPeople);
    check(&looks(&["auditor"]), "permit: your job function sees accounts");
    assert_eq!(policy().decide(&looks(&["detective"])).verdict, Verdict::Deny);
    check(
        &asks(&["detective"], Action::ReadOwnAccesses),
        "permit: everybody reads what the ledger says of themselves",
    );
}

#[test]
fn security_officers_review_agreements_and_those_who_write_them_do_not() {
    let reviews = |functions: &[&str]| asks(functions, Action::ReviewAgreements);
    check(&reviews(&["security-officer"]), "permit: security officers review agreements");
    check(
        &with(reviews(&["security-officer"]), |q| q.actor.assurance.stepped_up_at = None),
        "deny: to review an agreement, prove again who you are, at most 5 minutes before",
    );
    check(
        &reviews(&["security-officer", "administrator"]),
        "deny: administrators write agreements, and do not review what they wrote",
    );
}
