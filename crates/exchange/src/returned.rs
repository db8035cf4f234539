//! What comes back from a partner by hand: its signed receipt, and its answer to a recall as somebody here heard it.
//!
//! Invariants: a receipt counts only when the partner's signature, the parcel, the exchange and the digest are the right
//! ones, as if its server had sent it; an answer is recorded with who said it, how and when, before the recall stops
//! reminding; what is refused is on record too, and changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate::{Permit, Plan};
use jiff::Timestamp;
use jiff::civil::Date;
use ledger::{Event, RecallAnswered};
use parcel::receipt::{Outcome, Receipt, SignedReceipt};
use policy::{Action, ResourceKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::afterwards::ActFacts;
use crate::delivery::short;
use crate::model::{Export, ExportRow, ExportStatus, SealedFacts};
use crate::protocol::SignedText;
use crate::recall::reason_of;
use crate::record::About;
use crate::{Caller, CertificateUse, Exchange, ExchangeError, Partner};

/// Letters of a person's name.
const NAME_CHARS_MAX: usize = 200;
/// What is said of an answer or a receipt that is not for this export.
const RECEIPT: &str = "receipt.json";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$item_doc])* $item,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$item,)+];

            /// As it is recorded and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text,)+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().find(|one| one.as_str() == text).copied()
            }
        }
    };
}

words! {
    /// How a partner's answer came.
    AnsweredBy {
        Letter = "letter";
        Telephone = "telephone";
        Mail = "e-mail";
        InPerson = "conversation";
    }
}

words! {
    /// What a partner did with a parcel that was recalled.
    RecallAnswer {
        Destroyed = "destroyed";
        GivenBack = "given back";
        Kept = "kept";
        NeverHad = "never had";
    }
}

/// The two files that a partner sends back, as `HOW-TO-OPEN.txt` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// `receipt.json`.
    pub json: Vec<u8>,
    /// `receipt.json.p7s`, DER.
    pub signature: Vec<u8>,
}

/// What a partner answered to a recall, as a person here heard or read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    pub answer: RecallAnswer,
    pub how: AnsweredBy,
    /// Who at the partner said so.
    pub who: String,
    /// On which day.
    pub on: Date,
    /// What was said.
    pub reason: String,
    /// SHA-256 of a paper that it came with.
    pub document: Option<[u8; 32]>,
}

/// At the sender: an answer to a recall that a person wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnsweredFacts {
    pub answer: RecallAnswer,
    pub how: AnsweredBy,
    pub who: String,
    pub on: Date,
    /// Who wrote it down; its reason is what was said.
    pub act: ActFacts,
    /// SHA-256 of the paper, hex.
    pub document: Option<String>,
}

