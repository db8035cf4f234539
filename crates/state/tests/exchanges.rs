//! Stories of exports and parcels in the database.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use jiff::Timestamp;
use state::exports::{self, Export, Which};
use state::parcels::{self, Offered, Parcel};
use state::{State, StateError, testing};
use uuid::Uuid;

const LAKESIDE: &str = "NB0020000";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn export(n: u128, partner: &str) -> Export<String> {
    Export {
        id: Uuid::from_u128(n),
        status: "requested".to_owned(),
        partner: partner.to_owned(),
        agreement: "lakeside-2026".to_owned(),
        requested_at: at(n.try_into().unwrap()),
        updated_at: at(0),
        version: 0,
        exchange: None,
        parcel: None,
        number: None,
        details: format!("asked for by det.ruiz {n}"),
    }
}

fn parcel(n: u128, number: u64, bytes: u64) -> Parcel<String> {
    Parcel {
        exchange: Uuid::from_u128(n),
        parcel: Uuid::from_u128(n + 1000),
        partner: LAKESIDE.to_owned(),
        number,
        digest: [7; 32],
        bytes,
        holds_room: true,
        status: "receiving".to_owned(),
        offered_at: at(n.try_into().unwrap()),
        updated_at: at(0),
        version: 0,
        details: "from Lakeside".to_owned(),
    }
}

async fn memory() -> State {
    State::open("sqlite::memory:", testing::key()).await.unwrap()
}

#[tokio::test]
async fn an_export_is_read_back_as_it_was_stored_and_its_people_are_not_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
    let mut one = export(1, LAKESIDE);
    exports::insert(&state, &mut one).await.unwrap();
    assert_eq!(exports::find(&state, one.id).await.unwrap(), Some(one.clone()));
    let missing = exports::find::<String>(&state, Uuid::from_u128(2)).await.unwrap();
    assert_eq!(missing, None);
    state.close().await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"det.ruiz"));
    }
}

#[tokio::test]
async fn of_two_writers_that_read_the_same_version_one_wins() {
    let state = memory().await;
    let mut first = export(1, LAKESIDE);
    exports::insert(&state, &mut first).await.unwrap();
    let mut second = first.clone();
    first.status = "approved".to_owned();
    second.status = "rejected".to_owned();
    assert!(exports::replace(&state, &mut first).await.unwrap());
    assert!(!exports::replace(&state, &mut second).await.unwrap());
    let kept = exports::find::<String>(&state, first.id).await.unwrap().unwrap();
    assert_eq!((kept.status.as_str(), kept.version), ("approved", 2));
}

#[tokio::test]
async fn each_partner_has_a_sequence_of_its_own_without_gaps() {
    let state = memory().await;
    let mut given = Vec::new();
    for (n, partner) in [(1, LAKESIDE), (2, "NB0030000"), (3, LAKESIDE), (4, LAKESIDE)] {
        let mut one = export(n, partner);
        exports::insert(&state, &mut one).await.unwrap();
        let mut stale = one.clone();
        let (exchange, parcel) = (Uuid::from_u128(n + 100), Uuid::from_u128(n + 200));
        assert!(exports::begin_exchange(&state, &mut one, exchange, parcel).await.unwrap());
        // A writer that comes too late uses up no number.
        let late = Uuid::from_u128(n + 300);
        assert!(!exports::begin_exchange(&state, &mut stale, late, late).await.unwrap());
        assert_eq!(exports::find(&state, one.id).await.unwrap().as_ref(), Some(&one));
        given.push((partner, one.number));
    }
    assert_eq!(
        given,
        [(LAKESIDE, Some(1)), ("NB0030000", Some(1)), (LAKESIDE, Some(2)), (LAKESIDE, Some(3))]
    );
}

#[tokio::test]
async fn an_exchange_that_can_not_be_stored_uses_up_no_number() {
    let state = memory().await;
    let mut one = export(1, LAKESIDE);
    exports::insert(&state, &mut one).await.unwrap();
    testing::break_writes(&state, "exports", "UPDATE").await.unwrap();
    let (exchange, parcel) = (Uuid::from_u128(5), Uuid::from_u128(6));
    let failed = exports::begin_exchange(&state, &mut one, exchange, parcel).await;
    assert!(matches!(failed, Err(StateError::Write { .. })), "{failed:?}");
    testing::mend_writes(&state, "exports", "UPDATE").await.unwrap();
    assert!(exports::begin_exchange(&state, &mut one, exchange, parcel).await.unwrap());
    assert_eq!(one.number, Some(1));
}

