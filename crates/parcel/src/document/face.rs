//! The two faces, how wide a text is in them, and where its lines break.
//!
//! Text is drawn character by character, from left to right. Scripts that need more than that (Arabic, Hebrew,
//! Devanagari …) would come out wrong, so their characters are shown as numbers; the data beside the document has them.

use krilla::text::Font;
use skrifa::charmap::Charmap;
use skrifa::instance::{LocationRef, Size};
use skrifa::metrics::GlyphMetrics;
use skrifa::{FontRef, MetadataProvider as _};
use unicode_normalization::UnicodeNormalization as _;

use super::DocumentError;

/// DejaVu Sans 2.37 (`assets/fonts/LICENSE`): Latin, Greek, Cyrillic and much else.
const PLAIN: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans-Bold.ttf");

/// Which face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Plain,
    Bold,
}

pub(super) struct Face {
    pub(super) font: Font,
    map: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    units: f32,
}

pub(super) struct Faces {
    plain: Face,
    bold: Face,
}

impl Face {
    fn load(bytes: &'static [u8]) -> Result<Self, DocumentError> {
        let font = Font::new(bytes.into(), 0).ok_or(DocumentError::Font)?;
        let read = FontRef::new(bytes).map_err(|_| DocumentError::Font)?;
        let units = font.units_per_em();
        let metrics = read.glyph_metrics(Size::unscaled(), LocationRef::default());
        Ok(Self { font, map: read.charmap(), metrics, units })
    }

    /// A character's glyph, and its advance in ems.
    pub(super) fn glyph(&self, character: char) -> Option<(u32, f32)> {
        let glyph = self.map.map(character)?;
        let advance = self.metrics.advance_width(glyph)?;
        Some((glyph.to_u32(), advance / self.units))
    }
}

impl Faces {
    pub(super) fn load() -> Result<Self, DocumentError> {
        Ok(Self { plain: Face::load(PLAIN)?, bold: Face::load(BOLD)? })
    }

    pub(super) fn face(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Plain => &self.plain,
            Weight::Bold => &self.bold,
        }
    }

    /// The text as it can be drawn: composed, with line feeds, and with the number of what has no glyph here.
    pub(super) fn shown(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.nfc().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\r' if rest.peek() == Some(&'\n') => {}
                '\n' | ' ' => out.push(character),
                '\t' => out.push_str("    "),
                drawn if self.has(drawn) => out.push(drawn),
                other => out.push_str(&format!("[U+{:04X}]", u32::from(other))),
            }
        }
        out
    }

    fn has(&self, character: char) -> bool {
        let faces = [&self.plain, &self.bold];
        !character.is_control()
            && !crate::name::hidden(character)
            && !needs_shaping(character)
            && faces.iter().all(|face| face.glyph(character).is_some())
    }

    /// How wide a shown text is.
    pub(super) fn width(&self, text: &str, weight: Weight, size: f32) -> f32 {
        let face = self.face(weight);
        text.chars()
            .filter_map(|character| face.glyph(character))
            .map(|(_, advance)| advance * size)
            .sum()
    }

    /// Lines of a shown text, none wider than `width` unless a single character is. A line that goes on keeps the space at
    /// its end, so that a reader of the text finds the words apart.
    pub(super) fn wrap(&self, text: &str, weight: Weight, size: f32, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.split('\n') {
            let mut line = String::new();
            let mut used = 0.0;
            for word in paragraph.split_inclusive(' ') {
                let inked = self.width(word.trim_end(), weight, size);
                if used + inked > width && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                if inked <= width {
                    line.push_str(word);
                    used += self.width(word, weight, size);
                    continue;
                }
                for character in word.chars() {
                    let (_, advance) = self.face(weight).glyph(character).unwrap_or_default();
                    if used + advance * size > width && !line.is_empty() {
                        lines.push(std::mem::take(&mut line));
                        used = 0.0;
                    }
                    line.push(character);
                    used += advance * size;
                }
            }
            lines.push(line);
        }
        lines
    }
}

/// Written from right to left, or of glyphs that depend on their neighbours; and what means nothing without an agreement.
fn needs_shaping(character: char) -> bool {
    matches!(
        u32::from(character),
        0x0590..=0x109F
            | 0x1780..=0x18AF
            | 0x1900..=0x1CFF
            | 0xA800..=0xABFF
            | 0xD7B0..=0xF8FF
            | 0xFB1D..=0xFDFF
            | 0xFE70..=0xFEFF
            | 0xFFF0..=0xFFFF
            | 0x1_0800..=0x1_0FFF
            | 0x1_1000..=0x1_1FFF
            | 0x1_E800..=0x1_EFFF
            | 0xE_0000..
    )
}
