//! The demo's world under conditions that it does not have by itself.

#![cfg(test)]

mod again;
mod agreements;
mod alarms;
mod authority;
mod by_hand;
mod carried;
mod changed;
mod custody;
#[expect(dead_code, reason = "sessions whose time is over are told of elsewhere")]
mod download;
mod emergency;
mod export;
mod faults;
#[expect(dead_code, reason = "agencies without records use the rest")]
mod film;
mod guest_card;
mod guest_door;
mod guests;
mod ldap;
mod notice;
mod passing_on;
mod people;
mod postgres;
mod query;
mod received;
mod recognising;
mod redacting;
mod returned;
mod reviews;
mod sending;
mod stage;
mod stamps;
mod taking_in;
mod training;
mod witnessed;
mod wizard;
