//! xmlsec1 (libxml2, OpenSSL), asked whether a signature holds and over which bytes.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const RESPONSE: &str = "urn:oasis:names:tc:SAML:2.0:protocol:Response";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion:Assertion";
const BEGIN: &str = "== PreDigest data - start buffer:\n";
const END: &str = "\n== PreDigest data - end buffer";

/// The program, and a folder for what it reads, which nobody else has.
#[derive(Debug)]
pub struct Xmlsec1 {
    program: PathBuf,
    folder: PathBuf,
}

impl Xmlsec1 {
    /// # Errors
    /// When the folder can't be made.
    pub fn new(program: PathBuf) -> std::io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("bailiwick-signed-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(Self { program, folder })
    }

    /// The bytes that it hashes for the element that `covered` is the canonical text of, if the signature over
    /// that element holds with the key of the metadata.
    pub(super) fn covered(
        &self,
        message: &str,
        metadata: &str,
        covered: &str,
    ) -> Result<String, String> {
        let id = covered.split_once(" ID=\"").and_then(|(_, rest)| rest.split_once('"'));
        let id = id.map_or("", |(id, _)| id);
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Err(format!("`{id}` can't be asked for"));
        }
        let failed = |error: std::io::Error| format!("it could not be asked: {error}");
        let (file, key) = (self.folder.join("message.xml"), self.folder.join("idp.pem"));
        std::fs::write(&file, message).map_err(failed)?;
        std::fs::write(&key, certificate(metadata)).map_err(failed)?;
        let signature = format!("//*[local-name()='Signature'][*/*[@URI='#{id}']]");
        let done = Command::new(&self.program)
            .args(["--verify", "--store-references", "--print-debug"])
            // What KeyInfo brings along is no key of ours: neither of us reads it.
            .args(["--enabled-key-data", "key-name"])
            .args(["--enabled-reference-uris", "same-doc", "--id-attr:ID", RESPONSE])
            .args(["--id-attr:ID", ASSERTION, "--node-xpath", &signature, "--pubkey-cert-pem"])
            .args([&key, &file])
            .output()
            .map_err(failed)?;
        let said = String::from_utf8_lossy(&done.stdout);
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).lines().take(3).collect());
        }
        let hashed = said.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        Ok(hashed.ok_or("it does not show what it hashed")?.0.to_owned())
    }
}

impl Drop for Xmlsec1 {
    fn drop(&mut self) {
        // What stays behind is a message and a certificate that are in the repository too.
        std::fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}

/// The certificate in a metadata document, as PEM.
fn certificate(metadata: &str) -> String {
    let found = metadata.split_once("<ds:X509Certificate>");
    let found = found.and_then(|(_, rest)| rest.split_once('<')).map_or("", |(text, _)| text);
    let lines: Vec<String> = found
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
