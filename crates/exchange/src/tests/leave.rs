//! Leave to open what was received: of the policy for each class in it, and of the terms for the purpose.

use super::*;

/// Lakeside's own policies, with one that keeps evidence from investigators.
fn evidence_is_for_supervisors() -> Arc<Policy> {
    let (schema, mut policies) = policy::defaults();
    let more = "@id(\"evidence-for-supervisors\")\n@why(\"evidence is opened by supervisors\")\n\
                forbid (principal, action == Bailiwick::Action::\"open-parcel\", resource)\n\
                when { resource.record_class == \"EVIDENCE\" }\n\
                unless { principal in Bailiwick::Function::\"supervisor\" };\n";
    policies.push(("ours.cedar".to_owned(), more.to_owned()));
    Arc::new(Policy::from_text(&schema, &policies, keys::digest::sha256).unwrap())
}

async fn arrived(change: impl FnOnce(&mut Stage)) -> (World, Uuid) {
    let world = world_with(|_, lakeside| change(lakeside)).await;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let exchange = export.exchange.unwrap();
    world.lakeside.accepted(exchange).await;
    (world, exchange)
}

fn for_purpose(code: &str) -> Why {
    Why { purpose: Some(code.parse().unwrap()), ..why() }
}

#[tokio::test]
async fn the_policy_is_asked_of_every_class_in_it() {
    let (world, exchange) =
        arrived(|lakeside| lakeside.policy = evidence_is_for_supervisors()).await;
    let lakeside = &world.lakeside;
    let denied = lakeside.exchange.contents(&pell(), exchange, &why()).await.map(drop).unwrap_err();
    let ExchangeError::Denied { reason, .. } = &denied else { panic!("{denied}") };
    assert_eq!(reason, "evidence is opened by supervisors");
    let path = "case/incident.csv";
    let denied = lakeside.exchange.document(&pell(), exchange, path, None, &why()).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "nothing says which class it has");
    assert_eq!(lakeside.count("parcel-opened"), 0);
    let holt = caller("sgt.holt", "supervisor", LAKESIDE);
    drop(lakeside.exchange.document(&holt, exchange, path, None, &why()).await.unwrap());
    assert_eq!(lakeside.count("parcel-opened"), 1);
}

#[tokio::test]
async fn it_is_opened_for_the_purposes_of_its_agreement_alone_and_a_refusal_is_on_record() {
    let (world, exchange) = arrived(|_| {}).await;
    let lakeside = &world.lakeside;
    let before = lakeside.events().len();
    for why in [for_purpose("J"), Why { purpose: None, ..why() }] {
        let opened = lakeside.exchange.contents(&pell(), exchange, &why).await.map(drop);
        let refused = opened.unwrap_err();
        assert_eq!(refused.clause().unwrap().code(), "agreement.purpose");
        let path = "case/incident.csv";
        let whole = lakeside.exchange.whole(&pell(), exchange, path, &why).await.map(drop);
        assert_eq!(whole.unwrap_err().clause().unwrap().code(), "agreement.purpose");
    }
    let events = lakeside.events();
    let told = events.iter().skip(before).filter(|event| match event {
        Event::Withheld { reason, .. } => reason.starts_with("agreement.purpose: "),
        _ => false,
    });
    // Each of the four is kept back for both classes.
    assert_eq!(told.count(), 8);
    assert_eq!(lakeside.count("parcel-opened"), 0);
    drop(lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap());
}

#[tokio::test]
async fn without_its_agreement_it_is_opened_for_what_it_was_sent_for() {
    let (world, exchange) = arrived(|lakeside| drop(lakeside.agreements.remove(0))).await;
    let lakeside = &world.lakeside;
    let refused = lakeside.exchange.contents(&pell(), exchange, &for_purpose("J")).await.map(drop);
    let refused = refused.unwrap_err();
    assert_eq!(refused.clause().unwrap().code(), "origin.purpose");
    assert!(refused.to_string().contains("sent for purpose C"), "{refused}");
    drop(lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap());
}
