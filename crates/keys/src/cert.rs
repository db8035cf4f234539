//! X.509 certificates (RFC 5280): read, compared, checked against an issuer, and issued.
//!
//! Absent: path building through intermediates, name constraints, host names. Paths are validated in
//! `wire`; a partner's certificate is pinned, or issued by a pinned CA.

pub mod crl;
mod issue;
mod person;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader};
use jiff::Timestamp;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use zeroize::Zeroizing;

pub use self::issue::{CertSpec, Usage, issue, issue_for, issue_rsa, issue_rsa_for};
pub(crate) use self::person::key_bits;
pub use self::person::{PersonNames, is_object_identifier};
use crate::sign::{self, Scheme};
use crate::{KeysError, digest, kem};

/// Longest certificate that is read.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
pub(crate) const ECDSA_SHA384: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// Signatures over hashes that collide: MD5 and SHA-1 with RSA (RFC 3279), SHA-1 with ECDSA.
const WEAK: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// What a certificate's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeyAlgorithm {
    Rsa,
    P256,
    P384,
    MlKem768,
    MlKem1024,
    /// A kind that Bailiwick does not use.
    Unknown,
}

/// A certificate as it was received, and what it says.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    signed: Vec<u8>,
}

impl Certificate {
    /// Reads one certificate, DER, with nothing after it. Checks no signature.
    pub fn from_der(der: &[u8]) -> Result<Self, KeysError> {
        let bad = |what| move |source| KeysError::Certificate { what, source: Some(source) };
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(KeysError::Certificate { what: "longer than 64 KiB", source: None });
        }
        let parsed = x509_cert::Certificate::from_der(der).map_err(bad("not DER of X.509"))?;
        if parsed.signature_algorithm != parsed.tbs_certificate.signature {
            let what = "the two signature algorithms differ";
            return Err(KeysError::Certificate { what, source: None });
        }
        let signed = first_element(der).map_err(bad("not DER of X.509"))?;
        Ok(Self { der: der.to_vec(), parsed, signed })
    }

    /// Reads the first `CERTIFICATE` block of PEM text.
    pub fn from_pem(text: &str) -> Result<Self, KeysError> {
        let mut all = Self::chain_from_pem(text)?;
        if all.is_empty() {
            return Err(KeysError::Pem { expected: "a certificate" });
        }
        Ok(all.remove(0))
    }

    /// Reads every `CERTIFICATE` block of PEM text, in order.
    pub fn chain_from_pem(text: &str) -> Result<Vec<Self>, KeysError> {
        pem_blocks(text, "CERTIFICATE")?.iter().map(|der| Self::from_der(der)).collect()
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// The subject as RFC 4514 text, for people.
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// The issuer as RFC 4514 text, for people.
    pub fn issuer(&self) -> String {
        self.parsed.tbs_certificate.issuer.to_string()
    }

    /// The issuer's Name, DER: half of CMS's issuerAndSerialNumber.
    pub fn issuer_der(&self) -> Result<Vec<u8>, KeysError> {
        let encoded = self.parsed.tbs_certificate.issuer.to_der();
        encoded.map_err(|source| KeysError::Certificate { what: "issuer", source: Some(source) })
    }

    /// The serial number's content octets, as an INTEGER holds them.
    pub fn serial(&self) -> &[u8] {
        self.parsed.tbs_certificate.serial_number.as_bytes()
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki_der(&self) -> Result<Vec<u8>, KeysError> {
        let encoded = self.parsed.tbs_certificate.subject_public_key_info.to_der();
        let what = "public key";
        encoded.map_err(|source| KeysError::Certificate { what, source: Some(source) })
    }

    pub fn not_before(&self) -> Timestamp {
        instant(self.parsed.tbs_certificate.validity.not_before)
    }

    pub fn not_after(&self) -> Timestamp {
        instant(self.parsed.tbs_certificate.validity.not_after)
    }

    /// SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        digest::sha256(&self.der)
    }

    /// The fingerprint as 64 lower-case hex digits.
    pub fn fingerprint_text(&self) -> String {
        hex::encode(self.fingerprint())
    }

    pub fn public_key_algorithm(&self) -> PublicKeyAlgorithm {
        let algorithm = &self.parsed.tbs_certificate.subject_public_key_info.algorithm;
        let curve = || algorithm.parameters.as_ref().and_then(|p| p.decode_as().ok());
        match algorithm.oid {
            sign::RSA => PublicKeyAlgorithm::Rsa,
            sign::EC_PUBLIC_KEY => match curve() {
                Some(sign::P256) => PublicKeyAlgorithm::P256,
                Some(sign::P384) => PublicKeyAlgorithm::P384,
                Some(_) | None => PublicKeyAlgorithm::Unknown,
            },
            kem::OID_768 => PublicKeyAlgorithm::MlKem768,
            kem::OID_1024 => PublicKeyAlgorithm::MlKem1024,
            _ => PublicKeyAlgorithm::Unknown,
        }
    }

    /// Whether it was signed over SHA-1, or something weaker. Such a certificate is never verified here; that it
    /// is shown at all says something about whoever shows it.
    pub fn is_signed_with_sha1(&self) -> bool {
        WEAK.contains(&self.parsed.signature_algorithm.oid)
    }

    /// Whether this is a certificate authority's (basicConstraints, and keyCertSign if key usage
    /// is given at all).
    pub fn is_ca(&self) -> bool {
        let marked = self.extension::<BasicConstraints>().is_some_and(|basic| basic.ca);
        marked && self.usage(|usage| usage.key_cert_sign(), true)
    }

    /// Whether keys may be agreed with its key: keyUsage must say so.
    pub fn allows_key_agreement(&self) -> bool {
        self.usage(|usage| usage.key_agreement(), false)
    }

    /// Whether keys may be sent under its key: keyUsage must say so.
    pub fn allows_key_encipherment(&self) -> bool {
        self.usage(|usage| usage.key_encipherment(), false)
    }

    /// Whether its key may sign documents: digitalSignature or nonRepudiation, if key usage is
    /// given at all.
    pub fn allows_signing(&self) -> bool {
        self.usage(|usage| usage.digital_signature() || usage.non_repudiation(), true)
    }

    /// Whether its key is for time stamps and nothing else (RFC 3161 §2.3: a critical extendedKeyUsage of that one purpose).
    pub fn is_for_time_stamps_only(&self) -> bool {
        let found = self.parsed.tbs_certificate.get::<ExtendedKeyUsage>();
        matches!(found, Ok(Some((true, ExtendedKeyUsage(purposes)))) if purposes == [TIME_STAMPING])
    }

    /// The DNS names and URIs of subjectAltName, as text.
    pub fn alternative_names(&self) -> Vec<String> {
        use x509_cert::ext::pkix::name::GeneralName;
        let names = self.extension::<SubjectAltName>().map(|names| names.0).unwrap_or_default();
        let text = names.into_iter().filter_map(|name| match name {
            GeneralName::DnsName(text) | GeneralName::UniformResourceIdentifier(text) => {
                Some(text.to_string())
            }
            _ => None,
        });
        text.collect()
    }

    /// Refuses outside the certificate's own validity period.
    pub fn check_validity(&self, at: Timestamp) -> Result<(), KeysError> {
        let (from, until) = (self.not_before(), self.not_after());
        if at < from || at > until {
            return Err(KeysError::Validity { subject: self.subject(), at, from, until });
        }
        Ok(())
    }

    /// Checks that `issuer`, a CA, signed this certificate; that both are valid at `at`; and that
    /// no critical extension is one this program doesn't know.
    ///
    /// A pinned certificate that signed itself passes against itself if it is a CA.
    pub fn verify_issued_by(&self, issuer: &Self, at: Timestamp) -> Result<(), KeysError> {
        let refuse =
            |why| KeysError::NotIssuedBy { subject: self.subject(), issuer: issuer.subject(), why };
        if self.parsed.tbs_certificate.issuer != issuer.parsed.tbs_certificate.subject {
            return Err(refuse("it names another issuer"));
        }
        if !issuer.is_ca() {
            return Err(refuse("the issuer is not a certificate authority"));
        }
        self.check_validity(at)?;
        issuer.check_validity(at)?;
        for certificate in [self, issuer] {
            if certificate.has_unknown_critical_extension() {
                return Err(refuse("a critical extension is not understood"));
            }
        }
        let scheme = self.scheme().ok_or_else(|| refuse("its signature algorithm is not used"))?;
        let signature = self.parsed.signature.as_bytes();
        let signature = signature.ok_or_else(|| refuse("its signature has stray bits"))?;
        sign::verify(scheme, &issuer.spki_der()?, &self.signed, signature)
            .map_err(|_| refuse("the signature does not verify"))
    }

    /// The scheme of the signature on this certificate.
    fn scheme(&self) -> Option<Scheme> {
        scheme_of(self.parsed.signature_algorithm.oid)
    }

    fn usage(&self, allows: impl Fn(KeyUsage) -> bool, otherwise: bool) -> bool {
        match self.parsed.tbs_certificate.get::<KeyUsage>() {
            Ok(Some((_, usage))) => allows(usage),
            Ok(None) => otherwise,
            Err(_) => false,
        }
    }

    fn extension<'a, T: Decode<'a> + AssociatedOid>(&'a self) -> Option<T> {
        self.parsed.tbs_certificate.get::<T>().ok().flatten().map(|(_, value)| value)
    }

    fn has_unknown_critical_extension(&self) -> bool {
        let known = [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID];
        let known = |oid| known.contains(oid) || *oid == SubjectAltName::OID;
        let extensions = self.parsed.tbs_certificate.extensions.iter().flatten();
        extensions.filter(|extension| extension.critical).any(|e| !known(&e.extn_id))
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.fingerprint_text())
    }
}

