//! Content Credentials (C2PA 2.x) as far as people want to see them: that there are some, who signed them, what they claim.
//!
//! Read, and **not verified**: neither the signature nor whether the picture is the one that was signed. That takes C2PA's own trust
//! list and its hashes of each format; until then a claim is a claim. JUMBF (ISO 19566-5) boxes and CBOR (RFC 8949) are read by hand.

mod cbor;

use keys::cert::Certificate;

use self::cbor::Value;
use super::{Bytes, shown};

/// Bytes of a store: thumbnails are in it.
pub(crate) const STORE_BYTES_MAX: usize = 32 << 20;
const DEPTH_MAX: usize = 8;
const BOXES_MAX: usize = 10_000;
/// Manifests that are shown, and assertions of one.
const SHOWN_MAX: usize = 32;
/// Characters of one text of theirs.
const TEXT_CHARS_MAX: usize = 200;

/// All that a file says of its making; the last manifest is about the file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub manifests: Vec<Manifest>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    pub label: String,
    /// The program that made it.
    pub generator: Option<String>,
    pub title: Option<String>,
    /// Labels of what it asserts, such as `c2pa.actions`.
    pub assertions: Vec<String>,
    /// The signer's certificate: subject and issuer, as it says itself.
    pub signer: Option<(String, String)>,
}

impl Store {
    /// From JUMBF boxes. `None` where there is no store in them.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut budget = BOXES_MAX;
        let tops = boxes(bytes, &mut budget)?;
        let store = tops
            .iter()
            .find_map(|top| Super::read(top, &mut budget).filter(|found| found.label == "c2pa"))?;
        let mut manifests = Vec::new();
        for found in store.inside.iter().take(SHOWN_MAX) {
            if let Some(found) = Super::read(found, &mut budget) {
                manifests.push(Manifest::read(&found, &mut budget));
            }
        }
        (!manifests.is_empty()).then_some(Self { manifests })
    }

    /// Sentences for people.
    pub(crate) fn words(&self) -> Vec<String> {
        let Some(last) = self.manifests.last() else { return Vec::new() };
        let mut words = vec![
            "It carries Content Credentials (C2PA). They were read and not verified: what follows is their own word.".to_owned(),
        ];
        if let Some((subject, issuer)) = &last.signer {
            words.push(format!("Signed in the name of {subject}, by a certificate of {issuer}."));
        }
        if let Some(generator) = &last.generator {
            words.push(format!("Made by {generator}."));
        }
        if !last.assertions.is_empty() {
            words.push(format!("It asserts: {}.", last.assertions.join(", ")));
        }
        words
    }
}

impl Manifest {
    fn read(found: &Super<'_>, budget: &mut usize) -> Self {
        let mut out = Self { label: clipped(&found.label), ..Self::default() };
        for inside in &found.inside {
            let Some(part) = Super::read(inside, budget) else { continue };
            let content =
                part.inside.iter().find(|found| &found.kind == b"cbor").map(|found| found.content);
            match part.label.as_str() {
                "c2pa.assertions" => {
                    let labels = part.inside.iter().filter_map(|found| Super::read(found, budget));
                    out.assertions =
                        labels.take(SHOWN_MAX).map(|found| clipped(&found.label)).collect();
                }
                "c2pa.claim" | "c2pa.claim.v2" => {
                    if let Some(claim) = content.and_then(cbor::read) {
                        out.claim(&claim);
                    }
                }
                "c2pa.signature" => {
                    out.signer = content.and_then(cbor::read).and_then(|cose| signer(&cose))
                }
                _ => {}
            }
        }
        out
    }

    fn claim(&mut self, claim: &Value<'_>) {
        let info = claim.get("claim_generator_info");
        // Version 1 has a list of them, version 2 one.
        let info = info.and_then(|info| info.first().or(Some(info)));
        let name = info.and_then(|info| info.get("name")).and_then(Value::text);
        let version = info.and_then(|info| info.get("version")).and_then(Value::text);
        let named = name
            .map(|name| format!("{name} {}", version.unwrap_or_default()).trim_end().to_owned());
        let generator = || claim.get("claim_generator").and_then(Value::text).map(str::to_owned);
        self.generator = named.or_else(generator).map(|text| clipped(&text));
        self.title = claim.get("dc:title").and_then(Value::text).map(clipped);
    }
}

/// Subject and issuer of the first certificate of a COSE_Sign1 (RFC 9052), in either header, by number or by name (RFC 9360).
fn signer(cose: &Value<'_>) -> Option<(String, String)> {
    let protected = cose.at(0).and_then(Value::bytes).and_then(cbor::read);
    let chain = |header: &Value<'_>| {
        let chain = header.number(33).or_else(|| header.get("x5chain"))?;
        let first = chain.bytes().or_else(|| chain.first().and_then(Value::bytes))?;
        let certificate = Certificate::from_der(first).ok()?;
        Some((clipped(&certificate.subject()), clipped(&certificate.issuer())))
    };
    protected.as_ref().and_then(chain).or_else(|| cose.at(1).and_then(chain))
}

/// A text of theirs, as long as people read.
fn clipped(text: &str) -> String {
    let shown = text.chars().map(|letter| {
        if letter.is_control() || crate::name::hidden(letter) { '?' } else { letter }
    });
    let mut out: String = shown.take(TEXT_CHARS_MAX).collect();
    if text.chars().count() > TEXT_CHARS_MAX {
        out.push('…');
    }
    out
}

/// A box and its content.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    kind: [u8; 4],
    content: &'a [u8],
    depth: usize,
}

/// A superbox: what it describes itself as, and what is in it.
struct Super<'a> {
    label: String,
    inside: Vec<Found<'a>>,
}

impl<'a> Super<'a> {
    fn read(found: &Found<'a>, budget: &mut usize) -> Option<Self> {
        if &found.kind != b"jumb" || found.depth >= DEPTH_MAX {
            return None;
        }
        let mut inside = boxes(found.content, budget)?;
        let description = inside.first().filter(|first| &first.kind == b"jumd")?.content;
        inside.remove(0);
        inside.iter_mut().for_each(|found_in| found_in.depth = found.depth + 1);
        let mut bytes = Bytes(description);
        bytes.take(16)?;
        // The second bit of the toggles says that there is a label.
        let label: &[u8] =
            if bytes.u8()? & 2 == 0 { &[] } else { bytes.0.split(|byte| *byte == 0).next()? };
        Some(Self { label: String::from_utf8_lossy(label).into_owned(), inside })
    }
}

fn boxes<'a>(content: &'a [u8], budget: &mut usize) -> Option<Vec<Found<'a>>> {
    let (mut rest, mut out) = (Bytes(content), Vec::new());
    while !rest.0.is_empty() {
        let (size, kind) = (rest.u32()?, rest.array()?);
        let inside = match size {
            0 => rest.0.len(),
            1 => usize::try_from(rest.u64()?.checked_sub(16)?).ok()?,
            small => usize::try_from(small).ok()?.checked_sub(8)?,
        };
        *budget = budget.checked_sub(1)?;
        out.push(Found { kind, content: rest.take(inside)?, depth: 0 });
    }
    Some(out)
}

/// Any bytes as a store.
pub(crate) fn fuzz(data: &[u8]) {
    if let Some(store) = Store::read(data) {
        std::hint::black_box(store.words());
    }
    drop(cbor::read(data));
    std::hint::black_box(shown(data.first_chunk().copied().unwrap_or_default()));
}
