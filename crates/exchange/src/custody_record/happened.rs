//! An entry of our ledger as an event of custody: what happened to a parcel after it was sealed.
//!
//! Invariants: every entry is judged, for the list of events is closed; of what was found it is told what concerns
//! custody; the names of files are told to those alone who may open the parcel.

use ledger::{Cleared, Entry, Event, GuestTerms, Laid, Sent, StoredRecord, Unlaid};
use parcel::notice::Matter;
use parcel::{Circumstances, CustodyEvent, HandOver, Party, Person};

use crate::afterwards::ToldFacts;
use crate::custody::custodian;
use crate::sealing::TOOL;
use crate::{Exchange, ExchangeError};

/// Which side tells it, of whom, and how much.
#[derive(Debug, Clone)]
pub(super) struct Side {
    /// The other agency; ourselves where a person took it in here.
    pub(super) partner: Party,
    /// Whether it is ours, and went to the partner.
    pub(super) sent: bool,
    /// Whether files are named.
    pub(super) names: bool,
    /// What the partner told us since, with who did it there.
    pub(super) told: Vec<ToldFacts>,
    /// The way that it came here, or by which its receipt came back.
    pub(super) way: &'static str,
}

/// What one entry comes to.
struct Said {
    kind: &'static str,
    text: String,
    failure: Option<String>,
    hand_over: Option<HandOver>,
    /// Whether the partner did it, by its own signed word.
    theirs: bool,
}

impl Said {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), failure: None, hand_over: None, theirs: false }
    }

    fn failed(self, why: &str) -> Self {
        Self { failure: Some(why.to_owned()), ..self }
    }

    fn over(self, hand_over: HandOver) -> Self {
        Self { hand_over: Some(hand_over), ..self }
    }

    fn theirs(self) -> Self {
        Self { theirs: true, ..self }
    }
}

impl Exchange {
    /// The events of these entries, in their order. Openings of one file by one person that follow each other are one.
    pub(super) fn happened(
        &self,
        side: &Side,
        entries: Vec<Entry>,
    ) -> Result<Vec<CustodyEvent>, ExchangeError> {
        let mut out: Vec<CustodyEvent> = Vec::new();
        let mut last: Option<(Entry, u64)> = None;
        for entry in entries {
            if let (Some((before, count)), Some(event)) = (&mut last, out.last_mut())
                && opened_alike(before, &entry)
            {
                *count += 1;
                event.ended = Some(entry.at);
                let said = self.said(side, &before.record).map(|said| said.text);
                event.description = format!(
                    "{}; {count} times in all, the last by entry {}",
                    said.unwrap_or_default(),
                    entry.number.0
                );
                continue;
            }
            let Some(said) = self.said(side, &entry.record) else { continue };
            out.push(self.event(side, &entry, said)?);
            last = Some((entry, 1));
        }
        Ok(out)
    }

    fn event(&self, side: &Side, entry: &Entry, said: Said) -> Result<CustodyEvent, ExchangeError> {
        let (started, ledger) = self.reference(entry.number.0)?;
        let record = &entry.record;
        let (person, around) = match &record.who {
            Some(who) => {
                let session = who.session.as_ref();
                let person = Person {
                    name: who.name.clone(),
                    account: who.actor.clone(),
                    agency: who.agency.clone(),
                    role: who.functions.join(", "),
                };
                let assurance =
                    session.map(|it| format!("in session {it}, whose sign-in is in the ledger"));
                (person, Circumstances { assurance, ..self.here() })
            }
            None if said.theirs => (of_partner(&side.partner), Circumstances::default()),
            None => (self.itself(), self.here()),
        };
        let (mut person, mut text) = (person, said.text);
        if let Some(told) = side.told.iter().find(|told| told.entry == entry.number.0) {
            person.name = told.person.clone().unwrap_or(person.name);
            text = format!("{}{text}", why(&told.matter));
        }
        let mut hand_over = said.hand_over;
        if let Some(hand_over) = hand_over.as_mut().filter(|it| it.peer.is_none()) {
            hand_over.peer = record.origin.address.clone();
        }
        Ok(CustodyEvent {
            kind: said.kind.to_owned(),
            description: text,
            started,
            ended: None,
            person,
            tool: TOOL.to_owned(),
            purpose: record.why.purpose.clone(),
            authority: None,
            files: Vec::new(),
            originals: Vec::new(),
            ledger: Some(ledger),
            around: Circumstances { hand_over, failure: said.failure, ..around },
        })
    }

