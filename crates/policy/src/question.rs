//! A question to the policy, and its answer.
//!
//! Plain data: a question is built by the room that knows the facts, and carries its own time.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::nouns::{ActorId, CaseNumber, Caveat, Function, Ori, PurposeCode, RecordClass};

/// The longest reason a person may give, in characters. A question with more is denied.
pub const REASON_CHARS_MAX: usize = 1000;

/// A uniquely identified person, and how strongly they signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The stable key of the account.
    pub id: ActorId,
    /// The name to show. Never used to decide.
    pub name: String,
    /// The agency that the person works for.
    pub agency: Ori,
    /// The job functions that the agency's identity provider vouched for.
    pub functions: BTreeSet<Function>,
    /// How the person signed in.
    pub assurance: Assurance,
    /// What the agency demands of a person of these functions before they get CJI, and this one has not.
    #[serde(default)]
    pub lacking: Vec<Lack>,
}

/// A training, a screening or an agreement that is missing or out of date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// What kind it is and the agency's id for it, such as `training/security-awareness`.
    pub id: String,
    /// What is wrong and what to do about it, in plain words for the person.
    pub words: String,
}

/// How strongly, and when, an actor proved who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assurance {
    /// The identity provider named a context that the agency counts as multi-factor.
    pub mfa: bool,
    /// That context, as the provider named it.
    pub context: String,
    /// When the provider authenticated the person.
    pub authenticated_at: Timestamp,
    /// When the person last proved it again for a weighty act.
    pub stepped_up_at: Option<Timestamp>,
}

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal, $words:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$item_doc])* $item,)+ }

        impl $name {
            /// Every one, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$item,)+];

            /// The name in policies, records and files.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text,)+ }
            }

            /// The name in a sentence for people.
            pub fn words(self) -> &'static str {
                match self { $(Self::$item => $words,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

closed_list!(
    /// What a person may want to do. Closed: a new act does not exist until policies know it.
    Action {
        /// Read records through a tool.
        RunQuery = "run-query", "read records";
        /// Change a record through a tool.
        WriteRecord = "write-record", "change a record";
        /// Read a document or video of the evidence store.
        ReadEvidence = "read-evidence", "read evidence";
        /// Ask that records be sent to a partner.
        RequestExport = "request-export", "ask for an export";
        /// Agree to another person's request.
        ApproveExport = "approve-export", "approve an export";
        /// Seal what was approved into a parcel.
        SealExport = "seal-export", "seal an export";
        /// Take a sealed parcel away as a file.
        DownloadParcel = "download-parcel", "download a parcel";
        /// Accept a partner's parcel.
        ReceiveParcel = "receive-parcel", "accept a parcel";
        /// Open a partner's parcel and view what is in it.
        OpenParcel = "open-parcel", "open a parcel";
        /// Take back what was, or is about to be, sent to a partner.
        RecallExport = "recall-export", "recall an export";
        /// Destroy a partner's parcel for good.
        DestroyParcel = "destroy-parcel", "destroy a parcel";
        /// Let a file of a partner's parcel be opened that is held for what the malware scanner said of it.
        ReleaseHeldFile = "release-held-file", "let a held file be opened";
        /// Let a named person at a partner fetch a parcel, or end that.
        InviteGuest = "invite-guest", "invite a guest";
        /// See and fetch, as a guest, parcels that are addressed to one.
        FetchParcel = "fetch-parcel", "fetch a parcel as a guest";
        /// See which exports were asked for, and what became of them.
        ViewExports = "view-exports", "see exports";
        /// See which parcels partners sent, not what is in them.
        ViewParcels = "view-parcels", "see received parcels";
        /// Read or search the ledger.
        ReadAudit = "read-audit", "read the audit log";
        /// Place or release a hold on records of the ledger.
        HoldRecords = "hold-records", "place or release a hold";
        /// Dispose of records whose schedule has ended.
        DisposeRecords = "dispose-records", "dispose of records";
        /// See the state of the controls.
        ViewPosture = "view-posture", "view the posture";
        /// Add, change or end partners and agreements.
        ManagePartners = "manage-partners", "manage partners";
        /// Put a version of an agreement in force, or refuse it.
        ReviewAgreements = "review-agreements", "review an agreement";
        /// See who has an account, and as what.
        ViewPeople = "view-people", "see accounts";
        /// Make, change and disable accounts, and end sessions.
        ManagePeople = "manage-people", "change accounts";
        /// Draft identity providers and try them.
        ManageProviders = "manage-providers", "set up identity providers";
        /// Read what the ledger says of oneself.
        ReadOwnAccesses = "read-own-accesses", "read what one did oneself";
        /// See a tool's form, without any record.
        UseTool = "use-tool", "use a tool";
    }
);

closed_list!(
    /// What kind of thing is acted on.
    ResourceKind {
        /// A declared internal tool.
        Tool = "tool", "a tool";
        /// An agency system.
        Source = "source", "a source";
        /// A document or video.
        Evidence = "evidence", "evidence";
        /// A request to send records to a partner.
        Export = "export", "an export";
        /// A sealed export.
        Parcel = "parcel", "a parcel";
        /// The audit log.
        Ledger = "ledger", "the audit log";
        /// The platform itself.
        Platform = "platform", "the platform";
    }
);

/// What is acted on, with every fact that a policy may ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// Which one of that kind.
    pub id: String,
    /// The tool through which it is reached, where there is one.
    pub tool: Option<String>,
    /// The source that it comes from, where there is one.
    pub source: Option<String>,
    /// What kind of record it is.
    pub record_class: RecordClass,
    /// The handling marks that what is asked for may carry. The gate withholds rows with others.
    pub caveats: BTreeSet<Caveat>,
    /// The agency whose record it is.
    pub agency: Ori,
    /// For exports: who asked for it.
    pub requested_by: Option<ActorId>,
    /// For exports and parcels: the agreement that covers it.
    pub agreement: Option<AgreementFacts>,
}

/// What an information exchange agreement allows, as far as a policy asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementFacts {
    /// The agreement's id.
    pub id: String,
    /// The agency on the other side.
    pub partner: Ori,
    /// The record classes that may cross.
    pub record_classes: BTreeSet<RecordClass>,
    /// The handling marks that may not cross.
    pub caveats_barred: BTreeSet<Caveat>,
    /// The only handling marks that may cross, where the agreement lists them.
    pub caveats_allowed: Option<BTreeSet<Caveat>>,
    /// The purposes for which records may cross.
    pub purposes: BTreeSet<PurposeCode>,
    /// From this moment.
    pub starts: Timestamp,
    /// When it has to be reviewed: from this moment nothing crosses until it was.
    pub review: Timestamp,
    /// Until just before this moment.
    pub ends: Timestamp,
    /// How many people other than the requester must approve.
    pub approvals: u8,
}

/// Why the actor wants it, in their own words and codes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The purpose code.
    pub purpose: Option<PurposeCode>,
    /// The case it is for.
    pub case_number: Option<CaseNumber>,
    /// The reason, at most [`REASON_CHARS_MAX`] characters.
    pub reason: Option<String>,
}

/// Who wants to do what to which resource, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks.
    pub actor: Actor,
    /// What they want to do.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// And why.
    pub why: Why,
    /// The functions that the tool's own file opens this action to. Empty: the tool does not restrict it.
    pub allowed_functions: BTreeSet<Function>,
    /// The moment for which the question is asked.
    pub now: Timestamp,
}

/// Yes or no. There is nothing between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may be done.
    Permit,
    /// It may not.
    Deny,
}

impl Verdict {
    /// The name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
        }
    }
}

/// The policy's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// The ids of the policies that settled it, sorted. Empty when no rule allows it.
    pub policies: Vec<String>,
    /// Why, in plain words for the person. Names no record and no other person.
    pub reason: String,
    /// The digest of the policy set that answered.
    pub policy_set: [u8; 32],
}
