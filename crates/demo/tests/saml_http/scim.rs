//! A directory keeps people current by SCIM, and whoever it puts out is out at once.

use std::sync::Arc;
use std::time::Duration;

use demo::story::client::{Browser, Page, Raw};
use http::Method;
use keys::{Random, SystemRandom};
use ledger::{Event, Record};
use serde_json::{Value, json};
use web::accounts::Recorded;
use web::scim::tokens;

use crate::common::{Layout, now, signed};
use crate::stage::{Agency, Home, response, set_cookie};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// An agency whose accounts a directory keeps, and the directory's token.
pub(crate) struct Stage {
    pub(crate) agency: Agency,
    pub(crate) token: String,
}

async fn stage(home: &Home) -> Stage {
    stage_with(home, "").await
}

/// With these settings behind the usual ones.
pub(crate) async fn stage_with(home: &Home, settings: &str) -> Stage {
    stage_by(home, settings, Arc::new(SystemRandom)).await
}

/// As [`stage_with`], with this randomness.
pub(crate) async fn stage_by(home: &Home, settings: &str, random: Arc<dyn Random>) -> Stage {
    let more = "\n[[directory]]\nid = \"entra\"\nidentity_provider = \"riverton\"\n";
    let change = |usual: &str| {
        let usual = usual.replace("create_accounts = true", "functions_from = \"account\"");
        let usual =
            usual.replace("[[identity_provider]]", &format!("{more}\n[[identity_provider]]"));
        usual + settings
    };
    let agency = home.start_by(change, random).await;
    let token = token(&agency, 30).await;
    Stage { agency, token }
}

