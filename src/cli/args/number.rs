//! Numbers of the command line, with their bounds.

/// A number of images at a time.
pub fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("write a number of images, at least 1".into()),
    }
}
