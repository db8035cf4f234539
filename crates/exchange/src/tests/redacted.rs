//! A redacted copy: tied to its original, bound as it is, and never its original's bytes.

use super::*;

const OLD: &str = "evidence/statement.pdf";
const SEALED_HERE: &str = "redacted-statement.pdf";

fn copy_of(bytes: &[u8]) -> RedactedCopy {
    RedactedCopy {
        name: "C:\\case\\statement.pdf".to_owned(),
        bytes: bytes.to_vec(),
        what: "names of bystanders".to_owned(),
        reason: "PRA 7923.600".to_owned(),
    }
}

fn clean() -> RedactedCopy {
    copy_of(b"%PDF-1.7 without names\n")
}

/// A document of a store of Riverton's, as it was released.
fn stored() -> Original {
    let digest = keys::digest::sha256(&content(OLD));
    let caveats = BTreeSet::from(["JUVENILE".parse().unwrap()]);
    Original::of_store(("evidence", OLD), digest, "EVIDENCE".parse().unwrap(), caveats)
}

fn sha256_of(path: &str) -> String {
    hex::encode(keys::digest::sha256(&content(path)))
}

impl Agency {
    async fn copied(&self, original: Original) -> Result<Incoming, ExchangeError> {
        self.exchange.take_in_redacted(&ruiz(), original, clean(), &why()).await
    }

    /// The copy as an item of an export.
    async fn copy_item(&self, exchange: Uuid) -> Item {
        self.exchange.passing(&ruiz(), exchange, SEALED_HERE, &why()).await.unwrap().item
    }

    async fn sealed_with(&self, items: Vec<Item>) -> Result<Export, ExchangeError> {
        let export = self.exchange.request(&ruiz(), NewExport { items, ..new_export() }).await?;
        self.exchange.approve(&okafor(), export.id).await?;
        let items = self.fetch(&okafor(), &export.details.items).await?;
        self.exchange.seal(&okafor(), export.id, items).await
    }

    fn of_kind(&self, kind: &str) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.kind() == kind).collect()
    }
}

#[tokio::test]
async fn a_copy_leaves_with_what_ties_it_to_an_original_that_stays() {
    let world = world().await;
    let riverton = &world.riverton;
    let parcel = riverton.copied(stored()).await.unwrap();
    assert_eq!(riverton.story().join(" "), "decided file-redacted files-taken-in written");
    let [Event::FileRedacted(redacted)] = &riverton.of_kind("file-redacted")[..] else { panic!() };
    assert_eq!(redacted.original, sha256_of(OLD));
    assert_eq!(redacted.copy, hex::encode(keys::digest::sha256(&clean().bytes)));
    assert_eq!(redacted.of, format!("{OLD} in evidence"));
    let redaction = parcel.redaction.clone().unwrap();
    assert_eq!((redaction.originals, redaction.path.as_str()), (vec![sha256_of(OLD)], SEALED_HERE));

    let place = stored().place().clone();
    let copies = riverton.exchange.copies_of(std::slice::from_ref(&place)).await.unwrap();
    assert!(!copies[0].is_accepted());
    let early = riverton.exchange.passing(&ruiz(), parcel.exchange, SEALED_HERE, &why()).await;
    assert!(matches!(early, Err(ExchangeError::WrongState { .. })), "{early:?}");
    riverton.exchange.accept_parcel(&okafor(), parcel.exchange).await.unwrap();
    assert!(riverton.exchange.copies_of(&[place]).await.unwrap()[0].is_accepted());

    // The original's marks are on the copy.
    let item = riverton.copy_item(parcel.exchange).await;
    assert_eq!(item.caveats.iter().map(|one| one.as_str()).collect::<Vec<_>>(), ["JUVENILE"]);
    assert_eq!(
        (item.media_type.as_str(), item.record_class.as_str()),
        ("application/pdf", "EVIDENCE")
    );
    let export = riverton.sealed_with(vec![item]).await.unwrap();
    riverton.exchange.deliver(export.id).await.unwrap();
    let lakeside = &world.lakeside;
    let arrived = export.exchange.unwrap();
    lakeside.accepted(arrived).await;
    let contents = lakeside.exchange.contents(&pell(), arrived, &why()).await.unwrap();
    let files = &contents.open().0.inside.files;
    assert_eq!(files.len(), 1);
    let derived = files[0].derived.clone().unwrap();
    assert_eq!((derived.kind.as_str(), &derived.originals), ("redacted", &vec![sha256_of(OLD)]));
    assert!(derived.words.contains("names of bystanders (PRA 7923.600)"), "{}", derived.words);
    let proved = contents.open().0.inside.proved.unwrap();
    assert!(proved.named >= 2, "{proved:?}");
}

