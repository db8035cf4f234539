//! Issuing certificates: ECDSA P-384 with SHA-384, for the agency's own CA, servers and signers.

use std::net::IpAddr;
use std::time::Duration;

use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::Utf8StringRef;
use der::asn1::{Any, BitString, GeneralizedTime, Ia5String, OctetString, SetOfVec, UtcTime};
use der::flagset::FlagSet;
use der::{Decode, Encode};
use jiff::Timestamp;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};
use x509_cert::{TbsCertificate, Version};

use super::{Certificate, ECDSA_SHA384, RSA_SHA256, TIME_STAMPING};
use crate::sign::{P384Key, RsaKey};
use crate::{KeysError, Random, digest, random_bytes};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const TLS_SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const TLS_CLIENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// What a certificate's key is for: one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Signs certificates, of end entities only.
    Ca,
    TlsServer,
    TlsClient,
    /// Both ends of mutual TLS between agencies.
    TlsPeer,
    /// Signs parcels and receipts.
    Signing,
    /// Parcels are sealed to it, by agreeing on a key.
    KeyAgreement,
    /// Parcels are sealed to it, by sending it a key: ML-KEM (RFC 9935 §5).
    KeyEncipherment,
    /// Signs time stamps and nothing else (RFC 3161 §2.3).
    TimeStamping,
    /// Of an identity provider, or of a service towards one.
    SamlSigning,
    /// Keys of assertions are wrapped to it.
    SamlEncryption,
}

/// What a new certificate shall say.
#[derive(Debug, Clone)]
pub struct CertSpec {
    pub subject_cn: String,
    pub organisation: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub usage: Usage,
    pub dns: Vec<String>,
    pub ips: Vec<IpAddr>,
    pub uris: Vec<String>,
}

/// Issues a certificate for `subject_key`, signed by `issuer`, or by itself where that is `None`.
/// The serial number is 16 random bytes.
pub fn issue(
    spec: &CertSpec,
    subject_key: &P384Key,
    issuer: Option<(&Certificate, &P384Key)>,
    random: &dyn Random,
) -> Result<Certificate, KeysError> {
    let spki = subject_key.public_spki();
    let (certificate, key) = match issuer {
        Some((certificate, key)) => (Some(certificate), key),
        None => (None, subject_key),
    };
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_SHA384, parameters: None };
    write(spec, &spki, certificate, &algorithm, random, |tbs| key.sign(tbs))
}

/// As [`issue`], for a public key that can't sign: `issuer` vouches for it.
pub fn issue_for(
    spec: &CertSpec,
    spki: &[u8],
    issuer: (&Certificate, &P384Key),
    random: &dyn Random,
) -> Result<Certificate, KeysError> {
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_SHA384, parameters: None };
    let (certificate, key) = issuer;
    write(spec, spki, Some(certificate), &algorithm, random, |tbs| key.sign(tbs))
}

/// A certificate with an RSA key, signed by itself with SHA-256: an identity provider's.
pub fn issue_rsa(
    spec: &CertSpec,
    key: &RsaKey,
    random: &dyn Random,
) -> Result<Certificate, KeysError> {
    let algorithm = AlgorithmIdentifierOwned { oid: RSA_SHA256, parameters: Some(Any::null()) };
    write(spec, &key.public_spki()?, None, &algorithm, random, |tbs| key.sign_sha256(tbs))
}

/// As [`issue_rsa`], for another RSA key, which may not sign: `key` vouches for it.
pub fn issue_rsa_for(
    spec: &CertSpec,
    spki: &[u8],
    issuer: (&Certificate, &RsaKey),
    random: &dyn Random,
) -> Result<Certificate, KeysError> {
    let algorithm = AlgorithmIdentifierOwned { oid: RSA_SHA256, parameters: Some(Any::null()) };
    let (certificate, key) = issuer;
    write(spec, spki, Some(certificate), &algorithm, random, |tbs| key.sign_sha256(tbs))
}

fn write(
    spec: &CertSpec,
    spki: &[u8],
    issuer: Option<&Certificate>,
    algorithm: &AlgorithmIdentifierOwned,
    random: &dyn Random,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, KeysError>,
) -> Result<Certificate, KeysError> {
    let bad = |source| KeysError::Issue { subject: spec.subject_cn.clone(), source };
    let serial = serial(random)?;
    let build = || -> der::Result<TbsCertificate> {
        let subject = name(&spec.organisation, &spec.subject_cn)?;
        let (issuer_name, authority) = match issuer {
            Some(issuer) => (
                issuer.parsed.tbs_certificate.subject.clone(),
                key_id(&issuer.parsed.tbs_certificate.subject_public_key_info)?,
            ),
            None => (subject.clone(), key_id(&SubjectPublicKeyInfoOwned::from_der(spki)?)?),
        };
        let subject_public_key_info = SubjectPublicKeyInfoOwned::from_der(spki)?;
        let extensions = extensions(spec, &key_id(&subject_public_key_info)?, &authority)?;
        Ok(TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&serial)?,
            signature: algorithm.clone(),
            issuer: issuer_name,
            validity: Validity {
                not_before: time(spec.not_before)?,
                not_after: time(spec.not_after)?,
            },
            subject,
            subject_public_key_info,
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(extensions),
        })
    };
    let tbs = build().map_err(bad)?;
    let signature = sign(&tbs.to_der().map_err(bad)?)?;
    let certificate = x509_cert::Certificate {
        tbs_certificate: tbs,
        signature_algorithm: algorithm.clone(),
        signature: BitString::from_bytes(&signature).map_err(bad)?,
    };
    Certificate::from_der(&certificate.to_der().map_err(bad)?)
}

