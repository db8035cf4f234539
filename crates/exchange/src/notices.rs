//! What we have to tell partners: signed, recorded, and sent until it is anchored there.
//!
//! Invariants: a notice rests on an entry of our ledger that was there before it; its issuing is recorded
//! before it is sent; it is sent until the partner has answered, and the partner's answer names the entry
//! that anchors it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use ledger::{Event, NoticeIssued};
use parcel::notice::{Matter, NOTICE_PROFILE, Notice};
use policy::Why;
use state::notices::{Committed, Effect, Way};
use uuid::Uuid;
use wire::Outgoing;

use crate::afterwards::{NoticeDetails, NoticeRow, Told};
use crate::again::REVIEW_WAIT;
use crate::delivery::short;
use crate::error::FirstError;
use crate::model::{ExportDetails, ExportRow, IncomingDetails, IncomingRow};
use crate::protocol::{JSON, LedgerPlace, NOTICES, NoticeAnswer, SignedText};
use crate::push::{Line, said};
use crate::{Caller, Exchange, ExchangeError, Partner};

/// Notices that are worked on in one round.
const ROUND_MAX: u64 = 100;
/// Notices of one exchange that a page shows.
const ABOUT_MAX: u64 = 200;

/// How far one of ours has come.
const DRAFTED: &str = "drafted";
const SIGNED: &str = "signed";
const DELIVERED: &str = "delivered";
const STUCK: &str = "stuck";

/// What a notice is about, and what it rests on.
pub(crate) struct Draft {
    pub(crate) matter: Matter,
    pub(crate) person: Option<String>,
    pub(crate) at: Timestamp,
    pub(crate) entry: u64,
    pub(crate) leaf: String,
}

impl Draft {
    /// Of what was just recorded; `person` is who did it, where it was a person.
    pub(crate) fn of(receipt: &ledger::Receipt, matter: Matter, person: Option<&Caller>) -> Self {
        Self {
            matter,
            person: person.map(|caller| caller.actor.name.clone()),
            at: receipt.at,
            entry: receipt.entry.0,
            leaf: hex::encode(receipt.leaf),
        }
    }
}

impl Exchange {
    /// Stores a changed export together with the notice of it to its partner.
    pub(crate) async fn store_export_and_tell(
        &self,
        row: &mut ExportRow,
        draft: Draft,
    ) -> Result<(), ExchangeError> {
        let nothing = || ExchangeError::NoSuch { what: "exchange" };
        row.updated_at = draft.at;
        let digest = row.details.sealed.as_ref().map(|sealed| sealed.digest.clone());
        let about = About {
            exchange: row.exchange.ok_or_else(nothing)?,
            number: row.number.ok_or_else(nothing)?,
            parcel: row.parcel.ok_or_else(nothing)?,
            digest: digest.unwrap_or_default(),
        };
        let mut notice = drafted(&row.partner, &about, draft);
        let effect = Effect::<ExportDetails, IncomingDetails>::Export(row);
        let done = state::notices::commit(&self.0.setup.state, &mut notice, effect).await?;
        self.ring(&done, "export")
    }

    /// Stores a changed parcel of a partner together with the notice of it to that partner.
    pub(crate) async fn store_incoming_and_tell(
        &self,
        row: &mut IncomingRow,
        draft: Draft,
    ) -> Result<(), ExchangeError> {
        // What others brought has nobody who waits for a notice.
        if self.is_brought(row) {
            return self.store_incoming(row).await;
        }
        row.updated_at = draft.at;
        let about = About {
            exchange: row.exchange,
            number: row.number,
            parcel: row.parcel,
            digest: hex::encode(row.digest),
        };
        let mut notice = drafted(&row.partner, &about, draft);
        let effect = Effect::<ExportDetails, IncomingDetails>::Parcel(row);
        let done = state::notices::commit(&self.0.setup.state, &mut notice, effect).await?;
        self.ring(&done, "parcel")
    }

    fn ring(
        &self,
        done: &Committed<NoticeDetails>,
        what: &'static str,
    ) -> Result<(), ExchangeError> {
        match done {
            Committed::Done => {
                self.0.bell.notify_one();
                Ok(())
            }
            Committed::Known(_) | Committed::Changed => Err(ExchangeError::Changed { what }),
        }
    }

