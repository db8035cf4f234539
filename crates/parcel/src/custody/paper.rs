//! `custody.pdf`: what `custody.jsonld` says, for people, with that file inside.

use super::{CustodyEvent, Made};
use crate::document::{Attached, Block, Document, DocumentError, Table};
use crate::meta::{self, IndexedFile, TransferRecord};

/// Files that are printed with their digests. Of more the document says where the list is.
const FILES_PRINTED_MAX: usize = 1_000;
/// The same of one event, as long as those of all events are not too many.
const EVENT_FILES_PRINTED_MAX: usize = 50;
/// Bytes of `custody.jsonld` that go inside. A larger one lies beside, and the document has its digest.
pub(crate) const RECORD_BYTES_MAX: u64 = 8 << 20;

/// What the document says of `custody.jsonld`.
pub(crate) struct Inside {
    pub(crate) sha256: [u8; 32],
    /// Its bytes, if it goes inside.
    pub(crate) attached: Option<Vec<u8>>,
}

/// Writes the document. The same parcel gives the same bytes.
pub(crate) fn write(
    of: &TransferRecord,
    files: &[IndexedFile],
    events: &[CustodyEvent],
    Inside { sha256, attached }: Inside,
    made: Option<&Made>,
) -> Result<Vec<u8>, DocumentError> {
    let (id, transfer) = (of.parcel, &of.transfer);
    let mut blocks = vec![Block::Facts(facts(of, files, events, made))];
    if let Some(made) = made {
        blocks.push(Block::Paragraph(format!(
            "Made {} by {}, after the parcel was sealed: what was sealed with it comes first, then what the ledger there \
             says happened since. It is no part of the parcel, and the parcel's signature does not cover it; the \
             proofs of the entries do.{}",
            made.at,
            made.by,
            made.left_out.iter().map(|words| format!(" {words}")).collect::<String>()
        )));
    }
    blocks.push(Block::Heading("What happened to it".to_owned()));
    blocks.push(Block::Paragraph(
        "Oldest first. Times are UTC. Each entry of a ledger can be proved with that ledger's signed checkpoint.".to_owned(),
    ));
    blocks.push(Block::Table(happened(events)));
    blocks.push(Block::Heading("Files".to_owned()));
    if files.len() > FILES_PRINTED_MAX {
        blocks.push(Block::Paragraph(format!(
            "{} files, more than are printed here ({FILES_PRINTED_MAX}). manifest-sha256.txt and metadata/custody.jsonld \
             beside this document list them all.",
            files.len()
        )));
    } else {
        blocks.push(Block::Table(listed(files)));
    }
    blocks.push(Block::Heading("For machines".to_owned()));
    let place = match (attached.is_some(), made) {
        (true, None) => {
            "metadata/custody.jsonld (CASE 1.5 / UCO), attached to this document, and beside it"
        }
        (false, None) => "metadata/custody.jsonld (CASE 1.5 / UCO), beside this document",
        (true, Some(_)) => "custody.jsonld (CASE 1.5 / UCO), attached to this document",
        (false, Some(_)) => {
            "the JSON-LD (CASE 1.5 / UCO), which is too long to be attached: fetch it by itself"
        }
    };
    blocks.push(Block::Paragraph(format!(
        "The same is in {place}. Its SHA-256: {}",
        hex::encode(sha256)
    )));
    let attached = attached.map(|bytes| Attached {
        name: "custody.jsonld".to_owned(),
        media_type: "application/ld+json".to_owned(),
        description: "The chain of custody in CASE 1.5 / UCO".to_owned(),
        bytes,
    });
    let document = Document {
        title: "Chain of custody".to_owned(),
        author: format!("{} ({})", transfer.sender.name, transfer.sender.ori),
        program: super::PROGRAM.to_owned(),
        created: made.map_or(of.sealed_at, |made| made.at),
        marks: marks(&transfer.handling),
        reference: format!("Parcel {id}"),
        blocks,
        attached: attached.into_iter().collect(),
    };
    document.write()
}

