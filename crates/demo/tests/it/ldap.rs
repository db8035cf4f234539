//! A directory that is asked: OpenLDAP's server says who is in which group, at the sign-in and afterwards.

use std::path::Path;

use demo::runner::Staging;
use demo::story::Seat;
use ledger::Event;
use testkit::{LDAP_BASE, LDAP_OWNER, Slapd};
use web::ldap::Seen;

use crate::authority;
use crate::stage::Stage;

const PASSWORD: &str = "correct-horse-battery-staple";

/// People, and groups whose names are those of functions.
fn entries() -> String {
    let mut ldif = String::new();
    for name in ["det.ruiz", "ofc.hale", "adm.voss"] {
        ldif += &format!(
            "dn: uid={name},{LDAP_BASE}\nobjectClass: inetOrgPerson\nobjectClass: user\n\
             cn: {name}\nsn: {name}\nuid: {name}\nuserAccountControl: 512\n\n"
        );
    }
    // One that a name with a star would find too.
    for (group, member) in
        [("detective", "det.ruiz"), ("supervisor", "ofc.hale"), ("administrator", "adm.voss")]
    {
        ldif += &format!(
            "dn: cn={group},{LDAP_BASE}\nobjectClass: groupOfNames\ncn: {group}\n\
             member: uid={member},{LDAP_BASE}\n\n"
        );
    }
    ldif
}

/// Riverton, and the directory of its people.
struct Asked {
    stage: Stage,
    directory: Slapd,
    seen: Seen,
}

fn settings(folder: &Path, port: u16, more: &str) -> String {
    format!(
        "\n[[ldap]]\nid = \"ad\"\nidentity_provider = \"demo\"\nhost = \"localhost\"\nport = {port}\n\
         ca_file = \"{at}/ca.pem\"\nbind_dn = \"{LDAP_OWNER}\"\npassword_file = \"{at}/password\"\n\
         people_base = \"{LDAP_BASE}\"\nperson_filter = \"(&(objectClass=inetOrgPerson)(uid={{name}}))\"\n\
         groups_filter = \"(&(objectClass=groupOfNames)(member={{dn}}))\"\nwait_seconds = 5\n{more}",
        at = folder.display()
    )
}

async fn stage(more: &str) -> Option<Asked> {
    let folder = tempfile::tempdir().unwrap();
    let issued = authority::localhost();
    let (certificate, key) = (&issued.certificate, &issued.key);
    let directory = Slapd::start(certificate, key, PASSWORD, &entries()).await.unwrap()?;
    std::fs::write(folder.path().join("ca.pem"), &issued.authority).unwrap();
    let password = folder.path().join("password");
    keys::file::create(&keys::file::SystemDisk, &password, PASSWORD.as_bytes(), 0o600).unwrap();
    let settings = settings(folder.path(), directory.port, more);
    let staging = Staging { scim: false, settings, ..Staging::default() };
    let stage = Stage::with(folder, staging).await;
    let seen = Seen { answered_at: stage.world.riverton.agency.now(), told: false };
    Some(Asked { stage, directory, seen })
}

impl Asked {
    /// Asks the directory as the server does every few minutes.
    async fn ask(&mut self) {
        let agency = &self.stage.world.riverton.agency;
        let ldap = agency.identity.ldap()[0].clone();
        agency.ask_directory(&ldap, &agency.config.ldap[0], &mut self.seen).await;
    }

    async fn seat(&self, id: &'static str) -> Seat {
        self.stage.seat(id).await
    }

    async fn refused(&self, id: &'static str) -> String {
        Seat::new(id, &self.stage.base).sign_in().await.err().unwrap();
        match self.stage.events(&["sign-in-refused"]).pop() {
            Some(Event::SignInRefused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

async fn status(seat: &mut Seat) -> u16 {
    let address = format!("{}/me", seat.base);
    seat.browser.open(&address).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_the_directory_give_functions_and_a_change_of_them_ends_sessions() {
    let Some(mut asked) = stage("").await else { return };
    let mut ruiz = asked.seat("det.ruiz").await;
    let mut hale = asked.seat("ofc.hale").await;
    // The provider says that Hale is a patrol officer, and the directory's word counts.
    let page = hale.open("/me").await.unwrap();
    assert!(page.says("supervisor") && !page.says("patrol-officer"), "{}", page.text());
    assert_eq!(asked.refused("sgt.okafor").await, "ldap.absent");

    asked.ask().await;
    assert_eq!((status(&mut ruiz).await, status(&mut hale).await), (200, 200), "nothing changed");
    let moved = format!(
        "dn: cn=detective,{LDAP_BASE}\nchangetype: modify\nadd: member\n\
         member: uid=ofc.hale,{LDAP_BASE}\n"
    );
    asked.directory.change(&moved).await.unwrap();
    let off = format!(
        "dn: uid=det.ruiz,{LDAP_BASE}\nchangetype: modify\nreplace: userAccountControl\n\
         userAccountControl: 514\n"
    );
    asked.directory.change(&off).await.unwrap();
    asked.ask().await;
    assert_eq!((status(&mut ruiz).await, status(&mut hale).await), (401, 401));
    assert_eq!(asked.refused("det.ruiz").await, "ldap.disabled");
    let mut hale = asked.seat("ofc.hale").await;
    assert!(hale.open("/me").await.unwrap().says("detective, supervisor"));

    // Duties that one person may not join leave none.
    let moved = format!(
        "dn: cn=administrator,{LDAP_BASE}\nchangetype: modify\nadd: member\n\
         member: uid=ofc.hale,{LDAP_BASE}\n"
    );
    asked.directory.change(&moved).await.unwrap();
    asked.ask().await;
    assert_eq!(status(&mut hale).await, 401);
    assert_eq!(asked.refused("ofc.hale").await, "authz.functions.conflict");
    asked.stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_directory_is_silent_sessions_go_on_for_a_time_and_nobody_new_comes_in() {
    let Some(mut asked) = stage("silent_minutes_max = 30\n").await else { return };
    let mut ruiz = asked.seat("det.ruiz").await;
    asked.directory.stop().await.unwrap();
    assert_eq!(asked.refused("adm.voss").await, "ldap.unreachable");
    asked.ask().await;
    asked.ask().await;
    assert_eq!(status(&mut ruiz).await, 200, "a session goes on");
    assert_eq!(asked.stage.events(&["provider-alert"]).len(), 1, "told once");
    asked.seen.answered_at -= jiff::SignedDuration::from_mins(31);
    asked.ask().await;
    assert_eq!(status(&mut ruiz).await, 401, "and not for ever");
    asked.directory.go_on().await.unwrap();
    let mut ruiz = asked.seat("det.ruiz").await;
    asked.ask().await;
    assert!(!asked.seen.told);
    assert_eq!(status(&mut ruiz).await, 200);
    asked.stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_may_let_people_in_unasked_with_the_functions_that_they_have() {
    let Some(mut asked) = stage("admits_unasked = true\n").await else { return };
    asked.seat("ofc.hale").await;
    asked.directory.stop().await.unwrap();
    let mut hale = asked.seat("ofc.hale").await;
    assert!(hale.open("/me").await.unwrap().says("supervisor"), "what the directory said last");
    assert_eq!(asked.refused("det.ruiz").await, "authz.not_provisioned");
    asked.stage.world.stop().await;
}
