//! What is written down of partners and rules: nothing crosses before somebody has accepted it.

use super::*;

fn officer() -> Caller {
    caller("so.lindqvist", "security-officer", RIVERTON)
}

fn of_lakeside() -> Written {
    Written::Partner(LAKESIDE.0.to_owned())
}

/// Riverton after a restart, with what its files say by then. What is new was put before the reviewers.
async fn restarted(riverton: &Agency, change: impl FnOnce(&mut Partner, &mut String)) -> Exchange {
    let mut rules = String::new();
    let later = reviewed::restarted_as(riverton, RIVERTON, |setup| {
        let mut partner = setup.book.partners().next().unwrap().clone();
        change(&mut partner, &mut rules);
        let read = crate::book::jurisdictions(Path::new("jurisdictions.toml"), &rules).unwrap();
        let agreements = setup.book.agreements().cloned().collect();
        setup.book = Book::new(vec![partner], agreements).with_rules(read);
    });
    later.take_in_written().await.unwrap();
    later
}

fn another_signer(partner: &mut Partner, _: &mut String) {
    partner.signing = Some(identity(STRANGER).signing.certificate.clone());
}

async fn digest(exchange: &Exchange, about: Written) -> String {
    exchange.held_text(about).await.unwrap().waiting().unwrap().digest.clone()
}

fn code(error: &ExchangeError) -> &str {
    error.clause().unwrap_or_else(|| panic!("{error}")).code()
}

#[tokio::test]
async fn a_changed_partner_waits_for_its_review_and_so_does_what_is_on_its_way() {
    let world = world().await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    let later = restarted(riverton, another_signer).await;
    assert_eq!(riverton.count("text-proposed"), 1);
    later.take_in_written().await.unwrap();
    assert_eq!(riverton.count("text-proposed"), 1, "the same text comes once");

    let refused = later.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(code(&refused), "partner.unreviewed");
    let refused = later.download(&ruiz(), export.id, Form::Zip).await.map(drop).unwrap_err();
    assert_eq!(code(&refused), "partner.unreviewed");
    later.work_once(None).await.unwrap();
    let waits = later.export(export.id).await.unwrap();
    assert_eq!((waits.status, waits.details.delivery.failures), (ExportStatus::Sealed, 0));
    assert!(waits.details.delivery.last_problem.unwrap().contains("security officer"));
    assert_eq!(world.lakeside.count("parcel-offered"), 0);

    let text = digest(&later, of_lakeside()).await;
    for other in [ruiz(), caller("adm.voss", "administrator", RIVERTON)] {
        let denied = later.review_written(&other, &of_lakeside(), &text, true, "mine").await;
        assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
    }
    let other = later.review_written(&officer(), &of_lakeside(), "00", true, "as read").await;
    assert!(matches!(other, Err(ExchangeError::Changed { .. })), "{other:?}");
    let nobody = Written::Partner("NB0099999".to_owned());
    let none = later.review_written(&officer(), &nobody, "00", true, "as read").await;
    assert!(matches!(none, Err(ExchangeError::NoSuch { .. })), "{none:?}");
    later.review_written(&officer(), &of_lakeside(), &text, true, "read aloud").await.unwrap();
    let held = later.held_text(of_lakeside()).await.unwrap();
    assert_eq!(held.versions.len(), 2);
    let voice = held.accepted().unwrap().details.review.clone().unwrap();
    assert_eq!(voice.reason.as_deref(), Some("read aloud"));

    world.clock.set(now() + SignedDuration::from_secs(61));
    // Its receipts are signed by another key than the file says by now; the parcel gets there.
    later.work_once(None).await.unwrap();
    assert_eq!(world.lakeside.count("parcel-received"), 1);
}

#[tokio::test]
async fn a_refused_text_stays_closed_and_a_revocation_and_more_room_need_no_review() {
    let world = world().await;
    let riverton = &world.riverton;
    let later = restarted(riverton, another_signer).await;
    let text = digest(&later, of_lakeside()).await;
    later.review_written(&officer(), &of_lakeside(), &text, false, "not theirs").await.unwrap();
    let refused = later.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(code(&refused), "partner.unreviewed");
    // Nor does the old text count again by being written back: it is read again.
    let back = restarted(riverton, |_, _| ()).await;
    assert_eq!(code(&back.request(&ruiz(), new_export()).await.unwrap_err()), "partner.unreviewed");
    let text = digest(&back, of_lakeside()).await;
    back.review_written(&officer(), &of_lakeside(), &text, true, "as before").await.unwrap();
    back.request(&ruiz(), new_export()).await.unwrap();

    let later = restarted(riverton, |partner, _| {
        partner.quota_bytes += 1;
        partner.revoked.push(Revoked {
            fingerprint: partner.sealing.fingerprint_text(),
            since: now() - SignedDuration::from_hours(1),
            reason: "lost".to_owned(),
        });
    })
    .await;
    assert!(later.held_text(of_lakeside()).await.unwrap().waiting().is_none());
    let refused = later.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(code(&refused), "partner.revoked");
}

