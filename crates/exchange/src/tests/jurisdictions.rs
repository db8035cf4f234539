//! Rules of two jurisdictions over one export: the stricter wins, and what can't be kept goes to a person.

use super::*;
use crate::book::jurisdictions;

const RULES: &str = r#"ours = "RIVER"

[[rule]]
id = "juvenile"
jurisdiction = "RIVER"
citation = "RS 12-4"
caveat = "JUVENILE"
bars = true

[[rule]]
id = "evidence-approvals"
jurisdiction = "LAKE"
citation = "LC 8.1"
record_class = "EVIDENCE"
approvals = 2

[[rule]]
id = "incident-purpose"
jurisdiction = "LAKE"
citation = "LC 8.2"
record_class = "INCIDENT"
purposes = ["C", "J"]
redistribution = "none"

[[rule]]
id = "of-another-state"
jurisdiction = "HILL"
citation = "H 1"
bars = true
"#;

const CONFLICT: &str = r#"
[[rule]]
id = "keep"
jurisdiction = "RIVER"
citation = "RS 44"
record_class = "EVIDENCE"
keep_days_min = 1825

[[rule]]
id = "destroy"
jurisdiction = "LAKE"
citation = "LC 9"
keep_days_max = 1095
"#;

fn rules(text: &str) -> Jurisdictions {
    jurisdictions(Path::new("jurisdictions.toml"), text).unwrap()
}

async fn agency(text: &str, change: impl FnOnce(&mut Stage)) -> Agency {
    let clock = Arc::new(FixedClock::new(now()));
    let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
    stage.rules = rules(text);
    change(&mut stage);
    stage.agency(RIVERTON).await
}

#[tokio::test]
async fn the_stricter_of_both_sides_wins() {
    let agency = agency(RULES, |_| ()).await;
    let exchange = &agency.exchange;
    let mut marked = new_export();
    marked.items[1].caveats.insert("JUVENILE".parse().unwrap());
    let refused = exchange.request(&ruiz(), marked).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "jurisdiction.barred");
    assert!(
        refused
            .to_string()
            .contains("juvenile of RIVER bars all records marked JUVENILE (RS 12-4)")
    );
    assert!(refused.entry().is_some());

    let export = exchange.request(&ruiz(), new_export()).await.unwrap();
    let agreement = agreement(LAKESIDE.0);
    let stricter = exchange.stricter_for(&export.details, &agreement);
    assert_eq!(stricter.approvals, 2, "the agreement asks for one");
    assert_eq!(stricter.redistribution, Redistribution::None);
    assert_eq!(stricter.applied.len(), 2, "another state's rule does not count");
    let once = exchange.approve(&okafor(), export.id).await.unwrap();
    assert_eq!(once.status, ExportStatus::Requested);
    let other = caller("lt.byrne", "supervisor", RIVERTON);
    let twice = exchange.approve(&other, export.id).await.unwrap();
    assert_eq!(twice.status, ExportStatus::Approved);
}

#[tokio::test]
async fn a_purpose_that_a_rule_does_not_allow_is_refused() {
    let only_j = RULES.replace("[\"C\", \"J\"]", "[\"J\"]");
    let agency = agency(&only_j, |_| ()).await;
    let refused = agency.exchange.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "jurisdiction.purpose");
}

#[tokio::test]
async fn a_conflict_is_settled_by_whoever_approves_on_record_and_goes_with_the_parcel() {
    let agency = agency(&format!("ours = \"RIVER\"\n{CONFLICT}"), |_| ()).await;
    let exchange = &agency.exchange;
    let export = exchange.request(&ruiz(), new_export()).await.unwrap();
    let open = exchange.unsettled(&export.details, &agreement(LAKESIDE.0));
    assert_eq!(
        open,
        [
            "keep of RIVER (RS 44): kept at least 1825 days; destroy of LAKE (LC 9): kept at most 1095 days"
        ]
    );
    for none in [None, Some(" ")] {
        let refused = exchange.approve_settling(&okafor(), export.id, none).await;
        assert!(matches!(refused, Err(ExchangeError::Input { field: "decision", .. })));
    }
    assert_eq!(agency.count("export-approved"), 0);
    let decision = Some("RS 44, by counsel of 3 November");
    let export = exchange.approve_settling(&okafor(), export.id, decision).await.unwrap();
    assert_eq!(export.status, ExportStatus::Approved);
    assert_eq!(export.details.settled.len(), 1);
    let kinds = agency.story();
    let place = |kind: &str| kinds.iter().position(|found| *found == kind).unwrap();
    assert!(place("jurisdiction-settled") < place("export-approved"));
    let retention = exchange.retention(&export.details, &agreement(LAKESIDE.0)).unwrap();
    assert!(retention.ends_with("RS 44, by counsel of 3 November"), "{retention}");
    let items = agency.fetch(&ruiz(), &export.details.items).await.unwrap();
    exchange.seal(&ruiz(), export.id, items).await.unwrap();
}

