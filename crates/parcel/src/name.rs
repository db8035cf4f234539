//! Which paths may stand in a parcel: those that mean the same file to every tool that opens it.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use crate::{COMPONENT_BYTES_MAX, PATH_BYTES_MAX};

/// Why `path` may not stand in a parcel; `None` if it may.
///
/// Refused: what climbs out of a folder, what a manifest line or `sha256sum` would have to
/// escape, what Windows reads otherwise, and letters that can't be seen or turn the text around.
pub(crate) fn objection(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return Some("a path has 1 to 1024 bytes");
    }
    if path.starts_with('/') {
        return Some("it is absolute");
    }
    path.split('/').find_map(component)
}

fn component(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        return Some("a component is empty, `.` or `..`");
    }
    if name.len() > COMPONENT_BYTES_MAX {
        return Some("a component is longer than 255 bytes");
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return Some("a component begins or ends with white space");
    }
    if name.ends_with('.') {
        return Some("a component ends with a dot");
    }
    if name.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    if name.contains(['\\', '%', ':', '"', '<', '>', '|', '?', '*']) {
        return Some("it holds one of `\\ % : \" < > | ? *`");
    }
    if device(name) {
        return Some("Windows keeps that name for a device");
    }
    if name.chars().any(hidden) {
        return Some("it holds an invisible or direction-changing character");
    }
    None
}

/// Characters without ink, and those that turn or break the line: they make one name look like another.
pub(crate) fn hidden(letter: char) -> bool {
    matches!(letter,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `CON`, `nul.txt`, `COM1.log`: on Windows these are not files, whatever follows the first dot.
fn device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |head: &str| {
        let mut rest = stem.strip_prefix(head).unwrap_or_default().chars();
        let digit = |c: char| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³');
        rest.next().is_some_and(digit) && rest.next().is_none()
    };
    let fixed = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    fixed.contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// Two paths with the same key would be one file on some systems: letter case aside, and whether
/// an accent is written as a letter of its own.
pub(crate) fn collision_key(path: &str) -> String {
    if path.is_ascii() {
        return path.to_ascii_lowercase();
    }
    let upper = path.nfd().collect::<String>().to_uppercase();
    upper.to_lowercase().nfc().collect()
}

/// What is wrong between paths of which each may stand in a parcel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The path is there twice, to some systems.
    Twice(String),
    /// The path is a file, and a folder of another path.
    Folder(String),
}

/// The first conflict between paths.
pub(crate) fn conflict<'a>(paths: impl Iterator<Item = &'a str>) -> Option<Conflict> {
    let mut seen = BTreeMap::new();
    for path in paths {
        if seen.insert(collision_key(path), path).is_some() {
            return Some(Conflict::Twice(path.to_owned()));
        }
    }
    // A file where another path needs a folder could be written by no one.
    for key in seen.keys() {
        for (at, _) in key.match_indices('/') {
            if let Some(file) = key.get(..at).and_then(|folder| seen.get(folder)) {
                return Some(Conflict::Folder((*file).to_owned()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Conflict, conflict, objection};

    #[test]
    fn ordinary_names_pass() {
        for path in ["a", "statement.pdf", "videos/Door camera (2).mp4", "Zeugen/Müller, Jörg.txt"]
        {
            assert_eq!(objection(path), None, "{path}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "x".repeat(256);
        let hostile = [
            "",
            "/etc/passwd",
            "../up",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "c:\\x",
            "a\\b",
            "C:evil",
            "50%",
            "line\nbreak",
            "nul\0",
            "tab\t",
            " lead",
            "trail ",
            "dots.",
            "a\u{202e}gpj.exe",
            "a\u{200b}b",
            "bell\u{7}",
            "\u{85}",
            "what?.txt",
            "a*",
            "a<b",
            "a>b",
            "a|b",
            "say \"a\"",
            "con",
            "Nul.txt",
            "x/COM1.log",
            "lpt²",
            "aux .x",
            "\u{3164}",
            "a\u{e0041}",
            &long,
        ];
        for path in hostile {
            assert!(objection(path).is_some(), "{path:?} passed");
        }
    }

    #[test]
    fn names_that_only_look_like_devices_pass() {
        for path in ["console", "com10", "com", "auxiliary.txt", "lpt", "x.con", "null"] {
            assert_eq!(objection(path), None, "{path}");
        }
    }

    #[test]
    fn twins_are_found_whatever_their_case_and_spelling() {
        let twins = [
            ("Photo.JPG", "photo.jpg"),
            // The accent as a part of the letter, and as a letter of its own.
            ("caf\u{e9}.txt", "cafe\u{301}.txt"),
            ("CAF\u{c9}.txt", "cafe\u{301}.txt"),
            ("\u{212b}", "\u{c5}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3c3}\u{3c2}", "\u{3a3}\u{3a3}"),
            ("\u{17f}x", "sx"),
            // Two marks in another order.
            ("a\u{323}\u{307}", "a\u{307}\u{323}"),
        ];
        for (a, b) in twins {
            let found = conflict([a, "other", b].into_iter());
            assert_eq!(found, Some(Conflict::Twice(b.to_owned())), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("e", "\u{e9}"), ("a/b", "a/c"), ("a", "ab"), ("a-b", "a/b")] {
            assert_eq!(conflict([a, b].into_iter()), None, "{a} {b}");
        }
        let found = conflict(["A", "a-", "a/b"].into_iter());
        assert_eq!(found, Some(Conflict::Folder("A".to_owned())));
    }
}
