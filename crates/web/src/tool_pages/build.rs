//! Views out of a tool, what was asked, and what the gate released.

use std::collections::BTreeMap;

use gate::{Released, Rows, Total, Value};
use tools::Tool;
use tools::definition::{
    Action, ActionKind, Column, EvidencePart, Input, InputKind, Part, PartKind, TablePart,
};
use tools::expression::Scene;
use tools::form::Submission;
use tools::input::FieldError;
use tools::label::Label;

use super::part_id;
use super::view::{
    ActionButton, ConfirmView, Control, DocumentView, DrawerView, EvidenceView, Field, FormView,
    RecordView, RowView, Setting, TableView,
};

/// What every view of one request shares.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The tool.
    pub tool: &'a Tool,
    /// What was asked.
    pub asked: &'a Submission,
    /// The session's token.
    pub csrf: &'a str,
    /// The open row's sealed handle, for parts in its drawer.
    pub row: Option<&'a str>,
}

/// Seals a row's values into a handle; `None` leaves the row without one.
pub type Sealing<'a> = &'a mut dyn FnMut(BTreeMap<String, Value>) -> Option<String>;

/// A label's text. A label that can't be told here shows `otherwise`, never half of itself.
pub fn text(label: &Label, scene: &Scene<'_>, otherwise: &str) -> String {
    label.text(scene).unwrap_or_else(|_| otherwise.to_owned())
}

