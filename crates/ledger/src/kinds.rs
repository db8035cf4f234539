//! The kinds of events, one line each: name, code, how much it matters, how long it is kept.
//!
//! Invariant: names and codes are written to disk: they are never changed and never reused.

use crate::classes::{Outcome, Retention, Severity};
use crate::event::Event;

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
        pub(crate) fn listed(event: &Event) -> Kind {
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
    Event::RefusalsSummed { .. } => REFUSALS_SUMMED, "refusals-summed", 100, Warning, Standard;
    Event::ProviderAlert { .. } => PROVIDER_ALERT, "provider-alert", 80, Alert, Standard;
    Event::ProviderTried { .. } => PROVIDER_TRIED, "provider-tried", 82, Notice, Standard;
    Event::SignalReceived { .. } => SIGNAL_RECEIVED, "signal-received", 81, Notice, Standard;
    Event::NoticeAccepted { .. } => NOTICE_ACCEPTED, "notice-accepted", 12, Info, Standard;
    Event::SteppedUp { .. } => STEPPED_UP, "stepped-up", 13, Notice, Standard;
    Event::SignedOut => SIGNED_OUT, "signed-out", 14, Info, Standard;
    Event::SessionEnded { .. } => SESSION_ENDED, "session-ended", 15, Info, Standard;
    Event::SessionsEnded { .. } => SESSIONS_ENDED, "sessions-ended", 60, Notice, Standard;
    Event::AccountCreated { .. } => ACCOUNT_CREATED, "account-created", 61, Notice, Standard;
    Event::AccountChanged { .. } => ACCOUNT_CHANGED, "account-changed", 62, Notice, Standard;
    Event::QualificationRecorded { .. } =>
        QUALIFICATION_RECORDED, "qualification-recorded", 63, Notice, Standard;
    Event::DirectoryChanged { .. } => DIRECTORY_CHANGED, "directory-changed", 90, Notice, Standard;
    Event::DirectoryToken { .. } => DIRECTORY_TOKEN, "directory-token", 91, Warning, Standard;
    Event::Listed { .. } => LISTED, "listed", 102, Notice, Standard;
    Event::EmergencyAccess { .. } => EMERGENCY_ACCESS, "emergency-access", 64, Alert, Standard;
    Event::Decided { .. } => DECIDED, "decided", 16, Info, Standard;
    Event::Released { .. } => RELEASED, "released", 17, Notice, Standard;
    Event::Withheld { .. } => WITHHELD, "withheld", 18, Warning, Standard;
    Event::Written { .. } => WRITTEN, "written", 19, Notice, Standard;
    Event::OutcomeUnknown { .. } => OUTCOME_UNKNOWN, "outcome-unknown", 101, Alert, Standard;
    Event::RequestRefused { .. } => REQUEST_REFUSED, "request-refused", 20, Warning, Standard;
    Event::AuditRead { .. } => AUDIT_READ, "audit-read", 21, Notice, Standard;
    Event::IndexKeyRotated { .. } => INDEX_KEY_ROTATED, "index-key-rotated", 39, Notice, Standard;
    Event::AgreementProposed { .. } =>
        AGREEMENT_PROPOSED, "agreement-proposed", 70, Notice, Permanent;
    Event::AgreementReviewed { .. } =>
        AGREEMENT_REVIEWED, "agreement-reviewed", 71, Notice, Permanent;
    Event::TextProposed { .. } => TEXT_PROPOSED, "text-proposed", 76, Notice, Permanent;
    Event::TextReviewed { .. } => TEXT_REVIEWED, "text-reviewed", 77, Notice, Permanent;
    Event::AgreementDue { .. } => AGREEMENT_DUE, "agreement-due", 72, Warning, Standard;
    Event::SecondaryDissemination { .. } =>
        SECONDARY_DISSEMINATION, "secondary-dissemination", 73, Notice, Dissemination;
    Event::JurisdictionSettled { .. } =>
        JURISDICTION_SETTLED, "jurisdiction-settled", 74, Warning, Dissemination;
    Event::ExportTemplate { .. } => EXPORT_TEMPLATE, "export-template", 75, Notice, Standard;
    Event::ExportRequested { .. } =>
        EXPORT_REQUESTED, "export-requested", 22, Notice, Dissemination;
    Event::ExportApproved { .. } => EXPORT_APPROVED, "export-approved", 23, Notice, Dissemination;
    Event::ExportRejected { .. } => EXPORT_REJECTED, "export-rejected", 24, Warning, Dissemination;
    Event::ParcelSealed { .. } => PARCEL_SEALED, "parcel-sealed", 25, Notice, Dissemination;
    Event::ParcelStamped { .. } => PARCEL_STAMPED, "parcel-stamped", 140, Notice, Dissemination;
    Event::ParcelUnstamped { .. } =>
        PARCEL_UNSTAMPED, "parcel-unstamped", 141, Warning, Dissemination;
    Event::StampIssued { .. } => STAMP_ISSUED, "stamp-issued", 142, Notice, Standard;
    Event::ParcelOffered { .. } => PARCEL_OFFERED, "parcel-offered", 26, Info, Dissemination;
    Event::ParcelSent { .. } => PARCEL_SENT, "parcel-sent", 27, Notice, Dissemination;
    Event::ParcelDelivered { .. } =>
        PARCEL_DELIVERED, "parcel-delivered", 130, Notice, Dissemination;
    Event::DeliveryFailed { .. } =>
        DELIVERY_FAILED, "delivery-failed", 131, Warning, Dissemination;
    Event::ParcelCleared { .. } => PARCEL_CLEARED, "parcel-cleared", 119, Notice, Dissemination;
    Event::GuestInvited { .. } => GUEST_INVITED, "guest-invited", 132, Notice, Dissemination;
    Event::GuestEnded { .. } => GUEST_ENDED, "guest-ended", 133, Notice, Dissemination;
    Event::ParcelDownloaded { .. } =>
        PARCEL_DOWNLOADED, "parcel-downloaded", 28, Notice, Dissemination;
    Event::ParcelReceived { .. } => PARCEL_RECEIVED, "parcel-received", 29, Notice, Dissemination;
    Event::ParcelRefused { .. } => PARCEL_REFUSED, "parcel-refused", 30, Alert, Dissemination;
    Event::ParcelOpened { .. } => PARCEL_OPENED, "parcel-opened", 31, Notice, Dissemination;
    Event::ReceiptIssued { .. } => RECEIPT_ISSUED, "receipt-issued", 32, Notice, Dissemination;
    Event::ReceiptAnchored { .. } =>
        RECEIPT_ANCHORED, "receipt-anchored", 33, Notice, Dissemination;
    Event::ExportRecalled { .. } =>
        EXPORT_RECALLED, "export-recalled", 110, Warning, Dissemination;
    Event::RecallAnswered { .. } =>
        RECALL_ANSWERED, "recall-answered", 125, Notice, Dissemination;
    Event::OfferExpired { .. } => OFFER_EXPIRED, "offer-expired", 111, Warning, Dissemination;
    Event::CopyRemoved { .. } => COPY_REMOVED, "copy-removed", 118, Notice, Dissemination;
    Event::ParcelAccepted { .. } => PARCEL_ACCEPTED, "parcel-accepted", 112, Notice, Dissemination;
    Event::ParcelDestroyed { .. } =>
        PARCEL_DESTROYED, "parcel-destroyed", 113, Notice, Dissemination;
    Event::ParcelKept { .. } => PARCEL_KEPT, "parcel-kept", 114, Warning, Dissemination;
    Event::FilesTakenIn { .. } => FILES_TAKEN_IN, "files-taken-in", 123, Notice, Dissemination;
    Event::FileRedacted { .. } => FILE_REDACTED, "file-redacted", 134, Notice, Dissemination;
    Event::FileScanned { .. } => FILE_SCANNED, "file-scanned", 120, Warning, Dissemination;
    Event::ParcelScanned { .. } => PARCEL_SCANNED, "parcel-scanned", 121, Notice, Dissemination;
    Event::FileReleased { .. } => FILE_RELEASED, "file-released", 122, Warning, Dissemination;
    Event::NoticeIssued { .. } => NOTICE_ISSUED, "notice-issued", 115, Notice, Dissemination;
    Event::NoticeAnchored { .. } => NOTICE_ANCHORED, "notice-anchored", 116, Notice, Dissemination;
    Event::ExchangeAlert { .. } => EXCHANGE_ALERT, "exchange-alert", 117, Alert, Dissemination;
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
}
