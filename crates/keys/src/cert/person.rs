//! What a certificate says of the person who holds it, and for what: names, policies, purposes (RFC 5280,
//! FIPS 201-3, SP 800-73).
//!
//! Nothing here is true before the path to a trusted authority was verified.

use const_oid::ObjectIdentifier;
use der::Decode;
use der::asn1::{OctetStringRef, Utf8StringRef};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{CertificatePolicies, ExtendedKeyUsage, SubjectAltName};

use super::{Certificate, PublicKeyAlgorithm};

/// userPrincipalName (Microsoft): Active Directory's name of the person.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");
/// pivFASC-N (FIPS 201): the Federal Agency Smart Credential Number.
const FASC_N: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.6.6");
/// id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1).
const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
/// id-kp-OCSPSigning.
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// The length of a FASC-N (SP 800-73-4, 3.1.2).
const FASC_N_BYTES: usize = 25;
/// RFC 4122's text after `urn:uuid:`.
const UUID_TEXT_BYTES: usize = 36;
/// A SubjectPublicKeyInfo with a modulus of 2048 bits has 292 bytes or more; one of 1024 bits about 160.
const RSA_2048_SPKI_BYTES: usize = 292;

/// The names in subjectAltName by which a person can be told. E-mail addresses are none of them: they are
/// given to other people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonNames {
    /// User principal names.
    pub upn: Vec<String>,
    /// FASC-Ns, in hexadecimal.
    pub fasc_n: Vec<String>,
    /// Card or person UUIDs, in small letters.
    pub uuid: Vec<String>,
}

impl Certificate {
    /// The person's names. An otherName that can't be read, or a subjectAltName that can't be, names nobody.
    #[must_use]
    pub fn person_names(&self) -> PersonNames {
        let mut found = PersonNames::default();
        let names = self.extension::<SubjectAltName>().map(|names| names.0).unwrap_or_default();
        for name in names {
            match name {
                GeneralName::OtherName(other) if other.type_id == UPN => {
                    found.upn.extend(
                        other.value.decode_as::<Utf8StringRef<'_>>().map(|text| text.to_string()),
                    );
                }
                GeneralName::OtherName(other) if other.type_id == FASC_N => {
                    let bytes = other
                        .value
                        .decode_as::<OctetStringRef<'_>>()
                        .map(|octets| octets.as_bytes().to_vec());
                    found.fasc_n.extend(
                        bytes.into_iter().filter(|b| b.len() == FASC_N_BYTES).map(hex::encode),
                    );
                }
                GeneralName::UniformResourceIdentifier(uri) => {
                    found.uuid.extend(uuid(uri.as_str()))
                }
                _ => {}
            }
        }
        found
    }

    /// The policies under which it was issued, as dotted numbers. One that can't be read is under none.
    #[must_use]
    pub fn policies(&self) -> Vec<String> {
        let found = self.extension::<CertificatePolicies>().map(|all| all.0).unwrap_or_default();
        found.into_iter().map(|one| one.policy_identifier.to_string()).collect()
    }

    /// The purposes in extendedKeyUsage, as dotted numbers; none if it is not there.
    #[must_use]
    pub fn purposes(&self) -> Vec<String> {
        let found = self.extension::<ExtendedKeyUsage>().map(|all| all.0).unwrap_or_default();
        found.into_iter().map(|one| one.to_string()).collect()
    }

    /// Whether its key is RSA of 2048 bits or more, P-256 or P-384 (SP 800-78-5).
    #[must_use]
    pub fn has_strong_key(&self) -> bool {
        match self.public_key_algorithm() {
            PublicKeyAlgorithm::P256 | PublicKeyAlgorithm::P384 => true,
            PublicKeyAlgorithm::Rsa => {
                self.spki_der().is_ok_and(|spki| spki.len() >= RSA_2048_SPKI_BYTES)
            }
            PublicKeyAlgorithm::MlKem768
            | PublicKeyAlgorithm::MlKem1024
            | PublicKeyAlgorithm::Unknown => false,
        }
    }

    /// Whether its issuer lets it answer for the issuer in OCSP, without having to be asked about itself.
    pub(crate) fn answers_ocsp(&self) -> bool {
        let extensions = self.parsed.tbs_certificate.extensions.iter().flatten();
        let unchecked = extensions.into_iter().any(|one| one.extn_id == OCSP_NO_CHECK);
        let purposes = self.extension::<ExtendedKeyUsage>().map(|all| all.0).unwrap_or_default();
        unchecked && purposes.contains(&OCSP_SIGNING) && self.allows_signing()
    }

    /// The subject's Name, DER.
    pub(crate) fn subject_der(&self) -> Result<Vec<u8>, crate::KeysError> {
        let encoded = der::Encode::to_der(&self.parsed.tbs_certificate.subject);
        encoded.map_err(|source| crate::KeysError::Certificate {
            what: "subject",
            source: Some(source),
        })
    }
}

/// The UUID of a `urn:uuid:` name.
fn uuid(uri: &str) -> Option<String> {
    let (scheme, text) = uri.split_at_checked("urn:uuid:".len())?;
    let dashes = [8, 13, 18, 23];
    let sound = |(at, byte): (usize, u8)| match dashes.contains(&at) {
        true => byte == b'-',
        false => byte.is_ascii_hexdigit(),
    };
    let ours = scheme.eq_ignore_ascii_case("urn:uuid:") && text.len() == UUID_TEXT_BYTES;
    (ours && text.bytes().enumerate().all(sound)).then(|| text.to_ascii_lowercase())
}

/// Whether text is an object identifier in dotted numbers.
#[must_use]
pub fn is_object_identifier(text: &str) -> bool {
    ObjectIdentifier::new(text).is_ok()
}

/// A key as it stands in a SubjectPublicKeyInfo, which is what names of issuers are made from.
pub(crate) fn key_bits(spki: &[u8]) -> Option<Vec<u8>> {
    let info = spki::SubjectPublicKeyInfoRef::from_der(spki).ok()?;
    info.subject_public_key.as_bytes().map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_one_however_it_is_written() {
        let text = "urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6";
        assert_eq!(uuid(text).unwrap(), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
        for other in [
            "",
            "urn:uuid:",
            "urn:uuid:f81d4fae7dec11d0a76500a0c91e6bf6",
            "https://a.example/",
            "urn:uuid:é",
        ] {
            assert_eq!(uuid(other), None, "{other}");
        }
    }
}