#[tokio::test]
async fn nothing_comes_from_a_partner_whom_nobody_has_accepted_and_it_is_told_so() {
    let world = world_with(|_, lakeside| lakeside.is_reviewed = false).await;
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(error.chain().contains("partner-unreviewed"), "{}", error.chain());
    let lakeside = &world.lakeside;
    let refused = lakeside.events().into_iter().any(|event| {
        matches!(event, Event::RequestRefused { reason, .. } if reason.contains("security officer"))
    });
    assert!(refused, "it is on record");
    assert_eq!(lakeside.count("parcel-offered"), 0);
    let officer = caller("so.grant", "security-officer", LAKESIDE);
    accept_written(&lakeside.exchange, &officer).await;
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
}

#[tokio::test]
async fn a_parcel_that_somebody_carries_here_is_none_of_a_partner_whom_nobody_has_accepted() {
    let bag = carried::bag_with(|_, lakeside| lakeside.is_reviewed = false).await;
    let waits = bag.take(&bag.zip).await.unwrap_err();
    assert_eq!(code(&waits), "partner.unreviewed");
    assert_eq!(bag.world.lakeside.count("parcel-offered"), 0);
    let lakeside = &bag.world.lakeside.exchange;
    accept_written(lakeside, &caller("so.grant", "security-officer", LAKESIDE)).await;
    carried::is_usable(&bag, &bag.take(&bag.zip).await.unwrap()).await;
}

#[test]
fn no_two_rules_are_written_in_the_same_words() {
    let read = |text: &str| crate::book::jurisdictions(Path::new("j.toml"), text).unwrap().lines();
    let rule = |jurisdiction: &str, citation: &str, more: &str| {
        let named = format!("jurisdiction = \"{jurisdiction}\"\ncitation = \"{citation}\"\n");
        read(&format!("[[rule]]\nid = \"a\"\n{named}{more}bars = true\n"))
    };
    let narrow = rule("WA", "RCW 13.50", "record_class = \"JUVENILE\"\n");
    let moved = rule("WA; RCW 13.50", "about JUVENILE", "");
    assert_ne!(narrow, moved);
    assert_ne!(rule("WA", "R", "")[0].0, rule("OR", "R", "")[0].0, "each has a name of its own");
}

const RULE: &str = "[[rule]]\nid = \"stays\"\njurisdiction = \"LAKE\"\ncitation = \"RS 7\"\n\
                    record_class = \"INCIDENT\"\napprovals = 1\n";

#[tokio::test]
async fn rules_that_are_new_changed_or_gone_wait_for_their_review_and_nothing_leaves_meanwhile() {
    let world = world().await;
    let riverton = &world.riverton;
    assert!(riverton.exchange.held_text(Written::Rules).await.unwrap().versions.is_empty());
    for text in [RULE, ""] {
        let later = restarted(riverton, |_, rules| rules.push_str(text)).await;
        let refused = later.request(&ruiz(), new_export()).await.unwrap_err();
        assert_eq!(code(&refused), "jurisdiction.unreviewed");
        let digest = digest(&later, Written::Rules).await;
        later.review_written(&officer(), &Written::Rules, &digest, true, "RS 7").await.unwrap();
        later.request(&ruiz(), new_export()).await.unwrap();
    }
}

#[tokio::test]
async fn a_review_that_cant_be_recorded_or_stored_leaves_it_closed() {
    let world = world().await;
    let riverton = &world.riverton;
    let state = &riverton.exchange.0.setup.state;
    let table = "agreement_versions";
    riverton.ledger_disk.fail_writes_after("journal", 0);
    let later = reviewed::restarted_as(riverton, RIVERTON, |setup| {
        let mut partner = setup.book.partners().next().unwrap().clone();
        another_signer(&mut partner, &mut String::new());
        setup.book = Book::new(vec![partner], setup.book.agreements().cloned().collect());
    });
    assert!(later.take_in_written().await.is_err());
    riverton.ledger_disk.mend();
    state::testing::break_writes(state, table, "INSERT").await.unwrap();
    assert!(later.take_in_written().await.is_err());
    state::testing::mend_writes(state, table, "INSERT").await.unwrap();
    let refused = later.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(code(&refused), "partner.unreviewed", "before anything of it was stored, too");
    later.take_in_written().await.unwrap();

    let text = digest(&later, of_lakeside()).await;
    let accept =
        async || later.review_written(&officer(), &of_lakeside(), &text, true, "read").await;
    for appends in 0..2 {
        riverton.ledger_disk.fail_writes_after("journal", appends);
        assert!(accept().await.is_err(), "{appends}");
        riverton.ledger_disk.mend();
    }
    state::testing::break_writes(state, table, "UPDATE").await.unwrap();
    assert!(accept().await.is_err());
    state::testing::mend_writes(state, table, "UPDATE").await.unwrap();
    let refused = later.request(&ruiz(), new_export()).await.unwrap_err();
    assert_eq!(code(&refused), "partner.unreviewed");
    accept().await.unwrap();
    later.request(&ruiz(), new_export()).await.unwrap();
}