/// The scheme that an algorithm's identifier stands for, if it is one that is accepted.
pub(crate) fn scheme_of(algorithm: ObjectIdentifier) -> Option<Scheme> {
    Some(match algorithm {
        ECDSA_SHA256 => Scheme::EcdsaP256Sha256,
        ECDSA_SHA384 => Scheme::EcdsaP384Sha384,
        RSA_SHA256 => Scheme::RsaPkcs1Sha256,
        RSA_SHA384 => Scheme::RsaPkcs1Sha384,
        RSA_SHA512 => Scheme::RsaPkcs1Sha512,
        _ => return None,
    })
}

/// The first element inside a SEQUENCE, as its bytes stand there: what a signature covers.
pub(crate) fn first_element(sequence: &[u8]) -> Result<Vec<u8>, der::Error> {
    let mut reader = SliceReader::new(sequence)?;
    reader.sequence(|inner| {
        let signed = inner.tlv_bytes()?.to_vec();
        inner.read_slice(inner.remaining_len())?;
        Ok(signed)
    })
}

pub(crate) fn instant(time: x509_cert::time::Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// A private key (PKCS#8) as PEM text.
pub fn private_key_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(pem("PRIVATE KEY", pkcs8))
}

/// The first `PRIVATE KEY` block (unencrypted PKCS#8) of PEM text.
pub fn private_key_from_pem(text: &str) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let mut blocks = pem_blocks(text, "PRIVATE KEY")?;
    if blocks.is_empty() {
        return Err(KeysError::Pem { expected: "an unencrypted PKCS#8 private key" });
    }
    Ok(Zeroizing::new(blocks.remove(0)))
}

/// PEM (RFC 7468) with 64 characters a line.
fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let body = STANDARD.encode(der);
    for (column, letter) in body.chars().enumerate() {
        if column > 0 && column % 64 == 0 {
            out.push('\n');
        }
        out.push(letter);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}

/// The contents of every block with this label; text outside of blocks is passed over.
fn pem_blocks(text: &str, label: &str) -> Result<Vec<Vec<u8>>, KeysError> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let bad = || KeysError::Pem { expected: "complete blocks of base64" };
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line == begin {
            if open.replace(String::new()).is_some() {
                return Err(bad());
            }
        } else if line == end {
            let body = Zeroizing::new(open.take().ok_or_else(bad)?);
            blocks.push(STANDARD.decode(body.as_bytes()).map_err(|_| bad())?);
        } else if let Some(body) = open.as_mut() {
            body.push_str(line);
        }
    }
    if open.is_some() { Err(bad()) } else { Ok(blocks) }
}
