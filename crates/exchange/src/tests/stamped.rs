//! Time stamps on what leaves, by an authority over HTTP on loopback that errs where a story wants it to.

use std::sync::Mutex;

use http::{Request, Response, StatusCode, header};
use parcel::timestamp::authority::{decline, issue};
use parcel::timestamp::{Declined, PolicyId, Query};
use wire::serve::{Limits, PlainListener, serve_plain};
use wire::{IngressBody, Outgoing};

use super::depots::{Shelf, route};
use super::*;

/// How the authority answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Stamps,
    /// The last answer again, whatever is asked.
    Repeats,
    /// With the clock of a day before, or after.
    Off(i64),
    Declines(Declined),
    Status(StatusCode),
    Kind,
    Large,
    Silent,
    UnderAnotherPolicy,
}

struct Authority {
    port: u16,
    held: Held,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<usize>>,
    _stop: oneshot::Sender<()>,
}

impl Authority {
    async fn begin(clock: &Arc<FixedClock>) -> Self {
        let held = Held::new("state tsa", Usage::TimeStamping);
        let signer = Arc::new(Signer { chain: vec![held.certificate.clone()], key: held.key() });
        let (manner, asked) = (Arc::new(Mutex::new(Manner::Stamps)), Arc::new(Mutex::new(0)));
        let last = Arc::new(Mutex::new(Vec::new()));
        let (clock, how, count) = (clock.clone(), manner.clone(), asked.clone());
        let service = tower::service_fn(move |request: Request<IngressBody>| {
            let (signer, last, now) = (signer.clone(), last.clone(), clock.now());
            let manner = *how.lock().unwrap();
            *count.lock().unwrap() += 1;
            async move {
                assert_eq!(request.headers()[header::CONTENT_TYPE], "application/timestamp-query");
                let mut body = request.into_body();
                let mut query = Vec::new();
                while let Some(piece) = body.chunk().await {
                    query.extend_from_slice(&piece.unwrap());
                }
                if manner == Manner::Silent {
                    std::future::pending::<()>().await;
                }
                let answer = answer(manner, &query, &signer, now, &last);
                let mut response = Response::new(Outgoing::bytes(answer.into()));
                if let Manner::Status(status) = manner {
                    *response.status_mut() = status;
                }
                let kind = if manner == Manner::Kind {
                    "text/html"
                } else {
                    "application/timestamp-reply"
                };
                response.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let listener = PlainListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let port = listener.address().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve_plain(listener, Limits::partners(), service, async {
            stopped.await.ok();
        }));
        Self { port, held, manner, asked, _stop: stop }
    }

    fn stamps(&self, required: bool) -> TimeStamps {
        self.stamps_within(Duration::from_secs(2), required)
    }

    fn stamps_within(&self, wait: Duration, required: bool) -> TimeStamps {
        let place = format!("http://127.0.0.1:{}/tsr", self.port).parse().unwrap();
        TimeStamps {
            line: AuthorityLine::new(place, wire::Addresses::Private, None, wait),
            authorities: vec![self.held.certificate.clone()],
            policy: Some(policy()),
            required,
        }
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

pub(super) fn policy() -> PolicyId {
    "1.3.6.1.4.1.99999.1".parse().unwrap()
}

fn answer(
    manner: Manner,
    query: &[u8],
    signer: &Signer,
    now: Timestamp,
    last: &Mutex<Vec<u8>>,
) -> Vec<u8> {
    let mut last = last.lock().unwrap();
    let now = match manner {
        Manner::Declines(why) => return decline(why),
        Manner::Repeats => return last.clone(),
        Manner::Large => return vec![0x30; 100_000],
        Manner::Off(hours) => now + SignedDuration::from_hours(hours),
        _ => now,
    };
    let mut read = Query::read(query).unwrap();
    let another: PolicyId = "1.2.3.4".parse().unwrap();
    let under = if manner == Manner::UnderAnotherPolicy { another } else { policy() };
    if manner == Manner::UnderAnotherPolicy {
        read = read.under_any_policy();
    }
    *last = issue(&read, signer, &under, keys::random_bytes(&SystemRandom).unwrap(), now)
        .unwrap()
        .answer;
    last.clone()
}

/// Riverton asks an authority that Lakeside was told to believe, or was not.
async fn stamped_world(required: bool, is_known: bool) -> (World, Authority) {
    let clock = Arc::new(FixedClock::new(now()));
    let authority = Authority::begin(&clock).await;
    let world = world_with(|riverton, lakeside| {
        riverton.clock = Arc::clone(&clock);
        riverton.time_stamps = Some(authority.stamps(required));
        let shelf = Arc::new(Shelf::default());
        riverton.routes = vec![route("shelf", shelf)];
        lakeside.clock = Arc::clone(&clock);
        if is_known {
            lakeside.partners[0].time_stamps = vec![authority.held.certificate.clone()];
        }
    })
    .await;
    (World { clock, ..world }, authority)
}

#[tokio::test]
async fn a_time_stamp_is_asked_for_recorded_carried_and_verified_by_the_receiver() {
    for is_known in [true, false] {
        let (world, authority) = stamped_world(true, is_known).await;
        let (riverton, lakeside) = (&world.riverton, &world.lakeside);
        let export = riverton.sealed().await.unwrap();
        let export = riverton.exchange.deliver(export.id).await.unwrap();
        assert_eq!(export.status, ExportStatus::Acknowledged);
        let ours = export.details.stamp.unwrap();
        assert!(ours.known && ours.at == now(), "{ours:?}");
        assert_eq!(ours.fingerprint, authority.held.certificate.fingerprint_text());
        let (order, told) = (riverton.story(), lakeside.story());
        let at = |kind| order.iter().position(|found| *found == kind).unwrap();
        assert!(
            at("parcel-sealed") < at("parcel-stamped") && at("parcel-stamped") < at("parcel-sent")
        );
        assert_eq!(
            told[..4],
            ["parcel-offered", "parcel-received", "parcel-stamped", "receipt-issued"]
        );
        let folder = lakeside.arrived(export.exchange.unwrap());
        let token = std::fs::read(folder.join(parcel::STAMP_FILE)).unwrap();
        assert_eq!(hex::encode(keys::digest::sha256(&token)), ours.token);
        lakeside.accepted(export.exchange.unwrap()).await;
        let contents = lakeside.exchange.contents(&pell(), export.exchange.unwrap(), &why()).await;
        let released = contents.unwrap();
        let (contents, _) = released.open();
        let Some(CameStamp::Held(theirs)) = &contents.inside.stamp else { panic!("it came along") };
        assert_eq!((theirs.at, theirs.known), (now(), is_known));
        assert_eq!((&theirs.token, &theirs.authority), (&ours.token, &ours.authority));
        assert_eq!(theirs.words().contains("nobody here said to believe"), !is_known);
        assert_eq!(*authority.asked.lock().unwrap(), 1);
    }
}

#[tokio::test]
async fn an_answer_that_does_not_hold_is_told_in_words_and_nothing_leaves_without_where_one_is_required()
 {
    let (world, authority) = stamped_world(true, true).await;
    let riverton = &world.riverton;
    let first = riverton.sealed().await.unwrap();
    riverton.exchange.deliver(first.id).await.unwrap();
    let export = riverton.sealed().await.unwrap();
    for (manner, words) in [
        (Manner::Repeats, "over something else than this parcel's signature"),
        (Manner::Off(-24), "its time is before it was asked for"),
        (Manner::Off(24), "after our time"),
        (Manner::UnderAnotherPolicy, "under another policy"),
        (Manner::Declines(Declined::Policy), "does not stamp under the policy"),
        (Manner::Declines(Declined::Failure), "a failure of its own"),
        (Manner::Status(StatusCode::SERVICE_UNAVAILABLE), "answered 503"),
        (Manner::Kind, "something else than `application/timestamp-reply`"),
        (Manner::Large, "could not be asked"),
        (Manner::Silent, "did not answer within 2 seconds"),
    ] {
        authority.set(manner);
        let error = riverton.exchange.deliver(export.id).await.unwrap_err();
        let said = error.chain();
        assert!(said.contains(words), "{manner:?}: {said}");
        assert!(said.contains("the parcel has no time stamp yet"), "{said}");
        let row = riverton.exchange.export(export.id).await.unwrap();
        assert!(row.details.stamp.is_none() && row.status == ExportStatus::Sealed);
        assert!(!riverton.sent(row.parcel.unwrap()).join(parcel::STAMP_FILE).exists());
    }
    // Nor is it handed out.
    let refused = riverton.exchange.download(&ruiz(), export.id, Form::Zip).await;
    assert!(matches!(refused, Err(ExchangeError::Stamp(_))), "{refused:?}");
    assert_eq!((riverton.count("parcel-sent"), riverton.count("parcel-downloaded")), (1, 0));
    // The loop notes it with the export, and goes on by itself.
    riverton.exchange.work_once(None).await.unwrap();
    let row = riverton.exchange.export(export.id).await.unwrap();
    let problem = row.details.delivery.last_problem.unwrap();
    assert!(problem.contains("did not answer"), "{problem}");
    authority.set(Manner::Stamps);
    world.clock.set(now() + SignedDuration::from_mins(5));
    riverton.exchange.work_once(None).await.unwrap();
    let row = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(row.status, ExportStatus::Acknowledged);
}

#[tokio::test]
async fn a_parcel_that_may_go_without_does_so_once_that_is_recorded_with_its_reason() {
    let (world, authority) = stamped_world(false, true).await;
    let riverton = &world.riverton;
    authority.set(Manner::Declines(Declined::Failure));
    let export = riverton.sealed().await.unwrap();
    let export = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    let without = export.details.unstamped.unwrap();
    assert!(without.reason.contains("a failure of its own"), "{}", without.reason);
    let order = riverton.story();
    let at = |kind| order.iter().position(|found| *found == kind).unwrap();
    assert!(at("parcel-unstamped") < at("parcel-sent"));
    world.lakeside.accepted(export.exchange.unwrap()).await;
    let contents =
        world.lakeside.exchange.contents(&pell(), export.exchange.unwrap(), &why()).await;
    assert_eq!(contents.unwrap().open().0.inside.stamp, None);
}

#[tokio::test]
async fn each_write_of_the_ledger_failing_in_turn_lets_no_unrecorded_token_leave() {
    let mut failed = 0;
    for appends in 0..8 {
        let (world, _authority) = stamped_world(true, true).await;
        let riverton = &world.riverton;
        let export = riverton.sealed().await.unwrap();
        riverton.ledger_disk.fail_writes_after("journal", appends);
        let outcome = riverton.exchange.deliver(export.id).await;
        riverton.ledger_disk.mend();
        let row = riverton.exchange.export(export.id).await.unwrap();
        let laid = riverton.sent(row.parcel.unwrap()).join(parcel::STAMP_FILE).exists();
        assert!(!laid || riverton.count("parcel-stamped") == 1, "after {appends} appends");
        assert!(riverton.count("parcel-sent") == 0 || row.details.stamp.is_some());
        if outcome.is_ok() {
            break;
        }
        failed += 1;
        // It goes on where it was; a token that lies there is not asked for again.
        world.clock.set(now() + SignedDuration::from_mins(5));
        riverton.exchange.work_once(None).await.unwrap();
        let row = riverton.exchange.export(export.id).await.unwrap();
        assert_eq!(row.status, ExportStatus::Acknowledged, "after {appends} appends");
    }
    assert!(failed >= 2, "only {failed} writes failed");
}

#[tokio::test]
async fn what_a_crash_left_of_a_token_is_replaced_and_two_who_want_one_ask_once() {
    let (world, authority) = stamped_world(true, true).await;
    let riverton = &world.riverton;
    let export = riverton.sealed().await.unwrap();
    let place = riverton.sent(export.parcel.unwrap()).join(parcel::STAMP_FILE);
    std::fs::write(&place, &[0x30, 0x82][..]).unwrap();
    let ruiz = ruiz();
    let taken = riverton.exchange.download(&ruiz, export.id, Form::Zip);
    let (delivered, taken) = tokio::join!(riverton.exchange.deliver(export.id), taken);
    assert_eq!(delivered.unwrap().status, ExportStatus::Acknowledged);
    drop(taken.unwrap());
    assert!(std::fs::metadata(&place).unwrap().len() > 1_000);
    assert_eq!((*authority.asked.lock().unwrap(), riverton.count("parcel-stamped")), (1, 1));
    let beside = std::fs::read_dir(place.ancestors().nth(3).unwrap()).unwrap();
    let left: Vec<_> = beside.map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "only the parcel: {left:?}");
}

#[tokio::test]
async fn a_recall_while_the_authority_is_waited_for_is_heard_and_nothing_is_said_to_be_sent() {
    for required in [true, false] {
        let (world, authority) = stamped_world(required, true).await;
        let riverton = &world.riverton;
        let export = riverton.sealed().await.unwrap();
        authority.set(Manner::Silent);
        let recalled = async {
            while *authority.asked.lock().unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
        };
        let (delivered, ()) = tokio::join!(riverton.exchange.deliver(export.id), recalled);
        assert!(delivered.is_err());
        for kind in ["parcel-stamped", "parcel-unstamped", "parcel-sent"] {
            assert_eq!(riverton.count(kind), 0, "{kind}");
        }
        assert!(!riverton.sent(export.parcel.unwrap()).exists());
        let row = riverton.exchange.export(export.id).await.unwrap();
        assert_eq!(row.status, ExportStatus::Recalled);
    }
}

#[tokio::test]
async fn a_token_goes_with_the_parcel_however_it_is_delivered() {
    let (world, _authority) = stamped_world(true, true).await;
    let riverton = &world.riverton;
    let export = riverton.sealed_for("shelf").await;
    let export = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Delivered);
    let sealed = export.details.sealed.clone().unwrap();
    let load = riverton.exchange.load(export.parcel.unwrap(), &sealed).await.unwrap();
    assert!(load.files.iter().any(|file| file.path == parcel::STAMP_FILE));
    assert_eq!(load.files.last().unwrap().path, "seal/tagmanifest-sha256.txt.p7s");
    let exchange = &riverton.exchange;
    let mut zip = exchange.download(&ruiz(), export.id, Form::Zip).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = zip.pieces.recv().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("parcel.zip");
    std::fs::write(&file, bytes).unwrap();
    let senders = vec![identity(RIVERTON).signing.certificate.clone()];
    let trust = parcel::Trust { senders, now: now() };
    parcel::verify(&file, &trust, parcel::Watch::none()).unwrap();
    let authorities = exchange.0.setup.time_stamps.as_ref().unwrap().authorities.clone();
    let stamp = parcel::Parcel::enter(&file, &trust).unwrap().required_stamp(&authorities).unwrap();
    assert_eq!(stamp.at, now());
    // Whoever takes that file in verifies it as after a push.
    let lakeside = &world.lakeside;
    let taken = lakeside.exchange.take_in_parcel(Some(&pell()), Carried::Place(file)).await;
    let taken = taken.unwrap().exchange;
    assert_eq!(
        lakeside.story()[1..5],
        ["parcel-offered", "parcel-received", "parcel-stamped", "receipt-issued"]
    );
    lakeside.accepted(taken).await;
    let contents = lakeside.exchange.contents(&pell(), taken, &why()).await.unwrap();
    let (contents, _) = contents.open();
    assert!(matches!(&contents.inside.stamp, Some(CameStamp::Held(theirs)) if theirs.known));
}

/// More partners than deliveries go at once.
const OTHERS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_authority_keeps_no_parcel_waiting_that_has_its_token() {
    let clock = Arc::new(FixedClock::new(now()));
    let authority = Authority::begin(&clock).await;
    let world = world_with(|riverton, lakeside| {
        (riverton.clock, lakeside.clock) = (Arc::clone(&clock), Arc::clone(&clock));
        // Longer than the story.
        riverton.time_stamps = Some(authority.stamps_within(Duration::from_secs(600), true));
        for nth in 0..OTHERS {
            let ori = format!("NB009000{nth}");
            let mut other = partner(LAKESIDE, 0);
            (other.ori, other.server) = (ori.parse().unwrap(), None);
            let mut with = agreement(&ori);
            with.facts.id = format!("other-{nth}");
            with.terms.parties[1].ori = ori.parse().unwrap();
            let shelf = Arc::new(Shelf::default());
            let way = Route { partner: Some(ori.parse().unwrap()), ..route("shelf", shelf) };
            riverton.partners.push(other);
            riverton.agreements.push(with);
            riverton.routes.push(way);
        }
    })
    .await;
    let riverton = &world.riverton.exchange;
    for nth in 0..OTHERS {
        let (agreement, route) = (format!("other-{nth}"), Some("shelf".to_owned()));
        let new = NewExport { agreement, route, ..new_export() };
        let export = riverton.request(&ruiz(), new).await.unwrap();
        riverton.approve(&okafor(), export.id).await.unwrap();
        let items = world.riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
        riverton.seal(&ruiz(), export.id, items).await.unwrap();
    }
    // The newest, which all others would go before.
    let has_token = world.riverton.sealed().await.unwrap();
    riverton.stamp_due(has_token.id).await.unwrap();
    authority.set(Manner::Silent);
    let arrived = async {
        while *authority.asked.lock().unwrap() <= OTHERS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while riverton.export(has_token.id).await.unwrap().status != ExportStatus::Acknowledged {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let running = riverton.run(None, arrived);
    tokio::time::timeout(Duration::from_secs(120), running).await.unwrap();
    let waiting = riverton.exports(&[ExportStatus::Sealed], None).await.unwrap();
    assert_eq!(waiting.len(), OTHERS);
    assert!(waiting.iter().all(|one| one.details.delivery.last_problem.is_none()));
}
