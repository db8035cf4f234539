//! Sealing a folder from the command line.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use keys::cert::Certificate;
use keys::{Clock as _, SystemClock, SystemRandom};
use parcel::Signer;

use super::watched;
use crate::progress;

/// For the command's help.
pub(crate) const EXAMPLES: &str = "Examples:\n  bailiwick parcel seal case-24-000113 --recipient lakeside.pem \\\n      \
                            --signer riverton.pem --key riverton.key.pem --out parcel\n  \
                            bailiwick parcel seal case-24-000113 --recipient lakeside.pem --signer riverton.pem \\\n      \
                            --key riverton.key.pem --case 24-000113 --handling JUVENILE --exhibit 24-000113-7 \\\n      \
                            --by 'Det. A. Ruiz' --role detective --out parcel.zip";
/// Files of one folder that are sealed at most.
const FILES_MAX: usize = 100_000;
/// Folders within folders.
const DEPTH_MAX: usize = 64;
/// Bytes of a name, a role or a number that is said inside.
const WORDS_BYTES_MAX: usize = 500;
/// Exhibits that one is said to be made of.
const ROOTS_MAX: usize = 100;
/// Of whoever seals without a platform.
const UNPROVED: &str = "named by whoever held the signing key at the command line; no sign-in, and no ledger says the same";
/// Bytes that tell what a file is.
const HEAD_BYTES: usize = 8 << 10;

/// What is said inside of the case and of who seals it.
#[derive(Debug, Default, Args)]
pub(crate) struct Told {
    /// The case number.
    #[arg(long = "case")]
    case_number: Option<String>,
    /// A mark that the receiver is held to; repeat it for more.
    #[arg(long)]
    handling: Vec<String>,
    /// How long the receiver may keep it, in words.
    #[arg(long)]
    retention: Option<String>,
    /// The exhibit's number. Without one it is the parcel's id.
    #[arg(long, requires = "by")]
    exhibit: Option<String>,
    /// The number of an exhibit that it was made of; repeat it for more.
    #[arg(long, requires = "by")]
    root_exhibit: Vec<String>,
    /// The name of the person who seals it. Then the custody record says that they packed, sealed and signed it, on their word:
    /// no ledger says the same. Without it the custody record has no event.
    #[arg(long)]
    by: Option<String>,
    /// What that person is at the agency.
    #[arg(long, requires = "by", default_value = "not stated")]
    role: String,
}

/// What is said inside: why it is sent, of which case, and who seals it.
pub(super) struct Said {
    pub(super) purpose: String,
    pub(super) authority: String,
    pub(super) told: Told,
}

impl Said {
    /// The custody record's events: on the word of the person who is named, and none where nobody is.
    fn custody(
        &self,
        (parcel, now): (uuid::Uuid, jiff::Timestamp),
        signer: &Signer,
        recipients: &[Certificate],
        part_size: u64,
    ) -> anyhow::Result<Vec<parcel::CustodyEvent>> {
        let Told { by: Some(name), role, exhibit, root_exhibit, .. } = &self.told else {
            return Ok(Vec::new());
        };
        let certificate = signer.chain.first().context("no certificate for the signer")?;
        let texts = [name, role].into_iter().chain(exhibit).chain(root_exhibit);
        for text in texts {
            let sound =
                (1..=WORDS_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
            anyhow::ensure!(sound, "`{text}` is not 1 to {WORDS_BYTES_MAX} bytes on one line");
        }
        anyhow::ensure!(root_exhibit.len() <= ROOTS_MAX, "more than {ROOTS_MAX} root exhibits");
        let by = parcel::CustodyEvent {
            kind: String::new(),
            description: String::new(),
            started: now,
            ended: None,
            person: parcel::Person {
                name: name.clone(),
                account: format!("{name} (named at the command line)"),
                agency: "not stated".to_owned(),
                role: role.clone(),
            },
            tool: concat!("Bailiwick ", env!("CARGO_PKG_VERSION")).to_owned(),
            purpose: Some(self.purpose.clone()),
            authority: Some(self.authority.clone()),
            files: Vec::new(),
            originals: Vec::new(),
            ledger: None,
            around: parcel::Circumstances {
                assurance: Some(UNPROVED.to_owned()),
                host: host(),
                ..parcel::Circumstances::default()
            },
        };
        let closing = parcel::Closing {
            parcel,
            signer: certificate,
            recipients,
            part_size,
            exhibit: exhibit.as_deref(),
            root_exhibits: root_exhibit,
        };
        Ok(closing.events(&by).to_vec())
    }
}

/// This computer's name, where the system tells it.
fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name.len() <= WORDS_BYTES_MAX)
}

pub(super) fn seal(
    folder: &Path,
    signer: &Signer,
    to: (Vec<Certificate>, bool),
    (out, resume): (&Path, bool),
    part_size: u64,
    said: &Said,
) -> anyhow::Result<ExitCode> {
    let mut entries = Vec::new();
    collect(folder, "", 0, &mut entries)?;
    let sealed = seal_entries(entries, signer, to, (out, resume), part_size, said)?;
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
    said: &Said,
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
    let now = SystemClock.now();
    let custody = said.custody((id, now), signer, &recipients, part_size)?;
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
                purpose: said.purpose.clone(),
                authority: said.authority.clone(),
                case_number: said.told.case_number.clone(),
                handling: said.told.handling.clone(),
                record_classes: Vec::new(),
                retention: said.told.retention.clone(),
                sender,
                recipient,
            },
            custody,
            custody_document: true,
            now,
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
