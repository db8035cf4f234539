//! How long a partner's parcel is kept: until its terms say that it is destroyed, and no day longer.
//!
//! Invariants: from that moment nobody opens it; it is destroyed by a person, or by the platform where the agency
//! says so, and the certificate goes back either way; what a hold covers is not destroyed, whatever is due.

use gate::Permit;
use jiff::{SignedDuration, Timestamp};
use ledger::retention::HoldScope;
use ledger::{Event, Subject};
use policy::{Actor, Assurance, Why};

use crate::afterwards::ActFacts;
use crate::destruction::METHOD;
use crate::model::{Incoming, IncomingRow, IncomingStatus, Inside};
use crate::passing::Origin;
use crate::{Exchange, ExchangeError};

/// Somebody is told so many days before, and on the day.
const DAYS_LEFT: [i64; 3] = [30, 7, 0];
const DAY_SECONDS: i64 = 24 * 60 * 60;
const HERE: [IncomingStatus; 2] = [IncomingStatus::Received, IncomingStatus::Accepted];

impl Incoming {
    /// Whether the time for which its terms let it be kept is over.
    pub fn is_past_its_time(&self, now: Timestamp) -> bool {
        self.afterwards.destroy_by.is_some_and(|by| by <= now)
    }

    /// Days until it has to be destroyed, where that is soon.
    pub fn days_left(&self, now: Timestamp) -> Option<i64> {
        let left = days_between(now, self.afterwards.destroy_by?);
        (left <= DAYS_LEFT[0]).then_some(left)
    }
}

impl Origin {
    /// The least of what agreement and rules say.
    fn keep_days_max(&self) -> Option<u32> {
        self.stricter.keep_days_max
    }

    /// Which of them says it.
    fn says_how_long(&self, days: u32) -> String {
        let rule = self.stricter.applied.iter().find(|rule| rule.keep_days_max == Some(days));
        let by = match rule.filter(|_| self.agreement.terms.retention_days != Some(days)) {
            Some(rule) => format!("rule {} of {} ({})", rule.id, rule.jurisdiction, rule.citation),
            None => format!("agreement {}", self.agreement.facts.id),
        };
        format!("{days} days, by {by}")
    }
}

impl Exchange {
    /// Sets when a parcel that is received now has to be destroyed: the least of what the agreement that it came under
    /// says, and the rules of both sides' jurisdictions.
    pub(crate) async fn set_end(
        &self,
        row: &mut IncomingRow,
        inside: &Inside,
        received: Timestamp,
    ) -> Result<(), ExchangeError> {
        let origins = self.origins(row, inside, None).await?;
        let least = origins.iter().filter_map(|origin| Some((origin.keep_days_max()?, origin)));
        let Some((days, origin)) = least.min_by_key(|(days, _)| *days) else { return Ok(()) };
        let lasts = SignedDuration::from_hours(24 * i64::from(days));
        row.details.afterwards.destroy_by = received.checked_add(lasts).ok();
        row.details.afterwards.destroy_rule = Some(origin.says_how_long(days));
        Ok(())
    }

    /// Until when rules say that a parcel is kept at least; the platform destroys nothing by itself before.
    async fn kept_until(&self, row: &IncomingRow) -> Result<Option<Timestamp>, ExchangeError> {
        let details = &row.details;
        let (Some(inside), Some(received)) = (&details.inside, details.received_at) else {
            return Ok(None);
        };
        let origins = self.origins(row, inside, None).await?;
        let days = origins.iter().filter_map(|origin| origin.stricter.keep_days_min).max();
        let lasts = days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
        Ok(lasts.and_then(|lasts| received.checked_add(lasts).ok()))
    }

    /// The hold that a parcel is under, if it is under one: on its case, on its sender, or on the entry of its arrival.
    pub(crate) fn hold_on(&self, row: &IncomingRow) -> Result<Option<String>, ExchangeError> {
        let case = row.details.inside.as_ref().and_then(|inside| inside.case_number.as_deref());
        self.hold_over(case, &row.partner, row.details.received_entry)
    }

    /// The hold on a case, a partner or an entry, if there is one.
    pub(crate) fn hold_over(
        &self,
        case: Option<&str>,
        partner: &str,
        entry: Option<u64>,
    ) -> Result<Option<String>, ExchangeError> {
        let ledger = &self.0.setup.ledger;
        let told = ledger.holds_and_dispositions().map_err(ExchangeError::LedgerRead)?;
        let subject = case.map(|id| Subject { kind: "case".to_owned(), id: id.to_owned() });
        let marked = subject.map(|subject| ledger.hold_on(&subject));
        let covers = |what: &HoldScope| match what {
            HoldScope::Case { number } => case.is_some_and(|it| it.eq_ignore_ascii_case(number)),
            HoldScope::Partner { partner: held } => held == partner,
            HoldScope::Entries { first, last } => {
                entry.is_some_and(|entry| (*first..=*last).contains(&entry))
            }
            HoldScope::Subject { .. } => marked.as_ref() == Some(what),
            HoldScope::Actor { .. } | HoldScope::Bucket { .. } => false,
        };
        let now = self.now();
        let found = told.holds.iter().find(|it| it.is_active(now) && covers(&it.what));
        Ok(found.map(|hold| hold.name.clone()))
    }

