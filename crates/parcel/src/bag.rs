//! BagIt 1.0 (RFC 8493) as this profile writes it: one order, one spelling, so that reading is
//! writing again and comparing.

use jiff::Timestamp;
use keys::digest::sha256;
use uuid::Uuid;

use crate::meta::{self, Party};
use crate::{Fault, PARTS_MAX, SEAL_PROFILE};

pub(crate) const BAGIT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
pub(crate) const BAGIT_FILE: &str = "bagit.txt";
pub(crate) const INFO_FILE: &str = "bag-info.txt";
pub(crate) const MANIFEST_FILE: &str = "manifest-sha256.txt";
pub(crate) const TAG_MANIFEST_FILE: &str = "tagmanifest-sha256.txt";
pub(crate) const HOW_TO_OPEN_FILE: &str = "HOW-TO-OPEN.txt";
pub(crate) const SIGNATURE_FILE: &str = "seal/tagmanifest-sha256.txt.p7s";
/// An authority's word on when the signature was there; may be missing.
pub const STAMP_FILE: &str = "seal/tagmanifest-sha256.txt.p7s.tsr";
pub(crate) const TEMPLATE_FILE: &str = "seal/receipt-template.json";
pub const HOW_TO_OPEN: &str = include_str!("HOW-TO-OPEN.txt");

/// Tag files of the outer bag that its tag manifest lists, in its order.
pub(crate) const OUTER_TAGS: [&str; 4] = [HOW_TO_OPEN_FILE, INFO_FILE, BAGIT_FILE, MANIFEST_FILE];

/// Every file of the outer bag that is not a part: what a parcel is announced with.
pub const TAG_FILES: [&str; 7] = [
    HOW_TO_OPEN_FILE,
    INFO_FILE,
    BAGIT_FILE,
    MANIFEST_FILE,
    TAG_MANIFEST_FILE,
    SIGNATURE_FILE,
    TEMPLATE_FILE,
];

/// The files of a parcel's folder that are not parts: [`TAG_FILES`], and the time stamp where there is one.
pub fn tag_files(folder: &std::path::Path) -> Vec<&'static str> {
    let mut files = TAG_FILES.to_vec();
    if folder.join(STAMP_FILE).symlink_metadata().is_ok() {
        files.push(STAMP_FILE);
    }
    files
}

/// Every file that a parcel of so many parts may have in its folder, the signature first: without it nothing of a parcel
/// counts.
pub fn every_path(parts: u64) -> impl Iterator<Item = String> {
    let signature_first = [SIGNATURE_FILE, STAMP_FILE].into_iter();
    let rest = TAG_FILES.iter().copied().filter(|path| *path != SIGNATURE_FILE);
    signature_first.chain(rest).map(ToOwned::to_owned).chain((0..parts).map(part_path))
}

/// Bytes of a digest and the two spaces, before the path of a manifest line.
const DIGEST_COLUMNS: usize = 66;

/// The path of part `number`: `data/001/part-001234.p7m`.
pub fn part_path(number: u64) -> String {
    format!("data/{:03}/part-{number:06}.p7m", number / 1000)
}

/// One manifest line.
pub(crate) fn line(digest: &[u8; 32], path: &str) -> String {
    format!("{}  {path}\n", hex::encode(digest))
}

/// Reads a manifest: every line exactly as [`line`] writes it.
pub(crate) fn read_manifest(text: &[u8]) -> Result<Vec<(String, [u8; 32])>, Fault> {
    let bad = || Fault::Malformed("a manifest of SHA-256 lines");
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let mut out = Vec::new();
    for whole in text.split_inclusive('\n') {
        let row = whole.strip_suffix('\n').ok_or_else(bad)?;
        let (digest, path) = row.split_at_checked(DIGEST_COLUMNS).ok_or_else(bad)?;
        let digest = digest.strip_suffix("  ").ok_or_else(bad)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes).map_err(|_| bad())?;
        if path.is_empty() || line(&bytes, path) != whole {
            return Err(bad());
        }
        out.push((path.to_owned(), bytes));
    }
    Ok(out)
}

