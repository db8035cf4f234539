//! After it left: accepted, opened, recalled at every moment, destroyed, kept, expired; and each of the
//! notices lost, repeated, bent or failing on the way.

use http::{Method, StatusCode};
use jiff::ToSpan;
use parcel::notice::Matter;

use super::faults::Hand;
use super::*;
use crate::protocol::{Answer, AnswerState, Fault, NOTICES, ROOT};

const REASON: &str = "the wrong case";
const PART: &str = "data/000/part-000003.p7m";

impl World {
    /// Delivered and accepted.
    async fn arrived(&self) -> (Export, Uuid) {
        let export = self.riverton.sealed().await.unwrap();
        let export = self.riverton.exchange.deliver(export.id).await.unwrap();
        let exchange = export.exchange.unwrap();
        self.lakeside.accepted(exchange).await;
        (export, exchange)
    }

    /// Lets both sides do what is due, until nothing is.
    async fn settle(&self) {
        for agency in [&self.riverton, &self.lakeside, &self.riverton] {
            agency.exchange.work_on_notices().await.unwrap();
        }
    }

    async fn export(&self, export: &Export) -> Export {
        self.riverton.exchange.export(export.id).await.unwrap()
    }
}

/// What the partner told, in its order.
fn words(export: &Export) -> Vec<&'static str> {
    export.details.told.iter().map(|told| told.matter.word()).collect()
}

/// Somebody who has just proved again who they are.
fn stepped_up(at: Timestamp) -> Caller {
    let mut caller = pell();
    caller.actor.assurance.stepped_up_at = Some(at);
    caller
}

#[tokio::test]
async fn acceptance_and_opening_are_told_by_signed_notices_that_both_ledgers_anchor() {
    let world = world().await;
    let (export, exchange) = world.arrived().await;
    let contents = world.lakeside.exchange.contents(&pell(), exchange, &why()).await;
    drop(contents.unwrap());
    let path = "evidence/statement.pdf";
    drop(world.lakeside.exchange.document(&pell(), exchange, path, None, &why()).await.unwrap());
    world.settle().await;
    let export = world.export(&export).await;
    assert_eq!(words(&export), ["accepted", "opened"], "an opening is told once");
    let [accepted, opened] = export.details.told.as_slice() else { panic!() };
    assert_eq!((accepted.number, opened.number), (1, 2));
    assert_eq!(accepted.person.as_deref(), Some("inv.pell"));
    let kind = |agency: &Agency, entry| {
        agency.ledger.read(EntryNumber(entry)).unwrap().record.event.kind()
    };
    assert_eq!(kind(&world.lakeside, accepted.partner_entry), "parcel-accepted");
    assert_eq!(kind(&world.lakeside, opened.partner_entry), "parcel-opened");
    assert_eq!(kind(&world.riverton, opened.entry), "notice-anchored");
    assert_eq!(world.lakeside.count("notice-issued"), 2);
    let told = world.lakeside.exchange.told(exchange).await.unwrap();
    assert_eq!(told[0].anchored, Some(accepted.entry));
    assert!(told.iter().all(|told| told.ours && told.last_problem.is_none()));
}

#[tokio::test]
async fn nothing_is_opened_before_a_person_accepts_it_and_what_is_turned_away_is_gone() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    let lakeside = &world.lakeside.exchange;
    let opened = lakeside.contents(&pell(), exchange, &why()).await;
    assert!(matches!(opened, Err(ExchangeError::WrongState { .. })));
    let rejected = lakeside.reject_parcel(&pell(), exchange, "not our case").await.unwrap();
    assert_eq!(rejected.status, IncomingStatus::Refused);
    assert!(!world.lakeside.arrived(exchange).exists());
    assert!(lakeside.accept_parcel(&pell(), exchange).await.is_err());
    world.settle().await;
    assert_eq!(words(&world.export(&export).await), ["rejected"]);
}

