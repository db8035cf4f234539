//! Passing on a file that came from somebody else, under the terms under which it came.
//!
//! Invariants: the terms are those of the agreement that the parcel came under and of the rules of both sides'
//! jurisdictions; all classes and marks of the parcel count for each of its files, for nothing says which has which.
//! They are looked at when it is asked for, approved and sealed. What an approved item says of its origin is what
//! the store says of it, or it is refused. Its bytes are its sender's, to the last.

use std::collections::BTreeSet;

use gate::{Fingerprint, Permit, Print};
use policy::{Caveat, PurposeCode, RecordClass, Why};

use crate::book::{Agreement, Asked, Clause, Redistribution, Stricter};
use crate::custody::ReceivedFrom;
use crate::model::{ExportDetails, IncomingRow, Inside, Item, ReceivedFile};
use crate::sealing::SealItem;
use crate::{Caller, Exchange, ExchangeError};

/// A received file as it would be passed on, and the terms under which it came.
#[derive(Debug, Clone)]
pub struct Passing {
    pub item: Item,
    pub terms: Vec<Origin>,
}

/// One agreement that a parcel came under, and what the rules of both sides add to it.
#[derive(Debug, Clone)]
pub struct Origin {
    pub agreement: Agreement,
    /// What the parcel may hold, under it.
    pub asked: Vec<Asked>,
    pub stricter: Stricter,
}

impl Origin {
    /// What says how it may be handed on: the agreement, or a rule that allows less.
    fn says(&self) -> String {
        let stricter = self.stricter.redistribution;
        let rule = self.stricter.applied.iter().find(|rule| rule.redistribution == Some(stricter));
        match rule {
            Some(rule) if stricter != self.agreement.terms.redistribution => {
                format!("rule {} of {} ({})", rule.id, rule.jurisdiction, rule.citation)
            }
            Some(_) | None => format!("agreement `{}`", self.agreement.facts.id),
        }
    }

    /// What stands against passing it on for this purpose.
    fn against(
        &self,
        asked: &[Asked],
        purpose: Option<&PurposeCode>,
        consent: Option<&str>,
        now: jiff::Timestamp,
    ) -> Option<Clause> {
        let (says, consent) = (self.says(), consent.is_some_and(|words| !words.trim().is_empty()));
        match self.stricter.redistribution {
            Redistribution::None => return Some(Clause::NotPassedOn { says }),
            Redistribution::WithConsent if !consent => return Some(Clause::NoConsent { says }),
            Redistribution::WithConsent | Redistribution::UnderTheseTerms => {}
        }
        let covers =
            |(class, marks): &Asked| self.agreement.covers(class, marks, purpose, now).err();
        asked.iter().find_map(covers).or_else(|| self.stricter.against.clone())
    }
}

/// What is passed on, for the record of its release: the digest is its sender's.
struct PassedOn {
    bytes: u64,
    digest: [u8; 32],
    caveats: BTreeSet<String>,
}

impl Fingerprint for PassedOn {
    fn fingerprint(&self) -> Print {
        Print {
            what: "file to be passed on",
            count: 1,
            bytes: self.bytes,
            digest: self.digest,
            subjects: Vec::new(),
            caveats: self.caveats.clone(),
        }
    }
}

/// A question about passing items on.
#[derive(Clone, Copy)]
pub(crate) struct PassOn<'a> {
    /// The agreement that they are to go under.
    pub(crate) agreement: &'a Agreement,
    pub(crate) items: &'a [Item],
    pub(crate) why: &'a Why,
    /// How the sender consented, in words.
    pub(crate) consent: Option<&'a str>,
}

impl<'a> PassOn<'a> {
    /// About an export as it was asked for.
    pub(crate) fn of(details: &'a ExportDetails, agreement: &'a Agreement) -> Self {
        let (items, consent) = (details.items.as_slice(), details.consent.as_deref());
        Self { agreement, items, why: &details.why, consent }
    }
}

impl Exchange {
    /// A file of a received parcel as an item of an export, for somebody who may open the parcel. That they
    /// looked is on record.
    ///
    /// # Errors
    /// As [`Exchange::contents`]; [`ExchangeError::WrongState`] for a file that is held.
    pub async fn passing(
        &self,
        caller: &Caller,
        exchange: uuid::Uuid,
        path: &str,
        why: &Why,
    ) -> Result<Passing, ExchangeError> {
        drop(self.contents(caller, exchange, why).await?);
        let (row, inside) = self.accepted(exchange).await?;
        let file = self.passable(&row, &inside, path)?;
        let (from, bound) = self.bound_by(&row, &inside).await?;
        let terms = self.origins(&from, &bound, why.purpose.as_ref()).await?;
        let item = self.item_of((&row, &from), &inside, &file, &terms)?;
        Ok(Passing { item, terms })
    }

