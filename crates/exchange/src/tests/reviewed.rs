//! Agreements come into force by a review, and only by one.

use std::collections::BTreeMap;

use super::*;

const ID: &str = "lakeside-2026";

fn lindqvist() -> Caller {
    caller("so.lindqvist", "security-officer", RIVERTON)
}

async fn agency(agreements: Vec<Agreement>, change: impl FnOnce(&mut Stage)) -> Agency {
    let clock = Arc::new(FixedClock::new(now()));
    let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
    stage.agreements = agreements;
    stage.is_reviewed = false;
    change(&mut stage);
    let agency = stage.agency(RIVERTON).await;
    accept_written(&agency.exchange, &lindqvist()).await;
    agency
}

/// The same agency with other files, as after a restart.
fn restarted(agency: &Agency, agreements: Vec<Agreement>) -> Exchange {
    restarted_with(agency, agreements, Jurisdictions::default())
}

pub(super) fn restarted_with(
    agency: &Agency,
    agreements: Vec<Agreement>,
    rules: Jurisdictions,
) -> Exchange {
    let book = Book::new(vec![partner(LAKESIDE, 1)], agreements).with_rules(rules);
    restarted_as(agency, RIVERTON, |setup| setup.book = book)
}

/// The same agency, set otherwise, as after a restart.
pub(super) fn restarted_as(
    agency: &Agency,
    of: (&str, &str),
    change: impl FnOnce(&mut Setup),
) -> Exchange {
    let (before, identity) = (&agency.exchange.0.setup, identity(of));
    let partners = before.book.partners().cloned().collect();
    let mut setup = Setup {
        agency: before.agency.clone(),
        gate: before.gate.clone(),
        ledger: before.ledger.clone(),
        ledger_origin: before.ledger_origin.clone(),
        state: before.state.clone(),
        clock: Arc::clone(&before.clock),
        random: Arc::new(SystemRandom),
        store: before.store.clone(),
        disk: Arc::new(SystemDisk),
        signer: identity.signer(),
        recipient: identity.recipient(),
        recipient_kem: None,
        tls: identity.tls(),
        book: Book::new(partners, before.book.agreements().cloned().collect()),
        routes: Vec::new(),
        cosigner: None,
        time_stamps: None,
        time_stamp_authority: None,
        settings: before.settings,
    };
    change(&mut setup);
    Exchange::open(setup).unwrap()
}

async fn digest(exchange: &Exchange) -> String {
    exchange.held_agreement(ID).await.unwrap().waiting().unwrap().digest.clone()
}

#[tokio::test]
async fn nothing_crosses_under_an_agreement_that_nobody_has_reviewed() {
    let agency = agency(vec![agreement(LAKESIDE.0)], |_| ()).await;
    let exchange = &agency.exchange;
    exchange.take_in_agreements().await.unwrap();
    exchange.take_in_agreements().await.unwrap();
    assert_eq!(agency.count("agreement-proposed"), 1, "the same text comes once");
    let refused = exchange.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "agreement.unreviewed");
    let entry = refused.entry().unwrap();
    let Event::Withheld { reason, .. } = agency.ledger.read(entry).unwrap().record.event else {
        panic!("the refusal is on record")
    };
    assert!(reason.starts_with("agreement.unreviewed: "), "{reason}");

    let digest = digest(exchange).await;
    for (other, why) in [
        (okafor(), "no rule allows you to review an agreement"),
        (caller("adm.voss", "administrator", RIVERTON), "administrators write agreements"),
    ] {
        let refused = exchange.review_agreement(&other, ID, &digest, true, "mine").await;
        assert!(refused.unwrap_err().to_string().contains(why));
    }
    let wrong = exchange.review_agreement(&lindqvist(), ID, "00", true, "as signed").await;
    assert!(matches!(wrong, Err(ExchangeError::Changed { .. })));
    let empty = exchange.review_agreement(&lindqvist(), ID, &digest, true, " ").await;
    assert!(matches!(empty, Err(ExchangeError::Input { field: "reason", .. })));
    assert!(exchange.held_agreement(ID).await.unwrap().in_force.is_none());

    exchange.review_agreement(&lindqvist(), ID, &digest, true, "as signed").await.unwrap();
    let held = exchange.held_agreement(ID).await.unwrap();
    let version = held.in_force.unwrap();
    assert_eq!(version.details.review.unwrap().actor.name, "so.lindqvist");
    let twice = exchange.review_agreement(&lindqvist(), ID, &digest, true, "again").await;
    assert!(matches!(twice, Err(ExchangeError::Changed { .. })));
    exchange.request(&ruiz(), new_export()).await.unwrap();
}

