//! What a parcel's custody record says of the export that it is sealed for: where each item came from, what was seen
//! of it, who approved, and how it was packed, sealed and signed.
//!
//! Invariants: each event names the entry of our ledger that it rests on, with its proof; the three that close the
//! record rest on the leave to seal, for that is in the ledger before a byte is encrypted. What comes after is not
//! here: the sealed record can't be added to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use keys::cert::Certificate;
use parcel::{Circumstances, Closing, CustodyEvent, LedgerReference, Person};
use policy::Actor;
use uuid::Uuid;

use crate::book::Agreement;
use crate::custody::References;
use crate::delivery::short;
use crate::model::{ExportDetails, ExportRow, Item};
use crate::sealing::{Derived, SealItem, TOOL};
use crate::{Caller, Exchange, ExchangeError};

/// Files of one export that have an event of their own for not being what they are called.
const ODD_EVENTS_MAX: usize = 100;

/// Who seals what, and to whom.
pub(crate) struct Sealing<'a> {
    pub(crate) caller: &'a Caller,
    /// The entry of the leave to seal.
    pub(crate) decided: Option<u64>,
    pub(crate) parcel: Uuid,
    pub(crate) recipients: &'a [Certificate],
    /// The exhibits that what is passed on was of.
    pub(crate) roots: &'a [String],
}

/// The entries that the record names.
pub(crate) fn entries(
    details: &ExportDetails,
    decided: Option<u64>,
    items: &[SealItem],
) -> BTreeSet<u64> {
    let released = items.iter().map(|item| item.released.0);
    let voices = details.approvals.iter().map(|voice| voice.entry);
    released.chain(voices).chain([details.request_entry]).chain(decided).collect()
}

/// What all events of one export have in common.
struct Common<'a> {
    exchange: &'a Exchange,
    purpose: Option<String>,
    authority: String,
    proved: &'a References,
}

impl Common<'_> {
    fn event(
        &self,
        kind: &str,
        description: String,
        (who, around): (Person, Circumstances),
        (started, ledger): (Timestamp, LedgerReference),
    ) -> CustodyEvent {
        CustodyEvent {
            kind: kind.to_owned(),
            description,
            started,
            ended: None,
            person: who,
            tool: TOOL.to_owned(),
            purpose: self.purpose.clone(),
            authority: Some(self.authority.clone()),
            files: Vec::new(),
            originals: Vec::new(),
            ledger: Some(ledger),
            around,
        }
    }

    fn by(&self, actor: &Actor) -> (Person, Circumstances) {
        (person(actor), self.exchange.around(actor))
    }

    fn at(&self, entry: u64) -> Result<(Timestamp, LedgerReference), ExchangeError> {
        let found = self.proved.get(&entry).cloned();
        found.ok_or(ExchangeError::NoSuch { what: "proof of an entry" })
    }
}

impl Exchange {
    /// Where each item came from, who approved, and who seals: each with its ledger entry.
    pub(crate) fn custody(
        &self,
        sealing: &Sealing<'_>,
        row: &ExportRow,
        (agreement, proved): (&Agreement, &References),
        items: &[SealItem],
    ) -> Result<Vec<CustodyEvent>, ExchangeError> {
        let (details, actor) = (&row.details, &sealing.caller.actor);
        let common = Common {
            exchange: self,
            purpose: details.why.purpose.as_ref().map(ToString::to_string),
            authority: agreement.authority.clone(),
            proved,
        };
        let mut events = Vec::with_capacity(items.len() + details.approvals.len() + 3);
        // What one record released is one event: a tree of small files has not one for each.
        for together in items.chunk_by(|one, next| one.released == next.released) {
            let Some(first) = together.first() else { continue };
            let text = format!("released from its source for export {}", row.id);
            let at = common.at(first.released.0)?;
            let files = together.iter().map(|item| item.path.clone()).collect();
            let event = common.event("exported-from-source", text, common.by(actor), at);
            events.push(CustodyEvent { files, ..event });
        }
        for (item, derived) in items.iter().filter_map(|item| Some((item, item.derived.as_ref()?)))
        {
            let at = common.at(item.released.0)?;
            let event = common.event(derived.kind, String::new(), common.by(actor), at);
            events.push(derived_event(item, derived, event));
        }
        events.extend(validated(&common, details)?);
        for voice in &details.approvals {
            let text = format!("approved export {} under {}", row.id, agreement.facts.id);
            let (by, at) = (common.by(&voice.actor), common.at(voice.entry)?);
            events.push(common.event("approved-for-release", text, by, at));
        }
        events.sort_by_key(|event| event.started);
        let decided = sealing.decided.ok_or(ExchangeError::NoSuch { what: "leave to seal" })?;
        let (_, ledger) = common.at(decided)?;
        let by = common.event("", String::new(), common.by(actor), (self.now(), ledger));
        let numbers = (details.exhibit.as_deref(), sealing.roots);
        events.extend(self.closing(sealing.parcel, sealing.recipients, numbers, &by)?);
        Ok(events)
    }

