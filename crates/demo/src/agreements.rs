//! The agreements between the demo's agencies, and who has reviewed them.
//!
//! They are the same from one start to the next of a year, so that only a new year's text waits for a review.

use exchange::{Caller, Exchange};
use jiff::Timestamp;
use policy::{Actor, Assurance};

use crate::world::{AgencySpec, Home, LAKESIDE, RIVERTON};
use crate::{DemoError, millbrook};

/// The signed memorandum.
const MEMORANDUM: &[u8] = include_bytes!("../assets/memorandum.pdf");

/// The agreement that waits for the security officer's review when the demo begins.
pub const WAITING: &str = "riverton-lakeside-chri";

/// Writes this agency's side of the agreements with the other.
///
/// # Errors
/// [`DemoError::Write`] names the file.
pub fn write(home: &Home, other: &AgencySpec, now: Timestamp) -> Result<(), DemoError> {
    let folder = "sharing/agreements";
    home.write_bytes(&format!("{folder}/memorandum.pdf"), MEMORANDUM)?;
    let digest = hex::encode(keys::digest::sha256(MEMORANDUM));
    let document = format!("document = {{ file = \"memorandum.pdf\", sha256 = \"{digest}\" }}\n");
    let ori = other.ori;
    let usual = format!(
        r#"id = "riverton-lakeside-2026"
title = "Property crimes, mutual assistance"
kind = "memorandum"
authority = "Memorandum of understanding of 5 January 2026 (made up)"
partner = "{ori}"
record_classes = ["INCIDENT", "EVIDENCE"]
caveats_barred = ["JUVENILE", "SEALED"]
purposes = ["C"]
redistribution = "with-consent"
retention = "Until the case is closed, then three years"
approvals = 1
audit = "Each may audit the other's handling, announced 30 days before"
incidents = "By telephone within one hour, in writing within 24"
{dates}{document}{parties}"#,
        dates = dates(now),
        parties = parties(),
    );
    home.write(&format!("{folder}/riverton-lakeside-2026.toml"), &usual)?;
    let chri = format!(
        r#"id = "{WAITING}"
title = "Persons and their criminal history, in single cases"
kind = "information-exchange"
authority = "28 CFR 20.33(a)(1) and the letter of 3 March 2026 (made up)"
partner = "{ori}"
record_classes = ["CJI", "CHRI"]
caveats_barred = ["SEALED"]
caveats_allowed = ["JUVENILE"]
purposes = ["C", "J"]
redistribution = "none"
retention = "90 days, then destroyed and certified"
retention_days = 90
approvals = 1
audit = "Yearly, by either side"
primary = false
{dates}{parties}"#,
        dates = dates(now),
        parties = parties(),
    );
    home.write(&format!("{folder}/{WAITING}.toml"), &chri)?;
    // An agency's own rules stay as they are.
    let rules = "sharing/jurisdictions.toml";
    if home.read(rules).is_ok() {
        return Ok(());
    }
    home.write(rules, &format!("ours = \"{}\"\n{RULES}", home.spec.jurisdiction))
}

/// Writes the agreement with the agency without Bailiwick: what is sealed for it waits for a guest to fetch it.
///
/// # Errors
/// [`DemoError::Write`] names the file.
pub fn write_for_guests(home: &Home, now: Timestamp) -> Result<(), DemoError> {
    let text = format!(
        r#"id = "riverton-millbrook-2026"
title = "Single cases, fetched by a guest"
kind = "memorandum"
authority = "Letter of agreement of 9 February 2026 (made up)"
partner = "{partner}"
record_classes = ["INCIDENT", "EVIDENCE"]
caveats_barred = ["JUVENILE", "SEALED"]
purposes = ["C"]
redistribution = "with-consent"
retention = "Until the case is closed"
approvals = 1
audit = "On request"
incidents = "By telephone within one hour"
deliveries = ["portal"]
{dates}{parties}"#,
        partner = millbrook::ORI,
        dates = dates(now),
        parties = party(RIVERTON.ori, RIVERTON.name, "A. Marsh, Chief of Police")
            + &party(millbrook::ORI, millbrook::NAME, "T. Osei, Chief of Police"),
    );
    home.write("sharing/agreements/riverton-millbrook-2026.toml", &text)
}

/// Rules of both made-up jurisdictions. The last can't be kept together with the agreement that waits.
const RULES: &str = r#"
[[rule]]
id = "incident-purposes"
jurisdiction = "City of Riverton"
citation = "Ordinance 12-4 (made up)"
record_class = "INCIDENT"
purposes = ["C", "J"]
redistribution = "with-consent"

[[rule]]
id = "evidence-retention"
jurisdiction = "Lakeside County"
citation = "County Code 8.1 (made up)"
record_class = "EVIDENCE"
keep_days_max = 1825

[[rule]]
id = "history-retention"
jurisdiction = "City of Riverton"
citation = "Ordinance 12-9 (made up)"
record_class = "CHRI"
keep_days_min = 365
"#;

fn dates(now: Timestamp) -> String {
    let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
    format!(
        "starts = \"{year}-01-01T00:00:00Z\"\nreview = \"{}-12-01T00:00:00Z\"\nends = \"{}-01-01T00:00:00Z\"\n",
        year + 1,
        year + 3
    )
}

fn parties() -> String {
    party(RIVERTON.ori, RIVERTON.name, "A. Marsh, Chief of Police")
        + &party(LAKESIDE.ori, LAKESIDE.name, "D. Cole, Sheriff")
}

fn party(ori: &str, name: &str, by: &str) -> String {
    format!(
        "\n[[party]]\nori = \"{ori}\"\nname = \"{name}\"\nsigned_by = \"{by}\"\nsigned_at = \"2026-01-05T15:00:00Z\"\n"
    )
}

/// The security officer's review, which happened before the morning of the story: everything but [`WAITING`].
///
/// # Errors
/// [`DemoError::Agreements`].
pub async fn review(
    exchange: &Exchange,
    spec: &AgencySpec,
    now: Timestamp,
) -> Result<(), DemoError> {
    let reviewer = Caller {
        actor: Actor {
            id: format!("demo|{}", spec.reviewer.0).parse()?,
            name: spec.reviewer.1.to_owned(),
            agency: spec.ori.parse()?,
            functions: std::collections::BTreeSet::from(["security-officer".parse()?]),
            assurance: Assurance {
                mfa: true,
                context: "https://refeds.org/profile/mfa".to_owned(),
                authenticated_at: now,
                stepped_up_at: Some(now),
            },
            lacking: Vec::new(),
        },
        origin: ledger::Origin::default(),
        session: None,
    };
    for held in exchange.held_texts().await? {
        let Some(waiting) = held.waiting() else { continue };
        let reason = "The words of the certificates were read aloud on the telephone";
        exchange.review_written(&reviewer, &held.about, &waiting.digest, true, reason).await?;
    }
    for held in exchange.held_agreements().await? {
        let Some(waiting) = held.waiting().filter(|_| held.id != WAITING) else { continue };
        let reason = "Compared with the signed memorandum";
        exchange.review_agreement(&reviewer, &held.id, &waiting.digest, true, reason).await?;
    }
    Ok(())
}
