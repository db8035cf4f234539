//! The demo's world under conditions that it does not have by itself.

#![cfg(test)]

mod alarms;
mod by_hand;
mod download;
mod emergency;
mod faults;
mod ldap;
mod notice;
mod people;
mod postgres;
mod reviews;
mod training;
mod witnessed;
mod wizard;
