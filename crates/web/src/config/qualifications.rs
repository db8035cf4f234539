//! `[qualifications]`: which trainings, screenings and agreements come before criminal justice information.

use std::collections::BTreeSet;

use identity::qualified::{GRACE_DAYS_MAX, Requirement, Requirements};
use policy::Function;
use serde::Deserialize;
use state::qualifications::Kind;

/// The most that can be demanded.
const REQUIRED_MAX: usize = 100;

/// The longest id, title and version, and the longest advice, in bytes.
const TEXT_BYTES_MAX: usize = 120;
const ADVICE_BYTES_MAX: usize = 500;

/// The longest time for which something counts or is warned of, in days.
const DAYS_MAX: u32 = 3_660;

/// What people need before they get CJI. Without an entry in `required` nothing is demanded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualificationsConfig {
    /// From so many days before an end on, people are warned.
    #[serde(default = "warn_default")]
    pub warn_days: u32,
    /// For how many days after its end something still counts, with a warning; 0 to 90.
    #[serde(default)]
    pub grace_days: u32,
    /// What is demanded.
    #[serde(default)]
    pub required: Vec<RequiredConfig>,
}

impl Default for QualificationsConfig {
    fn default() -> Self {
        Self { warn_days: warn_default(), grace_days: 0, required: Vec::new() }
    }
}

/// A training, a screening or an agreement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredConfig {
    /// A short name; never change it: what is written down about people names it.
    pub id: String,
    /// `training`, `screening` or `agreement`.
    pub kind: Kind,
    /// What people call it.
    pub title: String,
    /// The job functions of which it is demanded; absent: all.
    pub functions: Option<BTreeSet<Function>>,
    /// The version of an agreement that must have been accepted.
    pub version: Option<String>,
    /// For how many days it counts at most, from the day on which it was done; absent: until the certificate's end.
    pub valid_days: Option<u32>,
    /// A grace of its own, instead of `grace_days` above.
    pub grace_days: Option<u32>,
    /// What somebody does who has not got it, as a sentence.
    #[serde(default)]
    pub advice: String,
}

const fn warn_default() -> u32 {
    30
}

impl QualificationsConfig {
    /// As the sign-in's room takes it.
    pub fn requirements(&self) -> Requirements {
        let all = self.required.iter().map(|one| Requirement {
            kind: one.kind,
            id: one.id.clone(),
            title: one.title.clone(),
            functions: one.functions.clone(),
            version: one.version.clone(),
            valid_days: one.valid_days,
            grace_days: one.grace_days.unwrap_or(self.grace_days),
            advice: one.advice.clone(),
        });
        Requirements { all: all.collect(), warn_days: self.warn_days }
    }

    /// What is wrong with it, with the key that it is in.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let graces = self.required.iter().filter_map(|one| one.grace_days);
        if graces.chain([self.grace_days]).any(|days| days > GRACE_DAYS_MAX) {
            return Err(("qualifications.grace_days", "is at most 90"));
        }
        if self.warn_days > DAYS_MAX {
            return Err(("qualifications.warn_days", "is at most 3660"));
        }
        if self.required.len() > REQUIRED_MAX {
            return Err(("qualifications.required", "has more than 100 entries"));
        }
        for (at, one) in self.required.iter().enumerate() {
            one.check()?;
            let same = |other: &RequiredConfig| other.kind == one.kind && other.id == one.id;
            if self.required.iter().skip(at + 1).any(same) {
                return Err(("qualifications.required.id", "is there twice for one kind"));
            }
        }
        Ok(())
    }
}

impl RequiredConfig {
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.is_empty() || self.id.len() > 40 || !self.id.bytes().all(letter) {
            let what = "has 1 to 40 small letters, digits and dashes";
            return Err(("qualifications.required.id", what));
        }
        if self.title.is_empty() || self.title.len() > TEXT_BYTES_MAX {
            return Err(("qualifications.required.title", "has 1 to 120 bytes"));
        }
        if self.advice.len() > ADVICE_BYTES_MAX {
            return Err(("qualifications.required.advice", "has at most 500 bytes"));
        }
        let version = self.version.as_ref();
        if version.is_some() && self.kind != Kind::Agreement {
            return Err(("qualifications.required.version", "is for agreements"));
        }
        if version.is_some_and(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) {
            return Err(("qualifications.required.version", "has 1 to 120 bytes"));
        }
        if self.valid_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
            return Err(("qualifications.required.valid_days", "is 1 to 3660"));
        }
        let unknown = |one: &Function| !identity::functions::known().any(|it| it == one.as_str());
        let functions = self.functions.as_ref();
        if functions.is_some_and(|all| all.is_empty() || all.iter().any(unknown)) {
            let what = "names at least one job function, and none that this program does not know";
            return Err(("qualifications.required.functions", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn parse(more: &str) -> Result<Config, String> {
        let text = format!(
            "{}\n[qualifications]\ngrace_days = 5\n{more}",
            include_str!("../../../../bailiwick.example.toml")
        );
        Config::parse(&text, Path::new("b.toml")).map_err(|error| error.to_string())
    }

    fn required(more: &str) -> String {
        let most = "[[qualifications.required]]\nid = \"course\"\ntitle = \"T\"\n";
        format!("{most}{more}\n")
    }

    #[test]
    fn a_requirement_takes_the_common_grace_unless_it_has_its_own() {
        let two = required("kind = \"training\"\nvalid_days = 365")
            + &required("kind = \"agreement\"\ngrace_days = 0\nversion = \"2026\"");
        let requirements = parse(&two).unwrap().qualifications.requirements();
        let graces: Vec<u32> = requirements.all.iter().map(|one| one.grace_days).collect();
        assert_eq!((graces, requirements.warn_days), (vec![5, 0], 30));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_key() {
        for (more, expected) in [
            ("kind = \"training\"\ngrace_days = 91", "`qualifications.grace_days` is at most 90"),
            (
                "kind = \"training\"\nversion = \"1\"",
                "`qualifications.required.version` is for agreements",
            ),
            (
                "kind = \"training\"\nfunctions = [\"detektive\"]",
                "`qualifications.required.functions` names at least one job function, and none that this \
                 program does not know",
            ),
            (
                "kind = \"training\"\nvalid_days = 0",
                "`qualifications.required.valid_days` is 1 to 3660",
            ),
        ] {
            let error = parse(&required(more)).unwrap_err();
            assert!(error.ends_with(expected), "{error}");
        }
        let twice = required("kind = \"training\"") + &required("kind = \"training\"");
        let error = parse(&twice).unwrap_err();
        assert!(error.ends_with("is there twice for one kind"), "{error}");
    }
}
