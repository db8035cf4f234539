//! Which paths may stand in a parcel: those that mean the same file to every tool that opens it.

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
    if name.contains(['\\', '%', ':']) {
        return Some("it holds `\\`, `%` or `:`");
    }
    if name.chars().any(hidden) {
        return Some("it holds an invisible or direction-changing character");
    }
    None
}

/// Zero-width, bidirectional and line-separating characters: they make one name look like another.
fn hidden(letter: char) -> bool {
    matches!(letter,
        '\u{00ad}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Two paths with the same key would be one file on some systems.
pub(crate) fn collision_key(path: &str) -> String {
    path.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::objection;

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
            &long,
        ];
        for path in hostile {
            assert!(objection(path).is_some(), "{path:?} passed");
        }
    }
}
