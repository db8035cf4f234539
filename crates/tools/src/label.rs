//! Text with expressions in braces: `Flag {row.plate}?`.
//!
//! The result is text and is escaped where it is shown; a label can't make markup. `{{` and `}}`
//! stand for the braces themselves.

use crate::expression::{Expression, ExpressionError, Scene, Scope};

/// The longest label, in bytes of the file.
pub const LABEL_BYTES_MAX: usize = 400;
/// The most expressions in one label.
const HOLES_MAX: usize = 8;

/// A checked label.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Label {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Hole(Expression),
}

impl Label {
    /// A label without expressions.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { pieces: vec![Piece::Text(text.to_owned())] }
    }

    /// True if it shows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Text(text) => text.is_empty(),
            Piece::Hole(_) => false,
        })
    }

    /// Checks a label against the names that are known at its place.
    ///
    /// # Errors
    /// What was expected instead, for a [`crate::Problem`].
    pub fn parse(text: &str, scope: &Scope) -> Result<Self, String> {
        if text.len() > LABEL_BYTES_MAX {
            return Err(format!("text of at most {LABEL_BYTES_MAX} bytes"));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push(if from.starts_with('{') { '{' } else { '}' });
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((inner, after)) = inner else {
                return Err("a `{` and a `}` around each expression".to_owned());
            };
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Hole(Expression::parse(inner, scope)?));
            rest = after;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        if pieces.iter().filter(|piece| matches!(piece, Piece::Hole(_))).count() > HOLES_MAX {
            return Err(format!("at most {HOLES_MAX} expressions in one text"));
        }
        Ok(Self { pieces })
    }

    /// The text, with every expression's value in its place. It is not yet escaped.
    ///
    /// # Errors
    /// [`ExpressionError`] if an expression has no value here.
    pub fn text(&self, scene: &Scene<'_>) -> Result<String, ExpressionError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Hole(expression) => match expression.value(scene)? {
                    gate::Value::Null => {}
                    value => text.push_str(&value.to_string()),
                },
            }
        }
        Ok(text)
    }
}