impl Exchange {
    /// Takes a partner's receipt that came back by hand: anchored, and the export is acknowledged or refused by it.
    ///
    /// # Errors
    /// [`ExchangeError::Refused`] where the signature or the form does not hold; [`ExchangeError::Input`] where it is for
    /// something else; [`ExchangeError::WrongState`] where there is nothing to acknowledge;
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`]. The export is then as before.
    pub async fn add_receipt(
        &self,
        caller: &Caller,
        export: Uuid,
        returned: Returned,
    ) -> Result<Export, ExchangeError> {
        let row = self.export_row(export).await?;
        let permit = self.ask_of_export(caller, &row, "add the partner's receipt to").await?;
        let taken = self.take_returned(caller, row, returned).await;
        self.closed_or_withheld(permit, taken).await
    }

    async fn take_returned(
        &self,
        caller: &Caller,
        row: ExportRow,
        returned: Returned,
    ) -> Result<ExportRow, ExchangeError> {
        let _claim = self.claim(row.id).ok_or(ExchangeError::Changed { what: "export" })?;
        let mut row = self.export_row(row.id).await?;
        let open = ExportStatus::parse(&row.status).is_ok_and(awaits_receipt);
        let sealed = row.details.sealed.clone().filter(|_| open && row.details.receipt.is_none());
        let Some(sealed) = sealed else {
            let needs = "sealed, and without a receipt";
            return Err(ExchangeError::WrongState { what: "export", is: row.status, needs });
        };
        let partner = self.partner(&row.partner)?.clone();
        if let Some(clause) = self.unread_partner(&row.partner).await? {
            return Err(ExchangeError::Unread(clause));
        }
        let receipt = self.returned_receipt(&row, &partner, &sealed, &returned)?;
        self.hear(&partner, receipt.ledger_checkpoint.as_deref()).await;
        let text = SignedText {
            json: String::from_utf8(returned.json).map_err(|_| odd("a text in UTF-8"))?,
            signature: BASE64.encode(&returned.signature),
        };
        self.take_receipt(Some(caller), &mut row, &receipt, &text, None).await?;
        if receipt.outcome != Outcome::Accepted {
            return Ok(row);
        }
        let anchored = row.details.receipt;
        let settled = |row: &mut ExportRow| {
            row.details.receipt.clone_from(&anchored);
            row.details.delivery.last_problem = None;
            row.details.delivery.next_attempt_at = None;
            if row.status != ExportStatus::Recalled.as_str() {
                row.status = ExportStatus::Acknowledged.as_str().to_owned();
            }
        };
        self.change_export(row.id, self.now(), settled).await
    }

    /// The receipt, if the partner signed it and it is for this export.
    fn returned_receipt(
        &self,
        row: &ExportRow,
        partner: &Partner,
        sealed: &SealedFacts,
        returned: &Returned,
    ) -> Result<Receipt, ExchangeError> {
        let Returned { json, signature } = returned.clone();
        let now = self.now();
        let signing = partner.signing.as_ref().ok_or_else(|| {
            odd("from a partner whose file here has a `signing_certificate`: it says who signs")
        })?;
        if let Some(revoked) = partner.revoked(signing, now) {
            return Err(revoked.error(CertificateUse::Signing));
        }
        let trust = partner.trust(now);
        let signed = SignedReceipt { json, signature };
        let (receipt, _) =
            parcel::receipt::verify(&signed, &trust).map_err(ExchangeError::Refused)?;
        let exchange = row.exchange.map(|exchange| exchange.to_string());
        let named = receipt.ledger_entry.is_some() || receipt.ledger_checkpoint.is_some();
        let checkpoint = receipt.ledger_checkpoint.as_deref().unwrap_or_default();
        let borne_out = || partner.signed(receipt.ledger_entry.unwrap_or_default(), checkpoint);
        let checks = [
            (Some(receipt.parcel) == row.parcel, "the receipt for the parcel of this export"),
            (receipt.digest == sealed.digest, "a receipt with the digest of this export's parcel"),
            (
                Some(&receipt.exchange_id) == exchange.as_ref(),
                "a receipt with the exchange_id of this export, which stands in metadata/transfer.json",
            ),
            (receipt.receiver.ori == row.partner, "a receipt whose receiver.ori is the partner's"),
            // One who has no ledger names no entry. Who names one is held to it.
            (
                !named || borne_out(),
                "a receipt whose ledger_checkpoint is of the partner's ledger and covers its entry",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, expected)) => Err(odd(expected)),
            None => Ok(receipt),
        }
    }

    /// Writes down how a partner answered a recall otherwise than by its server. No reminder is sent any more.
    ///
    /// # Errors
    /// [`ExchangeError::Input`] for a field; [`ExchangeError::WrongState`] where no answer is waited for;
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`]. The recall then waits as before.
    pub async fn answer_recall(
        &self,
        caller: &Caller,
        export: Uuid,
        answered: Answered,
    ) -> Result<Export, ExchangeError> {
        let row = self.export_row(export).await?;
        let who = name_of(&answered.who)?;
        let reason = reason_of(&answered.reason)?;
        day_of(&row, answered.on, self.now())?;
        let permit =
            self.ask_of_export(caller, &row, "write down an answer to the recall of").await?;
        let answered = Answered { who, reason, ..answered };
        let taken = self.take_answer(caller, row, answered).await;
        self.closed_or_withheld(permit, taken).await
    }

    async fn take_answer(
        &self,
        caller: &Caller,
        row: ExportRow,
        answered: Answered,
    ) -> Result<ExportRow, ExchangeError> {
        if !Export::of(row.clone())?.awaits_answer() {
            let is = "not waiting for an answer to a recall".to_owned();
            let needs = "recalled, and not answered";
            return Err(ExchangeError::WrongState { what: "export", is, needs });
        }
        let Answered { answer, how, who, on, reason, document } = answered;
        let document = document.map(hex::encode);
        let event = Event::RecallAnswered(RecallAnswered {
            export: row.id.to_string(),
            exchange: row.exchange.map(|exchange| exchange.to_string()),
            partner: row.partner.clone(),
            answer: answer.as_str().to_owned(),
            how: how.as_str().to_owned(),
            who: who.clone(),
            on: on.to_string(),
            reason: reason.clone(),
            document: document.clone(),
        });
        let recorded = self.record(Some(caller), &row.details.why, event).await?;
        let act = ActFacts {
            by: caller.actor.clone(),
            at: recorded.at,
            entry: recorded.entry.0,
            leaf: hex::encode(recorded.leaf),
            reason: Some(reason),
        };
        let facts = AnsweredFacts { answer, how, who, on, act, document };
        let settled = |row: &mut ExportRow| {
            if let Some(recall) = &mut row.details.recall {
                recall.answered = Some(facts.clone());
                recall.remind_at = None;
            }
        };
        self.change_export(row.id, recorded.at, settled).await
    }

    /// Leave from the policy to see to what left: whoever may recall an export may.
    async fn ask_of_export(
        &self,
        caller: &Caller,
        row: &ExportRow,
        what: &str,
    ) -> Result<Permit, ExchangeError> {
        let details = &row.details;
        let first = details.items.first().ok_or(ExchangeError::NoSuch { what: "item" })?;
        let about = About {
            kind: ResourceKind::Export,
            id: row.id.to_string(),
            record_class: first.record_class.clone(),
            caveats: details.items.iter().flat_map(|item| item.caveats.clone()).collect(),
            requested_by: Some(details.requester.id.clone()),
            agreement: None,
        };
        let plan = Plan::Export(format!("{what} export {}", row.id));
        self.ask(caller, Action::RecallExport, about, &details.why, plan).await
    }

    async fn closed_or_withheld(
        &self,
        permit: Permit,
        taken: Result<ExportRow, ExchangeError>,
    ) -> Result<Export, ExchangeError> {
        match taken {
            Ok(row) => {
                self.close(vec![permit]).await?;
                Export::of(row)
            }
            Err(error) => {
                self.0.setup.gate.withhold(permit.ticket(), &short(&error.chain())).await?;
                Err(error)
            }
        }
    }
}

