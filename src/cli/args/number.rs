//! Parsers for numbers on the command line.

/// A batch size, or another count.
///
/// # Errors
/// Anything but an integer from 1.
pub fn batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("expected a whole number, at least 1".into()),
    }
}