#[tokio::test]
async fn the_originals_bytes_stay_unless_both_were_chosen() {
    let world = world().await;
    let riverton = &world.riverton;
    let parcel = riverton.copied(stored()).await.unwrap();
    riverton.exchange.accept_parcel(&okafor(), parcel.exchange).await.unwrap();
    let original = new_export().items.into_iter().find(|item| item.path == OLD).unwrap();
    let copy = riverton.copy_item(parcel.exchange).await;
    let refused = riverton.sealed_with(vec![original.clone(), copy.clone()]).await.unwrap_err();
    assert!(matches!(&refused, ExchangeError::Items { path, .. } if path == OLD), "{refused}");
    let sent = riverton.folder.path().join("parcels/sent");
    assert_eq!(std::fs::read_dir(sent).unwrap().count(), 0);

    let mut both = copy;
    both.received.as_mut().unwrap().with_original = true;
    let export = riverton.sealed_with(vec![original, both]).await.unwrap();
    riverton.exchange.deliver(export.id).await.unwrap();
    let arrived = export.exchange.unwrap();
    world.lakeside.accepted(arrived).await;
    let contents = world.lakeside.exchange.contents(&pell(), arrived, &why()).await.unwrap();
    let derived: Vec<bool> =
        contents.open().0.inside.files.iter().map(|file| file.derived.is_some()).collect();
    assert_eq!(derived, [false, true], "an original is no copy of itself");
}

#[tokio::test]
async fn what_is_no_redaction_and_what_somebody_may_not_see_is_refused_on_record() {
    let world = world().await;
    let riverton = &world.riverton;
    let bad = [
        (RedactedCopy { bytes: content(OLD), ..clean() }, "file"),
        (RedactedCopy { bytes: Vec::new(), ..clean() }, "file"),
        (RedactedCopy { what: " ".to_owned(), ..clean() }, "what"),
        (RedactedCopy { reason: "a\nb".to_owned(), ..clean() }, "reason"),
    ];
    for (copy, named) in bad {
        let refused = riverton.exchange.take_in_redacted(&ruiz(), stored(), copy, &why()).await;
        assert!(
            matches!(&refused, Err(ExchangeError::Input { field, .. }) if *field == named),
            "{refused:?}"
        );
    }
    assert_eq!((riverton.count("withheld"), riverton.count("file-redacted")), (2, 0));
    let hale = caller("ofc.hale", "patrol-officer", RIVERTON);
    let denied = riverton.exchange.take_in_redacted(&hale, stored(), clean(), &why()).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");

    // The list of a parcel that one may not open names no original.
    let export = riverton.sealed().await.unwrap();
    riverton.exchange.deliver(export.id).await.unwrap();
    let arrived = export.exchange.unwrap();
    let lakeside = &world.lakeside;
    let early = lakeside.exchange.original(&pell(), arrived, OLD, &why()).await;
    assert!(matches!(early, Err(ExchangeError::WrongState { .. })), "{early:?}");
    lakeside.accepted(arrived).await;
    let clerk = caller("ofc.new", "patrol-officer", LAKESIDE);
    let denied = lakeside.exchange.original(&clerk, arrived, OLD, &why()).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
}

