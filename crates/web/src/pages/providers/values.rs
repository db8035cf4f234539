//! Our own values, to be entered at a provider: each can be selected with one click, and copied by a button where
//! there is script.

use keys::cert::Certificate;
use maud::{Markup, html};

use crate::app::Shared;
use crate::pages::parts::moment;

/// A value and its name.
fn value(id: &str, name: &str, value: &str) -> Markup {
    html! {
        div {
            dt { (name) }
            dd {
                span class="cluster" {
                    code class="copy hash" id=(id) { (value) }
                    button class="usa-button usa-button--outline usa-button--small" type="button" hidden
                        data-copy={ "#" (id) } { "Copy " span class="usa-sr-only" { (name) } }
                }
            }
        }
    }
}

/// What a SAML provider needs to know of us.
pub(super) fn saml(agency: &Shared) -> Markup {
    let settings = agency.identity.settings();
    let certificates = agency.identity.certificates();
    html! {
        section class="card" aria-labelledby="ours" {
            h2 id="ours" { "What it needs to know of us" }
            p { "All of it is in " a href="/saml/metadata" { "our metadata" } ", which most providers read." }
            dl class="kv" {
                (value("our-metadata", "Metadata address", &settings.entity_id))
                (value("our-entity", "Entity ID (audience)", &settings.entity_id))
                (value("our-acs", "Assertion consumer (reply URL), by POST", &settings.acs_url))
                (value("our-slo", "Single log-out, by redirect", &settings.slo_url))
            }
            @for (number, certificate) in certificates.iter().enumerate() { (shown(number, certificate)) }
            p { a href="/saml/certificate.pem" { "Certificate for signatures (PEM)" } }
        }
    }
}

fn shown(number: usize, certificate: &Certificate) -> Markup {
    let id = format!("our-certificate-{number}");
    html! {
        details {
            summary {
                @if number == 0 { "Certificate for our signatures" } @else { "The certificate that will follow" }
                ", until " (moment(certificate.not_after()))
            }
            dl class="kv" { (value(&format!("{id}-print"), "SHA-256", &certificate.fingerprint_text())) }
            pre class="note copy" role="group" id=(id) tabindex="0" aria-label="Certificate in PEM" { (certificate.pem()) }
            button class="usa-button usa-button--outline usa-button--small" type="button" hidden data-copy={ "#" (id) } {
                "Copy the certificate"
            }
        }
    }
}

/// What an OpenID Connect provider needs, and the block to begin with.
pub(super) fn oidc(agency: &Shared) -> Markup {
    let url = &agency.config.listen.public_url;
    let block = BLOCK.trim_start();
    html! {
        section class="card" aria-labelledby="ours" {
            h2 id="ours" { "What it needs to know of us" }
            dl class="kv" {
                (value("our-redirect", "Redirect URI", &format!("{url}/oidc/callback")))
                (value("our-keys", "JWKS address (our public key)", &format!("{url}/oidc/jwks")))
                (value("our-logout", "Back-channel logout URI; ID is the provider's id below", &format!("{url}/oidc/logout/ID")))
                (value("our-return", "Post-logout redirect URI", &format!("{url}/sign-in")))
                (value("our-method", "Client authentication", "private_key_jwt, PS256 or RS256"))
                (value("our-flow", "Flow", "authorization code with PKCE (S256)"))
            }
            p { "Events of a transmitter (CAEP, RISC) are pushed to " code { (url) "/ssf/events/ID" } ", ID being that of an " code { "[[event_stream]]" } "." }
        }
        section class="card" aria-labelledby="there" {
            h2 id="there" { "At the provider" }
            ol class="rows" {
                li { "Register a confidential client (“web”) of the authorization code flow, with our redirect URI and nothing else." }
                li { "Let it authenticate by " code { "private_key_jwt" } " and read our key from the JWKS address. The key is there from the moment the block below is switched on: where the provider wants it before, switch it on first. Nobody gets in until accounts are made." }
                li { "Ask for ID tokens signed by RS256, PS256 or ES256, with " code { "auth_time" } " and " code { "acr" } " or " code { "amr" } "." }
                li { "Back-channel logout: our URI, session required. The post-logout redirect URI too." }
                li { "Demand a second factor for this client by the provider's own policy." }
                li { "Put job functions into a claim of the ID token, such as " code { "functions" } "." }
            }
            dl class="kv" {
                div { dt { "Okta" } dd { "App integration OIDC, Web Application; Client authentication: public key, Use a URL to fetch keys. " code { "amr_values = [\"mfa\"]" } "." } }
                div { dt { "Keycloak" } dd { "Client authentication on, Signed JWT, JWKS URL; " code { "acr_values" } " as the realm's ACR to LoA mapping names the level with two factors." } }
                div { dt { "Microsoft Entra ID" } dd { "It wants our key as a certificate and its thumbprint in each assertion, which is not built: use SAML." } }
            }
        }
        section class="card" aria-labelledby="block" {
            h2 id="block" { "The block for the configuration" }
            p { "Whoever keeps " code { "bailiwick.toml" } " enters it with the provider's values, runs " code { "bailiwick check" } " and restarts the service. With " code { "trial = true" } " nobody signs in through it: you try it on its page first, under Identity providers." }
            pre class="note copy" role="group" id="oidc-block" tabindex="0" aria-label="Block for bailiwick.toml" { (block) }
            button class="usa-button usa-button--outline usa-button--small" type="button" hidden data-copy="#oidc-block" { "Copy the block" }
        }
    }
}

const BLOCK: &str = r#"
[[oidc_provider]]
id = "county"                                   # part of every account key: never change it
label = "County sign-in"
issuer = "https://idp.example.gov"              # exactly as the provider writes it
ca = "idp-authority.pem"                        # the authority of its servers' certificates
client_id = "the name that it gave us"
acr_values = ["https://refeds.org/profile/mfa"] # what states more than one factor, or amr_values = ["mfa"]
functions_claim = "functions"
functions_map = { "CN=Detectives" = "detective" }
trial = true                                    # until it works: nobody signs in through it
"#;
