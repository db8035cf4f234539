//! Documents are PDF/A-3b for other people's tools too: qpdf finds no fault, pikepdf the claim, the tags and what is attached.

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use parcel::document::{Attached, Block, Document, Table};
use parcel::{Seal, Watch};

use crate::support::{World, case, now, python_tool, quick_folder, run};

/// Prints what the claim, the tags and the attachments are; stops where one is not as ISO 19005-3 and 14289-1 want it.
const JUDGE: &str = r#"
import sys, pikepdf
pdf = pikepdf.open(sys.argv[1])
meta = pdf.open_metadata()
print("claim", meta.pdfa_status, meta.get("pdfuaid:part"))
root = pdf.Root
assert root.MarkInfo.Marked and root.StructTreeRoot and str(root.Lang)
assert root.ViewerPreferences.DisplayDocTitle and root.OutputIntents[0].S == "/GTS_PDFA1"
assert not pdf.is_encrypted and "/AA" not in root and "/OpenAction" not in root
for page in pdf.pages:
    assert page.Tabs == "/S", page.index
    for name, font in page.Resources.Font.items():
        below = font.DescendantFonts[0].FontDescriptor
        assert "/ToUnicode" in font and ("/FontFile2" in below or "/FontFile3" in below), name
def walk(node, found):
    for kid in (node.K if isinstance(node.get("/K"), pikepdf.Array) else [node.K] if "/K" in node else []):
        if isinstance(kid, pikepdf.Dictionary) and "/S" in kid:
            found.append(str(kid.S)); walk(kid, found)
    return found
kinds = walk(root.StructTreeRoot, [])
print("tags", " ".join(sorted(set(kinds))))
print("pages", len(pdf.pages))
for spec in root.get("/AF", []):
    data = spec.EF.F.read_bytes()
    print("attached", spec.UF, str(spec.AFRelationship), str(spec.EF.F.Subtype), len(data))
"#;

/// What qpdf and pikepdf say of a PDF; `None` where they are not installed.
pub(crate) fn judged(pdf: &Path) -> Option<String> {
    let qpdf = testkit::need("the check of a PDF", &["qpdf"]).unwrap()?;
    let python = python_tool("the check of a PDF", "python")?;
    let checked = run(Command::new(qpdf).arg("--check").arg(pdf));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && said.contains("No syntax or stream encoding errors"),
        "{said}"
    );
    let judged = run(Command::new(python).args(["-c", JUDGE]).arg(pdf));
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    Some(String::from_utf8(judged.stdout).unwrap())
}

/// For people to look at: `target/papers`.
fn keep(pdf: &Path, name: &str) {
    let folder = testkit::target().unwrap().join("papers");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(pdf, folder.join(name)).unwrap();
}

#[test]
fn qpdf_and_pikepdf_find_a_tagged_pdf_a_3b_with_its_attachment() {
    let folder = quick_folder();
    let row = |n: usize| vec![format!("NBX {n:04}"), "Müller, Jörg".to_owned(), String::new()];
    let document = Document {
        title: "Vehicle look-up".to_owned(),
        author: "Riverton Police Department".to_owned(),
        program: "Bailiwick".to_owned(),
        created: now(),
        marks: vec!["CHRI".to_owned()],
        reference: "entry 41 of riverton.example/ledger".to_owned(),
        blocks: vec![
            Block::Heading("Asked".to_owned()),
            Block::Facts(vec![("Purpose".to_owned(), "C".to_owned())]),
            Block::Paragraph("Rows follow.".to_owned()),
            Block::Table(Table {
                columns: vec!["Plate".to_owned(), "Owner".to_owned(), "Note".to_owned()],
                rows: (0..200).map(row).collect(),
            }),
        ],
        attached: vec![Attached {
            name: "rows.csv".to_owned(),
            media_type: "text/csv".to_owned(),
            description: "The same rows".to_owned(),
            bytes: b"Plate,Owner,Note\r\n".to_vec(),
        }],
    };
    let path = folder.path().join("rows.pdf");
    std::fs::write(&path, document.write().unwrap()).unwrap();
    keep(&path, "rows.pdf");
    let Some(said) = judged(&path) else { return };
    assert_eq!(
        said,
        "claim 3B 1\n\
         tags /Document /H1 /H2 /P /TBody /TD /TH /THead /TR /Table\n\
         pages 6\n\
         attached rows.csv /Data /text/csv 18\n"
    );
}

