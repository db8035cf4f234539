//! The plain words of an event, for the audit page.
//!
//! Invariant: as in [`crate::event`], no match on [`Event`] has a `_` arm.

use crate::agreed::{
    AgreementDue, AgreementProposed, AgreementReviewed, JurisdictionSettled, TextProposed,
    TextReviewed,
};
use crate::event::{Cleared, Event, GuestTerms, Laid, Sent, Unlaid, Verdict};
use crate::notices::{NoticeAnchored, NoticeIssued, RecallAnswered};
use crate::quarantine::{FileRedacted, FileReleased, FileScanned, FilesTakenIn, ParcelScanned};
use crate::stamps::{ParcelStamped, ParcelUnstamped, StampIssued};

impl Event {
    /// What happened, in one plain sentence with no name in front; a page puts the person there.
    #[expect(clippy::too_many_lines, reason = "one sentence an event, and nothing else")]
    pub fn sentence(&self) -> String {
        match self {
            Self::LedgerOpened { version, module } => {
                format!("opened the ledger with version {version} on {module}")
            }
            Self::LedgerStalled { reason } => {
                format!("recording stopped, so releases stopped: {reason}")
            }
            Self::LedgerRecovered { refused } => {
                format!("recording works again after {}", counted(*refused, "refused record"))
            }
            Self::LedgerNearlyFull { percent, full_in_days, database, .. } => {
                let days =
                    full_in_days.map(|days| format!(", and full in {}", counted(days, "day")));
                let days = days.unwrap_or_default();
                let what = if *database { "database" } else { "volume" };
                format!("found the ledger's {what} {percent} % full{days}")
            }
            Self::LedgerChecked => "found that the ledger takes records".to_owned(),
            Self::ServiceStarted { version, address } => {
                format!("started version {version} at {address}")
            }
            Self::ServiceStopped => "stopped the service".to_owned(),
            Self::SettingsLoaded { what, digest } => format!("loaded {what} ({})", short(digest)),
            Self::ToolLoaded { tool, version, digest } => {
                format!("loaded tool {tool}, version {version} ({})", short(digest))
            }
            Self::ToolRefused { file, problems } => {
                format!("refused tool file {file}: {}", problems.join("; "))
            }
            Self::SignInStarted { idp } => format!("started to sign in through {idp}"),
            Self::SignedIn { idp, context, mfa, device_class, .. } => {
                let factors = if *mfa { "several factors" } else { "one factor" };
                let device =
                    device_class.as_ref().map(|class| format!(", on a device of class {class}"));
                let device = device.unwrap_or_default();
                format!("signed in through {idp} with {factors} ({context}){device}")
            }
            Self::SignInRefused { idp, reason } => {
                format!("was refused sign-in through {idp}: {reason}")
            }
            Self::RefusalsSummed { of, since, counts } => {
                let total: u64 = counts.values().fold(0, |sum, count| sum.saturating_add(*count));
                let counts: Vec<String> =
                    counts.iter().map(|(code, count)| format!("{code} {count}")).collect();
                let refusals = counted(total, "refusal");
                format!("summed up {refusals} of {of} since {since}: {}", counts.join(", "))
            }
            Self::ProviderAlert { idp, what, days_left } => {
                let days = days_left.map(|days| format!(", {} left", counted(days, "day")));
                format!("warned of identity provider {idp}: {what}{}", days.unwrap_or_default())
            }
            Self::ProviderTried { idp, by, outcome, .. } => {
                format!("tried identity provider {idp} for {by}: {outcome}")
            }
            Self::SignalReceived { stream, signal, outcome } => {
                format!("{stream} told of the event {signal}: {outcome}")
            }
            Self::NoticeAccepted { notice } => format!("accepted the system use notice {notice}"),
            Self::SteppedUp { idp, context, .. } => {
                format!("proved identity again through {idp} ({context})")
            }
            Self::SignedOut => "signed out".to_owned(),
            Self::SessionEnded { reason } => format!("session ended: {reason}"),
            Self::SessionsEnded { of, reason } => format!("ended the sessions of {of}: {reason}"),
            Self::AccountCreated { account, kind, by, functions } => {
                let functions = match functions.is_empty() {
                    true => "no function".to_owned(),
                    false => functions.join(", "),
                };
                format!("made the {kind} account {account} ({by}) with {functions}")
            }
            Self::AccountChanged { account, version, what, changes, reason } => {
                let fields: Vec<&str> = changes.iter().map(|one| one.field.as_str()).collect();
                let fields = match fields.is_empty() {
                    true => String::new(),
                    false => format!(" ({})", fields.join(", ")),
                };
                format!("{what} account {account}, version {version}{fields}: {reason}")
            }
            Self::QualificationRecorded { account, what, course, on, until, .. } => {
                let until = until.as_ref().map(|until| format!(" until {until}"));
                let until = until.unwrap_or_default();
                format!("recorded {what} {course} of {account}, {on}{until}")
            }
            Self::DirectoryChanged { directory, kind, id, what, .. } => {
                format!("{what} {kind} {id} of directory {directory}")
            }
            Self::DirectoryToken { directory, token, what, by, until } => {
                let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
                format!("{what} token {token} of directory {directory}{until} ({by})")
            }
            Self::Listed { by, what, count, .. } => format!("showed {count} of the {what} to {by}"),
            Self::EmergencyAccess { account, what, reason } => {
                format!("emergency account {account}: {what}, {reason}")
            }
            Self::Decided { action, resource, tool, verdict, reason, .. } => {
                let verdict = match verdict {
                    Verdict::Permit => "permitted",
                    Verdict::Deny => "denied",
                };
                let through = tool.as_ref().map(|tool| format!(" through {tool}"));
                let through = through.unwrap_or_default();
                format!("asked for {action} on {resource}{through}: {verdict}, {reason}")
            }
            Self::Released { decided, what, count, bytes, .. } => format!(
                "was given {count} {what} ({}) under entry {decided}",
                counted(*bytes, "byte")
            ),
            Self::Withheld { decided, reason } => {
                format!("was given nothing under entry {decided}: {reason}")
            }
            Self::Written { decided, rows } => {
                format!("changed {} under entry {decided}", counted(*rows, "row"))
            }
            Self::OutcomeUnknown { decided, reason } => {
                format!("may or may not have changed something under entry {decided}: {reason}")
            }
            Self::RequestRefused { route, reason } => {
                format!("sent a request to {route} that was refused: {reason}")
            }
            Self::AuditRead { what, count } => {
                format!("read the audit ledger ({what}): {} shown", entries(*count))
            }
            Self::IndexKeyRotated { epoch } => {
                format!("rotated the search index's key: epoch {epoch} begins")
            }
            Self::AgreementProposed(AgreementProposed { agreement, version, digest }) => format!(
                "version {version} of agreement {agreement} waits for its review (SHA-256 {}…)",
                short(digest)
            ),
            Self::AgreementReviewed(AgreementReviewed {
                agreement,
                version,
                accepted,
                reason,
                ..
            }) => {
                let did = if *accepted { "accepted" } else { "refused" };
                format!("{did} version {version} of agreement {agreement}: {reason}")
            }
            Self::TextProposed(TextProposed { subject, version, digest }) => format!(
                "version {version} of what is written down of {subject} waits for its review (SHA-256 {}…)",
                short(digest)
            ),
            Self::TextReviewed(TextReviewed { subject, version, accepted, reason, .. }) => {
                let did = if *accepted { "accepted" } else { "refused" };
                format!("{did} version {version} of what is written down of {subject}: {reason}")
            }
            Self::AgreementDue(AgreementDue { agreement, what, at, days_left }) => format!(
                "the {what} of agreement {agreement} is on {}: {} left",
                day(*at),
                counted(*days_left, "day")
            ),
            Self::SecondaryDissemination { export, records, partner, requestor, method } => {
                format!(
                    "gave {records} to {partner} for {requestor} by {method}, outside the primary agreements, as \
                 export {export}"
                )
            }
            Self::JurisdictionSettled(JurisdictionSettled { export, conflict, decision }) => {
                format!("settled for export {export} where rules disagree ({conflict}): {decision}")
            }
            Self::ExportTemplate { title, what, .. } => {
                format!("{what} the template for exports {title}")
            }
            Self::ExportRequested { export, agreement, partner } => {
                format!("asked to export {export} to {partner} under agreement {agreement}")
            }
            Self::ExportApproved { export, requested_by } => {
                format!("approved export {export}, which {requested_by} had asked for")
            }
            Self::ExportRejected { export, requested_by, reason } => {
                format!("rejected export {export}, which {requested_by} had asked for: {reason}")
            }
            Self::ParcelSealed { export, parcel, parts, bytes, .. } => format!(
                "sealed export {export} as parcel {parcel} ({}, {})",
                counted(*parts, "part"),
                counted(*bytes, "byte")
            ),
            Self::ParcelStamped(ParcelStamped { parcel, at, authority, known, .. }) => {
                let unknown = if *known { "" } else { ", whom nobody here said to believe" };
                format!("has the time stamp {at} on parcel {parcel}, by {authority}{unknown}")
            }
            Self::ParcelUnstamped(ParcelUnstamped { parcel, reason, .. }) => {
                format!("lets parcel {parcel} go without a time stamp: {reason}")
            }
            Self::StampIssued(StampIssued { partner, serial, at, .. }) => {
                format!("gave {partner} the time stamp {at}, no. {serial}")
            }
            Self::ParcelOffered { exchange, number, parcel, partner } => {
                format!(
                    "{partner} offered parcel {parcel} in exchange {exchange}, its no. {number}"
                )
            }
            Self::ParcelSent(Sent { exchange, number, parcel, partner, route, place, .. }) => {
                let by = route.as_ref().map(|route| format!(", by {}", way(route, place)));
                let by = by.unwrap_or_default();
                format!(
                    "sent parcel {parcel} to {partner} in exchange {exchange}, no. {number}{by}"
                )
            }
            Self::ParcelDelivered(Laid {
                exchange, parcel, partner, route, place, bytes, ..
            }) => format!(
                "laid parcel {parcel} of exchange {exchange} down for {partner} by {} ({})",
                way(route, place),
                counted(*bytes, "byte")
            ),
            Self::ParcelCleared(Cleared { exchange, partner, route, .. }) => format!(
                "removed what was laid down of exchange {exchange} for {partner} by {route}"
            ),
            Self::DeliveryFailed(Unlaid { exchange, partner, route, attempt, reason, .. }) => {
                format!(
                    "could not deliver exchange {exchange} to {partner} by {route}, attempt {attempt}: {reason}"
                )
            }
            Self::GuestInvited(GuestTerms { export, partner, name, account, until, .. }) => {
                let until = until.map_or(String::new(), |until| format!(" until {until}"));
                format!(
                    "let {name} ({account}) at {partner} fetch the parcel of export {export}{until}"
                )
            }
            Self::GuestEnded(GuestTerms { export, partner, name, account, reason, .. }) => {
                let why = reason.as_deref().unwrap_or_default();
                format!(
                    "ended that {name} ({account}) at {partner} fetches the parcel of export {export}: {why}"
                )
            }
            Self::ParcelDownloaded { export, parcel, bytes, .. } => format!(
                "downloaded parcel {parcel} of export {export} ({})",
                counted(*bytes, "byte")
            ),
            Self::ParcelReceived { exchange, parcel, partner, .. } => {
                format!("received parcel {parcel} from {partner} in exchange {exchange}; it holds")
            }
            Self::ParcelRefused { parcel, partner, where_, reason, .. } => {
                format!("parcel {parcel} was refused ({partner}): {reason}, at {where_}")
            }
            Self::ParcelOpened { parcel, path, bytes, .. } => {
                format!("opened {path} in parcel {parcel} ({})", counted(*bytes, "byte"))
            }
            Self::ReceiptIssued { exchange, digest } => {
                format!("issued the receipt for exchange {exchange} ({})", short(digest))
            }
            Self::ReceiptAnchored { exchange, partner, partner_entry, .. } => {
                let entry = partner_entry.map(|entry| format!(", its entry {entry}"));
                let entry = entry.unwrap_or_default();
                format!("anchored {partner}'s receipt for exchange {exchange}{entry}")
            }
            Self::ExportRecalled { export, partner, reason, .. } => {
                format!("recalled export {export} to {partner}: {reason}")
            }
            Self::RecallAnswered(RecallAnswered { export, partner, answer, how, who, .. }) => {
                format!(
                    "wrote down {partner}'s answer to the recall of export {export}: {answer}, by {how} from {who}"
                )
            }
            Self::OfferExpired { exchange, parcel, .. } => {
                format!("let the offer of parcel {parcel} in exchange {exchange} expire")
            }
            Self::CopyRemoved { exchange, parcel, partner } => {
                format!("removed our copy of parcel {parcel} to {partner} in exchange {exchange}")
            }
            Self::ParcelAccepted { exchange, parcel, partner } => {
                format!("accepted parcel {parcel} from {partner} in exchange {exchange}")
            }
            Self::ParcelDestroyed { exchange, parcel, partner, reason, .. } => {
                format!("destroyed parcel {parcel} from {partner} in exchange {exchange}: {reason}")
            }
            Self::ParcelKept { exchange, parcel, partner, reason } => format!(
                "kept parcel {parcel} of exchange {exchange}, which {partner} recalled: {reason}"
            ),
            Self::FilesTakenIn(FilesTakenIn { parcel, from, files, .. }) => {
                format!("took in {files} files from {from} as parcel {parcel}")
            }
            Self::FileRedacted(FileRedacted { of, original, what, reason, .. }) => format!(
                "added a redacted copy of {of} (SHA-256 {original}): {what}, because {reason}"
            ),
            Self::FileScanned(FileScanned { parcel, partner, path, what, .. }) => {
                format!("had {path} in parcel {parcel} from {partner} scanned: {what}")
            }
            Self::ParcelScanned(ParcelScanned {
                parcel,
                partner,
                engine,
                files,
                infected,
                not_fully,
                ..
            }) => {
                format!(
                    "had parcel {parcel} from {partner} scanned by {engine}: of {files} files {infected} \
                     infected, {not_fully} not fully scanned"
                )
            }
            Self::FileReleased(FileReleased { parcel, partner, path, what, reason, .. }) => {
                format!("let {path} in parcel {parcel} from {partner} be opened ({what}): {reason}")
            }
            Self::NoticeIssued(NoticeIssued { exchange, partner, number, what, .. }) => {
                format!("signed notice no. {number} to {partner}: exchange {exchange} {what}")
            }
            Self::NoticeAnchored(NoticeAnchored {
                exchange,
                partner,
                number,
                what,
                partner_entry,
                ..
            }) => {
                format!(
                    "anchored {partner}'s notice no. {number}: exchange {exchange} {what}, its entry \
                     {partner_entry}"
                )
            }
            Self::ExchangeAlert { partner, exchange, what } => {
                let exchange = exchange.as_ref().map(|id| format!(", exchange {id}"));
                format!("needs somebody: {what} ({partner}{})", exchange.unwrap_or_default())
            }
            Self::CheckpointCosigned { witness, size } => {
                format!("was confirmed by the witness {witness} at {}", entries(*size))
            }
            Self::WitnessStale { witness, minutes, last } => {
                let before = match last {
                    Some(size) => format!("confirmed {} last", entries(*size)),
                    None => "never confirmed anything".to_owned(),
                };
                format!("has not heard of the witness {witness} for {minutes} minutes; it {before}")
            }
            Self::WitnessRecovered { witness, size } => {
                format!("hears of the witness {witness} again: it confirmed {}", entries(*size))
            }
            Self::WitnessForgot { witness, size, seen } => format!(
                "found that the witness {witness} has gone back to {}: it had confirmed {seen}",
                entries(*size)
            ),
            Self::RollbackDetected { origin, reported_by, size, seen } => format!(
                "found that the ledger {origin} has gone back to {}: {reported_by} has seen {seen}",
                entries(*size)
            ),
            Self::EquivocationDetected { origin, reported_by, size } => format!(
                "found that the ledger {origin} has two histories of {}: {reported_by} has seen the other",
                entries(*size)
            ),
            Self::WitnessedCheckpoint { origin, size, .. } => {
                format!("cosigned the ledger {origin} at {}", entries(*size))
            }
            Self::StopLifted { reason } => format!("takes records again after a stop: {reason}"),
            Self::HoldPlaced { hold, what, authority, until } => {
                let until = until.map(|until| format!(" until {}", day(until)));
                let until = until.unwrap_or_default();
                format!("placed hold {hold} on {what}{until}, by {authority}")
            }
            Self::HoldReleased { hold, reason } => format!("released hold {hold}: {reason}"),
            Self::DispositionStarted { statement, authority } => {
                let (count, bucket) = (entries(statement.count), statement.bucket.name());
                let kept = match statement.kept {
                    0 => String::new(),
                    kept => format!("; {} kept by holds", entries(kept)),
                };
                format!("ordered {count} of {bucket} to be disposed of, by {authority}{kept}")
            }
            Self::Disposed { bucket, started, count } => {
                let count = entries(*count);
                format!("disposed of {count} of {}, as entry {started} announced", bucket.name())
            }
            Self::DisposedReturned { bucket, started, what } => format!(
                "found {what} of {} again, which entry {started} disposed of",
                bucket.name()
            ),
        }
    }
}

/// The first twelve digits of a digest, for a person to compare.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn day(at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// A way by its name, and where it led.
fn way(route: &str, place: &Option<String>) -> String {
    place.as_ref().map_or_else(|| route.to_owned(), |place| format!("{route}, {place}"))
}

fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