impl Stage<'_> {
    /// The form of a part, with what was typed and what could not be taken.
    pub fn form(&self, part: &Part, title: String, errors: Vec<FieldError>) -> Option<FormView> {
        let PartKind::Form(form) = &part.kind else { return None };
        let inputs = form.inputs.iter().filter_map(|id| self.tool.input(id));
        Some(FormView {
            tool: self.tool.id.clone(),
            part: part.id.clone(),
            title,
            csrf: self.csrf.to_owned(),
            fields: inputs.map(|input| self.field(input)).collect(),
            errors,
            button: form.button.clone(),
        })
    }

    /// One input, with what was typed.
    pub fn field(&self, input: &Input) -> Field {
        let value = self.asked.typed.get(&input.id).cloned().unwrap_or_default();
        let control = match &input.kind {
            InputKind::Text { chars_max } => Control::Text { value, chars_max: *chars_max },
            InputKind::LongText { chars_max } => Control::LongText { value, chars_max: *chars_max },
            InputKind::Choice { options, empty } => {
                Control::Choice { value, options: options.clone(), empty: empty.clone() }
            }
            InputKind::Date => Control::Date { value },
            InputKind::Number { least, most } => {
                Control::Number { value, least: *least, most: *most }
            }
            InputKind::Checkbox => Control::Checkbox { ticked: value == "yes" },
        };
        Field {
            name: input.id.clone(),
            label: input.label.clone(),
            hint: input.hint.clone(),
            required: input.required,
            sensitive: input.sensitive,
            control,
        }
    }

    /// What a part's own forms carry along: what was typed into the form before it, the views of
    /// the tables, and the open row. Left out is what the part's forms have as fields of their own.
    fn carried(&self, part: &Part, own_inputs: &[String]) -> Vec<(String, String)> {
        let mut carried = Vec::new();
        for input in self.tool.inputs_of(part) {
            if let Some(typed) = self.asked.typed.get(&input.id).filter(|typed| !typed.is_empty())
                && !own_inputs.contains(&input.id)
            {
                carried.push((input.id.clone(), typed.clone()));
            }
        }
        for (table, asked) in self.asked.tables.iter().filter(|(table, _)| **table != part.id) {
            let sort = asked.sort.iter().map(|(column, direction)| match direction {
                gate::Direction::Ascending => format!("{column}:asc"),
                gate::Direction::Descending => format!("{column}:desc"),
            });
            if !asked.sort.is_empty() {
                carried.push((format!("{table}.sort"), sort.collect::<Vec<_>>().join(",")));
            }
            if asked.page > 1 {
                carried.push((format!("{table}.page"), asked.page.to_string()));
            }
            for (column, typed) in &asked.filters {
                carried.push((format!("{table}.filter.{column}"), typed.clone()));
            }
        }
        if let Some(row) = self.row {
            carried.push(("row".to_owned(), row.to_owned()));
        }
        carried
    }

    fn setting(&self, part: &Part, title: String, entry: Option<u64>, own: &[String]) -> Setting {
        Setting {
            tool: self.tool.id.clone(),
            part: part.id.clone(),
            title,
            csrf: self.csrf.to_owned(),
            carried: self.carried(part, own),
            entry,
            inner: part.inside.is_some(),
        }
    }

    /// A table of what was released. `open` is the open row's key.
    pub fn table(
        &self,
        part: &Part,
        title: String,
        released: &Released<Rows>,
        open: Option<&BTreeMap<String, Value>>,
        seal: Sealing<'_>,
    ) -> Option<TableView> {
        let (rows, receipt) = released.open();
        self.table_of(part, title, rows, Some(receipt.entry.0), open, seal)
    }

    /// A table whose filters could not be taken: nothing was searched.
    pub fn unsearched(
        &self,
        part: &Part,
        title: String,
        errors: Vec<FieldError>,
    ) -> Option<TableView> {
        let none = Rows {
            columns: Vec::new(),
            rows: Vec::new(),
            total: Total::Exact(0),
            subjects: Vec::new(),
            caveat_column: None,
        };
        let view = self.table_of(part, title, &none, None, None, &mut |_| None)?;
        Some(TableView { errors, ..view })
    }

    pub(super) fn table_of(
        &self,
        part: &Part,
        title: String,
        rows: &Rows,
        entry: Option<u64>,
        open: Option<&BTreeMap<String, Value>>,
        seal: Sealing<'_>,
    ) -> Option<TableView> {
        let PartKind::Table(table) = &part.kind else { return None };
        let asked = self.asked.table(&part.id);
        let typed = |column: &str| asked.filters.get(column).cloned().unwrap_or_default();
        let filters = table.filter.iter().map(|filter| (filter.clone(), typed(&filter.column)));
        Some(TableView {
            setting: self.setting(part, title, entry, &[]),
            sortable: table.sort.clone(),
            sorted: if asked.sort.is_empty() { table.order.clone() } else { asked.sort.clone() },
            filters: filters.collect(),
            errors: Vec::new(),
            rows: self.rows(part, table, rows, open, seal),
            columns: table.columns.clone(),
            total: rows.total,
            page: asked.page,
            page_rows: table.page_rows,
            opens: table.opens.clone(),
            empty: part.empty.clone(),
        })
    }

    fn rows(
        &self,
        part: &Part,
        table: &TablePart,
        rows: &Rows,
        open: Option<&BTreeMap<String, Value>>,
        seal: Sealing<'_>,
    ) -> Vec<RowView> {
        let mut views = Vec::with_capacity(rows.rows.len());
        for row in &rows.rows {
            let key = self.tool.handle_values(part, &rows.columns, row);
            let open = open.is_some() && key.as_ref() == open;
            let handle = key.filter(|_| table.opens.is_some()).and_then(&mut *seal);
            views.push(RowView { cells: cells(&table.columns, rows, row), handle, open });
        }
        views
    }

    /// Rows as lists of fields.
    pub fn record(
        &self,
        part: &Part,
        title: String,
        released: &Released<Rows>,
        actions: Vec<ActionButton>,
    ) -> Option<RecordView> {
        let (rows, receipt) = released.open();
        self.record_of(part, title, rows, Some(receipt.entry.0), actions)
    }

    pub(super) fn record_of(
        &self,
        part: &Part,
        title: String,
        rows: &Rows,
        entry: Option<u64>,
        actions: Vec<ActionButton>,
    ) -> Option<RecordView> {
        let PartKind::Record(record) = &part.kind else { return None };
        Some(RecordView {
            setting: self.setting(part, title, entry, &[]),
            rows: rows.rows.iter().map(|row| cells(&record.fields, rows, row)).collect(),
            fields: record.fields.clone(),
            empty: part.empty.clone(),
            actions,
        })
    }

    /// The documents of a case.
    pub fn evidence(
        &self,
        part: &Part,
        title: String,
        released: &Released<Rows>,
        seal: Sealing<'_>,
    ) -> Option<EvidenceView> {
        let (rows, receipt) = released.open();
        self.evidence_of(part, title, rows, Some(receipt.entry.0), seal)
    }

    pub(super) fn evidence_of(
        &self,
        part: &Part,
        title: String,
        rows: &Rows,
        entry: Option<u64>,
        seal: Sealing<'_>,
    ) -> Option<EvidenceView> {
        let PartKind::Evidence(evidence) = &part.kind else { return None };
        let EvidencePart { fields, name, media_type, .. } = evidence;
        let said = |row: &[Value], column: &str| {
            let value = rows.position(column).and_then(|at| row.get(at));
            value.map(ToString::to_string).unwrap_or_default()
        };
        let mut documents = Vec::new();
        for row in &rows.rows {
            documents.push(DocumentView {
                name: said(row, name),
                media_type: said(row, media_type),
                cells: cells(fields, rows, row),
                handle: self.tool.handle_values(part, &rows.columns, row).and_then(&mut *seal),
            });
        }
        Some(EvidenceView {
            setting: self.setting(part, title, entry, &[]),
            fields: fields.clone(),
            documents,
            empty: part.empty.clone(),
        })
    }

    /// The open row of a drawer. The parts inside and the message are put in afterwards.
    pub fn drawer(
        &self,
        part: &Part,
        title: String,
        released: &Released<Rows>,
        actions: Vec<ActionButton>,
    ) -> Option<DrawerView> {
        let (rows, receipt) = released.open();
        self.drawer_of(part, title, rows, Some(receipt.entry.0), actions)
    }

    pub(super) fn drawer_of(
        &self,
        part: &Part,
        title: String,
        rows: &Rows,
        entry: Option<u64>,
        actions: Vec<ActionButton>,
    ) -> Option<DrawerView> {
        let PartKind::Drawer(drawer) = &part.kind else { return None };
        // Two rows for one key would be a fault of the file; neither is shown, then.
        let row = match rows.rows.as_slice() {
            [row] => cells(&drawer.fields, rows, row),
            _ => Vec::new(),
        };
        Some(DrawerView {
            setting: self.setting(part, title, entry, &[]),
            fields: drawer.fields.clone(),
            cells: row,
            parts: Vec::new(),
            actions,
            message: None,
        })
    }

    /// The buttons of a part's actions that hold for the row and that the person's functions are
    /// offered. A convenience: the gate is asked when it counts.
    pub fn buttons(&self, part: &Part, scene: &Scene<'_>) -> Vec<ActionButton> {
        let actions = part.actions.iter().filter_map(|id| self.tool.action(id));
        let offered = actions.filter(|action| {
            let functions = self.tool.access.of(action.needs);
            !functions.is_disjoint(&scene.actor.functions) && self.tool.offers(action, scene)
        });
        let button = |action: &Action| ActionButton {
            action: action.id.clone(),
            label: action.label.clone(),
            tone: action.confirm.tone,
            into: match &action.kind {
                ActionKind::Write { .. } => Some(part_id(&part.id)),
                ActionKind::Export { .. } => None,
            },
        };
        offered.map(button).collect()
    }

    /// The question before an action, in the place of the part that offers it.
    pub fn confirm(
        &self,
        part: &Part,
        action: &Action,
        scene: &Scene<'_>,
        errors: Vec<FieldError>,
    ) -> ConfirmView {
        let title = text(&action.confirm.title, scene, &action.label);
        let inputs = action.inputs.iter().filter_map(|id| self.tool.input(id));
        ConfirmView {
            setting: self.setting(part, title, None, &action.inputs),
            action: action.id.clone(),
            text: text(&action.confirm.text, scene, ""),
            fields: inputs.map(|input| self.field(input)).collect(),
            errors,
            button: action.confirm.button.clone(),
            tone: action.confirm.tone,
            has_row: self.row.is_some(),
        }
    }
}

/// A row's values in the order of the columns that are shown.
fn cells(columns: &[Column], rows: &Rows, row: &[Value]) -> Vec<Value> {
    let cell = |column: &Column| {
        rows.position(&column.name).and_then(|at| row.get(at)).cloned().unwrap_or(Value::Null)
    };
    columns.iter().map(cell).collect()
}