    /// The events that close the record of a parcel.
    pub(crate) fn closing(
        &self,
        parcel: Uuid,
        recipients: &[Certificate],
        (exhibit, root_exhibits): (Option<&str>, &[String]),
        by: &CustodyEvent,
    ) -> Result<[CustodyEvent; 3], ExchangeError> {
        let setup = &self.0.setup;
        let signer = setup.signer.chain.first();
        let closing = Closing {
            parcel,
            signer: signer.ok_or(ExchangeError::NoSuch { what: "signing certificate" })?,
            recipients,
            part_size: setup.settings.part_bytes,
            exhibit,
            root_exhibits,
        };
        Ok(closing.events(by))
    }

    /// How somebody had signed in, and here.
    pub(crate) fn around(&self, actor: &Actor) -> Circumstances {
        let assurance = &actor.assurance;
        let how = if assurance.mfa { "more than one factor" } else { "one factor" };
        let again = assurance.stepped_up_at.map(|at| format!(", proved again at {at}"));
        let (context, at) = (&assurance.context, assurance.authenticated_at);
        Circumstances {
            assurance: Some(format!(
                "signed in by {how} ({context}) at {at}{}",
                again.unwrap_or_default()
            )),
            ..self.here()
        }
    }

    /// This system, by the name in its certificate.
    pub(crate) fn here(&self) -> Circumstances {
        let name = self.0.setup.tls.chain.first().map(Certificate::subject);
        Circumstances { host: name, ..Circumstances::default() }
    }
}

pub(crate) fn person(actor: &Actor) -> Person {
    let functions: Vec<&str> = actor.functions.iter().map(policy::Function::as_str).collect();
    Person {
        name: actor.name.clone(),
        account: actor.id.to_string(),
        agency: actor.agency.to_string(),
        role: functions.join(", "),
    }
}

/// What the platform saw of the items' content when they were asked for. A file that is not what it is called is one
/// that failed, and goes all the same: that is the approver's to say.
fn validated(
    common: &Common<'_>,
    details: &ExportDetails,
) -> Result<Vec<CustodyEvent>, ExchangeError> {
    let seen = |item: &Item| item.seen.as_ref().is_some_and(|seen| seen.standing != "not-examined");
    let looked: Vec<&Item> = details.items.iter().filter(|item| seen(item)).collect();
    let is_odd = |item: &Item| item.seen.as_ref().is_some_and(|seen| seen.odd);
    let (odd, sound): (Vec<&Item>, Vec<&Item>) = looked.into_iter().partition(|item| is_odd(item));
    let event = |text: &str, files: &[&Item], failure: Option<String>| {
        let around = Circumstances { failure, ..common.exchange.here() };
        let by = (common.exchange.itself(), around);
        let event = common.event(
            "format-validated",
            text.to_owned(),
            by,
            common.at(details.request_entry)?,
        );
        let files = files.iter().map(|item| item.path.clone()).collect();
        Ok::<_, ExchangeError>(CustodyEvent { files, ..event })
    };
    let mut out = Vec::new();
    if !sound.is_empty() {
        out.push(event("by their content they are what they are called", &sound, None)?);
    }
    for item in odd.iter().take(ODD_EVENTS_MAX) {
        let Some(seen) = &item.seen else { continue };
        let text = format!("by its content it is {}", seen.what);
        let why = short(&seen.words.join(" "));
        let why = if why.is_empty() { seen.standing.clone() } else { why };
        out.push(event(&text, std::slice::from_ref(item), Some(why))?);
    }
    if let Some(more) = odd.get(ODD_EVENTS_MAX..).filter(|more| !more.is_empty()) {
        let why = format!("{} more files are not what they are called", more.len());
        out.push(event("looked at by their content", more, Some(why))?);
    }
    Ok(out)
}

/// The event of custody that ties a file to what it was made of.
fn derived_event(item: &SealItem, derived: &Derived, event: CustodyEvent) -> CustodyEvent {
    let original = derived.from.as_deref().unwrap_or("a file that stays here");
    let sha256 = hex::encode(derived.sha256);
    CustodyEvent {
        description: format!("`{}` made from {original} (SHA-256 {sha256})", item.path),
        tool: derived.by.clone(),
        files: derived.from.iter().chain([&item.path]).cloned().collect(),
        originals: vec![sha256],
        ..event
    }
}