#[tokio::test]
async fn lists_are_newest_first_and_go_by_status() {
    let state = memory().await;
    for n in 1..=4 {
        let mut one = export(n, LAKESIDE);
        one.status = if n % 2 == 0 { "sent" } else { "requested" }.to_owned();
        exports::insert(&state, &mut one).await.unwrap();
    }
    let ids = |found: Vec<Export<String>>| -> Vec<u128> {
        found.into_iter().map(|one| one.id.as_u128()).collect()
    };
    let which = Which::default();
    assert_eq!(ids(exports::list(&state, which, 3).await.unwrap()), [4, 3, 2]);
    let requested = Which { statuses: &["requested"], ..which };
    assert_eq!(ids(exports::list(&state, requested, 9).await.unwrap()), [3, 1]);
    let earlier = Which { before: Some(at(3)), ..which };
    assert_eq!(ids(exports::list(&state, earlier, 9).await.unwrap()), [2, 1]);
    // Page by page, those of one moment too.
    for n in 5..=9 {
        let mut one = Export { requested_at: at(3), ..export(n, LAKESIDE) };
        exports::insert(&state, &mut one).await.unwrap();
    }
    let (mut all, mut behind) = (Vec::new(), None);
    loop {
        let page: Vec<Export<String>> =
            exports::list(&state, Which { behind, ..which }, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        behind = Some((last.requested_at, last.id));
        all.extend(ids(page));
    }
    assert_eq!(all, [4, 9, 8, 7, 6, 5, 3, 2, 1]);
    for (partner, found) in [("NB0020000", 9), ("NB0030000", 0)] {
        let to = Which { partner: Some(partner), ..which };
        assert_eq!(exports::list::<String>(&state, to, 9).await.unwrap().len(), found);
    }
}

#[tokio::test]
async fn an_exchange_is_taken_once_however_often_it_is_offered() {
    let state = memory().await;
    let mut one = parcel(1, 1, 10);
    assert!(matches!(parcels::offer(&state, &mut one, 100).await.unwrap(), Offered::New));
    let known = parcels::offer(&state, &mut one.clone(), 100).await.unwrap();
    assert!(matches!(known, Offered::Known(found) if *found == one));
    let mut same_number = parcel(2, 1, 10);
    let taken = parcels::offer(&state, &mut same_number, 100).await.unwrap();
    assert!(matches!(taken, Offered::Taken(found) if found.exchange == one.exchange));
    let mut same_parcel = Parcel { parcel: one.parcel, ..parcel(3, 2, 10) };
    let taken = parcels::offer(&state, &mut same_parcel, 100).await.unwrap();
    assert!(matches!(taken, Offered::Taken(_)));
    let found = parcels::find_parcel(&state, LAKESIDE, one.parcel).await.unwrap();
    assert_eq!(found, Some(one.clone()));
    let other = parcels::find_parcel::<String>(&state, "NB0030000", one.parcel).await.unwrap();
    assert_eq!(other, None);
}

#[tokio::test]
async fn a_partner_has_its_quota_until_room_is_given_back() {
    let state = memory().await;
    let mut one = parcel(1, 1, 60);
    assert!(matches!(parcels::offer(&state, &mut one, 100).await.unwrap(), Offered::New));
    let mut two = parcel(2, 2, 41);
    let full = parcels::offer(&state, &mut two, 100).await.unwrap();
    assert!(matches!(full, Offered::NoRoom { taken: 60 }), "{full:?}");
    let mut other = Parcel { partner: "NB0030000".to_owned(), ..parcel(3, 1, 100) };
    assert!(matches!(parcels::offer(&state, &mut other, 100).await.unwrap(), Offered::New));
    one.holds_room = false;
    assert!(parcels::replace(&state, &mut one).await.unwrap());
    assert!(matches!(parcels::offer(&state, &mut two, 100).await.unwrap(), Offered::New));
}

#[tokio::test]
async fn gaps_in_a_partners_sequence_are_named() {
    let state = memory().await;
    for (n, number) in [(1, 2), (2, 3), (3, 7)] {
        parcels::offer(&state, &mut parcel(n, number, 1), 100).await.unwrap();
    }
    assert_eq!(parcels::gaps(&state, LAKESIDE, 10).await.unwrap(), [1, 4, 5, 6]);
    assert_eq!(parcels::gaps(&state, LAKESIDE, 2).await.unwrap(), [1, 4]);
    assert_eq!(parcels::gaps(&state, "NB0030000", 2).await.unwrap(), [0; 0]);
}