#[tokio::test]
async fn a_copy_of_a_copy_names_both_and_is_bound_as_the_first_original_is() {
    let kept = |_: &mut Stage, lakeside: &mut Stage| {
        lakeside.agreements[0].terms.redistribution = Redistribution::None;
        lakeside.agreements[0].terms.retention_days = Some(90);
    };
    let world = world_with(kept).await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let (lakeside, arrived) = (&world.lakeside, export.exchange.unwrap());
    lakeside.accepted(arrived).await;
    let ends = lakeside.exchange.incoming(arrived).await.unwrap().afterwards.destroy_by;
    assert!(ends.is_some());

    let mut original = lakeside.exchange.original(&pell(), arrived, OLD, &why()).await.unwrap();
    let mut digests = vec![sha256_of(OLD)];
    let mut copied = None;
    for text in ["first", "second"] {
        let copy = copy_of(text.as_bytes());
        let parcel =
            lakeside.exchange.take_in_redacted(&pell(), original, copy, &why()).await.unwrap();
        assert_eq!(parcel.redaction.as_ref().unwrap().originals, digests);
        assert_eq!(parcel.afterwards.destroy_by, ends, "it ends with its original");
        lakeside.accepted(parcel.exchange).await;
        original = lakeside
            .exchange
            .original(&pell(), parcel.exchange, SEALED_HERE, &why())
            .await
            .unwrap();
        digests.insert(0, hex::encode(keys::digest::sha256(text.as_bytes())));
        copied = Some(parcel.exchange);
    }
    // A copy of a copy with the first original's bytes is none either.
    let copy = copy_of(&content(OLD));
    let same = lakeside.exchange.take_in_redacted(&pell(), original, copy, &why()).await;
    assert!(matches!(same, Err(ExchangeError::Input { field: "file", .. })), "{same:?}");

    let passing =
        lakeside.exchange.passing(&pell(), copied.unwrap(), SEALED_HERE, &why()).await.unwrap();
    let received = passing.item.received.clone().unwrap();
    assert_eq!((received.from.as_deref(), received.originals.len()), (Some(RIVERTON.0), 2));
    assert_eq!(passing.terms.len(), 1);
    let agreement = passing.terms[0].agreement.clone();
    let hill = Agreement {
        facts: policy::AgreementFacts {
            partner: STRANGER.0.parse().unwrap(),
            ..agreement.facts.clone()
        },
        ..agreement
    };
    let items = [passing.item];
    let (why, letter) = (why(), Some("a letter"));
    let against = lakeside.exchange.against_passing_of(&hill, &items, &why, letter).await;
    let clause = against.unwrap().unwrap();
    assert_eq!(clause.code(), "origin.redistribution");

    // Once the first original is destroyed here, no copy of it goes anywhere.
    lakeside.exchange.destroy_parcel(&pell(), arrived, "recalled").await.unwrap();
    let gone = lakeside.exchange.against_passing_of(&hill, &items, &why, None).await;
    assert!(matches!(gone, Err(ExchangeError::WrongState { .. })), "{gone:?}");
}

#[tokio::test]
async fn what_cant_be_recorded_or_stored_leaves_no_copy_and_no_line() {
    let world = world().await;
    let riverton = &world.riverton;
    let state = &riverton.exchange.0.setup.state;
    let place = stored().place().clone();
    for appends in 0..3 {
        riverton.ledger_disk.fail_writes_after("journal", appends);
        assert!(riverton.copied(stored()).await.is_err(), "{appends}");
        riverton.ledger_disk.mend();
    }
    for table in ["redacted_copies", "parcels"] {
        state::testing::break_writes(state, table, "INSERT").await.unwrap();
        assert!(riverton.copied(stored()).await.is_err(), "{table}");
        state::testing::mend_writes(state, table, "INSERT").await.unwrap();
    }
    assert!(riverton.exchange.copies_of(std::slice::from_ref(&place)).await.unwrap().is_empty());
    assert_eq!(state::copies::of(state, &[place.digest()]).await.unwrap(), []);
    assert!(riverton.exchange.all_incoming(&[], None).await.unwrap().is_empty());
    for folder in ["parcels/incoming", "parcels/drafts"] {
        let folder = riverton.folder.path().join(folder);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{}", folder.display());
    }
    riverton.copied(stored()).await.unwrap();
}