#[tokio::test]
async fn a_recall_before_anything_left_leaves_nothing_and_accounts_for_the_number() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let recalled = world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    assert_eq!(recalled.status, ExportStatus::Recalled);
    assert!(!world.riverton.sent(export.parcel.unwrap()).exists());
    world.riverton.exchange.work_once(None).await.unwrap();
    assert_eq!(world.riverton.count("parcel-sent"), 0);
    let never = world.lakeside.exchange.incoming(export.exchange.unwrap()).await.unwrap();
    assert_eq!((never.status, never.number), (IncomingStatus::Recalled, 1));
    let recall = world.export(&export).await.details.recall.unwrap();
    assert_eq!(recall.stood.as_deref(), Some("unknown"));
    // The next one has number 2, and no number is missing.
    let next = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(next.id).await.unwrap();
    assert!(world.lakeside.exchange.gaps(RIVERTON.0).await.unwrap().is_empty());
    // Nobody downloads it either, or takes it back twice.
    let taken = world.riverton.exchange.download(&ruiz(), export.id, Form::Zip).await;
    assert!(matches!(taken, Err(ExchangeError::WrongState { .. })));
    let twice = world.riverton.exchange.recall(&ruiz(), export.id, REASON).await;
    assert!(matches!(twice, Err(ExchangeError::WrongState { .. })));
}

#[tokio::test]
async fn a_recall_while_it_is_fetched_stops_the_transfer_and_leaves_nothing_half_accepted() {
    let world = world_with(|riverton, _| riverton.settings.parts_at_a_time = 1).await;
    let export = world.riverton.sealed().await.unwrap();
    let bytes = export.details.sealed.as_ref().unwrap().bytes;
    // It is taken back when half of it is there.
    let riverton = world.riverton.exchange.clone();
    let id = export.id;
    let sending = tokio::spawn(async move { riverton.deliver(id).await });
    while world.line.carried() < bytes / 2 {
        tokio::task::yield_now().await;
    }
    world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    let carried = world.line.carried();
    let stopped = sending.await.unwrap();
    assert!(matches!(stopped, Err(ExchangeError::WrongState { .. })), "{stopped:?}");
    world.settle().await;
    let exchange = export.exchange.unwrap();
    let incoming = world.lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Recalled);
    assert!(!world.lakeside.arrived(exchange).exists(), "its parts are gone");
    assert_eq!(world.lakeside.count("parcel-received"), 0);
    assert!(world.line.carried() < carried + bytes / 2, "the transfer went on");
    let recall = world.export(&export).await.details.recall.unwrap();
    assert_eq!(recall.stood.as_deref(), Some("receiving"));
    assert!(!world.export(&export).await.awaits_answer());
    // Its room is free again, and a part that comes late finds no place.
    let mut hand = Hand::new(&world).await;
    let path = format!("{ROOT}/{exchange}/parts/0");
    let (status, body) = hand.say(Method::PUT, &path, &[], vec![1]).await;
    let answer: Answer = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, answer.state), (StatusCode::CONFLICT, AnswerState::Recalled));
}

#[tokio::test]
async fn a_recall_after_pick_up_is_shown_until_it_is_answered_with_a_certificate() {
    let world = world().await;
    let (export, exchange) = world.arrived().await;
    world.settle().await;
    let export = world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    world.settle().await;
    assert!(world.export(&export).await.awaits_answer());
    let incoming = world.lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(incoming.afterwards.recalled.as_ref().unwrap().reason, REASON);
    assert!(incoming.afterwards.awaits_answer());

    // Two weeks of silence are two reminders, each a numbered notice and an alert.
    for week in 1..=2 {
        world.clock.set(now() + (week * 24 * 7 + 1).hours());
        world.riverton.exchange.tend().await.unwrap();
        world.settle().await;
    }
    let incoming = world.lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(incoming.afterwards.recalled.as_ref().unwrap().reminders, 2);
    assert_eq!(world.riverton.count("exchange-alert"), 2);

    let late = world.lakeside.exchange.destroy_parcel(&pell(), exchange, "recalled").await;
    assert!(matches!(late, Err(ExchangeError::Denied { .. })), "the step-up is two weeks old");
    let destroyer = stepped_up(world.clock.now());
    let gone = world.lakeside.exchange.destroy_parcel(&destroyer, exchange, "recalled").await;
    assert_eq!(gone.unwrap().status, IncomingStatus::Destroyed);
    assert!(!world.lakeside.arrived(exchange).exists());
    let opened = world.lakeside.exchange.contents(&pell(), exchange, &why()).await;
    assert!(matches!(opened, Err(ExchangeError::WrongState { .. })));
    world.settle().await;
    let export = world.export(&export).await;
    assert!(!export.awaits_answer());
    let answer = export.recall_answer().unwrap();
    assert_eq!(answer.person.as_deref(), Some("inv.pell"));
    let Matter::Destroyed { reason, method } = &answer.matter else { panic!("{answer:?}") };
    assert_eq!(reason, "recalled");
    assert!(method.contains("were removed"));
    let entry = world.lakeside.ledger.read(EntryNumber(answer.partner_entry)).unwrap();
    let Event::ParcelDestroyed { digest, .. } = entry.record.event else { panic!() };
    assert_eq!(digest, export.details.sealed.as_ref().unwrap().digest);
    world.clock.set(now() + (24 * 30).hours());
    world.riverton.exchange.tend().await.unwrap();
    assert_eq!(world.riverton.count("exchange-alert"), 2, "an answer ends the reminders");
}

