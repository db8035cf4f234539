//! What the codes of OpenID Connect, of logout tokens and of security events mean.

/// Codes, or how they begin; why, and what to do.
pub(super) const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "oidc.mfa",
        "The provider states neither an `acr` nor an `amr` that counts as more than one factor.",
        "Have the person use a second factor; or compare `acr_values` and `amr_values` with what the provider states.",
    ),
    (
        "oidc.request",
        "The answer was to no sign-in under way in that browser: too late, used before, or begun elsewhere.",
        "Start again from the sign-in page, in one window.",
    ),
    (
        "oidc.state",
        "The answer was to another request than the one that this browser made.",
        "Start again; if it happens again, treat it as an attack.",
    ),
    (
        "oidc.iss",
        "The answer or the token is of another issuer than the one that was asked.",
        "Compare `issuer` letter by letter with what the provider writes; if it is right, treat it as an attack.",
    ),
    (
        "oidc.signature",
        "The token was not signed by the provider's key, or was changed.",
        "If the provider did not just change its keys, treat it as an attack.",
    ),
    (
        "oidc.key",
        "The provider has published no key that the token can be signed with.",
        "Wait a minute: new keys are asked for once a minute. Then look at the provider's set of keys.",
    ),
    (
        "oidc.alg",
        "The token is not signed with RS256, PS256 or ES256.",
        "Set the provider to one of them.",
    ),
    ("oidc.aud", "The token is not for us, or for others too.", "Compare `client_id`."),
    ("oidc.exp", "The token has expired.", "Compare the clocks."),
    ("oidc.iat", "The token was issued too long ago, or is of the future.", "Compare the clocks."),
    (
        "oidc.nonce",
        "The token was made for another sign-in.",
        "Start again; if it happens again, treat it as an attack.",
    ),
    ("oidc.replay", "The token was used before.", "If it happens again, treat it as an attack."),
    (
        "oidc.auth_time",
        "The person was authenticated too long ago, or the provider does not say when.",
        "Sign in again; have the provider state `auth_time` and heed `max_age`.",
    ),
    (
        "oidc.provider",
        "The provider's server could not be asked.",
        "Does its address answer from here, and is its certificate from `ca`?",
    ),
    (
        "oidc.discovery",
        "What the provider says of itself is not what is declared, or not enough.",
        "Compare `issuer` and `hosts`; it must offer the code flow, PKCE and `private_key_jwt`.",
    ),
    ("oidc.jwks", "The provider's set of keys can't be used.", "Look at its set of keys."),
    (
        "oidc.par",
        "The provider did not take our pushed request.",
        "Compare `client_id`, the redirect address and our key at the provider.",
    ),
    (
        "oidc.code",
        "The provider did not exchange the code of the answer.",
        "Compare our key and the redirect address at the provider; look in its log.",
    ),
    (
        "oidc.userinfo",
        "The claims could not be had, or are of another person.",
        "Look in the provider's log.",
    ),
    (
        "oidc.status",
        "The provider itself refused, or could not ask the person.",
        "Look in the provider's log.",
    ),
    ("oidc.stepup", "The step-up was of another person or came too late.", "Sign in again."),
    ("oidc.", "The token is not built as it must be.", "Look in the provider's log."),
    (
        "bcl.",
        "A log-out that a provider's server sent was not acceptable; nobody was signed out by it.",
        "Compare issuer, `client_id` and clocks. If the provider sent none, treat it as an attack.",
    ),
    (
        "ssf.authentication",
        "Whoever sent a security event did not show the stream's token.",
        "Compare `authorization_file` with what the transmitter was given.",
    ),
    (
        "ssf.",
        "A security event was not acceptable; nothing follows from it.",
        "Compare issuer, audience and keys of the stream. If its transmitter sent none, treat it as an attack.",
    ),
];
