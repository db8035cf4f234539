//! Nor printed. error[E0277]

use gate::{Held, Rows};

pub fn read(held: &Held<Rows>) -> String {
    format!("{held:?}")
}
