//! Documents in a folder.
//!
//! Invariant: a key never leads out of the folder, by its own words or by a link in the folder. A
//! document's name and media type come from its key, made harmless; its content is not looked at.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gate::{Document, EvidencePlan, Stream};
use object_store::local::LocalFileSystem;
use object_store::{GetOptions, GetRange, ObjectStore};

use crate::error::Fault;

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 1024;
/// The longest name that is offered for saving, in characters.
const NAME_CHARS_MAX: usize = 120;

/// A folder of documents.
pub(crate) struct Evidence {
    store: Arc<LocalFileSystem>,
    /// The folder with its links resolved.
    folder: PathBuf,
}

impl Evidence {
    pub(crate) fn open(folder: &Path) -> Result<Self, Fault> {
        let resolved = folder.canonicalize().map_err(|source| Fault::File {
            doing: "open evidence folder",
            path: folder.to_owned(),
            source,
        })?;
        let store = LocalFileSystem::new_with_prefix(&resolved)
            .map_err(|source| Fault::Store { source })?;
        Ok(Self { store: Arc::new(store), folder: resolved })
    }

    pub(crate) async fn check(&self) -> Result<(), Fault> {
        let metadata = tokio::fs::metadata(&self.folder).await;
        metadata.map(|_| ()).map_err(|source| Fault::File {
            doing: "open evidence folder",
            path: self.folder.clone(),
            source,
        })
    }

    pub(crate) async fn document(&self, plan: &EvidencePlan) -> Result<Document, Fault> {
        let after = plan.limits.wait_max;
        match tokio::time::timeout(after, self.read(plan)).await {
            Ok(document) => document,
            Err(_) => Err(Fault::TimedOut { after }),
        }
    }

    /// All of a document, of which nothing stays in memory. It takes as long as the disk does: whoever waits may go away,
    /// and reading ends with the next piece.
    pub(crate) async fn stream(&self, plan: &EvidencePlan) -> Result<Stream, Fault> {
        let after = Duration::from_secs(gate::STREAM_PERMIT_SECONDS_MAX.unsigned_abs());
        match tokio::time::timeout(after, self.read_whole(plan)).await {
            Ok(stream) => stream,
            Err(_) => Err(Fault::TimedOut { after }),
        }
    }

    async fn read_whole(&self, plan: &EvidencePlan) -> Result<Stream, Fault> {
        if plan.range.is_some() {
            return Err(Fault::Misdirected { expected: "a whole document" });
        }
        self.path(&plan.key).await?;
        let (path, max) = (self.folder.join(&plan.key), plan.limits.bytes_max);
        let (again, folder) = (path.clone(), self.folder.clone());
        let broken_off =
            || Fault::Shape { problem: "reading the document was broken off".to_owned() };
        let read = gate::apart(move |waited_for| print((&folder, &path), max, waited_for)).await;
        let print = read.ok_or_else(broken_off)??;
        let again: gate::Again =
            Arc::new(move || Ok(Box::new(plain_file(&again)?) as Box<dyn Read + Send>));
        let (name, kind) = (safe_name(&plan.key), media_type(&plan.key));
        Ok(Stream::new(&plan.key, name, kind, print, again))
    }

    async fn read(&self, plan: &EvidencePlan) -> Result<Document, Fault> {
        let path = self.path(&plan.key).await?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        let seen = self.store.get_opts(&path, options).await.map_err(missing)?.meta;
        let (start, end) = range(plan.range, seen.size)?;
        let wanted = end.saturating_sub(start);
        if wanted > plan.limits.bytes_max {
            return Err(Fault::TooManyBytes { max: plan.limits.bytes_max });
        }
        let bytes = if wanted == 0 {
            Vec::new()
        } else {
            // Of the very document whose length we saw: if it was replaced, nothing is given.
            let options = GetOptions {
                if_match: seen.e_tag,
                range: Some(GetRange::Bounded(start..end)),
                ..GetOptions::default()
            };
            let got = self.store.get_opts(&path, options).await.map_err(missing)?;
            got.bytes().await.map_err(missing)?.to_vec()
        };
        if u64::try_from(bytes.len()) != Ok(wanted) {
            let problem = "the document changed while it was read".to_owned();
            return Err(Fault::Shape { problem });
        }
        Ok(Document::new(
            &plan.key,
            safe_name(&plan.key),
            media_type(&plan.key),
            seen.size,
            start,
            bytes,
        ))
    }

    /// The place of a key in the store, after every link was followed.
    async fn path(&self, key: &str) -> Result<object_store::path::Path, Fault> {
        if !is_key(key) {
            return Err(Fault::BadKey);
        }
        let resolved = tokio::fs::canonicalize(self.folder.join(key)).await;
        let resolved = resolved.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Fault::NoDocument,
            _ => Fault::BadKey,
        })?;
        if !resolved.starts_with(&self.folder) {
            return Err(Fault::BadKey);
        }
        object_store::path::Path::parse(key).map_err(|_| Fault::BadKey)
    }
}