    /// What stands against passing items on under an agreement, for a page that shows it before it is asked for.
    ///
    /// # Errors
    /// [`ExchangeError::WrongState`] where a parcel or a file of it is closed; [`ExchangeError::State`].
    pub async fn against_passing_of(
        &self,
        agreement: &Agreement,
        items: &[Item],
        why: &Why,
        consent: Option<&str>,
    ) -> Result<Option<Clause>, ExchangeError> {
        self.against_passing(&PassOn { agreement, items, why, consent }).await
    }

    /// What stands against passing these items on; nothing where none of them came from a partner.
    ///
    /// # Errors
    /// [`ExchangeError::WrongState`] where a parcel or a file of it is closed; [`ExchangeError::Items`] where an
    /// item is not what the store says of it.
    pub(crate) async fn against_passing(
        &self,
        asked: &PassOn<'_>,
    ) -> Result<Option<Clause>, ExchangeError> {
        let (now, purpose) = (self.now(), asked.why.purpose.as_ref());
        let partner = &asked.agreement.facts.partner;
        for item in asked.items {
            let Some(from) = &item.received else { continue };
            let (row, inside) = self.accepted(from.exchange).await?;
            let file = self.passable(&row, &inside, &from.path)?;
            let (origin, bound) = self.bound_by(&row, &inside).await?;
            for parcel in [&row, &origin] {
                self.trust_in(parcel)?;
            }
            let terms = self.origins(&origin, &bound, purpose).await?;
            let mut honest = self.item_of((&row, &origin), &inside, &file, &terms)?;
            if let Some(honest) = &mut honest.received {
                honest.with_original = from.with_original;
            }
            let same = honest.received == item.received
                && honest.media_type == item.media_type
                && honest.record_class == item.record_class
                && honest.caveats.is_subset(&item.caveats);
            if !same {
                let what = "not as it was received";
                return Err(ExchangeError::Items { path: item.path.clone(), what });
            }
            // Nobody's terms are on what was brought; and giving it back is not passing it on.
            if self.is_brought(&origin) || origin.partner == partner.as_str() {
                continue;
            }
            if terms.is_empty() {
                return Ok(Some(Clause::NoOrigin { partner: origin.partner.clone() }));
            }
            for origin in &terms {
                let agreement = &origin.agreement.facts.id;
                if self.book().agreement(agreement).is_none() {
                    return Ok(Some(Clause::OriginEnded { agreement: agreement.clone() }));
                }
                if let Some(clause) = self.stands_against(&origin.agreement).await? {
                    return Ok(Some(clause));
                }
                let against = origin.against(&origin.asked, purpose, asked.consent, now);
                if against.is_some() {
                    return Ok(against);
                }
            }
        }
        Ok(None)
    }

    /// Gives the permits back where nothing stands against passing the items on; else withholds, on record.
    pub(crate) async fn refuse_passing(
        &self,
        asked: PassOn<'_>,
        permits: Vec<Permit>,
    ) -> Result<Vec<Permit>, ExchangeError> {
        let refused = match self.against_passing(&asked).await {
            Ok(None) => return Ok(permits),
            Ok(Some(clause)) => Ok(clause),
            Err(error) => Err(error),
        };
        let reason = match &refused {
            Ok(clause) => format!("{}: {clause}", clause.code()),
            Err(error) => crate::delivery::short(&error.chain()),
        };
        let mut entry = None;
        for permit in permits {
            let receipt = self.0.setup.gate.withhold(permit.ticket(), &reason).await?;
            entry = Some(receipt.entry);
        }
        let clause = refused?;
        let entry = entry.ok_or(ExchangeError::NoSuch { what: "item" })?;
        Err(ExchangeError::Clause { entry, clause })
    }

    /// The bytes of a received file for a parcel of our own, through the gate.
    ///
    /// # Errors
    /// As [`Exchange::document`].
    pub async fn fetch_received(
        &self,
        caller: &Caller,
        item: &Item,
        why: &Why,
    ) -> Result<SealItem, ExchangeError> {
        let from = item.received.as_ref();
        let from = from.ok_or(ExchangeError::NoSuch { what: "received file" })?;
        let (mut row, inside) = self.accepted(from.exchange).await?;
        let known = inside.files.iter().find(|file| file.path == from.path).cloned();
        let file = known.ok_or(ExchangeError::NoSuch { what: "file in the parcel" })?;
        let plan = format!("pass on {} of exchange {}", from.path, from.exchange);
        let path = Some(from.path.as_str());
        let leave = self.leave_to_open(caller, (&row, &inside), path, why, &plan).await?;
        let stream = match self.stream_of(&row, &file) {
            Ok(stream) => stream,
            Err(error) => {
                self.keep_closed(leave, &error.chain()).await?;
                return Err(error);
            }
        };
        self.note_opening(caller, &mut row, why, (&from.path, file.length)).await?;
        let caveats = item.caveats.iter().map(ToString::to_string).collect();
        let passed = PassedOn { bytes: file.length, digest: stream.digest(), caveats };
        let released = self.give(leave, passed).await?;
        let (_, receipt) = released.into_parts();
        let now = row.details.received_at.unwrap_or_else(|| self.now());
        let again = stream.read();
        Ok(SealItem {
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            modified: now,
            length: file.length,
            open: Box::new(move || again()),
            released: receipt.entry,
            listed: None,
            derived: None,
        })
    }

