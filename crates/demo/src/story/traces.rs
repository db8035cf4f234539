//! What the agencies leave on disk: ledgers that hold, no record in the clear, and a sealed parcel
//! that shows every flipped bit.

use std::fs;
use std::path::{Path, PathBuf};

use keys::cert::Certificate;
use keys::{Clock as _, SystemClock};
use ledger::VerifyOptions;
use parcel::{Trust, Watch};

use crate::log::Log;
use crate::seed::story::{CASE, FAMILY, PLATE};
use crate::story::cast::{FLAG_REASON, Failed, Step, read};
use crate::world::{LAKESIDE, RIVERTON};

/// A phrase of the story's narrative.
const PHRASE: &str = "strike plate had been pried";

/// Waits for the databases to be closed: the last thread of each folds its write-ahead log into the
/// file and removes it, a moment after the agency has stopped. Logs that stay are looked at too.
pub(crate) async fn settled(root: &Path) {
    let log = |id: &str| root.join(id).join("data/state.db-wal").exists();
    for _ in 0..100 {
        if !log(RIVERTON.id) && !log(LAKESIDE.id) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Both ledgers hold.
pub(crate) fn ledgers_hold(root: &Path) -> Step {
    let mut found = Vec::new();
    for spec in [&RIVERTON, &LAKESIDE] {
        let folder = root.join(spec.id).join("data/ledger");
        let options = VerifyOptions::default();
        let verified = ledger::verify(&folder, options)?;
        if verified.size == 0 {
            return Err(Failed::new(format!("{} is empty", folder.display())));
        }
        found.push(format!("{} {} entries", spec.id, verified.size));
    }
    Ok(format!("both ledgers hold: {}", found.join(", ")))
}

/// No planted word stands in what the agencies keep, in the log, nor in this process's environment.
pub(crate) fn nothing_in_the_clear(root: &Path, log: &Log) -> Step {
    let markers = [FAMILY, PLATE, CASE, FLAG_REASON, PHRASE];
    let mut files = vec![PathBuf::from("/proc/self/environ")];
    for spec in [&RIVERTON, &LAKESIDE] {
        walk(&root.join(spec.id).join("data"), &mut files)?;
    }
    let mut sources = Vec::new();
    walk(&root.join(RIVERTON.id).join("sources"), &mut sources)?;
    // The search is shown to find what is there: in the systems of record.
    let there = |path: &PathBuf| read(path).is_ok_and(|bytes| holds(&bytes, FAMILY.as_bytes()));
    if !sources.iter().any(there) {
        return Err(Failed::new("the search does not even find the records themselves"));
    }
    let logged = log.bytes();
    // A log that was not taken would be a search in nothing.
    if !holds(&logged, b"\"level\"") {
        return Err(Failed::new("nothing was logged"));
    }
    let lines = logged.split(|byte| *byte == b'\n');
    for line in lines {
        if let Some(marker) = markers.iter().find(|marker| holds(line, marker.as_bytes())) {
            let line = String::from_utf8_lossy(line);
            return Err(Failed::new(format!("`{marker}` stands in the clear in the log: {line}")));
        }
    }
    let mut bytes = 0_usize;
    for path in &files {
        if path.starts_with("/proc") && !path.exists() {
            continue;
        }
        let content = read(path)?;
        bytes += content.len();
        for marker in markers {
            if holds(&content, marker.as_bytes()) {
                let path = path.display();
                return Err(Failed::new(format!("`{marker}` stands in the clear in {path}")));
            }
        }
    }
    let (count, megabytes) = (files.len(), bytes / 1_000_000);
    Ok(format!(
        "none of {} planted words in {count} files, {megabytes} MB, nor in {} bytes of log",
        markers.len(),
        logged.len()
    ))
}

/// One flipped bit in a copy of the sealed parcel is found, and the file is named.
pub(crate) fn flipped_bit_is_named(root: &Path) -> Step {
    let mut files = Vec::new();
    for spec in [&RIVERTON, &LAKESIDE] {
        walk(&root.join(spec.id).join("data/parcels"), &mut files)?;
    }
    let tag = files.iter().find(|path| path.ends_with("tagmanifest-sha256.txt"));
    let Some(sealed) = tag.and_then(|tag| tag.parent()) else {
        return Err(Failed::new("no sealed parcel is kept"));
    };
    let copy = root.join("copy");
    for path in files.iter().filter(|path| path.starts_with(sealed)) {
        let to = copy.join(path.strip_prefix(sealed)?);
        fs::create_dir_all(to.parent().unwrap_or(&copy))?;
        fs::copy(path, to)?;
    }
    let certificate = fs::read_to_string(root.join(RIVERTON.id).join("keys/signing.pem"))?;
    let senders = vec![Certificate::from_pem(&certificate)?];
    let trust = Trust { senders, now: SystemClock.now() };
    parcel::verify(&copy, &trust, Watch::none())?;
    let part = parcel::part_path(1);
    let path = [copy.join(&part), copy.join(parcel::part_path(0))]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Failed::new("the parcel has no part"))?;
    let mut content = read(&path)?;
    let middle = content.len() / 2;
    if let Some(byte) = content.get_mut(middle) {
        *byte ^= 1;
    }
    fs::write(&path, content)?;
    match parcel::verify(&copy, &trust, Watch::none()) {
        Err(refused) if path.ends_with(&refused.file) => {
            Ok(format!("one flipped bit in a parcel is found in {}", refused.file))
        }
        Err(refused) => Err(Failed::new(format!("another file is named: {refused}"))),
        Ok(_) => Err(Failed::new("a flipped bit is not found")),
    }
}

/// All files under a folder.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let unreadable = |error| Failed::new(format!("{}: {error}", folder.display()));
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn holds(content: &[u8], marker: &[u8]) -> bool {
    content.windows(marker.len()).any(|window| window == marker)
}
