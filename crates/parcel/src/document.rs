//! Documents for people: PDF/A-3b, tagged (PDF/UA-1), made of headings, paragraphs, facts and tables.
//!
//! Invariants: the same document gives the same bytes; every page carries the marks, the reference and its number; a
//! character that the font lacks, or that would be drawn in the wrong order, is shown as its number and never dropped;
//! what does not fit the limits is an error, never a cut.

mod code;
mod face;
mod layout;
mod print;

use jiff::Timestamp;

use self::face::Faces;

/// Pages of one document.
pub const PAGES_MAX: usize = 5_000;
/// Bytes of all files attached to one document.
pub const ATTACHED_BYTES_MAX: usize = 64 << 20;
/// Columns of one table.
pub const COLUMNS_MAX: usize = 256;
/// Lines of marks at the head of a page, and of the reference at its foot.
pub const EDGE_LINES_MAX: usize = 6;
/// Bytes of a title, an author, a heading.
pub const TITLE_BYTES_MAX: usize = 4_096;

/// What a document says, from its first page to its last.
#[derive(Debug, Clone)]
pub struct Document {
    pub title: String,
    /// The agency.
    pub author: String,
    /// Program and version.
    pub program: String,
    /// Whole seconds, from 1970 on.
    pub created: Timestamp,
    /// Handling marks: at the head of every page.
    pub marks: Vec<String>,
    /// What the document is a part of, such as a ledger entry: at the foot of every page.
    pub reference: String,
    pub blocks: Vec<Block>,
    pub attached: Vec<Attached>,
}

/// One thing after another.
#[derive(Debug, Clone)]
pub enum Block {
    Heading(String),
    Paragraph(String),
    /// Names and what they are.
    Facts(Vec<(String, String)>),
    Table(Table),
    /// A QR code of a short text, and what is said of it to those who can't see it.
    Code {
        text: String,
        said: String,
    },
}

/// Rows under columns. Rows of more columns than a page is wide for are written one below the other, as facts.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub columns: Vec<String>,
    /// Each as long as the columns.
    pub rows: Vec<Vec<String>>,
}

/// A file that goes along inside.
#[derive(Debug, Clone)]
pub struct Attached {
    pub name: String,
    /// Such as `text/csv`.
    pub media_type: String,
    pub description: String,
    pub bytes: Vec<u8>,
}

/// Why a document could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("{what}: {value}, and the limit is {limit}")]
    Limit { what: &'static str, value: usize, limit: usize },
    #[error("the document {0}")]
    Shape(&'static str),
    #[error("the document's fonts can't be used")]
    Font,
    #[error("the document does not conform to PDF/A-3b: {0}")]
    Form(String),
}

impl Document {
    /// The PDF.
    pub fn write(&self) -> Result<Vec<u8>, DocumentError> {
        self.check()?;
        let faces = Faces::load()?;
        let laid = layout::lay(self, &faces)?;
        print::print(self, &laid, &faces)
    }

    fn check(&self) -> Result<(), DocumentError> {
        if self.title.trim().is_empty() {
            return Err(DocumentError::Shape("has no title"));
        }
        limit("bytes of a title", self.title.len().max(self.author.len()), TITLE_BYTES_MAX)?;
        let attached =
            self.attached.iter().fold(0, |sum: usize, file| sum.saturating_add(file.bytes.len()));
        limit("bytes of attached files", attached, ATTACHED_BYTES_MAX)?;
        for block in &self.blocks {
            match block {
                Block::Heading(text) => limit("bytes of a heading", text.len(), TITLE_BYTES_MAX)?,
                Block::Code { said, .. } => {
                    limit("bytes of a heading", said.len(), TITLE_BYTES_MAX)?
                }
                Block::Paragraph(_) | Block::Facts(_) => {}
                Block::Table(table) => {
                    limit("columns", table.columns.len(), COLUMNS_MAX)?;
                    if table.columns.is_empty()
                        || table.rows.iter().any(|row| row.len() != table.columns.len())
                    {
                        return Err(DocumentError::Shape(
                            "has a row that does not fit its columns",
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<(), DocumentError> {
    if value > limit { Err(DocumentError::Limit { what, value, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
