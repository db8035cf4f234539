//! What the audit page can be asked: one list of fields, from which the form, the search, the words of
//! its record and the button for older entries are made.
//!
//! Invariant: what is given is kept or refused, never dropped: a filter that went missing would show
//! more than was asked for, and call it all there is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::{EntryNumber, KINDS, Outcome, Search, Subject};
use maud::{Markup, html};
use policy::Action;

use crate::app::Shared;
use crate::problem::Problem;

/// Entries on one page.
const PAGE_ENTRIES: u32 = 50;
/// The kinds of subject that can be asked for, with their labels.
const SUBJECT_KINDS: [(&str, &str); 6] = [
    ("person", "Person"),
    ("vehicle", "Vehicle"),
    ("case", "Case"),
    ("document", "Document"),
    ("exchange", "Exchange"),
    ("export", "Export"),
];

/// One field of the form.
struct Field {
    name: &'static str,
    label: &'static str,
    /// What the record of a search calls it.
    recorded: &'static str,
    input: Input,
}

/// How a field is filled in.
#[derive(Clone, Copy)]
enum Input {
    Text,
    Day,
    /// One of a list, or any.
    Choice(fn() -> Vec<&'static str>),
}

const fn field(
    name: &'static str,
    label: &'static str,
    recorded: &'static str,
    input: Input,
) -> Field {
    Field { name, label, recorded, input }
}

/// What is asked for most.
const FIRST: [Field; 6] = [
    field("actor", "Who (account key)", "actor", Input::Text),
    field("kind", "Event", "event", Input::Choice(kinds)),
    field("outcome", "Outcome", "outcome", Input::Choice(outcomes)),
    field("case_number", "Case number", "case number", Input::Text),
    field("from", "From (UTC)", "from", Input::Day),
    field("to", "To, that day included (UTC)", "to", Input::Day),
];

/// What stands behind "More filters".
const MORE: [Field; 7] = [
    field("function", "Job function", "job function", Input::Text),
    field("action", "Action", "action", Input::Choice(actions)),
    field("tool", "Tool (id)", "tool", Input::Text),
    field("source", "Source (id)", "source", Input::Text),
    field("purpose", "Purpose code", "purpose", Input::Text),
    field("partner", "Partner (id)", "partner", Input::Text),
    field("session", "Session (as on an entry's page)", "session", Input::Text),
];

fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

fn outcomes() -> Vec<&'static str> {
    Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect()
}

fn actions() -> Vec<&'static str> {
    Action::ALL.iter().map(|action| action.as_str()).collect()
}

/// What the form holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// What was given, by the field's name. What was left empty is not in it.
    given: BTreeMap<&'static str, String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    subject: Option<Subject>,
    before: Option<EntryNumber>,
}

impl Filter {
    /// Reads the form. `posted` gives a field's text, empty where there is none.
    pub(super) fn read<'a>(posted: impl Fn(&str) -> &'a str) -> Result<Self, Problem> {
        let mut given = BTreeMap::new();
        for Field { name, label, input, .. } in FIRST.iter().chain(&MORE) {
            let text = posted(name).trim();
            if text.is_empty() {
                continue;
            }
            if let Input::Choice(list) = input
                && !list().contains(&text)
            {
                let words = format!("`{label}` is not one of the list.");
                return Err(Problem::bad_input(words));
            }
            given.insert(*name, text.to_owned());
        }
        let day = |name: &str| given.get(name).map(|text| parse_day(name, text)).transpose();
        let (from, to) = (day("from")?, day("to")?);
        let after = to.map(|to| to.tomorrow().map_err(|_| not_a_day("to"))).transpose()?;
        let before = match posted("before").trim() {
            "" => None,
            text => Some(text.parse().map(EntryNumber).map_err(|_| {
                Problem::bad_input("The page of older entries has no number that can be read.")
            })?),
        };
        let start = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
        Ok(Self {
            subject: subject(posted("subject_kind").trim(), posted("subject").trim())?,
            from: from.and_then(start),
            to: after.and_then(start),
            given,
            before,
        })
    }

    /// The search that it asks for.
    pub(super) fn search(&self) -> Search {
        let text = |name: &str| self.given.get(name).cloned();
        Search {
            actor: text("actor"),
            function: text("function"),
            session: text("session"),
            kinds: text("kind").into_iter().collect(),
            action: text("action"),
            tool: text("tool"),
            source: text("source"),
            outcome: self.given.get("outcome").and_then(|it| Outcome::parse(it)),
            purpose: text("purpose"),
            case_number: text("case_number"),
            partner: text("partner"),
            from: self.from,
            to: self.to,
            subject: self.subject.clone(),
            before: self.before,
            ..Search::newest(PAGE_ENTRIES)
        }
    }

    /// What was looked for, without whom: the record of a search names no subject in the clear.
    pub(super) fn words(&self) -> String {
        let fields = FIRST.iter().chain(&MORE);
        let given = fields.filter(|field| self.given.contains_key(field.name));
        let mut given: Vec<&str> = given.map(|field| field.recorded).collect();
        given.extend(self.subject.as_ref().map(|_| "subject"));
        if given.is_empty() { "timeline".to_owned() } else { format!("by {}", given.join(", ")) }
    }

    /// Names and values of the fields, as the form of the next page sends them again.
    pub(super) fn again(&self) -> Vec<(&'static str, &str)> {
        let given = self.given.iter().map(|(name, text)| (*name, text.as_str()));
        let subject = self.subject.iter().flat_map(|subject| {
            [("subject_kind", subject.kind.as_str()), ("subject", subject.id.as_str())]
        });
        given.chain(subject).collect()
    }

    fn has_more(&self) -> bool {
        MORE.iter().any(|field| self.given.contains_key(field.name))
    }
}

