//! Taking a partner's signed notice: checked, recorded, and only then of any effect.
//!
//! Invariants: a notice has an effect once, however often it comes; it has one only on an exchange between
//! us and its signer; what it changes and that it was taken are one transaction. After a recall of a parcel
//! that is not whole here, nothing of that parcel stays.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use ledger::{Event, NoticeAnchored};
use parcel::notice::{Matter, Notice, SignedNotice};
use state::notices::{Committed, Effect, Way};
use wire::IngressBody;

use crate::afterwards::{Afterwards, NoticeDetails, NoticeRow, RecalledFacts, ToldFacts};
use crate::delivery::short;
use crate::model::{ExportDetails, ExportRow, IncomingDetails, IncomingRow, IncomingStatus};
use crate::offers::whole;
use crate::protocol::{LedgerPlace, NOTICE_BODY_BYTES_MAX, NoticeAnswer, SignedText};
use crate::receive::{Guest, Told, fault, told};
use crate::{Exchange, ExchangeError};

/// How a partner's notice is stored.
const ANCHORED: &str = "anchored";

/// What a notice is about, as we know it.
enum Subject {
    Export(Box<ExportRow>),
    Parcel(Box<IncomingRow>),
    /// A parcel that was never offered to us.
    Unheard,
}

impl Exchange {
    pub(crate) async fn take_notice(&self, guest: Guest<'_>, body: IngressBody) -> Told {
        let bytes = match whole(body, NOTICE_BODY_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(told) => return told,
        };
        let (notice, text) = match self.read_notice(&guest, &bytes) {
            Ok(read) => read,
            Err(detail) => return self.bad_notice(&guest, &detail).await,
        };
        self.hear(guest.partner, Some(&notice.ledger_checkpoint)).await;
        let partner = guest.partner.ori.as_str();
        let state = &self.0.setup.state;
        match state::notices::find(state, Way::In, partner, notice.number).await {
            Ok(Some(known)) => return self.notice_again(&guest, known, &text).await,
            Ok(None) => {}
            Err(error) => return self.trouble(&error.into()),
        }
        // Not while its parts are being verified: then it is received first, or refused.
        let Some(_claim) = self.claim(notice.exchange) else {
            let detail = "the parcel is being verified; say it again in a moment";
            return told(StatusCode::SERVICE_UNAVAILABLE, &fault("unavailable", detail, None));
        };
        let subject = match self.subject(&guest, &notice).await {
            Ok(subject) => subject,
            Err(told) => return told,
        };
        match self.anchor(&guest, &notice, text, subject).await {
            Ok(answer) => told(StatusCode::OK, &answer),
            Err(error) => self.trouble(&error),
        }
    }