    /// Between us and the partner, the way that a parcel of this side goes.
    fn between(&self, side: &Side, channel: &str) -> HandOver {
        let (us, them) = (custodian(&self.0.setup.agency), custodian(&side.partner));
        let (from, to) = if side.sent { (us, them) } else { (them, us) };
        HandOver {
            from: Some(from),
            to: Some(to),
            channel: Some(channel.to_owned()),
            ..HandOver::default()
        }
    }

    /// What an entry comes to; nothing where it is no matter of custody.
    #[expect(clippy::too_many_lines, reason = "one list of all events")]
    fn said(&self, side: &Side, record: &StoredRecord) -> Option<Said> {
        let file = |path: &str| if side.names { path.to_owned() } else { "a file".to_owned() };
        Some(match &record.event {
            Event::ParcelSealed { parcel, digest, parts, bytes, .. } if side.sent => Said::new(
                "seal-recorded",
                format!("parcel {parcel} is whole: {parts} parts, {bytes} bytes, digest {digest}"),
            ),
            Event::ParcelSealed { export, parcel, digest, .. } => Said::new(
                "passed-on",
                format!("files of it were sealed into parcel {parcel} of export {export}, digest {digest}"),
            ),
            Event::ParcelStamped(stamp) => Said::new(
                "timestamped",
                format!(
                    "{} said that its signature existed at {} (token {}){}",
                    stamp.authority,
                    stamp.at,
                    stamp.token,
                    if stamp.known { "" } else { ", an authority that is not one of those believed here" }
                ),
            ),
            Event::ParcelUnstamped(none) => {
                Said::new("timestamped", "goes without a time stamp").failed(&none.reason)
            }
            Event::ParcelOffered { number, .. } => {
                Said::new("offered", format!("announced by its sender as number {number}"))
                    .over(self.between(side, side.way))
            }
            Event::ParcelSent(Sent { number, digest, route, place, .. }) => {
                let way = route.as_deref().unwrap_or("push");
                let mut over = self.between(side, way);
                over.peer.clone_from(place);
                Said::new("offered", format!("number {number} to this partner, digest {digest}"))
                    .over(over)
            }
            Event::ParcelDelivered(Laid { route, place, bytes, digest, .. }) => {
                let mut over = self.between(side, route);
                over.peer.clone_from(place);
                over.bytes = Some(*bytes);
                let text = format!("lies whole where its receiver fetches it, digest {digest}");
                Said::new("transferred", text).over(over)
            }
            Event::DeliveryFailed(Unlaid { route, attempt, reason, .. }) => {
                let over = HandOver { attempts: Some(*attempt), ..self.between(side, route) };
                Said::new("transferred", format!("attempt {attempt}")).over(over).failed(reason)
            }
            Event::GuestInvited(terms) => {
                let until = terms.until.map(|until| format!(" until {until}")).unwrap_or_default();
                Said::new("offered", format!("{} may fetch it{until}", guest(terms)))
                    .over(self.between(side, "guest portal"))
            }
            Event::GuestEnded(terms) => {
                Said::new("offer-ended", format!("{} may fetch it no more", guest(terms)))
            }
            Event::ParcelDownloaded { digest, bytes, .. } => {
                let by_guest = record.who.as_ref().is_some_and(|who| who.agency != self.0.setup.agency.ori);
                let way = if by_guest { "guest portal" } else { "a file that a person took away" };
                let mut over = HandOver { bytes: Some(*bytes), ..self.between(side, way) };
                over.to = over.to.filter(|_| by_guest);
                Said::new("transferred", format!("fetched as one file, digest {digest}")).over(over)
            }
            Event::ParcelReceived { number, digest, .. } => {
                let text = format!("arrived whole as number {number}, digest {digest}");
                Said::new("received", text).over(self.between(side, side.way))
            }
            Event::ParcelRefused { where_, reason, .. } => {
                let by_person = record.who.is_some() || side.sent;
                let kind = if by_person { "rejected" } else { "verified" };
                let failed = Said::new(kind, where_.clone()).failed(reason);
                if side.sent { failed.theirs() } else { failed }
            }
            Event::ParcelOpened { path, bytes, .. } => {
                Said::new("opened", format!("{}, {bytes} bytes", file(path)))
            }
            Event::ReceiptIssued { digest, .. } => {
                Said::new("receipt-issued", format!("a signed receipt for its sender, SHA-256 {digest}"))
            }
            Event::ReceiptAnchored { digest, partner_entry, .. } => Said::new(
                "verified",
                format!(
                    "arrived whole there and held, as its receiver's signed receipt says (SHA-256 {digest}{})",
                    partner_entry
                        .map(|entry| format!(", entry {entry} of its ledger"))
                        .unwrap_or_default()
                ),
            )
            .over(HandOver { peer: Some(format!("receipt {digest}")), ..self.between(side, side.way) })
            .theirs(),
            Event::ExportRecalled { reason, .. } => Said::new("recalled", reason.clone()),
            Event::ParcelCleared(Cleared { route, place, .. }) => {
                let mut over = self.between(side, route);
                over.peer.clone_from(place);
                Said::new("withdrawn", "removed from where it was laid down").over(over)
            }
            Event::RecallAnswered(answered) => Said::new(
                "recall-answered",
                format!(
                    "{}, as {} said on {} by {}: {}",
                    answered.answer, answered.who, answered.on, answered.how, answered.reason
                ),
            ),
            Event::OfferExpired { .. } => Said::new("expired", "not taken up in time"),
            Event::CopyRemoved { .. } => {
                Said::new("copy-removed", "the sender's own sealed copy was removed")
            }
            Event::ParcelAccepted { .. } => Said::new("accepted", "accepted by a person"),
            Event::ParcelDestroyed { digest, method, reason, .. } => {
                Said::new("destroyed", format!("{reason} ({method}), digest {digest}"))
            }
            Event::ParcelKept { reason, .. } => {
                Said::new("kept", format!("kept although it was recalled: {reason}"))
            }
            Event::FilesTakenIn(taken) => Said::new(
                "registered",
                format!("{} files taken in from {}, who signed nothing", taken.files, taken.from),
            ),
            Event::FileRedacted(redacted) => Said::new(
                "redacted",
                format!("a redacted copy was taken in: {} ({})", redacted.what, redacted.reason),
            ),
            Event::FileScanned(scanned) => {
                let text = format!("{}: {}", file(&scanned.path), scanned.outcome);
                Said::new("scanned", text).failed(&scanned.what)
            }
            Event::ParcelScanned(scanned) => Said::new(
                "scanned",
                format!(
                    "scanned by {}: {} files, {} infected, {} not fully scanned",
                    scanned.engine, scanned.files, scanned.infected, scanned.not_fully
                ),
            ),
            Event::FileReleased(released) => Said::new(
                "released",
                format!("{} may be opened although it was held: {}", file(&released.path), released.reason),
            ),
            Event::NoticeIssued(notice) => {
                Said::new("notice-sent", format!("told the other side that it was {}", notice.what))
            }
            Event::NoticeAnchored(notice) => {
                let text = format!(
                    "as the other side's signed notice says (SHA-256 {}, entry {} of its ledger)",
                    notice.digest, notice.partner_entry
                );
                Said::new(told(&notice.what), text).theirs()
            }
            Event::LedgerOpened { .. }
            | Event::LedgerStalled { .. }
            | Event::LedgerRecovered { .. }
            | Event::LedgerNearlyFull { .. }
            | Event::LedgerChecked
            | Event::ServiceStarted { .. }
            | Event::ServiceStopped
            | Event::SettingsLoaded { .. }
            | Event::ToolLoaded { .. }
            | Event::ToolRefused { .. }
            | Event::SignInStarted { .. }
            | Event::SignedIn { .. }
            | Event::SignInRefused { .. }
            | Event::RefusalsSummed { .. }
            | Event::ProviderAlert { .. }
            | Event::ProviderTried { .. }
            | Event::SignalReceived { .. }
            | Event::NoticeAccepted { .. }
            | Event::SteppedUp { .. }
            | Event::SignedOut
            | Event::SessionEnded { .. }
            | Event::SessionsEnded { .. }
            | Event::AccountCreated { .. }
            | Event::AccountChanged { .. }
            | Event::QualificationRecorded { .. }
            | Event::DirectoryChanged { .. }
            | Event::DirectoryToken { .. }
            | Event::Listed { .. }
            | Event::EmergencyAccess { .. }
            | Event::RequestRefused { .. }
            | Event::Decided { .. }
            | Event::Released { .. }
            | Event::Withheld { .. }
            | Event::Written { .. }
            | Event::OutcomeUnknown { .. }
            | Event::AuditRead { .. }
            | Event::IndexKeyRotated { .. }
            | Event::AgreementProposed { .. }
            | Event::AgreementReviewed { .. }
            | Event::AgreementDue { .. }
            | Event::SecondaryDissemination { .. }
            | Event::JurisdictionSettled { .. }
            | Event::TextProposed { .. }
            | Event::TextReviewed { .. }
            | Event::ExportTemplate { .. }
            | Event::ExportRequested { .. }
            | Event::ExportApproved { .. }
            | Event::ExportRejected { .. }
            | Event::StampIssued { .. }
            | Event::ExchangeAlert { .. }
            | Event::CheckpointCosigned { .. }
            | Event::WitnessStale { .. }
            | Event::WitnessRecovered { .. }
            | Event::WitnessForgot { .. }
            | Event::RollbackDetected { .. }
            | Event::EquivocationDetected { .. }
            | Event::WitnessedCheckpoint { .. }
            | Event::StopLifted { .. }
            | Event::HoldPlaced { .. }
            | Event::HoldReleased { .. }
            | Event::DispositionStarted { .. }
            | Event::Disposed { .. }
            | Event::DisposedReturned { .. } => return None,
        })
    }
}

