//! What can happen: one closed list, from which the words, the severities, the retention and the
//! search index are derived.
//!
//! Invariant: no match on [`Event`] has a `_` arm. A new event does not compile until every
//! reader of events knows it. Kinds and codes are written to disk: they are never reused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::classes::{Outcome, Retention, Severity, Verdict};
use crate::envelope::Bucket;
use crate::retention::{HoldScope, Statement};

/// Something that was done, asked for or refused. The person, the place and the reason stand
/// beside it in [`crate::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// The ledger was opened by this version, on this cryptographic module.
    LedgerOpened {
        version: String,
        module: String,
    },
    /// No room or no disk: from here on appends were refused.
    LedgerStalled {
        reason: String,
    },
    /// Appends are taken again, after so many were refused.
    LedgerRecovered {
        refused: u64,
    },
    /// The ledger's volume is filled up to so many percent: it is time to make room.
    LedgerNearlyFull {
        percent: u8,
        free_bytes: u64,
        /// If it goes on filling as it did.
        full_in_days: Option<u64>,
    },
    /// Nobody had anything to record for an hour, or records were refused: tried whether they are
    /// taken.
    LedgerChecked,
    ServiceStarted {
        version: String,
        address: String,
    },
    ServiceStopped,
    /// Settings, policies, agreements or partners were read; `digest` is hex SHA-256.
    SettingsLoaded {
        what: String,
        digest: String,
    },
    ToolLoaded {
        tool: String,
        version: String,
        digest: String,
    },
    ToolRefused {
        file: String,
        problems: Vec<String>,
    },
    SignInStarted {
        idp: String,
    },
    SignedIn {
        idp: String,
        context: String,
        mfa: bool,
        authenticated_at: Timestamp,
    },
    SignInRefused {
        idp: String,
        reason: String,
    },
    /// An identity provider needs somebody: what it shows runs out in so many days, or its metadata was
    /// refused or could not be fetched, for this reason.
    ProviderAlert {
        idp: String,
        what: String,
        days_left: Option<u64>,
    },
    NoticeAccepted {
        notice: String,
    },
    SteppedUp {
        idp: String,
        context: String,
        authenticated_at: Timestamp,
    },
    SignedOut,
    SessionEnded {
        reason: String,
    },
    /// The policy's answer to a question. `verdict` is `permit` or `deny`; `policy_set` and
    /// `plan` are hex SHA-256.
    Decided {
        action: String,
        resource: String,
        record_class: String,
        caveats: Vec<String>,
        verdict: Verdict,
        reason: String,
        policies: Vec<String>,
        policy_set: String,
        plan: String,
        tool: Option<String>,
        source: Option<String>,
    },
    /// What left under the decision of entry `decided`. `digest` is hex SHA-256 of it.
    Released {
        decided: u64,
        what: String,
        count: u64,
        bytes: u64,
        digest: String,
    },
    /// Nothing left under the decision of entry `decided`.
    Withheld {
        decided: u64,
        reason: String,
    },
    /// A write under the decision of entry `decided` was carried out.
    Written {
        decided: u64,
        rows: u64,
    },
    /// A request that never became a question: `csrf`, `stale-session`, `bad-input:<field>`,
    /// `unknown-tool`, `foreign-handle`, `too-large`.
    RequestRefused {
        route: String,
        reason: String,
    },
    /// The ledger itself was read: what was looked for, and how many entries were shown.
    AuditRead {
        what: String,
        count: u64,
    },
    /// From the next opening on, subjects and names are blinded under the index key of this epoch.
    IndexKeyRotated {
        epoch: u32,
    },
    ExportRequested {
        export: String,
        agreement: String,
        partner: String,
    },
    ExportApproved {
        export: String,
        requested_by: String,
    },
    ExportRejected {
        export: String,
        requested_by: String,
        reason: String,
    },
    ParcelSealed {
        export: String,
        parcel: String,
        digest: String,
        parts: u64,
        bytes: u64,
    },
    /// A partner announced a parcel, before any of it arrived. `number` counts all that the sender
    /// ever sent to the receiver, from 1 without gaps: what both ledgers leave out, it shows.
    ParcelOffered {
        exchange: String,
        #[serde(default)]
        number: u64,
        parcel: String,
        partner: String,
    },
    /// Recorded before the first byte leaves.
    ParcelSent {
        exchange: String,
        #[serde(default)]
        number: u64,
        parcel: String,
        partner: String,
        digest: String,
    },
    ParcelDownloaded {
        export: String,
        parcel: String,
        digest: String,
        bytes: u64,
    },
    /// A whole parcel arrived and held; `checkpoint` is the sender's ledger checkpoint.
    ParcelReceived {
        exchange: String,
        #[serde(default)]
        number: u64,
        parcel: String,
        partner: String,
        digest: String,
        checkpoint: String,
    },
    /// A parcel did not hold, ours at the partner's or the partner's here; `where_` names the part and the place.
    ParcelRefused {
        parcel: String,
        partner: String,
        where_: String,
        reason: String,
    },
    ParcelOpened {
        exchange: String,
        parcel: String,
        path: String,
        bytes: u64,
    },
    ReceiptIssued {
        exchange: String,
        digest: String,
    },
    /// A partner's receipt for what was sent; `partner_entry` is its entry in the partner's ledger.
    ReceiptAnchored {
        exchange: String,
        parcel: String,
        partner: String,
        digest: String,
        partner_entry: u64,
    },
    /// A witness confirmed this ledger for the first time since it was opened.
    CheckpointCosigned {
        witness: String,
        size: u64,
    },
    /// A witness has been silent for so long; `last` is the size that it cosigned last.
    WitnessStale {
        witness: String,
        minutes: u64,
        last: Option<u64>,
    },
    /// A witness that was silent has confirmed this ledger again.
    WitnessRecovered {
        witness: String,
        size: u64,
    },
    /// One of our witnesses is at a smaller tree than it confirmed before, `seen`: it was put back, or began
    /// anew with its old key. It has confirmed this ledger again since, so it is listened to.
    WitnessForgot {
        witness: String,
        size: u64,
        seen: u64,
    },
    /// A ledger, ours or a partner's, is smaller than it was: `reported_by` has seen `seen` entries.
    RollbackDetected {
        origin: String,
        reported_by: String,
        size: u64,
        seen: u64,
    },
    /// A ledger, ours or a partner's, has two histories. Both signed notes are kept by whom it names.
    EquivocationDetected {
        origin: String,
        reported_by: String,
        size: u64,
    },
    /// We cosigned a partner's ledger; `checkpoint` is the note with both signatures. Not each is recorded.
    WitnessedCheckpoint {
        origin: String,
        size: u64,
        checkpoint: String,
    },
    /// A person lifted the stop that a witness had put on this ledger.
    StopLifted {
        reason: String,
    },
    /// From here on, whatever is about this is kept, whatever its schedule says; until a day, or
    /// until it is released. `hold` is its name, used once.
    HoldPlaced {
        hold: String,
        what: HoldScope,
        authority: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    HoldReleased {
        hold: String,
        reason: String,
    },
    /// A bucket is about to be disposed of. The statement is what everybody may see of it: it is
    /// this entry's shared half.
    DispositionStarted {
        statement: Statement,
        authority: String,
    },
    /// What entry `started` announced is done: key and bodies of the bucket are gone.
    Disposed {
        bucket: Bucket,
        started: u64,
        count: u64,
    },
    /// Key or bodies of a bucket that entry `started` disposed of were there again, as from a
    /// restored backup. They are disposed of again.
    DisposedReturned {
        bucket: Bucket,
        started: u64,
        what: String,
    },
}