/// A tag manifest over these files, in this order.
pub(crate) fn tag_manifest(files: &[(&str, &[u8])]) -> String {
    files.iter().map(|(path, content)| line(&sha256(content), path)).collect()
}

/// The same of files whose digests are known.
pub(crate) fn digest_lines(files: &[(&str, [u8; 32])]) -> String {
    files.iter().map(|(path, digest)| line(digest, path)).collect()
}

/// What both bags say of themselves.
fn common_info(sender: &Party, id: Uuid, now: Timestamp) -> String {
    let organisation = format!("{} ({})", sender.name, sender.ori);
    let date = now.strftime("%Y-%m-%d");
    format!(
        "Source-Organization: {organisation}\nExternal-Identifier: {id}\nBagging-Date: {date}\n"
    )
}

/// `bag-info.txt` of the inner bag.
pub(crate) fn inner_info(
    sender: &Party,
    id: Uuid,
    now: Timestamp,
    bytes: u64,
    files: usize,
) -> String {
    let mut out = common_info(sender, id, now);
    out.push_str(&format!("Payload-Oxum: {bytes}.{files}\nSeal-Profile: {SEAL_PROFILE}\n"));
    out
}

/// `bag-info.txt` of the outer bag. Nothing of the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OuterInfo {
    pub(crate) sender: Party,
    pub(crate) id: Uuid,
    /// Whole seconds.
    pub(crate) sealed_at: Timestamp,
    pub(crate) bytes: u64,
    pub(crate) parts: u64,
    pub(crate) part_size: u64,
    pub(crate) archive_size: u64,
    pub(crate) metadata_offset: u64,
    /// Whether one of the recipients' keys goes by RSA-OAEP.
    pub(crate) rsa_oaep: bool,
    pub(crate) recipients: Vec<String>,
}

impl OuterInfo {
    pub(crate) fn write(&self) -> String {
        let mut out = common_info(&self.sender, self.id, self.sealed_at);
        let sealed_at = self.sealed_at.strftime("%Y-%m-%dT%H:%M:%SZ");
        out.push_str(&format!(
            "Bag-Size: {}\nPayload-Oxum: {}.{}\nSeal-Profile: {SEAL_PROFILE}\n\
             Seal-Time: {sealed_at}\nTrusted-Time: none\nPart-Size: {}\nArchive-Size: {}\n\
             Metadata-Offset: {}\n",
            size_text(self.bytes),
            self.bytes,
            self.parts,
            self.part_size,
            self.archive_size,
            self.metadata_offset,
        ));
        if self.rsa_oaep {
            out.push_str(&format!("Key-Transport: {}\n", meta::RSA_OAEP));
        }
        for recipient in &self.recipients {
            out.push_str(&format!("Recipient-Cert-SHA256: {recipient}\n"));
        }
        out
    }

    /// Reads what [`Self::write`] wrote, and checks the numbers against one another.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Fault> {
        let bad = || Fault::Malformed("the bag-info of this profile");
        let text = std::str::from_utf8(text).map_err(|_| bad())?;
        let info = Self::parse(text).ok_or_else(bad)?;
        let parts = info.archive_size.div_ceil(info.part_size.max(1));
        let sound = info.part_size >= crate::PART_BYTES_MIN
            && info.part_size <= crate::PART_BYTES_MAX
            && parts == info.parts
            && parts <= PARTS_MAX
            && info.metadata_offset < info.archive_size
            && info.archive_size - info.metadata_offset <= crate::METADATA_BYTES_MAX
            && info.recipients.is_sorted()
            && (1..=crate::RECIPIENTS_MAX).contains(&info.recipients.len());
        if sound && info.write() == text { Ok(info) } else { Err(bad()) }
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": ")).map(str::to_owned)
        };
        let number = |key| value(key)?.parse::<u64>().ok();
        let organisation = value("Source-Organization")?;
        let (name, ori) = organisation.strip_suffix(')')?.rsplit_once(" (")?;
        let oxum = value("Payload-Oxum")?;
        let (bytes, parts) = oxum.split_once('.')?;
        let recipients = text.lines().filter_map(|l| l.strip_prefix("Recipient-Cert-SHA256: "));
        Some(Self {
            sender: Party { ori: ori.to_owned(), name: name.to_owned() },
            id: value("External-Identifier")?.parse().ok()?,
            sealed_at: value("Seal-Time")?.parse().ok()?,
            bytes: bytes.parse().ok()?,
            parts: parts.parse().ok()?,
            part_size: number("Part-Size")?,
            archive_size: number("Archive-Size")?,
            metadata_offset: number("Metadata-Offset")?,
            rsa_oaep: match value("Key-Transport").as_deref() {
                None => false,
                Some(meta::RSA_OAEP) => true,
                Some(_) => return None,
            },
            recipients: recipients.map(str::to_owned).collect(),
        })
    }

    /// Which bytes of the archive part `number` carries.
    pub(crate) fn range(&self, number: u64) -> (u64, u64) {
        let from = number.saturating_mul(self.part_size).min(self.archive_size);
        (from, from.saturating_add(self.part_size).min(self.archive_size))
    }
}

