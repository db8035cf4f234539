//! What people here decide about a partner's parcel: accept it, turn it away, destroy it, or keep it
//! although its sender wants it back. Each is told to the sender by a signed notice.
//!
//! Invariants: the decision is recorded before it takes effect; the certificate of destruction is signed
//! only after the files are gone; what a crash leaves half destroyed is finished, not brought back.

use gate::{Permit, Plan};
use ledger::Event;
use parcel::notice::Matter;
use policy::{Action, Why};
use uuid::Uuid;

use crate::afterwards::ActFacts;
use crate::error::store;
use crate::model::{Incoming, IncomingRow, IncomingStatus};
use crate::notices::Draft;
use crate::opening::about;
use crate::recall::reason_of;
use crate::{Caller, Exchange, ExchangeError};

/// What is done when a parcel is destroyed, as the certificate says it.
pub(crate) const METHOD: &str = "the parcel's files, which are encrypted to this agency's certificate, were removed \
                      from the store; nothing of it was ever stored unencrypted";

/// Which parcels can be accepted or turned away.
const ARRIVED: [IncomingStatus; 1] = [IncomingStatus::Received];

/// Which can be destroyed, or kept although they were taken back.
const STILL_HERE: [IncomingStatus; 2] = [IncomingStatus::Received, IncomingStatus::Accepted];

impl Exchange {
    /// Accepts a parcel that was verified: from now on it can be opened.
    ///
    /// # Errors
    /// [`ExchangeError::WrongState`] unless it waits for that and was scanned; [`ExchangeError::Denied`],
    /// [`ExchangeError::Unrecorded`], and then it waits as before.
    pub async fn accept_parcel(
        &self,
        caller: &Caller,
        exchange: Uuid,
    ) -> Result<Incoming, ExchangeError> {
        let (mut row, permit) =
            self.decide(caller, exchange, Action::ReceiveParcel, "accept", &ARRIVED).await?;
        self.open_to(&row, &permit).await?;
        let (exchange, parcel, partner) = names(&row);
        let event = Event::ParcelAccepted { exchange, parcel, partner };
        let act = self.act(caller, event, None).await?;
        row.details.afterwards.accepted = Some(act.clone());
        row.status = IncomingStatus::Accepted.as_str().to_owned();
        self.store_incoming_and_tell(&mut row, draft(&act, Matter::Accepted {})).await?;
        self.close(vec![permit]).await?;
        Incoming::of(row)
    }

    /// Turns a parcel away for good, in a person's name. Its files go.
    ///
    /// # Errors
    /// As [`Exchange::accept_parcel`].
    pub async fn reject_parcel(
        &self,
        caller: &Caller,
        exchange: Uuid,
        reason: &str,
    ) -> Result<Incoming, ExchangeError> {
        let reason = reason_of(reason)?;
        let (mut row, permit) =
            self.decide(caller, exchange, Action::ReceiveParcel, "reject", &ARRIVED).await?;
        self.not_on_hold(&row, &permit).await?;
        let event = Event::ParcelRefused {
            exchange: Some(row.exchange.to_string()),
            parcel: row.parcel.to_string(),
            partner: row.partner.clone(),
            where_: "a person's decision".to_owned(),
            reason: reason.clone(),
        };
        let act = self.act(caller, event, Some(reason.clone())).await?;
        row.details.afterwards.rejected = Some(act.clone());
        row.details.inside = None;
        row.details.scan = None;
        row.status = IncomingStatus::Refused.as_str().to_owned();
        row.holds_room = false;
        self.store_incoming_and_tell(&mut row, draft(&act, Matter::Rejected { reason })).await?;
        self.close(vec![permit]).await?;
        self.drop_incoming(row.exchange).await;
        Incoming::of(row)
    }

    /// Destroys a parcel, and has the certificate of that sent to its sender.
    ///
    /// # Errors
    /// As [`Exchange::accept_parcel`]; [`ExchangeError::Store`] where its files could not be removed, and
    /// then that is tried again until they are gone.
    pub async fn destroy_parcel(
        &self,
        caller: &Caller,
        exchange: Uuid,
        reason: &str,
    ) -> Result<Incoming, ExchangeError> {
        let reason = reason_of(reason)?;
        let (mut row, permit) =
            self.decide(caller, exchange, Action::DestroyParcel, "destroy", &STILL_HERE).await?;
        self.not_on_hold(&row, &permit).await?;
        let (name, parcel, partner) = names(&row);
        let event = Event::ParcelDestroyed {
            exchange: name,
            parcel,
            partner,
            digest: hex::encode(row.digest),
            method: METHOD.to_owned(),
            reason: reason.clone(),
        };
        let act = self.act(caller, event, Some(reason)).await?;
        self.order_destruction(&mut row, act).await?;
        self.close(vec![permit]).await?;
        self.finish_destruction(&mut row).await?;
        Incoming::of(row)
    }

