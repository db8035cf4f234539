//! What the pages of a tool show, before it is markup. Nothing here has a `Debug`: it is CJI.

use gate::{Direction, Total, Value};
use maud::Markup;
use tools::definition::{Column, Filterable, Tone};
use tools::input::FieldError;

/// A whole tool.
pub struct ToolView {
    /// What happened; above everything.
    pub message: Option<Message>,
    /// The form.
    pub form: FormView,
    /// The parts, drawn.
    pub parts: Vec<Markup>,
}

/// Something that happened, in a sentence.
pub struct Message {
    /// How it went.
    pub mood: Mood,
    /// A few words.
    pub title: String,
    /// A sentence; may be empty.
    pub text: String,
    /// The ledger entry to quote.
    pub entry: Option<u64>,
}

/// How something went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It was done.
    Done,
    /// It was not permitted, or failed.
    Refused,
    /// Worth knowing.
    Note,
}

/// A form, as far as it was filled in.
pub struct FormView {
    /// The tool's id.
    pub tool: String,
    /// The form part's id.
    pub part: String,
    /// The heading.
    pub title: String,
    /// The session's token.
    pub csrf: String,
    /// The fields, in order.
    pub fields: Vec<Field>,
    /// What could not be taken.
    pub errors: Vec<FieldError>,
    /// The words on the button.
    pub button: String,
}

/// One field of a form.
pub struct Field {
    /// The input's id; the name that is sent.
    pub name: String,
    /// The words beside it.
    pub label: String,
    /// Help under the label; may be empty.
    pub hint: String,
    /// True if it must be filled in always.
    pub required: bool,
    /// No autofill, no spell check, no translation.
    pub sensitive: bool,
    /// What it is, and what it holds.
    pub control: Control,
}

/// The kinds of fields, with what they hold.
pub enum Control {
    /// One line.
    Text {
        /// What it holds.
        value: String,
        /// At most so many characters.
        chars_max: usize,
    },
    /// Several lines.
    LongText {
        /// What it holds.
        value: String,
        /// At most so many characters.
        chars_max: usize,
    },
    /// One of a list.
    Choice {
        /// What was chosen.
        value: String,
        /// As (value, label).
        options: Vec<(String, String)>,
        /// The words for nothing chosen.
        empty: String,
    },
    /// A day.
    Date {
        /// What it holds.
        value: String,
    },
    /// A whole number.
    Number {
        /// What it holds.
        value: String,
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// A box to tick.
    Checkbox {
        /// Whether it is ticked.
        ticked: bool,
    },
}

/// What every part with forms of its own needs.
pub struct Setting {
    /// The tool's id.
    pub tool: String,
    /// The part's id.
    pub part: String,
    /// The heading.
    pub title: String,
    /// The session's token.
    pub csrf: String,
    /// What comes along with each request, hidden.
    pub carried: Vec<(String, String)>,
    /// The ledger entry under which the rows were released.
    pub entry: Option<u64>,
    /// True in a drawer, whose own heading stands above.
    pub inner: bool,
}

/// A table.
pub struct TableView {
    /// Where it stands.
    pub setting: Setting,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Columns that people may sort by.
    pub sortable: Vec<String>,
    /// The order that it is in; the first weighs most.
    pub sorted: Vec<(String, Direction)>,
    /// The filters, with what is in them.
    pub filters: Vec<(Filterable, String)>,
    /// What could not be taken from the filters. There are no rows then.
    pub errors: Vec<FieldError>,
    /// One page of rows.
    pub rows: Vec<RowView>,
    /// How many rows there are in all.
    pub total: Total,
    /// Which page, from 1.
    pub page: u32,
    /// How many rows a page has.
    pub page_rows: u32,
    /// The drawer that a row opens.
    pub opens: Option<String>,
    /// What is said when there are no rows.
    pub empty: String,
}

/// One row of a table or list.
pub struct RowView {
    /// One value for each column.
    pub cells: Vec<Value>,
    /// The sealed handle, if the row can be opened.
    pub handle: Option<String>,
    /// True if it is the open one.
    pub open: bool,
}

/// Rows shown as lists of fields.
pub struct RecordView {
    /// Where it stands.
    pub setting: Setting,
    /// The fields.
    pub fields: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// What is said when there are none.
    pub empty: String,
    /// Buttons under them, if there are rows.
    pub actions: Vec<ActionButton>,
}

/// A button that leads to an action's question.
pub struct ActionButton {
    /// The action's id.
    pub action: String,
    /// The words on it.
    pub label: String,
    /// How grave it looks.
    pub tone: Tone,
    /// The id of the element that the question replaces; `None` leads to a page.
    pub into: Option<String>,
}

/// An open row.
pub struct DrawerView {
    /// Where it stands. What is carried has the row's handle in it.
    pub setting: Setting,
    /// The fields.
    pub fields: Vec<Column>,
    /// One value for each field; empty if the row is no longer among what was searched.
    pub cells: Vec<Value>,
    /// The parts inside, drawn.
    pub parts: Vec<Markup>,
    /// What can be done with the row.
    pub actions: Vec<ActionButton>,
    /// What happened, above the fields.
    pub message: Option<Message>,
}

/// The question before an action.
pub struct ConfirmView {
    /// Where it stands; the part is the drawer, or the action's own part.
    pub setting: Setting,
    /// The action's id.
    pub action: String,
    /// What will happen; may be empty.
    pub text: String,
    /// What is asked for.
    pub fields: Vec<Field>,
    /// What could not be taken.
    pub errors: Vec<FieldError>,
    /// The words on the button that does it.
    pub button: String,
    /// How grave the button looks.
    pub tone: Tone,
    /// True if the person has a row to go back to.
    pub has_row: bool,
}

/// Documents of a case.
pub struct EvidenceView {
    /// Where it stands.
    pub setting: Setting,
    /// What is shown of each.
    pub fields: Vec<Column>,
    /// The documents.
    pub documents: Vec<DocumentView>,
    /// What is said when there are none.
    pub empty: String,
}

/// One document.
pub struct DocumentView {
    /// Its name for people.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// One value for each field.
    pub cells: Vec<Value>,
    /// The sealed handle; without it there is no link.
    pub handle: Option<String>,
}
