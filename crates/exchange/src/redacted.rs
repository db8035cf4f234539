//! Redacted copies that a person made: taken in like what others brought, and tied to their originals.
//!
//! Invariants: the original is not touched. That a copy was made of it is in the ledger before the copy has a place. What
//! binds the original binds the copy: its classes, its marks, its sender's terms and its end. A copy that has the
//! original's bytes is none, and where the copy was chosen the original's bytes do not leave.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use gate::Plan;
use jiff::Timestamp;
use ledger::{Event, FileRedacted};
use parcel::media::{self, Examined};
use parcel::{CustodyEvent, Entry, Sealed};
use policy::{Action, Actor, Caveat, RecordClass, ResourceKind, Why};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bringing::{Kept, Sealing, no_room, words};
use crate::delivery::short;
use crate::model::{Incoming, IncomingRow, IncomingStatus, Inside, Item, ReceivedFile};
use crate::passing::classes;
use crate::record::About;
use crate::sealed_custody::person;
use crate::sealing::{SealItem, TOOL};
use crate::seen::Seen;
use crate::{Caller, Exchange, ExchangeError};

/// Copies of copies of copies.
const COPIED_MAX: usize = 20;
/// What makes a file of another one, as custody records call it.
const MADE_BY: [&str; 2] = ["converted", "redacted"];
/// Files that one making names: what was made, and what of.
const MADE_AT_ONCE_MAX: usize = 16;
/// Files of one parcel that are tied to originals.
const TIES_MAX: usize = 10_000;
/// Letters of a copy's name.
const NAME_CHARS_MAX: usize = 100;

/// Where an original is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// A document of one of the agency's own stores.
    Store { store: String, key: String },
    /// A file of a parcel that lies here.
    Parcel { exchange: Uuid, path: String },
}

impl Place {
    /// What it is found by.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let (sort, place, name) = match self {
            Self::Store { store, key } => ("store", store.clone(), key),
            Self::Parcel { exchange, path } => ("parcel", exchange.to_string(), path),
        };
        keys::digest::sha256(format!("{sort}\0{place}\0{name}").as_bytes())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { store, key } => write!(out, "{key} in {store}"),
            Self::Parcel { exchange, path } => write!(out, "{path} of exchange {exchange}"),
        }
    }
}

/// A file that somebody may see and makes a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    place: Place,
    /// SHA-256 (hex) of it, and of what it was made of itself.
    digests: Vec<String>,
    record_classes: BTreeSet<RecordClass>,
    caveats: BTreeSet<Caveat>,
    end: Option<(Timestamp, Option<String>)>,
}

impl Original {
    /// A document of an own store, as it was released to whoever makes the copy.
    pub fn of_store(
        place: (&str, &str),
        sha256: [u8; 32],
        record_class: RecordClass,
        caveats: BTreeSet<Caveat>,
    ) -> Self {
        let (store, key) = (place.0.to_owned(), place.1.to_owned());
        Self {
            place: Place::Store { store, key },
            digests: vec![hex::encode(sha256)],
            record_classes: BTreeSet::from([record_class]),
            caveats,
            end: None,
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// SHA-256 of it, hex.
    pub fn sha256(&self) -> &str {
        self.digests.first().map_or("", String::as_str)
    }
}

/// A copy as somebody made it, and what they say of it. The partner reads both sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactedCopy {
    /// The file's name.
    pub name: String,
    pub bytes: Vec<u8>,
    /// What was redacted.
    pub what: String,
    /// Why: the reason, exemption or rule.
    pub reason: String,
}

/// What a parcel taken in here is a redacted copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    pub place: Place,
    /// SHA-256 (hex) of the original, and of what that was made of, the nearest first.
    pub originals: Vec<String>,
    /// The copy's path in its parcel.
    pub path: String,
    pub what: String,
    pub reason: String,
    pub by: Actor,
    /// The ledger entry that says so.
    pub entry: u64,
}

impl Redaction {
    /// What the copy is, for whoever approves that it leaves.
    pub(crate) fn label(&self, path: &str) -> String {
        let original = self.originals.first().map_or("", String::as_str);
        format!(
            "{path}, a redacted copy of the file with SHA-256 {original}: {} ({})",
            self.what, self.reason
        )
    }
}

