//! Trainings that a directory tells of, by an extension of our own: what counts of them.
//!
//! Invariant: one that is not whole, or that cannot be true, counts for nothing. It is kept and shown all the same,
//! for it is the directory's word.

use jiff::civil::Date;
use serde_json::{Map, Value};

use super::Document;
use super::schema::TRAINING;

/// Trainings of one person.
pub(super) const TRAININGS_MAX: usize = 100;

/// A course that somebody took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    pub course: String,
    /// The day on which it was taken.
    pub on: Date,
    /// The last day on which it counts, if there is one.
    pub until: Option<Date>,
    pub evidence: String,
}

/// The day of a date or a dateTime (RFC 7643, 2.3.5), as it is written there.
fn day(text: &str) -> Option<Date> {
    match text.get(..10) {
        Some(day) if text.len() == 10 || text.get(10..11) == Some("T") => day.parse().ok(),
        _ => None,
    }
}

impl Document {
    /// The trainings that count: with a course, a day that is not after `today`, and no end before that day.
    #[must_use]
    pub fn trainings(&self, today: Date) -> Vec<Training> {
        let all =
            self.body.get(TRAINING).and_then(|extension| extension.get("trainings")?.as_array());
        let all = all.map(Vec::as_slice).unwrap_or_default().iter();
        let mut read: Vec<Training> =
            all.filter_map(|one| training(one.as_object()?, today)).collect();
        let mut seen = std::collections::BTreeSet::new();
        read.retain(|one| seen.insert((one.course.clone(), one.on)));
        read
    }
}

fn training(one: &Map<String, Value>, today: Date) -> Option<Training> {
    let text = |name| one.get(name).and_then(Value::as_str);
    let on = day(text("date")?).filter(|on| *on <= today)?;
    let until = match text("expiry") {
        Some(until) => Some(day(until).filter(|until| *until >= on)?),
        None => None,
    };
    let (course, evidence) = (text("course")?.to_owned(), text("evidence").unwrap_or_default());
    Some(Training { course, on, until, evidence: evidence.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::USER;
    use crate::scim::{Patch, ResourceType};

    fn today() -> Date {
        "2026-11-30".parse().unwrap()
    }

    fn document(trainings: &Value) -> Result<Document, crate::scim::ScimError> {
        let body = json!({
            "schemas": [USER, TRAINING], "userName": "ruiz", TRAINING: { "trainings": trainings },
        });
        Document::read(ResourceType::User, body.to_string().as_bytes())
    }

    #[test]
    fn what_is_whole_and_can_be_true_counts_and_nothing_else() {
        let good = json!({
            "course": "awareness", "date": "2026-11-30", "expiry": "2027-11-30T00:00:00Z",
            "evidence": "C-1",
        });
        let read = document(&json!([
            good,
            { "course": "first-aid", "date": "2026-01-31T08:00:00Z" },
            { "course": "awareness", "date": "2026-12-01" },
            { "course": "driving", "date": "2026-01-02", "expiry": "2026-01-01" },
            { "date": "2026-01-02" },
            { "course": "driving", "evidence": "C-2" },
            { "course": "first-aid", "date": "2026-01-31", "evidence": "told twice" },
        ]))
        .unwrap();
        let expected = Training {
            course: "awareness".into(),
            on: today(),
            until: Some("2027-11-30".parse().unwrap()),
            evidence: "C-1".into(),
        };
        let read = read.trainings(today());
        assert_eq!(read.first(), Some(&expected));
        assert_eq!(
            read.iter().map(|one| &*one.course).collect::<Vec<_>>(),
            ["awareness", "first-aid"]
        );
        for bad in ["30.11.2026", "2026-13-01", "2026-11-30 08:00", "soon"] {
            let read = document(&json!([{ "course": "awareness", "date": bad }])).unwrap();
            assert!(read.trainings(today()).is_empty(), "{bad}");
        }
        let many: Vec<Value> = (0..=TRAININGS_MAX)
            .map(|n| json!({ "course": n.to_string(), "date": "2026-01-01" }))
            .collect();
        assert!(document(&many.into()).is_err());
    }

    #[test]
    fn a_patch_adds_one_and_takes_one_away() {
        let patched = |document: &Document, operation: Value| {
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [operation],
            });
            let patch = Patch::read(ResourceType::User, body.to_string().as_bytes()).unwrap();
            patch.apply(document).unwrap()
        };
        let courses = |document: &Document| {
            let all = document.trainings(today()).into_iter();
            all.map(|one| one.course).collect::<Vec<_>>()
        };
        let first = document(&json!([{ "course": "awareness", "date": "2026-01-01" }])).unwrap();
        let path = format!("{TRAINING}:trainings");
        let added = json!([{ "course": "driving", "date": "2026-02-01" }]);
        let two = patched(&first, json!({ "op": "add", "path": path, "value": added }));
        assert_eq!(courses(&two), ["awareness", "driving"]);
        let path = format!("{TRAINING}:trainings[course eq \"awareness\"]");
        let one = patched(&two, json!({ "op": "remove", "path": path }));
        assert_eq!(courses(&one), ["driving"]);
        let none = patched(&one, json!({ "op": "remove", "path": TRAINING }));
        assert!(courses(&none).is_empty());
    }
}
