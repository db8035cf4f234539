//! `open.html`: one page that checks and opens a parcel in a browser, offline, with nothing installed.
//!
//! Built of the plain files beside this one. Its policy allows its own script and style, by their hashes, and nothing
//! else: no connection, no image, no form, no frame. It is a second implementation of the format, held to the same vectors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::digest::sha256;

const PAGE: &str = include_str!("opener/page.html");
const STYLE: &str = include_str!("opener/page.css");
/// In the order in which they build on one another.
const SCRIPTS: [&str; 8] = [
    include_str!("opener/der.js"),
    include_str!("opener/x509.js"),
    include_str!("opener/cms.js"),
    include_str!("opener/bag.js"),
    include_str!("opener/archive.js"),
    include_str!("opener/zip.js"),
    include_str!("opener/parcel.js"),
    include_str!("opener/page.js"),
];

/// The page, as one file to be saved and handed on. `product` is named at its foot, such as `Bailiwick 0.1.0`: plain letters,
/// digits, spaces and dots; others are left out.
pub fn page(product: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-' | '+');
    let product: String = product.chars().filter(plain).collect();
    let script = format!("\n'use strict';\n(() => {{\n{}}})();\n", SCRIPTS.join("\n"));
    let style = format!("\n{STYLE}");
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(&script),
        hash(&style)
    );
    PAGE.replace("{{policy}}", &policy)
        .replace("{{product}}", &product)
        .replace("{{style}}", &style)
        .replace("{{script}}", &script)
}

#[cfg(test)]
mod tests {
    use super::{SCRIPTS, page};

    #[test]
    fn page_is_one_file_that_asks_for_nothing() {
        let page = page("Bailiwick 0.1.0 <b>");
        assert!(page.contains("Bailiwick 0.1.0 b. What a parcel is"));
        assert!(!page.contains("{{") && page.contains("default-src 'none'; script-src 'sha256-"));
        for outside in ["http:", "https:", " src=", "@import", "url(", "fetch(", "XMLHttp", "eval("]
        {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("</script>").count(), 1);
    }

    #[test]
    fn scripts_set_words_and_never_markup() {
        for script in SCRIPTS {
            assert!(script.lines().count() < 500);
            for sink in
                ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "localStorage"]
            {
                assert!(!script.contains(sink), "{sink}");
            }
        }
    }
}
