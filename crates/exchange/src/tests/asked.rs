//! What is asked for in the stories, and what it holds.

use super::*;

pub(super) fn item(path: &str, media_type: &str, class: &str) -> Item {
    Item {
        path: path.to_owned(),
        label: path.to_owned(),
        media_type: media_type.to_owned(),
        record_class: class.parse().unwrap(),
        caveats: BTreeSet::new(),
        listed: None,
        fetch: serde_json::json!({ "evidence": path }),
        received: None,
        seen: None,
    }
}

pub(super) fn new_export() -> NewExport {
    NewExport {
        title: "Burglary 24-000113".to_owned(),
        agreement: "lakeside-2026".to_owned(),
        items: vec![
            item("case/incident.csv", "text/csv", "INCIDENT"),
            item("evidence/statement.pdf", "application/pdf", "EVIDENCE"),
            item("evidence/door.mp4", "video/mp4", "EVIDENCE"),
        ],
        why: why(),
        requestor: None,
        exhibit: None,
        consent: None,
        left_out: Vec::new(),
        route: None,
        listed: Vec::new(),
    }
}

/// What each path holds. The video is large enough for many parts.
pub(super) fn content(path: &str) -> Vec<u8> {
    match path {
        "evidence/door.mp4" => {
            (0..400_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
        }
        other => format!("PLANTED-MARKER of {other}\n").into_bytes(),
    }
}

impl Agency {
    /// Fetches the items through the gate, as the platform does: each is released before it is sealed.
    pub(super) async fn fetch(
        &self,
        caller: &Caller,
        items: &[Item],
    ) -> Result<Vec<SealItem>, ExchangeError> {
        let mut sealed = Vec::new();
        for item in items {
            if item.received.is_some() {
                sealed.push(self.exchange.fetch_received(caller, item, &why()).await?);
                continue;
            }
            let question = Question {
                actor: caller.actor.clone(),
                action: Action::ReadEvidence,
                resource: Resource {
                    kind: ResourceKind::Evidence,
                    id: item.path.clone(),
                    tool: None,
                    source: None,
                    record_class: item.record_class.clone(),
                    caveats: item.caveats.clone(),
                    agency: caller.actor.agency.clone(),
                    requested_by: None,
                    agreement: None,
                },
                why: why(),
                allowed_functions: BTreeSet::new(),
                now: now(),
            };
            let plan = Plan::Export(item.path.clone());
            let permit = self.gate.authorise(question, plan, caller.origin.clone(), None).await?;
            let bytes = content(&item.path);
            let held = permit.hold(Document {
                name: item.path.clone(),
                media_type: item.media_type.clone(),
                length: bytes.len() as u64,
                range: (0, bytes.len() as u64),
                digest: keys::digest::sha256(&bytes),
                bytes,
                key: item.path.clone(),
            });
            let released = self.gate.release(held).await?;
            let (document, receipt) = released.into_parts();
            sealed.push(SealItem {
                path: item.path.clone(),
                media_type: document.media_type,
                modified: now(),
                length: document.length,
                open: Box::new(move || Ok(Box::new(std::io::Cursor::new(document.bytes)))),
                released: receipt.entry,
                listed: item.listed.clone(),
                derived: None,
            });
        }
        Ok(sealed)
    }

    /// Has somebody accept a parcel that arrived.
    pub(super) async fn accepted(&self, exchange: Uuid) {
        self.exchange.accept_parcel(&pell(), exchange).await.unwrap();
    }

    /// Asked for, approved and sealed; not yet sent.
    pub(super) async fn sealed(&self) -> Result<Export, ExchangeError> {
        let export = self.exchange.request(&ruiz(), new_export()).await?;
        self.exchange.approve(&okafor(), export.id).await?;
        let items = self.fetch(&ruiz(), &export.details.items).await?;
        self.exchange.seal(&ruiz(), export.id, items).await
    }
}