    /// A notice that the partner signed, from the partner, to us.
    fn read_notice(&self, guest: &Guest<'_>, bytes: &[u8]) -> Result<(Notice, SignedText), String> {
        let text: SignedText =
            serde_json::from_slice(bytes).map_err(|error| format!("not a notice: {error}"))?;
        let signature = BASE64.decode(&text.signature);
        let signature = signature.map_err(|_| "a signature that is not Base64".to_owned())?;
        let signed = SignedNotice { json: text.json.clone().into_bytes(), signature };
        let trust = guest.partner.trust(self.now());
        let notice = parcel::notice::verify(&signed, &trust)
            .map_err(|refused| format!("{}: {}", refused.file, refused.fault))?;
        let checks = [
            (notice.from.ori == guest.partner.ori.as_str(), "it is not from who calls"),
            (notice.to == self.0.setup.agency.ori, "it is to somebody else"),
            (notice.ledger_checkpoint.len() <= 4096, "the checkpoint is longer than 4096 bytes"),
            (
                guest.partner.signed(notice.ledger_entry, &notice.ledger_checkpoint),
                "the checkpoint is not of the signer's ledger, or does not cover the entry",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, detail)) => Err((*detail).to_owned()),
            None => Ok((notice, text)),
        }
    }

    /// The export or the parcel that a notice is about: one between us and its signer, with that number.
    async fn subject(&self, guest: &Guest<'_>, notice: &Notice) -> Result<Subject, Told> {
        let partner = guest.partner.ori.as_str();
        if notice.matter.is_senders() {
            return match self.incoming_row(notice.exchange).await {
                Ok(row) => {
                    let digest = hex::encode(row.digest);
                    let same = row.partner == partner
                        && row.parcel == notice.parcel
                        && row.number == notice.exchange_number
                        && (notice.digest.is_empty() || notice.digest == digest);
                    if same { Ok(Subject::Parcel(Box::new(row))) } else { self.odd(guest).await }
                }
                Err(ExchangeError::NoSuch { .. }) => Ok(Subject::Unheard),
                Err(error) => Err(self.trouble(&error)),
            };
        }
        let state = &self.0.setup.state;
        let found: Option<ExportRow> =
            match state::exports::find_by_exchange(state, notice.exchange).await {
                Ok(found) => found,
                Err(error) => return Err(self.trouble(&error.into())),
            };
        let ours = found.filter(|row| {
            let digest = row.details.sealed.as_ref().map(|sealed| sealed.digest.as_str());
            row.partner == partner
                && row.parcel == Some(notice.parcel)
                && row.number == Some(notice.exchange_number)
                && digest == Some(notice.digest.as_str())
        });
        match ours {
            Some(row) => Ok(Subject::Export(Box::new(row))),
            None => self.odd(guest).await,
        }
    }

    async fn odd(&self, guest: &Guest<'_>) -> Result<Subject, Told> {
        let detail = "no such exchange between us, or with another number, parcel or digest";
        let status = StatusCode::NOT_FOUND;
        Err(self.refuse(guest.peer, status, "unknown-exchange", detail).await)
    }

    /// Records the notice, then stores it with its effect.
    async fn anchor(
        &self,
        guest: &Guest<'_>,
        notice: &Notice,
        text: SignedText,
        subject: Subject,
    ) -> Result<NoticeAnswer, ExchangeError> {
        let digest = hex::encode(keys::digest::sha256(text.json.as_bytes()));
        let event = Event::NoticeAnchored(NoticeAnchored {
            exchange: notice.exchange.to_string(),
            partner: guest.partner.ori.to_string(),
            number: notice.number,
            what: notice.matter.word().to_owned(),
            digest: digest.clone(),
            partner_entry: notice.ledger_entry,
        });
        let recorded = self.record_peer(guest.peer, event).await?;
        let checkpoint = self.0.setup.ledger.checkpoint().map_err(ExchangeError::LedgerRead)?;
        let (entry, leaf) = (recorded.entry.0, hex::encode(recorded.leaf));
        let mut answer = NoticeAnswer {
            number: notice.number,
            ledger: LedgerPlace { entry, leaf, checkpoint },
            stood: None,
            receipt: None,
        };
        let mut row = anchored(guest, notice, text);
        let mut gone = false;
        let state = &self.0.setup.state;
        let done = match subject {
            Subject::Export(mut export) => {
                export.updated_at = recorded.at;
                export.details.told.push(told_facts(notice, entry, digest));
                row.details.answer = Some(answer.clone());
                let effect = Effect::<ExportDetails, IncomingDetails>::Export(&mut export);
                state::notices::commit(state, &mut row, effect).await?
            }
            Subject::Parcel(mut parcel) => {
                answer.stood = Some(parcel.status.clone());
                answer.receipt = parcel.details.receipt.as_ref().map(|facts| SignedText {
                    json: facts.json.clone(),
                    signature: facts.signature.clone(),
                });
                row.details.answer = Some(answer.clone());
                parcel.updated_at = recorded.at;
                gone = take_back(&mut parcel, notice, &recorded);
                let effect = Effect::<ExportDetails, IncomingDetails>::Parcel(&mut parcel);
                state::notices::commit(state, &mut row, effect).await?
            }
            Subject::Unheard => {
                answer.stood = Some("unknown".to_owned());
                row.details.answer = Some(answer.clone());
                let mut parcel = never_came(guest, notice, &recorded);
                let effect = Effect::<ExportDetails, IncomingDetails>::NewParcel(&mut parcel);
                state::notices::commit(state, &mut row, effect).await?
            }
        };
        if done != Committed::Done {
            return Err(ExchangeError::Changed { what: "exchange" });
        }
        if gone {
            self.drop_incoming(notice.exchange).await;
        }
        Ok(answer)
    }

    /// A notice that is known: the same gets the same answer, another one is a conflict.
    async fn notice_again(&self, guest: &Guest<'_>, known: NoticeRow, text: &SignedText) -> Told {
        let same = known.details.text.as_ref().is_some_and(|before| before.json == text.json);
        match known.details.answer {
            Some(answer) if same => told(StatusCode::OK, &answer),
            Some(_) | None => {
                let detail = "another notice with this number was anchored before";
                self.refuse(guest.peer, StatusCode::CONFLICT, "conflict", detail).await
            }
        }
    }

    async fn bad_notice(&self, guest: &Guest<'_>, detail: &str) -> Told {
        let detail = short(detail);
        self.refuse(guest.peer, StatusCode::BAD_REQUEST, "bad-notice", &detail).await
    }

    /// Removes what lies there of a partner's parcel that is over. What stays is ciphertext, and goes with
    /// the next start.
    pub(crate) async fn drop_incoming(&self, exchange: uuid::Uuid) {
        let this = self.clone();
        let removed = tokio::task::spawn_blocking(move || this.0.store.remove_incoming(exchange));
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, "a parcel that is over could not be removed");
        }
    }
}