/// Whether two entries are openings of the same by the same person.
fn opened_alike(one: &Entry, next: &Entry) -> bool {
    let who = |entry: &Entry| entry.record.who.as_ref().map(|who| who.actor.clone());
    if let Event::ParcelOpened { path, .. } = &one.record.event
        && let Event::ParcelOpened { path: other, .. } = &next.record.event
    {
        return path == other && who(one) == who(next);
    }
    false
}

/// What a notice gives as its reason, before what else is said of it.
fn why(matter: &Matter) -> String {
    match matter {
        Matter::Recalled { reason, .. }
        | Matter::Rejected { reason }
        | Matter::Kept { reason }
        | Matter::Destroyed { reason, .. } => format!("{reason}; "),
        Matter::Expired {} | Matter::Accepted {} | Matter::Opened {} => String::new(),
    }
}

/// The other side's word in a notice, as a kind of event.
fn told(what: &str) -> &'static str {
    let kinds = ["recalled", "expired", "accepted", "rejected", "opened", "destroyed", "kept"];
    kinds.into_iter().find(|kind| *kind == what).unwrap_or("notice-received")
}

fn guest(terms: &GuestTerms) -> String {
    format!("{} ({}) of {}", terms.name, terms.account, terms.partner)
}

fn of_partner(partner: &Party) -> Person {
    Person {
        name: partner.name.clone(),
        account: partner.ori.clone(),
        agency: partner.ori.clone(),
        role: "partner".to_owned(),
    }
}
