//! Stories of emergency accounts, with a security key of this file's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::ToSpan as _;
use keys::SystemRandom;
use keys::digest::sha256;
use keys::sign::P256Key;
use state::accounts::{AccountKind, NewAccount, Profile};
use state::testing;

use super::security_key::{Asked, KnownKey, NewKey, assert as judge, register};
use super::*;

const RP_ID: &str = "bailiwick.example";
const ORIGIN: &str = "https://bailiwick.example";
const CHALLENGE: [u8; 32] = [7; 32];

fn at(minute: i64) -> Timestamp {
    "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap() + minute.minutes()
}

/// What a browser and a security key would say, each part of it changeable.
struct Said {
    kind: &'static str,
    challenge: [u8; 32],
    origin: &'static str,
    more: &'static str,
    rp_id: &'static str,
    flags: u8,
    count: u32,
    rest: Vec<u8>,
}

impl Said {
    fn client(&self) -> Vec<u8> {
        let Self { kind, origin, more, .. } = self;
        let challenge = URL_SAFE_NO_PAD.encode(self.challenge);
        let text =
            format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#);
        text.into_bytes()
    }

    fn authenticator(&self) -> Vec<u8> {
        let head = [sha256(self.rp_id.as_bytes()).as_slice(), &[self.flags]].concat();
        [head, self.count.to_be_bytes().to_vec(), self.rest.clone()].concat()
    }

    fn signature(&self, key: &P256Key) -> Vec<u8> {
        key.sign(&[self.authenticator(), sha256(&self.client()).to_vec()].concat()).unwrap()
    }
}

fn shown(count: u32) -> Said {
    let (kind, more) = ("webauthn.get", r#","crossOrigin":false,"other":1"#);
    let (challenge, rest) = (CHALLENGE, Vec::new());
    Said { kind, challenge, origin: ORIGIN, more, rp_id: RP_ID, flags: 0x05, count, rest }
}

fn cose(key: &P256Key) -> Vec<u8> {
    let point = key.public_point();
    let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 0x20];
    [&head, &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
}

fn new_key(key: &P256Key) -> Said {
    let rest = [[9; 16].as_slice(), &[0, 4], b"name", &cose(key)].concat();
    Said { kind: "webauthn.create", flags: 0x45, rest, ..shown(0) }
}

fn asked() -> Asked<'static> {
    Asked { rp_id: RP_ID, origin: ORIGIN, challenge: &CHALLENGE }
}

