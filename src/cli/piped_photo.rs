//! A photo from stdin: the input `-`.

use super::arrays::zeros;
use super::output::messages::error;
use super::result::Failed;
use crate::data::Decoding;
use crate::data::photos::photo;
use crate::data::photos::photo_error::MAX_FILE_BYTES;
use crate::diagnostics::Code;
use crate::file::read_piped;
use crate::source::plain;
use std::path::Path;

/// How outputs name the photo.
pub const NAME: &str = "stdin";

/// Whether an input is the photo from stdin.
pub fn is_piped(path: &Path) -> bool {
    path == Path::new("-")
}

/// The photo as the input of a net.
///
/// # Errors
/// What comes is no photo; the error has been reported.
pub fn read(decoding: &Decoding) -> Result<Vec<f32>, Failed> {
    let bytes = read_piped(std::io::stdin().lock(), MAX_FILE_BYTES)
        .map_err(|cause| error(Code::Photo, format!("stdin cannot be read: {}", plain(&cause))))?;
    let (height, width, channels) = decoding.size;
    let mut x = zeros(height * width * channels, 1)?;
    photo::read_bytes(&bytes, NAME, &decoding.preprocessing, decoding.size, &mut x)
        .map_err(|cause| error(Code::Photo, cause.to_string()))?;
    Ok(x)
}
