//! Encrypted assertions (XML Encryption 1.1), of one kind: AES-256-GCM content, its key wrapped by RSA-OAEP.
//!
//! Invariants: nothing is decrypted that a pinned key has not signed, so nobody can try ciphertexts on us;
//! CBC and PKCS #1 v1.5 are refused, whoever signed; every failure after the algorithms were found good is
//! one and the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keys::seal::{SealingKey, TAG_BYTES};
use keys::transport::{Oaep, TransportKey};
use roxmltree::Node;

use super::scan::{elements, is_space, text_of};
use super::{RESPONSE_BYTES_MAX, ns};
use crate::{IdpSettings, Refusal};

/// Wrapped keys that are tried: one for each recipient that the provider may have meant.
const WRAPPED_KEYS_MAX: usize = 4;

const CONTENT: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
const OAEP_MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const MGF1_SHA1: &str = "http://www.w3.org/2009/xmlenc11#mgf1sha1";
const MGF1_SHA256: &str = "http://www.w3.org/2009/xmlenc11#mgf1sha256";
const ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";

/// Decrypts the assertion in an `EncryptedAssertion` of signed bytes; gives its text, not yet parsed.
pub(crate) fn open(
    encrypted: Node<'_, '_>,
    idp: &IdpSettings,
    entity_id: &str,
    ours: &[TransportKey],
) -> Result<String, Refusal> {
    if ours.is_empty() {
        let detail = "the assertion is encrypted, and there is no key to open it with";
        return Err(Refusal::new("saml.shape.encrypted", detail));
    }
    let (data, beside) = parts(encrypted)?;
    if data.attribute("Type").is_some_and(|kind| kind != ELEMENT) {
        return Err(broken("what is encrypted is not one element"));
    }
    let inside: Vec<Node<'_, '_>> = elements(data).collect();
    let [method, key_info, cipher] = inside[..] else {
        return Err(broken("encrypted data lacks its parts"));
    };
    if !key_info.has_tag_name((ns::SIGNATURE, "KeyInfo")) {
        return Err(broken("encrypted data lacks its parts"));
    }
    if algorithm(method)? != CONTENT || elements(method).next().is_some() {
        let detail = "the assertion is not encrypted by AES-256 in GCM";
        return Err(Refusal::new("saml.alg", detail));
    }
    let sealed = cipher_value(cipher)?;
    let keys = wrapped_keys(key_info, beside, idp, entity_id)?;
    let content = keys
        .iter()
        .find_map(|(oaep, wrapped)| ours.iter().find_map(|key| key.unwrap(*oaep, wrapped).ok()));
    let content = content.map(|key| SealingKey::from_bytes(*key)).ok_or_else(undecipherable)?;
    let plain = content.open(&[], &sealed).map_err(|_| undecipherable())?;
    String::from_utf8(plain).map_err(|_| undecipherable())
}

/// One refusal for every way in which decryption fails.
fn undecipherable() -> Refusal {
    Refusal::new("saml.decrypt", "the assertion could not be decrypted")
}

fn broken(detail: &str) -> Refusal {
    Refusal::new("saml.shape.encrypted", detail)
}

/// The encrypted data, and the wrapped keys that stand beside it (saml-core 2.3.4).
fn parts<'a, 'input>(
    encrypted: Node<'a, 'input>,
) -> Result<(Node<'a, 'input>, Vec<Node<'a, 'input>>), Refusal> {
    only_elements(encrypted)?;
    let mut children = elements(encrypted);
    let data = children.next().filter(|node| node.has_tag_name((ns::ENCRYPTION, "EncryptedData")));
    let data = data.ok_or_else(|| broken("an encrypted assertion holds no encrypted data"))?;
    let beside: Vec<Node<'_, '_>> = children.collect();
    if beside.iter().any(|node| !node.has_tag_name((ns::ENCRYPTION, "EncryptedKey"))) {
        return Err(broken("an encrypted assertion holds what it may not"));
    }
    only_elements(data)?;
    Ok((data, beside))
}

fn only_elements(node: Node<'_, '_>) -> Result<(), Refusal> {
    let sound = node.children().all(|child| child.is_element() || is_space(child));
    if sound { Ok(()) } else { Err(broken("text stands where only elements may")) }
}

fn algorithm<'a>(method: Node<'a, '_>) -> Result<&'a str, Refusal> {
    let named = method.has_tag_name((ns::ENCRYPTION, "EncryptionMethod"));
    let algorithm = method.attribute("Algorithm").filter(|_| named);
    algorithm.ok_or_else(|| broken("encrypted data does not say how it was encrypted"))
}

fn cipher_value(cipher: Node<'_, '_>) -> Result<Vec<u8>, Refusal> {
    let wrong = || broken("encrypted data holds no cipher value");
    let inside: Vec<Node<'_, '_>> = elements(cipher).collect();
    let [value] = inside[..] else { return Err(wrong()) };
    let named = cipher.has_tag_name((ns::ENCRYPTION, "CipherData"))
        && value.has_tag_name((ns::ENCRYPTION, "CipherValue"));
    let text = text_of(value).filter(|_| named).ok_or_else(wrong)?;
    let text: String = text.split([' ', '\t', '\n', '\r']).collect();
    let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
    if bytes.len() > RESPONSE_BYTES_MAX + TAG_BYTES + 12 {
        return Err(wrong());
    }
    Ok(bytes)
}

