//! The events that close a record: the files are packaged, sealed and signed.
//!
//! Invariant: they are told while it is done, for what is sealed can't be added to; so they say what the parcel is made
//! with, and its signature and its hashes bear them out.

use keys::cert::Certificate;
use uuid::Uuid;

use super::CustodyEvent;

/// What a parcel is made with.
#[derive(Debug, Clone, Copy)]
pub struct Closing<'a> {
    pub parcel: Uuid,
    pub signer: &'a Certificate,
    pub recipients: &'a [Certificate],
    pub part_size: u64,
    /// The exhibit's number; that of the parcel where it has none of its own.
    pub exhibit: Option<&'a str>,
    /// The exhibits that its files were of before.
    pub root_exhibits: &'a [String],
}

impl Closing<'_> {
    /// The three events. Who does it, when, why and by which entry of a ledger is said by `by`.
    pub fn events(&self, by: &CustodyEvent) -> [CustodyEvent; 3] {
        let Self { parcel, signer, recipients, part_size, .. } = self;
        let event = |kind: &str, description: String| CustodyEvent {
            kind: kind.to_owned(),
            description,
            files: Vec::new(),
            originals: Vec::new(),
            ..by.clone()
        };
        let mut packaged = event(
            "packaged",
            format!(
                "packed as parcel {parcel}: one BagIt 1.0 bag (RFC 8493), cut into parts of {part_size} bytes"
            ),
        );
        packaged.around.exhibit =
            Some(self.exhibit.map_or_else(|| parcel.to_string(), str::to_owned));
        packaged.around.root_exhibits = self.root_exhibits.to_vec();
        let to: Vec<String> = recipients
            .iter()
            .map(|one| format!("{} (certificate {})", one.subject(), one.fingerprint_text()))
            .collect();
        let sealed = event(
            "sealed",
            format!(
                "each part encrypted by AES-256-GCM (CMS AuthEnvelopedData) for {}",
                to.join(" and ")
            ),
        );
        let signed = event(
            "signed",
            format!(
                "inside and outside signed by {} (certificate {}), ECDSA with SHA-384",
                signer.subject(),
                signer.fingerprint_text()
            ),
        );
        [packaged, sealed, signed]
    }
}
