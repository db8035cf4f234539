//! What is held is released once. error[E0382]

use gate::{Gate, Held, Rows};

pub async fn twice(gate: &Gate, held: Held<Rows>) {
    let _ = gate.release(held).await;
    let _ = gate.release(held).await;
}
