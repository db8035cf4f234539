//! What is sealed: one large file, a tree of small ones, and one small one; and the keys of both ends.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use keys::cert::{self, CertSpec, Usage};
use keys::sign::P384Key;
use keys::{Random, SystemRandom};

use super::shell::shell;
use super::sides::is_there;

/// Bytes of a small file.
pub(super) const SMALL_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 1 << 20;

/// Bytes that nothing compresses: a film.
pub(super) fn large(path: &Path, mib: u64) -> anyhow::Result<()> {
    let mut file = File::create(path).context("making the large file")?;
    let mut piece = vec![0; PIECE_BYTES];
    SystemRandom.fill(&mut piece).context("random bytes")?;
    for number in 0..mib {
        // Each piece differs, so that nothing finds two alike.
        if let Some(head) = piece.get_mut(..8) {
            head.copy_from_slice(&number.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all().context("writing the large file")
}

/// So many files of [`SMALL_BYTES`], a thousand in a folder.
pub(super) fn small(folder: &Path, files: usize) -> anyhow::Result<()> {
    let mut bytes = vec![0; SMALL_BYTES];
    SystemRandom.fill(&mut bytes).context("random bytes")?;
    for number in 0..files {
        let place = folder.join(format!("{:03}", number / 1_000));
        if number % 1_000 == 0 {
            fs::create_dir_all(&place)?;
        }
        if let Some(head) = bytes.get_mut(..8) {
            head.copy_from_slice(&(number as u64).to_le_bytes());
        }
        fs::write(place.join(format!("{number:06}.txt")), &bytes)?;
    }
    Ok(())
}

/// One small file.
pub(super) fn note(folder: &Path) -> anyhow::Result<()> {
    let mut bytes = vec![0; SMALL_BYTES];
    SystemRandom.fill(&mut bytes).context("random bytes")?;
    fs::write(folder.join("note.txt"), bytes).context("making the small file")
}

/// Keys of both ends.
pub(super) fn people(place: &Path) -> anyhow::Result<()> {
    for (name, usage) in [("signer", Usage::Signing), ("us", Usage::KeyAgreement)] {
        let key = P384Key::generate().context("making a key")?;
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Bench".to_owned(),
            not_before: "2020-01-01T00:00:00Z".parse()?,
            not_after: "2049-01-01T00:00:00Z".parse()?,
            usage,
            dns: Vec::new(),
            ips: Vec::new(),
            uris: Vec::new(),
        };
        let certificate =
            cert::issue(&spec, &key, None, &SystemRandom).context("issuing a certificate")?;
        fs::write(place.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(
            place.join(format!("{name}.key")),
            cert::private_key_pem(&key.to_pkcs8()).as_bytes(),
        )?;
    }
    shell(place, "mkdir -m 700 gpg")?;
    if is_there("age-keygen") {
        shell(place, "age-keygen -o age.key && age-keygen -y age.key >age.pub")?;
    }
    Ok(())
}
