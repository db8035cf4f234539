//! An information exchange agreement as it is written down: `agreements/*.toml`.
//!
//! Invariant: it says who is party to it, by what authority, what may cross, when it is reviewed (within three
//! years, CA-3) and when it ends; a file that leaves one of these out is refused.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use policy::{AgreementFacts, Caveat, Ori, PurposeCode, RecordClass};
use serde::{Deserialize, Serialize};

use super::files::{Problem, problem, read};
use super::partner::is_delivery_name;
use crate::depots::PUSH;

/// Three years, the longest time from a version's start to its review.
const REVIEW_DAYS_MAX: i64 = 3 * 366;
/// A signed document's longest length.
const DOCUMENT_BYTES_MAX: usize = 32 << 20;
/// Characters of a text in an agreement, and parties to it.
const TEXT_CHARS_MAX: usize = 2_000;
const PARTIES_MAX: usize = 50;

/// What may cross to one partner, for what, when, and on which terms (CA-3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    pub title: String,
    /// The statute, order or memorandum that it rests on.
    pub authority: String,
    /// How long the partner is to keep what it gets, in words.
    pub retention: Option<String>,
    /// What the policy asks about.
    pub facts: AgreementFacts,
    pub terms: Terms,
}

/// What an agreement says besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What sort of agreement: `user-agreement`, `management-control`, `information-exchange` …
    pub kind: Sort,
    pub parties: Vec<Signatory>,
    pub redistribution: Redistribution,
    /// After so many days the partner destroys or returns what it got.
    pub retention_days: Option<u32>,
    /// How each may audit the other, in words.
    pub audit: String,
    /// How an incident is told, in words.
    pub incidents: Option<String>,
    /// Encryption beyond what every parcel has, in words.
    pub encryption: Option<String>,
    /// Whether parcels may go to a partner whose sealing certificate is RSA: RSA-OAEP is no approved service of the
    /// module. Such parcels are marked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rsa_oaep: bool,
    /// SHA-256 of the partner's certificates that it covers; any that the partner has where it names none.
    pub certificates: Option<BTreeSet<String>>,
    /// Whether it is one of the agency's primary agreements. What crosses under another and is CHRI goes to
    /// the log of secondary dissemination.
    pub primary: bool,
    /// The signed document.
    pub document: Option<SignedDocument>,
    /// The ways that parcels may go, by name; all that the partner has where it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<BTreeSet<String>>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($item:ident = $text:literal, $words:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($item,)+ }

        impl $name {
            /// In a sentence for people.
            pub fn words(self) -> &'static str {
                match self { $(Self::$item => $words,)+ }
            }

            /// As it is written down.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text,)+ }
            }
        }
    };
}

words!(
    /// Sorts of agreements, by the CJIS Security Policy's names (5.1.1, CA-3, appendix D).
    Sort {
        UserAgreement = "user-agreement", "CJIS user agreement";
        InformationExchange = "information-exchange", "information exchange agreement";
        Memorandum = "memorandum", "memorandum of understanding";
        ManagementControl = "management-control", "management control agreement";
        NonCriminalJustice = "non-criminal-justice", "agreement with a noncriminal justice agency";
        Interconnection = "interconnection", "interconnection security agreement";
    }
);

words!(
    /// Whether the partner may hand on what it got.
    Redistribution {
        None = "none", "The partner hands nothing on.";
        WithConsent = "with-consent", "The partner hands on only with our written consent, each time.";
        UnderTheseTerms = "under-these-terms", "The partner may hand on to other authorised agencies, under these terms.";
    }
);

impl Redistribution {
    /// The one that allows less.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::WithConsent, _) | (_, Self::WithConsent) => Self::WithConsent,
            (Self::UnderTheseTerms, Self::UnderTheseTerms) => Self::UnderTheseTerms,
        }
    }
}

/// One side of an agreement, and who signed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatory {
    pub ori: Ori,
    pub name: String,
    /// Who signed, with their title.
    pub signed_by: String,
    pub signed_at: Timestamp,
}

/// The signed document, held by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDocument {
    /// Its name, beside the agreement's file.
    pub file: String,
    /// Hex.
    pub sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgreementFile {
    id: String,
    title: String,
    kind: Sort,
    authority: String,
    partner: Ori,
    record_classes: BTreeSet<RecordClass>,
    caveats_barred: BTreeSet<Caveat>,
    caveats_allowed: Option<BTreeSet<Caveat>>,
    purposes: BTreeSet<PurposeCode>,
    redistribution: Redistribution,
    retention: Option<String>,
    retention_days: Option<u32>,
    approvals: u8,
    audit: String,
    incidents: Option<String>,
    encryption: Option<String>,
    #[serde(default)]
    rsa_oaep: bool,
    certificates: Option<BTreeSet<String>>,
    #[serde(default = "yes")]
    primary: bool,
    starts: Timestamp,
    review: Timestamp,
    ends: Timestamp,
    document: Option<SignedDocument>,
    deliveries: Option<BTreeSet<String>>,
    #[serde(default)]
    party: Vec<Signatory>,
}

