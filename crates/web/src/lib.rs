//! Pages, API, configuration and wiring: the one room that speaks HTTP to people.
//!
//! Start at [`app`], where every route is one line, and [`agency`], where the rooms are joined.

pub mod accounts;
pub mod agency;
pub mod app;
pub mod archiving;
pub mod assets;
pub mod commands;
pub mod config;
pub mod depots;
pub mod disclosure;
pub mod door;
pub mod emergency;
mod flood;
pub mod front;
mod handles;
pub mod headers;
pub mod layout;
pub mod ldap;
pub mod live;
pub mod multipart;
pub mod pages;
mod papers;
pub mod problem;
pub mod providers;
mod qualifications;
mod rate;
mod reading;
mod recognising;
mod refetch;
pub mod retention;
mod row_of;
pub mod scim;
pub mod serve;
pub mod session;
pub mod shared_ledger;
pub mod sharing;
mod signals;
mod stamps;
pub mod stopped;
pub mod storage;
mod tabular;
pub mod tending;
pub mod tool_pages;
pub mod upkeep;
pub mod upload;
pub mod witnesses;