    /// Refuses to destroy what is under a hold.
    pub(crate) async fn not_on_hold(
        &self,
        row: &IncomingRow,
        permit: &Permit,
    ) -> Result<(), ExchangeError> {
        let Some(hold) = self.hold_on(row)? else { return Ok(()) };
        let is = format!("under the hold {hold}");
        self.0.setup.gate.withhold(permit.ticket(), &format!("the parcel is {is}")).await?;
        Err(ExchangeError::WrongState { what: "parcel", is, needs: "released from it" })
    }

    /// Tells of parcels whose time is nearly or wholly over, and destroys the latter where the agency says so.
    pub(crate) async fn keep_in_time(&self) -> Result<(), ExchangeError> {
        let now = self.now();
        let soon = |parcel: &Incoming| parcel.days_left(now).is_some();
        for parcel in self.every_incoming(&HERE, soon).await? {
            let row = self.incoming_row(parcel.exchange).await?;
            if let Err(error) = self.tell_of_end(row).await {
                tracing::warn!(error = error.chain(), "a parcel's end was not told of yet");
            }
            if self.0.setup.settings.destroy_when_due && parcel.is_past_its_time(now) {
                let row = self.incoming_row(parcel.exchange).await?;
                if let Err(error) = self.destroy_itself(row).await {
                    tracing::warn!(
                        error = error.chain(),
                        "a parcel past its time is not destroyed"
                    );
                }
            }
        }
        Ok(())
    }

    async fn tell_of_end(&self, mut row: IncomingRow) -> Result<(), ExchangeError> {
        let Some(by) = row.details.afterwards.destroy_by else { return Ok(()) };
        let left = days_between(self.now(), by);
        let step = DAYS_LEFT.into_iter().filter(|days| left <= *days).min();
        let Some(step) = step else { return Ok(()) };
        if row.details.afterwards.destroy_told.is_some_and(|told| told <= step) {
            return Ok(());
        }
        let number = row.number;
        let words = match step {
            0 => format!("parcel no. {number} is past its time and has to be destroyed"),
            _ => format!("parcel no. {number} has to be destroyed in {left} days"),
        };
        self.alert(&row.partner, Some(row.exchange), words).await?;
        row.details.afterwards.destroy_told = Some(step);
        self.store_incoming(&mut row).await
    }

    /// Destroys a parcel whose time is over, in nobody's name.
    async fn destroy_itself(&self, mut row: IncomingRow) -> Result<(), ExchangeError> {
        let due = row.details.afterwards.destroy_by.is_some_and(|by| by <= self.now());
        if !due || !HERE.iter().any(|status| status.as_str() == row.status) {
            return Ok(());
        }
        if let Some(hold) = self.hold_on(&row)? {
            tracing::info!(exchange = %row.exchange, hold, "kept by a hold");
            return Ok(());
        }
        if let Some(until) = self.kept_until(&row).await?.filter(|until| *until > self.now()) {
            tracing::info!(exchange = %row.exchange, %until, "rules disagree: a person decides");
            return Ok(());
        }
        let reason = "the time for which its terms let it be kept is over".to_owned();
        let event = Event::ParcelDestroyed {
            exchange: row.exchange.to_string(),
            parcel: row.parcel.to_string(),
            partner: row.partner.clone(),
            digest: hex::encode(row.digest),
            method: METHOD.to_owned(),
            reason: reason.clone(),
        };
        let receipt = self.record(None, &Why::default(), event).await?;
        let act = ActFacts {
            by: self.nobody()?,
            at: receipt.at,
            entry: receipt.entry.0,
            leaf: hex::encode(receipt.leaf),
            reason: Some(reason),
        };
        self.order_destruction(&mut row, act).await?;
        self.finish_destruction(&mut row).await
    }

    /// The platform, where a person would stand.
    fn nobody(&self) -> Result<Actor, ExchangeError> {
        let agency = self.ori()?;
        let id = format!("platform|{agency}").parse();
        let id = id.map_err(|_| ExchangeError::Input { field: "actor", expected: "an account" })?;
        Ok(Actor {
            id,
            name: "the platform, on its own".to_owned(),
            agency,
            functions: std::collections::BTreeSet::new(),
            assurance: Assurance {
                mfa: false,
                context: String::new(),
                authenticated_at: self.now(),
                stepped_up_at: None,
            },
            lacking: Vec::new(),
        })
    }
}

/// Days from now on, a begun one counted whole: 0 once the moment has come.
fn days_between(now: Timestamp, by: Timestamp) -> i64 {
    let seconds = by.duration_since(now).as_secs().max(0);
    seconds.saturating_add(DAY_SECONDS - 1).div_euclid(DAY_SECONDS)
}
