//! Laying out: blocks become sheets of lines, and a tree that says what each line is.
//!
//! Invariant: every line of a sheet belongs to exactly one leaf of the tree, or to none and is an ornament.

use super::face::{Faces, Weight};
use super::{Block, Document, DocumentError, EDGE_LINES_MAX, PAGES_MAX, Table, code, limit};

/// US Letter, in points.
const SHORT: f32 = 612.0;
const LONG: f32 = 792.0;
const MARGIN: f32 = 50.0;
const BODY: f32 = 9.0;
const SMALL: f32 = 8.0;
const LEADING: f32 = 1.35;
/// Between the columns of a table, and below its rows.
const GAP: f32 = 10.0;
const ROW_GAP: f32 = 4.0;
/// The side of a code: two inches. Nothing is beside it, so that it has its quiet zone.
const CODE: f32 = 144.0;
/// Columns that still fit beside each other; with more than `UPRIGHT`, on a page laid on its side.
const UPRIGHT: usize = 5;
const ACROSS: usize = 12;

/// What a part of the document is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Heading(u16, String),
    Paragraph,
    Table,
    Head,
    Body,
    Row,
    ColumnHeader,
    RowHeader,
    Cell,
    /// With what is said of it.
    Figure(String),
}

/// A part and the part that it is in, which comes before it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) parent: Option<usize>,
}

/// A line of text at its place: `y` is the base line, from the top.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) weight: Weight,
    pub(super) text: String,
    /// The node; none for what only repeats.
    pub(super) node: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) lines: Vec<Line>,
    /// Rules from margin to margin, at these heights.
    pub(super) rules: Vec<f32>,
    pub(super) codes: Vec<Code>,
}

/// A code at its place, from its upper left corner.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) x: f32,
    pub(super) y: f32,
    /// Of one square.
    pub(super) side: f32,
    /// Dark ones, by row.
    pub(super) squares: Vec<Vec<bool>>,
    pub(super) node: usize,
}

/// A heading, for the outline.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) text: String,
    pub(super) sheet: usize,
    pub(super) y: f32,
}

/// The whole document, laid out.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) sheets: Vec<Sheet>,
    pub(super) nodes: Vec<Node>,
    pub(super) marks: Vec<Mark>,
    /// Lines at the head and at the foot of every page.
    pub(super) head: Vec<String>,
    pub(super) foot: Vec<String>,
}

impl Laid {
    pub(super) const EDGE_SIZE: f32 = SMALL;
    pub(super) const EDGE_STEP: f32 = SMALL * LEADING;
    pub(super) const MARGIN: f32 = MARGIN;

    fn top(&self) -> f32 {
        MARGIN + self.head.len() as f32 * Self::EDGE_STEP + 6.0
    }

    fn bottom(&self) -> f32 {
        self.height - MARGIN - self.foot.len() as f32 * Self::EDGE_STEP - 8.0
    }

    fn inside(&self) -> f32 {
        self.width - 2.0 * MARGIN
    }
}

pub(super) fn lay(document: &Document, faces: &Faces) -> Result<Laid, DocumentError> {
    let wide = document.blocks.iter().any(|block| match block {
        Block::Table(table) => (UPRIGHT + 1..=ACROSS).contains(&table.columns.len()),
        Block::Heading(_) | Block::Paragraph(_) | Block::Facts(_) | Block::Code { .. } => false,
    });
    let (width, height) = if wide { (LONG, SHORT) } else { (SHORT, LONG) };
    let inside = width - 2.0 * MARGIN;
    let marks = faces.shown(&document.marks.join("  ·  "));
    let head =
        if marks.is_empty() { Vec::new() } else { faces.wrap(&marks, Weight::Bold, SMALL, inside) };
    // The number of the page stands at the right of the last line.
    let foot = faces.wrap(&faces.shown(&document.reference), Weight::Plain, SMALL, inside - 110.0);
    limit("lines at the head or foot of a page", head.len().max(foot.len()), EDGE_LINES_MAX)?;
    let sheets = vec![Sheet::default()];
    let laid = Laid { width, height, sheets, nodes: Vec::new(), marks: Vec::new(), head, foot };
    let y = laid.top();
    let mut pen = Pen { faces, laid, y, repeated: None };
    pen.heading(1, &document.title)?;
    for block in &document.blocks {
        match block {
            Block::Heading(text) => pen.heading(2, text)?,
            Block::Paragraph(text) => pen.paragraph(text)?,
            Block::Facts(facts) => pen.facts(facts)?,
            Block::Table(table) if table.columns.len() > ACROSS => pen.records(table)?,
            Block::Table(table) => pen.table(table)?,
            Block::Code { text, said } => pen.code(text, said)?,
        }
    }
    Ok(pen.laid)
}

