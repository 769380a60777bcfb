//! Thumbnails of photos.

use super::decode::decode;
use super::photo;
use super::photo_error::{PhotoError, PhotoErrorKind};
use super::resample::{Side, resample};
use crate::ops::input::preprocessing::Interpolation;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use std::path::Path;

/// The JPEG quality of thumbnails.
const QUALITY: u8 = 82;

/// The photo at `path` as an upright JPEG whose longer side has at most `side` pixels.
///
/// # Errors
/// A file that cannot be read, is damaged or is not a photo.
pub fn thumbnail(path: &Path, side: u32) -> Result<Vec<u8>, PhotoError> {
    let named = |error| PhotoError { name: path.display().to_string(), error };
    let bytes = photo::load(path).map_err(named)?;
    let picture = decode(&bytes).map_err(named)?;
    let longer = picture.width.max(picture.height);
    let to = longer.min(side.max(1) as usize);
    let short = |from: usize| {
        let count = (from * to / longer).max(1);
        Side { from, to: count as u64, start: 0, count }
    };
    let (rows, columns) = (short(picture.height), short(picture.width));
    let pixels = resample(&picture, rows, columns, Interpolation::Bilinear);
    let colour = if picture.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&pixels, columns.count as u32, rows.count as u32, colour)
        .map_err(|error| named(PhotoErrorKind::Damaged(error.to_string())))?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_limited() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos");
        for name in ["coffee.png", "gray.jpg", "turned.jpg", "alpha.png"] {
            let path = folder.join(name);
            let whole = decode(&std::fs::read(&path).unwrap()).unwrap();
            let small = decode(&thumbnail(&path, 20).unwrap()).unwrap();
            assert_eq!((small.width.max(small.height), small.channels), (20, whole.channels), "{name}");
            assert_eq!(small.width > small.height, whole.width > whole.height, "{name}");
            let same = decode(&thumbnail(&path, u32::MAX).unwrap()).unwrap();
            assert_eq!((same.width, same.height), (whole.width, whole.height));
        }
        let error = thumbnail(&folder.join("README.md"), 20).unwrap_err().to_string();
        assert!(error.ends_with("README.md: not a photo, but text"), "{error}");
    }
}
