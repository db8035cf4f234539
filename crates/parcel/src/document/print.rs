//! Sheets into PDF: text, tags, outline, metadata, attachments; checked by krilla's validators as it is written.

use std::num::NonZeroU16;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use krilla::color::luma;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, Node as TagNode, SpanTag, TableHeaderScope,
    Tag, TagGroup, TagTree,
};
use krilla::text::{GlyphId, KrillaGlyph};
use krilla::{Document as Pdf, SerializeSettings};

use super::face::{Faces, Weight};
use super::layout::{Code, Kind, Laid, Line, Node};
use super::{Document, DocumentError};

const LANGUAGE: &str = "en-US";

pub(super) fn print(
    document: &Document,
    laid: &Laid,
    faces: &Faces,
) -> Result<Vec<u8>, DocumentError> {
    let form = |what: &str| DocumentError::Form(what.to_owned());
    let configuration = ConfigurationBuilder::new()
        .with_archival_validator(Archival::A3_B)
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|_| form("its standards exclude each other"))?;
    let mut pdf =
        Pdf::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    let mut content: Vec<Vec<Identifier>> = laid.nodes.iter().map(|_| Vec::new()).collect();
    let pages = laid.sheets.len();
    for (number, sheet) in laid.sheets.iter().enumerate() {
        let settings = PageSettings::from_wh(laid.width, laid.height)
            .ok_or_else(|| form("its pages have no size"))?;
        let mut page = pdf.start_page_with(settings);
        let mut surface = page.surface();
        for line in &sheet.lines {
            let tag = match line.node {
                Some(_) => ContentTag::Span(SpanTag::empty()),
                None => ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)),
            };
            let identifier = surface.start_tagged(tag);
            draw(&mut surface, line, faces);
            surface.end_tagged();
            if let Some(place) = line.node.and_then(|node| content.get_mut(node)) {
                place.push(identifier);
            }
        }
        for one in &sheet.codes {
            let identifier = surface.start_tagged(ContentTag::Other);
            code(&mut surface, one);
            surface.end_tagged();
            if let Some(place) = content.get_mut(one.node) {
                place.push(identifier);
            }
        }
        edges(&mut surface, laid, faces, (number + 1, pages));
        for y in &sheet.rules {
            rule(&mut surface, *y, laid.width);
        }
        surface.finish();
        page.finish();
    }
    pdf.set_tag_tree(tree(&laid.nodes, content));
    let mut outline = Outline::new();
    for mark in &laid.marks {
        let place = XyzDestination::new(mark.sheet, Point::from_xy(0.0, mark.y));
        outline.push_child(OutlineNode::new(mark.text.clone(), place));
    }
    pdf.set_outline(outline);
    let created = date(document.created)?;
    pdf.set_metadata(
        Metadata::new()
            .title(document.title.clone())
            .authors(vec![document.author.clone()])
            .creator(document.program.clone())
            .producer(document.program.clone())
            .language(LANGUAGE.to_owned())
            .creation_date(created),
    );
    attach(&mut pdf, document, created)?;
    pdf.finish().map_err(|error| DocumentError::Form(error.to_string()))
}

/// The files that go along with it.
fn attach(pdf: &mut Pdf, document: &Document, created: DateTime) -> Result<(), DocumentError> {
    let form = |what: &str| DocumentError::Form(what.to_owned());
    for file in &document.attached {
        let mime = MimeType::new(&file.media_type)
            .ok_or_else(|| form("an attached file has no media type"))?;
        let embedded = EmbeddedFile {
            path: file.name.clone(),
            mime_type: Some(mime),
            description: Some(file.description.clone()),
            association_kind: AssociationKind::Data,
            data: file.bytes.clone().into(),
            modification_date: Some(created),
            compress: Some(true),
            location: None,
        };
        pdf.embed_file(embedded).ok_or_else(|| form("two attached files have one name"))?;
    }
    Ok(())
}

fn draw(surface: &mut Surface<'_>, line: &Line, faces: &Faces) {
    let face = faces.face(line.weight);
    let glyphs: Vec<KrillaGlyph> = line
        .text
        .char_indices()
        .filter_map(|(at, character)| {
            let (glyph, advance) = face.glyph(character)?;
            let range = at..at + character.len_utf8();
            Some(KrillaGlyph::new(GlyphId::new(glyph), advance, 0.0, 0.0, 0.0, range, None))
        })
        .collect();
    surface.set_fill(Some(Fill { paint: luma::Color::black().into(), ..Fill::default() }));
    surface.set_stroke(None);
    let start = Point::from_xy(line.x, line.y);
    surface.draw_glyphs(start, &glyphs, face.font.clone(), &line.text, line.size, false);
}