#[tokio::test]
async fn a_changed_file_waits_while_the_accepted_text_counts_and_a_removed_one_ends_it() {
    let agency = agency(vec![agreement(LAKESIDE.0)], |_| ()).await;
    agency.exchange.take_in_agreements().await.unwrap();
    let first = digest(&agency.exchange).await;
    let lindqvist = lindqvist();
    let review = agency.exchange.review_agreement(&lindqvist, ID, &first, true, "as signed");
    review.await.unwrap();

    let mut wider = agreement(LAKESIDE.0);
    wider.facts.record_classes.insert("CHRI".parse().unwrap());
    let exchange = restarted(&agency, vec![wider]);
    exchange.take_in_agreements().await.unwrap();
    let mut chri = new_export();
    chri.items[0].record_class = "CHRI".parse().unwrap();
    let refused = exchange.request(&ruiz(), chri.clone()).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "agreement.record-class");
    let second = digest(&exchange).await;
    let stale = exchange.review_agreement(&lindqvist, ID, &first, true, "old page").await;
    assert!(matches!(stale, Err(ExchangeError::Changed { .. })));
    exchange.review_agreement(&lindqvist, ID, &second, false, "too wide").await.unwrap();
    let held = exchange.held_agreement(ID).await.unwrap();
    assert_eq!((held.versions.len(), held.in_force.unwrap().version), (2, 1));
    assert!(exchange.request(&ruiz(), chri).await.is_err());
    exchange.request(&ruiz(), new_export()).await.unwrap();

    let gone = restarted(&agency, Vec::new());
    gone.take_in_agreements().await.unwrap();
    let refused = gone.request(&ruiz(), new_export()).await.unwrap_err();
    assert!(matches!(refused, ExchangeError::NoSuch { what: "agreement" }));
    assert!(gone.held_agreement(ID).await.unwrap().in_force.is_none());
}

#[tokio::test]
async fn a_version_or_a_review_that_cannot_be_recorded_does_not_come() {
    for appends in 0..3 {
        let agency = agency(vec![agreement(LAKESIDE.0)], |_| ()).await;
        if appends == 0 {
            agency.ledger_disk.fail_writes_after("journal", 0);
            let taken = agency.exchange.take_in_agreements().await;
            assert!(matches!(taken, Err(ExchangeError::Unrecorded(_))));
            let held = agency.exchange.held_agreement(ID).await;
            assert!(matches!(held, Err(ExchangeError::NoSuch { .. })));
            continue;
        }
        agency.exchange.take_in_agreements().await.unwrap();
        let digest = digest(&agency.exchange).await;
        agency.ledger_disk.fail_writes_after("journal", appends - 1);
        let lindqvist = lindqvist();
        let review = agency.exchange.review_agreement(&lindqvist, ID, &digest, true, "signed");
        review.await.unwrap_err();
        let held = agency.exchange.held_agreement(ID).await.unwrap();
        assert!(held.in_force.is_none() && held.waiting().is_some(), "after {appends} records");
    }
}

#[tokio::test]
async fn what_is_due_is_told_once_for_each_step_and_then_nothing_crosses() {
    let clock = Arc::new(FixedClock::new(now()));
    let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
    stage.agreements[0].facts.review = "2026-12-20T00:00:00Z".parse().unwrap();
    let agency = stage.agency(RIVERTON).await;
    let mut told = BTreeMap::new();
    let mut tell = async |at: &str| {
        clock.set(at.parse().unwrap());
        agency.exchange.tell_of_due_agreements(&mut told).await.unwrap();
        agency.exchange.tell_of_due_agreements(&mut told).await.unwrap();
        agency.count("agreement-due")
    };
    assert_eq!(tell("2026-11-22T12:00:00Z").await, 1, "28 days are left");
    assert_eq!(tell("2026-11-30T12:00:00Z").await, 1);
    assert_eq!(tell("2026-12-13T12:00:00Z").await, 2, "within 7 days");
    assert_eq!(tell("2026-12-20T00:00:00Z").await, 3, "the day has come");
    let refused = agency.exchange.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "agreement.review-overdue");
}

#[tokio::test]
async fn other_certificates_than_the_agreements_stop_what_was_sealed() {
    let clock = Arc::new(FixedClock::new(now()));
    let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
    let named = identity(STRANGER).tls.certificate.fingerprint_text();
    stage.agreements[0].terms.certificates = Some(BTreeSet::from([named]));
    let agency = stage.agency(RIVERTON).await;
    let refused = agency.exchange.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "agreement.certificate");
}

