//! What a person asked to send: agreement, who there wants it, and what is to be left out. The names of the fields
//! are [`tools::form::EXPORT_FIELDS`].
//!
//! Invariant: what is left out is named by the words of the page, and what is not named is sent; nothing of a form
//! adds to what the tool's export gives.

use std::collections::{BTreeMap, BTreeSet};

use exchange::Item;

use crate::problem::Problem;
use crate::session::Posted;

/// Longest name of a person at the partner.
const REQUESTOR_CHARS_MAX: usize = 200;
/// Letters of an exhibit's number.
const EXHIBIT_CHARS_MAX: usize = 100;

/// What was asked for, beside what the tool itself asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) agreement: String,
    /// Who at the partner asked for it.
    pub(super) requestor: Option<String>,
    /// The exhibit's number in the case.
    pub(super) exhibit: Option<String>,
    /// Columns, as `query.column`.
    pub(super) without: BTreeSet<String>,
    /// Queries and documents, as the paths of their items begin.
    pub(super) skip: BTreeSet<String>,
    /// Films that are made of documents besides, by their paths.
    pub(super) also: BTreeSet<String>,
    /// Of documents that have redacted copies, what leaves.
    pub(super) which: BTreeSet<String>,
    /// The way that it takes; none is the push.
    pub(super) route: Option<String>,
    /// What the person was shown, by digest.
    pub(super) shown: BTreeMap<String, String>,
}

impl Wanted {
    pub(super) fn read(posted: &Posted) -> Result<Self, Problem> {
        let all = |wanted: &str| -> BTreeSet<String> {
            let fields = posted.fields.iter().filter(|(name, _)| name == wanted);
            fields.map(|(_, value)| value.clone()).collect()
        };
        let requestor = posted.text("requestor").trim();
        if requestor.chars().count() > REQUESTOR_CHARS_MAX {
            return Err(Problem::bad_input("Give a name of at most 200 characters."));
        }
        let exhibit = posted.text("exhibit").trim();
        if exhibit.chars().count() > EXHIBIT_CHARS_MAX {
            return Err(Problem::bad_input("Give an exhibit number of at most 100 characters."));
        }
        Ok(Self {
            agreement: posted.text("agreement").to_owned(),
            requestor: Some(requestor.to_owned()).filter(|name| !name.is_empty()),
            exhibit: Some(exhibit.to_owned()).filter(|number| !number.is_empty()),
            without: all("without"),
            skip: all("skip"),
            also: all("also"),
            which: all("which"),
            route: Some(posted.text("route").to_owned()).filter(|name| !name.is_empty()),
            shown: all("shown")
                .iter()
                .filter_map(|one| one.rsplit_once(':'))
                .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
                .collect(),
        })
    }

    /// The columns of a query that are left out.
    pub(super) fn without(&self, query: &str) -> Vec<String> {
        let columns = self.without.iter().filter_map(|name| name.split_once('.'));
        let own = columns.filter(|(of, _)| *of == query);
        own.map(|(_, column)| column.to_owned()).collect()
    }

    /// Whether an item goes along.
    pub(super) fn sends(&self, item: &Item) -> bool {
        !self.skip.contains(&part_of(item))
    }

    /// The fields again, as the form of the next page sends them.
    pub(super) fn again(&self) -> Vec<(&'static str, &str)> {
        let one = [("agreement", self.agreement.as_str())];
        let requestor = self.requestor.as_deref().map(|name| ("requestor", name));
        let exhibit = self.exhibit.as_deref().map(|number| ("exhibit", number));
        let without = self.without.iter().map(|name| ("without", name.as_str()));
        let skip = self.skip.iter().map(|name| ("skip", name.as_str()));
        let also = self.also.iter().map(|name| ("also", name.as_str()));
        let which = self.which.iter().map(|name| ("which", name.as_str()));
        let route = self.route.as_deref().map(|name| ("route", name));
        one.into_iter()
            .chain(requestor)
            .chain(exhibit)
            .chain(without)
            .chain(skip)
            .chain(also)
            .chain(which)
            .chain(route)
            .collect()
    }
}

/// What an item is a part of: `records/persons` of its CSV and its JSON, a document's own path.
pub(super) fn part_of(item: &Item) -> String {
    let rows = item.path.strip_prefix("records/").and_then(|name| name.rsplit_once('.'));
    rows.map_or_else(|| item.path.clone(), |(query, _)| format!("records/{query}"))
}
