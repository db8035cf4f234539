//! Internal tools: a file that declares one, and what a filled form asks of the gate.
//!
//! A tool is one TOML file (`docs/formats/tool.md`). [`Tool::parse`] checks it whole and gives
//! either a [`definition::Tool`] or every problem with its line. [`Tool::plan`] turns a
//! [`form::Submission`] into a question and a plan, purely: nothing here reads a clock, asks a
//! policy or opens a connection, and nothing here can hand out a row.
//!
//! Invariant: SQL text comes from the file alone; what people type is bound.

pub mod checks;
pub mod definition;
pub mod evidence;
pub mod expression;
pub mod form;
#[doc(hidden)]
pub mod fuzzing;
pub mod handle;
pub mod input;
pub mod label;
pub mod lists;
mod lookup;
mod parse;
pub mod plan;
mod problem;
mod read;
mod sql;
mod toml10;

pub use checks::{Checked, check_tests};
pub use definition::Tool;
pub use parse::{Digest, load_folder};
pub use problem::{Problem, nearest};