fn parse_day(name: &str, text: &str) -> Result<Date, Problem> {
    text.parse().map_err(|_| not_a_day(name))
}

fn not_a_day(name: &str) -> Problem {
    let label = if name == "from" { "From" } else { "To" };
    Problem::bad_input(format!("`{label}` is not a date such as 2026-11-22."))
}

fn subject(kind: &str, id: &str) -> Result<Option<Subject>, Problem> {
    if !kind.is_empty() && !SUBJECT_KINDS.iter().any(|(known, _)| *known == kind) {
        return Err(Problem::bad_input("`About` is not one of the list."));
    }
    match (kind, id) {
        (_, "") => Ok(None),
        ("", _) => Err(Problem::bad_input("`About a` says what the identifier is of.")),
        _ => Ok(Some(Subject { kind: kind.to_owned(), id: id.to_uppercase() })),
    }
}

/// The form. Tools, sources and functions that are known here are offered; others that the ledger
/// may still speak of can be typed.
pub(super) fn form(agency: &Shared, filter: &Filter, csrf: &str) -> Markup {
    let subject = filter.subject.as_ref();
    let kind = subject.map_or("", |subject| subject.kind.as_str());
    html! {
        form class="card" id="search" method="post" action="/audit" data-frag="#entries" {
            input type="hidden" name="csrf" value=(csrf);
            div class="fields" { @for field in &FIRST { (control(field, filter)) } }
            fieldset class="usa-fieldset" {
                legend class="usa-legend" { "Who looked at this person, vehicle, case or document?" }
                div class="fields" {
                    div class="field" {
                        label class="usa-label" for="subject_kind" { "About a" }
                        select class="usa-select" id="subject_kind" name="subject_kind" {
                            @for (id, label) in SUBJECT_KINDS {
                                option value=(id) selected[id == kind] { (label) }
                            }
                        }
                    }
                    div class="field" {
                        label class="usa-label" for="subject" { "Its identifier" }
                        span class="usa-hint" id="subject-hint" {
                            "The record's id, or a case number: P-000113, V-000113, 24-000113"
                        }
                        input class="usa-input" id="subject" name="subject"
                            value=(subject.map_or("", |subject| subject.id.as_str()))
                            autocomplete="off" spellcheck="false" translate="no"
                            aria-describedby="subject-hint";
                    }
                }
            }
            details open[filter.has_more()] {
                summary { "More filters" }
                div class="fields" { @for field in &MORE { (control(field, filter)) } }
            }
            div class="field__actions" {
                button class="usa-button" type="submit" { "Search" }
            }
            (offers(agency))
        }
    }
}

fn control(field: &Field, filter: &Filter) -> Markup {
    let Field { name, label, input, .. } = field;
    let value = filter.given.get(name).map_or("", String::as_str);
    let list = match *name {
        "function" => Some("known-functions"),
        "tool" => Some("known-tools"),
        "source" => Some("known-sources"),
        _ => None,
    };
    // Not the name alone: `#tool` is the pages' own.
    let id = format!("filter-{name}");
    html! {
        div class="field" {
            label class="usa-label" for=(id) { (label) }
            @match input {
                Input::Text => {
                    input class="usa-input" id=(id) name=(name) value=(value) list=[list]
                        autocomplete="off" spellcheck="false" translate="no";
                }
                Input::Day => { input class="usa-input" type="date" id=(id) name=(name) value=(value); }
                Input::Choice(list) => {
                    select class="usa-select" id=(id) name=(name) {
                        option value="" { "Any" }
                        @for one in list() { option value=(one) selected[one == value] { (one) } }
                    }
                }
            }
        }
    }
}