/// What a received file was made of, as its custody record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedFrom {
    /// `redacted` or `converted`.
    pub kind: String,
    /// SHA-256 (hex), the nearest first.
    pub originals: Vec<String>,
    /// What the record says of it, and who did it.
    pub words: String,
    pub by: String,
}

/// A copy of something that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Which of the places it is a copy of.
    pub of: usize,
    pub parcel: Incoming,
    pub redaction: Redaction,
}

impl Copied {
    /// Whether it can be passed on: somebody accepted it.
    pub fn is_accepted(&self) -> bool {
        self.parcel.status == IncomingStatus::Accepted
    }
}

impl Exchange {
    /// A file of a received parcel, for somebody who may open it and makes a copy of it. That they looked is on record.
    ///
    /// # Errors
    /// As [`Exchange::passing`].
    pub async fn original(
        &self,
        caller: &Caller,
        exchange: Uuid,
        path: &str,
        why: &Why,
    ) -> Result<Original, ExchangeError> {
        drop(self.contents(caller, exchange, why).await?);
        let (row, inside) = self.accepted(exchange).await?;
        let file = self.passable(&row, &inside, path)?;
        let (from, bound) = self.bound_by(&row, &inside).await?;
        let terms = self.origins(&from, &bound, None).await?;
        let asked = classes(&inside, terms.iter().map(|origin| &origin.agreement))?;
        let mut digests = vec![file.sha256];
        digests.extend(file.derived.into_iter().flat_map(|derived| derived.originals));
        let after = &row.details.afterwards;
        Ok(Original {
            place: Place::Parcel { exchange, path: path.to_owned() },
            digests,
            record_classes: asked.iter().map(|(class, _)| class.clone()).collect(),
            caveats: asked.into_iter().flat_map(|(_, marks)| marks).collect(),
            end: after.destroy_by.map(|by| (by, after.destroy_rule.clone())),
        })
    }