    /// Every notice about an exchange, both ways.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn told(&self, exchange: Uuid) -> Result<Vec<Told>, ExchangeError> {
        let mut rows = state::notices::about(&self.0.setup.state, exchange, ABOUT_MAX).await?;
        rows.sort_by_key(|row: &NoticeRow| row.details.at);
        Ok(rows.into_iter().map(Told::of).collect())
    }

    /// Signs and sends what is due. One that does not arrive stops no other.
    pub(crate) async fn work_on_notices(&self) -> Result<(), ExchangeError> {
        let (state, now) = (&self.0.setup.state, self.now());
        let rows = state::notices::due(state, &[DRAFTED, SIGNED], now, ROUND_MAX).await?;
        let mut first = FirstError::default();
        for mut row in rows {
            if let Err(error) = self.tell(&mut row).await {
                tracing::warn!(notice = row.number, error = error.chain(), "not told yet");
                first.note("a notice was not put off", self.put_off_notice(&mut row, &error).await);
            }
        }
        first.end()
    }

    async fn tell(&self, row: &mut NoticeRow) -> Result<(), ExchangeError> {
        let partner = self.partner(&row.partner)?.clone();
        if let Some(clause) = self.unread_partner(&row.partner).await? {
            return Err(ExchangeError::Unread(clause));
        }
        if row.status == DRAFTED {
            self.sign_notice(row).await?;
        }
        let answer = self.post(row, &partner).await?;
        self.hear(&partner, Some(&answer.ledger.checkpoint)).await;
        if row.details.matter.is_senders() {
            self.heard_of_recall(row, &partner, &answer).await?;
        }
        row.details.answer = Some(answer);
        row.details.last_problem = None;
        row.status = DELIVERED.to_owned();
        self.store_notice(row).await
    }

    async fn sign_notice(&self, row: &mut NoticeRow) -> Result<(), ExchangeError> {
        let (setup, details) = (&self.0.setup, &mut row.details);
        let notice = Notice {
            profile: NOTICE_PROFILE.to_owned(),
            number: row.number,
            from: setup.agency.clone(),
            to: row.partner.clone(),
            exchange: row.exchange,
            exchange_number: details.exchange_number,
            parcel: details.parcel,
            digest: details.digest.clone(),
            matter: details.matter.clone(),
            person: details.person.clone(),
            at: details.at,
            ledger_entry: details.entry,
            ledger_leaf: details.leaf.clone(),
            ledger_checkpoint: setup.ledger.checkpoint().map_err(ExchangeError::LedgerRead)?,
        };
        let signed = parcel::notice::sign(&notice, &setup.signer, self.now());
        let signed = signed.map_err(ExchangeError::Seal)?;
        let event = Event::NoticeIssued(NoticeIssued {
            exchange: row.exchange.to_string(),
            partner: row.partner.clone(),
            number: row.number,
            what: details.matter.word().to_owned(),
            digest: hex::encode(keys::digest::sha256(&signed.json)),
        });
        self.record(None, &Why::default(), event).await?;
        let no_text = |_| ExchangeError::Protocol { what: "a notice that is no text" };
        details.text = Some(SignedText {
            json: String::from_utf8(signed.json).map_err(no_text)?,
            signature: BASE64.encode(&signed.signature),
        });
        row.status = SIGNED.to_owned();
        self.store_notice(row).await
    }

    async fn post(
        &self,
        row: &NoticeRow,
        partner: &Partner,
    ) -> Result<NoticeAnswer, ExchangeError> {
        let wrong = |what| ExchangeError::Protocol { what };
        let text = row.details.text.as_ref().ok_or_else(|| wrong("a notice without its text"))?;
        let json = serde_json::to_vec(text).map_err(|_| wrong("a notice that can't be written"))?;
        let request = Request::post(NOTICES)
            .header(header::CONTENT_TYPE, JSON)
            .body(Outgoing::bytes(json.into()))
            .map_err(wire::WireError::from)?;
        let mut connection = Line::to(self, partner)?.open().await?;
        let reply = connection.send(request).await?;
        let answer: NoticeAnswer = said(reply, &[StatusCode::OK]).await?;
        let LedgerPlace { entry, checkpoint, .. } = &answer.ledger;
        if answer.number != row.number || !partner.signed(*entry, checkpoint) {
            return Err(wrong("an answer that does not anchor the notice"));
        }
        Ok(answer)
    }

    /// Later each time; in the end somebody has to look.
    async fn put_off_notice(
        &self,
        row: &mut NoticeRow,
        error: &ExchangeError,
    ) -> Result<(), ExchangeError> {
        let settings = &self.0.setup.settings;
        let details = &mut row.details;
        details.last_problem = Some(short(&error.chain()));
        if matches!(error, ExchangeError::Unread(_)) {
            row.next_at = self.now().saturating_add(REVIEW_WAIT).unwrap_or(Timestamp::MAX);
            return self.store_put_off(row).await;
        }
        details.failures = details.failures.saturating_add(1);
        let next = self.now().saturating_add(settings.retry_wait(details.failures));
        row.next_at = next.unwrap_or(Timestamp::MAX);
        let nowhere = matches!(error, ExchangeError::NoServer);
        if nowhere || (details.failures >= settings.failures_max && !error.is_later()) {
            let why =
                if nowhere { ": the partner has no server; tell them by other means" } else { "" };
            let what = format!("notice no. {} could not be delivered{why}", row.number);
            self.alert(&row.partner, Some(row.exchange), what).await?;
            row.status = STUCK.to_owned();
        }
        self.store_put_off(row).await
    }

    async fn store_put_off(&self, row: &mut NoticeRow) -> Result<(), ExchangeError> {
        match self.store_notice(row).await {
            Ok(()) | Err(ExchangeError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Records that something between us and a partner needs a person.
    pub(crate) async fn alert(
        &self,
        partner: &str,
        exchange: Option<Uuid>,
        what: String,
    ) -> Result<ledger::Receipt, ExchangeError> {
        let exchange = exchange.map(|exchange| exchange.to_string());
        let event = Event::ExchangeAlert { partner: partner.to_owned(), exchange, what };
        self.record(None, &Why::default(), event).await
    }

    async fn store_notice(&self, row: &mut NoticeRow) -> Result<(), ExchangeError> {
        if state::notices::replace(&self.0.setup.state, row).await? {
            return Ok(());
        }
        Err(ExchangeError::Changed { what: "notice" })
    }
}

/// The exchange that a notice is about.
struct About {
    exchange: Uuid,
    number: u64,
    parcel: Uuid,
    digest: String,
}

fn drafted(partner: &str, about: &About, draft: Draft) -> NoticeRow {
    NoticeRow {
        way: Way::Out,
        partner: partner.to_owned(),
        number: 0,
        exchange: about.exchange,
        status: DRAFTED.to_owned(),
        next_at: draft.at,
        version: 0,
        details: NoticeDetails {
            matter: draft.matter,
            parcel: about.parcel,
            digest: about.digest.clone(),
            exchange_number: about.number,
            person: draft.person,
            at: draft.at,
            entry: draft.entry,
            leaf: draft.leaf,
            text: None,
            answer: None,
            failures: 0,
            last_problem: None,
        },
    }
}