/// Marks above, reference and page number below.
fn edges(surface: &mut Surface<'_>, laid: &Laid, faces: &Faces, (number, pages): (usize, usize)) {
    let size = Laid::EDGE_SIZE;
    let mut edge = |kind, lines: Vec<Line>| {
        if lines.is_empty() {
            return;
        }
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(kind)));
        for line in &lines {
            draw(surface, line, faces);
        }
        surface.end_tagged();
    };
    let line =
        |x, y, weight, text: &str| Line { x, y, size, weight, text: text.to_owned(), node: None };
    let left = Laid::MARGIN;
    let head = laid.head.iter().enumerate();
    let head = head
        .map(|(at, text)| line(left, left - 6.0 + at as f32 * Laid::EDGE_STEP, Weight::Bold, text));
    edge(ArtifactType::Header, head.collect());
    let last = laid.height - Laid::MARGIN + 6.0;
    let foot = laid.foot.iter().rev().enumerate();
    let foot =
        foot.map(|(at, text)| line(left, last - at as f32 * Laid::EDGE_STEP, Weight::Plain, text));
    let count = format!("Page {number} of {pages}");
    let x = laid.width - Laid::MARGIN - faces.width(&count, Weight::Plain, size);
    let foot: Vec<Line> = foot.rev().chain([line(x, last, Weight::Plain, &count)]).collect();
    edge(ArtifactType::Footer, foot);
}

fn rule(surface: &mut Surface<'_>, y: f32, width: f32) {
    let mut path = PathBuilder::new();
    path.move_to(Laid::MARGIN, y);
    path.line_to(width - Laid::MARGIN, y);
    let Some(path) = path.finish() else { return };
    surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
    surface.set_fill(None);
    let paint = luma::Color::new(110).into();
    surface.set_stroke(Some(Stroke {
        paint,
        width: 0.6,
        opacity: NormalizedF32::ONE,
        ..Stroke::default()
    }));
    surface.draw_path(&path);
    surface.end_tagged();
}

/// The dark squares, those beside each other as one.
fn code(surface: &mut Surface<'_>, code: &Code) {
    let mut path = PathBuilder::new();
    for (row, squares) in code.squares.iter().enumerate() {
        let mut at = 0;
        for run in squares.chunk_by(|a, b| a == b) {
            if run.first() == Some(&true) {
                let (x, y) = (code.x + at as f32 * code.side, code.y + row as f32 * code.side);
                if let Some(dark) = Rect::from_xywh(x, y, run.len() as f32 * code.side, code.side) {
                    path.push_rect(dark);
                }
            }
            at += run.len();
        }
    }
    let Some(path) = path.finish() else { return };
    surface.set_fill(Some(Fill { paint: luma::Color::black().into(), ..Fill::default() }));
    surface.set_stroke(None);
    surface.draw_path(&path);
}

/// The tree of tags: each node with its content and its parts, in order.
fn tree(nodes: &[Node], content: Vec<Vec<Identifier>>) -> TagTree {
    let mut children: Vec<Vec<TagNode>> = content
        .into_iter()
        .map(|leaves| leaves.into_iter().rev().map(TagNode::from).collect())
        .collect();
    let mut top = Vec::new();
    // From the last: a node's parts come after it, so they are complete when it is reached.
    for (at, node) in nodes.iter().enumerate().rev() {
        let mut inside = children.get_mut(at).map(std::mem::take).unwrap_or_default();
        inside.reverse();
        let group = TagNode::from(group(&node.kind, inside));
        match node.parent.and_then(|parent| children.get_mut(parent)) {
            Some(parent) => parent.push(group),
            None => top.push(group),
        }
    }
    let mut tree = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    for node in top.into_iter().rev() {
        tree.push(node);
    }
    tree
}

fn group(kind: &Kind, inside: Vec<TagNode>) -> TagGroup {
    match kind {
        Kind::Heading(level, text) => {
            let level = NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN);
            TagGroup::with_children(Tag::Hn(level, Some(text.clone())), inside)
        }
        Kind::Figure(said) => TagGroup::with_children(Tag::Figure(Some(said.clone())), inside),
        Kind::Paragraph => TagGroup::with_children(Tag::P, inside),
        Kind::Table => TagGroup::with_children(Tag::Table, inside),
        Kind::Head => TagGroup::with_children(Tag::THead, inside),
        Kind::Body => TagGroup::with_children(Tag::TBody, inside),
        Kind::Row => TagGroup::with_children(Tag::TR, inside),
        Kind::ColumnHeader => TagGroup::with_children(Tag::TH(TableHeaderScope::Column), inside),
        Kind::RowHeader => TagGroup::with_children(Tag::TH(TableHeaderScope::Row), inside),
        Kind::Cell => TagGroup::with_children(Tag::TD, inside),
    }
}

fn date(at: Timestamp) -> Result<DateTime, DocumentError> {
    let at = at.to_zoned(TimeZone::UTC);
    let bad = |_| DocumentError::Shape("has a time that PDF can't write");
    let small = |value: i8| u8::try_from(value).map_err(bad);
    let year = u16::try_from(at.year()).map_err(bad)?;
    Ok(DateTime::new(year)
        .month(small(at.month())?)
        .day(small(at.day())?)
        .hour(small(at.hour())?)
        .minute(small(at.minute())?)
        .second(small(at.second())?)
        .utc_offset_hour(0)
        .utc_offset_minute(0))
}
