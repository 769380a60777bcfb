//! Decoding JPEGs, bit-identical to libjpeg-turbo, which Pillow, torchvision and OpenCV use.

use super::exif;
use super::photo_error::{MAX_PIXELS, MAX_SIDE, PhotoErrorKind, check_size};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::common::types::{ColorSpace, ComponentInfo, DecodeLimits, FrameHeader};
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The maximum number of scans: each costs a pass over all pixels, however few bytes it has.
pub const MAX_SCANS: usize = 500;
/// The memory limit of the decoder: coefficients of a progressive JPEG, planes and result.
pub const MAX_JPEG_MEMORY: u64 = 1 << 30;

/// A decoded JPEG and its orientation; `None` for one that another decoder should decode, see [`Pixels::Near`].
pub fn decode(bytes: &[u8]) -> Result<Option<(DynamicImage, Orientation)>, PhotoErrorKind> {
    // The crate is young. Two million damaged files did not make it panic; if one does, the photo is reported as damaged.
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes)))
        .unwrap_or_else(|_| Err(PhotoErrorKind::Damaged("the decoder failed".to_owned())))
}

fn decode_unguarded(bytes: &[u8]) -> Result<Option<(DynamicImage, Orientation)>, PhotoErrorKind> {
    let limits = DecodeLimits {
        max_width: MAX_SIDE as usize,
        max_height: MAX_SIDE as usize,
        max_pixels: MAX_PIXELS,
        max_scans: MAX_SCANS,
        max_memory: Some(MAX_JPEG_MEMORY),
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(error_of)?;
    let frame = decoder.header();
    check_size(u32::from(frame.width), u32::from(frame.height))?;
    match pixels(frame) {
        Ok(Pixels::Exact) => {}
        Ok(Pixels::Near) => return Ok(None),
        Err(format) => return Err(PhotoErrorKind::Unsupported { format }),
    }
    // As in libjpeg, for progressive JPEGs without their last scans.
    decoder.set_block_smoothing(true);
    decoder.set_output_format(match decoder.jpeg_color_space() {
        ColorSpace::Grayscale => PixelFormat::Grayscale,
        ColorSpace::Cmyk | ColorSpace::Ycck => PixelFormat::Cmyk,
        _ => PixelFormat::Rgb,
    });
    let photo = decoder.decode_image().map_err(error_of)?;
    let orientation = photo.exif_data.as_deref().and_then(exif::orientation).unwrap_or(Orientation::NoTransforms);
    let (width, height) = (photo.width as u32, photo.height as u32);
    let image = match photo.pixel_format {
        PixelFormat::Grayscale => GrayImage::from_raw(width, height, photo.data).map(DynamicImage::ImageLuma8),
        PixelFormat::Cmyk => {
            let (inks, _) = photo.data.as_chunks();
            let pixels = inks.iter().flat_map(rgb_of_inks).collect();
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
        }
        _ => RgbImage::from_raw(width, height, photo.data).map(DynamicImage::ImageRgb8),
    };
    match image {
        Some(image) => Ok(Some((image, orientation))),
        None => Err(PhotoErrorKind::Damaged("it has fewer pixels than it declares".to_owned())),
    }
}

/// How exactly a JPEG is decoded.
#[derive(Debug, PartialEq)]
enum Pixels {
    /// Identical to libjpeg-turbo, which was verified for every pair of sampling factors from 1 to 4.
    Exact,
    /// CMYK with subsampled components: this crate upsamples them incorrectly, the other is within 2 of 256 levels.
    Near,
}

/// How exactly a JPEG with this frame can be decoded, or why it is not supported.
fn pixels(frame: &FrameHeader) -> Result<Pixels, &'static str> {
    let factors = |c: &ComponentInfo| (c.horizontal_sampling, c.vertical_sampling);
    let all: Vec<(u8, u8)> = frame.components.iter().map(factors).collect();
    let &[(across, down), ..] = &all[..] else { return Err("a JPEG without components") };
    // Subsampled by integer factors relative to the first component.
    let fractions = all.iter().all(|&(x, y)| x > 0 && y > 0 && across % x == 0 && down % y == 0);
    match all.len() {
        _ if frame.is_lossless => Err("a lossless JPEG"),
        _ if frame.precision != 8 => Err("a JPEG with samples of other than 8 bits"),
        1 => Ok(Pixels::Exact),
        3 if fractions => Ok(Pixels::Exact),
        4 if all.iter().all(|&other| other == (across, down)) => Ok(Pixels::Exact),
        4 if fractions => Ok(Pixels::Near),
        3 | 4 => Err("a JPEG with more samples of chroma than of luma"),
        _ => Err("a JPEG with neither 1, 3 nor 4 components"),
    }
}

/// RGB of the four inks, which JPEGs store inverted, with the arithmetic of Pillow (`cmyk2rgb`, `MULDIV255`).
fn rgb_of_inks(&[cyan, magenta, yellow, black]: &[u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(255 - ink) * u32::from(black) + 128;
        black - (((product >> 8) + product) >> 8) as u8
    })
}

