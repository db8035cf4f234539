//! A parcel is kept as long as its agreement lets it be kept: told of, closed, destroyed, and held.

use jiff::ToSpan;
use ledger::retention::{HoldScope, Order};

use super::*;

const DAY: i64 = 24;

/// Under an agreement that lets it be kept for 90 days.
async fn world_kept(by_itself: bool) -> (World, Uuid, Uuid) {
    let world = world_with(|_, lakeside| {
        lakeside.agreements[0].terms.retention_days = Some(90);
        lakeside.settings.destroy_when_due = by_itself;
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    (world, export.id, exchange)
}

impl World {
    async fn days_later(&self, days: i64) {
        self.clock.set(now() + (days * DAY).hours());
        self.lakeside.exchange.tend().await.unwrap();
    }
}

/// What somebody was told of.
fn alerts(agency: &Agency) -> Vec<String> {
    let told = agency.events().into_iter().filter_map(|event| match event {
        Event::ExchangeAlert { what, .. } => Some(what),
        _ => None,
    });
    told.collect()
}

fn later(at: Timestamp) -> Caller {
    let mut caller = pell();
    caller.actor.assurance.stepped_up_at = Some(at);
    caller.actor.assurance.authenticated_at = at;
    caller
}

#[tokio::test]
async fn a_parcels_end_is_told_of_and_then_it_is_closed_and_destroyed_by_a_person() {
    let (world, export, exchange) = world_kept(false).await;
    let lakeside = &world.lakeside;
    let parcel = lakeside.exchange.incoming(exchange).await.unwrap();
    let by = parcel.afterwards.destroy_by.unwrap();
    assert_eq!(by, now() + (90 * DAY).hours());
    assert_eq!((parcel.days_left(now()), parcel.days_left(by)), (None, Some(0)));
    world.days_later(40).await;
    assert!(alerts(lakeside).is_empty());
    for days in [60, 61, 84, 85] {
        world.days_later(days).await;
    }
    assert_eq!(
        alerts(lakeside),
        [
            "parcel no. 1 has to be destroyed in 30 days",
            "parcel no. 1 has to be destroyed in 6 days"
        ]
    );
    let open = async |at: Timestamp| {
        lakeside.exchange.contents(&later(at), exchange, &why()).await.map(drop)
    };
    open(now() + (89 * DAY).hours()).await.unwrap();
    world.days_later(90).await;
    assert_eq!(alerts(lakeside)[2], "parcel no. 1 is past its time and has to be destroyed");
    world.days_later(91).await;
    assert_eq!(alerts(lakeside).len(), 3, "each is told once");
    let refused = open(lakeside.exchange.now()).await.unwrap_err();
    let ExchangeError::WrongState { is, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(is, "past the time for which it may be kept");
    // It is not destroyed by itself here.
    assert!(lakeside.arrived(exchange).exists());
    let person = later(lakeside.exchange.now());
    let gone = lakeside.exchange.destroy_parcel(&person, exchange, "its time is over").await;
    assert_eq!(gone.unwrap().status, IncomingStatus::Destroyed);
    lakeside.exchange.work_on_notices().await.unwrap();
    let told = world.riverton.exchange.export(export).await.unwrap().details.told;
    assert_eq!(told.last().unwrap().matter.word(), "destroyed");
}

#[tokio::test]
async fn an_agency_that_says_so_has_it_destroyed_by_itself_and_the_certificate_goes_back() {
    let (world, export, exchange) = world_kept(true).await;
    let lakeside = &world.lakeside;
    world.days_later(89).await;
    assert!(lakeside.arrived(exchange).exists());
    // Not before it is on record.
    world.clock.set(now() + (90 * DAY).hours());
    lakeside.ledger_disk.fail_writes_after("journal", 0);
    drop(lakeside.exchange.tend().await);
    assert!(lakeside.arrived(exchange).exists(), "destroyed without a record");
    lakeside.ledger_disk.mend();
    world.days_later(90).await;
    assert!(!lakeside.arrived(exchange).exists());
    let parcel = lakeside.exchange.incoming(exchange).await.unwrap();
    assert_eq!(parcel.status, IncomingStatus::Destroyed);
    assert_eq!(lakeside.count("parcel-destroyed"), 1);
    lakeside.exchange.work_on_notices().await.unwrap();
    let told = world.riverton.exchange.export(export).await.unwrap().details.told;
    let last = told.last().unwrap();
    assert_eq!(last.matter.word(), "destroyed");
    assert_eq!(last.person.as_deref(), Some("the platform, on its own"));
}

/// More parcels than a page of the list holds, in each state that is looked after.
#[tokio::test]
async fn the_oldest_of_many_parcels_is_seen_to_like_the_newest() {
    let world = world_with(|_, lakeside| {
        lakeside.agreements[0].terms.retention_days = Some(90);
        lakeside.settings.destroy_when_due = true;
    })
    .await;
    let lakeside = &world.lakeside;
    let mut all = Vec::new();
    for _ in 0..8 {
        let export = world.riverton.sealed().await.unwrap();
        world.riverton.exchange.deliver(export.id).await.unwrap();
        all.push(export.exchange.unwrap());
    }
    let found = lakeside.exchange.every_incoming(&[IncomingStatus::Received], |_| true).await;
    let found: BTreeSet<Uuid> = found.unwrap().iter().map(|parcel| parcel.exchange).collect();
    assert_eq!(found, all.iter().copied().collect(), "each once, though all came at one time");
    // Four of them are half destroyed, the others past their time.
    for exchange in &all[..4] {
        let mut row = lakeside.exchange.incoming_row(*exchange).await.unwrap();
        let event = Event::ExchangeAlert {
            partner: row.partner.clone(),
            exchange: None,
            what: String::new(),
        };
        let act =
            lakeside.exchange.act(&pell(), event, Some("asked back".to_owned())).await.unwrap();
        lakeside.exchange.order_destruction(&mut row, act).await.unwrap();
    }
    world.days_later(91).await;
    for exchange in all {
        let parcel = lakeside.exchange.incoming(exchange).await.unwrap();
        assert_eq!(parcel.status, IncomingStatus::Destroyed, "no. {}", parcel.number);
        assert!(!lakeside.arrived(exchange).exists());
    }
}

#[tokio::test]
async fn what_a_hold_covers_is_not_destroyed_by_anybody() {
    let scopes = [
        HoldScope::Case { number: "24-000113".to_owned() },
        HoldScope::Partner { partner: RIVERTON.0.to_owned() },
    ];
    for what in scopes {
        let (world, _, exchange) = world_kept(true).await;
        let lakeside = &world.lakeside;
        let order = Order { authority: "General Counsel".to_owned(), ..Order::default() };
        let ledger = lakeside.ledger.clone();
        let place = move || ledger.place_hold("lit-2026-4", what, None, order).map(drop);
        tokio::task::spawn_blocking(place).await.unwrap().unwrap();
        world.days_later(91).await;
        assert!(lakeside.arrived(exchange).exists(), "a hold wins");
        let person = later(lakeside.exchange.now());
        let refused = lakeside.exchange.destroy_parcel(&person, exchange, "I want to").await;
        let Err(ExchangeError::WrongState { is, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(is, "under the hold lit-2026-4");
        // It stays closed all the same.
        assert!(lakeside.exchange.contents(&person, exchange, &why()).await.is_err());
    }
}

const RULES: &str = r#"
ours = "SHORE"

[[rule]]
id = "ours"
jurisdiction = "SHORE"
citation = "SC 3"
record_class = "EVIDENCE"
keep_days_max = 60

[[rule]]
id = "theirs"
jurisdiction = "RIVER"
citation = "RS 5"
record_class = "INCIDENT"
keep_days_max = 45

[[rule]]
id = "of-others"
jurisdiction = "HILL"
citation = "H 1"
keep_days_max = 1

[[rule]]
id = "of-other-records"
jurisdiction = "RIVER"
citation = "RS 6"
record_class = "CHRI"
keep_days_max = 2
"#;

/// Rules of both sides beside the agreement's 90 days; the parcel was received, and it is the platform that destroys.
async fn ruled(text: &str) -> (World, Uuid) {
    let rules = crate::book::jurisdictions(Path::new("jurisdictions.toml"), text).unwrap();
    let world = world_with(|_, lakeside| {
        lakeside.rules = rules;
        lakeside.partners[0].jurisdiction = Some("RIVER".to_owned());
        lakeside.agreements[0].terms.retention_days = Some(90);
        lakeside.settings.destroy_when_due = true;
    })
    .await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    (world, export.exchange.unwrap())
}

#[tokio::test]
async fn the_least_of_agreement_and_both_sides_rules_is_the_time_that_it_is_kept() {
    let lasts = async |text: &str| {
        let (world, exchange) = ruled(text).await;
        let after = world.lakeside.exchange.incoming(exchange).await.unwrap().afterwards;
        (
            after.destroy_by.unwrap().duration_since(now()).as_hours() / DAY,
            after.destroy_rule.unwrap(),
        )
    };
    let by = |text: &str| text.to_owned();
    assert_eq!(lasts(RULES).await, (45, by("45 days, by rule theirs of RIVER (RS 5)")));
    let ours = RULES.replace("45", "61");
    assert_eq!(lasts(&ours).await, (60, by("60 days, by rule ours of SHORE (SC 3)")));
    let neither = ours.replace("60", "1000").replace("61", "1000");
    assert_eq!(lasts(&neither).await, (90, by("90 days, by agreement lakeside-2026")));
}

#[tokio::test]
async fn what_a_rule_keeps_longer_is_closed_and_left_to_a_person() {
    let keep = "\n[[rule]]\nid = \"keep\"\njurisdiction = \"RIVER\"\ncitation = \"RS 9\"\nkeep_days_min = 100\n";
    let (world, exchange) = ruled(&format!("{RULES}{keep}")).await;
    let lakeside = &world.lakeside;
    let status = async || lakeside.exchange.incoming(exchange).await.unwrap().status;
    world.days_later(46).await;
    assert_eq!(status().await, IncomingStatus::Received);
    assert!(
        lakeside
            .exchange
            .incoming(exchange)
            .await
            .unwrap()
            .is_past_its_time(lakeside.exchange.now())
    );
    world.days_later(101).await;
    assert_eq!(status().await, IncomingStatus::Destroyed);
}
