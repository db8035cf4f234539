//! Partners and agreements as an agency writes them down: `partners/*.toml`, `agreements/*.toml`.
//!
//! Invariant: what is in a [`Book`] was understood in full. A file with an unknown key, a wrong value
//! or a certificate that can't be read is a [`Problem`] and not in the book; the others are. What an
//! agreement doesn't name does not cross.

mod agreement;
mod clause;
mod files;
mod jurisdictions;
mod partner;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::Ori;

pub(crate) use agreement::agreement;
pub use agreement::{Agreement, Redistribution, Signatory, SignedDocument, Sort, Terms};
pub use clause::{Clause, Judged, NEAR_DAYS};
pub use files::Problem;
use files::{problem, text_of, texts, twice};
pub(crate) use jurisdictions::jurisdictions;
pub use jurisdictions::{Asked, Conflict, Jurisdictions, Rule, Stricter};
pub(crate) use partner::partner;
pub use partner::{Delivery, Partner, Revoked, Server, is_delivery_name};

/// Reads one agreement's file by itself, whatever partners there are.
///
/// # Errors
/// What is wrong with it, and where.
pub fn check_agreement(file: &Path) -> Result<Agreement, Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(text) = text_of(file, &mut problems) else {
        if problems.is_empty() {
            problems.push(problem(file, "", "", "a file that is there"));
        }
        return Err(problems);
    };
    let read = agreement(file, &text)?;
    if read.terms.document.as_ref().is_none_or(|held| held.is_at(file)) {
        return Ok(read);
    }
    let expected = "a file of at most 32 MiB beside this one, with the given SHA-256";
    Err(vec![problem(file, &text, "document", expected)])
}

/// All partners and agreements of an agency.
#[derive(Debug, Clone, Default)]
pub struct Book {
    partners: BTreeMap<Ori, Partner>,
    agreements: BTreeMap<String, Agreement>,
    jurisdictions: Jurisdictions,
    folder: Option<PathBuf>,
    digest: [u8; 32],
}

impl Book {
    /// A book of these. Later ones with the same ORI or id replace earlier ones.
    pub fn new(partners: Vec<Partner>, agreements: Vec<Agreement>) -> Self {
        Self {
            partners: partners.into_iter().map(|one| (one.ori.clone(), one)).collect(),
            agreements: agreements.into_iter().map(|one| (one.facts.id.clone(), one)).collect(),
            jurisdictions: Jurisdictions::default(),
            folder: None,
            digest: [0; 32],
        }
    }

    /// The same book with these rules.
    #[must_use]
    pub fn with_rules(self, jurisdictions: Jurisdictions) -> Self {
        Self { jurisdictions, ..self }
    }

    /// Reads `partners/*.toml` and `agreements/*.toml` below `folder`, in the order of their names.
    /// A missing folder is an empty one.
    pub fn load(folder: &Path) -> (Self, Vec<Problem>) {
        let mut book = Self { folder: Some(folder.to_owned()), ..Self::default() };
        let mut problems = Vec::new();
        let mut digest = keys::digest::Sha256::new();
        for (file, text) in texts(&folder.join("partners"), &mut problems) {
            digest.update(text.as_bytes());
            match partner(&file, &text) {
                Ok(partner) if book.partners.contains_key(&partner.ori) => {
                    problems.push(twice(&file, &text, "ori", partner.ori.as_str()));
                }
                Ok(partner) => {
                    book.partners.insert(partner.ori.clone(), partner);
                }
                Err(found) => problems.extend(found),
            }
        }
        for (file, text) in texts(&folder.join("agreements"), &mut problems) {
            digest.update(text.as_bytes());
            match agreement(&file, &text) {
                Ok(one) if book.agreements.contains_key(&one.facts.id) => {
                    problems.push(twice(&file, &text, "id", &one.facts.id));
                }
                Ok(one) if !book.partners.contains_key(&one.facts.partner) => {
                    let expected = "the ORI of a partner that has a file in partners/";
                    problems.push(problem(&file, &text, "partner", expected));
                }
                Ok(one) if !one.terms.document.as_ref().is_none_or(|held| held.is_at(&file)) => {
                    let expected =
                        "a file of at most 32 MiB beside this one, with the given SHA-256";
                    problems.push(problem(&file, &text, "document", expected));
                }
                Ok(one) => {
                    book.agreements.insert(one.facts.id.clone(), one);
                }
                Err(found) => problems.extend(found),
            }
        }
        let file = folder.join("jurisdictions.toml");
        if let Some(text) = text_of(&file, &mut problems) {
            digest.update(text.as_bytes());
            match jurisdictions(&file, &text) {
                Ok(read) => book.jurisdictions = read,
                Err(found) => problems.extend(found),
            }
        }
        book.digest = digest.finish();
        (book, problems)
    }

    pub fn partner(&self, ori: &str) -> Option<&Partner> {
        self.partners.values().find(|partner| partner.ori.as_str() == ori)
    }

    /// The partner whose end of mutual TLS this certificate (DER) is.
    pub fn partner_by_certificate(&self, der: &[u8]) -> Option<&Partner> {
        let is = |partner: &&Partner| {
            partner.server.as_ref().is_some_and(|server| server.tls.der() == der)
        };
        self.partners.values().find(is)
    }

    pub fn partners(&self) -> impl Iterator<Item = &Partner> {
        self.partners.values()
    }

    pub fn agreement(&self, id: &str) -> Option<&Agreement> {
        self.agreements.get(id)
    }

    pub fn agreements(&self) -> impl Iterator<Item = &Agreement> {
        self.agreements.values()
    }

    /// The rules of jurisdictions, ours and partners'.
    pub fn jurisdictions(&self) -> &Jurisdictions {
        &self.jurisdictions
    }

    /// The bytes of a signed document, if they are still there and have its hash.
    pub fn document(&self, document: &SignedDocument) -> Option<Vec<u8>> {
        document.read(&self.folder.as_ref()?.join("agreements"))
    }

    /// SHA-256 of the files that were read, for the record that they were.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}
