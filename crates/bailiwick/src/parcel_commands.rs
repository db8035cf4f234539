//! `bailiwick parcel …`: the sealed format, offline; no server, no database.

mod looking;
mod receipts;
mod receiving;
mod sealing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use keys::cert::{Certificate, private_key_from_pem};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use parcel::{Recipient, RecipientKey, Refused, Signer, Trust, Watch};
use serde_json::json;

use crate::progress;

#[derive(Subcommand)]
pub(crate) enum ParcelCommand {
    /// Seal a folder for one or more recipients.
    #[command(after_help = sealing::EXAMPLES)]
    Seal {
        /// The folder whose files are sealed.
        folder: PathBuf,
        /// A recipient's certificate (PEM); repeat it for more.
        #[arg(long, required = true)]
        recipient: Vec<PathBuf>,
        #[command(flatten)]
        signing: Signing,
        /// The parcel to write: a folder, or one file if the name ends with `.zip`.
        #[arg(long)]
        out: PathBuf,
        /// Go on with a seal into this folder that was interrupted. The same recipients and part size must be given.
        #[arg(long)]
        resume: bool,
        /// Bytes of a part before encryption: 8MiB to 256MiB.
        #[arg(long, default_value = "64MiB", value_parser = size)]
        part_size: u64,
        /// Seal to RSA certificates too, by RSA-OAEP. That is no approved service of the cryptographic module, and the parcel
        /// is marked with it, outside and inside.
        #[arg(long)]
        allow_rsa_oaep: bool,
        /// Why it is sent; sealed inside.
        #[arg(long, default_value = "not stated")]
        purpose: String,
        /// The agreement, statute or warrant that allows it; sealed inside.
        #[arg(long, default_value = "not stated")]
        authority: String,
        #[command(flatten)]
        told: sealing::Told,
    },
    /// Check a parcel without a key: exit 1 names the part that is wrong. With a key, all that is inside is checked too, and
    /// the piece of the file is named.
    #[command(
        after_help = "Example:\n  bailiwick parcel verify parcel.zip --sender riverton.pem\n  \
                            bailiwick parcel verify parcel --sender riverton.pem --recipient lakeside.pem --key lakeside.key.pem"
    )]
    Verify {
        /// The parcel's folder or file.
        parcel: PathBuf,
        /// A time-stamp authority's certificate, or that of its CA (PEM): its token must be there, and hold.
        #[arg(long)]
        authority: Option<PathBuf>,
        /// Our certificate (PEM).
        #[arg(long, requires = "key")]
        recipient: Option<PathBuf>,
        /// Our key (PKCS#8 PEM).
        #[arg(long, requires = "recipient")]
        key: Option<PathBuf>,
        /// The sender's certificate, or that of its CA (PEM).
        #[arg(long)]
        sender: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open a parcel into a folder.
    #[command(
        after_help = "Example:\n  bailiwick parcel open parcel --recipient lakeside.pem \\\n      \
                            --key lakeside.key.pem --sender riverton.pem --out opened"
    )]
    Open {
        /// The parcel's folder or file.
        parcel: PathBuf,
        /// Our certificate (PEM).
        #[arg(long)]
        recipient: PathBuf,
        /// Our key (PKCS#8 PEM).
        #[arg(long)]
        key: PathBuf,
        /// The sender's certificate, or that of its CA (PEM).
        #[arg(long)]
        sender: PathBuf,
        /// The folder to write.
        #[arg(long)]
        out: PathBuf,
        /// Only this file.
        #[arg(long)]
        only: Option<String>,
        /// Go on with an opening into this folder that was interrupted: files that are whole are kept.
        #[arg(long)]
        resume: bool,
    },
    /// Check a plain BagIt bag that somebody else made: complete, and whole. It is signed by nobody.
    #[command(after_help = "Example:\n  bailiwick parcel bag FOLDER")]
    Bag {
        /// The bag's folder.
        folder: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a request for a time-stamp authority (RFC 3161), to be sent by the way that the agency has.
    #[command(after_help = "Example:\n  bailiwick parcel stamp-request parcel --out q.tsq\n  \
                            curl -H 'Content-Type: application/timestamp-query' --data-binary @q.tsq https://tsa.example -o r.tsr\n  \
                            bailiwick parcel stamp parcel --request q.tsq --answer r.tsr --authority tsa-ca.pem")]
    StampRequest {
        /// The parcel's folder or file.
        parcel: PathBuf,
        /// The request to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Check an authority's answer and add it to a sealed folder.
    #[command(
        after_help = "Example:\n  bailiwick parcel stamp parcel --request q.tsq --answer r.tsr --authority tsa-ca.pem"
    )]
    Stamp {
        /// The parcel's folder.
        parcel: PathBuf,
        /// The request that was sent.
        #[arg(long)]
        request: PathBuf,
        /// What came back.
        #[arg(long)]
        answer: PathBuf,
        /// The authority's certificate, or that of its CA (PEM).
        #[arg(long)]
        authority: PathBuf,
    },
    /// Say what files are by their content, whatever their names say, and whether they can be used. They are not changed.
    #[command(after_help = "Example:\n  bailiwick parcel media door.mp4 statement.pdf --json")]
    Media {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print JSON, an array with one object a file.
        #[arg(long)]
        json: bool,
    },
    /// Take in what somebody else made, a folder, a BagIt bag or a ZIP file, and seal it for ourselves: into quarantine goes a parcel
    /// and no plaintext. Exit 1 names the file that is refused.
    #[command(
        after_help = "Example:\n  bailiwick parcel take from-the-shop.zip --recipient us.pem \\\n      \
                            --signer us-signing.pem --key us-signing.key.pem --out quarantine/24-000113"
    )]
    Take {
        /// The folder or the ZIP file.
        from: PathBuf,
        /// Our certificate (PEM), to which it is sealed.
        #[arg(long)]
        recipient: PathBuf,
        #[command(flatten)]
        signing: Signing,
        /// The parcel to write: a folder, or one file if the name ends with `.zip`.
        #[arg(long)]
        out: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Hand a sealed parcel that came on a medium, by SFTP or from a bucket to the server that runs on this machine, as its user.
    /// Exit 1: it was refused, and why.
    #[command(
        after_help = "Example:\n  bailiwick parcel receive /media/usb/parcel-3c8d6f6e --config bailiwick.toml"
    )]
    Receive(receiving::Receive),
    /// Receipts by hand, for parcels that went by hand.
    #[command(subcommand)]
    Receipt(receipts::ReceiptCommand),
    /// Print a web page that checks and opens parcels in a browser, offline, where nothing is installed.
    #[command(after_help = "Example:\n  bailiwick parcel opener > open.html")]
    Opener,
    /// Print what a parcel says of itself. Nothing of it is verified.
    #[command(after_help = "Example:\n  bailiwick parcel inspect parcel --json")]
    Inspect {
        /// The parcel's folder or file.
        parcel: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Who signs.
#[derive(Args)]
pub(crate) struct Signing {
    /// The signer's certificate chain (PEM).
    #[arg(long)]
    signer: PathBuf,
    /// The signer's key (PKCS#8 PEM).
    #[arg(long)]
    key: PathBuf,
}

impl Signing {
    fn signer(&self) -> anyhow::Result<Signer> {
        Ok(Signer { chain: chain(&self.signer)?, key: private_key(&self.key)? })
    }
}

pub(crate) fn run(command: ParcelCommand) -> anyhow::Result<ExitCode> {
    match command {
        ParcelCommand::Seal {
            folder,
            recipient,
            signing,
            out,
            resume,
            part_size,
            allow_rsa_oaep,
            purpose,
            authority,
            told,
        } => {
            let signer = signing.signer()?;
            let recipients =
                recipient.iter().map(|path| certificate(path)).collect::<Result<_, _>>()?;
            sealing::seal(
                &folder,
                &signer,
                (recipients, allow_rsa_oaep),
                (&out, resume),
                part_size,
                &sealing::Said { purpose, authority, told },
            )
        }
        ParcelCommand::Verify { parcel, authority, recipient, key, sender, json } => {
            let us = recipient.zip(key).map(|(certificate, key)| us(&certificate, &key));
            let authorities = authority.map(|path| chain(&path)).transpose()?;
            Ok(verify(
                &parcel,
                &trust(&sender)?,
                us.transpose()?.as_ref(),
                authorities.as_deref(),
                json,
            ))
        }
        ParcelCommand::Open { parcel, recipient, key, sender, out, only, resume } => {
            let us = us(&recipient, &key)?;
            let trust = trust(&sender)?;
            let how = parcel::Opening { only: only.as_deref(), resume };
            let result = watched(|watch| parcel::open_with(&parcel, &us, &trust, &out, how, watch));
            Ok(outcome(result.map(|_| format!("opened into {}", out.display()))))
        }
        ParcelCommand::Bag { folder, json } => {
            let result = watched(|watch| parcel::bagit::check(&folder, watch));
            Ok(outcome(result.map(|bag| plain_bag(&bag, json))))
        }
        ParcelCommand::Media { files, json } => looking::media(&files, json),
        ParcelCommand::Take { from, recipient, signing, out, json } => {
            looking::take(&from, &signing.signer()?, certificate(&recipient)?, &out, json)
        }
        ParcelCommand::Receive(what) => receiving::receive(&what),
        ParcelCommand::Receipt(command) => receipts::run(command),
        ParcelCommand::StampRequest { parcel, out } => stamp_request(&parcel, &out),
        ParcelCommand::Stamp { parcel, request, answer, authority } => {
            stamp(&parcel, &request, &answer, &authority)
        }
        ParcelCommand::Opener => {
            let page = parcel::opener::page(concat!("Bailiwick ", env!("CARGO_PKG_VERSION")));
            progress::say(page.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        ParcelCommand::Inspect { parcel, json } => {
            let stamped_at = parcel::timestamp::unverified(&parcel).unwrap_or_default();
            let found = parcel::inspect(&parcel);
            Ok(outcome(found.map(|found| inspection(&found, stamped_at, json))))
        }
    }
}

/// Without a key, or with one; with authorities, the time stamp too.
fn verify(
    parcel: &Path,
    trust: &Trust,
    us: Option<&Recipient>,
    authorities: Option<&[Certificate]>,
    json: bool,
) -> ExitCode {
    let result = watched(|watch| match us {
        Some(us) => parcel::verify_inside(parcel, us, trust, watch).map(|found| found.verified),
        None => parcel::verify(parcel, trust, watch),
    });
    let mut broken = None;
    let result = result.and_then(|verified| {
        let entered = parcel::Parcel::enter(parcel, trust)?;
        let stamp = match authorities {
            Some(authorities) => Some((entered.required_stamp(authorities)?, true)),
            // It is no part of what the sender signed: one that does not hold is told of.
            None => entered.stamp_by(&[]).unwrap_or_else(|refused| {
                broken = Some(refused.to_string());
                None
            }),
        };
        Ok((verified, stamp))
    });
    outcome(result.map(|(verified, stamp)| {
        let stamped_at = stamp.as_ref().map(|(stamp, _)| stamp.at.to_string());
        let value = json!({
            "verified": true,
            "parcel": verified.id.to_string(),
            "digest": hex::encode(verified.digest),
            "sender": verified.sender.subject(),
            "signed_at": verified.signed_at.to_string(),
            "stamped_at": stamped_at,
            "stamped_by": stamp.as_ref().map(|(stamp, _)| stamp.authority.subject()),
            "stamp_fault": broken,
            "stamp_known": stamp.as_ref().map(|(_, known)| *known),
            "parts": verified.parts,
            "bytes": verified.bytes,
            "rsa_oaep": verified.rsa_oaep,
        });
        let words = format!(
            "holds: parcel {}, {} parts, {} bytes, signed by {} at {}",
            verified.id,
            verified.parts,
            verified.bytes,
            verified.sender.subject(),
            verified.signed_at,
        );
        let stamped = stamp.as_ref().map(|(stamp, known)| {
            let by = stamp.authority.subject();
            let unknown = if *known { "" } else { ", which was held against no --authority" };
            format!("; an authority saw it at {} ({by}{unknown})", stamp.at)
        });
        let stamped = stamped.or(broken.map(|why| format!("; {why}")));
        let words = words + &stamped.unwrap_or_default() + key_sent(verified.rsa_oaep);
        if json { value.to_string() } else { words }
    }))
}

fn stamp_request(parcel: &Path, out: &Path) -> anyhow::Result<ExitCode> {
    match parcel::timestamp::request(parcel, None, keys::random_bytes(&SystemRandom)?) {
        Ok(request) => {
            progress::write_new(out, &request)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => Ok(outcome(Err(refused))),
    }
}

fn stamp(
    parcel: &Path,
    request: &Path,
    answer: &Path,
    authority: &Path,
) -> anyhow::Result<ExitCode> {
    let most = usize::try_from(parcel::timestamp::STAMP_BYTES_MAX)?;
    let (request, answer) = (keys::file::read(request, most)?, keys::file::read(answer, most)?);
    let (authorities, now) = (chain(authority)?, SystemClock.now());
    let added = parcel::timestamp::add(parcel, &request, &answer, &authorities, now);
    let words = |stamp: parcel::timestamp::Stamp| {
        format!("stamped at {} by {}", stamp.at, stamp.authority.subject())
    };
    Ok(outcome(added.map(words)))
}

/// Runs something long with a bar.
fn watched<T>(work: impl FnOnce(Watch<'_>) -> T) -> T {
    let bar = progress::bytes();
    let never = std::sync::atomic::AtomicBool::new(false);
    let tick = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let result = work(Watch { progress: &tick, cancel: &never });
    bar.finish_and_clear();
    result
}

fn outcome(result: Result<String, Refused>) -> ExitCode {
    match result {
        Ok(words) => {
            progress::say(&words);
            ExitCode::SUCCESS
        }
        Err(refused) => {
            progress::say(&format!("refused: {refused}"));
            ExitCode::FAILURE
        }
    }
}

fn plain_bag(bag: &parcel::bagit::Bag, json: bool) -> String {
    let checksums: Vec<_> = bag.checksums.iter().map(|kind| kind.name()).collect();
    if json {
        let value = json!({
            "whole": true,
            "version": bag.version,
            "files": bag.files.len(),
            "bytes": bag.bytes,
            "checksums": checksums,
            "warnings": bag.warnings,
        });
        return value.to_string();
    }
    let (version, files, bytes) = (&bag.version, bag.files.len(), bag.bytes);
    let by = checksums.join(", ");
    let mut words =
        format!("whole: BagIt {version}, {files} files, {bytes} bytes, by {by}; signed by nobody");
    for warning in &bag.warnings {
        words.push_str(&format!("\nwarning: {warning}"));
    }
    words
}

fn inspection(
    found: &parcel::Inspection,
    stamped_at: Option<jiff::Timestamp>,
    json: bool,
) -> String {
    let value = json!({
        "verified": false,
        "parcel": found.id.to_string(),
        "digest": hex::encode(found.digest),
        "sender": found.sender,
        "sealed_at": found.sealed_at.to_string(),
        "stamped_at": stamped_at.map(|at| at.to_string()),
        "parts": found.parts,
        "bytes": found.bytes,
        "part_size": found.part_size,
        "rsa_oaep": found.rsa_oaep,
        "recipients": found.recipients,
    });
    if json {
        return value.to_string();
    }
    format!(
        "not verified: parcel {} from {}, sealed at {}, {} parts, {} bytes, for {}",
        found.id,
        found.sender,
        found.sealed_at,
        found.parts,
        found.bytes,
        found.recipients.join(", ")
    ) + &stamped_at.map(|at| format!("; a time stamp says {at}")).unwrap_or_default()
        + key_sent(found.rsa_oaep)
}

/// The mark of a parcel that some recipient gets its key to by RSA.
fn key_sent(rsa_oaep: bool) -> &'static str {
    if rsa_oaep {
        "\nmarked: a key was sent by RSA-OAEP, which is no approved service of the cryptographic module"
    } else {
        ""
    }
}

/// Who opens.
fn us(certificate_path: &Path, key: &Path) -> anyhow::Result<Recipient> {
    let text = progress::text_of(key)?;
    let read = private_key_from_pem(&text).and_then(|der| RecipientKey::from_pkcs8(&der));
    let key = read.with_context(|| format!("`{}` holds no key that can be used", key.display()))?;
    Ok(Recipient { certificate: certificate(certificate_path)?, key })
}

fn trust(sender: &Path) -> anyhow::Result<Trust> {
    Ok(Trust { senders: chain(sender)?, now: SystemClock.now() })
}

fn chain(path: &Path) -> anyhow::Result<Vec<Certificate>> {
    Certificate::chain_from_pem(&progress::text_of(path)?)
        .with_context(|| format!("`{}` holds no certificates that can be used", path.display()))
}

fn certificate(path: &Path) -> anyhow::Result<Certificate> {
    Certificate::from_pem(&progress::text_of(path)?)
        .with_context(|| format!("`{}` holds no certificate that can be used", path.display()))
}

fn private_key(path: &Path) -> anyhow::Result<P384Key> {
    let text = progress::text_of(path)?;
    let key = private_key_from_pem(&text).and_then(|der| P384Key::from_pkcs8(&der));
    key.with_context(|| format!("`{}` holds no P-384 key that can be used", path.display()))
}

/// `64MiB`, `8388608`.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || "give bytes, or a number of MiB such as 64MiB".to_owned();
    match text.strip_suffix("MiB") {
        Some(number) => number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << 20)),
        None => text.parse().ok(),
    }
    .ok_or_else(wrong)
}