fn yes() -> bool {
    true
}

const AGREEMENT_KEYS: &[&str] = &[
    "id",
    "title",
    "kind",
    "authority",
    "partner",
    "record_classes",
    "caveats_barred",
    "caveats_allowed",
    "purposes",
    "redistribution",
    "retention",
    "retention_days",
    "approvals",
    "audit",
    "incidents",
    "encryption",
    "rsa_oaep",
    "certificates",
    "primary",
    "starts",
    "review",
    "ends",
    "document",
    "deliveries",
    "party",
];

impl AgreementFile {
    /// What is wrong, by key.
    fn wrong(&self) -> Vec<(&'static str, &'static str)> {
        let is_id = |id: &str| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let text = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
        let others = [&self.retention, &self.incidents, &self.encryption];
        let given = others.into_iter().flatten().all(|one| text(one));
        let certificates = self.certificates.iter().flatten();
        let mut named = self.deliveries.iter().flatten();
        let ways = named.all(|one| is_delivery_name(one) || one == PUSH);
        let fits = |party: &Signatory| text(&party.name) && text(&party.signed_by);
        let is_party = |ori: &Ori| self.party.iter().any(|party| party.ori == *ori);
        let another = self.party.iter().any(|party| party.ori != self.partner);
        let latest =
            self.starts.saturating_add(SignedDuration::from_hours(24 * REVIEW_DAYS_MAX)).ok();
        let in_time = self.starts < self.review && latest.is_some_and(|at| self.review <= at);
        let checks = [
            ("id", is_id(&self.id), "1 to 64 lower-case letters, digits or dashes"),
            ("title", text(&self.title), "1 to 2000 characters"),
            ("ends", self.starts < self.ends, "a time after `starts`"),
            ("review", in_time, "a time after `starts`, within three years"),
            ("approvals", self.approvals >= 1, "1 or more: nobody approves their own request"),
            ("record_classes", !self.record_classes.is_empty(), "at least one record class"),
            ("purposes", !self.purposes.is_empty(), "at least one purpose code"),
            ("authority", text(&self.authority), "a statute, order or memorandum"),
            ("audit", text(&self.audit), "how each side may audit the other, in words"),
            ("retention", given, "texts of 1 to 2000 characters"),
            ("deliveries", ways, "names of deliveries, such as `push`"),
            ("certificates", certificates.clone().all(|one| is_hash(one)), HASH),
            ("document", self.document.as_ref().is_none_or(SignedDocument::is_sound), DOCUMENT),
            (
                "party",
                self.party.len() <= PARTIES_MAX
                    && self.party.iter().all(fits)
                    && is_party(&self.partner)
                    && another,
                "at least two parties, `partner` among them, each with who signed",
            ),
        ];
        checks.into_iter().filter(|(_, holds, _)| !holds).map(|(key, _, why)| (key, why)).collect()
    }
}

const HASH: &str = "SHA-256 as 64 lower-case hex digits";
const DOCUMENT: &str = "the name of a file in this folder, and its SHA-256 in lower-case hex";

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl SignedDocument {
    fn is_sound(&self) -> bool {
        let path = PathBuf::from(&self.file);
        let mut parts = path.components();
        let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        plain && is_hash(&self.sha256)
    }

    /// Whether it lies beside a file, as it was signed.
    pub(crate) fn is_at(&self, file: &Path) -> bool {
        self.read(file.parent().unwrap_or(Path::new("."))).is_some()
    }

    pub(super) fn read(&self, folder: &Path) -> Option<Vec<u8>> {
        let bytes = keys::file::read(&folder.join(&self.file), DOCUMENT_BYTES_MAX).ok()?;
        (hex::encode(keys::digest::sha256(&bytes)) == self.sha256).then_some(bytes)
    }
}

pub(crate) fn agreement(file: &Path, text: &str) -> Result<Agreement, Vec<Problem>> {
    let read: AgreementFile = read(file, text, AGREEMENT_KEYS)?;
    let wrong = read.wrong();
    if !wrong.is_empty() {
        return Err(wrong.iter().map(|(key, why)| problem(file, text, key, why)).collect());
    }
    Ok(Agreement {
        title: read.title,
        authority: read.authority,
        retention: read.retention,
        facts: AgreementFacts {
            id: read.id,
            partner: read.partner,
            record_classes: read.record_classes,
            caveats_barred: read.caveats_barred,
            caveats_allowed: read.caveats_allowed,
            purposes: read.purposes,
            starts: read.starts,
            review: read.review,
            ends: read.ends,
            approvals: read.approvals,
        },
        terms: Terms {
            kind: read.kind,
            parties: read.party,
            redistribution: read.redistribution,
            retention_days: read.retention_days,
            audit: read.audit,
            incidents: read.incidents,
            encryption: read.encryption,
            rsa_oaep: read.rsa_oaep,
            certificates: read.certificates,
            primary: read.primary,
            document: read.document,
            deliveries: read.deliveries,
        },
    })
}
