//! What can happen: one closed list, from which the words, the severities, the retention and the
//! search index are derived; [`crate::kinds`] has a line for each.
//!
//! Invariant: no match on [`Event`] has a `_` arm. A new event does not compile until every
//! reader of events knows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agreed::{
    AgreementDue, AgreementProposed, AgreementReviewed, JurisdictionSettled, TextProposed,
    TextReviewed,
};
pub use crate::classes::{Cleared, Retention, Severity, Unlaid, Verdict};
pub use crate::classes::{FieldChange, GuestTerms, Laid, Outcome, Sent};
use crate::envelope::Bucket;
pub use crate::kinds::{KINDS, Kind};
use crate::notices::{NoticeAnchored, NoticeIssued, RecallAnswered};
use crate::quarantine::{FileRedacted, FileReleased, FileScanned, FilesTakenIn, ParcelScanned};
use crate::retention::{HoldScope, Statement};
use crate::stamps::{ParcelStamped, ParcelUnstamped, StampIssued};

/// Something that was done, asked for or refused. Who, where and why stand beside it in [`crate::Record`].
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
    /// The ledger's volume, or its database, is filled up to so many percent: it is time to make room.
    LedgerNearlyFull {
        percent: u8,
        free_bytes: u64,
        full_in_days: Option<u64>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        database: bool,
    },
    /// Nobody had anything to record for an hour, or records were refused: tried whether they are taken.
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
        /// The class of the device, which says for how long the session may be idle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device_class: Option<String>,
        /// SHA-256 of the client certificate that the session is bound to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
    },
    SignInRefused {
        idp: String,
        reason: String,
    },
    /// So many refusals, by their codes, of this provider or of requests, came faster than they would be read.
    RefusalsSummed {
        of: String,
        since: Timestamp,
        counts: BTreeMap<String, u64>,
    },
    /// An identity provider needs somebody: what it shows runs out in so many days, or its metadata can't be used.
    ProviderAlert {
        idp: String,
        what: String,
        days_left: Option<u64>,
    },
    /// Somebody tried to sign in at a provider that is not switched on, which let nobody in. `by` is their account, `digest` that of the provider's metadata (hex SHA-256), `outcome` `accepted` or a reason code.
    ProviderTried {
        idp: String,
        by: String,
        digest: String,
        outcome: String,
    },
    /// A provider told of a security event, and what follows here. `signal` is the event's own name.
    SignalReceived {
        stream: String,
        signal: String,
        outcome: String,
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
    /// Whatever sessions there are of an account, of a provider's session or of a name are ended now.
    SessionsEnded {
        of: String,
        reason: String,
    },
    /// An account begins. `account` is its key, `<provider>|<name>`; `by` is what made it.
    AccountCreated {
        account: String,
        kind: String,
        by: String,
        functions: Vec<String>,
    },
    /// An account is changed: disabled, enabled, removed, or given other functions or facts. `version` is the one that the change makes.
    AccountChanged {
        account: String,
        version: u64,
        what: String,
        changes: Vec<FieldChange>,
        reason: String,
    },
    /// A training, a screening or an agreement of a person was written down.
    QualificationRecorded {
        account: String,
        what: String,
        course: String,
        on: String,
        until: Option<String>,
        evidence: String,
    },
    /// A directory makes, changes or deletes one of its entries: a person or a group, by its id here. Digests are hex SHA-256 of what it says.
    DirectoryChanged {
        directory: String,
        kind: String,
        id: String,
        what: String,
        before: Option<String>,
        after: Option<String>,
    },
    /// A token by which a directory is let in was made or revoked. `token` is the beginning of its hash.
    DirectoryToken {
        directory: String,
        token: String,
        what: String,
        by: String,
        until: Option<Timestamp>,
    },
    /// People, groups or tokens are about to be shown to a directory, or at the command line.
    Listed {
        by: String,
        what: String,
        count: u64,
        digest: String,
    },
    /// An emergency account was prepared, used, refused, locked or released.
    EmergencyAccess {
        account: String,
        what: String,
        reason: String,
    },
    /// The policy's answer to a question. `verdict` is `permit` or `deny`; `policy_set` and `plan` are hex SHA-256.
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
    /// Whether what entry `decided` allowed was done is not known: nobody saw its end.
    OutcomeUnknown {
        decided: u64,
        reason: String,
    },
    /// A request that never became a question: `csrf`, `stale-session`, `bad-input:<field>`, `unknown-tool`, `foreign-handle`, `too-large`.
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
    /// A text of an agreement that is new here waits for its review. `digest` is of what it says (hex SHA-256).
    AgreementProposed(AgreementProposed),
    /// Somebody accepted a version of an agreement, which counts from here on, or refused it.
    AgreementReviewed(AgreementReviewed),
    /// What is written down of a partner, or of the rules of jurisdictions, is new here and waits for its review.
    TextProposed(TextProposed),
    /// Somebody accepted what is written down of a partner or of the rules, which counts from here on, or refused it.
    TextReviewed(TextReviewed),
    /// An agreement is near its review or its end; nothing crosses under it from then on.
    AgreementDue(AgreementDue),
    /// CHRI goes to an agency that is not party to one of our primary agreements (CA-3 d): what, to whom there, and how.
    SecondaryDissemination {
        export: String,
        records: String,
        partner: String,
        requestor: String,
        method: String,
    },
    /// The rules of two jurisdictions can't both be kept for an export; a person said which is.
    JurisdictionSettled(JurisdictionSettled),
    /// A template for exports was kept or removed.
    ExportTemplate {
        template: String,
        title: String,
        what: String,
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
    /// A time-stamp authority's word on a parcel's signature.
    ParcelStamped(ParcelStamped),
    /// A parcel goes without one.
    ParcelUnstamped(ParcelUnstamped),
    /// We gave a partner a time stamp.
    StampIssued(StampIssued),
    /// A partner announced a parcel. `number` counts all that it ever sent us, from 1 without gaps.
    ParcelOffered {
        exchange: String,
        #[serde(default)]
        number: u64,
        parcel: String,
        partner: String,
    },
    /// Recorded before the first byte leaves.
    ParcelSent(Sent),
    /// A parcel lies where the partner fetches it, whole. Nobody there has acknowledged it.
    ParcelDelivered(Laid),
    /// An attempt to lay a parcel down came to nothing.
    DeliveryFailed(Unlaid),
    /// A parcel that was taken back, or whose offer ended, is not where it was laid down any more.
    ParcelCleared(Cleared),
    /// A named person at a partner may fetch a parcel until a day, or no more.
    GuestInvited(GuestTerms),
    GuestEnded(GuestTerms),
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exchange: Option<String>,
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
    /// A partner's receipt for what was sent; `partner_entry` is its entry in the partner's ledger, if that has one.
    ReceiptAnchored {
        exchange: String,
        parcel: String,
        partner: String,
        digest: String,
        partner_entry: Option<u64>,
    },
    /// A person takes an export back: nothing more of it leaves, and a partner who has it must answer.
    ExportRecalled {
        export: String,
        exchange: Option<String>,
        partner: String,
        reason: String,
    },
    /// A partner answered a recall otherwise than by its server, and a person here wrote down how.
    RecallAnswered(RecallAnswered),
    /// An offer was not taken up, or not to its end, before its time was over. Its bytes are removed.
    OfferExpired {
        exchange: String,
        parcel: String,
        partner: String,
    },
    /// Our own sealed copy of what was sent is removed: it arrived, and its time is over.
    CopyRemoved {
        exchange: String,
        parcel: String,
        partner: String,
    },
    /// A person accepts a partner's parcel that was verified.
    ParcelAccepted {
        exchange: String,
        parcel: String,
        partner: String,
    },
    /// A partner's parcel is destroyed here: recorded before its files go. `digest` names what it was.
    ParcelDestroyed {
        exchange: String,
        parcel: String,
        partner: String,
        digest: String,
        method: String,
        reason: String,
    },
    /// A partner asked for its parcel back, and a person keeps it.
    ParcelKept {
        exchange: String,
        parcel: String,
        partner: String,
        reason: String,
    },
    /// A person took in files that others brought, who signed nothing.
    FilesTakenIn(FilesTakenIn),
    /// A person took in a redacted copy of a file that is here. The original is as it was.
    FileRedacted(FileRedacted),
    /// What the malware scanner said of one file of a partner's parcel that it did not call clean.
    FileScanned(FileScanned),
    /// The malware scanner was asked about every file of a partner's parcel.
    ParcelScanned(ParcelScanned),
    /// A person lets a file be opened that was held for what the malware scanner said of it.
    FileReleased(FileReleased),
    /// We signed a notice about an exchange for a partner. `number` counts all notices to that partner, from 1 without gaps.
    NoticeIssued(NoticeIssued),
    /// A partner's signed notice about an exchange; `partner_entry` is the entry that it rests on.
    NoticeAnchored(NoticeAnchored),
    /// Something between us and a partner needs a person: a number that never came, a parcel past its time …
    ExchangeAlert {
        partner: String,
        exchange: Option<String>,
        what: String,
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
    /// A witness was at a smaller tree than `seen`, which it had confirmed: put back, or begun anew. It counts again.
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
    /// From here on, whatever is about this is kept, until a day or until it is released. `hold` is used once.
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
    /// A bucket is about to be disposed of. The statement is this entry's shared half, for everybody to see.
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
    /// Key or bodies of a bucket that entry `started` disposed of were there again; they are disposed of again.
    DisposedReturned {
        bucket: Bucket,
        started: u64,
        what: String,
    },
}
