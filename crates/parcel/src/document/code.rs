//! QR codes (ISO/IEC 18004): short texts that a telephone reads off a label.

use qrcodegen::{QrCode, QrCodeEcc};

use super::{DocumentError, limit};

/// Bytes of a text in a code: more makes squares that are too small to be read off paper.
const TEXT_BYTES_MAX: usize = 300;

/// The rows of a code's squares, dark ones `true`. A quarter of them may be lost.
pub(super) fn squares(text: &str) -> Result<Vec<Vec<bool>>, DocumentError> {
    limit("bytes in a code", text.len(), TEXT_BYTES_MAX)?;
    let code = QrCode::encode_text(text, QrCodeEcc::Quartile)
        .map_err(|_| DocumentError::Shape("has a code that is too long"))?;
    let row = |y| (0..code.size()).map(|x| code.get_module(x, y)).collect();
    Ok((0..code.size()).map(row).collect())
}
