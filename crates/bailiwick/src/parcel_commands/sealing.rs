//! Sealing a folder from the command line.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use keys::cert::Certificate;
use keys::{Clock as _, SystemClock, SystemRandom};
use parcel::Signer;

use super::watched;
use crate::progress;

/// Files of one folder that are sealed at most.
const FILES_MAX: usize = 100_000;
/// Folders within folders.
const DEPTH_MAX: usize = 64;
/// Bytes that tell what a file is.
const HEAD_BYTES: usize = 8 << 10;

pub(super) fn seal(
    folder: &Path,
    signer: &Signer,
    to: (Vec<Certificate>, bool),
    (out, resume): (&Path, bool),
    part_size: u64,
    (purpose, authority): (String, String),
) -> anyhow::Result<ExitCode> {
    let mut entries = Vec::new();
    collect(folder, "", 0, &mut entries)?;
    let sealed = seal_entries(entries, signer, to, (out, resume), part_size, (purpose, authority))?;
    progress::say(&format!(
        "sealed {} files into {} parts: parcel {}, digest {}",
        sealed.files.len(),
        sealed.parts,
        sealed.id,
        hex::encode(sealed.digest)
    ));
    Ok(ExitCode::SUCCESS)
}

/// Seals entries to certificates, RSA ones too where that is allowed; what is given only here is said inside.
pub(super) fn seal_entries(
    entries: Vec<parcel::Entry>,
    signer: &Signer,
    (recipients, allow_rsa_oaep): (Vec<Certificate>, bool),
    (out, resume): (&Path, bool),
    part_size: u64,
    (purpose, authority): (String, String),
) -> anyhow::Result<parcel::Sealed> {
    let party = |certificate: &Certificate| parcel::Party {
        ori: "not stated".to_owned(),
        name: certificate.subject(),
    };
    let first = |list: &[Certificate], what: &str| {
        list.first().map(party).ok_or_else(|| anyhow::anyhow!("no certificate for the {what}"))
    };
    let (sender, recipient) = (first(&signer.chain, "signer")?, first(&recipients, "recipient")?);
    let one_file = out.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
    let left = if resume { parcel::unfinished(out)? } else { None };
    anyhow::ensure!(
        left.is_some() || !resume,
        "no interrupted seal into `{}` is there",
        out.display()
    );
    let id = match left {
        Some(id) => id,
        None => uuid::Builder::from_random_bytes(keys::random_bytes(&SystemRandom)?).into_uuid(),
    };
    let sealed = watched(|watch| {
        let seal = parcel::Seal {
            id,
            sender: signer,
            recipients,
            allow_rsa_oaep,
            part_size,
            workers: parcel::WORKERS_DEFAULT,
            entries,
            transfer: parcel::Transfer {
                exchange_id: id.to_string(),
                exchange_number: None,
                purpose,
                authority,
                case_number: None,
                handling: Vec::new(),
                record_classes: Vec::new(),
                retention: None,
                sender,
                recipient,
            },
            custody: Vec::new(),
            custody_document: true,
            now: SystemClock.now(),
            random: &SystemRandom,
            watch,
        };
        if one_file {
            parcel::seal_file_resumable(seal, out)
        } else {
            parcel::seal_resumable(seal, out)
        }
    });
    sealed.map_err(|error| match parcel::unfinished(out) {
        Ok(Some(_)) => anyhow::Error::new(error).context(format!(
            "run the command again with --resume to go on, or remove `.*.{id}.*` beside it"
        )),
        // There is nothing to go on with.
        Ok(None) | Err(_) => error.into(),
    })
}

/// The plain files of a folder, by name, so that the parcel does not depend on the disk's order.
fn collect(
    folder: &Path,
    prefix: &str,
    depth: usize,
    entries: &mut Vec<parcel::Entry>,
) -> anyhow::Result<()> {
    anyhow::ensure!(depth < DEPTH_MAX, "`{}` is deeper than {DEPTH_MAX}", folder.display());
    let names = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut names = names.with_context(|| format!("could not list `{}`", folder.display()))?;
    names.sort_by_key(std::fs::DirEntry::file_name);
    for found in names {
        let name = found.file_name().into_string();
        let name = name.map_err(|name| anyhow::anyhow!("{name:?} is not UTF-8"))?;
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let kind = found.file_type()?;
        if kind.is_dir() {
            collect(&found.path(), &path, depth + 1, entries)?;
        } else if kind.is_file() {
            anyhow::ensure!(entries.len() < FILES_MAX, "more than {FILES_MAX} files");
            let entry = entry(&path, found.path());
            entries.push(entry.with_context(|| format!("could not read `{path}`"))?);
        } else {
            anyhow::bail!("`{path}` is neither a file nor a folder");
        }
    }
    Ok(())
}

/// A file with what it is, by its first bytes. It is opened once for both: there may be very many.
fn entry(path: &str, place: PathBuf) -> std::io::Result<parcel::Entry> {
    let mut file = File::open(&place)?;
    let facts = file.metadata()?;
    let (mut head, mut known) = ([0; HEAD_BYTES], 0);
    while let Some(room) = head.get_mut(known..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            count => known += count,
        }
        if known as u64 >= facts.len() {
            break;
        }
    }
    let kind = parcel::media::Kind::of(head.get(..known).unwrap_or_default());
    Ok(parcel::Entry {
        path: path.to_owned(),
        media_type: kind.media_type().to_owned(),
        modified: facts.modified()?.try_into().map_err(std::io::Error::other)?,
        length: facts.len(),
        open: Box::new(move || Ok(Box::new(File::open(place)?))),
    })
}