/// Bag-Size: for people, so in decimal units, rounded up to a tenth.
fn size_text(bytes: u64) -> String {
    let units = [("TB", 1_000_000_000_000_u64), ("GB", 1_000_000_000), ("MB", 1_000_000)];
    for (unit, size) in units {
        if bytes >= size {
            let tenths = bytes.div_ceil(size / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{} KB", bytes.div_ceil(1000))
}

/// `seal/receipt-template.json`: what a receiver fills in, signs and returns. A function of the
/// parcel alone, so that a reader can tell whether it was touched.
pub(crate) fn receipt_template(id: Uuid, digest: &[u8; 32]) -> String {
    let digest = hex::encode(digest);
    format!(
        "{{\n  \"profile\": \"{}\",\n  \"parcel\": \"{id}\",\n  \"digest\": \"{digest}\",\n  \
         \"exchange_id\": \"\",\n  \"outcome\": \"accepted or refused\",\n  \"checks\": [],\n  \
         \"at\": \"\",\n  \"receiver\": {{ \"ori\": \"\", \"name\": \"\" }},\n  \"person\": null,\n  \
         \"ledger_entry\": null,\n  \"ledger_checkpoint\": null\n}}\n",
        crate::receipt::RECEIPT_PROFILE
    )
}

#[cfg(test)]
mod tests {
    use super::{line, part_path, read_manifest, size_text};

    #[test]
    fn parts_are_named_in_folders_of_a_thousand() {
        assert_eq!(part_path(0), "data/000/part-000000.p7m");
        assert_eq!(part_path(1_234), "data/001/part-001234.p7m");
        assert_eq!(part_path(999_999), "data/999/part-999999.p7m");
    }

    #[test]
    fn manifest_reads_back_and_other_spellings_are_refused() {
        let good = line(&[7; 32], "data/a b") + &line(&[8; 32], "data/ü");
        let read = read_manifest(good.as_bytes()).unwrap();
        assert_eq!(read[0], ("data/a b".to_owned(), [7; 32]));
        let upper = good.replacen("07", "0A", 1).replacen("0a", "0A", 1);
        for bad in [
            good.trim_end(),
            &good.replace("  ", " *"),
            &good.replace("  ", " "),
            &good.replace('\n', "\r\n"),
            &(good.clone() + "\n"),
            &upper,
            &format!("\u{feff}{good}"),
            "é23456789012345678901234567890123456789012345678901234567890123456789\n",
        ] {
            match read_manifest(bad.as_bytes()) {
                // A carriage return would be part of the name, which no file then has.
                Ok(rows) => assert!(rows.iter().all(|(path, _)| path.ends_with('\r')), "{bad}"),
                Err(fault) => assert!(fault.to_string().contains("manifest")),
            }
        }
    }

    #[test]
    fn sizes_are_rounded_up() {
        assert_eq!(size_text(1), "1 KB");
        assert_eq!(size_text(1_000_001), "1.1 MB");
        assert_eq!(size_text(2_000_000_000_000), "2.0 TB");
    }
}
