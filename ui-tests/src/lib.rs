//! The browser harness: real Chromium, driven the way a person would, and looked over on every page.
//!
//! [`Browser::person`] gives each person a profile of their own; [`Page`] finds controls by what they
//! are called, never by class or position; [`Page::audit`] holds a page to everything that is promised
//! of every page. No other crate depends on this one, and axe-core stays out of the product.

mod audit;
mod browser;
mod page;
mod watch;

pub use browser::Browser;
pub use page::Page;