    /// Stores that a parcel is to be destroyed, which is on record already.
    pub(crate) async fn order_destruction(
        &self,
        row: &mut IncomingRow,
        act: ActFacts,
    ) -> Result<(), ExchangeError> {
        row.details.afterwards.destroyed = Some(act);
        row.details.inside = None;
        row.details.scan = None;
        row.status = IncomingStatus::Destroying.as_str().to_owned();
        self.store_incoming(row).await
    }

    /// Keeps a parcel that its sender took back, and tells the sender why.
    ///
    /// # Errors
    /// As [`Exchange::accept_parcel`]; [`ExchangeError::WrongState`] where it was not taken back.
    pub async fn keep_parcel(
        &self,
        caller: &Caller,
        exchange: Uuid,
        reason: &str,
    ) -> Result<Incoming, ExchangeError> {
        let reason = reason_of(reason)?;
        let (mut row, permit) =
            self.decide(caller, exchange, Action::ReceiveParcel, "keep", &STILL_HERE).await?;
        if row.details.afterwards.recalled.is_none() {
            self.0.setup.gate.withhold(permit.ticket(), "it was not recalled").await?;
            let is = "not recalled".to_owned();
            return Err(ExchangeError::WrongState { what: "parcel", is, needs: "recalled" });
        }
        let (name, parcel, partner) = names(&row);
        let event = Event::ParcelKept { exchange: name, parcel, partner, reason: reason.clone() };
        let act = self.act(caller, event, Some(reason.clone())).await?;
        row.details.afterwards.kept = Some(act.clone());
        self.store_incoming_and_tell(&mut row, draft(&act, Matter::Kept { reason })).await?;
        self.close(vec![permit]).await?;
        Incoming::of(row)
    }

    /// Removes the files, and only then calls it destroyed and has the certificate signed.
    pub(crate) async fn finish_destruction(
        &self,
        row: &mut IncomingRow,
    ) -> Result<(), ExchangeError> {
        let (this, exchange) = (self.clone(), row.exchange);
        let removed = tokio::task::spawn_blocking(move || this.0.store.remove_incoming(exchange));
        let removed = removed.await.map_err(|_| ExchangeError::Stopped)?;
        removed.map_err(store("remove a parcel that is to be destroyed"))?;
        let act = row.details.afterwards.destroyed.clone();
        let act = act.ok_or(ExchangeError::NoSuch { what: "order to destroy" })?;
        row.status = IncomingStatus::Destroyed.as_str().to_owned();
        row.holds_room = false;
        let reason = act.reason.clone().unwrap_or_default();
        let matter = Matter::Destroyed { reason, method: METHOD.to_owned() };
        self.store_incoming_and_tell(row, draft(&act, matter)).await
    }

    /// Takes up what a crash, or a disk that failed, left half destroyed.
    pub(crate) async fn destroy_on(&self) -> Result<(), ExchangeError> {
        for parcel in self.every_incoming(&[IncomingStatus::Destroying], |_| true).await? {
            let mut row = self.incoming_row(parcel.exchange).await?;
            if row.status != IncomingStatus::Destroying.as_str() {
                continue;
            }
            if let Err(error) = self.finish_destruction(&mut row).await {
                tracing::warn!(error = error.chain(), "a parcel is not destroyed yet");
            }
        }
        Ok(())
    }

    /// The parcel, and leave from the policy to decide about it, if it is one of which that can be decided.
    pub(crate) async fn decide(
        &self,
        caller: &Caller,
        exchange: Uuid,
        action: Action,
        verb: &str,
        waits: &[IncomingStatus],
    ) -> Result<(IncomingRow, Permit), ExchangeError> {
        let row = self.incoming_row(exchange).await?;
        let about = about(&row, row.details.inside.as_ref())?;
        let plan = Plan::Parcel(format!("{verb} the parcel of exchange {}", row.exchange));
        let permit = self.ask(caller, action, about, &Why::default(), plan).await?;
        if waits.iter().any(|status| status.as_str() == row.status) {
            return Ok((row, permit));
        }
        let reason = format!("the parcel is {}", row.status);
        self.0.setup.gate.withhold(permit.ticket(), &reason).await?;
        let needs = waits.last().map_or("received", |status| status.as_str());
        Err(ExchangeError::WrongState { what: "parcel", is: row.status, needs })
    }

    /// Records what somebody does.
    pub(crate) async fn act(
        &self,
        caller: &Caller,
        event: Event,
        reason: Option<String>,
    ) -> Result<ActFacts, ExchangeError> {
        let receipt = self.record(Some(caller), &Why::default(), event).await?;
        Ok(ActFacts {
            by: caller.actor.clone(),
            at: receipt.at,
            entry: receipt.entry.0,
            leaf: hex::encode(receipt.leaf),
            reason,
        })
    }
}

fn names(row: &IncomingRow) -> (String, String, String) {
    (row.exchange.to_string(), row.parcel.to_string(), row.partner.clone())
}

pub(crate) fn draft(act: &ActFacts, matter: Matter) -> Draft {
    Draft {
        matter,
        person: Some(act.by.name.clone()),
        at: act.at,
        entry: act.entry,
        leaf: act.leaf.clone(),
    }
}
