//! Row handles under the real cipher: what was not given to this person in this session is refused.

use std::collections::BTreeMap;

use crate::common::{NOW, demo_tool, person};
use gate::{Plan, Value};
use jiff::SignedDuration;
use keys::seal::SealingKey;
use policy::Why;
use tools::handle::{Binding, Handle, HandleError, Sealer, open, seal};

struct Sealed(SealingKey);

impl Sealer for Sealed {
    fn seal(&self, bound: &[u8], plain: &[u8]) -> Option<String> {
        let sealed = self.0.seal(bound, plain).ok()?;
        Some(sealed.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let pairs = sealed.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        self.0.open(bound, &bytes?).ok()
    }
}

fn sealer() -> Sealed {
    Sealed(SealingKey::from_bytes([7; 32]))
}

fn binding(version: &[u8; 32]) -> Binding<'_> {
    let (tool, query) = ("vehicle-lookup", "search");
    Binding { tool, version, query, user: "riverton|det.ruiz", session: "s-1" }
}

fn handle() -> Handle {
    let values = [("id".to_owned(), Value::Text("V-000113".to_owned()))];
    Handle {
        values: BTreeMap::from(values),
        why: Why::default(),
        expires: NOW + SignedDuration::from_mins(30),
    }
}

#[test]
fn a_handle_comes_back_as_it_was_and_shows_nothing() {
    let version = [1; 32];
    let sealed = seal(&sealer(), &binding(&version), &handle()).unwrap();
    assert!(!sealed.contains("V-000113") && sealed.bytes().all(|b| b.is_ascii_alphanumeric()));
    assert_eq!(open(&sealer(), &binding(&version), &sealed, NOW), Ok(handle()));
    assert_ne!(sealed, seal(&sealer(), &binding(&version), &handle()).unwrap());
}

#[test]
fn a_handle_of_somebody_or_something_else_is_refused() {
    let (version, other) = ([1; 32], [2; 32]);
    let own = binding(&version);
    let sealed = seal(&sealer(), &own, &handle()).unwrap();
    for foreign in [
        Binding { tool: "person-search", ..own },
        Binding { version: &other, ..own },
        Binding { query: "history", ..own },
        Binding { user: "riverton|ofc.hale", ..own },
        Binding { session: "s-2", ..own },
        // The same bytes, cut elsewhere.
        Binding { tool: "vehicle-lookups", query: "earch", ..own },
        Binding { user: "riverton|det.ruizs", session: "-1", ..own },
    ] {
        assert_eq!(
            open(&sealer(), &foreign, &sealed, NOW),
            Err(HandleError::Foreign),
            "{foreign:?}"
        );
    }
    let stranger = Sealed(SealingKey::from_bytes([8; 32]));
    assert_eq!(open(&stranger, &own, &sealed, NOW), Err(HandleError::Foreign));
}

#[test]
fn a_handle_with_any_character_changed_is_refused() {
    let version = [1; 32];
    let sealed = seal(&sealer(), &binding(&version), &handle()).unwrap();
    for at in 0..sealed.len() {
        let mut bytes = sealed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        let altered = String::from_utf8(bytes).unwrap();
        let outcome = open(&sealer(), &binding(&version), &altered, NOW);
        assert_eq!(outcome, Err(HandleError::Foreign), "character {at}");
    }
    for text in ["", "0", "zz", sealed.split_at(40).0, &format!("{sealed}00"), &"0".repeat(1 << 20)]
    {
        assert_eq!(open(&sealer(), &binding(&version), text, NOW), Err(HandleError::Foreign));
    }
}

#[test]
fn a_handle_ends_at_its_moment() {
    let version = [1; 32];
    let sealed = seal(&sealer(), &binding(&version), &handle()).unwrap();
    let last = handle().expires - SignedDuration::from_nanos(1);
    assert!(open(&sealer(), &binding(&version), &sealed, last).is_ok());
    let ended = open(&sealer(), &binding(&version), &sealed, handle().expires);
    assert_eq!(ended, Err(HandleError::Expired));
}

#[test]
fn a_handle_too_long_to_carry_is_not_made() {
    let mut long = handle();
    long.values.insert("id".to_owned(), Value::Text("x".repeat(9000)));
    assert_eq!(seal(&sealer(), &binding(&[1; 32]), &long), Err(HandleError::Unsealed));
}

#[test]
fn a_document_is_planned_from_its_handle_alone() {
    let tool = demo_tool("case-file");
    let part = tool.part("evidence").unwrap();
    let columns = ["id", "title", "media_type", "store_key", "caveat", "sha256"].map(str::to_owned);
    let values = ["E-000002", "Door camera", "video/mp4", "24/door.mp4", "JUVENILE", "00"]
        .map(|text| Value::Text(text.to_owned()));
    let values = tool.handle_values(part, &columns, &values).unwrap();
    assert_eq!(
        values.keys().map(String::as_str).collect::<Vec<_>>(),
        ["caveat", "id", "media_type", "store_key", "title"]
    );
    let why = Why { purpose: "C".parse().ok(), ..Why::default() };
    let handle = Handle { values, why, expires: NOW };
    let someone = person("detective");
    let planned =
        tool.plan_evidence("evidence", &handle, Some((0, 1024)), &someone.context()).unwrap();
    assert_eq!(planned.action, policy::Action::ReadEvidence);
    assert_eq!(planned.resource.id, "E-000002");
    assert_eq!(planned.resource.record_class.as_str(), "EVIDENCE");
    assert!(planned.resource.caveats.contains(&"JUVENILE".parse().unwrap()));
    assert_eq!(planned.why.purpose.map(|code| code.to_string()).as_deref(), Some("C"));
    let Plan::Evidence(plan) = planned.plan else { panic!("an evidence plan") };
    assert_eq!((plan.store.as_str(), plan.key.as_str()), ("evidence", "24/door.mp4"));
    assert_eq!(plan.range, Some((0, 1024)));
}
