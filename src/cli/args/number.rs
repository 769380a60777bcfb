//! Parsers for numbers on the command line.

/// A batch size.
///
/// # Errors
/// Anything but an integer from 1.
pub fn batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("expected a number of images, at least 1".into()),
    }
}