/// One line of the list: the kind's name, its code in the envelope, how much it matters, how long
/// it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    pub code: u8,
    pub severity: Severity,
    pub retention: Retention,
}

macro_rules! kinds {
    ($($pattern:pat => $constant:ident, $name:literal, $code:literal, $severity:ident,
       $retention:ident;)*) => {
        /// Every kind of event, in the order of [`Event`].
        pub const KINDS: &[Kind] = &[$($constant),*];
        $(pub(crate) const $constant: Kind = Kind {
            name: $name,
            code: $code,
            severity: Severity::$severity,
            retention: Retention::$retention,
        };)*
        fn listed(event: &Event) -> Kind {
            match event { $($pattern => $constant,)* }
        }
    };
}

kinds! {
    Event::LedgerOpened { .. } => LEDGER_OPENED, "ledger-opened", 1, Notice, Permanent;
    Event::LedgerStalled { .. } => LEDGER_STALLED, "ledger-stalled", 2, Alert, Standard;
    Event::LedgerRecovered { .. } => LEDGER_RECOVERED, "ledger-recovered", 3, Warning, Permanent;
    Event::LedgerNearlyFull { .. } =>
        LEDGER_NEARLY_FULL, "ledger-nearly-full", 57, Alert, Standard;
    Event::LedgerChecked => LEDGER_CHECKED, "ledger-checked", 58, Info, Standard;
    Event::ServiceStarted { .. } => SERVICE_STARTED, "service-started", 4, Notice, Standard;
    Event::ServiceStopped => SERVICE_STOPPED, "service-stopped", 5, Notice, Standard;
    Event::SettingsLoaded { .. } => SETTINGS_LOADED, "settings-loaded", 6, Notice, Standard;
    Event::ToolLoaded { .. } => TOOL_LOADED, "tool-loaded", 7, Notice, Standard;
    Event::ToolRefused { .. } => TOOL_REFUSED, "tool-refused", 8, Warning, Standard;
    Event::SignInStarted { .. } => SIGN_IN_STARTED, "sign-in-started", 9, Info, Standard;
    Event::SignedIn { .. } => SIGNED_IN, "signed-in", 10, Notice, Standard;
    Event::SignInRefused { .. } => SIGN_IN_REFUSED, "sign-in-refused", 11, Warning, Standard;
    Event::ProviderAlert { .. } => PROVIDER_ALERT, "provider-alert", 80, Alert, Standard;
    Event::NoticeAccepted { .. } => NOTICE_ACCEPTED, "notice-accepted", 12, Info, Standard;
    Event::SteppedUp { .. } => STEPPED_UP, "stepped-up", 13, Notice, Standard;
    Event::SignedOut => SIGNED_OUT, "signed-out", 14, Info, Standard;
    Event::SessionEnded { .. } => SESSION_ENDED, "session-ended", 15, Info, Standard;
    Event::Decided { .. } => DECIDED, "decided", 16, Info, Standard;
    Event::Released { .. } => RELEASED, "released", 17, Notice, Standard;
    Event::Withheld { .. } => WITHHELD, "withheld", 18, Warning, Standard;
    Event::Written { .. } => WRITTEN, "written", 19, Notice, Standard;
    Event::RequestRefused { .. } => REQUEST_REFUSED, "request-refused", 20, Warning, Standard;
    Event::AuditRead { .. } => AUDIT_READ, "audit-read", 21, Notice, Standard;
    Event::IndexKeyRotated { .. } => INDEX_KEY_ROTATED, "index-key-rotated", 39, Notice, Standard;
    Event::ExportRequested { .. } =>
        EXPORT_REQUESTED, "export-requested", 22, Notice, Dissemination;
    Event::ExportApproved { .. } => EXPORT_APPROVED, "export-approved", 23, Notice, Dissemination;
    Event::ExportRejected { .. } => EXPORT_REJECTED, "export-rejected", 24, Warning, Dissemination;
    Event::ParcelSealed { .. } => PARCEL_SEALED, "parcel-sealed", 25, Notice, Dissemination;
    Event::ParcelOffered { .. } => PARCEL_OFFERED, "parcel-offered", 26, Info, Dissemination;
    Event::ParcelSent { .. } => PARCEL_SENT, "parcel-sent", 27, Notice, Dissemination;
    Event::ParcelDownloaded { .. } =>
        PARCEL_DOWNLOADED, "parcel-downloaded", 28, Notice, Dissemination;
    Event::ParcelReceived { .. } => PARCEL_RECEIVED, "parcel-received", 29, Notice, Dissemination;
    Event::ParcelRefused { .. } => PARCEL_REFUSED, "parcel-refused", 30, Alert, Dissemination;
    Event::ParcelOpened { .. } => PARCEL_OPENED, "parcel-opened", 31, Notice, Dissemination;
    Event::ReceiptIssued { .. } => RECEIPT_ISSUED, "receipt-issued", 32, Notice, Dissemination;
    Event::ReceiptAnchored { .. } =>
        RECEIPT_ANCHORED, "receipt-anchored", 33, Notice, Dissemination;
    Event::CheckpointCosigned { .. } =>
        CHECKPOINT_COSIGNED, "checkpoint-cosigned", 50, Info, Standard;
    Event::WitnessStale { .. } => WITNESS_STALE, "witness-stale", 51, Alert, Standard;
    Event::WitnessRecovered { .. } => WITNESS_RECOVERED, "witness-recovered", 52, Notice, Standard;
    Event::WitnessForgot { .. } => WITNESS_FORGOT, "witness-forgot", 59, Alert, Standard;
    Event::RollbackDetected { .. } => ROLLBACK_DETECTED, "rollback-detected", 53, Alert, Standard;
    Event::EquivocationDetected { .. } =>
        EQUIVOCATION_DETECTED, "equivocation-detected", 54, Alert, Standard;
    Event::WitnessedCheckpoint { .. } =>
        WITNESSED_CHECKPOINT, "witnessed-checkpoint", 55, Info, Standard;
    Event::StopLifted { .. } => STOP_LIFTED, "stop-lifted", 56, Alert, Standard;
    Event::HoldPlaced { .. } => HOLD_PLACED, "hold-placed", 34, Notice, Permanent;
    Event::HoldReleased { .. } => HOLD_RELEASED, "hold-released", 35, Notice, Permanent;
    Event::DispositionStarted { .. } =>
        DISPOSITION_STARTED, "disposition-started", 36, Notice, Permanent;
    Event::Disposed { .. } => DISPOSED, "disposed", 37, Notice, Permanent;
    Event::DisposedReturned { .. } =>
        DISPOSED_RETURNED, "disposed-returned", 38, Alert, Permanent;
}