#[test]
fn a_new_key_is_taken_and_each_thing_that_is_wrong_with_one_is_refused_for_itself() {
    let key = P256Key::generate().unwrap();
    let good = new_key(&key);
    let NewKey { id, spki, count } =
        register(&asked(), &good.client(), &good.authenticator()).unwrap();
    assert_eq!((id.as_slice(), spki.len(), count), (b"name".as_slice(), 91, 0));
    let extended =
        Said { flags: 0xc5, rest: [good.rest.clone(), vec![0xa0]].concat(), ..new_key(&key) };
    register(&asked(), &extended.client(), &extended.authenticator()).unwrap();

    let with = |change: fn(&mut Said)| {
        let mut said = new_key(&key);
        change(&mut said);
        said
    };
    let cases: Vec<(&str, Said)> = vec![
        ("emergency.key.type", with(|said| said.kind = "webauthn.get")),
        ("emergency.key.challenge", with(|said| said.challenge = [8; 32])),
        ("emergency.key.origin", with(|said| said.origin = "https://bailiwick.example.evil")),
        ("emergency.key.origin", with(|said| said.more = r#","crossOrigin":true"#)),
        ("emergency.key.malformed", with(|said| said.more = r#","type":"webauthn.create""#)),
        ("emergency.key.site", with(|said| said.rp_id = "example")),
        ("emergency.key.present", with(|said| said.flags = 0x44)),
        ("emergency.key.verified", with(|said| said.flags = 0x41)),
        ("emergency.key.copied", with(|said| said.flags = 0x4d)),
        ("emergency.key.malformed", with(|said| said.flags = 0x05)),
        ("emergency.key.malformed", with(|said| said.flags = 0xc5)),
        ("emergency.key.malformed", with(|said| said.rest.push(0))),
        ("emergency.key.malformed", with(|said| said.rest.truncate(17))),
        ("emergency.key.malformed", with(|said| said.rest[17] = 0)),
        ("emergency.key.malformed", with(|said| said.rest[16] = 0xff)),
        ("emergency.key.algorithm", with(|said| said.rest[26] = 0x27)),
        ("emergency.key.algorithm", with(|said| said.rest.truncate(90))),
    ];
    for (number, (code, said)) in cases.iter().enumerate() {
        let refusal = register(&asked(), &said.client(), &said.authenticator()).unwrap_err();
        assert_eq!(refusal.code, *code, "case {number}: {refusal}");
    }
    let long = vec![b' '; security_key::CLIENT_DATA_BYTES_MAX + 1];
    for client in [b"".as_slice(), b"{}", b"[1]", b"\xff", &long] {
        let refusal = register(&asked(), client, &good.authenticator()).unwrap_err();
        assert_eq!(refusal.code, "emergency.key.malformed");
    }
    for bytes in [vec![], vec![0; 36], vec![0; security_key::AUTHENTICATOR_DATA_BYTES_MAX + 1]] {
        let refusal = register(&asked(), &good.client(), &bytes).unwrap_err();
        assert_eq!(refusal.code, "emergency.key.malformed");
    }
}

#[test]
fn a_known_key_is_taken_and_each_thing_that_is_wrong_with_its_answer_is_refused_for_itself() {
    let (key, other) = (P256Key::generate().unwrap(), P256Key::generate().unwrap());
    let made = new_key(&key);
    let NewKey { spki, .. } = register(&asked(), &made.client(), &made.authenticator()).unwrap();
    let take = |said: &Said, signer: &P256Key, count| {
        let known = KnownKey { spki: &spki, count };
        judge(&asked(), &known, &said.client(), &said.authenticator(), &said.signature(signer))
    };
    assert_eq!(take(&shown(6), &key, 5), Ok(6));
    assert_eq!(take(&shown(0), &key, 0), Ok(0), "a key that does not count");
    let with = |change: fn(&mut Said)| {
        let mut said = shown(6);
        change(&mut said);
        said
    };
    let cases: Vec<(&str, Said)> = vec![
        ("emergency.key.type", with(|said| said.kind = "webauthn.create")),
        ("emergency.key.challenge", with(|said| said.challenge = [0; 32])),
        ("emergency.key.origin", with(|said| said.origin = "http://bailiwick.example")),
        ("emergency.key.site", with(|said| said.rp_id = "www.bailiwick.example")),
        ("emergency.key.present", with(|said| said.flags = 0x04)),
        ("emergency.key.verified", with(|said| said.flags = 0x01)),
        ("emergency.key.copied", with(|said| said.flags = 0x0d)),
        ("emergency.key.malformed", with(|said| said.rest = vec![0xa0])),
        ("emergency.key.malformed", with(|said| said.flags = 0x85)),
        ("emergency.key.count", with(|said| said.count = 5)),
        ("emergency.key.count", with(|said| said.count = 0)),
    ];
    for (number, (code, said)) in cases.iter().enumerate() {
        assert_eq!(take(said, &key, 5).unwrap_err().code, *code, "case {number}");
    }
    assert_eq!(take(&shown(6), &other, 5).unwrap_err().code, "emergency.key.signature");
    let (good, known) = (shown(6), KnownKey { spki: &spki, count: 5 });
    let mut changed = good.authenticator();
    changed[36] ^= 1;
    for (client, data, signature) in [
        (good.client(), changed, good.signature(&key)),
        (shown(6).client(), good.authenticator(), vec![0; security_key::SIGNATURE_BYTES_MAX + 1]),
        (with(|said| said.more = "").client(), good.authenticator(), good.signature(&key)),
    ] {
        let refusal = judge(&asked(), &known, &client, &data, &signature).unwrap_err();
        assert_eq!(refusal.code, "emergency.key.signature");
    }
}

struct Stage {
    state: State,
    emergency: Emergency,
    halves: Halves,
}

async fn stage(without_key: bool) -> Stage {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let profile = Profile {
        idp: PROVIDER.into(),
        name_id: "desk".into(),
        name: "Emergency account desk".into(),
        functions: vec![FUNCTION.into()],
        ..Profile::default()
    };
    let new = NewAccount { kind: AccountKind::Emergency, active: true, ends_at: None, profile };
    accounts::create(&state, &new, at(0)).await.unwrap();
    let halves = renewed(&state).await;
    let settings = Settings {
        agency: "NB0010100".parse().unwrap(),
        rp_id: RP_ID.into(),
        origin: ORIGIN.into(),
        session_max: SESSION_MAX,
        without_key,
    };
    let random = Arc::new(SystemRandom);
    let emergency = Emergency::new(state.clone(), settings, SessionLimits::CJIS, random).unwrap();
    Stage { state, emergency, halves }
}

async fn renewed(state: &State) -> Halves {
    let people = ["A. One".to_owned(), "B. Two".to_owned()];
    renew(state, "desk", people, false, &SystemRandom, at(0)).await.unwrap()
}

impl Stage {
    async fn attempt(&self, name: &str, halves: &Halves, now: Timestamp) -> Result<Opened, Failed> {
        self.emergency.attempt(name, halves, None, now).await.unwrap()
    }

    async fn admit(&self, proved: &Proved, now: Timestamp) -> Result<SignedIn, IdentityError> {
        self.emergency.admit(proved, None, &Browser::default(), now).await
    }
}

fn code(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::Refused { refusal, .. } => refusal.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_secret_opens_one_session_of_an_hour_as_administrator_and_is_spent() {
    let stage = stage(true).await;
    let opened = stage.attempt("desk", &stage.halves, at(1)).await.unwrap();
    let proved = stage.emergency.without_key(&opened, "the provider is down").unwrap();
    let signed_in = stage.admit(&proved, at(1)).await.unwrap();
    let Signed { actor, session, .. } = &signed_in.signed;
    assert_eq!(actor.id.as_str(), "local|desk");
    assert_eq!(actor.functions.iter().map(|one| one.as_str()).collect::<Vec<_>>(), [FUNCTION]);
    assert_eq!(session.absolute_deadline, at(61));
    assert!(!session.is_stepped_up(at(1)), "what is weighty is proved again");

    let failed = stage.attempt("desk", &stage.halves, at(2)).await.unwrap_err();
    assert_eq!(failed.refusal.code, "emergency.spent");
    assert_eq!(code(&stage.admit(&proved, at(2)).await.unwrap_err()), "emergency.spent");
    let overview = overview(&stage.state).await.unwrap();
    assert_eq!(overview[0].spent_at, Some(at(1)));
    assert_eq!(overview[0].uses[0].reason, "the provider is down");

    // The session that used it may use it again, to prove who it is; it gets no longer by that.
    let again = Some(&signed_in.signed);
    let opened = stage.emergency.attempt("desk", &stage.halves, again, at(3)).await.unwrap();
    let proved = stage.emergency.without_key(&opened.unwrap(), "step-up").unwrap();
    let browser = Browser::default();
    let stepped = stage.emergency.admit(&proved, again, &browser, at(3)).await.unwrap();
    assert!(stepped.signed.session.is_stepped_up(at(3)));
    assert_eq!(stepped.signed.session.absolute_deadline, at(61));
    let old = stage.emergency.attempt("desk", &stage.halves, again, at(4)).await.unwrap();
    assert_eq!(old.unwrap_err().refusal.code, "emergency.spent", "the old session is over");

    assert_eq!(review(&stage.state, "desk", at(1), at(9)).await.unwrap(), 1);
    let fresh = renewed(&stage.state).await;
    stage.attempt("desk", &fresh, at(5)).await.unwrap();
    let old = stage.attempt("desk", &stage.halves, at(5)).await.unwrap_err();
    assert_eq!(old.refusal.code, "emergency.secret");
}

#[tokio::test]
async fn five_failures_in_fifteen_minutes_lock_the_account_until_it_is_released() {
    let stage = stage(true).await;
    let wrong = Halves::new(&SystemRandom).unwrap();
    for minute in 0..4 {
        let failed = stage.attempt("desk", &wrong, at(minute)).await.unwrap_err();
        assert_eq!((failed.refusal.code, failed.locks), ("emergency.secret", false));
    }
    // The first is forgotten by now.
    let failed = stage.attempt("desk", &wrong, at(15)).await.unwrap_err();
    assert!(!failed.locks);
    let failed = stage.attempt("desk", &wrong, at(15)).await.unwrap_err();
    assert!(failed.locks, "the fifth");
    // It was not locked, as after a crash: the next try is one too many all the same.
    let failed = stage.attempt("desk", &stage.halves, at(15)).await.unwrap_err();
    assert_eq!((failed.refusal.code, failed.locks), ("emergency.locked", true));
    stage.emergency.lock(&failed.account.unwrap(), at(15)).await.unwrap();
    let failed = stage.attempt("desk", &stage.halves, at(600)).await.unwrap_err();
    assert_eq!((failed.refusal.code, failed.locks), ("emergency.locked", false));
    assert!(release(&stage.state, "desk", at(601)).await.unwrap());
    assert!(!release(&stage.state, "desk", at(601)).await.unwrap());
    stage.attempt("desk", &stage.halves, at(602)).await.unwrap();
}

#[tokio::test]
async fn a_name_that_there_is_not_costs_the_same_writes_and_the_same_work() {
    let stage = stage(true).await;
    for name in ["nobody", "", "DESK", "../desk", &"x".repeat(5_000)] {
        for _ in 0..2 {
            let failed = stage.attempt(name, &stage.halves, at(0)).await.unwrap_err();
            assert_eq!((failed.refusal.code, failed.locks), ("emergency.name", false), "{name}");
            assert_eq!(failed.account, None);
        }
    }
    assert_eq!(overview(&stage.state).await.unwrap().len(), 1, "nobody is not listed");
    let nobody = store::find(&stage.state, nobody()).await.unwrap().unwrap();
    let desk = store::find(&stage.state, id_of("desk")).await.unwrap().unwrap();
    assert_eq!(nobody.secret.iterations, desk.secret.iterations);
    assert_eq!((nobody.tries.len(), desk.tries.len()), (TRIES_MAX, 0));
}

#[tokio::test]
async fn a_key_is_registered_with_the_first_use_and_asked_for_from_then_on() {
    let stage = stage(false).await;
    let key = P256Key::generate().unwrap();
    let opened = stage.attempt("desk", &stage.halves, at(1)).await.unwrap();
    assert!(stage.emergency.without_key(&opened, "drill").is_none());
    let prompt = stage.emergency.ask_key(&opened, "drill", at(1)).await.unwrap();
    assert!(prompt.registers);
    let answer = |said: &Said, token: &SessionToken| {
        let shown = Shown {
            credential: b"name".to_vec(),
            client_data: said.client(),
            authenticator_data: said.authenticator(),
            signature: said.signature(&key),
        };
        let (emergency, token) = (stage.emergency.clone(), token.clone());
        async move { emergency.take_key("desk", Some(token.expose()), &shown, at(2)).await.unwrap() }
    };
    let said = Said { challenge: prompt.challenge, ..new_key(&key) };
    let stranger = SessionToken::new(&[1; 32]);
    let failed = answer(&said, &stranger).await.unwrap_err();
    assert_eq!(failed.refusal.code, "emergency.key.unasked", "another browser");
    let proved = answer(&said, &prompt.token).await.unwrap();
    let failed = answer(&said, &prompt.token).await.unwrap_err();
    assert_eq!(failed.refusal.code, "emergency.key.unasked", "a challenge is taken once");
    assert!(stage.admit(&proved, at(2)).await.unwrap().signed.actor.assurance.mfa);

    let halves = renewed(&stage.state).await;
    for (said, expected) in [
        (shown(0), Err("emergency.key.challenge")),
        (shown(1), Ok("two sealed halves and a security key")),
    ] {
        let opened = stage.attempt("desk", &halves, at(3)).await.unwrap();
        let prompt = stage.emergency.ask_key(&opened, "drill", at(3)).await.unwrap();
        assert!(!prompt.registers && prompt.keys == [b"name".to_vec()]);
        let challenge = if expected.is_ok() { prompt.challenge } else { said.challenge };
        let judged = answer(&Said { challenge, ..said }, &prompt.token).await;
        let judged = judged.as_ref().map(Proved::context).map_err(|failed| failed.refusal.code);
        assert_eq!(judged, expected);
    }
}

#[tokio::test]
async fn what_can_t_be_written_lets_nobody_in() {
    let stage = stage(true).await;
    let opened = stage.attempt("desk", &stage.halves, at(1)).await.unwrap();
    let proved = stage.emergency.without_key(&opened, "drill").unwrap();
    for (table, verb) in [("sessions", "INSERT"), ("emergency_accounts", "UPDATE")] {
        testing::break_writes(&stage.state, table, verb).await.unwrap();
        stage.admit(&proved, at(1)).await.unwrap_err();
        if table == "emergency_accounts" {
            let tried = stage.emergency.attempt("desk", &stage.halves, None, at(1)).await;
            tried.unwrap_err();
            stage.emergency.ask_key(&opened, "drill", at(1)).await.unwrap_err();
            stage.emergency.lock("local|desk", at(1)).await.unwrap_err();
        }
        testing::mend_writes(&stage.state, table, verb).await.unwrap();
        assert_eq!(testing::count(&stage.state, "sessions").await.unwrap(), 0);
    }
    stage.admit(&proved, at(1)).await.unwrap();
}
