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
        let place = format!("http://127.0.0.1:{}/tsr", self.port).parse().unwrap();
        let wait = Duration::from_secs(2);
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

fn policy() -> PolicyId {
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
}

/// Lakeside as an authority, Riverton as a partner that asks it over mutual TLS.
async fn lakeside_stamps() -> World {
    let held = Held::new("lakeside tsa", Usage::TimeStamping);
    let signer = Signer { chain: vec![held.certificate.clone()], key: held.key() };
    let ours = TimeStampAuthority::new(signer, policy(), now()).unwrap();
    let line = line::Line::to(1).await;
    let port = line.port;
    let world = world_with(|riverton, lakeside| {
        lakeside.time_stamp_authority = Some(ours);
        lakeside.partners[0].time_stamps = vec![held.certificate.clone()];
        let place = format!("https://127.0.0.1:{port}/v1/time-stamps").parse().unwrap();
        let trust = wire::tls::Trust::leaf(identity(LAKESIDE).tls.certificate.clone());
        let own = identity(RIVERTON).tls();
        let tls = wire::tls::client_config(&trust, Some(&own), riverton.clock.clone()).unwrap();
        let wait = Duration::from_secs(10);
        riverton.time_stamps = Some(TimeStamps {
            line: AuthorityLine::new(place, wire::Addresses::Private, Some(tls), wait),
            authorities: vec![held.certificate.clone()],
            policy: Some(policy()),
            required: true,
        });
    })
    .await;
    line.aim(
        world.riverton.exchange.book().partner(LAKESIDE.0).unwrap().server.as_ref().unwrap().port,
    );
    world
}

/// What Lakeside's listener answers to these bytes.
async fn post(world: &World, kind: &str, body: Vec<u8>) -> (StatusCode, String, Vec<u8>) {
    let partner = world.riverton.exchange.book().partner(LAKESIDE.0).unwrap().clone();
    let line = crate::push::Line::to(&world.riverton.exchange, &partner).unwrap();
    let request = Request::post("/v1/time-stamps")
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, body.len())
        .body(Outgoing::bytes(body.into()))
        .unwrap();
    let mut connection = line.open().await.unwrap();
    let reply = connection.send(request).await.unwrap();
    let (status, kind) = (reply.status, reply.headers.get(header::CONTENT_TYPE).cloned());
    let kind = kind.map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (status, kind, reply.bytes(100_000).await.unwrap())
}

const QUERY: &str = "application/timestamp-query";

/// A request by openssl over some bytes.
fn query(more: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), b"anything").unwrap();
    let made = std::process::Command::new("openssl")
        .args(["ts", "-query", "-data", "data", "-sha384", "-cert", "-out", "q.tsq"])
        .args(more)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(folder.path().join("q.tsq")).unwrap()
}

#[tokio::test]
async fn a_partner_that_is_an_authority_stamps_what_we_send_to_it() {
    let world = lakeside_stamps().await;
    let export = world.riverton.sealed().await.unwrap();
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Acknowledged);
    let token = export.details.stamp.unwrap().token;
    let issued = world.lakeside.events().into_iter().find_map(|event| match event {
        Event::StampIssued(issued) => Some(issued),
        _ => None,
    });
    let issued = issued.unwrap();
    assert_eq!((issued.partner.as_str(), issued.token), (RIVERTON.0, token));
    assert_eq!((issued.at, issued.serial.len(), issued.hash.len()), (now(), 32, 96));
}

#[tokio::test]
async fn requests_that_can_not_be_answered_are_declined_recorded_and_counted() {
    let world = lakeside_stamps().await;
    let good = query(&[]);
    let (status, kind, answer) = post(&world, QUERY, good.clone()).await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/timestamp-reply"));
    assert!(answer.len() > 500);
    let declined = |why| (StatusCode::OK, decline(why));
    for (body, expected) in [
        (good[..good.len() - 1].to_vec(), declined(Declined::Form)),
        (Vec::new(), declined(Declined::Form)),
        (query(&["-sha1"]), declined(Declined::Algorithm)),
        (query(&["-tspolicy", "1.2.3.4"]), declined(Declined::Policy)),
    ] {
        let (status, _, answer) = post(&world, QUERY, body).await;
        assert_eq!((status, answer), expected);
    }
    assert_eq!(
        post(&world, "text/plain", good.clone()).await.0,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(post(&world, QUERY, vec![0; 70_000]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let lakeside = &world.lakeside;
    assert_eq!((lakeside.count("stamp-issued"), lakeside.count("request-refused")), (1, 6));
    let mut serials = BTreeSet::new();
    let mut slowed = 0;
    for _ in 0..125 {
        match post(&world, QUERY, good.clone()).await.0 {
            StatusCode::TOO_MANY_REQUESTS => slowed += 1,
            status => assert_eq!(status, StatusCode::OK),
        }
    }
    for event in lakeside.events() {
        if let Event::StampIssued(issued) = event {
            assert!(serials.insert(issued.serial), "given twice");
        }
    }
    assert!(slowed > 0 && serials.len() + slowed == 126, "{slowed}, {}", serials.len());
    world.clock.set(now() + SignedDuration::from_mins(1));
    assert_eq!(post(&world, QUERY, good).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_can_not_be_recorded_does_not_leave() {
    let world = lakeside_stamps().await;
    world.lakeside.ledger_disk.fail_writes_after("journal", 0);
    let (status, kind, answer) = post(&world, QUERY, query(&[])).await;
    assert_eq!((status, kind.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "application/json"));
    assert!(answer.len() < 300);
    world.lakeside.ledger_disk.mend();
    assert_eq!(world.lakeside.count("stamp-issued"), 0);
    assert_eq!(post(&world, QUERY, query(&[])).await.0, StatusCode::OK);
}

#[tokio::test]
async fn openssl_verifies_our_tokens() {
    let world = lakeside_stamps().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, _, answer) = post(&world, QUERY, query(&[])).await;
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("data"), b"anything").unwrap();
    std::fs::write(place("r.tsr"), answer).unwrap();
    let ours = world.lakeside.exchange.0.setup.time_stamp_authority.as_ref().unwrap();
    std::fs::write(place("tsa.pem"), ours.certificate().unwrap().pem()).unwrap();
    let at = now().as_second().to_string();
    let verify = |data: &str| {
        std::process::Command::new("openssl")
            .args(["ts", "-verify", "-data", data, "-in", "r.tsr", "-CAfile", "tsa.pem"])
            .args(["-partial_chain", "-attime", &at])
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let good = verify("data");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    std::fs::write(place("other"), b"something else").unwrap();
    assert!(!verify("other").status.success());
}
