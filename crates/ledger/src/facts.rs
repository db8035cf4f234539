//! The names in an event that searches, and a partner's half of it, go by.
//!
//! Invariant: as in [`crate::event`], no match on [`Event`] has a `_` arm.

use crate::event::{Cleared, Event, GuestTerms, Laid, Sent, Unlaid};
use crate::notices::{NoticeAnchored, NoticeIssued, RecallAnswered};
use crate::quarantine::{FileRedacted, FileReleased, FileScanned, FilesTakenIn, ParcelScanned};
use crate::stamps::{ParcelStamped, ParcelUnstamped, StampIssued};

/// The names that an event carries, where it carries them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    pub action: Option<&'a str>,
    pub source: Option<&'a str>,
    pub tool: Option<&'a str>,
    pub partner: Option<&'a str>,
    pub exchange: Option<&'a str>,
    pub parcel: Option<&'a str>,
    pub export: Option<&'a str>,
    pub digest: Option<&'a str>,
    /// The entry of the decision that this event completes.
    pub decided: Option<u64>,
}

impl Event {
    /// The names in an event that searches and the partner's half of a commitment go by.
    #[expect(clippy::too_many_lines, reason = "one list of all events")]
    pub fn facts(&self) -> Facts<'_> {
        let none = Facts::default();
        match self {
            Self::Decided { action, tool, source, .. } => Facts {
                action: Some(action),
                tool: tool.as_deref(),
                source: source.as_deref(),
                ..none
            },
            Self::ToolLoaded { tool, .. } => Facts { tool: Some(tool), ..none },
            Self::Released { decided, .. }
            | Self::Withheld { decided, .. }
            | Self::Written { decided, .. }
            | Self::OutcomeUnknown { decided, .. } => Facts { decided: Some(*decided), ..none },
            Self::ExportRequested { export, partner, .. }
            | Self::GuestInvited(GuestTerms { export, partner, .. })
            | Self::GuestEnded(GuestTerms { export, partner, .. })
            | Self::SecondaryDissemination { export, partner, .. } => {
                Facts { export: Some(export), partner: Some(partner), ..none }
            }
            Self::StampIssued(StampIssued { partner, .. }) => {
                Facts { partner: Some(partner), ..none }
            }
            Self::ExportApproved { export, .. } | Self::ExportRejected { export, .. } => {
                Facts { export: Some(export), ..none }
            }
            Self::ParcelOffered { exchange, parcel, partner, .. }
            | Self::OfferExpired { exchange, parcel, partner }
            | Self::CopyRemoved { exchange, parcel, partner }
            | Self::ParcelAccepted { exchange, parcel, partner }
            | Self::ParcelCleared(Cleared { exchange, parcel, partner, .. })
            | Self::DeliveryFailed(Unlaid { exchange, parcel, partner, .. })
            | Self::ParcelStamped(ParcelStamped { exchange, parcel, partner, .. })
            | Self::ParcelUnstamped(ParcelUnstamped { exchange, parcel, partner, .. })
            | Self::ParcelKept { exchange, parcel, partner, .. }
            | Self::FileScanned(FileScanned { exchange, parcel, partner, .. })
            | Self::FileReleased(FileReleased { exchange, parcel, partner, .. }) => Facts {
                exchange: Some(exchange),
                parcel: Some(parcel),
                partner: Some(partner),
                ..none
            },
            Self::ParcelSent(Sent { exchange, parcel, partner, digest, .. })
            | Self::ParcelDelivered(Laid { exchange, parcel, partner, digest, .. })
            | Self::ParcelReceived { exchange, parcel, partner, digest, .. }
            | Self::ReceiptAnchored { exchange, parcel, partner, digest, .. }
            | Self::ParcelDestroyed { exchange, parcel, partner, digest, .. }
            | Self::ParcelScanned(ParcelScanned { exchange, parcel, partner, digest, .. }) => {
                Facts {
                    exchange: Some(exchange),
                    parcel: Some(parcel),
                    partner: Some(partner),
                    digest: Some(digest),
                    ..none
                }
            }
            Self::FilesTakenIn(FilesTakenIn { exchange, parcel, digest, .. }) => Facts {
                exchange: Some(exchange),
                parcel: Some(parcel),
                digest: Some(digest),
                ..none
            },
            Self::FileRedacted(FileRedacted { exchange, copy, .. }) => {
                Facts { exchange: Some(exchange), digest: Some(copy), ..none }
            }
            Self::ParcelSealed { export, parcel, digest, .. }
            | Self::ParcelDownloaded { export, parcel, digest, .. } => {
                Facts { export: Some(export), parcel: Some(parcel), digest: Some(digest), ..none }
            }
            Self::ExportRecalled { export, exchange, partner, .. } => Facts {
                export: Some(export),
                exchange: exchange.as_deref(),
                partner: Some(partner),
                ..none
            },
            Self::ExchangeAlert { exchange, partner, .. } => {
                Facts { exchange: exchange.as_deref(), partner: Some(partner), ..none }
            }
            Self::RecallAnswered(RecallAnswered {
                export, exchange, partner, document, ..
            }) => Facts {
                export: Some(export),
                exchange: exchange.as_deref(),
                partner: Some(partner),
                digest: document.as_deref(),
                ..none
            },
            Self::NoticeIssued(NoticeIssued { exchange, partner, digest, .. })
            | Self::NoticeAnchored(NoticeAnchored { exchange, partner, digest, .. }) => Facts {
                exchange: Some(exchange),
                partner: Some(partner),
                digest: Some(digest),
                ..none
            },
            Self::ParcelRefused { exchange, parcel, partner, .. } => Facts {
                exchange: exchange.as_deref(),
                parcel: Some(parcel),
                partner: Some(partner),
                ..none
            },
            Self::ParcelOpened { exchange, parcel, .. } => {
                Facts { exchange: Some(exchange), parcel: Some(parcel), ..none }
            }
            Self::ReceiptIssued { exchange, digest } => {
                Facts { exchange: Some(exchange), digest: Some(digest), ..none }
            }
            Self::LedgerOpened { .. }
            | Self::LedgerStalled { .. }
            | Self::LedgerRecovered { .. }
            | Self::LedgerNearlyFull { .. }
            | Self::LedgerChecked
            | Self::ServiceStarted { .. }
            | Self::ServiceStopped
            | Self::SettingsLoaded { .. }
            | Self::ToolRefused { .. }
            | Self::SignInStarted { .. }
            | Self::SignedIn { .. }
            | Self::SignInRefused { .. }
            | Self::RefusalsSummed { .. }
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
            | Self::RequestRefused { .. }
            | Self::AuditRead { .. }
            | Self::IndexKeyRotated { .. }
            | Self::AgreementProposed { .. }
            | Self::AgreementReviewed { .. }
            | Self::TextProposed { .. }
            | Self::TextReviewed { .. }
            | Self::AgreementDue { .. }
            | Self::JurisdictionSettled { .. }
            | Self::ExportTemplate { .. }
            | Self::CheckpointCosigned { .. }
            | Self::WitnessStale { .. }
            | Self::WitnessRecovered { .. }
            | Self::WitnessForgot { .. }
            | Self::RollbackDetected { .. }
            | Self::EquivocationDetected { .. }
            | Self::WitnessedCheckpoint { .. }
            | Self::StopLifted { .. }
            | Self::HoldPlaced { .. }
            | Self::HoldReleased { .. }
            | Self::DispositionStarted { .. }
            | Self::Disposed { .. }
            | Self::DisposedReturned { .. } => none,
        }
    }
}