fn error_of(error: JpegError) -> PhotoErrorKind {
    match error {
        JpegError::LimitExceeded { what: "scan count", .. } => {
            PhotoErrorKind::Damaged(format!("it has more than {MAX_SCANS} scans"))
        }
        JpegError::LimitExceeded { .. } => PhotoErrorKind::TooMuchMemory,
        JpegError::UnexpectedEof => PhotoErrorKind::Damaged("its image data is truncated".to_owned()),
        JpegError::CorruptData(text) | JpegError::Unsupported(text) => PhotoErrorKind::Damaged(text),
        error => PhotoErrorKind::Damaged(error.to_string()),
    }
}

/// Whether the image data is followed by an end marker (an EXIF thumbnail has its own, inside a segment).
///
/// This is checked first because a decoder may silently fill missing data with gray.
pub fn has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    let mut scanned = false;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        at += found + 1;
        match bytes.get(at) {
            Some(0xd9) => return scanned,
            // Stuffed zeros, fill bytes, restart markers and others without a length.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(0xff) => {}
            Some(&marker) => {
                scanned |= marker == 0xda;
                match bytes.get(at + 1..at + 3) {
                    Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])),
                    _ => return false,
                }
            }
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::arrays::array_file;
    use crate::data::photos::decode::decode as photo;
    use std::path::Path;

    /// Baseline and progressive, every sampling, gray, RGB, CMYK, YCCK, with restarts, odd sizes, rotated.
    #[test]
    fn pixels_are_identical_to_pillow() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpegs");
        let pixels = folder.join("pixels.npz");
        let list = array_file::list(&pixels).unwrap();
        assert!(list.len() > 35);
        for info in list {
            let name = info.name.trim_end_matches(".npy").to_owned();
            let expected = array_file::read_npz(&pixels, &name).unwrap();
            let bytes = std::fs::read(folder.join(format!("{name}.jpg"))).unwrap();
            assert!(decode(&bytes).unwrap().is_some(), "{name} is not decoded by this decoder");
            let got = photo(&bytes).unwrap();
            let shape = [got.height, got.width, got.channels];
            assert_eq!(&shape[..expected.ndim()], expected.shape(), "{name}");
            assert_eq!(expected.ndim() == 2, got.channels == 1, "{name}");
            let differ = expected.iter().zip(&got.pixels).filter(|(want, got)| **want != f32::from(**got)).count();
            assert_eq!(differ, 0, "{name}: differing values");
        }
    }

    #[test]
    fn support_is_decided_by_the_frame() {
        let ones = [(1, 1); 4];
        let of = |precision, is_lossless, factors: &[(u8, u8)]| {
            let component = |&(horizontal_sampling, vertical_sampling): &(u8, u8)| ComponentInfo {
                id: 1,
                horizontal_sampling,
                vertical_sampling,
                quant_table_index: 0,
            };
            let components = factors.iter().map(component).collect();
            pixels(&FrameHeader { precision, height: 8, width: 8, components, is_progressive: false, is_lossless })
        };
        for exact in [&ones[..1], &ones[..3], &ones, &[(2, 2), (2, 1), (1, 2)], &[(2, 2)], &[(2, 1); 4]] {
            assert_eq!(of(8, false, exact), Ok(Pixels::Exact), "{exact:?}");
        }
        assert_eq!(of(8, false, &[(2, 2), (1, 1), (1, 1), (2, 2)]), Ok(Pixels::Near));
        for other in [&[][..], &ones[..2], &[(1, 1), (2, 2), (1, 1)], &[(3, 1), (2, 1), (1, 1)]] {
            assert!(of(8, false, other).is_err(), "{other:?}");
        }
        assert!(
            of(8, false, &[(2, 2), (0, 1), (1, 1)]).is_err()
                && of(8, false, &[(1, 1), (1, 1), (1, 1), (2, 2)]).is_err()
        );
        assert!(of(12, false, &ones[..3]).is_err() && of(8, true, &ones[..3]).is_err());
    }

    /// As written by Photoshop: YCCK with subsampled chroma.
    #[test]
    fn subsampled_inks_are_near() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpegs");
        let bytes = std::fs::read(folder.join("near/ycck_420.jpg")).unwrap();
        assert!(decode(&bytes).unwrap().is_none());
        let expected = array_file::read_npy(&folder.join("near/ycck_420.npy")).unwrap();
        let got = photo(&bytes).unwrap();
        assert_eq!([got.height, got.width, got.channels], expected.shape());
        let deviation =
            expected.iter().zip(&got.pixels).map(|(want, got)| (want - f32::from(*got)).abs()).fold(0.0, f32::max);
        assert!(deviation <= 2.0, "{deviation}");
    }

    #[test]
    fn the_end_of_a_jpeg_is_not_that_of_its_thumbnail() {
        // Start, an EXIF segment of 6 bytes with start and end markers, a scan of two bytes with a stuffed zero.
        let start = b"\xff\xd8\xff\xe1\0\x06\xff\xd8\xff\xd9\xff\xda\0\x02\xff\0\x11";
        assert!(!has_end(start));
        assert!(has_end(&[&start[..], b"\xff\xd9"].concat()));
        assert!(has_end(&[&start[..], b"\xff\xd0\xff\xff\xd9 and more"].concat()));
    }
}