/// Positive, never zero in its first byte, and so always 16 bytes.
fn serial(random: &dyn Random) -> Result<[u8; 16], KeysError> {
    let mut serial: [u8; 16] = random_bytes(random)?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}

fn name(organisation: &str, common: &str) -> der::Result<RdnSequence> {
    let part = |oid, text: &str| -> der::Result<RelativeDistinguishedName> {
        let value = Any::encode_from(&Utf8StringRef::new(text)?)?;
        let set = SetOfVec::from_iter([AttributeTypeAndValue { oid, value }])?;
        Ok(RelativeDistinguishedName(set))
    };
    Ok(RdnSequence(vec![part(ORGANISATION, organisation)?, part(COMMON_NAME, common)?]))
}

/// RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
fn time(at: Timestamp) -> der::Result<Time> {
    let seconds = u64::try_from(at.as_second()).map_err(|_| der::ErrorKind::DateTime)?;
    let since = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since) {
        Ok(utc) => Ok(Time::UtcTime(utc)),
        Err(_) => Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?)),
    }
}

/// RFC 7093 method 1: the left 160 bits of the public key's SHA-256.
fn key_id(info: &SubjectPublicKeyInfoOwned) -> der::Result<OctetString> {
    let hash = digest::sha256(info.subject_public_key.raw_bytes());
    OctetString::new(hash.into_iter().take(20).collect::<Vec<_>>())
}

fn extensions(
    spec: &CertSpec,
    subject_key: &OctetString,
    authority_key: &OctetString,
) -> der::Result<Vec<Extension>> {
    let ca = spec.usage == Usage::Ca;
    let (usages, purposes) = usages(spec.usage);
    let mut out = vec![
        extension(true, &BasicConstraints { ca, path_len_constraint: ca.then_some(0) })?,
        extension(true, &KeyUsage(usages))?,
        extension(false, &SubjectKeyIdentifier(subject_key.clone()))?,
        extension(
            false,
            &AuthorityKeyIdentifier {
                key_identifier: Some(authority_key.clone()),
                ..Default::default()
            },
        )?,
    ];
    if !purposes.is_empty() {
        let critical = spec.usage == Usage::TimeStamping;
        out.push(extension(critical, &ExtendedKeyUsage(purposes))?);
    }
    let names = alternative_names(spec)?;
    if !names.is_empty() {
        out.push(extension(false, &SubjectAltName(names))?);
    }
    Ok(out)
}

fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

fn usages(usage: Usage) -> (FlagSet<KeyUsages>, Vec<ObjectIdentifier>) {
    let signs = FlagSet::from(KeyUsages::DigitalSignature);
    match usage {
        Usage::Ca => (KeyUsages::KeyCertSign | KeyUsages::CRLSign, vec![]),
        Usage::TlsServer => (signs, vec![TLS_SERVER]),
        Usage::TlsClient => (signs, vec![TLS_CLIENT]),
        Usage::TlsPeer => (signs, vec![TLS_SERVER, TLS_CLIENT]),
        Usage::Signing => (KeyUsages::DigitalSignature | KeyUsages::NonRepudiation, vec![]),
        Usage::KeyAgreement => (FlagSet::from(KeyUsages::KeyAgreement), vec![]),
        Usage::KeyEncipherment => (FlagSet::from(KeyUsages::KeyEncipherment), vec![]),
        Usage::TimeStamping => (signs, vec![TIME_STAMPING]),
        Usage::SamlSigning => (signs, vec![]),
        Usage::SamlEncryption => (FlagSet::from(KeyUsages::KeyEncipherment), vec![]),
    }
}

fn alternative_names(spec: &CertSpec) -> der::Result<Vec<GeneralName>> {
    let mut names = Vec::new();
    for dns in &spec.dns {
        names.push(GeneralName::DnsName(Ia5String::new(dns)?));
    }
    for ip in &spec.ips {
        let octets = match ip {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        names.push(GeneralName::IpAddress(OctetString::new(octets)?));
    }
    for uri in &spec.uris {
        names.push(GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?));
    }
    Ok(names)
}
