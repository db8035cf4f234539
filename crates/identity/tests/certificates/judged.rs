//! One certificate after the other, each refused for its own reason.

use identity::certificates::{NamedBy, Provider, Shown};
use jiff::SignedDuration;
use keys::SystemRandom;
use testkit::{AUTHORITY, Wanted};

use crate::stage::{CARD, PIV, Stage, UUID, hours, names, stamp};

fn now() -> jiff::Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

const BOTH: &[&str] = &["root", "ca"];

#[tokio::test]
async fn a_card_names_its_holder_in_the_way_that_the_agency_chose() {
    let Some(stage) = Stage::set(now()) else { return };
    let name = async |named_by| {
        let mut settings = stage.settings();
        settings.named_by = named_by;
        stage.judge(&stage.provider(settings, BOTH), &["ruiz", "ca"]).await.unwrap().name
    };
    assert_eq!(name(NamedBy::Upn).await, "ruiz@riverton.example");
    assert_eq!(name(NamedBy::Uuid).await, UUID);
    assert_eq!(name(NamedBy::FascN).await.len(), 50);
    assert_eq!(name(NamedBy::Subject).await, "CN=Elena Ruiz,O=Riverton");
}

/// Who is refused for what, by the name of the certificate that is shown.
async fn refused(stage: &Stage, provider: &Provider, cases: &[(&str, &[&str], &str)]) {
    for (what, shown, code) in cases {
        let outcome = stage.judge(provider, shown).await;
        let found = outcome.as_ref().map_or_else(|refusal| refusal.code, |_| "accepted");
        assert_eq!(found, *code, "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn what_a_certificate_lacks_is_the_reason_why_it_does_not_count() {
    let Some(stage) = Stage::set(now()) else { return };
    let at = |hours_from_now| Some(stamp(now() + hours(hours_from_now)));
    stage.wanted("ca", "expired", |one| one.until = at(-1));
    stage.wanted("ca", "early", |one| one.from = at(1));
    stage.wanted("ca", "sha1", |one| one.digest = "sha1");
    stage.wanted("ca", "rsa1024", |one| one.key = "RSA:1024");
    stage.wanted("ca", "rsa2048", |one| one.key = "RSA:2048");
    stage.wanted("ca", "p521", |one| one.key = "EC:P-521");
    stage.card("server", &CARD.replace("clientAuth,1.3.6.1.4.1.311.20.2.2", "serverAuth"));
    stage.card(
        "any-purpose",
        &CARD.replace("extendedKeyUsage=clientAuth,1.3.6.1.4.1.311.20.2.2\n", ""),
    );
    stage.card("enciphers", &CARD.replace("digitalSignature", "keyEncipherment"));
    stage.card("soft", &CARD.replace(PIV, "2.16.840.1.101.3.2.1.3.7"));
    stage.card("without-policy", &CARD.replace(&format!("certificatePolicies={PIV}\n"), ""));
    stage.card("critical", &format!("{CARD}1.2.3.4=critical,ASN1:NULL\n"));
    stage.card("authority", &CARD.replace("CA:FALSE", "CA:TRUE"));
    stage.wanted("ca", "nameless", |one| one.extensions = CARD.to_owned());
    stage.wanted("ca", "twice", |one| {
        let second = "otherName.3=1.3.6.1.4.1.311.20.2.3;UTF8:park@riverton.example\n";
        one.extensions = format!("{CARD}{}{second}", names("ruiz@riverton.example"));
    });
    stage.wanted("ca", "spaced", |one| one.extensions = format!("{CARD}{}", names("ru iz")));
    stage.pki.authority("other", None, &Wanted::new("/O=Riverton/CN=Root", AUTHORITY)).unwrap();
    stage.wanted("other", "foreign", |_| {});
    stage
        .pki
        .authority("self", None, &Wanted::new("/O=Riverton/CN=Elena Ruiz", AUTHORITY))
        .unwrap();
    let provider = stage.provider(stage.settings(), BOTH);
    refused(
        &stage,
        &provider,
        &[
            ("a good one", &["ruiz", "ca"], "accepted"),
            ("RSA of 2048 bits", &["rsa2048", "ca"], "accepted"),
            ("with more than is needed", &["ruiz", "ca", "root", "foreign"], "accepted"),
            ("expired", &["expired", "ca"], "cert.expired"),
            ("not yet valid", &["early", "ca"], "cert.not_yet_valid"),
            ("signed over SHA-1", &["sha1", "ca"], "cert.signature"),
            ("RSA of 1024 bits", &["rsa1024", "ca"], "cert.key"),
            ("P-521", &["p521", "ca"], "cert.key"),
            ("a server's", &["server", "ca"], "cert.purpose"),
            ("of no stated purpose", &["any-purpose", "ca"], "cert.purpose"),
            ("for another use", &["enciphers", "ca"], "cert.purpose"),
            ("an authority's", &["authority", "ca"], "cert.purpose"),
            ("kept in software", &["soft", "ca"], "cert.policy"),
            ("under no policy", &["without-policy", "ca"], "cert.policy"),
            ("with a critical extension", &["critical", "ca"], "cert.malformed"),
            ("without a name", &["nameless", "ca"], "cert.name"),
            ("with two names", &["twice", "ca"], "cert.name"),
            ("with a space in the name", &["spaced", "ca"], "cert.name"),
            ("without what is between", &["ruiz"], "cert.issuer"),
            ("of an authority of the same name", &["foreign"], "cert.signature"),
            ("an authority's own", &["self"], "cert.purpose"),
            ("none", &[], "cert.missing"),
        ],
    )
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_certificate_and_long_chains_are_refused() {
    let Some(stage) = Stage::set(now()) else { return };
    let provider = stage.provider(stage.settings(), BOTH);
    let judge = async |certificates: Vec<Vec<u8>>| {
        let shown = Shown { certificates: certificates.into(), proved_at: None };
        provider.judge(&shown, &SystemRandom, now()).await.unwrap_err().code
    };
    let own = stage.certificate("ruiz").der().to_vec();
    let mut altered = own.clone();
    *altered.last_mut().unwrap() ^= 1;
    let ca = stage.certificate("ca").der().to_vec();
    assert_eq!(judge(vec![altered, ca.clone()]).await, "cert.signature");
    assert_eq!(judge(vec![b"none".to_vec()]).await, "cert.malformed");
    assert_eq!(judge(vec![own.clone(), own[..100].to_vec()]).await, "cert.malformed");
    assert_eq!(judge([vec![own], vec![ca; 9]].concat()).await, "cert.malformed");
}

#[tokio::test]
async fn an_authority_is_held_to_its_own_limits() {
    let Some(stage) = Stage::set(now()) else { return };
    let authority = |name: &str, issuer, extensions: &str| {
        let all = format!("{AUTHORITY}certificatePolicies={PIV}\n{extensions}");
        stage
            .pki
            .authority(name, issuer, &Wanted::new(&format!("/O=Riverton/CN={name}"), &all))
            .unwrap();
    };
    authority("bound", Some("root"), "nameConstraints=critical,permitted;DNS:riverton.example\n");
    for (name, host) in [("inside", "ruiz.riverton.example"), ("outside", "ruiz.lakeside.example")]
    {
        stage.wanted("bound", name, |one| {
            one.extensions = format!("{CARD}{}DNS.1={host}\n", names("ruiz@riverton.example"));
        });
    }
    let short =
        AUTHORITY.replace("CA:TRUE", "CA:TRUE,pathlen:0") + &format!("certificatePolicies={PIV}\n");
    stage.pki.authority("short", Some("root"), &Wanted::new("/CN=short", &short)).unwrap();
    authority("below", Some("short"), "");
    stage.wanted("below", "deep", |_| {});
    stage.pki.authority("plain", Some("root"), &Wanted::new("/CN=plain", AUTHORITY)).unwrap();
    stage.wanted("plain", "under-plain", |_| {});
    let any = format!("{AUTHORITY}certificatePolicies=2.5.29.32.0\n");
    stage.pki.authority("any", Some("root"), &Wanted::new("/CN=any", &any)).unwrap();
    stage.wanted("any", "under-any", |_| {});
    let lists = ["root", "ca", "bound", "short", "below", "plain", "any"];
    let provider = stage.provider(stage.settings(), &lists);
    refused(
        &stage,
        &provider,
        &[
            ("a name that may be", &["inside", "bound"], "accepted"),
            ("a name that may not be", &["outside", "bound"], "cert.name_constraint"),
            ("too long a path", &["deep", "below", "short"], "cert.issuer"),
            ("an authority without the policy", &["under-plain", "plain"], "cert.policy"),
            ("an authority for any policy", &["under-any", "any"], "accepted"),
        ],
    )
    .await;
    let late =
        provider.judge(&stage.shown(&["ruiz", "ca"]), &SystemRandom, now() + hours(24 * 40)).await;
    assert_eq!(late.unwrap_err().code, "cert.expired", "the authority itself is over");
}

#[tokio::test]
async fn a_list_of_revoked_certificates_counts_in_its_time_and_is_needed_for_each_authority() {
    let Some(stage) = Stage::set(now()) else { return };
    stage.card("lost", CARD);
    stage.pki.revoke("ca", "lost").unwrap();
    let shown = &["ruiz", "ca"];
    let with = |lists: &[&str]| stage.provider(stage.settings(), lists);
    refused(
        &stage,
        &with(BOTH),
        &[("a lost card", &["lost", "ca"], "cert.revoked"), ("another", shown, "accepted")],
    )
    .await;
    refused(&stage, &with(&["ca"]), &[("none of the root", shown, "cert.crl.missing")]).await;
    refused(&stage, &with(&[]), &[("none at all", shown, "cert.crl.missing")]).await;

    let provider = with(&[]);
    let take = |of: &str, from, until| {
        let lists = [stage.list("root", -1, 24), stage.list(of, from, until)].concat();
        provider.take_lists(lists).unwrap();
    };
    take("ca", -48, -1);
    refused(&stage, &provider, &[("one that has run out", shown, "cert.crl.stale")]).await;
    take("ca", 1, 24);
    refused(&stage, &provider, &[("one that has not begun", shown, "cert.crl.stale")]).await;
    take("ca", -48, 1);
    refused(&stage, &provider, &[("one that is in force", shown, "accepted")]).await;

    let mut lenient = stage.settings();
    lenient.stale_max = SignedDuration::from_hours(2);
    let lenient = stage.provider(lenient, &[]);
    lenient.take_lists([stage.list("root", -1, 24), stage.list("ca", -48, -1)].concat()).unwrap();
    refused(&stage, &lenient, &[("one that may count for longer", shown, "accepted")]).await;
    refused(&stage, &lenient, &[("and says who is revoked", &["lost", "ca"], "cert.revoked")])
        .await;

    // Signed by somebody else of the same name.
    stage.pki.authority("forger", None, &Wanted::new("/O=Riverton/CN=Card CA", AUTHORITY)).unwrap();
    take("forger", -1, 24);
    refused(&stage, &provider, &[("a forged one", shown, "cert.crl.missing")]).await;

    stage.pki.revoke("root", "ca").unwrap();
    refused(&stage, &with(BOTH), &[("a revoked authority", shown, "cert.revoked")]).await;
}

#[tokio::test]
async fn a_session_s_certificate_is_looked_at_again() {
    let Some(stage) = Stage::set(now()) else { return };
    let provider = stage.provider(stage.settings(), BOTH);
    let shown = stage.shown(&["ruiz", "ca"]);
    let at = |hours_later| {
        provider.recheck(&shown, now() + hours(hours_later)).map_err(|refusal| refusal.code)
    };
    assert_eq!(at(0), Ok(()));
    assert_eq!(at(30), Ok(()), "a list that has run out ends no session");
    assert_eq!(at(24 * 31), Err("cert.expired"));
    stage.pki.revoke("ca", "ruiz").unwrap();
    provider.take_lists([stage.list("root", -1, 24), stage.list("ca", -1, 24)].concat()).unwrap();
    assert_eq!(at(0), Err("cert.revoked"), "at once when the list is there");
}
