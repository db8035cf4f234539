//! Nor taken apart. error[E0624]

use gate::{Held, Rows};

pub fn read(held: Held<Rows>) -> Rows {
    held.split().1
}
