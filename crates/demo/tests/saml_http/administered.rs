//! What administrators do about providers and directories, on their pages: hold a provider that can't be trusted
//! any more, and make and revoke the tokens of directories.

use jiff::SignedDuration;
use ledger::{Event, Record};
use state::accounts::{AccountKind, Created, NewAccount, Profile};

use crate::common::{Layout, metadata_of, now, signed};
use crate::download::UnderWay;
use crate::film;
use crate::revoked::film_of;
use crate::scim::stage_with;
use crate::stage::{Agency, Home, begun, response, set_cookie};

const PROVIDERS: &str = "/identity/providers";
const DIRECTORIES: &str = "/people/directories";

/// Proves again who they are; gives the new session's cookie.
async fn step_up(agency: &Agency, person: &str, cookie: &str, n: u32) -> String {
    let begun = begun(&agency.get("/step-up?next=/people", cookie).await);
    let xml = response(&begun, n, agency.server.agency.now())
        .replace("det.ruiz", person)
        .replace(">detective<", ">administrator<");
    let page = agency.answer(&begun, signed(&xml, Layout::Both).as_bytes()).await;
    assert_eq!(page.status, 303, "{:?}", agency.newest());
    set_cookie(&page, "__Host-sid")
}

/// Sends the form of a page whose button this is, changed by `fields`.
async fn send(
    agency: &Agency,
    path: &str,
    cookie: &str,
    button: &str,
    fields: &[(&str, &str)],
) -> demo::story::client::Page {
    let page = agency.get(path, cookie).await;
    let form = page.pressed(button).unwrap_or_else(|_| panic!("{}", page.text()));
    let kept = form.fields();
    let kept = kept.iter().filter(|(name, _)| !fields.iter().any(|(other, _)| other == name));
    let mut all: Vec<(&str, &str)> = kept.map(|(name, value)| (&**name, &**value)).collect();
    all.extend(fields);
    agency.post_from_here(&form.action, cookie, &all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_stolen_is_held_and_everybody_who_came_through_it_is_out() {
    let home = Home::new();
    let second = metadata_of(&[&crate::common::attacker().certificate])
        .replace(crate::common::IDP, "https://idp.second.example");
    std::fs::write(home.path("second.xml"), second).unwrap();
    let more = "\n[[identity_provider]]\nid = \"second\"\nlabel = \"Second sign-in\"\n\
                metadata = \"second.xml\"\nmfa_contexts = [\"https://refeds.org/profile/mfa\"]\n";
    let agency = home.start(&format!("{more}{}", film::write(home.folder.path()))).await;
    let voss = agency.sign_in_as("adm.voss", "administrator", 1).await;
    let ruiz = agency.sign_in_as("det.ruiz", "detective", 2).await;
    let film = film_of(&agency, &ruiz).await;
    let running = UnderWay::begin(&agency.base, &ruiz, &film).await;
    let late = agency.begin("riverton").await;

    let order = [("provider", "riverton"), ("act", "hold"), ("reason", "its key was stolen")];
    let button = "Do it";
    let page = send(&agency, PROVIDERS, &voss, button, &order).await;
    assert_eq!(page.status, 403, "without a step-up: {}", page.text());
    let voss = step_up(&agency, "adm.voss", &voss, 3).await;
    for (wrong, value) in [("act", "x"), ("reason", " "), ("provider", "nobody")] {
        let mut fields = order.to_vec();
        fields.retain(|(name, _)| *name != wrong);
        fields.push((wrong, value));
        assert_eq!(send(&agency, PROVIDERS, &voss, button, &fields).await.status, 400, "{wrong}");
    }
    let told = std::time::Instant::now();
    let page = send(&agency, PROVIDERS, &voss, button, &order).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.says("2 sessions of 2 people were ended"), "{}", page.text());
    assert!(page.says("Your own session was among them"), "{}", page.text());
    running.stopped(told, "a provider that is held").await;
    for cookie in [&ruiz, &voss] {
        assert_eq!(agency.get("/me", cookie).await.status, 401);
    }

    // Nobody comes in through it: neither whoever begins now, nor whoever had begun.
    let refused = |agency: &Agency| match agency.newest().1 {
        Event::SignInRefused { idp, reason } => format!("{idp} {reason}"),
        other => format!("{other:?}"),
    };
    assert_eq!(agency.get("/sign-in/riverton", "").await.status, 403);
    assert_eq!(refused(&agency), "riverton idp.held");
    let xml = signed(&response(&late, 9, now()), Layout::Both);
    assert_eq!(agency.answer(&late, xml.as_bytes()).await.status, 403);
    assert_eq!(refused(&agency), "riverton idp.held");
    assert_eq!(agency.get("/sign-in/second", "").await.status, 303, "the other is as it was");

    // Whoever came through another one releases it. (Here the ledger's own way: nobody else is an administrator.)
    let record = Record::platform;
    let inside = &agency.server.agency;
    assert!(inside.release_provider(&record, "riverton", "new keys").await.unwrap());
    assert!(!inside.release_provider(&record, "riverton", "new keys").await.unwrap());
    let voss = agency.sign_in_as("adm.voss", "administrator", 10).await;
    let page = agency.get(PROVIDERS, &voss).await;
    assert!(page.says("in use") && !page.says("held since"), "{}", page.text());
    let old = agency.get("/people/providers", &voss).await;
    assert_eq!((old.status, old.header("location")), (308, Some(PROVIDERS)));
    let detective = agency.sign_in_as("det.ruiz", "detective", 11).await;
    assert_eq!(agency.get(PROVIDERS, &detective).await.status, 403);
    agency.stop().await;
}

/// An account that no directory made.
async fn account(agency: &Agency, name: &str, function: &str) {
    let new = NewAccount {
        kind: AccountKind::Person,
        active: true,
        ends_at: None,
        profile: Profile {
            idp: "riverton".into(),
            name_id: name.into(),
            name: name.into(),
            functions: vec![function.into()],
            ..Profile::default()
        },
    };
    let made = agency.server.agency.create_account(&Record::platform, &new, "by a test").await;
    assert!(matches!(made.unwrap(), Created::Made(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_make_and_revoke_tokens_on_a_page_that_shows_each_once() {
    let home = Home::new();
    let mut stage = stage_with(&home, "").await;
    for (name, function) in
        [("adm.voss", "administrator"), ("aud.lind", "auditor"), ("det.ruiz", "detective")]
    {
        account(&stage.agency, name, function).await;
    }
    let agency = &stage.agency;
    let voss = agency.sign_in_as("adm.voss", "administrator", 1).await;
    let make = [("directory", "entra"), ("days", "90")];
    let button = "Make the token";
    let page = send(agency, DIRECTORIES, &voss, button, &make).await;
    assert_eq!(page.status, 403, "without a step-up: {}", page.text());
    let voss = step_up(agency, "adm.voss", &voss, 2).await;
    let state = &agency.server.agency.state;
    let count = async || state::directory::tokens::list(state).await.unwrap().len();
    for (wrong, value) in
        [("days", "0"), ("days", "366"), ("days", "x"), ("directory", "okta"), ("act", "x")]
    {
        let mut fields = make.to_vec();
        fields.retain(|(name, _)| *name != wrong);
        fields.push((wrong, value));
        let page = send(agency, DIRECTORIES, &voss, button, &fields).await;
        assert_eq!(page.status, 400, "{wrong} {value}: {}", page.text());
    }
    state::testing::break_writes(state, "directory_tokens", "INSERT").await.unwrap();
    assert_eq!(send(agency, DIRECTORIES, &voss, button, &make).await.status, 500);
    state::testing::mend_writes(state, "directory_tokens", "INSERT").await.unwrap();
    assert_eq!(count().await, 1, "the one that was there before");

    let page = send(agency, DIRECTORIES, &voss, button, &make).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let shown = page.document.by_id("token").unwrap();
    let token = shown.attribute("value").unwrap().to_owned();
    assert!(token.starts_with("bailiwick_scim_"));
    let made = agency.events().into_iter().find_map(|event| match event {
        Event::DirectoryToken { token, what, by, .. } if what == "made" => Some((token, by)),
        _ => None,
    });
    let (name, by) = made.unwrap();
    assert_eq!(by, "Ruiz, Ana", "the name that the provider gave");
    let again = agency.get(DIRECTORIES, &voss).await;
    assert!(again.says(&name) && !String::from_utf8_lossy(&again.body).contains(&token));
    let good = std::mem::replace(&mut stage.token, token);
    assert_eq!(stage.ask(http::Method::GET, "/Users", None).await.0, 200);

    let agency = &stage.agency;
    let button = format!("Revoke {name}");
    state::testing::break_writes(state, "directory_tokens", "UPDATE").await.unwrap();
    assert_eq!(send(agency, DIRECTORIES, &voss, &button, &[]).await.status, 500);
    state::testing::mend_writes(state, "directory_tokens", "UPDATE").await.unwrap();
    assert_eq!(stage.ask(http::Method::GET, "/Users", None).await.0, 200, "it still counts");
    let page = send(&stage.agency, DIRECTORIES, &voss, &button, &[]).await;
    assert!(page.says("no longer counts"), "{}", page.text());
    assert_eq!(stage.ask(http::Method::GET, "/Users", None).await.0, 401);
    stage.token = good;
    assert_eq!(stage.ask(http::Method::GET, "/Users", None).await.0, 200);

    let auditor = stage.agency.sign_in_as("aud.lind", "auditor", 3).await;
    let page = stage.agency.get(DIRECTORIES, &auditor).await;
    assert!(page.status == 200 && page.pressed("Make the token").is_err(), "{}", page.text());
    let detective = stage.agency.sign_in_as("det.ruiz", "detective", 4).await;
    assert_eq!(stage.agency.get(DIRECTORIES, &detective).await.status, 403);

    stage.agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_directorys_last_token_is_told_of_before() {
    let home = Home::new();
    let stage = stage_with(&home, "").await;
    let agency = &stage.agency;
    let told = async |days: i64| {
        home.clock.set(now() + SignedDuration::from_hours(24 * days));
        agency.server.agency.refresh_providers().await;
        let all = agency.events().into_iter().filter_map(|event| match event {
            Event::ProviderAlert { what, days_left, .. } if what.contains("token") => {
                assert_eq!(what, "the last token of its directory entra ends");
                days_left
            }
            _ => None,
        });
        all.collect::<Vec<u64>>()
    };
    assert_eq!(told(0).await, [30], "the token of the stage counts for thirty days");
    assert_eq!(told(1).await, [30], "once");
    assert_eq!(told(24).await, [6, 30]);
    assert_eq!(stage.ask(http::Method::GET, "/Users", None).await.0, 200);
    stage.agency.stop().await;
}
