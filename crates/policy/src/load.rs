//! From files to a checked policy set.
//!
//! Invariant: what loads is valid, strictly; each policy has an id of its own and a reason in plain
//! words; and the schema fits the questions that this program asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::explain::Effect;

/// The largest schema or policy file, in bytes.
pub const POLICY_FILE_BYTES_MAX: u64 = 1 << 20;
/// The most policy files in a folder.
pub const POLICY_FILES_MAX: usize = 200;
/// The most policies in a set.
pub const POLICIES_MAX: usize = 10_000;

const SCHEMA_FILE: &str = "schema.cedarschema";
const PLACEHOLDERS: &[&str] =
    &["functions", "allowed_functions", "action", "record_class", "caveats", "lacking"];

/// Why a policy set could not be loaded. Names the file and, where there is one, the policy.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum PolicyError {
    #[error("could not read policy folder `{path}`")]
    ReadFolder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not read policy file `{path}`")]
    ReadFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("policy file `{file}` has {bytes} bytes; at most {max} are read")]
    FileTooLarge { file: String, bytes: u64, max: u64 },
    #[error("there are {count} policy files; at most {max} are read")]
    TooManyFiles { count: usize, max: usize },
    #[error("there are {count} policies; at most {max} are loaded")]
    TooManyPolicies { count: usize, max: usize },
    #[error("there is no policy, so nothing would ever be allowed")]
    NoPolicy,
    #[error("could not read the policy schema")]
    Schema {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("policy file `{file}`, line {line}: not Cedar")]
    Parse {
        file: String,
        line: usize,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("policy file `{file}`, policy number {position}: has no @id(\"…\")")]
    Unnamed { file: String, position: usize },
    #[error(
        "policy file `{file}`, policy `{policy}`: an id is 1 to 80 lower-case letters, digits and dashes"
    )]
    BadId { file: String, policy: String },
    #[error("policy file `{file}`, policy `{policy}`: has no @why(\"…\") for the person")]
    Unexplained { file: String, policy: String },
    #[error(
        "policy file `{file}`, policy `{policy}`: @why has the unknown placeholder `{placeholder}`"
    )]
    Placeholder { file: String, policy: String, placeholder: String },
    #[error("policy file `{file}`, policy `{policy}`: the id is taken by a policy in `{other}`")]
    Duplicate { file: String, policy: String, other: String },
    #[error("policy file `{file}`: templates (`?principal`, `?resource`) are not read")]
    Template { file: String },
    #[error("policy file `{file}`, policy `{policy}`: {problems}")]
    Invalid { file: String, policy: String, problems: String },
    #[error("the policy schema does not fit a question to `{action}`: {problem}")]
    Unfit { action: &'static str, problem: String },
    #[error("a name of the policy schema is not a Cedar name")]
    Name {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not slice the policy set")]
    Slice {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What is kept of a policy beside its text.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) file: String,
    pub(crate) effect: Effect,
    pub(crate) why: String,
}

/// A policy set that has passed every check.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) schema: Schema,
    pub(crate) policies: PolicySet,
    pub(crate) notes: BTreeMap<String, Note>,
}

/// The policies that come with the program: the schema, and (file name, text) of each file.
pub fn defaults() -> (String, Vec<(String, String)>) {
    let files = [
        ("always.cedar", include_str!("../../../policies/always.cedar")),
        ("duties.cedar", include_str!("../../../policies/duties.cedar")),
        ("exports.cedar", include_str!("../../../policies/exports.cedar")),
        ("functions.cedar", include_str!("../../../policies/functions.cedar")),
    ];
    let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    (include_str!("../../../policies/schema.cedarschema").to_owned(), files.map(own).to_vec())
}

/// The schema and the policy files of a folder, sorted by name.
pub(crate) fn read_folder(folder: &Path) -> Result<(String, Vec<(String, String)>), PolicyError> {
    let failed = |source| PolicyError::ReadFolder { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            files.push(path);
        }
        if files.len() > POLICY_FILES_MAX {
            return Err(PolicyError::TooManyFiles { count: files.len(), max: POLICY_FILES_MAX });
        }
    }
    files.sort();
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, read_file(&path)?))
    };
    let texts = files.into_iter().map(named).collect::<Result<Vec<_>, PolicyError>>()?;
    Ok((read_file(&folder.join(SCHEMA_FILE))?, texts))
}

