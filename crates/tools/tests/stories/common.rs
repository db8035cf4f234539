//! A detective, a day, and the demo's tools.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use policy::{Actor, Assurance, Ori};
use tools::form::Submission;
use tools::plan::Context;
use tools::{Problem, Tool};

/// 22 November 2026, in the afternoon.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_795_359_600, 0);

pub(crate) struct Person {
    pub(crate) actor: Actor,
    pub(crate) agency: Ori,
}

impl Person {
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            actor: &self.actor,
            agency: &self.agency,
            now: NOW,
            today: Date::constant(2026, 11, 22),
        }
    }
}

pub(crate) fn person(function: &str) -> Person {
    let agency: Ori = "NB0010100".parse().unwrap();
    let assurance = Assurance {
        mfa: true,
        context: "urn:example:mfa".to_owned(),
        authenticated_at: NOW,
        stepped_up_at: None,
    };
    let actor = Actor {
        id: "riverton|det.ruiz".parse().unwrap(),
        name: "Ruiz, Ana".to_owned(),
        agency: agency.clone(),
        functions: [function.parse().unwrap()].into(),
        assurance,
        lacking: Vec::new(),
    };
    Person { actor, agency }
}

pub(crate) fn demo_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../demo/tools")
}

pub(crate) fn demo_text(id: &str) -> String {
    std::fs::read_to_string(demo_folder().join(format!("{id}.toml"))).unwrap()
}

pub(crate) fn parse(file: &str, text: &str) -> Result<Tool, Vec<Problem>> {
    Tool::parse(file, text, keys::digest::sha256)
}

pub(crate) fn demo_tool(id: &str) -> Tool {
    parse(&format!("{id}.toml"), &demo_text(id)).unwrap()
}

pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn submission(tool: &Tool, sent: &[(&str, &str)]) -> Submission {
    Submission::read(tool, &fields(sent)).unwrap()
}
