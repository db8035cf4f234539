//! A directory that says what it should, and what it should not, on a stream in memory.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::ber::{ENUMERATED, INTEGER, OCTETS, SEQUENCE, SET, element, joined, number};
use super::*;

fn settings() -> LdapSettings {
    LdapSettings {
        id: "ad".into(),
        idp: "agency".into(),
        host: "dc.example".into(),
        port: 636,
        bind_dn: "cn=bailiwick".into(),
        people_base: "dc=example".into(),
        person: Filter::read("(uid={name})").unwrap(),
        groups_base: "dc=example".into(),
        groups: Filter::read("(member:1.2.840.113556.1.4.1941:={dn})").unwrap(),
        group_name: "cn".into(),
        wait_max: Duration::from_millis(500),
        admits_unasked: false,
    }
}

fn entry(id: u32, dn: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(name, value)| {
            let value = element(OCTETS, value.as_bytes());
            joined(SEQUENCE, &[element(OCTETS, name.as_bytes()), element(SET, &value)])
        })
        .collect();
    let entry = [element(OCTETS, dn.as_bytes()), joined(SEQUENCE, &attributes)];
    joined(SEQUENCE, &[number(INTEGER, id), joined(0x64, &entry)])
}

fn done(id: u32, code: u32) -> Vec<u8> {
    let result = [number(ENUMERATED, code), element(OCTETS, b""), element(OCTETS, b"")];
    joined(SEQUENCE, &[number(INTEGER, id), joined(0x65, &result)])
}

fn elsewhere(id: u32) -> Vec<u8> {
    let url = element(OCTETS, b"ldap://evil.example/");
    joined(SEQUENCE, &[number(INTEGER, id), joined(0x73, &[url])])
}

/// Answers each request with what stands for it, then is silent or hangs up.
async fn play(mut stream: DuplexStream, answers: Vec<Vec<u8>>, hangs_up: bool) {
    let mut buffer = [0; 4096];
    for answer in answers {
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            return;
        }
        // In two pieces, as a network would.
        let (one, other) = answer.split_at(answer.len() / 2);
        stream.write_all(one).await.unwrap();
        stream.write_all(other).await.unwrap();
    }
    if !hangs_up {
        std::future::pending::<()>().await;
    }
}

async fn asked(answers: Vec<Vec<u8>>, hangs_up: bool) -> Result<Person, LdapError> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let played = tokio::spawn(play(theirs, answers, hangs_up));
    let mut talk = Talk::new(ours, settings().wait_max);
    let person = person(&mut talk, &settings(), "ruiz").await;
    played.abort();
    person
}

fn ruiz() -> Vec<u8> {
    [entry(1, "uid=ruiz", &[("userAccountControl", "512")]), done(1, 0)].concat()
}

#[tokio::test]
async fn groups_are_those_of_exactly_one_person_and_referrals_are_followed_nowhere() {
    let groups = [
        entry(2, "cn=b,dc=example", &[("cn", "detective")]),
        elsewhere(2),
        entry(2, "cn=a,dc=example", &[("cn", "detective")]),
        done(2, 0),
    ];
    let person = asked(vec![ruiz(), groups.concat()], false).await.unwrap();
    let names = ["cn=a,dc=example", "cn=b,dc=example", "detective"].map(str::to_owned);
    assert_eq!(person, Person::Here { groups: names.to_vec() });
    assert_eq!(asked(vec![done(1, 0)], false).await.unwrap(), Person::Absent);
    let two = [entry(1, "uid=ruiz", &[]), entry(1, "uid=ruiz,ou=old", &[]), done(1, 0)].concat();
    assert_eq!(asked(vec![two], false).await.unwrap(), Person::Ambiguous);
    for control in ["514", "66050", "", "x"] {
        let off = [entry(1, "uid=ruiz", &[("userAccountControl", control)]), done(1, 0)].concat();
        assert_eq!(asked(vec![off], false).await.unwrap(), Person::Disabled, "{control}");
    }
}

#[tokio::test]
async fn a_directory_that_does_not_answer_as_it_should_has_said_nothing() {
    let mut many: Vec<u8> = (0..=GROUPS_MAX).flat_map(|_| entry(2, "cn=a", &[])).collect();
    many.extend(done(2, 0));
    let cases: Vec<(&str, Vec<Vec<u8>>, bool)> = vec![
        ("the directory did not answer in time", vec![], false),
        ("the connection to the directory broke", vec![vec![]], true),
        ("the directory would not search: result code 10", vec![done(1, 10)], false),
        ("the directory would not search: result code 4", vec![ruiz(), done(2, 4)], false),
        ("the directory answered what was not asked", vec![done(7, 0)], false),
        ("the directory answered what was not asked", vec![done(0, 0)], false),
        (
            "what the directory answered is not LDAP: a message begins otherwise",
            vec![b"HTTP/1.1".to_vec()],
            false,
        ),
        (
            "what the directory answered is not LDAP: a message of more than 4 MiB",
            vec![vec![0x30, 0x84, 1, 0, 0, 0]],
            false,
        ),
        ("the directory found more than 5000 entries", vec![ruiz(), many], false),
        ("the connection to the directory broke", vec![ruiz(), vec![0x30]], true),
    ];
    for (expected, answers, hangs_up) in cases {
        let error = asked(answers, hangs_up).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
