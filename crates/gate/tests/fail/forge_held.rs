//! What is held was held by a permit. error[E0451]

use gate::{Held, Permit, Rows};

pub fn forge(permit: Permit, rows: Rows) -> Held<Rows> {
    Held { permit, data: rows }
}