/// What a recall, or an offer's end, does to a parcel here. Gives whether its bytes are to go.
fn take_back(parcel: &mut IncomingRow, notice: &Notice, recorded: &ledger::Receipt) -> bool {
    let coming = parcel.status == IncomingStatus::Receiving.as_str();
    let (ended, reason, reminders) = match &notice.matter {
        Matter::Recalled { reason, reminder } => (IncomingStatus::Recalled, reason, *reminder),
        _ if coming => (IncomingStatus::Expired, &String::new(), 0),
        // The offer ended for the sender after we had it: its receipt goes back with the answer.
        _ => return false,
    };
    if coming {
        parcel.status = ended.as_str().to_owned();
        parcel.holds_room = false;
        return true;
    }
    let facts = RecalledFacts {
        at: recorded.at,
        entry: recorded.entry.0,
        reason: reason.clone(),
        reminders,
    };
    match &mut parcel.details.afterwards.recalled {
        // A reminder asks anew, and the first recall keeps its time.
        Some(before) => before.reminders = before.reminders.max(reminders),
        none => *none = Some(facts),
    }
    false
}

fn anchored(guest: &Guest<'_>, notice: &Notice, text: SignedText) -> NoticeRow {
    NoticeRow {
        way: Way::In,
        partner: guest.partner.ori.to_string(),
        number: notice.number,
        exchange: notice.exchange,
        status: ANCHORED.to_owned(),
        next_at: notice.at,
        version: 0,
        details: NoticeDetails {
            matter: notice.matter.clone(),
            parcel: notice.parcel,
            digest: notice.digest.clone(),
            exchange_number: notice.exchange_number,
            person: notice.person.clone(),
            at: notice.at,
            entry: notice.ledger_entry,
            leaf: notice.ledger_leaf.clone(),
            text: Some(text),
            answer: None,
            failures: 0,
            last_problem: None,
        },
    }
}

fn told_facts(notice: &Notice, entry: u64, digest: String) -> ToldFacts {
    ToldFacts {
        number: notice.number,
        matter: notice.matter.clone(),
        person: notice.person.clone(),
        at: notice.at,
        entry,
        partner_entry: notice.ledger_entry,
        digest,
    }
}

/// A parcel that was taken back before it was offered here: its number is accounted for.
fn never_came(guest: &Guest<'_>, notice: &Notice, recorded: &ledger::Receipt) -> IncomingRow {
    let status = match notice.matter {
        Matter::Recalled { .. } => IncomingStatus::Recalled,
        _ => IncomingStatus::Expired,
    };
    let mut digest = [0; 32];
    if hex::decode_to_slice(&notice.digest, &mut digest).is_err() {
        digest = [0; 32];
    }
    IncomingRow {
        exchange: notice.exchange,
        parcel: notice.parcel,
        partner: guest.partner.ori.to_string(),
        number: notice.exchange_number,
        digest,
        bytes: 0,
        holds_room: false,
        status: status.as_str().to_owned(),
        offered_at: recorded.at,
        updated_at: recorded.at,
        version: 0,
        details: IncomingDetails {
            sender_name: guest.partner.name.clone(),
            agreement: String::new(),
            parts: 0,
            offer_entry: recorded.entry.0,
            sender_entry: notice.ledger_entry,
            sender_leaf: notice.ledger_leaf.clone(),
            sender_checkpoint: notice.ledger_checkpoint.clone(),
            received_at: None,
            received_entry: None,
            inside: None,
            redaction: None,
            receipt: None,
            refusal: None,
            expires: None,
            scan: None,
            scan_trouble: None,
            signer: None,
            afterwards: Afterwards::default(),
        },
    }
}