impl Export {
    /// Whether a receipt for it can come back by hand.
    pub fn takes_receipt(&self) -> bool {
        self.details.sealed.is_some()
            && self.details.receipt.is_none()
            && awaits_receipt(self.status)
    }
}

fn awaits_receipt(status: ExportStatus) -> bool {
    match status {
        ExportStatus::Sealed
        | ExportStatus::Sending
        | ExportStatus::Delivered
        | ExportStatus::Recalled
        | ExportStatus::Expired
        | ExportStatus::Failed => true,
        ExportStatus::Requested
        | ExportStatus::Approved
        | ExportStatus::Sealing
        | ExportStatus::Acknowledged
        | ExportStatus::Rejected
        | ExportStatus::Refused => false,
    }
}

/// Whether a recall can have been answered on that day. Elsewhere it may be the day before or after.
fn day_of(row: &ExportRow, on: Date, now: Timestamp) -> Result<(), ExchangeError> {
    let day = |at| jiff::tz::TimeZone::UTC.to_datetime(at).date();
    let one = jiff::Span::new().days(1);
    if on > day(now).saturating_add(one) {
        return Err(ExchangeError::Input { field: "on", expected: "a day that has come" });
    }
    let recalled = row.details.recall.as_ref().map(|recall| day(recall.at));
    if recalled.is_some_and(|since| on < since.saturating_sub(one)) {
        return Err(ExchangeError::Input { field: "on", expected: "a day since the recall" });
    }
    Ok(())
}

fn odd(expected: &'static str) -> ExchangeError {
    ExchangeError::Input { field: RECEIPT, expected }
}

fn name_of(text: &str) -> Result<String, ExchangeError> {
    let text = text.trim();
    let sound = !text.is_empty()
        && text.chars().count() <= NAME_CHARS_MAX
        && !text.chars().any(char::is_control);
    if sound {
        return Ok(text.to_owned());
    }
    Err(ExchangeError::Input { field: "who", expected: "1 to 200 characters on one line" })
}
