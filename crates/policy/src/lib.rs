//! The nouns of the platform, and a policy set that answers a [`Question`] without I/O.
//!
//! A question says who wants to do what to which resource, and why. [`Policy::decide`] answers it
//! with a [`Decision`]: permit or deny, the policies that settled it, and the reason in plain
//! words. The policies are [Cedar](https://docs.cedarpolicy.com), in files that an agency reviews.
//!
//! Invariants:
//! - in doubt, deny: a policy that cannot be evaluated, a question over its limits and a question
//!   that does not fit the schema are denials (Cedar alone skips a policy that fails, even a `forbid`);
//! - policies are validated strictly when they are loaded, never when they are asked;
//! - the slices made at load change no decision.
//!
//! Absent on purpose: clocks, files after loading, networks, and anything about HTTP or SQL.

mod explain;
mod load;
mod nouns;
mod question;
mod sample;
mod set;
#[cfg(test)]
mod sliced;
mod translate;

pub use explain::{Considered, Effect, Explanation, Finding};
pub use load::{POLICIES_MAX, POLICY_FILE_BYTES_MAX, POLICY_FILES_MAX, PolicyError, defaults};
pub use nouns::{ActorId, CaseNumber, Caveat, Function, Malformed, Ori, PurposeCode, RecordClass};
pub use question::{
    Action, Actor, AgreementFacts, Assurance, Decision, Lack, Question, REASON_CHARS_MAX, Resource,
    ResourceKind, Verdict, Why,
};
#[doc(hidden)]
pub use sample::sample;
pub use set::Policy;