/// Opens a file that is no pipe, device or folder: those might never end, or never begin.
fn plain_file(path: &Path) -> io::Result<File> {
    let plain =
        |is: bool| if is { Ok::<(), io::Error>(()) } else { Err(io::ErrorKind::NotFound.into()) };
    plain(path.metadata()?.is_file())?;
    let file = File::open(path)?;
    plain(file.metadata()?.is_file())?;
    Ok(file)
}

/// Length and SHA-256 of a file, while somebody waits for it.
fn print(
    (folder, path): (&Path, &Path),
    max: u64,
    waited_for: &dyn Fn() -> bool,
) -> Result<(u64, [u8; 32]), Fault> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Fault::NoDocument,
        _ => Fault::File { doing: "read a document", path: path.to_owned(), source },
    };
    let mut file = plain_file(path).map_err(failed)?;
    let opened = file.metadata().map_err(failed)?;
    // A link that was put into the way after it was looked for leads elsewhere: what is open must be what lies below.
    let resolved = path.canonicalize().map_err(failed)?;
    let there = resolved.metadata().map_err(failed)?;
    let same = (opened.dev(), opened.ino()) == (there.dev(), there.ino());
    if !same || !resolved.starts_with(folder) {
        return Err(Fault::BadKey);
    }
    let length = opened.len();
    let fits = |read| length <= max && read <= max;
    let go_on = |read| fits(read) && waited_for();
    let broken_off = || Fault::Shape { problem: "reading the document was broken off".to_owned() };
    match Stream::measure(&mut file, &go_on).map_err(failed)? {
        Some((read, digest)) if fits(read) => Ok((read, digest)),
        None if !waited_for() => Err(broken_off()),
        Some(_) | None => Err(Fault::TooManyBytes { max }),
    }
}

/// Segments apart by `/`, each of them a plain name.
fn is_key(key: &str) -> bool {
    let is_name = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && !segment.contains('\\')
    };
    !key.is_empty()
        && key.len() <= KEY_BYTES_MAX
        && !key.chars().any(char::is_control)
        && key.split('/').all(is_name)
}

/// The bytes wanted, within the document: an end beyond it is its end, as in RFC 9110 §14.1.2.
fn range(wanted: Option<(u64, u64)>, length: u64) -> Result<(u64, u64), Fault> {
    let Some((start, end)) = wanted else { return Ok((0, length)) };
    if start >= length || end <= start {
        return Err(Fault::BadRange { length });
    }
    Ok((start, end.min(length)))
}

fn missing(error: object_store::Error) -> Fault {
    match error {
        object_store::Error::NotFound { .. } => Fault::NoDocument,
        source => Fault::Store { source },
    }
}

/// The last segment of a key with everything but letters, digits and `-_.` and spaces replaced.
fn safe_name(key: &str) -> String {
    let last = key.rsplit('/').next().unwrap_or_default();
    let safe = |character: char| {
        let is_safe = character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | ' ');
        if is_safe { character } else { '_' }
    };
    let name: String = last.chars().take(NAME_CHARS_MAX).map(safe).collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { "document".to_owned() } else { name.to_owned() }
}

/// By extension, and only what a browser shows without running it.
fn media_type(key: &str) -> &'static str {
    let extension = key.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref().unwrap_or_default() {
        "pdf" => "application/pdf",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "txt" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_names_apart_by_slashes() {
        for key in ["a.pdf", "24-000113/statement.pdf", "a/b/c", "..a", "a..b/é.pdf"] {
            assert!(is_key(key), "{key}");
        }
        let long = "a".repeat(KEY_BYTES_MAX + 1);
        let bad =
            ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.", "a\\b", "a\0", "a\nb", &long];
        for key in bad {
            assert!(!is_key(key), "{key:?}");
        }
    }

    #[test]
    fn names_are_harmless() {
        assert_eq!(safe_name("x/statement 1.pdf"), "statement 1.pdf");
        assert_eq!(safe_name("x/a\"; filename=b.exe"), "a__ filename_b.exe");
        assert_eq!(safe_name("x/..."), "document");
        assert_eq!(media_type("x/page.html"), "application/octet-stream");
        assert_eq!(media_type("x/DOOR.MP4"), "video/mp4");
    }

    #[test]
    fn ranges_lie_within_the_document() {
        assert_eq!(range(None, 10).unwrap(), (0, 10));
        assert_eq!(range(Some((2, 4)), 10).unwrap(), (2, 4));
        assert_eq!(range(Some((2, 99)), 10).unwrap(), (2, 10));
        for wanted in [(10, 11), (4, 4), (5, 4), (u64::MAX, u64::MAX)] {
            assert!(matches!(range(Some(wanted), 10), Err(Fault::BadRange { length: 10 })));
        }
    }
}