#[tokio::test]
async fn what_is_kept_in_spite_of_a_recall_is_answered_with_the_reason() {
    let world = world().await;
    let (export, exchange) = world.arrived().await;
    let lakeside = &world.lakeside.exchange;
    let early = lakeside.keep_parcel(&pell(), exchange, "a trial").await;
    assert!(matches!(early, Err(ExchangeError::WrongState { .. })), "it was not recalled");
    world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    world.settle().await;
    lakeside.keep_parcel(&pell(), exchange, "in evidence at a trial").await.unwrap();
    world.settle().await;
    let export = world.export(&export).await;
    let answer = &export.recall_answer().unwrap().matter;
    assert_eq!(*answer, Matter::Kept { reason: "in evidence at a trial".to_owned() });
    assert!(lakeside.contents(&pell(), exchange, &why()).await.is_ok());
}

#[tokio::test]
async fn a_recall_whose_receipt_was_lost_brings_the_receipt_back() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    let total = {
        let rehearsal = super::world().await;
        let export = rehearsal.riverton.sealed().await.unwrap();
        rehearsal.riverton.exchange.deliver(export.id).await.unwrap();
        rehearsal.line.answered()
    };
    world.line.cut_answers_after(total - 200);
    drop(world.riverton.exchange.deliver(export.id).await);
    let exchange = export.exchange.unwrap();
    let arrived = world.lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(arrived.status, IncomingStatus::Received);
    assert_eq!(world.riverton.count("receipt-anchored"), 0);
    world.line.mend();
    world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    world.settle().await;
    let export = world.export(&export).await;
    assert_eq!(export.status, ExportStatus::Recalled);
    assert_eq!(world.riverton.count("receipt-anchored"), 1);
    assert!(export.details.receipt.is_some() && export.awaits_answer());
}

#[tokio::test]
async fn an_offer_that_is_not_taken_in_time_ends_on_both_sides() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    world.line.cut_after(export.details.sealed.as_ref().unwrap().bytes / 2);
    world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let exchange = export.exchange.unwrap();
    // Lakeside alone: Riverton is not heard of again.
    world.clock.set(now() + (24 * 14 + 1).hours());
    world.lakeside.exchange.tend().await.unwrap();
    let incoming = world.lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Expired);
    assert!(!world.lakeside.arrived(exchange).exists());
    // And Riverton, when it tries again.
    world.line.mend();
    world.riverton.exchange.work_once(None).await.unwrap();
    world.riverton.exchange.work_on_notices().await.unwrap();
    let export = world.export(&export).await;
    assert_eq!(export.status, ExportStatus::Expired);
    assert!(!world.riverton.sent(export.parcel.unwrap()).exists());
    assert_eq!(export.details.recall.unwrap().stood.as_deref(), Some("expired"));
    for agency in [&world.riverton, &world.lakeside] {
        assert_eq!(agency.count("offer-expired"), 1);
    }
}

