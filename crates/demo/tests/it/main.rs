//! The demo's world under conditions that it does not have by itself.

#![cfg(test)]

mod alarms;
mod download;
mod faults;
mod people;
mod postgres;
mod training;
mod witnessed;
