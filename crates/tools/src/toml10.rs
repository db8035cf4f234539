//! Holds a file to TOML 1.0, so that every reader of the file reads the same.
//!
//! The parser takes TOML 1.1. What 1.1 added is refused here: inline tables over several lines or
//! with a comma at their end, and the escapes `\e` and `\x`. (Times, where 1.1 dropped the need
//! for seconds, are refused wherever they stand: no key takes one.)

/// The first place that TOML 1.0 does not allow: a byte and what was expected there.
pub(crate) fn first_objection(text: &str) -> Option<(usize, &'static str)> {
    let mut open: Vec<u8> = Vec::new();
    // True if the last thing seen in an inline table was a comma.
    let mut comma = false;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'#' => {
                at += until(bytes, at, b"\n").unwrap_or(bytes.len());
                continue;
            }
            b'"' | b'\'' => {
                let fence = string_fence(bytes, at, byte);
                let (end, objection) = string_end(bytes, at + fence, byte, fence);
                if objection.is_some() {
                    return objection;
                }
                at = end;
                comma = false;
                continue;
            }
            b'\n' if open.last() == Some(&b'{') => {
                return Some((at, "an inline table on one line, as TOML 1.0 has it"));
            }
            b'}' if comma && open.last() == Some(&b'{') => {
                return Some((at, "no comma before `}`, as TOML 1.0 has it"));
            }
            b'{' | b'[' => open.push(byte),
            b'}' | b']' => {
                open.pop();
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            comma = byte == b',';
        }
        at += 1;
    }
    None
}

/// How many bytes from `at` to the needle.
fn until(bytes: &[u8], at: usize, needle: &[u8]) -> Option<usize> {
    bytes.get(at..)?.windows(needle.len()).position(|window| window == needle)
}

fn string_fence(bytes: &[u8], at: usize, quote: u8) -> usize {
    let triple = bytes.get(at..at + 3).is_some_and(|three| three.iter().all(|b| *b == quote));
    if triple { 3 } else { 1 }
}

/// Where a string ends, and what TOML 1.0 has against it.
fn string_end(
    bytes: &[u8],
    from: usize,
    quote: u8,
    fence: usize,
) -> (usize, Option<(usize, &'static str)>) {
    let mut at = from;
    while let Some(byte) = bytes.get(at).copied() {
        if byte == b'\\' && quote == b'"' {
            if matches!(bytes.get(at + 1), Some(b'e' | b'x')) {
                return (at, Some((at, "an escape of TOML 1.0; `\\e` and `\\x` are not")));
            }
            at += 2;
            continue;
        }
        let closes = bytes.get(at..at + fence).is_some_and(|end| end.iter().all(|b| *b == quote));
        if closes {
            // Up to two more quotes belong to the text of a string in three.
            let extra = bytes.iter().skip(at + fence).take_while(|b| **b == quote).count();
            let inside = if fence == 3 { extra.min(2) } else { 0 };
            return (at + fence + inside, None);
        }
        if byte == b'\n' && fence == 1 {
            // The parser has said so already; go on after it.
            return (at, None);
        }
        at += 1;
    }
    (bytes.len(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_toml_1_1_added_is_refused_and_nothing_else() {
        for (text, expected) in [
            ("a = { b = 1,\n c = 2 }", Some(12)),
            ("a = { b = 1, }", Some(13)),
            ("a = { b = [1,\n 2,\n], c = '''\n''' }\nd = [\n1,\n]\n", None),
            ("a = \"\\e\"", Some(5)),
            ("a = \"\\x41\"", Some(5)),
            ("a = '\\e' # \\e { \n b = \"\"\"\"{\n\\\\e\"\"\"\"\"\nc = ''", None),
            ("a = \"{\" # }\nb = '{,}'\n[x]\n[[y]]\n", None),
        ] {
            assert_eq!(first_objection(text).map(|(at, _)| at), expected, "{text}");
        }
    }
}