#[test]
fn custody_goes_along_as_a_document_with_the_record_inside() {
    let world = World::new();
    let sealed = world.path("parcel");
    let order = || Seal { custody_document: true, ..world.order(case(), 4096) };
    parcel::seal(order(), &sealed).unwrap();
    parcel::seal_file(order(), &world.path("parcel.zip")).unwrap();
    let opened = world.path("opened");
    parcel::open(&sealed, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    let document = opened.join("inner/metadata/custody.pdf");
    let record = std::fs::read(opened.join("inner/metadata/custody.jsonld")).unwrap();
    let read = parcel::Parcel::enter(&world.path("parcel.zip"), &world.trust()).unwrap();
    let unlocked = read.unlock(&world.recipient).unwrap();
    // The same parcel gives the same document, whatever it is written into.
    let mut same = Vec::new();
    unlocked.custody_document().unwrap().read_to_end(&mut same).unwrap();
    assert!(same == std::fs::read(&document).unwrap());
    keep(&document, "custody.pdf");
    let Some(said) = judged(&document) else { return };
    let attached = format!("attached custody.jsonld /Data /application/ld+json {}\n", record.len());
    assert!(said.starts_with("claim 3B 1\n") && said.ends_with(&attached), "{said}");
    // Taken out by another tool it is the record itself.
    let take = "import sys, pikepdf; pdf = pikepdf.open(sys.argv[1]); sys.stdout.buffer.write(pdf.attachments['custody.jsonld'].get_file().read_bytes())";
    let python = python_tool("the check of a PDF", "python").unwrap();
    let taken = run(Command::new(python).args(["-c", take]).arg(&document));
    assert!(taken.stdout == record, "{}", String::from_utf8_lossy(&taken.stderr));
}

#[test]
fn a_record_that_is_made_later_is_a_document_with_the_same_nodes() {
    let world = World::new();
    let sealed = parcel::seal(world.order(case(), 4096), &world.path("parcel")).unwrap();
    let read = parcel::Parcel::enter(&world.path("parcel"), &world.trust()).unwrap();
    let unlocked = read.unlock(&world.recipient).unwrap();
    assert_eq!(*unlocked.record(), sealed.record);
    let mut events = unlocked.custody_events().unwrap().unwrap();
    let told = unlocked.custody_sha256();
    let made = parcel::Made {
        at: now(),
        by: "Riverton Police Department (NB0010100)".to_owned(),
        left_out: None,
    };
    let later = |events: &[parcel::CustodyEvent]| {
        let (of, files) = (&sealed.record, sealed.files.as_slice());
        let record = parcel::CustodyRecord { of, files, events, made: &made };
        let mut bytes = Vec::new();
        record.write(&mut bytes).unwrap();
        let measured = (bytes.len() as u64, keys::digest::sha256(&bytes));
        assert_eq!(record.measure().unwrap(), measured);
        (bytes, record.paper().unwrap())
    };
    assert_eq!(keys::digest::sha256(&later(&events).0), told, "nothing happened: the same record");
    let mut destroyed = events[0].clone();
    destroyed.kind = "destroyed".to_owned();
    events.push(destroyed);
    let (record, document) = later(&events);
    assert_eq!(parcel::custody_events(&record).unwrap().len(), 4);
    let path = world.path("later.pdf");
    std::fs::write(&path, document).unwrap();
    keep(&path, "custody-later.pdf");
    let Some(said) = judged(&path) else { return };
    let attached = format!("attached custody.jsonld /Data /application/ld+json {}\n", record.len());
    assert!(said.starts_with("claim 3B 1\n") && said.ends_with(&attached), "{said}");
}

#[test]
fn parcel_without_a_custody_document_is_read_as_well() {
    let world = World::new();
    let plain = world.sealed("plain");
    let sealed = world.path("parcel");
    parcel::seal(Seal { custody_document: true, ..world.order(case(), 4096) }, &sealed).unwrap();
    let both = [(&plain, None), (&sealed, Some("%PDF"))];
    for (parcel, begins) in both {
        let read = parcel::Parcel::enter(parcel, &world.trust()).unwrap();
        let unlocked = read.unlock(&world.recipient).unwrap();
        let begins = begins.map(str::as_bytes);
        let head = unlocked.custody_document().map(|bytes| {
            let mut head = Vec::new();
            bytes.take(4).read_to_end(&mut head).unwrap();
            head
        });
        assert_eq!(head.as_deref(), begins);
    }
}