    /// Takes in a redacted copy. It waits in quarantine, and then for a person, like whatever is taken in.
    ///
    /// # Errors
    /// [`ExchangeError::Input`] names a field, or says that nothing was redacted or that there is no room;
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`]; then nothing is kept.
    pub async fn take_in_redacted(
        &self,
        caller: &Caller,
        original: Original,
        copy: RedactedCopy,
        why: &Why,
    ) -> Result<Incoming, ExchangeError> {
        let (what, reason) = (words("what", &copy.what)?, words("reason", &copy.reason)?);
        let copy = RedactedCopy { name: file_name(&copy.name), what, reason, ..copy };
        let why = Why { reason: Some(copy.reason.clone()), ..why.clone() };
        let exchange = self.new_id()?;
        let class = original.record_classes.first().cloned();
        let about = About {
            kind: ResourceKind::Parcel,
            id: exchange.to_string(),
            record_class: class.ok_or(ExchangeError::NoSuch { what: "class of records" })?,
            caveats: original.caveats.clone(),
            requested_by: None,
            agreement: None,
        };
        let plan = Plan::Parcel(format!(
            "take in a redacted copy of {} as exchange {exchange}",
            original.place
        ));
        let permit = self.ask(caller, Action::ReceiveParcel, about, &why, plan).await?;
        let taken = self.take_in_copy(caller, exchange, (original, copy), &why).await;
        self.end_taking_in(permit, taken).await
    }

    async fn take_in_copy(
        &self,
        caller: &Caller,
        exchange: Uuid,
        (original, copy): (Original, RedactedCopy),
        why: &Why,
    ) -> Result<IncomingRow, ExchangeError> {
        let sha256 = hex::encode(keys::digest::sha256(&copy.bytes));
        if original.digests.contains(&sha256) {
            let expected = "a copy that differs from its original: these are the same bytes, so nothing was redacted";
            return Err(ExchangeError::Input { field: "file", expected });
        }
        if copy.bytes.is_empty() || original.digests.len() >= COPIED_MAX {
            let expected =
                "a file with something in it, which is not a copy of more than 19 copies";
            return Err(ExchangeError::Input { field: "file", expected });
        }
        let room = self.room_for_brought().await?;
        if copy.bytes.len() as u64 > room {
            return Err(no_room());
        }
        let parcel = self.new_id()?;
        let event = Event::FileRedacted(FileRedacted {
            exchange: exchange.to_string(),
            of: short(&original.place.to_string()),
            original: original.sha256().to_owned(),
            copy: sha256,
            what: copy.what.clone(),
            reason: copy.reason.clone(),
        });
        let entry = self.record(Some(caller), why, event).await?.entry.0;
        let by = format!("redacted by {}", caller.actor.name);
        let sealing = Sealing {
            exchange,
            parcel,
            purpose: by.clone(),
            authority: copy.reason.clone(),
            case_number: why.case_number.as_ref().map(ToString::to_string),
            handling: original.caveats.iter().map(ToString::to_string).collect(),
            record_classes: original.record_classes.iter().map(ToString::to_string).collect(),
            custody: self.redacted_by(caller, &original, &copy, entry)?,
            room,
            draft: self.0.store.draft(),
        };
        let redaction = Redaction {
            place: original.place,
            originals: original.digests,
            path: copy.name.clone(),
            what: copy.what,
            reason: copy.reason,
            by: caller.actor.clone(),
            entry,
        };
        let (sender_name, custody) = (format!("here, {by}"), sealing.custody.clone());
        let kept = move |mut inside: Inside| {
            tie(&mut inside.files, &[custody]);
            let redaction = Some(redaction);
            Kept { from: by, sender_name, inside, redaction, end: original.end }
        };
        let (name, bytes, now) = (copy.name, copy.bytes, self.now());
        let seal = move |of: &Self, sealing: Sealing| {
            let examined = examine(&name, &bytes)?;
            let entry = Entry::from_bytes(&name, examined.kind.media_type(), now, bytes);
            let seen = Seen::of(&examined, &name, examined.kind.media_type());
            let remarks = seen.words.iter().filter(|_| seen.odd);
            let remarks = remarks.map(|words| short(&format!("{name}: {words}"))).collect();
            Ok((sealing.seal(of, vec![entry])?, vec![Some(seen)], remarks))
        };
        self.seal_and_keep(caller, sealing, seal, (why, kept)).await
    }

    /// The begin of its custody.
    fn redacted_by(
        &self,
        caller: &Caller,
        original: &Original,
        copy: &RedactedCopy,
        entry: u64,
    ) -> Result<CustodyEvent, ExchangeError> {
        let (started, ledger) = self.reference(entry)?;
        Ok(CustodyEvent {
            kind: "redacted".to_owned(),
            description: format!(
                "redacted copy of the file with SHA-256 {}: {} ({})",
                original.digests.join(", a copy of "),
                copy.what,
                copy.reason
            ),
            started,
            ended: None,
            person: person(&caller.actor),
            tool: TOOL.to_owned(),
            purpose: None,
            authority: Some(copy.reason.clone()),
            files: vec![copy.name.clone()],
            originals: original.digests.clone(),
            ledger: Some(ledger),
            around: self.around(&caller.actor),
        })
    }

    /// The copies of what is in these places that lie here, waiting for a person or accepted.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn copies_of(&self, places: &[Place]) -> Result<Vec<Copied>, ExchangeError> {
        let digests: Vec<[u8; 32]> = places.iter().map(Place::digest).collect();
        let mut out = Vec::new();
        for (of, exchange) in state::copies::of(&self.0.setup.state, &digests).await? {
            let row = match self.incoming_row(exchange).await {
                // Its line outlived it.
                Err(ExchangeError::NoSuch { .. }) => continue,
                row => row?,
            };
            let parcel = Incoming::of(row)?;
            let here = matches!(parcel.status, IncomingStatus::Received | IncomingStatus::Accepted);
            if let Some(redaction) = parcel.redaction.clone().filter(|_| here) {
                out.push(Copied { of, parcel, redaction });
            }
        }
        out.sort_by_key(|copied| (copied.of, copied.parcel.number));
        Ok(out)
    }

    /// The parcel under whose terms a file came: its own, or that of the original that it is a redacted copy of.
    ///
    /// # Errors
    /// [`ExchangeError::WrongState`] where the original's parcel is closed or gone.
    pub(crate) async fn bound_by(
        &self,
        row: &IncomingRow,
        inside: &Inside,
    ) -> Result<(IncomingRow, Inside), ExchangeError> {
        let (mut row, mut inside) = (row.clone(), inside.clone());
        for _ in 0..=COPIED_MAX {
            let Some(Place::Parcel { exchange, .. }) =
                row.details.redaction.as_ref().map(|redaction| &redaction.place)
            else {
                return Ok((row, inside));
            };
            (row, inside) = self.accepted(*exchange).await?;
            self.not_closed(&row)?;
        }
        Err(ExchangeError::NoSuch { what: "original" })
    }
}

/// What a file is by its content, and by its name.
fn examine(name: &str, bytes: &[u8]) -> Result<Examined, ExchangeError> {
    let examined = media::examine(&mut std::io::Cursor::new(bytes), name);
    examined.map_err(crate::error::store("look at a redacted copy"))
}

/// A name that every system can keep, from the last part of what a browser says: letters, digits, dot, dash, underscore.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String =
        last.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    let kept = name.len().saturating_sub(NAME_CHARS_MAX);
    // The end is kept, for the ending says what it should be.
    let name = name.get(kept..).unwrap_or_default().trim_matches('.');
    format!("redacted-{}", if name.is_empty() { "copy" } else { name })
}

/// Ties files to what their custody says that they were made of. A partner wrote it: what names more than one making
/// would is passed over, and so is what goes beyond as many ties as a page could ever show.
pub(crate) fn tie(files: &mut [ReceivedFile], events: &[CustodyEvent]) {
    let places: HashMap<String, usize> =
        files.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect();
    let makes = |event: &&CustodyEvent| {
        MADE_BY.contains(&event.kind.as_str())
            && (1..=COPIED_MAX).contains(&event.originals.len())
            && event.originals.iter().all(|digest| is_sha256(digest))
    };
    // What an event is about that names no file. It may be one of several makings that name all there is.
    let all: Vec<String> =
        files.iter().take(MADE_AT_ONCE_MAX + 1).map(|file| file.path.clone()).collect();
    let mut ties = 0;
    for event in events.iter().filter(makes) {
        let about = if event.files.is_empty() { &all } else { &event.files };
        let few = about.iter().filter(|_| about.len() <= MADE_AT_ONCE_MAX);
        for at in few.filter_map(|path| places.get(path)) {
            let Some(file) = files.get_mut(*at).filter(|_| ties < TIES_MAX) else { continue };
            if event.originals.contains(&file.sha256) {
                continue;
            }
            ties += 1;
            file.derived = Some(DerivedFrom {
                kind: event.kind.clone(),
                originals: event.originals.clone(),
                words: short(&event.description),
                by: short(&event.person.name),
            });
        }
    }
}

fn is_sha256(digest: &str) -> bool {
    digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The digests of the originals that stay here, for their redacted copies were chosen in their stead.
fn staying(items: &[Item]) -> BTreeSet<&str> {
    let received = items.iter().filter_map(|item| item.received.as_ref());
    received
        .filter(|from| !from.with_original)
        .flat_map(|from| from.originals.iter().map(String::as_str))
        .collect()
}

/// Refuses what was made here of an original that stays: the film made of it shows what was redacted.
pub(crate) fn derivatives_stay(items: &[Item], to_seal: &[SealItem]) -> Result<(), ExchangeError> {
    let stay = staying(items);
    let of_one = |item: &&SealItem| {
        item.derived.as_ref().is_some_and(|it| {
            it.kind != "redacted" && stay.contains(hex::encode(it.sha256).as_str())
        })
    };
    match to_seal.iter().find(of_one) {
        None => Ok(()),
        Some(item) => {
            let what = "made of the original of a redacted copy that was chosen in its stead";
            Err(ExchangeError::Items { path: item.path.clone(), what })
        }
    }
}

/// Gives a sealed parcel back, unless an original is in it whose redacted copy was chosen in its stead.
pub(crate) fn originals_stay(items: &[Item], sealed: Sealed) -> Result<Sealed, ExchangeError> {
    let stay = staying(items);
    match sealed.files.iter().find(|file| stay.contains(file.sha256.as_str())) {
        None => Ok(sealed),
        Some(file) => {
            let what = "the original of a redacted copy that was chosen in its stead";
            Err(ExchangeError::Items { path: file.path.clone(), what })
        }
    }
}
