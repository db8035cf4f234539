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
