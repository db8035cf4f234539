//! In which row of a tool's list a document of an export stands, now that the list is read again.

use std::collections::BTreeMap;

use exchange::Item;
use gate::{Rows, Value, row_digest};

use crate::sharing::Recipe;

/// The digest of the row in which each document of a part stands, by the document's path. A row is known by the key of
/// the query; where that has none, by what the document itself is known by.
pub(crate) fn rows_of(
    recipes: &[&(&Item, Recipe)],
    key: &[String],
    rows: &Rows,
) -> BTreeMap<String, String> {
    let own: Vec<String> = recipes.first().map(|(_, first)| first.columns()).unwrap_or_default();
    let key = if key.is_empty() { own.as_slice() } else { key };
    // A document and the film that is made of it stand in one row.
    let mut known: BTreeMap<[u8; 32], Vec<&Item>> = BTreeMap::new();
    for (item, recipe) in recipes {
        known.entry(known_by(key, |name| recipe.value(name))).or_default().push(item);
    }
    let mut found = BTreeMap::new();
    for row in &rows.rows {
        let value = |name: &str| rows.position(name).and_then(|at| row.get(at));
        let digest = hex::encode(row_digest(row));
        for item in known.get(&known_by(key, value)).into_iter().flatten() {
            // Of several rows that are known by the same, the one that was asked for counts, if it is still there.
            let asked = item.listed.as_ref() == Some(&digest);
            if asked || !found.contains_key(&item.path) {
                found.insert(item.path.clone(), digest.clone());
            }
        }
    }
    found
}

/// What a row is known by, as a digest: the values of its key.
fn known_by<'a>(key: &[String], value: impl Fn(&str) -> Option<&'a Value>) -> [u8; 32] {
    let values: Vec<Value> =
        key.iter().map(|name| value(name).cloned().unwrap_or(Value::Null)).collect();
    row_digest(&values)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sharing::Piece;

    /// Two documents in a list whose query declares no key; then one's title changes, one is taken away, and one is there twice.
    #[test]
    fn documents_of_a_query_without_a_key_are_each_held_to_their_own_row() {
        let text = |text: &str| Value::Text(text.to_owned());
        let row = |key: &str, title: &str| vec![text(key), text(title)];
        let document = |key: &str, title: &str| {
            let values = BTreeMap::from([("store_key".to_owned(), text(key))]);
            let what = Piece::Document { part: "evidence".to_owned(), values, mp4: false };
            let item = Item {
                path: format!("evidence/{key}"),
                label: title.to_owned(),
                media_type: "video/mp4".to_owned(),
                record_class: "EVIDENCE".parse().unwrap(),
                caveats: BTreeSet::new(),
                listed: Some(hex::encode(row_digest(&row(key, title)))),
                fetch: serde_json::Value::Null,
                received: None,
                seen: None,
            };
            let recipe = Recipe {
                tool: "t".to_owned(),
                action: "a".to_owned(),
                typed: BTreeMap::new(),
                what,
                without: Vec::new(),
            };
            (item, recipe)
        };
        let (door, yard) = (document("door.mp4", "Door"), document("yard.mp4", "Yard"));
        let recipes = [(&door.0, door.1), (&yard.0, yard.1)];
        let recipes: Vec<_> = recipes.iter().collect();
        let rows = |rows| Rows {
            columns: vec!["store_key".to_owned(), "title".to_owned()],
            rows,
            total: gate::Total::Exact(0),
            subjects: Vec::new(),
            caveat_column: None,
        };
        let read = |all| {
            let found = rows_of(&recipes, &[], &rows(all));
            let same = |(item, _): &&(&Item, Recipe)| found.get(&item.path) == item.listed.as_ref();
            (found.len(), recipes.iter().map(same).collect::<Vec<_>>())
        };
        let (door, yard) = (row("door.mp4", "Door"), row("yard.mp4", "Yard"));
        assert_eq!(read(vec![door.clone(), yard.clone()]), (2, vec![true, true]));
        assert_eq!(read(vec![yard.clone(), row("door.mp4", "Gate")]), (2, vec![false, true]));
        assert_eq!(read(vec![door.clone()]), (1, vec![true, false]));
        let twice = vec![row("door.mp4", "Gate"), door, row("door.mp4", "Other"), yard];
        assert_eq!(read(twice), (2, vec![true, true]));
    }
}
