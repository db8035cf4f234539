//! The demo's world under conditions that it does not have by itself.

#![cfg(test)]

mod alarms;
mod faults;
mod postgres;
mod witnessed;
