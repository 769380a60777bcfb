//! Decoding JPEG and PNG files.

use super::photo_error::{MAX_FILE_BYTES, MAX_PIXELS, PhotoErrorKind, check_size};
use super::picture::Picture;
use super::{exif, jpeg};
use crate::content::{Content, HEAD};
use image::error::{ImageError, LimitErrorKind};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, metadata::Orientation};
use std::io::Cursor;

/// The memory limit of the PNG decoder: the largest photo with four channels of 16 bits, and working memory.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8 + (64 << 20);

/// The photo in 8-bit gray or RGB, with the EXIF orientation applied.
pub fn decode(bytes: &[u8]) -> Result<Picture, PhotoErrorKind> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(PhotoErrorKind::TooManyBytes);
    }
    let (photo, orientation) = match Content::of(bytes.get(..HEAD).unwrap_or(bytes), bytes.len() as u64) {
        Content::Jpeg if !jpeg::has_end(bytes) => return Err(PhotoErrorKind::Truncated),
        Content::Jpeg => match jpeg::decode(bytes)? {
            Some(decoded) => decoded,
            None => decode_as(ImageFormat::Jpeg, bytes)?,
        },
        Content::Png => decode_as(ImageFormat::Png, bytes).map_err(|error| match error {
            PhotoErrorKind::Damaged(_) if !bytes.windows(4).rev().any(|window| window == b"IEND") => {
                PhotoErrorKind::Truncated
            }
            error => error,
        })?,
        Content::OtherPicture(format) => return Err(PhotoErrorKind::Unsupported { format }),
        other => return Err(PhotoErrorKind::NotAPhoto { looks_like: other.in_words() }),
    };
    let mut photo = to_eight_bits(photo);
    photo.apply_orientation(orientation);
    let (width, height) = (photo.width() as usize, photo.height() as usize);
    Ok(match photo {
        DynamicImage::ImageLuma8(gray) => Picture { width, height, channels: 1, pixels: gray.into_raw() },
        rgb => Picture { width, height, channels: 3, pixels: rgb.into_rgb8().into_raw() },
    })
}

/// The photo as decoded by the crate `image`, and its orientation.
fn decode_as(format: ImageFormat, bytes: &[u8]) -> Result<(DynamicImage, Orientation), PhotoErrorKind> {
    let error = |error: ImageError| match error {
        ImageError::Limits(limit) if !matches!(limit.kind(), LimitErrorKind::Unsupported { .. }) => {
            PhotoErrorKind::TooMuchMemory
        }
        error => {
            // The error follows the prefix "Format error decoding Png: ".
            let text = error.to_string();
            let text = text.strip_prefix("Format error decoding ").and_then(|rest| rest.split_once(": "));
            PhotoErrorKind::Damaged(text.map_or_else(|| error.to_string(), |(_, error)| error.to_owned()))
        }
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(error)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    // Damaged EXIF data is ignored.
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.as_deref().and_then(exif::orientation).unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(error)?, orientation))
}

/// Converts to 8-bit gray or RGB: transparency is dropped, not blended, and of 16 bits the upper half is kept (as in libpng
/// and Pillow).
fn to_eight_bits(photo: DynamicImage) -> DynamicImage {
    let upper = |values: &[u16], channels: usize, keep: usize| -> Vec<u8> {
        values.chunks_exact(channels).flat_map(|pixel| pixel[..keep].iter().map(|value| (value >> 8) as u8)).collect()
    };
    let keep = |values: &[u8], channels: usize, keep: usize| -> Vec<u8> {
        values.chunks_exact(channels).flat_map(|pixel| pixel[..keep].iter().copied()).collect()
    };
    let (width, height) = (photo.width(), photo.height());
    let (gray, pixels) = match &photo {
        DynamicImage::ImageLumaA8(x) => (true, keep(x, 2, 1)),
        DynamicImage::ImageRgba8(x) => (false, keep(x, 4, 3)),
        DynamicImage::ImageLuma16(x) => (true, upper(x, 1, 1)),
        DynamicImage::ImageLumaA16(x) => (true, upper(x, 2, 1)),
        DynamicImage::ImageRgb16(x) => (false, upper(x, 3, 3)),
        DynamicImage::ImageRgba16(x) => (false, upper(x, 4, 3)),
        _ => return photo,
    };
    let made = if gray {
        image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        image::RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
    };
    made.unwrap_or(photo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::seeded_rng::SeededRng;
    use std::fs;
    use std::path::Path;

    fn bytes(name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos").join(name)).unwrap()
    }

    fn error(bytes: &[u8]) -> String {
        decode(bytes).map(|picture| format!("{}x{}", picture.width, picture.height)).unwrap_err().to_string()
    }

    #[test]
    fn other_files_are_identified() {
        assert_eq!(error(b""), "not a photo, but an empty file");
        assert_eq!(error(b"<!doctype html><title>404</title>"), "not a photo, but a web page");
        assert_eq!(error(b"RIFF....WEBPVP8 "), "a WebP, which is not supported; photos are JPEG or PNG");
        assert_eq!(error(b"\x93NUMPY\x01\0"), "not a photo, but a NumPy array (.npy)");
    }

    #[test]
    fn truncated_files_are_errors() {
        let short = "truncated: the file ends before the photo does";
        for name in ["rocket.jpg", "progressive.jpg", "gray.png", "turned.jpg"] {
            let whole = bytes(name);
            assert!(decode(&whole).is_ok());
            for length in (24..whole.len() - 12).step_by(97) {
                assert_eq!(error(&whole[..length]), short, "{name}, {length} bytes");
            }
        }
    }

    /// A PNG with this size in its header, and the first bytes of its data.
    fn claims(width: u32, height: u32) -> Vec<u8> {
        let chunk = |kind: &[u8], data: &[u8]| {
            let body = [kind, data].concat();
            let mut crc = u32::MAX;
            for &byte in &body {
                crc ^= u32::from(byte);
                (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
            }
            [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
        };
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let signature = b"\x89PNG\r\n\x1a\n".to_vec();
        [signature, chunk(b"IHDR", &header), chunk(b"IDAT", b"\x78\x9c"), chunk(b"IEND", b"")].concat()
    }

    #[test]
    fn sizes_are_checked_before_allocation() {
        assert_eq!(
            error(&claims(60_000, 60_000)),
            "too large: 60000x60000 pixels; the limit is 64 Mpixel, 65535 per side"
        );
        assert!(error(&claims(70_000, 1)).starts_with("too large: 70000x1 pixels"));
        assert!(error(&claims(20, 20)).starts_with("damaged: "), "{}", error(&claims(20, 20)));
    }

    /// Changed bytes, mostly in headers.
    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let photos = ["rocket.jpg", "progressive.jpg", "cmyk.jpg", "turned.jpg", "palette.png", "deep.png"].map(bytes);
        let mut rng = SeededRng::new([0; 4]);
        let mut random = |below: usize| rng.below(below);
        for round in 0..600 {
            let mut bytes = photos[round % photos.len()].clone();
            let reach = if round % 3 == 0 { bytes.len() } else { 700 };
            for _ in 0..1 + random(6) {
                bytes[random(reach)] = [0, 255, 1, 0x7f, random(256) as u8][random(5)];
            }
            let _ = decode(&bytes);
        }
        for length in 0..200 {
            let mut bytes: Vec<u8> = (0..length).map(|_| random(256) as u8).collect();
            let signature: &[u8] = if length % 2 == 0 { b"\xff\xd8\xff" } else { b"\x89PNG\r\n\x1a\n" };
            bytes.splice(0..0, signature.iter().copied());
            let _ = decode(&bytes);
        }
    }
}