async fn token(agency: &Agency, days: u16) -> String {
    let rooms = (&agency.server.agency.ledger, &agency.server.agency.state);
    let by: (Recorded<'_>, &str) = (&Record::platform, "R. Stone");
    tokens::make(rooms, "entra", (now(), days), by, &SystemRandom).await.unwrap()
}

impl Stage {
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let page = self.page(method, path, body, &[]).await;
        (page.status, serde_json::from_slice(&page.body).unwrap_or_default())
    }

    async fn page(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&'static str, &str)],
    ) -> Page {
        let mut raw = Raw::get(&format!("{}/scim/v2{path}", self.agency.base));
        raw.method = method;
        raw.cookies = false;
        raw.headers = vec![("authorization", format!("Bearer {}", self.token))];
        raw.headers.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        raw.body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        Browser::new("directory").raw(raw).await.unwrap()
    }

    /// Makes a person. Gives their id.
    pub(crate) async fn person(&self, name: &str) -> String {
        let person = json!({ "schemas": [USER], "userName": name, "externalId": "e-1" });
        let (status, made) = self.ask(Method::POST, "/Users", Some(person)).await;
        assert_eq!((status, &made["active"]), (201, &json!(true)), "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({ "schemas": [GROUP], "displayName": name, "members": members });
        let (status, made) = self.ask(Method::POST, "/Groups", Some(group)).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn patch(&self, path: &str, operations: Value) -> (u16, Value) {
        let body = json!({ "schemas": [PATCH], "Operations": operations });
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn set_active(&self, id: &str, active: Value) {
        let operations = json!([{ "op": "Replace", "path": "active", "value": active }]);
        let (status, now) = self.patch(&format!("/Users/{id}"), operations).await;
        assert_eq!(status, 200, "{now}");
    }

    /// Signs det.ruiz in. Gives the answer.
    pub(crate) async fn sign_in(&self, n: u32) -> Page {
        let begun = self.agency.begin("riverton").await;
        let xml = signed(&response(&begun, n, now()), Layout::Assertion);
        self.agency.answer(&begun, xml.as_bytes()).await
    }

    async fn session(&self, n: u32) -> String {
        let page = self.sign_in(n).await;
        assert_eq!(page.status, 303, "{:?}", self.agency.newest());
        set_cookie(&page, "__Host-sid")
    }

    /// What a page behind the sign-in answers: 303 to the notice, or 401 when the session is over.
    pub(crate) async fn status(&self, cookie: &str) -> u16 {
        self.agency.get("/me", cookie).await.status
    }

    pub(crate) fn refusal(&self) -> String {
        let mut events = self.agency.events().into_iter();
        let found = events.find_map(|event| match event {
            Event::SignInRefused { reason, .. } => Some(reason),
            _ => None,
        });
        found.unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_a_directory_makes_signs_in_and_whoever_it_puts_out_is_out() {
    let home = Home::new();
    let stage = stage(&home).await;
    assert_eq!(stage.sign_in(1).await.status, 403);
    assert_eq!(stage.refusal(), "authz.not_provisioned");

    let id = stage.person("det.ruiz").await;
    assert_eq!(stage.sign_in(2).await.status, 403, "no group, no function");
    let group = stage.group("detective", &[&id]).await;
    let cookie = stage.session(3).await;
    assert_eq!(stage.status(&cookie).await, 303);
    let (_, person) = stage.ask(Method::GET, &format!("/Users/{id}"), None).await;
    assert_eq!(person["groups"], json!([{ "value": group, "display": "detective" }]));

    // Entra ID's older dialect.
    stage.set_active(&id, json!("False")).await;
    assert_eq!(stage.status(&cookie).await, 401);
    assert_eq!(stage.sign_in(4).await.status, 403);
    assert_eq!(stage.refusal(), "authz.inactive");
    stage.set_active(&id, json!(true)).await;
    assert_eq!(stage.status(&cookie).await, 401, "an ended session never comes back");

    // Another function ends the session too, and so does none (IA-11).
    let cookie = stage.session(5).await;
    let operations = json!([{ "op": "replace", "value": { "displayName": "supervisor" } }]);
    assert_eq!(stage.patch(&format!("/Groups/{group}"), operations).await.0, 200);
    assert_eq!(stage.status(&cookie).await, 401);
    let cookie = stage.session(6).await;
    let operations = json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }]);
    assert_eq!(stage.patch(&format!("/Groups/{group}"), operations).await.0, 200);
    assert_eq!(stage.status(&cookie).await, 401);
    assert_eq!(stage.sign_in(7).await.status, 403);

    // Duties that nobody may join are none.
    let operations = json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
    assert_eq!(stage.patch(&format!("/Groups/{group}"), operations).await.0, 200);
    let cookie = stage.session(8).await;
    let auditors = stage.group("auditor", &[&id]).await;
    assert_eq!(stage.status(&cookie).await, 401);
    assert_eq!(stage.sign_in(9).await.status, 403);
    assert_eq!(stage.ask(Method::DELETE, &format!("/Groups/{auditors}"), None).await.0, 204);

    let cookie = stage.session(10).await;
    assert_eq!(stage.ask(Method::DELETE, &format!("/Users/{id}"), None).await.0, 204);
    assert_eq!(stage.status(&cookie).await, 401);
    assert_eq!(stage.sign_in(11).await.status, 403);
    assert_eq!(stage.ask(Method::GET, &format!("/Users/{id}"), None).await.0, 404);
    let (_, group) = stage.ask(Method::GET, &format!("/Groups/{group}"), None).await;
    assert!(group.get("members").is_none(), "{group}");
    // The name is nobody's for a year (IA-4).
    let again = json!({ "schemas": [USER], "userName": "det.ruiz" });
    let (status, error) = stage.ask(Method::POST, "/Users", Some(again)).await;
    assert_eq!((status, &error["scimType"]), (409, &json!("uniqueness")), "{error}");
    stage.agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_on_record_before_it_is_made() {
    let home = Home::new();
    let stage = stage(&home).await;
    let id = stage.person("det.ruiz").await;
    stage.group("detective", &[&id]).await;
    stage.set_active(&id, json!(false)).await;
    let events = stage.agency.events();
    let Event::AccountChanged { what, account, reason, .. } = &events[0] else {
        panic!("{:?}", events[0])
    };
    assert_eq!((what.as_str(), account.as_str()), ("disabled", "riverton|det.ruiz"));
    assert_eq!(reason, "what directory entra says");
    let Event::DirectoryChanged { what, kind, id: named, before, after, .. } = &events[1] else {
        panic!("{:?}", events[1])
    };
    assert_eq!((what.as_str(), kind.as_str(), named), ("changed", "person", &id));
    assert!(before.is_some() && after.is_some() && before != after);
    // What was so already makes no record.
    let size = stage.agency.newest().0;
    stage.set_active(&id, json!("false")).await;
    assert_eq!(stage.agency.newest().0, size);

    // A state that fails changes nothing, whatever was recorded.
    stage.set_active(&id, json!(true)).await;
    let cookie = stage.session(1).await;
    let state = &stage.agency.server.agency.state;
    state::testing::break_writes(state, "directory_entries", "UPDATE").await.unwrap();
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let (status, error) = stage.patch(&format!("/Users/{id}"), off.clone()).await;
    assert_eq!(status, 500, "{error}");
    assert_eq!(stage.status(&cookie).await, 303, "account and entry change together or not at all");
    state::testing::mend_writes(state, "directory_entries", "UPDATE").await.unwrap();
    state::testing::break_writes(state, "sessions", "UPDATE").await.unwrap();
    assert_eq!(stage.patch(&format!("/Users/{id}"), off.clone()).await.0, 500);
    let (_, person) = stage.ask(Method::GET, &format!("/Users/{id}"), None).await;
    assert_eq!(person["active"], json!(true), "who could not be put out is not shown as out");
    state::testing::mend_writes(state, "sessions", "UPDATE").await.unwrap();
    assert_eq!(stage.patch(&format!("/Users/{id}"), off).await.0, 200);
    assert_eq!(stage.status(&cookie).await, 401);
    stage.agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_whoever_has_no_token_that_counts() {
    let home = Home::new();
    let mut stage = stage(&home).await;
    let good = stage.token.clone();
    let soon = token(&stage.agency, 1).await;
    for wrong in ["", "x", "bailiwick_scim_", &good[..good.len() - 1], &format!("{good}A")] {
        stage.token = wrong.to_owned();
        for path in ["/Users", "/ServiceProviderConfig", "/nothing"] {
            let page = stage.page(Method::GET, path, None, &[]).await;
            assert_eq!(page.status, 401, "{wrong} {path}");
            assert!(page.header("www-authenticate").is_some());
        }
    }
    let Event::RequestRefused { reason, .. } = stage.agency.newest().1 else { panic!() };
    assert_eq!(reason, "directory-token");
    stage.token = soon;
    assert_eq!(stage.ask(Method::GET, "/Users", None).await.0, 200);
    home.clock.set(now() + jiff::SignedDuration::from_hours(24));
    assert_eq!(stage.ask(Method::GET, "/Users", None).await.0, 401, "it has expired");
    stage.token = good;
    assert_eq!(stage.ask(Method::GET, "/Users", None).await.0, 200);
    let agency = &stage.agency.server.agency;
    let all = state::directory::tokens::list(&agency.state).await.unwrap();
    for token in &all {
        let rooms = (&agency.ledger, &agency.state);
        let by: (Recorded<'_>, &str) = (&Record::platform, "R. Stone");
        tokens::revoke(rooms, tokens::name(token), agency.now(), by).await.unwrap();
    }
    assert_eq!(stage.ask(Method::GET, "/Users", None).await.0, 401, "it is revoked");
    for days in [0, 366] {
        let rooms = (&agency.ledger, &agency.state);
        let by: (Recorded<'_>, &str) = (&Record::platform, "R. Stone");
        assert!(tokens::make(rooms, "entra", (now(), days), by, &SystemRandom).await.is_err());
    }
    stage.agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_answered_in_the_form_of_the_standard() {
    let home = Home::new();
    let stage = stage(&home).await;
    let id = stage.person("det.ruiz").await;
    let path = format!("/Users/{id}");
    for (method, path, body, status, kind) in [
        (Method::GET, "/Nothing", None, 404, Value::Null),
        (Method::GET, "/Users/none", None, 404, Value::Null),
        (Method::GET, "/Users/none/more", None, 404, Value::Null),
        (Method::POST, "/Schemas", None, 405, Value::Null),
        (Method::DELETE, "/Users", None, 405, Value::Null),
        (Method::POST, "/Users", Some(json!({})), 400, json!("invalidSyntax")),
        (Method::PATCH, path.as_str(), Some(json!([])), 400, json!("invalidSyntax")),
        (Method::GET, "/Users?filter=userName", None, 400, json!("invalidFilter")),
        (Method::GET, "/Users?count=x", None, 400, json!("invalidSyntax")),
    ] {
        let (found, error) = stage.ask(method.clone(), path, body).await;
        assert_eq!((found, &error["scimType"]), (status, &kind), "{method} {path} {error}");
        assert_eq!(error["status"], json!(status.to_string()), "{method} {path}");
    }
    let same = json!({ "schemas": [USER], "userName": "DET.RUIZ" });
    let (status, error) = stage.ask(Method::POST, "/Users", Some(same)).await;
    assert_eq!((status, &error["scimType"]), (409, &json!("uniqueness")));
    let large = json!({ "schemas": [USER], "userName": "x".repeat(1_100_000) });
    assert_eq!(stage.ask(Method::POST, "/Users", Some(large)).await.0, 413);

    let query = "/Users?filter=userName%20eq%20%22Det.Ruiz%22&attributes=userName";
    let (_, list) = stage.ask(Method::GET, query, None).await;
    assert_eq!(list["totalResults"], json!(1), "{list}");
    assert_eq!(list["Resources"][0]["userName"], json!("det.ruiz"));
    let (_, list) = stage.ask(Method::GET, "/Users?filter=externalId%20eq%20%22E-1%22", None).await;
    assert_eq!(list["totalResults"], json!(0), "an identifier has its case");

    let page = stage.page(Method::GET, &path, None, &[]).await;
    let tag = page.header("etag").unwrap().to_owned();
    let same = stage.page(Method::GET, &path, None, &[("if-none-match", &tag)]).await;
    assert_eq!(same.status, 304);
    let title = json!({ "schemas": [PATCH], "Operations": [{ "op": "add", "path": "title", "value": "Sgt" }] });
    let first = stage.page(Method::PATCH, &path, Some(title.clone()), &[("if-match", &tag)]).await;
    assert_eq!(first.status, 200);
    let second = stage.page(Method::DELETE, &path, None, &[("if-match", &tag)]).await;
    assert_eq!(second.status, 412);
    stage.agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_while_they_are_put_out_is_out() {
    let home = Home::new();
    let stage = stage(&home).await;
    let id = stage.person("det.ruiz").await;
    stage.group("detective", &[&id]).await;
    let (mut before, mut after) = (0, 0);
    for n in 0..12 {
        stage.set_active(&id, json!(true)).await;
        let begun = stage.agency.begin("riverton").await;
        let xml = signed(&response(&begun, 100 + n, now()), Layout::Assertion);
        let answer = stage.agency.answer(&begun, xml.as_bytes());
        let off = stage.set_active(&id, json!(false));
        let (page, ()) = tokio::join!(answer, off);
        if page.status == 303 {
            before += 1;
            let cookie = set_cookie(&page, "__Host-sid");
            assert_eq!(stage.status(&cookie).await, 401, "in time {n}");
        } else {
            after += 1;
        }
    }
    assert_eq!(before + after, 12);
    stage.agency.stop().await;
}

#[expect(clippy::print_stdout, reason = "the figure is to be seen")]
#[tokio::test(flavor = "multi_thread")]
async fn scim2_tester_finds_nothing_wrong() {
    let program = testkit::target().unwrap().join("python/bin/scim2");
    let Some(program) = testkit::need("SCIM's tester", &[program.to_str().unwrap()]).unwrap()
    else {
        return;
    };
    let home = Home::new();
    let stage = stage(&home).await;
    let mut command = tokio::process::Command::new(program);
    command.args(["--url", &format!("{}/scim/v2", stage.agency.base), "test", "--verbose"]);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {}", stage.token));
    // The tester does not wait, and the agency's clock stands still unless it is moved.
    let clock = home.clock.clone();
    let moving = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.advance(jiff::SignedDuration::from_millis(200));
        }
    });
    let output = command.output().await.unwrap();
    moving.abort();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let good = said.matches("SUCCESS").count();
    println!("scim2-tester: {good} checks held");
    assert!(good > 50, "{said}");
    for bad in ["ERROR", "CRITICAL", "DEVIATION"] {
        assert!(!said.contains(bad), "{said}");
    }
    stage.agency.stop().await;
}