/// The wrapped keys that are meant for us, with the hash that each was wrapped with.
fn wrapped_keys(
    key_info: Node<'_, '_>,
    beside: Vec<Node<'_, '_>>,
    idp: &IdpSettings,
    entity_id: &str,
) -> Result<Vec<(Oaep, Vec<u8>)>, Refusal> {
    let inline = elements(key_info)
        .filter(|node| node.has_tag_name((ns::ENCRYPTION, "EncryptedKey")))
        .chain(beside);
    let for_us = |node: &Node<'_, '_>| node.attribute("Recipient").is_none_or(|to| to == entity_id);
    let found: Vec<Node<'_, '_>> = inline.filter(for_us).collect();
    if found.is_empty() || found.len() > WRAPPED_KEYS_MAX {
        return Err(broken("the content's key is wrapped for nobody here, or for too many"));
    }
    found
        .into_iter()
        .map(|node| {
            let mut inside = elements(node);
            let method = inside.next().ok_or_else(|| broken("a wrapped key lacks its parts"))?;
            let hash = oaep(method, idp)?;
            let cipher = inside
                .find(|node| node.has_tag_name((ns::ENCRYPTION, "CipherData")))
                .ok_or_else(|| broken("a wrapped key lacks its parts"))?;
            Ok((hash, cipher_value(cipher)?))
        })
        .collect()
}

/// The hash of a key transport. XML Encryption lets the hash and that of the mask differ; no provider of
/// ours does, and the module offers none that do.
fn oaep(method: Node<'_, '_>, idp: &IdpSettings) -> Result<Oaep, Refusal> {
    let refused = |detail: &str| Err(Refusal::new("saml.alg", detail));
    let parameter = |namespace: &str, name: &str| {
        let mut found = elements(method).filter(|node| node.has_tag_name((namespace, name)));
        let first = found.next().and_then(|node| node.attribute("Algorithm"));
        if found.next().is_some() { Some("twice") } else { first }
    };
    if elements(method).any(|node| !matches!(node.tag_name().name(), "DigestMethod" | "MGF")) {
        return refused("the content's key is wrapped with parameters that are not known");
    }
    let digest = parameter(ns::SIGNATURE, "DigestMethod").unwrap_or(SHA1);
    let mask = parameter(ns::ENCRYPTION_11, "MGF").unwrap_or(MGF1_SHA1);
    match (algorithm(method)?, digest, mask) {
        (OAEP, SHA256, MGF1_SHA256) => Ok(Oaep::Sha256),
        (OAEP | OAEP_MGF1P, SHA1, MGF1_SHA1) if idp.oaep_sha1 => Ok(Oaep::Sha1),
        (OAEP | OAEP_MGF1P, SHA1, MGF1_SHA1) => {
            refused("the content's key is wrapped by OAEP with SHA-1, which is not switched on")
        }
        (_, _, _) => refused("the content's key is not wrapped by RSA-OAEP with SHA-256"),
    }
}

/// Encrypts an assertion for the owner of `spki`: for the demo's identity provider and for tests.
///
/// # Errors
/// [`keys::KeysError`] when the module fails or `spki` is no RSA key.
pub fn encrypt(
    assertion: &str,
    spki: &[u8],
    oaep: Oaep,
    random: &dyn keys::Random,
) -> Result<String, keys::KeysError> {
    let key = SealingKey::generate(random)?;
    let sealed = STANDARD.encode(key.seal(&[], assertion.as_bytes())?);
    let wrapped = STANDARD.encode(keys::transport::wrap(oaep, spki, key.expose())?);
    let (method, hash, mask) = match oaep {
        Oaep::Sha256 => {
            let mask = format!(
                "<xenc11:MGF xmlns:xenc11=\"{}\" Algorithm=\"{MGF1_SHA256}\"/>",
                ns::ENCRYPTION_11
            );
            (OAEP, SHA256, mask)
        }
        Oaep::Sha1 => (OAEP_MGF1P, SHA1, String::new()),
    };
    Ok(format!(
        "<saml:EncryptedAssertion><xenc:EncryptedData xmlns:xenc=\"{}\" Type=\"{ELEMENT}\">\
         <xenc:EncryptionMethod Algorithm=\"{CONTENT}\"/><ds:KeyInfo xmlns:ds=\"{}\">\
         <xenc:EncryptedKey><xenc:EncryptionMethod Algorithm=\"{method}\">\
         <ds:DigestMethod Algorithm=\"{hash}\"/>{mask}</xenc:EncryptionMethod><xenc:CipherData>\
         <xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>\
         </ds:KeyInfo><xenc:CipherData><xenc:CipherValue>{sealed}</xenc:CipherValue>\
         </xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>",
        ns::ENCRYPTION,
        ns::SIGNATURE,
    ))
}
