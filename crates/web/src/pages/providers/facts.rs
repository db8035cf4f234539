//! What a provider's metadata says, and what somebody should know before believing it.

use identity::IdpSettings;
use identity::saml::trust::signers;
use jiff::Timestamp;
use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::digest::sha256;
use maud::{Markup, html};

use super::until;
use crate::app::Shared;
use crate::pages::parts::{moment, pair};

/// Days before an end from which on it is worth a word.
const SOON_DAYS: i64 = 60;

/// The facts of a draft's metadata.
pub(super) fn facts(
    agency: &Shared,
    known: &IdpSettings,
    metadata: &str,
    now: Timestamp,
) -> Markup {
    let warnings = warnings(agency, known, now);
    let signers = signers(metadata.as_bytes());
    html! {
        section class="card" aria-labelledby="says" {
            h2 id="says" { "What its metadata says" }
            @if !warnings.is_empty() {
                div class="usa-alert usa-alert--warning" {
                    div class="usa-alert__body" {
                        h3 class="usa-alert__heading" { "Look at this" }
                        ul { @for warning in &warnings { li { (warning) } } }
                    }
                }
            }
            dl class="kv" {
                (pair("Entity ID", &known.entity_id))
                (pair("Sign-in by redirect", &known.sso_url))
                (pair("Log-out by redirect", known.slo_url.as_deref().unwrap_or("none")))
                (pair("Valid until", &until(known)))
                (pair("SHA-256", &hex::encode(sha256(metadata.as_bytes()))))
                (pair("Size", &format!("{} bytes", metadata.len())))
                @if signers.is_empty() { (pair("Signed", "no, or not by a certificate that it shows")) }
            }
            h3 { "Certificates for its signatures" }
            p class="muted small" { "Compare the fingerprints with what the provider's own administrators read to you, by another way than this file came." }
            @for certificate in &known.certificates { (described(certificate, now)) }
            @for signer in &signers {
                h3 { "The metadata is signed by" }
                (described(signer, now))
                details {
                    summary { "This certificate, to hold an address to it" }
                    pre class="note copy" role="group" tabindex="0" aria-label="Signer's certificate in PEM" { (signer.pem()) }
                }
            }
        }
    }
}

fn described(certificate: &Certificate, now: Timestamp) -> Markup {
    html! {
        dl class="kv" {
            (pair("Subject", &certificate.subject()))
            (pair("Key", key_words(certificate)))
            div {
                dt { "From, until" }
                dd {
                    (moment(certificate.not_before())) ", " (moment(certificate.not_after()))
                    @if certificate.not_after() <= now { " " span class="badge badge--warn" { "over" } }
                }
            }
            (pair("SHA-256", &certificate.fingerprint_text()))
        }
    }
}

fn key_words(certificate: &Certificate) -> &'static str {
    match certificate.public_key_algorithm() {
        PublicKeyAlgorithm::Rsa => "RSA, 2048 bits or more",
        PublicKeyAlgorithm::P256 => "ECDSA P-256",
        PublicKeyAlgorithm::P384 => "ECDSA P-384",
        PublicKeyAlgorithm::MlKem768
        | PublicKeyAlgorithm::MlKem1024
        | PublicKeyAlgorithm::Unknown => "of a kind that is not accepted",
    }
}

fn warnings(agency: &Shared, known: &IdpSettings, now: Timestamp) -> Vec<String> {
    let mut all = Vec::new();
    let days = |at: Timestamp| at.duration_since(now).as_hours() / 24;
    if let Some(until) = known.valid_until.filter(|until| days(*until) <= SOON_DAYS) {
        let left = days(until);
        all.push(format!(
            "The metadata runs out in {left} days: nobody gets in after that unless it is renewed."
        ));
    }
    match known.certificates_until() {
        Some(until) if until <= now => all.push(
            "Every certificate in it has ended. Keys are compared and dates are not, so it would work; but it looks forgotten.".to_owned(),
        ),
        Some(until) if days(until) <= SOON_DAYS => {
            all.push(format!("Its last certificate ends in {} days.", days(until)));
        }
        Some(_) | None => {}
    }
    if known.certificates.len() > 1 {
        let many = known.certificates.len();
        all.push(format!("It shows {many} keys for signatures; each of them counts."));
    }
    if known.sso_url.starts_with("http://") {
        all.push("People would be sent to an address without TLS.".to_owned());
    }
    if known.slo_url.is_none() {
        all.push(
            "It offers no log-out by redirect: signing out here leaves its own session alone."
                .to_owned(),
        );
    }
    let same = agency.identity.providers().into_iter().find(|one| one.entity_id == known.entity_id);
    if let Some(same) = same {
        all.push(format!("The provider `{}` that is switched on has the same entity ID. Both can't be on at once.", same.id));
    }
    all
}
