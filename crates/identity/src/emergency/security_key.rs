//! What a security key shows of itself and of its person (WebAuthn Level 2, attestation "none", ES256).
//!
//! Invariants: nothing is believed before challenge, origin, kind of ceremony and the hash of our name agree;
//! the person touched the key and unlocked it; a key whose secret can be copied elsewhere is none; a count that
//! does not rise is a copy. There is no CBOR here: authenticators write an ES256 key in one form only (CTAP2
//! canonical, 77 bytes), and that form is compared, not parsed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::digest::sha256;
use keys::mac::equal;
use keys::sign::{Scheme, p256_spki, verify};
use serde::Deserialize;

use crate::Refusal;

/// Longest client data; the browser's has some 200 bytes.
pub const CLIENT_DATA_BYTES_MAX: usize = 4_096;
/// Longest authenticator data; with a long name and extensions it has some 1,500 bytes.
pub const AUTHENTICATOR_DATA_BYTES_MAX: usize = 4_096;
/// Longest signature: an ASN.1 sequence of two numbers of 33 bytes has 72.
pub const SIGNATURE_BYTES_MAX: usize = 80;
/// Longest name that a key gives itself (WebAuthn, 4).
pub const CREDENTIAL_BYTES_MAX: usize = 1_023;

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// An ES256 key as CTAP2 writes it: {1: 2, 3: -7, -1: 1, -2: x, -3: y}, around its two numbers.
const COSE_HEAD: [u8; 10] = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 0x20];
const COSE_MIDDLE: [u8; 3] = [0x22, 0x58, 0x20];

/// What the ceremony was begun with.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Our name to security keys: the host of the pages.
    pub rp_id: &'a str,
    /// The origin of the pages.
    pub origin: &'a str,
    pub challenge: &'a [u8; 32],
}

/// A key that is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    pub id: Vec<u8>,
    pub spki: Vec<u8>,
    pub count: u32,
}

/// What is known of a key that was registered.
#[derive(Debug, Clone, Copy)]
pub struct KnownKey<'a> {
    pub spki: &'a [u8],
    pub count: u32,
}

/// What the browser gathered (`clientDataJSON`). Members beside these are for others.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

struct AuthenticatorData<'a> {
    flags: u8,
    count: u32,
    rest: &'a [u8],
}

/// Takes a new key (WebAuthn, 7.1).
///
/// # Errors
/// A [`Refusal`] `emergency.key.…`.
pub fn register(
    asked: &Asked<'_>,
    client_data: &[u8],
    authenticator_data: &[u8],
) -> Result<NewKey, Refusal> {
    check_client(asked, client_data, "webauthn.create")?;
    let data = check_authenticator(asked, authenticator_data)?;
    let malformed = |detail: &str| Refusal::new("emergency.key.malformed", detail);
    if data.flags & ATTESTED == 0 {
        return Err(malformed("the security key shows no new key"));
    }
    // The model's identifier, which is worth nothing without an attestation.
    let (_aaguid, rest) =
        data.rest.split_at_checked(16).ok_or_else(|| malformed("too short for a key"))?;
    let (length, rest) =
        rest.split_first_chunk::<2>().ok_or_else(|| malformed("too short for a key"))?;
    let length = usize::from(u16::from_be_bytes(*length));
    if !(1..=CREDENTIAL_BYTES_MAX).contains(&length) {
        return Err(malformed("the key's name has 1 to 1,023 bytes"));
    }
    let (id, rest) =
        rest.split_at_checked(length).ok_or_else(|| malformed("too short for a key"))?;
    let (x, y, rest) = cose(rest).ok_or_else(|| {
        let detail = "the key is not an ES256 key in the one form that CTAP2 allows";
        Refusal::new("emergency.key.algorithm", detail)
    })?;
    if rest.is_empty() == (data.flags & EXTENSIONS != 0) {
        return Err(malformed("extensions and their flag disagree"));
    }
    Ok(NewKey { id: id.to_vec(), spki: p256_spki(x, y), count: data.count })
}

