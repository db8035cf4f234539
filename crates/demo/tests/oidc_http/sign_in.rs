//! Whole sign-ins and step-ups at a real provider.

use demo::story::client::Browser;
use ledger::Event;

use crate::stage::{MFA, Stage};

#[tokio::test]
async fn a_person_signs_in_at_a_real_provider_steps_up_and_signs_out() {
    let Some(stage) = Stage::new().await else { return };
    let mut browser = Browser::new("ruiz");
    let choice = stage.open(&mut browser, "/sign-in").await;
    assert!(
        choice.links().any(|(text, to)| text == "Riverton sign-in" && to == "/sign-in/riverton")
    );
    let home = stage.enter(&mut browser).await;
    assert!(home.says("D. Ruiz"), "{}", home.text());
    let signed_in = stage.newest(10).into_iter().find_map(|event| match event {
        Event::SignedIn { idp, context, mfa, .. } => Some((idp, context, mfa)),
        _ => None,
    });
    assert_eq!(signed_in, Some(("riverton".to_owned(), MFA.to_owned(), true)));

    // The provider's own session would answer at once: it must ask anew, and does.
    let after = stage.open(&mut browser, "/step-up?next=/me").await;
    assert_eq!((after.status, after.address.path()), (200, "/me"), "{}", after.text());
    let newest = stage.newest(3);
    assert!(newest.iter().any(|event| matches!(event, Event::SteppedUp { .. })), "{newest:?}");

    let me = stage.open(&mut browser, "/me").await;
    let form = me.form("/sign-out").unwrap();
    let out = browser.submit(&me, &form).await.unwrap();
    let (_, there) = out.links().find(|(text, _)| text.contains("Riverton sign-in")).unwrap();
    assert!(
        there.starts_with(&format!("{}/session/end?client_id=bailiwick", stage.provider.issuer))
    );
    let again = stage.open(&mut browser, "/me").await;
    assert_eq!(again.address.path(), "/sign-in");
}

#[tokio::test]
async fn one_factor_is_refused_with_an_entry_and_a_neutral_page() {
    let Some(stage) = Stage::new().await else { return };
    stage.person("ruiz", "urn:password");
    let mut browser = Browser::new("ruiz");
    let page = stage.sign_in(&mut browser).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.says("You could not be signed in"), "{}", page.text());
    let Some(Event::SignInRefused { idp, reason }) = stage.newest(1).pop() else {
        panic!("{:?}", stage.newest(3))
    };
    assert_eq!((idp.as_str(), reason.as_str()), ("riverton", "oidc.mfa.missing"));
    // An answer that was once refused is not taken again, nor an address that somebody made up.
    let again = browser.open(&page.address.to_string()).await.unwrap();
    assert_eq!(again.status, 403);
    for query in ["", "?code=x&state=y", "?error=access_denied", "?state=a&state=b&code=c"] {
        let page =
            stage.open(&mut Browser::new("mallory"), &format!("/oidc/callback{query}")).await;
        assert_eq!(page.status, 403, "{query}");
    }
    let Some(Event::SignInRefused { reason, .. }) = stage.newest(1).pop() else { panic!() };
    assert_eq!(reason, "oidc.request.unknown");
}

#[tokio::test]
async fn a_step_up_by_another_person_ends_the_session() {
    let Some(stage) = Stage::new().await else { return };
    let mut browser = Browser::new("ruiz");
    stage.enter(&mut browser).await;
    stage.person("chief", MFA);
    let page = stage.open(&mut browser, "/step-up?next=/me").await;
    // The provider ends its session of the first person before it goes on with another.
    let form = page.document.elements("form").next().unwrap();
    let form = page.form(form.attribute("action").unwrap()).unwrap();
    let page = browser.submit(&page, &form).await.unwrap();
    assert_eq!(page.status, 403, "{}", page.text());
    let after = stage.open(&mut browser, "/me").await;
    assert_eq!(after.status, 401, "{}", after.text());
}