/// Cells of one row, wrapped.
struct Cells<'a> {
    nodes: Vec<usize>,
    lines: Vec<Vec<String>>,
    widths: &'a [f32],
    weights: Vec<Weight>,
}

struct Pen<'a> {
    faces: &'a Faces,
    laid: Laid,
    y: f32,
    /// Column headers, to be repeated on the next page: their lines and widths.
    repeated: Option<(Vec<Vec<String>>, Vec<f32>)>,
}

impl Pen<'_> {
    fn node(&mut self, kind: Kind, parent: Option<usize>) -> usize {
        self.laid.nodes.push(Node { kind, parent });
        self.laid.nodes.len() - 1
    }

    fn fits(&self, height: f32) -> bool {
        self.y + height <= self.laid.bottom()
    }

    fn turn(&mut self) -> Result<(), DocumentError> {
        self.laid.sheets.push(Sheet::default());
        limit("pages", self.laid.sheets.len(), PAGES_MAX)?;
        self.y = self.laid.top();
        if let Some((lines, widths)) = self.repeated.take() {
            let rows = lines.iter().map(Vec::len).max().unwrap_or(0);
            for at in 0..rows {
                self.y += BODY * LEADING;
                self.across(&lines, &widths, at, |_| (Weight::Bold, None));
            }
            self.rule();
            self.repeated = Some((lines, widths));
        }
        Ok(())
    }

    /// One line of each cell, at the height of the pen.
    fn across(
        &mut self,
        lines: &[Vec<String>],
        widths: &[f32],
        at: usize,
        how: impl Fn(usize) -> (Weight, Option<usize>),
    ) {
        let (mut x, y) = (MARGIN, self.y);
        for (column, (cell, width)) in lines.iter().zip(widths).enumerate() {
            // An empty cell is a space: without content its tag would be left out, and the others would move up.
            let text = cell.get(at).map(|text| if text.is_empty() { " " } else { text });
            if let Some(text) = text {
                let (weight, node) = how(column);
                self.put(Line { x, y, size: BODY, weight, text: text.to_owned(), node });
            }
            x += width + GAP;
        }
    }

    fn put(&mut self, line: Line) {
        if let Some(sheet) = self.laid.sheets.last_mut() {
            sheet.lines.push(line);
        }
    }

    fn rule(&mut self) {
        self.y += ROW_GAP;
        let y = self.y;
        if let Some(sheet) = self.laid.sheets.last_mut() {
            sheet.rules.push(y);
        }
    }

    fn text(
        &mut self,
        text: &str,
        size: f32,
        weight: Weight,
        node: usize,
    ) -> Result<(), DocumentError> {
        let inside = self.laid.inside();
        for text in self.faces.wrap(text, weight, size, inside) {
            if !self.fits(size * LEADING) {
                self.turn()?;
            }
            self.y += size * LEADING;
            let y = self.y;
            self.put(Line { x: MARGIN, y, size, weight, text, node: Some(node) });
        }
        Ok(())
    }

    fn heading(&mut self, level: u16, text: &str) -> Result<(), DocumentError> {
        let text = self.faces.shown(text);
        let size = if level == 1 { 16.0 } else { 11.5 };
        // With room for a few lines of what it is the heading of.
        if !self.fits(size * LEADING + 60.0) {
            self.turn()?;
        }
        self.y += if level == 1 { 2.0 } else { 12.0 };
        let node = self.node(Kind::Heading(level, text.clone()), None);
        let (sheet, y) = (self.laid.sheets.len() - 1, self.y);
        self.text(&text, size, Weight::Bold, node)?;
        self.laid.marks.push(Mark { text, sheet, y });
        self.y += if level == 1 { 8.0 } else { 4.0 };
        Ok(())
    }

    fn paragraph(&mut self, text: &str) -> Result<(), DocumentError> {
        let text = self.faces.shown(text);
        let node = self.node(Kind::Paragraph, None);
        self.text(&text, BODY, Weight::Plain, node)?;
        self.y += 5.0;
        Ok(())
    }

    fn code(&mut self, text: &str, said: &str) -> Result<(), DocumentError> {
        let squares = code::squares(text)?;
        if !self.fits(CODE + GAP) {
            self.turn()?;
        }
        let node = self.node(Kind::Figure(self.faces.shown(said)), None);
        let side = CODE / squares.len().max(1) as f32;
        let y = self.y + ROW_GAP;
        if let Some(sheet) = self.laid.sheets.last_mut() {
            sheet.codes.push(Code { x: MARGIN, y, side, squares, node });
        }
        self.y += CODE + GAP;
        Ok(())
    }

    fn facts(&mut self, facts: &[(String, String)]) -> Result<(), DocumentError> {
        if facts.is_empty() {
            return Ok(());
        }
        let table = self.node(Kind::Table, None);
        let body = self.node(Kind::Body, Some(table));
        let widest = facts
            .iter()
            .map(|(name, _)| self.faces.width(&self.faces.shown(name), Weight::Bold, BODY));
        let first = widest.fold(60.0, f32::max).min(self.laid.inside() / 3.0);
        let widths = [first, self.laid.inside() - first - GAP];
        for (name, value) in facts {
            self.row(&[name, value], &widths, body, &Kind::RowHeader)?;
        }
        self.y += 5.0;
        Ok(())
    }

    /// Each row as a list of facts, where its columns do not fit beside each other.
    fn records(&mut self, table: &Table) -> Result<(), DocumentError> {
        for (number, row) in table.rows.iter().enumerate() {
            self.heading(3, &format!("Row {}", number + 1))?;
            let facts: Vec<_> = table.columns.iter().cloned().zip(row.iter().cloned()).collect();
            self.facts(&facts)?;
        }
        if table.rows.is_empty() { self.paragraph("No rows.") } else { Ok(()) }
    }

    fn table(&mut self, table: &Table) -> Result<(), DocumentError> {
        let widths = self.widths(table);
        let node = self.node(Kind::Table, None);
        let head = self.node(Kind::Head, Some(node));
        let columns: Vec<&String> = table.columns.iter().collect();
        let lines = self.row(&columns, &widths, head, &Kind::ColumnHeader)?;
        self.rule();
        self.repeated = Some((lines, widths.clone()));
        if !table.rows.is_empty() {
            let body = self.node(Kind::Body, Some(node));
            for row in &table.rows {
                let row: Vec<&String> = row.iter().collect();
                self.row(&row, &widths, body, &Kind::Cell)?;
            }
        }
        self.repeated = None;
        self.y += 5.0;
        if table.rows.is_empty() { self.paragraph("No rows.") } else { Ok(()) }
    }

    /// A row: whole on one page if it can be. `first` is what its first cell is; of column headers all are that.
    fn row(
        &mut self,
        cells: &[&String],
        widths: &[f32],
        parent: usize,
        first: &Kind,
    ) -> Result<Vec<Vec<String>>, DocumentError> {
        let row = self.node(Kind::Row, Some(parent));
        let mut laid = Cells { nodes: Vec::new(), lines: Vec::new(), widths, weights: Vec::new() };
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let kind = if column == 0 || *first == Kind::ColumnHeader {
                first.clone()
            } else {
                Kind::Cell
            };
            let weight = if kind == Kind::Cell { Weight::Plain } else { Weight::Bold };
            laid.nodes.push(self.node(kind, Some(row)));
            laid.lines.push(self.faces.wrap(&self.faces.shown(cell), weight, BODY, *width));
            laid.weights.push(weight);
        }
        let rows = laid.lines.iter().map(Vec::len).max().unwrap_or(0);
        let height = rows as f32 * BODY * LEADING + ROW_GAP;
        let page = self.laid.bottom() - self.laid.top() - 60.0;
        if !self.fits(height) && height <= page {
            self.turn()?;
        }
        for at in 0..rows {
            if !self.fits(BODY * LEADING) {
                self.turn()?;
            }
            self.y += BODY * LEADING;
            let (nodes, weights) = (&laid.nodes, &laid.weights);
            let how = |column: usize| {
                let weight = weights.get(column).copied().unwrap_or(Weight::Plain);
                (weight, nodes.get(column).copied())
            };
            self.across(&laid.lines, laid.widths, at, how);
        }
        self.y += ROW_GAP;
        Ok(laid.lines)
    }

    /// Column widths: what each needs, if there is room; else the wide ones share what the narrow ones leave.
    fn widths(&self, table: &Table) -> Vec<f32> {
        let count = table.columns.len();
        let mut needs: Vec<f32> = table
            .columns
            .iter()
            .map(|name| self.faces.width(&self.faces.shown(name), Weight::Bold, BODY))
            .collect();
        for row in &table.rows {
            for (need, cell) in needs.iter_mut().zip(row) {
                for line in self.faces.shown(cell).split('\n') {
                    *need = need.max(self.faces.width(line, Weight::Plain, BODY));
                }
            }
        }
        // A hair more than needed, so that rounding does not break a line.
        needs.iter_mut().for_each(|need| *need += 0.5);
        let mut left = self.laid.inside() - GAP * (count.saturating_sub(1)) as f32;
        let mut ascending: Vec<usize> = (0..count).collect();
        ascending.sort_by(|a, b| {
            needs.get(*a).partial_cmp(&needs.get(*b)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let mut widths = vec![0.0; count];
        for (done, column) in ascending.into_iter().enumerate() {
            let share = left / (count - done) as f32;
            let width = needs.get(column).copied().unwrap_or(share).min(share);
            if let Some(place) = widths.get_mut(column) {
                *place = width;
            }
            left -= width;
        }
        widths
    }
}
