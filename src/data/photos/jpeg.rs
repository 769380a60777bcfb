//! The bytes of a JPEG to its pixels, equal to those of libjpeg-turbo, which Pillow, torchvision and OpenCV use.

use super::exif;
use super::photo_error::{MAX_PIXELS, MAX_SIDE, PhotoErrorKind, check_size};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::common::types::{ColorSpace, ComponentInfo, DecodeLimits, FrameHeader};
use libjpeg_turbo_rs::{Decoder, JpegError, PixelFormat};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// JPEGs with more scans are refused: each costs a pass over all pixels, however few its bytes are.
pub const MAX_SCANS: usize = 500;
/// What the decoder may take for the pixels of a JPEG: coefficients of a progressive one, planes and result.
pub const MAX_JPEG_MEMORY: u64 = 1 << 30;

/// A decoded JPEG and how it is to be turned; None for one that is to be decoded otherwise, see [`Pixels::Near`].
pub fn decode(bytes: &[u8]) -> Result<Option<(DynamicImage, Orientation)>, PhotoErrorKind> {
    // The crate is young. None of two million damaged files made it panic; should one, its photo is at error.
    catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes)))
        .unwrap_or_else(|_| Err(PhotoErrorKind::Damaged("the decoder fails at it".to_owned())))
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
    // As in libjpeg: for a progressive JPEG whose last scans are missing.
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
        None => Err(PhotoErrorKind::Damaged("it has fewer pixels than it says".to_owned())),
    }
}

/// What is known of a JPEG's pixels from its frame.
#[derive(Debug, PartialEq)]
enum Pixels {
    /// Those of libjpeg-turbo, compared for every pair of sampling factors of 1 to 4.
    Exact,
    /// CMYK with fewer samples of some components: this crate enlarges them wrongly, another is within 2 of 256 levels.
    Near,
}

/// How near to libjpeg-turbo's pixels a JPEG of this layout can be decoded; else what it is.
fn pixels(frame: &FrameHeader) -> Result<Pixels, &'static str> {
    let factors = |c: &ComponentInfo| (c.horizontal_sampling, c.vertical_sampling);
    let all: Vec<(u8, u8)> = frame.components.iter().map(factors).collect();
    let &[(across, down), ..] = &all[..] else { return Err("a JPEG without components") };
    // Whole fractions of the first component's samples.
    let fractions = all.iter().all(|&(x, y)| x > 0 && y > 0 && across % x == 0 && down % y == 0);
    match all.len() {
        _ if frame.is_lossless => Err("a lossless JPEG"),
        _ if frame.precision != 8 => Err("a JPEG whose samples are not of 8 bits"),
        1 => Ok(Pixels::Exact),
        3 if fractions => Ok(Pixels::Exact),
        4 if all.iter().all(|&other| other == (across, down)) => Ok(Pixels::Exact),
        4 if fractions => Ok(Pixels::Near),
        3 | 4 => Err("a JPEG with more samples of its colours than of its light"),
        _ => Err("a JPEG with neither 1, 3 nor 4 components"),
    }
}

/// Red, green and blue of the four inks, which JPEGs hold inverted; Pillow's arithmetic (`cmyk2rgb`, `MULDIV255`).
fn rgb_of_inks(&[cyan, magenta, yellow, black]: &[u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(255 - ink) * u32::from(black) + 128;
        black - (((product >> 8) + product) >> 8) as u8
    })
}

fn error_of(error: JpegError) -> PhotoErrorKind {
    match error {
        JpegError::LimitExceeded { what: "scan count", .. } => {
            PhotoErrorKind::Damaged(format!("it has over {MAX_SCANS} scans"))
        }
        JpegError::LimitExceeded { .. } => PhotoErrorKind::TooMuchMemory,
        JpegError::UnexpectedEof => PhotoErrorKind::Damaged("its picture data ends early".to_owned()),
        JpegError::CorruptData(text) | JpegError::Unsupported(text) => PhotoErrorKind::Damaged(text),
        error => PhotoErrorKind::Damaged(error.to_string()),
    }
}

/// Whether a JPEG's end marker follows its picture data (an EXIF thumbnail has one of its own, inside a segment).
///
/// To be asked first: what is missing of a JPEG, a decoder may fill with gray and say nothing.
pub fn has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    let mut scanned = false;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        at += found + 1;
        match bytes.get(at) {
            Some(0xd9) => return scanned,
            // Stuffed zeros, fill bytes, restarts and other markers without a length.
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

    /// Baseline and progressive, of every sampling, gray, RGB, CMYK, YCCK, with restarts, of odd sizes, turned.
    #[test]
    fn pixels_are_those_that_pillow_makes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpegs");
        let pixels = folder.join("pixels.npz");
        let list = array_file::list(&pixels).unwrap();
        assert!(list.len() > 35);
        for info in list {
            let name = info.name.trim_end_matches(".npy").to_owned();
            let wanted = array_file::read_npz(&pixels, &name).unwrap();
            let bytes = std::fs::read(folder.join(format!("{name}.jpg"))).unwrap();
            assert!(decode(&bytes).unwrap().is_some(), "{name} is left to another decoder");
            let got = photo(&bytes).unwrap();
            let shape = [got.height, got.width, got.channels];
            assert_eq!(&shape[..wanted.ndim()], wanted.shape(), "{name}");
            assert_eq!(wanted.ndim() == 2, got.channels == 1, "{name}");
            let differ = wanted.iter().zip(&got.pixels).filter(|(want, got)| **want != f32::from(**got)).count();
            assert_eq!(differ, 0, "{name}: values that differ");
        }
    }

    #[test]
    fn layouts_are_known_before_they_are_decoded() {
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

    /// As Photoshop makes them: the chromas of YCCK have half the samples.
    #[test]
    fn inks_of_fewer_samples_are_near() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jpegs");
        let bytes = std::fs::read(folder.join("near/ycck_420.jpg")).unwrap();
        assert!(decode(&bytes).unwrap().is_none());
        let wanted = array_file::read_npy(&folder.join("near/ycck_420.npy")).unwrap();
        let got = photo(&bytes).unwrap();
        assert_eq!([got.height, got.width, got.channels], wanted.shape());
        let apart =
            wanted.iter().zip(&got.pixels).map(|(want, got)| (want - f32::from(*got)).abs()).fold(0.0, f32::max);
        assert!(apart <= 2.0, "{apart}");
    }

    #[test]
    fn the_end_of_a_jpeg_is_not_that_of_its_thumbnail() {
        // Start, an EXIF segment of 6 bytes with a whole JPEG's ends in it, a scan of two bytes with a stuffed zero.
        let start = b"\xff\xd8\xff\xe1\0\x06\xff\xd8\xff\xd9\xff\xda\0\x02\xff\0\x11";
        assert!(!has_end(start));
        assert!(has_end(&[&start[..], b"\xff\xd9"].concat()));
        assert!(has_end(&[&start[..], b"\xff\xd0\xff\xff\xd9 and more"].concat()));
    }
}
