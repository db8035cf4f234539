//! Lakeside as the time-stamp authority of its partner, at the partner listener.

use http::{Request, StatusCode, header};
use parcel::timestamp::Declined;
use parcel::timestamp::authority::decline;
use wire::Outgoing;

use super::stamped::policy;
use super::*;

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
    let book = world.riverton.exchange.book();
    line.aim(book.partner(LAKESIDE.0).unwrap().server.as_ref().unwrap().port);
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
async fn the_time_of_a_token_is_that_at_which_the_whole_hash_was_there() {
    let world = lakeside_stamps().await;
    let partner = world.riverton.exchange.book().partner(LAKESIDE.0).unwrap().clone();
    let mut connection =
        crate::push::Line::to(&world.riverton.exchange, &partner).unwrap().open().await.unwrap();
    let query = query(&[]);
    let (pieces, body) = tokio::sync::mpsc::channel(2);
    let request = Request::post("/v1/time-stamps")
        .header(header::CONTENT_TYPE, QUERY)
        .header(header::CONTENT_LENGTH, query.len())
        .body(Outgoing::pieces(body))
        .unwrap();
    let later = now() + SignedDuration::from_secs(30);
    let slowly = async {
        let (first, rest) = query.split_at(10);
        pieces.send(Ok(first.to_vec().into())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.clock.set(later);
        pieces.send(Ok(rest.to_vec().into())).await.unwrap();
        drop(pieces);
    };
    let (reply, ()) = tokio::join!(connection.send(request), slowly);
    assert_eq!(reply.unwrap().status, StatusCode::OK);
    let issued = world.lakeside.events().into_iter().find_map(|event| match event {
        Event::StampIssued(issued) => Some(issued.at),
        _ => None,
    });
    assert_eq!(issued, Some(later));
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
