//! The index against a plain scan, and against accidents.

mod accidents;
mod made;
mod measured;
mod searches;