    /// A file that may be opened now.
    pub(crate) fn passable(
        &self,
        row: &IncomingRow,
        inside: &Inside,
        path: &str,
    ) -> Result<ReceivedFile, ExchangeError> {
        self.not_closed(row)?;
        if let Some(why) = row.details.scan.as_ref().and_then(|scan| scan.holds(path)) {
            let (is, needs) = (format!("held ({why})"), "released by a supervisor");
            return Err(ExchangeError::WrongState { what: "file", is, needs });
        }
        let file = inside.files.iter().find(|file| file.path == path).cloned();
        file.ok_or(ExchangeError::NoSuch { what: "file in the parcel" })
    }

    /// The terms that a parcel came under: of the agreement that its offer names, if that is one with its sender, or was
    /// one before its file was taken away; otherwise, for each side has its own names, of all that are. What was
    /// brought came under none.
    pub(crate) async fn origins(
        &self,
        row: &IncomingRow,
        inside: &Inside,
        purpose: Option<&PurposeCode>,
    ) -> Result<Vec<Origin>, ExchangeError> {
        if self.is_brought(row) {
            return Ok(Vec::new());
        }
        let with = |agreement: &&Agreement| {
            agreement.terms.parties.iter().any(|party| party.ori.as_str() == row.partner)
        };
        let ids: Vec<String> =
            self.book().agreements().filter(with).map(|one| one.facts.id.clone()).collect();
        let named = ids.contains(&row.details.agreement);
        let mut agreements = Vec::new();
        let gone = self.text_of_gone(&row.details.agreement).await?;
        match gone.filter(|gone| with(&gone)) {
            Some(gone) => agreements.push(gone),
            None => {
                for id in ids.iter().filter(|id| !named || **id == row.details.agreement) {
                    agreements.push(self.agreement(id).await?);
                }
            }
        }
        let partner = self.book().partner(&row.partner);
        let theirs = partner.and_then(|partner| partner.jurisdiction.as_deref());
        let rules = self.book().jurisdictions();
        let mut origins = Vec::new();
        for agreement in agreements {
            let asked = classes(inside, [&agreement])?;
            let stricter = rules.stricter(&agreement, theirs, &asked, purpose, self.now());
            origins.push(Origin { agreement, asked, stricter });
        }
        Ok(origins)
    }

    fn item_of(
        &self,
        (row, origin): (&IncomingRow, &IncomingRow),
        inside: &Inside,
        file: &ReceivedFile,
        terms: &[Origin],
    ) -> Result<Item, ExchangeError> {
        let asked = classes(inside, terms.iter().map(|origin| &origin.agreement))?;
        let record_classes: BTreeSet<RecordClass> =
            asked.iter().map(|(class, _)| class.clone()).collect();
        let (record_class, caveats) =
            asked.into_iter().next().ok_or(ExchangeError::NoSuch { what: "class of records" })?;
        let redaction = row.details.redaction.as_ref();
        let (path, label) = match redaction {
            Some(redaction) => {
                (format!("redacted/{}-{}", row.number, file.path), redaction.label(&file.path))
            }
            None => {
                let name = &row.details.sender_name;
                let label =
                    format!("{}, received from {name} in exchange {}", file.path, row.exchange);
                (format!("received/{}/{}", row.partner, file.path), label)
            }
        };
        Ok(Item {
            path,
            label,
            media_type: file.media_type.clone(),
            seen: file.seen.clone(),
            record_class,
            caveats,
            listed: None,
            fetch: serde_json::Value::Null,
            received: Some(ReceivedFrom {
                exchange: row.exchange,
                path: file.path.clone(),
                from: (!self.is_brought(origin)).then(|| origin.partner.clone()),
                record_classes,
                destroy_by: row.details.afterwards.destroy_by,
                originals: redaction.map(|it| it.originals.clone()).unwrap_or_default(),
                with_original: false,
            }),
        })
    }
}

/// The classes that a parcel may hold, each with all its marks. Where it names none, or one that is no word of the
/// policy, it may hold whatever the agreements let cross.
pub(crate) fn classes<'a>(
    inside: &Inside,
    agreements: impl IntoIterator<Item = &'a Agreement>,
) -> Result<Vec<Asked>, ExchangeError> {
    let marks = inside.handling.iter().filter_map(|mark| mark.parse().ok());
    let marks: BTreeSet<Caveat> = marks.collect();
    let words = inside.record_classes.iter().filter_map(|class| class.parse().ok());
    let mut named: BTreeSet<RecordClass> = words.collect();
    if named.is_empty() || named.len() < inside.record_classes.len() {
        for agreement in agreements {
            named.extend(agreement.facts.record_classes.iter().cloned());
        }
    }
    if named.is_empty() {
        named.insert(crate::record::cji()?);
    }
    Ok(named.into_iter().map(|class| (class, marks.clone())).collect())
}
