//! Stories of the versions of agreements and of templates in the database.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use jiff::Timestamp;
use state::agreements::{self, Standing, Version};
use state::templates::{self, Template};
use state::{State, testing};
use uuid::Uuid;

fn version(number: u64) -> Version<String> {
    Version {
        agreement: "lakeside-2026".to_owned(),
        version: number,
        standing: Standing::Waiting,
        digest: format!("{number:064}"),
        seen_at: Timestamp::from_second(1_795_000_000).unwrap(),
        details: format!("text {number} of Chief A. Marsh"),
    }
}

fn settled(number: u64, standing: Standing) -> Version<String> {
    Version { standing, details: "read by so.lindqvist".to_owned(), ..version(number) }
}

async fn memory() -> State {
    State::open("sqlite::memory:", testing::key()).await.unwrap()
}

#[tokio::test]
async fn versions_have_no_gap_and_no_double() {
    let state = memory().await;
    assert!(!agreements::add(&state, &version(2)).await.unwrap(), "the first is number 1");
    assert!(agreements::add(&state, &version(1)).await.unwrap());
    assert!(!agreements::add(&state, &version(1)).await.unwrap(), "another was first");
    assert!(agreements::add(&state, &version(2)).await.unwrap());
    let found = agreements::versions::<String>(&state, "lakeside-2026").await.unwrap();
    assert_eq!(found, [version(2), version(1)]);
    let other = agreements::versions::<String>(&state, "other").await.unwrap();
    assert!(other.is_empty());
}

#[tokio::test]
async fn only_the_newest_version_is_reviewed_and_only_once() {
    let state = memory().await;
    agreements::add(&state, &version(1)).await.unwrap();
    let accepted = agreements::accepted::<String>(&state, "lakeside-2026").await.unwrap();
    assert_eq!(accepted, None);
    assert!(agreements::settle(&state, &settled(1, Standing::Accepted)).await.unwrap());
    assert!(!agreements::settle(&state, &settled(1, Standing::Refused)).await.unwrap());
    agreements::add(&state, &version(2)).await.unwrap();
    agreements::add(&state, &version(3)).await.unwrap();
    assert!(!agreements::settle(&state, &settled(2, Standing::Accepted)).await.unwrap());
    assert!(agreements::settle(&state, &settled(3, Standing::Refused)).await.unwrap());
    let accepted = agreements::accepted::<String>(&state, "lakeside-2026").await.unwrap();
    assert_eq!(
        accepted,
        Some(settled(1, Standing::Accepted)),
        "what was accepted goes on counting"
    );
}

#[tokio::test]
async fn templates_are_kept_found_and_removed_and_who_kept_them_is_not_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&testing::url(folder.path()), testing::key()).await.unwrap();
    let one = Template {
        id: Uuid::from_u128(7),
        kept_at: Timestamp::from_second(1_795_000_000).unwrap(),
        details: "weekly, kept by det.ruiz".to_owned(),
    };
    templates::keep(&state, &one).await.unwrap();
    assert!(templates::keep(&state, &one).await.is_err(), "an id is used once");
    let listed = templates::list::<String>(&state, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&one));
    assert_eq!(templates::find(&state, one.id).await.unwrap(), Some(one.clone()));
    assert!(templates::remove(&state, one.id).await.unwrap());
    assert!(!templates::remove(&state, one.id).await.unwrap());
    assert_eq!(templates::find::<String>(&state, one.id).await.unwrap(), None);
    state.close().await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"det.ruiz"));
    }
}