#[tokio::test]
async fn a_film_made_of_an_original_stays_with_it_and_the_sealing_is_over_on_record() {
    let world = world().await;
    let riverton = &world.riverton;
    let parcel = riverton.copied(stored()).await.unwrap();
    riverton.exchange.accept_parcel(&okafor(), parcel.exchange).await.unwrap();
    let copy = riverton.copy_item(parcel.exchange).await;
    let film = new_export().items.into_iter().find(|item| item.path != OLD).unwrap();
    let items = vec![copy, film.clone()];
    let new = NewExport { items, ..new_export() };
    let export = riverton.exchange.request(&ruiz(), new).await.unwrap();
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let content: Arc<dyn Content> = Arc::new(Converted(riverton.exchange.clone(), film.path));
    riverton.exchange.work_once(Some(&content)).await.unwrap();
    let stands = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(stands.status, ExportStatus::Failed);
    let problem = stands.details.delivery.last_problem.unwrap();
    assert!(problem.contains("made of the original"), "{problem}");
    let [Event::RequestRefused { reason, .. }] = &riverton.of_kind("request-refused")[..] else {
        panic!("{:?}", riverton.story())
    };
    assert!(reason.contains("made of the original"), "{reason}");
    assert_eq!(riverton.count("parcel-sealed"), 0);
}

/// Hands in what was asked for, and says that one of it was made of the original.
struct Converted(Exchange, String);

impl Content for Converted {
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a> {
        Box::pin(async move {
            let mut items = Vec::new();
            for item in &export.details.items {
                let why = why();
                let fetched = match item.received {
                    Some(_) => self.0.fetch_received(&ruiz(), item, &why).await,
                    None => Ok(made(item)),
                };
                let mut fetched = fetched.map_err(|error| Unfetched::ForNow(error.to_string()))?;
                if item.path == self.1 {
                    let sha256 = keys::digest::sha256(&content(OLD));
                    let by = "ffmpeg".to_owned();
                    fetched.derived = Some(Derived { kind: "converted", from: None, sha256, by });
                }
                items.push(fetched);
            }
            Ok((ruiz(), items))
        })
    }
}

/// An item as its source gives it.
fn made(item: &Item) -> SealItem {
    let bytes = content("evidence/door.mp4");
    SealItem {
        path: item.path.clone(),
        media_type: item.media_type.clone(),
        modified: now(),
        length: bytes.len() as u64,
        open: Box::new(move || Ok(Box::new(std::io::Cursor::new(bytes.clone())))),
        released: EntryNumber(0),
        listed: item.listed.clone(),
        derived: None,
    }
}

#[test]
fn a_partners_word_on_what_was_made_of_what_is_taken_within_bounds() {
    let file = |at: usize| ReceivedFile {
        path: format!("f/{at}"),
        media_type: "application/pdf".to_owned(),
        length: 1,
        sha256: format!("{at:064x}"),
        derived: None,
        seen: None,
    };
    let mut files: Vec<ReceivedFile> = (0..20_000).map(file).collect();
    let event = |kind: &str, files: Vec<String>, originals: Vec<String>| parcel::CustodyEvent {
        kind: kind.to_owned(),
        description: "x".repeat(100_000),
        started: now(),
        ended: None,
        person: crate::sealed_custody::person(&ruiz().actor),
        tool: String::new(),
        purpose: None,
        authority: None,
        files,
        originals,
        ledger: None,
        around: parcel::Circumstances::default(),
    };
    let original = || vec!["a".repeat(64)];
    let every: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let bad = [
        event("sealed", vec!["f/1".to_owned()], original()),
        event("redacted", every.clone(), original()),
        event("redacted", vec!["f/1".to_owned()], vec!["not a digest".to_owned()]),
        event("redacted", vec!["f/1".to_owned()], vec!["a".repeat(64); 21]),
        event(
            "redacted",
            vec!["f/1".to_owned(), "nowhere".to_owned()],
            vec![format!("{:064x}", 1)],
        ),
    ];
    crate::redacted::tie(&mut files, &bad);
    assert!(files.iter().all(|file| file.derived.is_none()));
    let many: Vec<_> = every
        .iter()
        .map(|path| event("redacted", vec![path.clone()], original()))
        .take(12_000)
        .collect();
    crate::redacted::tie(&mut files, &many);
    let tied: Vec<_> = files.iter().filter_map(|file| file.derived.as_ref()).collect();
    assert_eq!(tied.len(), 10_000);
    assert!(tied.iter().all(|derived| derived.words.len() == 500));
}
