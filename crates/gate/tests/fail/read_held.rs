//! What is held can't be read. error[E0616]

use gate::{Held, Rows};

pub fn read(held: &Held<Rows>) -> usize {
    held.data.rows.len()
}