/// The marks, unless they are too long for the head of a page: then where they are.
fn marks(handling: &[String]) -> Vec<String> {
    let bytes: usize = handling.iter().map(String::len).sum();
    if bytes <= 400 {
        return handling.to_vec();
    }
    vec![format!("{} handling marks: see the first page", handling.len())]
}

fn facts(
    of: &TransferRecord,
    files: &[IndexedFile],
    events: &[CustodyEvent],
    made: Option<&Made>,
) -> Vec<(String, String)> {
    let outline = made.is_some_and(|made| made.left_out.is_some());
    let transfer = &of.transfer;
    let party = |party: &meta::Party| format!("{} ({})", party.name, party.ori);
    let made = events.iter().rev().map(|event| &event.around).find(|it| it.exhibit.is_some());
    let roots = made.map(|made| made.root_exhibits.join("\n"));
    let bytes: u64 = files.iter().map(|file| file.length).sum();
    let all = [
        ("Parcel", Some(of.parcel.to_string())),
        ("Exchange", Some(transfer.exchange_id.clone())),
        ("From", Some(party(&transfer.sender))),
        ("To", Some(party(&transfer.recipient))),
        ("Case number", transfer.case_number.clone()),
        ("Exhibit", made.and_then(|made| made.exhibit.clone())),
        ("Of exhibit", roots.filter(|roots| !roots.is_empty())),
        ("Purpose", (!outline).then(|| transfer.purpose.clone())),
        ("Authority", Some(transfer.authority.clone())),
        ("Handling", (!transfer.handling.is_empty()).then(|| transfer.handling.join("\n"))),
        ("Retention", transfer.retention.clone()),
        ("Sealed at", (!outline).then(|| of.sealed_at.to_string())),
        ("Key sent by", of.key_transport.as_ref().map(|_| meta::RSA_OAEP_WORDS.to_owned())),
        ("Content", (!outline).then(|| format!("{} files, {bytes} bytes", files.len()))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn happened(events: &[CustodyEvent]) -> Table {
    let mut left = FILES_PRINTED_MAX;
    let row = |(number, event): (usize, &CustodyEvent)| {
        let ended = event.ended.map(|at| format!("\nto {at}")).unwrap_or_default();
        let person = &event.person;
        let about = match event.files.len() {
            0 => "all".to_owned(),
            few if few <= EVENT_FILES_PRINTED_MAX.min(left) => {
                left -= few;
                event.files.join("\n")
            }
            more => format!("{more} files: see custody.jsonld"),
        };
        let ledger = event.ledger.as_ref();
        let ledger =
            ledger.map(|at| format!("entry {} of {}\nleaf {}", at.entry, at.origin, at.leaf));
        vec![
            (number + 1).to_string(),
            format!("{}{ended}", event.started),
            [event.kind.clone(), event.description.clone()]
                .into_iter()
                .chain(event.around.lines())
                .collect::<Vec<_>>()
                .join("\n"),
            format!(
                "{}\n{}, {}\n{}{}",
                person.name,
                person.role,
                person.agency,
                person.account,
                event.around.assurance.iter().map(|how| format!("\n{how}")).collect::<String>()
            ),
            about,
            ledger.unwrap_or_default(),
        ]
    };
    let columns = ["No.", "When", "What", "Who", "Files", "Ledger"];
    Table {
        columns: columns.map(str::to_owned).to_vec(),
        rows: events.iter().enumerate().map(row).collect(),
    }
}

fn listed(files: &[IndexedFile]) -> Table {
    let row = |file: &IndexedFile| {
        vec![
            file.path.clone(),
            file.media_type.clone(),
            file.length.to_string(),
            file.modified.to_string(),
            file.sha256.clone(),
        ]
    };
    let columns = ["File", "Type", "Bytes", "Modified", "SHA-256"];
    Table { columns: columns.map(str::to_owned).to_vec(), rows: files.iter().map(row).collect() }
}