#[tokio::test]
async fn a_conflict_that_comes_after_the_approval_stops_the_sealing() {
    let agency = agency("ours = \"RIVER\"\n", |_| ()).await;
    let export = agency.exchange.request(&ruiz(), new_export()).await.unwrap();
    agency.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = agency.fetch(&ruiz(), &export.details.items).await.unwrap();
    let rules = rules(&format!("ours = \"RIVER\"\n{CONFLICT}"));
    let later = reviewed::restarted_with(&agency, vec![agreement(LAKESIDE.0)], rules);
    accept_written(&later, &caller("so.lindqvist", "security-officer", RIVERTON)).await;
    let refused = later.seal(&ruiz(), export.id, items).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "jurisdiction.conflict");
    assert_eq!(agency.count("parcel-sealed"), 0);
    let row = later.export(export.id).await.unwrap();
    assert_eq!(row.status, ExportStatus::Approved);
}

#[tokio::test]
async fn a_decision_that_cannot_be_recorded_approves_nothing() {
    for appends in 0..4 {
        let agency = agency(&format!("ours = \"RIVER\"\n{CONFLICT}"), |_| ()).await;
        let export = agency.exchange.request(&ruiz(), new_export()).await.unwrap();
        agency.ledger_disk.fail_writes_after("journal", appends);
        let decided = agency.exchange.approve_settling(&okafor(), export.id, Some("RS 44")).await;
        let stored = agency.exchange.export(export.id).await.unwrap();
        if decided.is_err() && stored.status == ExportStatus::Requested {
            assert!(stored.details.approvals.is_empty() && stored.details.settled.is_empty());
        } else {
            assert_eq!(agency.count("jurisdiction-settled"), 1, "after {appends} records");
        }
    }
}

#[test]
fn the_agreements_own_days_can_be_in_conflict_too() {
    let rules = rules(&format!("ours = \"RIVER\"\n{CONFLICT}"));
    let mut short = agreement(LAKESIDE.0);
    short.terms.retention_days = Some(90);
    let asked = [("EVIDENCE".parse().unwrap(), BTreeSet::new())];
    let found = rules.stricter(&short, None, &asked, None, now());
    assert_eq!(found.conflicts.len(), 1, "the partner's rules are not known");
    assert!(
        found.conflicts[0]
            .to_string()
            .contains("agreement lakeside-2026: destroyed or returned after 90 days")
    );
    let incident = [("INCIDENT".parse().unwrap(), BTreeSet::new())];
    assert!(rules.stricter(&short, None, &incident, None, now()).conflicts.is_empty());
}

#[test]
fn rules_begin_and_end_on_their_days_and_what_is_wrong_is_named() {
    let dated = "[[rule]]\nid = \"a\"\njurisdiction = \"RIVER\"\ncitation = \"c\"\nbars = true\n\
                 from = \"2027-01-01T00:00:00Z\"\n";
    let read = rules(&format!("ours = \"RIVER\"\n{dated}"));
    let asked = [("INCIDENT".parse().unwrap(), BTreeSet::new())];
    let against = |at: &str| {
        let found = read.stricter(&agreement(LAKESIDE.0), None, &asked, None, at.parse().unwrap());
        found.against.is_some()
    };
    assert!(!against("2026-12-31T00:00:00Z") && against("2027-01-01T00:00:00Z"));
    let wrong = |text: &str| {
        let problems = jurisdictions(Path::new("jurisdictions.toml"), text).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let empty = dated.replace("bars = true\n", "");
    assert!(wrong(&empty)[0].contains("something that it demands"), "{:?}", wrong(&empty));
    assert!(wrong(&format!("{dated}{dated}"))[0].contains("used once"));
    assert!(wrong(&dated.replace("bars", "bar"))[0].contains("unknown field `bar`"));
    let range = dated.replace("bars = true", "keep_days_min = 2\nkeep_days_max = 1");
    assert!(wrong(&range)[0].contains("`keep_days_min`"));
}
