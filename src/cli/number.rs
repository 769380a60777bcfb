//! Numbers of the command line, with their bounds.

/// More threads than this no machine that netc runs on has use for.
const MOST_THREADS: usize = 1024;

/// A number of threads.
pub fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MOST_THREADS) => Ok(count),
        _ => Err(format!("write a number of threads from 1 to {MOST_THREADS}")),
    }
}

/// A number of images at a time.
pub fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("write a number of images, at least 1".into()),
    }
}
