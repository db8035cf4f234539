//! Reading a custody record of ours: its events, and what each says of a ledger.
//!
//! A record that came in a parcel is covered by the sender's signature. What is read here is what the sender says; whether a ledger says
//! the same is for whoever has that ledger's key.

use serde_json::Value;

use super::LedgerReference;
use crate::{CUSTODY_EVENTS_MAX, Fault};

/// One event, as a record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    pub kind: String,
    pub description: String,
    pub ledger: Option<LedgerReference>,
}

/// The events of a `custody.jsonld`, oldest first: each but the first was informed by the one before.
///
/// # Errors
/// [`Fault::Malformed`] where it is not one unbroken chain of such events.
pub fn events(record: &[u8]) -> Result<Vec<RecordedEvent>, Fault> {
    let bad = || Fault::Malformed("a custody record whose events are one chain");
    let record: Value = serde_json::from_slice(record).map_err(|_| bad())?;
    let graph = record.get("@graph").and_then(Value::as_array).ok_or_else(bad)?;
    let actions = graph
        .iter()
        .filter(|node| text(node, "@type") == Some("case-investigation:InvestigativeAction"));
    let (mut out, mut before) = (Vec::new(), None);
    for action in actions {
        let informed =
            action.get("case-investigation:wasInformedBy").and_then(|node| text(node, "@id"));
        if informed != before || out.len() >= CUSTODY_EVENTS_MAX {
            return Err(bad());
        }
        before = Some(text(action, "@id").ok_or_else(bad)?);
        out.push(event(action).ok_or_else(bad)?);
    }
    Ok(out)
}

fn event(action: &Value) -> Option<RecordedEvent> {
    let ledger = match text(action, "bailiwick:ledgerOrigin") {
        None => None,
        Some(origin) => Some(LedgerReference {
            origin: origin.to_owned(),
            entry: action.get("bailiwick:ledgerEntry")?.as_u64()?,
            leaf: text(action, "bailiwick:ledgerLeaf")?.to_owned(),
            proof: text(action, "bailiwick:ledgerProof").map(str::to_owned),
        }),
    };
    let kind = text(action, "uco-core:name")?.to_owned();
    Some(RecordedEvent {
        kind,
        description: text(action, "uco-core:description")?.to_owned(),
        ledger,
    })
}

fn text<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str()
}

/// Any bytes as a custody record.
pub(crate) fn fuzz(data: &[u8]) {
    drop(events(data));
}

#[cfg(test)]
mod tests {
    use super::events;

    #[test]
    fn broken_chains_and_other_json_are_refused() {
        for record in ["", "{}", "[]", r#"{"@graph":3}"#] {
            assert!(events(record.as_bytes()).is_err(), "{record}");
        }
        assert_eq!(events(br#"{"@graph":[]}"#).unwrap(), []);
        let action = |id: &str, before: &str| {
            format!(
                r#"{{"@id":"{id}","@type":"case-investigation:InvestigativeAction","uco-core:name":"sealed",
                "uco-core:description":"d"{before}}}"#
            )
        };
        let after = |id: &str| format!(r#","case-investigation:wasInformedBy":{{"@id":"{id}"}}"#);
        let record = |list: &[String]| format!(r#"{{"@graph":[{}]}}"#, list.join(","));
        let (one, two) = (action("kb:1", ""), action("kb:2", &after("kb:1")));
        assert_eq!(events(record(&[one.clone(), two.clone()]).as_bytes()).unwrap().len(), 2);
        // The first one missing, one left out in between, and two beginnings.
        assert!(events(record(std::slice::from_ref(&two)).as_bytes()).is_err());
        assert!(events(record(&[one.clone(), action("kb:3", &after("kb:2"))]).as_bytes()).is_err());
        assert!(events(record(&[one.clone(), one]).as_bytes()).is_err());
    }
}