/// Takes a known key's signature (WebAuthn, 7.2), and gives its new count.
///
/// # Errors
/// A [`Refusal`] `emergency.key.…`.
pub fn assert(
    asked: &Asked<'_>,
    key: &KnownKey<'_>,
    client_data: &[u8],
    authenticator_data: &[u8],
    signature: &[u8],
) -> Result<u32, Refusal> {
    check_client(asked, client_data, "webauthn.get")?;
    let data = check_authenticator(asked, authenticator_data)?;
    if data.rest.is_empty() == (data.flags & (EXTENSIONS | ATTESTED) != 0) {
        let detail = "what follows the counter and its flags disagree";
        return Err(Refusal::new("emergency.key.malformed", detail));
    }
    let wrong = || Refusal::new("emergency.key.signature", "the signature is not this key's");
    if signature.len() > SIGNATURE_BYTES_MAX {
        return Err(wrong());
    }
    let signed = [authenticator_data, &sha256(client_data)].concat();
    verify(Scheme::EcdsaP256Sha256, key.spki, &signed, signature).map_err(|_| wrong())?;
    // Only what was signed may be compared.
    if (data.count > 0 || key.count > 0) && data.count <= key.count {
        let detail = "the key has signed fewer times than it said before: there is a copy of it";
        return Err(Refusal::new("emergency.key.count", detail));
    }
    Ok(data.count)
}

fn check_client(asked: &Asked<'_>, client_data: &[u8], ceremony: &str) -> Result<(), Refusal> {
    let malformed = |detail: &str| Refusal::new("emergency.key.malformed", detail);
    if client_data.len() > CLIENT_DATA_BYTES_MAX {
        return Err(malformed("the client data is too long"));
    }
    let client: ClientData = serde_json::from_slice(client_data)
        .map_err(|_| malformed("the client data is not what browsers write"))?;
    if client.r#type != ceremony {
        let detail = "the key was asked for another ceremony";
        return Err(Refusal::new("emergency.key.type", detail));
    }
    let challenge = URL_SAFE_NO_PAD.encode(asked.challenge);
    if !equal(client.challenge.as_bytes(), challenge.as_bytes()) {
        let detail = "the key answered another challenge";
        return Err(Refusal::new("emergency.key.challenge", detail));
    }
    if client.origin != asked.origin || client.cross_origin {
        let detail = "the key was asked on a page of another site";
        return Err(Refusal::new("emergency.key.origin", detail));
    }
    Ok(())
}

fn check_authenticator<'a>(
    asked: &Asked<'_>,
    bytes: &'a [u8],
) -> Result<AuthenticatorData<'a>, Refusal> {
    let malformed = || {
        let detail = "the authenticator data is too short or too long";
        Refusal::new("emergency.key.malformed", detail)
    };
    if bytes.len() > AUTHENTICATOR_DATA_BYTES_MAX {
        return Err(malformed());
    }
    let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or_else(malformed)?;
    let (flags, rest) = rest.split_first().ok_or_else(malformed)?;
    let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    if *rp_id_hash != sha256(asked.rp_id.as_bytes()) {
        let detail = "the key answered for another site";
        return Err(Refusal::new("emergency.key.site", detail));
    }
    if flags & USER_PRESENT == 0 {
        return Err(Refusal::new("emergency.key.present", "nobody touched the key"));
    }
    if flags & USER_VERIFIED == 0 {
        let detail = "the key was not unlocked by PIN or fingerprint";
        return Err(Refusal::new("emergency.key.verified", detail));
    }
    if flags & BACKUP_ELIGIBLE != 0 {
        let detail = "the key may be copied to other devices";
        return Err(Refusal::new("emergency.key.copied", detail));
    }
    Ok(AuthenticatorData { flags: *flags, count: u32::from_be_bytes(*count), rest })
}

/// The two numbers of an ES256 key, and what follows it.
fn cose(bytes: &[u8]) -> Option<(&[u8; 32], &[u8; 32], &[u8])> {
    let rest = bytes.strip_prefix(&COSE_HEAD)?;
    let (x, rest) = rest.split_first_chunk::<32>()?;
    let (y, rest) = rest.strip_prefix(&COSE_MIDDLE)?.split_first_chunk::<32>()?;
    Some((x, y, rest))
}

/// For a fuzzer: both ceremonies on bytes from outside, cut at the first NUL.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (client, rest) = data.split_at(at);
    let rest = rest.get(1..).unwrap_or_default();
    let asked = Asked { rp_id: "localhost", origin: "http://localhost:8080", challenge: &[7; 32] };
    if let Ok(key) = register(&asked, client, rest) {
        let known = KnownKey { spki: &key.spki, count: key.count };
        std::hint::black_box(assert(&asked, &known, client, rest, &key.id).is_ok());
    }
    let known = KnownKey { spki: &p256_spki(&[1; 32], &[2; 32]), count: 1 };
    std::hint::black_box(assert(&asked, &known, client, rest, rest).is_ok());
    std::hint::black_box(check_authenticator(&asked, data).is_ok());
    std::hint::black_box(cose(data));
}