#[tokio::test]
async fn criminal_history_outside_the_primary_agreements_is_logged_before_it_is_sealed() {
    let clock = Arc::new(FixedClock::new(now()));
    let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
    stage.agreements[0].facts.record_classes.insert("CHRI".parse().unwrap());
    stage.agreements[0].terms.primary = false;
    let agency = stage.agency(RIVERTON).await;
    let mut new = new_export();
    new.items[0].record_class = "CHRI".parse().unwrap();
    // None of it is cut in the log, however long it is, and more than an entry takes goes into another.
    let long = format!("case/incident.csv {}", "é".repeat(6_000));
    new.items[0].label.clone_from(&long);
    let mut second = new.items[0].clone();
    second.path = "case/more.csv".to_owned();
    new.items.push(second);
    let unnamed = agency.exchange.request(&ruiz(), new.clone()).await;
    assert!(matches!(unnamed, Err(ExchangeError::Input { field: "requestor", .. })));
    assert!(agency.exchange.exports(&[], None).await.unwrap().is_empty());
    new.requestor = Some("Jonah Pell, investigator".to_owned());
    let export = agency.exchange.request(&ruiz(), new).await.unwrap();
    agency.exchange.approve(&okafor(), export.id).await.unwrap();
    let items = agency.fetch(&ruiz(), &export.details.items).await.unwrap();
    agency.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    let kinds = agency.story();
    let place = |kind: &str| kinds.iter().position(|found| *found == kind).unwrap();
    assert!(place("secondary-dissemination") < place("parcel-sealed"));
    let logged = agency.events().into_iter().filter_map(|event| match event {
        Event::SecondaryDissemination { records, partner, requestor, .. } => {
            Some((records, partner, requestor))
        }
        _ => None,
    });
    let logged: Vec<_> = logged.collect();
    assert_eq!(logged.len(), 2, "only what is criminal history");
    for (records, partner, requestor) in logged {
        assert!(records == long, "whole");
        assert_eq!(partner, LAKESIDE.0);
        assert_eq!(requestor, "Jonah Pell, investigator");
    }
}

#[tokio::test]
async fn what_is_no_criminal_history_or_crosses_under_a_primary_agreement_is_not_logged() {
    for primary in [true, false] {
        let clock = Arc::new(FixedClock::new(now()));
        let mut stage = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]);
        stage.agreements[0].facts.record_classes.insert("CHRI".parse().unwrap());
        stage.agreements[0].terms.primary = primary;
        let agency = stage.agency(RIVERTON).await;
        let mut new = new_export();
        if primary {
            new.items[0].record_class = "CHRI".parse().unwrap();
        }
        let export = agency.exchange.request(&ruiz(), new).await.unwrap();
        agency.exchange.approve(&okafor(), export.id).await.unwrap();
        let items = agency.fetch(&ruiz(), &export.details.items).await.unwrap();
        agency.exchange.seal(&ruiz(), export.id, items).await.unwrap();
        assert_eq!(agency.count("secondary-dissemination"), 0);
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_recorded_is_not_kept_and_whom_the_policy_denies_removes_none() {
    for appends in 0..4 {
        let clock = Arc::new(FixedClock::new(now()));
        let agency = Stage::usual(&clock, vec![partner(LAKESIDE, 1)]).agency(RIVERTON).await;
        let export = agency.exchange.request(&ruiz(), new_export()).await.unwrap();
        let form = serde_json::json!({ "tool": "case-file" });
        let ruiz = ruiz();
        let keep = |title: &'static str| {
            agency.exchange.keep_template(&ruiz, export.id, title, form.clone())
        };
        assert!(matches!(keep(" ").await, Err(ExchangeError::Input { field: "title", .. })));
        if appends < 3 {
            agency.ledger_disk.fail_writes_after("journal", appends);
            let kept = keep("Weekly").await.is_ok();
            assert_eq!(agency.exchange.templates().await.unwrap().len(), usize::from(kept));
            continue;
        }
        let kept = keep("Weekly").await.unwrap();
        let listed = agency.exchange.templates().await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&kept));
        let other = caller("so.lindqvist", "security-officer", RIVERTON);
        let refused = agency.exchange.remove_template(&other, kept.id).await;
        assert!(matches!(refused, Err(ExchangeError::Denied { .. })));
        agency.ledger_disk.fail_writes_after("journal", 0);
        let unrecorded = agency.exchange.remove_template(&okafor(), kept.id).await;
        assert!(matches!(unrecorded, Err(ExchangeError::Unrecorded(_))));
        assert_eq!(agency.exchange.templates().await.unwrap().len(), 1);
        agency.ledger_disk.mend();
        agency.exchange.remove_template(&okafor(), kept.id).await.unwrap();
        assert!(agency.exchange.templates().await.unwrap().is_empty());
    }
}
