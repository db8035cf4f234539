//! What the codes of client certificates mean.

/// Codes, or how they begin; why, and what to do.
pub(super) const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "cert.missing",
        "The browser showed no certificate.",
        "Have the person insert the card, close every window of the browser, and choose the certificate when asked.",
    ),
    (
        "cert.malformed",
        "What was shown is no certificate, or holds what is not understood, such as an unknown critical extension.",
        "Look at the certificate with the authority that issued it.",
    ),
    ("cert.expired", "The certificate, or one above it, has expired.", "Renew the card."),
    (
        "cert.not_yet_valid",
        "The certificate is not valid yet.",
        "Compare the clocks; or wait until its first day.",
    ),
    (
        "cert.issuer",
        "No authority in `authorities` issued the certificate, or one between is missing.",
        "Is it a card of this agency? If so, add the authority, or have the intermediate one shown too.",
    ),
    (
        "cert.signature",
        "A signature on the path is wrong, or uses SHA-1 or another algorithm that is not accepted.",
        "Have the card renewed with SHA-256. A wrong signature is an attack.",
    ),
    (
        "cert.key",
        "The key is too short or of another kind.",
        "Have the card renewed with RSA 2048 or more, P-256 or P-384.",
    ),
    (
        "cert.purpose",
        "The certificate is not for signing in.",
        "Have the person choose the authentication certificate of the card; compare `purposes`.",
    ),
    (
        "cert.name_constraint",
        "A name in the certificate is one that its authority may not issue.",
        "Treat it as an attack, or tell the authority.",
    ),
    (
        "cert.policy",
        "The certificate, or one above it, is not under a policy in `policies`.",
        "Have the person choose the card's certificate and not one that is kept in software; compare `policies`.",
    ),
    (
        "cert.revoked",
        "The certificate, or one above it, is revoked.",
        "The card was lost or taken back. Who had it?",
    ),
    (
        "cert.crl.missing",
        "There is no list of revoked certificates for one of the authorities on the path.",
        "Add the list of each authority to `crl_files` or `crl_urls`.",
    ),
    (
        "cert.crl.stale",
        "The list of revoked certificates has run out.",
        "See why it is not renewed. `crl_stale_hours` lets it count for longer.",
    ),
    (
        "cert.ocsp.unreachable",
        "The responder could not be asked.",
        "See whether `ocsp_url` answers from this machine.",
    ),
    (
        "cert.ocsp.unknown",
        "The responder does not know the certificate.",
        "Is it the responder of the authority that issued it?",
    ),
    (
        "cert.ocsp.nonce",
        "The responder's answer is not to this question.",
        "A responder that makes answers beforehand wants `ocsp_nonce = false`. Otherwise treat it as an attack.",
    ),
    (
        "cert.ocsp.signature",
        "The responder's answer is not signed by the issuer, nor by one whom it made a responder.",
        "Its certificate must be of the same issuer, for OCSP signing, with `ocsp-nocheck`. Otherwise treat it as an attack.",
    ),
    ("cert.ocsp.time", "The responder's answer is of another time.", "Compare the clocks."),
    (
        "cert.ocsp",
        "The responder's answer can't be used.",
        "Look in the responder's log; `ocsp_sha1_names` may help.",
    ),
    (
        "cert.name",
        "The certificate does not name exactly one person in the way of `name`.",
        "Compare `name` with what the card's certificate holds.",
    ),
    (
        "cert.mfa",
        "Such a certificate is one factor.",
        "If its keys are on cards that want a PIN, name their policy in `policies` and set `multi_factor`.",
    ),
    (
        "cert.person",
        "The card is of another person than the one whom the identity provider signed in.",
        "Have the person use their own card; compare `second_factor` with what the provider sends.",
    ),
    (
        "cert.request",
        "The form does not belong to a sign-in that this browser has under way.",
        "Begin again in one window, within ten minutes, with cookies allowed.",
    ),
    (
        "cert.stepup.proxy",
        "Behind a proxy nothing shows that the card was used again.",
        "Have these people sign in at an identity provider with the card as second factor: see docs/identity.md.",
    ),
    ("cert.stepup", "The step-up was with another card, or came too late.", "Sign in again."),
    (
        "cert.session",
        "The session's card was taken out, or another one was shown.",
        "Sign in again, with the card left in.",
    ),
    ("cert.authn", "The card was used too long ago.", "Sign in again."),
    (
        "cert.header",
        "The proxy's header with the certificate was there twice, or can't be read.",
        "Have the proxy set the header itself and take off what clients send.",
    ),
];
