//! What else is known of an event: how its person had signed in, at which system, from whom to whom something went and
//! how, which exhibit it is, and whether it failed.
//!
//! Invariant: what is not known is left out; a record without any of it has the bytes that it always had.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Exhibits that one event names as those that its own goes back to.
pub(super) const ROOT_EXHIBITS_MAX: usize = 100;

/// The circumstances of an event, as far as they were known when the record was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Circumstances {
    /// How its person had proved who they are, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assurance: Option<String>,
    /// The system at which it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The number of the exhibit that it made of its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exhibit: Option<String>,
    /// The numbers of the exhibits that they were of before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub root_exhibits: Vec<String>,
    /// Where something changed hands, or was to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandOver>,
    /// Why it was not done; none where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// From whom to whom, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HandOver {
    /// The custodian who gave it, as `NAME (ORI)`.
    pub from: Option<String>,
    pub to: Option<String>,
    /// The way that it took, such as `push` or `medium`.
    pub channel: Option<String>,
    /// What was at the other end: an address, a place, a receipt's digest.
    pub peer: Option<String>,
    pub bytes: Option<u64>,
    /// Attempts that it took, or has taken so far.
    pub attempts: Option<u64>,
}

impl Circumstances {
    /// As CASE's vocabulary calls the state of an action.
    pub(super) fn status(&self) -> &'static str {
        if self.failure.is_some() { "Fail" } else { "Success" }
    }

    /// The fields of the event's node.
    pub(super) fn fields(&self) -> [(&'static str, Option<Value>); 11] {
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let none = HandOver::default();
        let hand_over = self.hand_over.as_ref().unwrap_or(&none);
        let roots = Some(&self.root_exhibits).filter(|roots| !roots.is_empty());
        [
            ("bailiwick:assurance", text(&self.assurance)),
            ("bailiwick:host", text(&self.host)),
            ("bailiwick:exhibit", text(&self.exhibit)),
            ("bailiwick:rootExhibits", roots.map(|roots| roots.clone().into())),
            ("bailiwick:fromCustodian", text(&hand_over.from)),
            ("bailiwick:toCustodian", text(&hand_over.to)),
            ("bailiwick:channel", text(&hand_over.channel)),
            ("bailiwick:peer", text(&hand_over.peer)),
            ("bailiwick:bytes", hand_over.bytes.map(Value::from)),
            ("bailiwick:attempts", hand_over.attempts.map(Value::from)),
            ("bailiwick:failure", text(&self.failure)),
        ]
    }

    /// What the fields of an event's node say; none where one has another form.
    pub(super) fn read(fields: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| match fields.get(key) {
            None => Some(None),
            Some(value) => value.as_str().map(|text| Some(text.to_owned())),
        };
        let number = |key: &str| match fields.get(key) {
            None => Some(None),
            Some(value) => value.as_u64().map(Some),
        };
        let roots = match fields.get("bailiwick:rootExhibits") {
            None => Vec::new(),
            Some(roots) => {
                let roots = roots.as_array().filter(|roots| roots.len() <= ROOT_EXHIBITS_MAX)?;
                roots.iter().map(|root| root.as_str().map(str::to_owned)).collect::<Option<_>>()?
            }
        };
        let hand_over = HandOver {
            from: text("bailiwick:fromCustodian")?,
            to: text("bailiwick:toCustodian")?,
            channel: text("bailiwick:channel")?,
            peer: text("bailiwick:peer")?,
            bytes: number("bailiwick:bytes")?,
            attempts: number("bailiwick:attempts")?,
        };
        Some(Self {
            assurance: text("bailiwick:assurance")?,
            host: text("bailiwick:host")?,
            exhibit: text("bailiwick:exhibit")?,
            root_exhibits: roots,
            hand_over: Some(hand_over).filter(|hand_over| *hand_over != HandOver::default()),
            failure: text("bailiwick:failure")?,
        })
    }

    /// The same for people, a line each, below what the event says.
    pub(super) fn lines(&self) -> Vec<String> {
        let none = HandOver::default();
        let hand_over = self.hand_over.as_ref().unwrap_or(&none);
        let said = [
            ("Result: failed: ", self.failure.clone()),
            ("Exhibit ", self.exhibit.clone()),
            ("Of exhibit ", Some(self.root_exhibits.join(", ")).filter(|roots| !roots.is_empty())),
            ("From ", hand_over.from.clone()),
            ("To ", hand_over.to.clone()),
            ("By ", hand_over.channel.clone()),
            ("At the other end: ", hand_over.peer.clone()),
            ("Bytes: ", hand_over.bytes.map(|bytes| bytes.to_string())),
            ("Attempts: ", hand_over.attempts.map(|attempts| attempts.to_string())),
            ("System: ", self.host.clone()),
        ];
        said.into_iter().filter_map(|(what, value)| Some(format!("{what}{}", value?))).collect()
    }
}