#[tokio::test]
async fn an_offer_that_ended_by_the_receivers_clock_is_refused_with_both_times() {
    let world = world_with(|_, lakeside| {
        lakeside.clock = Arc::new(FixedClock::new(now() + (24 * 15).hours()));
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    let ExchangeError::Partner { status: 409, reason } = &error else { panic!("{error:?}") };
    assert!(reason.contains("expired: the offer ended at 2026-12-06T12:00:00Z"), "{reason}");
    assert!(reason.contains("and here it is 2026-12-07T12:00:00Z"), "{reason}");
}

/// The text of Riverton's first notice.
async fn first_notice(world: &World) -> crate::protocol::SignedText {
    let state = &world.riverton.exchange.0.setup.state;
    let way = state::notices::Way::Out;
    let row: Option<crate::afterwards::NoticeRow> =
        state::notices::find(state, way, LAKESIDE.0, 1).await.unwrap();
    row.unwrap().details.text.unwrap()
}

#[tokio::test]
async fn a_replayed_notice_changes_nothing_and_a_bent_one_is_a_recorded_refusal() {
    let world = world().await;
    let (export, _) = world.arrived().await;
    world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    world.settle().await;
    let text = first_notice(&world).await;
    let before = world.lakeside.events().len();
    let mut hand = Hand::new(&world).await;
    let post = |text: &crate::protocol::SignedText| serde_json::to_vec(text).unwrap();
    let (status, first) = hand.say(Method::POST, NOTICES, &[], post(&text)).await;
    let (_, second) = hand.say(Method::POST, NOTICES, &[], post(&text)).await;
    assert_eq!((status, first.clone()), (StatusCode::OK, second));
    assert_eq!(world.lakeside.events().len(), before, "nothing is recorded again");

    let mut bent = text.clone();
    bent.json = bent.json.replace(REASON, "the right case");
    let (status, body) = hand.say(Method::POST, NOTICES, &[], post(&bent)).await;
    let fault: Fault = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, fault.code.as_str()), (StatusCode::BAD_REQUEST, "bad-notice"));
    assert!(fault.detail.contains("altered") && fault.entry.is_some(), "{}", fault.detail);
    let (status, _) = hand.say(Method::POST, NOTICES, &[], b"{}".to_vec()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = hand.say(Method::POST, NOTICES, &[], vec![b' '; 300 << 10]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_notice_about_an_exchange_that_is_not_ours_is_refused() {
    let world = world().await;
    let (_, exchange) = world.arrived().await;
    world.settle().await;
    // Lakeside claims another number for the parcel that it got.
    let mut row = world.lakeside.exchange.incoming_row(exchange).await.unwrap();
    row.number = 9;
    let act = row.details.afterwards.accepted.clone().unwrap();
    let matter = Matter::Opened {};
    let draft = crate::destruction::draft(&act, matter);
    world.lakeside.exchange.store_incoming_and_tell(&mut row, draft).await.unwrap();
    world.settle().await;
    let told = world.lakeside.exchange.told(exchange).await.unwrap();
    let problem = told.last().unwrap().last_problem.clone().unwrap();
    assert!(problem.contains("404: unknown-exchange"), "{problem}");
}

#[tokio::test]
async fn a_number_that_stays_missing_is_an_alert_once() {
    let world = world().await;
    let (first, second) =
        (world.riverton.sealed().await.unwrap(), world.riverton.sealed().await.unwrap());
    world.riverton.exchange.deliver(second.id).await.unwrap();
    let lakeside = &world.lakeside;
    for minutes in [0, 30, 61, 90] {
        world.clock.set(now() + minutes.minutes());
        lakeside.exchange.tend().await.unwrap();
        let alerts = lakeside.count("exchange-alert");
        assert_eq!(alerts, usize::from(minutes > 60), "after {minutes} minutes");
    }
    let Some(Event::ExchangeAlert { partner, what, .. }) = lakeside.events().pop() else {
        panic!()
    };
    assert_eq!(
        (partner.as_str(), what.as_str()),
        (RIVERTON.0, "parcel no. 1 never came, and later ones did")
    );
    world.riverton.exchange.deliver(first.id).await.unwrap();
    world.clock.set(now() + 5.hours());
    lakeside.exchange.tend().await.unwrap();
    assert_eq!(lakeside.count("exchange-alert"), 1);
}

#[tokio::test]
async fn notices_wait_for_a_broken_line_and_arrive_in_their_order() {
    let world = world().await;
    world.back.cut_after(0);
    let (export, exchange) = world.arrived().await;
    drop(world.lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap());
    world.settle().await;
    assert!(world.export(&export).await.details.told.is_empty());
    let told = world.lakeside.exchange.told(exchange).await.unwrap();
    assert!(told.iter().all(|told| told.last_problem.is_some() && told.anchored.is_none()));
    world.back.mend();
    world.settle().await;
    assert!(world.export(&export).await.details.told.is_empty(), "not before its time");
    world.clock.set(now() + 6.seconds());
    world.settle().await;
    assert_eq!(words(&world.export(&export).await), ["accepted", "opened"]);
    assert_eq!(world.lakeside.count("notice-issued"), 2, "signed once each");
}

#[tokio::test]
async fn each_write_of_the_recallers_ledger_failing_in_turn_takes_back_whole_or_not_at_all() {
    let mut failed = 0;
    for appends in 0..20 {
        let world = world().await;
        let export = world.riverton.sealed().await.unwrap();
        world.riverton.ledger_disk.fail_writes_after("journal", appends);
        let outcome = world.riverton.exchange.recall(&ruiz(), export.id, REASON).await;
        let is = world.export(&export).await.status;
        let recorded = world.riverton.count("export-recalled") == 1;
        assert_eq!(is == ExportStatus::Recalled, recorded, "after {appends} appends");
        drop(world.riverton.exchange.work_on_notices().await);
        world.riverton.ledger_disk.mend();
        if is != ExportStatus::Recalled {
            world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
        }
        world.clock.set(now() + 1.hours());
        world.settle().await;
        let never = world.lakeside.exchange.incoming(export.exchange.unwrap()).await.unwrap();
        assert_eq!(never.status, IncomingStatus::Recalled, "after {appends} appends");
        if outcome.is_ok() && world.riverton.count("notice-issued") == 1 && appends > 6 {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 3, "only {failed} writes failed");
}

#[tokio::test]
async fn each_write_of_the_destroyers_ledger_failing_in_turn_destroys_nothing_unrecorded() {
    let mut failed = 0;
    for appends in 0..20 {
        let world = world().await;
        let (export, exchange) = world.arrived().await;
        world.settle().await;
        world.lakeside.ledger_disk.fail_writes_after("journal", appends);
        let outcome = world.lakeside.exchange.destroy_parcel(&pell(), exchange, "due").await;
        let gone = !world.lakeside.arrived(exchange).exists();
        world.lakeside.ledger_disk.mend();
        let recorded = world.lakeside.count("parcel-destroyed") == 1;
        assert!(!gone || recorded, "after {appends} appends: gone and not recorded");
        if recorded {
            world.lakeside.exchange.tend().await.unwrap();
        } else {
            world.lakeside.exchange.destroy_parcel(&pell(), exchange, "due").await.unwrap();
        }
        world.settle().await;
        assert_eq!(words(&world.export(&export).await), ["accepted", "destroyed"]);
        if outcome.is_ok() {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 2, "only {failed} writes failed");
}

#[tokio::test]
async fn a_recall_that_finds_a_refusal_nobody_heard_of_records_it_as_one() {
    let world = world().await;
    let export = world.riverton.sealed().await.unwrap();
    flip(&world.riverton.sent(export.parcel.unwrap()).join(PART));
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Refused);
    // As if the line had broken before the answer.
    let mut row = world.riverton.exchange.export_row(export.id).await.unwrap();
    row.status = ExportStatus::Sending.as_str().to_owned();
    (row.details.receipt, row.details.refusal) = (None, None);
    world.riverton.exchange.store_export(&mut row, now()).await.unwrap();
    world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    world.settle().await;
    let export = world.export(&export).await;
    assert_eq!(export.details.recall.as_ref().unwrap().stood.as_deref(), Some("refused"));
    assert!(export.details.refusal.is_some());
    assert!(!export.details.receipt.as_ref().unwrap().accepted);
    assert_eq!(export.status, ExportStatus::Recalled);
    assert_eq!(world.riverton.count("receipt-anchored"), 0);
}

#[tokio::test]
async fn a_partner_is_reminded_however_many_were_taken_back_since() {
    let world = world().await;
    let (export, _) = world.arrived().await;
    world.riverton.exchange.recall(&ruiz(), export.id, REASON).await.unwrap();
    world.settle().await;
    let mut later = world.riverton.exchange.export_row(export.id).await.unwrap();
    later.details.recall.as_mut().unwrap().remind_at = None;
    for _ in 0..501 {
        later.requested_at += 1.milliseconds();
        later.id = world.riverton.exchange.new_id().unwrap();
        let state = &world.riverton.exchange.0.setup.state;
        state::exports::insert(state, &mut later).await.unwrap();
    }
    world.clock.set(now() + (24 * 7 + 1).hours());
    world.riverton.exchange.remind().await.unwrap();
    assert_eq!(world.export(&export).await.details.recall.unwrap().reminders, 1);
}
