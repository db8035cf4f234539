//! What is to be sealed is not what was asked for: nothing is sealed, and it is said why.

use std::sync::Mutex;

use super::*;

/// Fetches as the platform does, or says that what it would fetch is other than what was asked for.
struct Platform {
    agency: Agency,
    changes: Mutex<Vec<Change>>,
}

impl Content for Platform {
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a> {
        Box::pin(async move {
            let changes = self.changes.lock().unwrap().clone();
            if !changes.is_empty() {
                return Err(Unfetched::Changed(changes));
            }
            let items = self.agency.fetch(&ruiz(), &export.details.items).await;
            items.map(|items| (ruiz(), items)).map_err(|error| Unfetched::ForNow(error.to_string()))
        })
    }
}

fn one_row_more() -> Change {
    let rows = RowsChanged { added: 1, ..RowsChanged::default() };
    Change { part: "records/persons".to_owned(), rows: Some(rows) }
}

#[tokio::test]
async fn what_is_not_what_was_asked_for_is_not_sealed_is_on_record_and_is_not_tried_by_itself() {
    let World { riverton, line: _line, back: _back, _stop, clock, .. } = world().await;
    let export = riverton.exchange.request(&ruiz(), new_export()).await.unwrap();
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let exchange = riverton.exchange.clone();
    let (disk, ledger, begins) =
        (riverton.ledger_disk.clone(), riverton.ledger.clone(), riverton.begins);
    let content =
        Arc::new(Platform { agency: riverton, changes: Mutex::new(vec![one_row_more()]) });
    let dynamic: Arc<dyn Content> = content.clone();
    let refused = || {
        let entry = |n| ledger.read(EntryNumber(n)).unwrap().record.event;
        let reasons = (begins..ledger.size()).filter_map(|n| match entry(n) {
            Event::RequestRefused { reason, .. } => Some(reason),
            _ => None,
        });
        reasons.collect::<Vec<_>>()
    };

    // It can't be recorded: then it is as it was.
    disk.fail_writes_after("journal", 0);
    exchange.work_once(Some(&dynamic)).await.ok();
    disk.mend();
    let stands = exchange.export(export.id).await.unwrap();
    assert_eq!((stands.status, stands.details.changed), (ExportStatus::Approved, None));
    if let Some(at) = stands.details.delivery.next_attempt_at {
        clock.set(at);
    }

    for _ in 0..3 {
        exchange.work_once(Some(&dynamic)).await.unwrap();
    }
    let stands = exchange.export(export.id).await.unwrap();
    assert_eq!(stands.status, ExportStatus::Failed);
    assert_eq!(stands.details.changed.unwrap().changes, [one_row_more()]);
    assert!(stands.details.sealed.is_none() && stands.number.is_none());
    assert_eq!(
        refused(),
        ["what would leave is not what was asked for: persons: 1 row added"],
        "once, however often it is looked at"
    );

    // It is again what it was, and somebody says so.
    content.changes.lock().unwrap().clear();
    exchange.again(&ruiz(), export.id).await.unwrap();
    exchange.work_once(Some(&dynamic)).await.unwrap();
    let done = exchange.export(export.id).await.unwrap();
    assert!(done.details.sealed.is_some() && done.details.changed.is_none(), "{:?}", done.status);
}

#[tokio::test]
async fn items_of_other_rows_than_the_approved_ones_are_refused() {
    let world = world().await;
    let riverton = &world.riverton;
    let mut new = new_export();
    new.items[0].listed = Some("11".repeat(32));
    let export = riverton.exchange.request(&ruiz(), new).await.unwrap();
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    for listed in [None, Some("22".repeat(32))] {
        let mut items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
        items[0].listed = listed;
        let error = riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Items { .. }), "{error:?}");
    }
    assert_eq!(riverton.count("parcel-sealed"), 0);
    let items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
}
