//! Pages, API, configuration and wiring: the one room that speaks HTTP to people.

pub mod assets;
pub mod tool_pages;
