//! Nor by its constructor. error[E0624]

use gate::Permit;

pub fn forge() {
    let _ = Permit::new;
}