impl Event {
    /// Whether it is for [`crate::retention`] alone to record.
    pub(crate) fn is_retention(&self) -> bool {
        matches!(
            self,
            Self::HoldPlaced { .. }
                | Self::HoldReleased { .. }
                | Self::DispositionStarted { .. }
                | Self::Disposed { .. }
                | Self::DisposedReturned { .. }
        )
    }

    /// The kind's name, as searches and SIEM maps know it: `decided`, `parcel-sent`.
    pub fn kind(&self) -> &'static str {
        listed(self).name
    }

    pub(crate) fn code(&self) -> u8 {
        listed(self).code
    }

    pub(crate) fn retention(&self) -> Retention {
        listed(self).retention
    }

    /// A refusal weighs more than the same act permitted.
    pub fn severity(&self) -> Severity {
        match self.outcome() {
            Outcome::Permit => listed(self).severity,
            Outcome::Deny | Outcome::Fail => listed(self).severity.max(Severity::Warning),
        }
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Decided { verdict: Verdict::Deny, .. }
            | Self::ToolRefused { .. }
            | Self::SignInRefused { .. }
            | Self::RequestRefused { .. }
            | Self::ExportRejected { .. }
            | Self::ParcelRefused { .. } => Outcome::Deny,
            Self::Withheld { .. }
            | Self::LedgerStalled { .. }
            | Self::WitnessStale { .. }
            | Self::WitnessForgot { .. }
            | Self::RollbackDetected { .. }
            | Self::EquivocationDetected { .. } => Outcome::Fail,
            Self::Decided { verdict: Verdict::Permit, .. }
            | Self::LedgerOpened { .. }
            | Self::LedgerRecovered { .. }
            | Self::LedgerNearlyFull { .. }
            | Self::LedgerChecked
            | Self::ServiceStarted { .. }
            | Self::ServiceStopped
            | Self::SettingsLoaded { .. }
            | Self::ToolLoaded { .. }
            | Self::SignInStarted { .. }
            | Self::SignedIn { .. }
            | Self::ProviderAlert { .. }
            | Self::NoticeAccepted { .. }
            | Self::SteppedUp { .. }
            | Self::SignedOut
            | Self::SessionEnded { .. }
            | Self::Released { .. }
            | Self::Written { .. }
            | Self::AuditRead { .. }
            | Self::IndexKeyRotated { .. }
            | Self::ExportRequested { .. }
            | Self::ExportApproved { .. }
            | Self::ParcelSealed { .. }
            | Self::ParcelOffered { .. }
            | Self::ParcelSent { .. }
            | Self::ParcelDownloaded { .. }
            | Self::ParcelReceived { .. }
            | Self::ParcelOpened { .. }
            | Self::ReceiptIssued { .. }
            | Self::ReceiptAnchored { .. }
            | Self::CheckpointCosigned { .. }
            | Self::WitnessRecovered { .. }
            | Self::WitnessedCheckpoint { .. }
            | Self::StopLifted { .. }
            | Self::HoldPlaced { .. }
            | Self::HoldReleased { .. }
            | Self::DispositionStarted { .. }
            | Self::Disposed { .. }
            | Self::DisposedReturned { .. } => Outcome::Permit,
        }
    }
}
