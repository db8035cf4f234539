//! What only the whole tool shows to be wrong.

use crate::definition::{Need, PartKind, Tool};
use crate::read::Fields;

/// Records problems for what contradicts itself across blocks.
pub(super) fn refuse_contradictions(top: &Fields<'_, '_>, tool: &Tool) {
    for block in top.quiet_blocks("input") {
        let input = block.peek("id").and_then(|id| tool.input(&id));
        if input.is_some_and(|input| input.audit && input.sensitive) {
            block.wrong("audit", "either `audit` or `sensitive`: the ledger keeps what is audited");
        }
    }
    for block in top.quiet_blocks("part") {
        let part = block.peek("id").and_then(|id| tool.part(&id));
        let Some(PartKind::Form(form)) = part.map(|part| &part.kind) else { continue };
        let purpose = tool.input("purpose").filter(|input| input.required);
        let asks = purpose.is_some_and(|input| form.inputs.contains(&input.id));
        if tool.handling.purpose_required && !asks {
            block.wrong("inputs", "a required input `purpose`, since [handling] demands a purpose");
        }
    }
    for block in top.quiet_blocks("action") {
        let Some(action) = block.peek("id").and_then(|id| tool.action(&id)) else { continue };
        if tool.access.of(action.needs).is_empty() {
            // A question with an empty list would not be restricted by the tool at all.
            let list = match action.needs {
                Need::Run => "run",
                Need::Write => "write",
                Need::Export => "export",
            };
            block.wrong("needs", format!("a list of [access] with functions; `{list}` has none"));
        }
    }
}
