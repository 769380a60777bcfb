//! Errors and limits of photos.

use crate::ops::input::preprocessing::PreprocessingError;
use std::io;
use thiserror::Error;

/// The maximum number of pixels of a photo.
pub const MAX_PIXELS: u64 = 64 << 20;
/// The maximum side of a photo (the limit of JPEG).
pub const MAX_SIDE: u32 = 65_535;
/// The maximum size of a photo file in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Refuses photos that are too large or have no pixels, before any allocation.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), PhotoErrorKind> {
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PhotoErrorKind::TooManyPixels { width, height });
    }
    if width == 0 || height == 0 {
        return Err(PhotoErrorKind::Damaged("it has no pixels".to_owned()));
    }
    Ok(())
}

/// A photo that cannot be used, and why.
#[derive(Debug, Error)]
#[error("{name}: {error}")]
pub struct PhotoError {
    /// The file, as given.
    pub name: String,
    #[source]
    pub error: PhotoErrorKind,
}

/// What is wrong with a photo, or with the request.
#[derive(Debug, Error)]
pub enum PhotoErrorKind {
    #[error("no such file")]
    NotFound,
    #[error("a folder, not a photo")]
    Folder,
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    #[error("not a photo, but {looks_like}")]
    NotAPhoto { looks_like: &'static str },
    #[error("{format}, which is not supported; photos are JPEG or PNG")]
    Unsupported { format: &'static str },
    #[error("truncated: the file ends before the photo does")]
    Truncated,
    #[error("damaged: {0}")]
    Damaged(String),
    #[error("too large: {width}x{height} pixels; the limit is {} Mpixel, {MAX_SIDE} per side", MAX_PIXELS >> 20)]
    TooManyPixels { width: u32, height: u32 },
    #[error("too large: the file has more than {} MiB", MAX_FILE_BYTES >> 20)]
    TooManyBytes,
    #[error("too large: decoding needs more memory than the limit")]
    TooMuchMemory,
    #[error(
        "resized to {resized_height}x{resized_width}, it is smaller than the {height}x{width} of the Input; \
         `resize={resize}` must be at least as large"
    )]
    SmallerThanInput { resize: u32, resized_height: u64, resized_width: u64, height: usize, width: usize },
    #[error("pixels are (height, width, channels) with 1, 3 or 4 channels, not {found}")]
    Pixels { found: String },
    #[error("a photo has 1 or 3 channels, but the Input has {0}")]
    Channels(usize),
    #[error("the Input has no pixels: {height}x{width}")]
    NoPixels { height: usize, width: usize },
    #[error("the tensor has {got} values, but the photo {expected}")]
    Room { expected: usize, got: usize },
    #[error(transparent)]
    Preprocessing(#[from] PreprocessingError),
}