/// What can be typed into a field, as far as it is known here.
fn offers(agency: &Shared) -> Markup {
    let tools = agency.tools.values();
    let access = tools.clone().flat_map(|tool| tool.access.run.iter().chain(&tool.access.write));
    let mut functions: Vec<&str> = access.map(policy::Function::as_str).collect();
    functions.sort_unstable();
    functions.dedup();
    let queries = tools.clone().flat_map(|tool| &tool.queries);
    let mut sources: Vec<&str> = queries.map(|query| query.connection.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    html! {
        datalist id="known-functions" { @for one in functions { option value=(one) {} } }
        datalist id="known-tools" {
            @for tool in tools { option value=(tool.id) { (tool.title) } }
        }
        datalist id="known-sources" { @for one in sources { option value=(one) {} } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Filter, Problem> {
        let fields: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Filter::read(|name| fields.get(name).map_or("", String::as_str))
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Every field of a search but its limit.
    const ALL: [(&str, &str); 16] = [
        ("actor", "demo|ruiz"),
        ("kind", "released"),
        ("outcome", "deny"),
        ("case_number", "24-000113"),
        ("from", "2026-11-01"),
        ("to", "2026-11-30"),
        ("function", "detective"),
        ("action", "run-query"),
        ("tool", "vehicle-lookup"),
        ("source", "records"),
        ("purpose", "C"),
        ("partner", "lakeside"),
        ("session", "0123456789abcdef"),
        ("subject_kind", "vehicle"),
        ("subject", "v-000113"),
        ("before", "77"),
    ];

    #[test]
    fn every_field_of_the_form_reaches_the_search() {
        let search = Search {
            actor: some("demo|ruiz"),
            function: some("detective"),
            session: some("0123456789abcdef"),
            kinds: vec!["released".to_owned()],
            action: some("run-query"),
            tool: some("vehicle-lookup"),
            source: some("records"),
            outcome: Some(Outcome::Deny),
            purpose: some("C"),
            case_number: some("24-000113"),
            partner: some("lakeside"),
            from: Some("2026-11-01T00:00:00Z".parse().unwrap()),
            to: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            subject: Some(Subject { kind: "vehicle".to_owned(), id: "V-000113".to_owned() }),
            before: Some(EntryNumber(77)),
            limit: PAGE_ENTRIES,
        };
        assert_eq!(read(&ALL).unwrap().search(), search);
        assert_eq!(read(&[]).unwrap().search(), Search::newest(PAGE_ENTRIES));
    }

    #[test]
    fn the_next_page_asks_for_the_same() {
        let first = read(&ALL).unwrap();
        let mut sent = first.again();
        sent.push(("before", "77"));
        assert_eq!(read(&sent).unwrap(), first);
    }

    #[test]
    fn the_record_of_a_search_has_no_value_of_a_field() {
        let words = read(&ALL).unwrap().words();
        assert!(words.starts_with("by actor, event, outcome, case number, from, to, job function"));
        assert!(words.ends_with("session, subject"), "{words}");
        for (_, value) in ALL.iter().filter(|(name, _)| *name != "before") {
            let said = words.split([',', ' ']).any(|word| word.eq_ignore_ascii_case(value));
            assert!(!said, "{words}");
        }
        assert_eq!(read(&[]).unwrap().words(), "timeline");
    }

    #[test]
    fn what_cannot_be_read_is_refused_rather_than_left_out() {
        for (name, value) in [("kind", "released "), ("actor", " "), ("subject_kind", "vehicle")] {
            assert!(read(&[(name, value)]).is_ok(), "{name} {value}");
        }
        for (name, value) in [
            ("kind", "everything"),
            ("outcome", "perhaps"),
            ("action", "look"),
            ("from", "yesterday"),
            ("to", "2026-02-30"),
            ("to", "9999-12-31"),
            ("subject_kind", "anybody"),
            ("subject", "P-000113"),
            ("before", "-1"),
        ] {
            assert!(read(&[(name, value)]).is_err(), "{name} {value}");
        }
    }
}
