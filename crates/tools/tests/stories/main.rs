//! The stories of tools: good files, bad files, forms, handles, bombs.

mod bad_files;
mod bad_parts;
mod bombs;
mod common;
mod demo_tools;
mod handles;
mod plans;
