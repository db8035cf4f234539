//! Looking at files: what they are, and taking in what others made.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use keys::cert::Certificate;
use parcel::Signer;
use parcel::intake::{Found, Taken};
use parcel::media::{self, Examined};
use serde_json::{Value, json};

use super::{outcome, sealing, watched};
use crate::progress;

/// Says what each file is.
pub(super) fn media(files: &[PathBuf], as_json: bool) -> anyhow::Result<ExitCode> {
    let mut all = Vec::with_capacity(files.len());
    for path in files {
        let name = path.display().to_string();
        let mut file = File::open(path).with_context(|| format!("could not read `{name}`"))?;
        let found =
            media::examine(&mut file, &name).with_context(|| format!("could not read `{name}`"))?;
        if as_json {
            all.push(object(&name, &found));
        } else {
            let standing = found.standing.as_str();
            progress::say(&format!("{name}: {}, {standing}", found.kind.what()));
            found.words.iter().for_each(|words| progress::say(&format!("  {words}")));
        }
    }
    if as_json {
        progress::say(&Value::Array(all).to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn object(name: &str, found: &Examined) -> Value {
    let tracks = found.tracks.iter().map(|track| {
        json!({
            "kind": track.kind, "codec": track.codec, "duration_ms": track.duration_ms,
            "width": track.size.map(|size| size.0), "height": track.size.map(|size| size.1),
        })
    });
    let manifests = found.c2pa.iter().flat_map(|store| &store.manifests).map(|manifest| {
        json!({
            "label": manifest.label, "generator": manifest.generator, "title": manifest.title,
            "assertions": manifest.assertions, "verified": false,
            "signer": manifest.signer.as_ref().map(|signer| &signer.0),
            "issuer": manifest.signer.as_ref().map(|signer| &signer.1),
        })
    });
    json!({
        "file": name,
        "media_type": found.kind.media_type(),
        "standing": found.standing.as_str(),
        "words": found.words,
        "pdf_a": found.pdf_a.as_ref().map(ToString::to_string),
        "tracks": tracks.collect::<Vec<_>>(),
        "content_credentials": manifests.collect::<Vec<_>>(),
    })
}

/// Takes in a folder, a bag or a ZIP file, and seals it for ourselves.
pub(super) fn take(
    from: &Path,
    signer: &Signer,
    us: Certificate,
    out: &Path,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let read = watched(|watch| {
        let found = Found::enter(from)?;
        let taken = found.read(watch)?;
        Ok::<_, parcel::Refused>((found, taken))
    });
    let (found, taken): (Found, Taken) = match read {
        Ok(read) => read,
        Err(refused) => return Ok(outcome(Err(refused))),
    };
    let purpose = "taken in from others, and signed by nobody before".to_owned();
    let (authority, told) = ("not stated".to_owned(), sealing::Told::default());
    let why = sealing::Said { purpose, authority, told };
    let size = parcel::PART_BYTES_DEFAULT;
    let sealed = sealing::seal_entries(
        found.entries(&taken),
        signer,
        (vec![us], false),
        (out, false),
        size,
        &why,
    )?;
    // What was read before and what was sealed must be the same files.
    for (before, after) in taken.files.iter().zip(&sealed.files) {
        if before.sha256 != after.sha256 {
            let removed =
                if out.is_dir() { std::fs::remove_dir_all(out) } else { std::fs::remove_file(out) };
            removed.with_context(|| format!("could not remove `{}`", out.display()))?;
            anyhow::bail!("`{}` was changed while it was being taken in", before.path);
        }
    }
    let remarks: Vec<_> = taken.remarks().map(|(path, words)| format!("{path}: {words}")).collect();
    let bag = taken.bag.as_ref();
    if as_json {
        let value = json!({
            "parcel": sealed.id.to_string(),
            "digest": hex::encode(sealed.digest),
            "files": taken.files.iter().map(|file| json!({
                "path": file.path, "bytes": file.length, "sha256": file.sha256,
                "media_type": file.examined.kind.media_type(), "standing": file.examined.standing.as_str(),
            })).collect::<Vec<_>>(),
            "bag": bag.map(|bag| json!({ "version": bag.version, "warnings": bag.warnings })),
            "remarks": remarks,
        });
        progress::say(&value.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let kind = bag.map_or_else(
        || "no bag: nothing says that it is whole".to_owned(),
        |bag| format!("BagIt {}, whole", bag.version),
    );
    progress::say(&format!("took in {} files ({kind}) as parcel {}", taken.files.len(), sealed.id));
    bag.iter()
        .flat_map(|bag| &bag.warnings)
        .chain(&remarks)
        .for_each(|words| progress::say(&format!("  {words}")));
    Ok(ExitCode::SUCCESS)
}
