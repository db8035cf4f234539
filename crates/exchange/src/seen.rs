//! What a file is by its content, for people who decide about it: looked at once and kept beside its name.
//!
//! Invariants: a parcel that lies here is read in memory, and only as far as it takes to know what its files are; what
//! was not looked at is not called sound.

use parcel::media::{Examined, Kind, Standing, of_media_type};
use parcel::{IndexedFile, Unlocked};
use serde::{Deserialize, Serialize};

use crate::delivery::short;
use crate::model::{Inside, ReceivedFile};

/// Files of one parcel that are looked at.
const FILES_MAX: usize = 10_000;
/// Sentences about one file that are kept.
const WORDS_MAX: usize = 8;

/// What was seen of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// By its content (RFC 6838).
    pub media_type: String,
    /// In words, such as `a PDF document`.
    pub what: String,
    /// `sound`, `odd`, `cut-short`, `broken` or `not-examined`.
    pub standing: String,
    /// What stands out, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Whether a person should look twice: it is not what its name or its stated media type says, it can't be used as it
    /// is, or it is a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub odd: bool,
}

impl Seen {
    /// What was found of a file of this name, which is stated to have this media type.
    pub fn of(found: &Examined, name: &str, stated: &str) -> Self {
        let kind = found.kind;
        let mut words: Vec<String> = found.words.iter().map(|words| short(words)).collect();
        let promised = of_media_type(stated).filter(|promised| promised.differs_from(kind));
        if let Some(promised) = promised {
            let stated = short(stated);
            let said = format!(
                "Its stated type is {stated}, {}, and it is {}.",
                promised.what(),
                kind.what()
            );
            words.insert(0, said);
        }
        words.truncate(WORDS_MAX);
        let bad = matches!(found.standing, Standing::CutShort | Standing::Broken);
        let named_otherwise = parcel::media::differs(name, kind);
        Self {
            media_type: kind.media_type().to_owned(),
            what: kind.what().to_owned(),
            standing: found.standing.as_str().to_owned(),
            words,
            odd: bad || kind.runs() || named_otherwise || promised.is_some(),
        }
    }

    /// The media type that it goes by: what its content is, unless that is a general kind of what was stated.
    pub fn goes_by(&self, stated: &str) -> String {
        let general = [Kind::Text, Kind::Zip, Kind::Ole, Kind::Unknown, Kind::Empty];
        let found = of_media_type(&self.media_type).unwrap_or(Kind::Unknown);
        let agrees = of_media_type(stated).is_none_or(|promised| !promised.differs_from(found));
        if agrees && !stated.is_empty() && (found == Kind::Unknown || general.contains(&found)) {
            return stated.to_owned();
        }
        self.media_type.clone()
    }
}

/// A parcel's files, with what they are by their content: as many as are looked at, and none of one that can't be read.
pub(crate) fn files_of(unlocked: &Unlocked<'_>) -> Vec<ReceivedFile> {
    let look = |file: &IndexedFile| {
        let found = unlocked.examine(&file.path).ok()?;
        Some(Seen::of(&found, &file.path, &file.media_type))
    };
    let files = unlocked.files().iter().enumerate();
    files
        .map(|(at, file)| ReceivedFile {
            path: file.path.clone(),
            media_type: file.media_type.clone(),
            length: file.length,
            sha256: file.sha256.clone(),
            derived: None,
            seen: if at < FILES_MAX { look(file) } else { None },
        })
        .collect()
}

/// Whether somebody has still to look at its files.
pub(crate) fn is_unseen(inside: &Inside) -> bool {
    inside.files.iter().take(FILES_MAX).any(|file| file.seen.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8], name: &str, stated: &str) -> Seen {
        let found = parcel::media::examine(&mut std::io::Cursor::new(bytes), name).unwrap();
        Seen::of(&found, name, stated)
    }

    #[test]
    fn what_is_not_what_its_name_or_its_type_says_is_said_to_be_odd() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice();
        let stated = seen(png, "a.png", "application/pdf");
        let words = "Its stated type is application/pdf, a PDF document, and it is a PNG picture.";
        assert!(stated.odd && stated.words.iter().any(|one| one == words), "{stated:?}");
        assert_eq!(stated.goes_by("application/pdf"), "image/png");
        let named = seen(png, "a.pdf", "image/png");
        assert!(named.odd && named.words[0].starts_with("Its name says a PDF document"));
        assert!(seen(b"#!/bin/sh\n", "a", "").odd, "a program");
    }

    #[test]
    fn a_general_kind_keeps_the_type_that_was_stated() {
        for (bytes, name, stated) in [
            (b"a,b\n".as_slice(), "a.csv", "text/csv"),
            (b"{}", "a.json", "application/json"),
            (
                b"PK\x03\x04",
                "a.docx",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            (b"\x01\x02\x03", "a.dat", "application/x-maker"),
        ] {
            let seen = seen(bytes, name, stated);
            assert!(!seen.odd, "{seen:?}");
            assert_eq!(seen.goes_by(stated), stated);
        }
        assert_eq!(
            seen(b"%PDF-1.7\n", "a", "application/x-maker").goes_by("x/y"),
            "application/pdf"
        );
        assert_eq!(seen(b"text\n", "a", "").goes_by(""), "text/plain");
    }
}
