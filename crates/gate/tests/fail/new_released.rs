//! Nor by its constructor. error[E0624]

use gate::Released;

pub fn forge() {
    let _ = Released::<()>::new;
}