fn read_file(path: &Path) -> Result<String, PolicyError> {
    let failed = |source| PolicyError::ReadFile { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > POLICY_FILE_BYTES_MAX {
        let file = path.display().to_string();
        return Err(PolicyError::FileTooLarge { file, bytes, max: POLICY_FILE_BYTES_MAX });
    }
    fs::read_to_string(path).map_err(failed)
}

/// Parses, names and validates. Files are (name, text).
pub(crate) fn check(schema: &str, files: &[(String, String)]) -> Result<Checked, PolicyError> {
    if files.len() > POLICY_FILES_MAX {
        return Err(PolicyError::TooManyFiles { count: files.len(), max: POLICY_FILES_MAX });
    }
    let (schema, warnings) = Schema::from_cedarschema_str(schema)
        .map_err(|source| PolicyError::Schema { source: Box::new(source) })?;
    if let Some(warning) = warnings.into_iter().next() {
        return Err(PolicyError::Schema { source: Box::new(warning) });
    }
    let mut policies = PolicySet::new();
    let mut notes: BTreeMap<String, Note> = BTreeMap::new();
    for (file, text) in files {
        add_file(file, text, &mut policies, &mut notes)?;
    }
    if notes.is_empty() {
        return Err(PolicyError::NoPolicy);
    }
    validate(&schema, &policies, &notes)?;
    Ok(Checked { schema, policies, notes })
}

fn add_file(
    file: &str,
    text: &str,
    policies: &mut PolicySet,
    notes: &mut BTreeMap<String, Note>,
) -> Result<(), PolicyError> {
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if bytes > POLICY_FILE_BYTES_MAX {
        let file = file.to_owned();
        return Err(PolicyError::FileTooLarge { file, bytes, max: POLICY_FILE_BYTES_MAX });
    }
    let set: PolicySet = text.parse().map_err(|source: cedar_policy::ParseErrors| {
        let line = line_of(&source, text);
        PolicyError::Parse { file: file.to_owned(), line, source: Box::new(source) }
    })?;
    if set.num_of_templates() > 0 {
        return Err(PolicyError::Template { file: file.to_owned() });
    }
    // Cedar numbers the policies of a file `policy0`, `policy1`, … and keeps them in no order.
    let mut numbered: Vec<(usize, &Policy)> = set.policies().map(|p| (number(p), p)).collect();
    numbered.sort_by_key(|(number, _)| *number);
    for (number, policy) in numbered {
        let (id, note) = describe(file, number.saturating_add(1), policy)?;
        if let Some(taken) = notes.get(&id) {
            let other = taken.file.clone();
            return Err(PolicyError::Duplicate { file: file.to_owned(), policy: id, other });
        }
        policies
            .add(policy.new_id(PolicyId::new(&id)))
            .map_err(|source| PolicyError::Slice { source: Box::new(source) })?;
        notes.insert(id, note);
        if notes.len() > POLICIES_MAX {
            return Err(PolicyError::TooManyPolicies { count: notes.len(), max: POLICIES_MAX });
        }
    }
    Ok(())
}

fn number(policy: &Policy) -> usize {
    let id = policy.id().to_string();
    id.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

/// The line, from 1, of the first thing that Cedar could not read.
fn line_of(errors: &cedar_policy::ParseErrors, text: &str) -> usize {
    let labels = errors.iter().next().and_then(Diagnostic::labels);
    let offset = labels.and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

fn describe(file: &str, position: usize, policy: &Policy) -> Result<(String, Note), PolicyError> {
    let file = file.to_owned();
    let id = policy.annotation("id").unwrap_or_default().to_owned();
    if id.is_empty() {
        return Err(PolicyError::Unnamed { file, position });
    }
    let is_sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.len() > 80 || !id.bytes().all(is_sound) {
        return Err(PolicyError::BadId { file, policy: id });
    }
    let why = policy.annotation("why").unwrap_or_default().trim().to_owned();
    if why.is_empty() {
        return Err(PolicyError::Unexplained { file, policy: id });
    }
    for rest in why.split('{').skip(1) {
        let placeholder = rest.split('}').next().unwrap_or_default();
        if !PLACEHOLDERS.contains(&placeholder) {
            let placeholder = placeholder.to_owned();
            return Err(PolicyError::Placeholder { file, policy: id, placeholder });
        }
    }
    let effect = match policy.effect() {
        cedar_policy::Effect::Permit => Effect::Permit,
        cedar_policy::Effect::Forbid => Effect::Forbid,
    };
    Ok((id, Note { file, effect, why }))
}

/// Strict, and warnings count: a policy that can never apply is a mistake, and a `forbid` that can
/// never apply is a dangerous one.
fn validate(
    schema: &Schema,
    policies: &PolicySet,
    notes: &BTreeMap<String, Note>,
) -> Result<(), PolicyError> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(|e| (e.policy_id().to_string(), e.to_string()));
    let warnings = result.validation_warnings().map(|w| (w.policy_id().to_string(), w.to_string()));
    let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (policy, problem) in errors.chain(warnings) {
        problems.entry(policy).or_default().push(problem);
    }
    let Some((policy, problems)) = problems.into_iter().next() else { return Ok(()) };
    let file = notes.get(&policy).map(|note| note.file.clone()).unwrap_or_default();
    Err(PolicyError::Invalid { file, policy, problems: problems.join("; ") })
}
