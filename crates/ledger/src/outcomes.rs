//! How each event ended: permitted, denied, failed.
//!
//! Invariant: as in [`crate::event`], no match on [`Event`] has a `_` arm.

use crate::event::{Event, Outcome, Verdict};

impl Event {
    /// How it ended.
    #[expect(clippy::too_many_lines, reason = "one list of all events")]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Decided { verdict: Verdict::Deny, .. }
            | Self::ToolRefused { .. }
            | Self::SignInRefused { .. }
            | Self::RefusalsSummed { .. }
            | Self::RequestRefused { .. }
            | Self::ExportRejected { .. }
            | Self::ParcelRefused { .. } => Outcome::Deny,
            Self::Withheld { .. }
            | Self::OutcomeUnknown { .. }
            | Self::LedgerStalled { .. }
            | Self::WitnessStale { .. }
            | Self::WitnessForgot { .. }
            | Self::RollbackDetected { .. }
            | Self::EquivocationDetected { .. }
            | Self::DeliveryFailed { .. }
            | Self::ExchangeAlert { .. } => Outcome::Fail,
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
            | Self::ProviderTried { .. }
            | Self::SignalReceived { .. }
            | Self::NoticeAccepted { .. }
            | Self::SteppedUp { .. }
            | Self::SignedOut
            | Self::SessionEnded { .. }
            | Self::SessionsEnded { .. }
            | Self::AccountCreated { .. }
            | Self::AccountChanged { .. }
            | Self::QualificationRecorded { .. }
            | Self::DirectoryChanged { .. }
            | Self::DirectoryToken { .. }
            | Self::Listed { .. }
            | Self::EmergencyAccess { .. }
            | Self::Released { .. }
            | Self::Written { .. }
            | Self::AuditRead { .. }
            | Self::IndexKeyRotated { .. }
            | Self::AgreementProposed { .. }
            | Self::AgreementReviewed { .. }
            | Self::TextProposed { .. }
            | Self::TextReviewed { .. }
            | Self::AgreementDue { .. }
            | Self::SecondaryDissemination { .. }
            | Self::JurisdictionSettled { .. }
            | Self::ExportTemplate { .. }
            | Self::ExportRequested { .. }
            | Self::ExportApproved { .. }
            | Self::ParcelSealed { .. }
            | Self::ParcelStamped { .. }
            | Self::ParcelUnstamped { .. }
            | Self::StampIssued { .. }
            | Self::ParcelOffered { .. }
            | Self::ParcelSent { .. }
            | Self::ParcelDelivered { .. }
            | Self::GuestInvited { .. }
            | Self::GuestEnded { .. }
            | Self::ParcelDownloaded { .. }
            | Self::ParcelReceived { .. }
            | Self::ParcelOpened { .. }
            | Self::ReceiptIssued { .. }
            | Self::ReceiptAnchored { .. }
            | Self::ExportRecalled { .. }
            | Self::RecallAnswered { .. }
            | Self::OfferExpired { .. }
            | Self::ParcelCleared { .. }
            | Self::CopyRemoved { .. }
            | Self::ParcelAccepted { .. }
            | Self::ParcelDestroyed { .. }
            | Self::ParcelKept { .. }
            | Self::FilesTakenIn { .. }
            | Self::FileRedacted { .. }
            | Self::FileScanned { .. }
            | Self::ParcelScanned { .. }
            | Self::FileReleased { .. }
            | Self::NoticeIssued { .. }
            | Self::NoticeAnchored { .. }
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
