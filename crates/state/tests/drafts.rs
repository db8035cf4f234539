//! Drafts of identity providers: kept sealed, changed upon the version that was seen, forgotten in time.
#![expect(clippy::unwrap_used, reason = "a test that can't set its stage stops")]

use jiff::{SignedDuration, Timestamp};
use state::drafts::{self, Content, DRAFTS_MAX, Draft, Kept, Trial};
use state::{State, StateError, testing};
use uuid::Uuid;

fn at(minutes: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn draft(number: u128, made: i64) -> Draft {
    Draft {
        id: Uuid::from_u128(number),
        version: 1,
        made_at: at(made),
        expires_at: at(made + 60),
        content: Content {
            by: "riverton|adm.voss".into(),
            metadata: "<md:EntityDescriptor/>".into(),
            settings: vec![("id".into(), "county".into())],
            trial: None,
        },
    }
}

async fn open(folder: &tempfile::TempDir) -> State {
    State::open(&testing::url(folder.path()), testing::key()).await.unwrap()
}

#[tokio::test]
async fn a_draft_is_kept_sealed_and_changed_only_upon_the_version_that_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder).await;
    let first = draft(1, 0);
    assert_eq!(drafts::keep(&state, &first).await.unwrap(), Kept::Kept);
    assert_eq!(drafts::find(&state, first.id, at(1)).await.unwrap().unwrap(), first);
    let trial = Trial { at: at(2), refused: None, said: None, notes: vec![] };
    let mut tried = first.clone();
    tried.content.trial = Some(trial);
    assert!(drafts::update(&state, &tried).await.unwrap());
    assert!(!drafts::update(&state, &first).await.unwrap(), "somebody was faster");
    let found = drafts::find(&state, first.id, at(3)).await.unwrap().unwrap();
    assert_eq!((found.version, found.content), (2, tried.content));
    let bytes = std::fs::read(folder.path().join("state.db")).unwrap();
    let log = std::fs::read(folder.path().join("state.db-wal")).unwrap_or_default();
    for file in [bytes, log] {
        assert!(!file.windows(8).any(|window| window == b"adm.voss"), "it is sealed");
    }
    assert!(drafts::discard(&state, first.id).await.unwrap());
    assert!(!drafts::discard(&state, first.id).await.unwrap());
    assert_eq!(drafts::find(&state, first.id, at(3)).await.unwrap(), None);
}

#[tokio::test]
async fn a_draft_whose_time_is_over_is_none_and_there_are_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder).await;
    for number in 0..DRAFTS_MAX {
        let kept = drafts::keep(&state, &draft(number.into(), 0)).await.unwrap();
        assert_eq!(kept, Kept::Kept);
    }
    assert_eq!(drafts::keep(&state, &draft(100, 59)).await.unwrap(), Kept::TooMany);
    assert_eq!(drafts::list(&state, at(59)).await.unwrap().len(), 20);
    assert_eq!(drafts::list(&state, at(60)).await.unwrap(), []);
    assert_eq!(drafts::find(&state, Uuid::from_u128(1), at(60)).await.unwrap(), None);
    assert_eq!(drafts::keep(&state, &draft(100, 60)).await.unwrap(), Kept::Kept);
    assert_eq!(testing::count(&state, "provider_drafts").await.unwrap(), 1, "they are forgotten");
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_draft_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder).await;
    let first = draft(1, 0);
    for verb in ["INSERT", "UPDATE", "DELETE"] {
        testing::break_writes(&state, "provider_drafts", verb).await.unwrap();
    }
    let failed = |outcome: Result<(), StateError>| {
        assert!(matches!(outcome, Err(StateError::Write { .. })), "{outcome:?}");
    };
    failed(drafts::keep(&state, &first).await.map(drop));
    assert_eq!(drafts::find(&state, first.id, at(1)).await.unwrap(), None);
    testing::mend_writes(&state, "provider_drafts", "INSERT").await.unwrap();
    assert_eq!(drafts::keep(&state, &first).await.unwrap(), Kept::Kept);
    let mut other = first.clone();
    other.content.by = "riverton|adm.other".into();
    failed(drafts::update(&state, &other).await.map(drop));
    failed(drafts::discard(&state, first.id).await.map(drop));
    assert_eq!(drafts::find(&state, first.id, at(1)).await.unwrap().unwrap(), first);
}
