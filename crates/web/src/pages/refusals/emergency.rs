//! What the codes of emergency sign-ins mean.

/// Codes, or how they begin; why, and what to do.
pub(super) const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "emergency.name",
        "There is no emergency account of that name.",
        "`bailiwick user emergency list` shows the names. If nobody of yours tried, treat it as an attack.",
    ),
    (
        "emergency.secret",
        "The two halves are not those of the account.",
        "Compare the envelopes with the account's name and date: an older secret does not count any more.",
    ),
    (
        "emergency.locked",
        "The account was tried five times within fifteen minutes, and is locked.",
        "Find out who tried; then two people release it: `bailiwick user emergency release`.",
    ),
    (
        "emergency.spent",
        "The secret was used before. Each opens the account once.",
        "Two people make a new one: `bailiwick user emergency make`.",
    ),
    (
        "emergency.inactive",
        "The account is disabled or removed.",
        "An administrator enables it on the People page.",
    ),
    (
        "emergency.rate",
        "One address tried too often in a minute.",
        "Wait; then find out who it was.",
    ),
    (
        "emergency.stepup",
        "The session that was to be confirmed was over.",
        "Open the account anew.",
    ),
    (
        "emergency.key.unasked",
        "No sign-in of that browser waited for a security key.",
        "Begin again in one window, within five minutes, with cookies allowed.",
    ),
    ("emergency.key.late", "The security key came after five minutes.", "Begin again."),
    (
        "emergency.key.unknown",
        "The security key is none of the account's.",
        "Take the key that was registered. If it is lost: `bailiwick user emergency make --forget-keys`.",
    ),
    (
        "emergency.key.origin",
        "The security key was asked on a page of another site.",
        "Open the page by the name in `public_url`. If that was so, treat it as an attack.",
    ),
    (
        "emergency.key.site",
        "The security key answered for another site.",
        "Open the page by the name in `public_url`. If that was so, treat it as an attack.",
    ),
    (
        "emergency.key.verified",
        "The security key was not unlocked by PIN or fingerprint.",
        "Set a PIN on the key.",
    ),
    (
        "emergency.key.copied",
        "The key can be copied to other devices, as passkeys in a cloud are.",
        "Take a hardware security key.",
    ),
    (
        "emergency.key.algorithm",
        "The security key does not sign by ES256.",
        "Take a key that knows ES256, as nearly all do.",
    ),
    (
        "emergency.key.count",
        "The key has signed fewer times than it said before, so there is a copy of it.",
        "Treat it as an attack: take another key, and `bailiwick user emergency make --forget-keys`.",
    ),
    (
        "emergency.key",
        "The security key's answer does not belong to what was asked, or was changed.",
        "Begin again in one window; if it stays, treat it as an attack.",
    ),
];
