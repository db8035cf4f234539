//! The story: what people of two agencies do in a morning, played through the same pages that
//! they would use.
//!
//! `morning` is the order of things, `steps`, `refusals` and `traces` are the steps; [`client`] is
//! their browser, [`form`] and [`html`] are how it reads pages.

pub mod address;
mod cast;
pub mod client;
pub mod cookies;
pub mod form;
pub mod html;
mod morning;
mod refusals;
mod steps;
mod traces;

use std::io;

pub use cast::{Answered, Failed, Seat};
pub(crate) use morning::play;
pub use morning::play_queries;

/// What kept the story from going on.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    #[error("`{address}` is no address on loopback")]
    BadAddress { address: String },
    #[error("header `{name}` can't carry its value")]
    BadHeader { name: String },
    #[error("a browser would refuse cookie `{name}`: it {reason}")]
    BadCookie { name: String, reason: &'static str },
    #[error("could not connect to `{address}`")]
    Connect {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("could not speak with `{address}`")]
    Exchange {
        address: String,
        #[source]
        source: hyper::Error,
    },
    #[error("could not read the answer of `{address}`")]
    Answer {
        address: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{address}` did not answer in time")]
    TimedOut { address: String },
    #[error("`{address}` sends from place to place without end")]
    TooManyRedirects { address: String },
    #[error("`{address}` asks for a form to be posted again elsewhere")]
    WouldPostAgain { address: String },
    #[error("no form `{wanted}`; there is: {}", .there.join(", "))]
    NoForm { wanted: String, there: Vec<String> },
    #[error("no field `{name}` that takes `{value}`; there is: {}", .there.join(", "))]
    NoField { name: String, value: String, there: Vec<String> },
    #[error("no button `{wanted}`; there is: {}", .there.join(", "))]
    NoButton { wanted: String, there: Vec<String> },
    #[error("no link `{wanted}`; there is: {}", .there.join(", "))]
    NoLink { wanted: String, there: Vec<String> },
    #[error("no element with id `{id}` on `{address}`")]
    NoElement { id: String, address: String },
}
