//! The way it is meant, so that the refusals beside this file are not for want of a library.

use gate::{Gate, GateError, Held, Permit, Released, Rows};

fn fetch(permit: Permit, rows: Rows) -> Held<Rows> {
    permit.hold(rows)
}

pub async fn answer(gate: &Gate, permit: Permit, rows: Rows) -> Result<usize, GateError> {
    let released: Released<Rows> = gate.release(fetch(permit, rows)).await?;
    let (rows, _) = released.open();
    Ok(rows.rows.len())
}
