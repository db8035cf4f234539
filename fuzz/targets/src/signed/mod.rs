//! Signed messages that were changed: whatever the verifier still accepts must be what was signed.
//!
//! The input is a recipe ([`change`]) for changing one of the messages in `messages/`, which xmlsec1 signed with
//! a key that nobody has any more. So there are two things to hold an acceptance against: what the message said
//! before, and xmlsec1 itself ([`Xmlsec1`]), which shares no line with the verifier: it must accept the same
//! signature with the same key, and hash the same bytes.

mod change;
mod xmlsec1;

use std::sync::OnceLock;

use identity::IdpSettings;
use identity::saml::covered;
use identity::saml::file::{Accepted, Question, verify_file};
use jiff::Timestamp;
use keys::transport::TransportKey;

pub use change::Recipe;
pub use xmlsec1::Xmlsec1;

/// Signed are: the assertion, the response, both, and the response around an encrypted assertion.
const MESSAGES: [&str; 4] = [
    include_str!("../../messages/assertion.xml"),
    include_str!("../../messages/response.xml"),
    include_str!("../../messages/both.xml"),
    include_str!("../../messages/encrypted.xml"),
];
const METADATA: &str = include_str!("../../messages/metadata.xml");
const OPENING_KEY: &[u8] = include_bytes!("../../messages/opening-key.der");

/// 22 November 2026, 08:01: a minute after the messages were made.
const NOW: Timestamp = Timestamp::constant(1_795_334_460, 0);

/// What the verifier said of a changed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is accepted, and says what was signed.
    Accepted {
        /// Whether xmlsec1 was asked, and agreed.
        confirmed: bool,
    },
    /// The reason code.
    Refused(&'static str),
}

/// What does not change from one message to the next.
struct Stage {
    idp: IdpSettings,
    opening: TransportKey,
    /// What each message says before it is changed.
    said: Vec<Accepted>,
}

fn stage() -> Option<&'static Stage> {
    static STAGE: OnceLock<Option<Stage>> = OnceLock::new();
    let set = || {
        let agency = "NB0010100".parse().ok()?;
        let idp = IdpSettings::from_metadata("idp", agency, METADATA.as_bytes(), NOW).ok()?;
        let opening = TransportKey::from_pkcs8(OPENING_KEY).ok()?;
        let said = MESSAGES.iter().map(|message| verify(message, &opening).ok());
        let said = said.collect::<Option<Vec<_>>>()?;
        Some(Stage { said, idp, opening })
    };
    STAGE.get_or_init(set).as_ref()
}

fn verify(message: &str, opening: &TransportKey) -> Result<Accepted, identity::Refusal> {
    verify_file(&Question {
        response: message.as_bytes(),
        idp_metadata: METADATA.as_bytes(),
        entity_id: "https://bailiwick.riverton.example/saml/metadata",
        acs_url: "https://bailiwick.riverton.example/saml/acs",
        at: NOW,
        request_id: Some("_request"),
        decryption: std::slice::from_ref(opening),
    })
}

/// For the fuzzer: a panic is a finding. It asks the xmlsec1 that the environment names, if it does.
pub(crate) fn run(data: &[u8]) {
    static ORACLE: OnceLock<Option<Xmlsec1>> = OnceLock::new();
    let oracle = ORACLE.get_or_init(|| {
        let program = std::env::var_os("XMLSEC1").filter(|program| !program.is_empty());
        program.and_then(|program| Xmlsec1::new(program.into()).ok())
    });
    if let Err(finding) = judge(data, oracle.as_ref()) {
        assert!(finding.is_empty(), "{finding}");
    }
}

/// Changes a message as the recipe says and has it judged.
///
/// # Errors
/// A finding, with the message: something was accepted that was not signed, or that xmlsec1 does not accept.
pub fn judge(recipe: &[u8], oracle: Option<&Xmlsec1>) -> Result<Judged, String> {
    let stage = stage().ok_or("the messages are not accepted as they are")?;
    let mut recipe = Recipe::new(recipe);
    let which = recipe.number() % MESSAGES.len();
    let (Some(message), Some(said)) = (MESSAGES.get(which), stage.said.get(which)) else {
        return Err("there is no such message".to_owned());
    };
    let changed = change::changed(message, &mut recipe);
    let accepted = match verify(&changed, &stage.opening) {
        Ok(accepted) => accepted,
        Err(refusal) => return Ok(Judged::Refused(refusal.code)),
    };
    let found = |what: &str| Err(format!("{what}:\n{changed}\n"));
    // A file may have white space around the message, which is none of it.
    let Ok(text) = covered(changed.trim_ascii().as_bytes(), &stage.idp.certificates) else {
        return found("accepted without a signature");
    };
    // If only the assertion is signed, the response's own ID is whatever the sender wrote.
    let response_id = match text.starts_with("<samlp:Response") {
        true => said.response_id.clone(),
        false => accepted.response_id.clone(),
    };
    if accepted != (Accepted { response_id, notes: accepted.notes.clone(), ..said.clone() }) {
        return found("accepted, and says something that was not signed");
    }
    // What is encrypted is read from what opens, and the signature covers what was sealed.
    let read = [&accepted.name_id, &accepted.assertion_id, &accepted.context];
    if !text.contains("EncryptedAssertion") && !read.into_iter().all(|one| text.contains(&**one)) {
        return found("accepted, and says something that the signed bytes do not");
    }
    let Some(oracle) = oracle else { return Ok(Judged::Accepted { confirmed: false }) };
    match oracle.covered(&changed, METADATA, &text) {
        Ok(hashed) if hashed == text => Ok(Judged::Accepted { confirmed: true }),
        Ok(hashed) => found(&format!("xmlsec1 hashes other bytes: {hashed}\nand we {text}")),
        Err(why) => found(&format!("accepted, and xmlsec1 says: {why}")),
    }
}

/// Whether xmlsec1 refuses each of the messages once something signed in it is another: that it can say no.
pub fn can_say_no(oracle: &Xmlsec1) -> bool {
    MESSAGES.iter().all(|message| {
        let changed = message.replace("_request", "_another");
        let of = if message.contains("#_response") { "_response" } else { "_assertion" };
        oracle.covered(&changed, METADATA, &format!(" ID=\"{of}\"")).is_err()
    })
}
