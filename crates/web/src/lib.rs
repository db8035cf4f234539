//! Pages, API, configuration and wiring: the one room that speaks HTTP to people.

pub mod assets;
