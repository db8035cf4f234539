//! A permit is spent once. error[E0382]

use gate::{Held, Permit, Rows};

pub fn twice(permit: Permit, rows: Rows) -> (Held<Rows>, Held<Rows>) {
    (permit.hold(rows.clone()), permit.hold(rows))
}
