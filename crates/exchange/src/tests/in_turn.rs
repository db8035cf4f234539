//! A partner that is down at each step of a delivery in turn, and receipts that are not for it.

use http::{Method, StatusCode};

use super::faults::{Hand, offer_of};
use super::*;
use crate::protocol::{Answer, AnswerState, ROOT};

/// Where the line breaks: before this many bytes went there, or before this many came back.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Forth(u64),
    Back(u64),
}

/// Breaks the line there once, and then delivers. Whether the first attempt failed.
async fn deliver_over(cut: Cut) -> bool {
    let world = world().await;
    let World { riverton, lakeside, line, .. } = &world;
    let export = riverton.sealed().await.unwrap();
    match cut {
        Cut::Forth(bytes) => line.cut_after(bytes),
        Cut::Back(bytes) => line.cut_answers_after(bytes),
    }
    let first = riverton.exchange.deliver(export.id).await;
    // What the other side had to see to is seen to, whether anybody hears of it or not.
    line.mend();
    let export = match &first {
        Ok(done) => done.clone(),
        Err(_) => riverton.exchange.deliver(export.id).await.unwrap(),
    };
    assert_eq!(export.status, ExportStatus::Acknowledged, "{cut:?}");
    let told = ["parcel-offered", "parcel-received", "receipt-issued"];
    assert_eq!(lakeside.story(), told, "{cut:?}: one offer, one arrival, one receipt");
    for once in ["parcel-sent", "receipt-anchored"] {
        assert_eq!(riverton.count(once), 1, "{cut:?}: {once}");
    }
    let incoming = lakeside.exchange.incoming(export.exchange.unwrap()).await.unwrap();
    let receipt = export.details.receipt.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Received, "{cut:?}");
    assert_eq!(receipt.receiver_entry, last_of(lakeside, "parcel-received"), "{cut:?}");
    first.is_err()
}

/// The newest entry of a kind.
fn last_of(agency: &Agency, kind: &str) -> Option<u64> {
    let kinds: Vec<&str> = agency.events().iter().map(Event::kind).collect();
    kinds.iter().rposition(|found| *found == kind).map(|at| agency.begins + at as u64)
}

#[tokio::test]
async fn a_partner_that_is_down_at_any_step_gets_the_parcel_once_and_its_receipt_is_anchored_once()
{
    let whole = world().await;
    let export = whole.riverton.sealed().await.unwrap();
    whole.riverton.exchange.deliver(export.id).await.unwrap();
    let (forth, back) = (whole.line.carried(), whole.line.answered());
    let mut cuts = Vec::new();
    for nth in 0..8 {
        cuts.push(Cut::Forth(forth * nth / 8));
        cuts.push(Cut::Back(back * nth / 8));
    }
    // The request for the receipt, and the receipt.
    cuts.extend([Cut::Forth(forth - 1), Cut::Back(back - 1)]);
    cuts.extend([Cut::Forth(forth - 600), Cut::Back(back - 600)]);
    let (mut failed, count) = (0, cuts.len());
    for cut in cuts {
        failed += usize::from(deliver_over(cut).await);
    }
    assert!(failed * 4 > count * 3, "{failed} of {count} cuts were felt");
}

#[tokio::test]
async fn a_receipt_that_is_replayed_or_of_another_exchange_or_changed_anchors_nothing() {
    let world = world().await;
    let riverton = &world.riverton;
    let first = riverton.sealed().await.unwrap();
    riverton.exchange.deliver(first.id).await.unwrap();
    let offer = serde_json::to_vec(&offer_of(&world, &first).await).unwrap();
    let (status, body) = Hand::new(&world).await.say(Method::POST, ROOT, &[], offer).await;
    let answer: Answer = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, answer.state), (StatusCode::OK, AnswerState::Received));

    // The partner answers a second delivery with the receipt of the first, which it did sign.
    let second = riverton.sealed().await.unwrap();
    let row = riverton.exchange.export_row(second.id).await.unwrap();
    let sealed = row.details.sealed.clone().unwrap();
    let partner = riverton.exchange.partner(&row.partner).unwrap().clone();
    let settled = riverton.exchange.settle(row.clone(), &partner, &sealed, &answer).await;
    let Err(ExchangeError::Protocol { what }) = settled else { panic!("{settled:?}") };
    assert_eq!(what, "a receipt for something else");

    // Changed to be about the second one, it is not signed.
    let mut bent = answer.clone();
    let text = bent.receipt.as_mut().unwrap();
    let (old, new) = (first.exchange.unwrap().to_string(), second.exchange.unwrap().to_string());
    assert!(text.json.contains(&old));
    text.json = text.json.replace(&old, &new);
    let settled = riverton.exchange.settle(row.clone(), &partner, &sealed, &bent).await;
    assert!(matches!(settled, Err(ExchangeError::Refused(_))), "{settled:?}");
    let without = Answer { receipt: None, ..answer };
    let settled = riverton.exchange.settle(row, &partner, &sealed, &without).await;
    assert!(matches!(settled, Err(ExchangeError::Protocol { .. })), "{settled:?}");

    assert_eq!(riverton.count("receipt-anchored"), 1, "the first one's own");
    let second = riverton.exchange.export(second.id).await.unwrap();
    assert_eq!(second.status, ExportStatus::Sealed);
    let second = riverton.exchange.deliver(second.id).await.unwrap();
    assert_eq!(second.status, ExportStatus::Acknowledged);
    assert_eq!(riverton.count("receipt-anchored"), 2);
}
