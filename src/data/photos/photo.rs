//! Converting a photo file to the values of an Input.

use super::augment::Draw;
use super::decode::decode;
use super::photo_error::{MAX_FILE_BYTES, PhotoError, PhotoErrorKind, check_size};
use super::picture::Picture;
use super::resample::{Side, resample};
use crate::file::read_regular;
use crate::ops::input::preprocessing::{ChannelOrder, Preprocessing, Resize};
use std::io;
use std::path::Path;

/// Reads the photo at `path` into `out`, row-major (h, w, c), for an Input of `size` (h, w, c).
///
/// The EXIF orientation is applied; transparency is dropped and 16 bits are reduced to 8, as in Pillow's `convert("RGB")`.
/// An Input with one channel gets the luma of ITU-R 601; a gray photo is repeated for three channels. Then `preprocessing`
/// is applied: resize, crop, channel order and arithmetic.
///
/// # Errors
/// A file that cannot be read, is damaged or is not a photo, or sizes that do not fit; `out` is unchanged then.
pub fn read(
    path: &Path,
    preprocessing: &Preprocessing,
    size: (usize, usize, usize),
    out: &mut [f32],
) -> Result<(), PhotoError> {
    read_changed(path, preprocessing, size, None, out)
}

/// As [`read`], with augmentation by `draw`: a random crop replaces the resize and crop of the preprocessing; the other changes
/// are applied to the pixels before the arithmetic.
///
/// # Errors
/// As [`read`].
pub fn read_changed(
    path: &Path,
    preprocessing: &Preprocessing,
    size: (usize, usize, usize),
    draw: Option<Draw>,
    out: &mut [f32],
) -> Result<(), PhotoError> {
    let named = |error| PhotoError { name: path.display().to_string(), error };
    let bytes = load(path).map_err(named)?;
    convert(&bytes, preprocessing, size, draw, out).map_err(named)
}

/// As [`read`], for a photo in memory, which is called `name` in errors.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(
    bytes: &[u8],
    name: &str,
    preprocessing: &Preprocessing,
    size: (usize, usize, usize),
    out: &mut [f32],
) -> Result<(), PhotoError> {
    convert(bytes, preprocessing, size, None, out).map_err(|error| PhotoError { name: name.to_owned(), error })
}

/// As [`read`], for decoded pixels (height, width, channels) in row-major order, with 1, 3 or 4 channels: gray, RGB, or RGB
/// with transparency, which is dropped. They are called `name` in errors.
///
/// # Errors
/// Sizes that do not fit.
pub fn read_pixels(
    pixels: &[u8],
    (height, width, channels): (usize, usize, usize),
    name: &str,
    preprocessing: &Preprocessing,
    size: (usize, usize, usize),
    out: &mut [f32],
) -> Result<(), PhotoError> {
    let mut read = || {
        check_output(preprocessing, size, out)?;
        fill(picture_of(pixels, (height, width, channels))?, preprocessing, size, None, out)
    };
    read().map_err(|error| PhotoError { name: name.to_owned(), error })
}

/// Checks sizes and channels of decoded pixels.
fn picture_of(pixels: &[u8], (height, width, channels): (usize, usize, usize)) -> Result<Picture, PhotoErrorKind> {
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    check_size(side(width), side(height))?;
    if !matches!(channels, 1 | 3 | 4) {
        return Err(PhotoErrorKind::Pixels { found: format!("{channels} channels") });
    }
    if pixels.len() != height * width * channels {
        return Err(PhotoErrorKind::Pixels {
            found: format!("{} bytes for {height}x{width}x{channels}", pixels.len()),
        });
    }
    Ok(match channels {
        4 => {
            let opaque = pixels.chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
            Picture { width, height, channels: 3, pixels: opaque }
        }
        channels => Picture { width, height, channels, pixels: pixels.to_vec() },
    })
}

pub(crate) fn load(path: &Path) -> Result<Vec<u8>, PhotoErrorKind> {
    read_regular(path, MAX_FILE_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PhotoErrorKind::NotFound,
        io::ErrorKind::IsADirectory => PhotoErrorKind::Folder,
        io::ErrorKind::FileTooLarge => PhotoErrorKind::TooManyBytes,
        _ => PhotoErrorKind::Io(error),
    })
}

fn convert(
    bytes: &[u8],
    preprocessing: &Preprocessing,
    size: (usize, usize, usize),
    draw: Option<Draw>,
    out: &mut [f32],
) -> Result<(), PhotoErrorKind> {
    check_output(preprocessing, size, out)?;
    fill(decode(bytes)?, preprocessing, size, draw, out)
}

/// Checks what does not depend on the photo.
fn check_output(
    preprocessing: &Preprocessing,
    (height, width, channels): (usize, usize, usize),
    out: &[f32],
) -> Result<(), PhotoErrorKind> {
    preprocessing.check()?;
    if channels != 1 && channels != 3 {
        return Err(PhotoErrorKind::Channels(channels));
    }
    if height == 0 || width == 0 {
        return Err(PhotoErrorKind::NoPixels { height, width });
    }
    let expected = height.saturating_mul(width).saturating_mul(channels);
    if out.len() != expected {
        return Err(PhotoErrorKind::Room { expected, got: out.len() });
    }
    Ok(())
}

/// Converts a picture to the values of an Input.
fn fill(
    mut picture: Picture,
    preprocessing: &Preprocessing,
    (height, width, channels): (usize, usize, usize),
    mut draw: Option<Draw>,
    out: &mut [f32],
) -> Result<(), PhotoErrorKind> {
    if channels == 1 {
        picture.make_gray();
    }
    let (rows, columns) = match draw.as_mut().and_then(|draw| draw.crop(picture.height, picture.width)) {
        Some(part) => {
            picture = picture.cut(part);
            let whole = |from, to: usize| Side { from, to: to as u64, start: 0, count: to };
            (whole(picture.height, height), whole(picture.width, width))
        }
        None => sides(&picture, preprocessing, (height, width))?,
    };
    let pixels = resample(&picture, rows, columns, preprocessing.interpolation);
    let mut picture = Picture { width, height, channels: picture.channels, pixels };
    if let Some(draw) = draw {
        draw.change(&mut picture);
    }

    // A lookup table of 256 values for each of up to three channels: the arithmetic is in f64.
    let tables: [[f32; 256]; 3] =
        std::array::from_fn(|channel| std::array::from_fn(|pixel| preprocessing.value(pixel as u8, channel)));
    if channels == 1 {
        out.iter_mut().zip(&picture.pixels).for_each(|(x, &pixel)| *x = tables[0][usize::from(pixel)]);
        return Ok(());
    }
    let source = match (picture.channels, preprocessing.order) {
        (1, _) => [0, 0, 0],
        (_, ChannelOrder::Rgb) => [0, 1, 2],
        (_, ChannelOrder::Bgr) => [2, 1, 0],
    };
    for (x, pixel) in out.chunks_exact_mut(3).zip(picture.pixels.chunks_exact(picture.channels)) {
        for channel in 0..3 {
            x[channel] = tables[channel][usize::from(pixel[source[channel]])];
        }
    }
    Ok(())
}

/// The size after resizing and the crop: (rows, columns).
fn sides(
    picture: &Picture,
    preprocessing: &Preprocessing,
    (height, width): (usize, usize),
) -> Result<(Side, Side), PhotoErrorKind> {
    let (from_height, from_width) = (picture.height as u64, picture.width as u64);
    let (to_height, to_width) = match preprocessing.resize {
        Resize::Squash => (height as u64, width as u64),
        Resize::ShorterSide(resize) => {
            let shorter = from_height.min(from_width);
            // The longer side is rounded down, as in torchvision's Resize; a photo has at least one pixel.
            let scaled = |side: u64| side * u64::from(resize) / shorter;
            let (resized_height, resized_width) = (scaled(from_height), scaled(from_width));
            if resized_height < height as u64 || resized_width < width as u64 {
                return Err(PhotoErrorKind::SmallerThanInput { resize, resized_height, resized_width, height, width });
            }
            (resized_height, resized_width)
        }
    };
    let side = |from, to, count| Side { from, to, start: preprocessing.crop.start(to, count as u64), count };
    Ok((side(picture.height, to_height, height), side(picture.width, to_width, width)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::arrays::array_file;
    use std::path::PathBuf;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos").join(name)
    }

    /// The largest difference from the reference, in pixel levels.
    fn differs(name: &str, photo: &str, resize: Resize, preset: Preprocessing) -> f32 {
        let expected = array_file::read_npz(&file("references.npz"), name).unwrap();
        let size = (expected.shape()[0], expected.shape()[1], expected.shape()[2]);
        let mut got = vec![f32::NAN; expected.len()];
        let preset = preset.with_resize(resize);
        read(&file(photo), &preset, size, &mut got).unwrap();
        let steps = |(i, (&want, got)): (usize, (&f32, &f32))| {
            let channel = i % size.2;
            ((got - want) * preset.std[channel] / preset.scale).abs()
        };
        expected.iter().zip(&got).enumerate().map(steps).fold(0.0, f32::max)
    }

    /// Pixels, resizing and crop are identical, except for the rounding of f32.
    #[test]
    fn photos_are_as_in_pillow_and_numpy() {
        let side = Resize::ShorterSide;
        for (name, photo, resize, preset) in [
            ("caffe_landscape", "coffee.png", side(40), Preprocessing::caffe()),
            ("torch_enlarged", "coffee.png", side(120), Preprocessing::torch()),
            ("symmetric_squash", "coffee.png", Resize::Squash, Preprocessing::symmetric()),
            ("unit_one_channel", "coffee.png", side(33), Preprocessing::unit()),
            ("caffe_gray", "gray.png", side(40), Preprocessing::caffe()),
            ("unit_bits", "bits.png", side(40), Preprocessing::unit()),
            ("unit_palette", "palette.png", side(40), Preprocessing::unit()),
            ("unit_alpha", "alpha.png", side(40), Preprocessing::unit()),
            ("unit_deep", "deep.png", side(40), Preprocessing::unit()),
            ("unit_turned_png", "turned.png", side(40), Preprocessing::unit()),
            ("caffe_jpeg", "rocket.jpg", side(40), Preprocessing::caffe()),
            ("caffe_progressive", "progressive.jpg", side(40), Preprocessing::caffe()),
            ("caffe_cmyk", "cmyk.jpg", side(40), Preprocessing::caffe()),
            ("unit_gray_jpeg", "gray.jpg", side(40), Preprocessing::unit()),
            ("unit_turned", "turned.jpg", Resize::Squash, Preprocessing::unit()),
        ] {
            let steps = differs(name, photo, resize, preset);
            assert!(steps < 1e-3, "{name}: {steps} steps");
        }
    }

    fn fails(photo: &str, preprocessing: Preprocessing, size: (usize, usize, usize), room: usize) -> String {
        let mut out = vec![7.0; room];
        let error = read(&file(photo), &preprocessing, size, &mut out).unwrap_err();
        assert!(out.iter().all(|&x| x == 7.0), "an error leaves the tensor unchanged");
        let text = error.to_string();
        assert!(text.starts_with(&error.name) && error.name.ends_with(photo), "{text}");
        text[error.name.len() + 2..].to_owned()
    }

    #[test]
    fn invalid_arguments() {
        let caffe = Preprocessing::caffe().with_resize(Resize::ShorterSide(30));
        let size = (32, 32, 3);
        assert_eq!(
            fails("coffee.png", caffe.clone(), size, 32 * 32 * 3),
            "resized to 30x45, it is smaller than the 32x32 of the Input; `resize=30` must be at least as large"
        );
        assert_eq!(fails("coffee.png", caffe.clone(), size, 5), "the tensor has 5 values, but the photo 3072");
        let four = "a photo has 1 or 3 channels, but the Input has 4";
        assert_eq!(fails("coffee.png", caffe.clone(), (8, 8, 4), 256), four);
        assert_eq!(fails("coffee.png", caffe.clone(), (0, 8, 3), 0), "the Input has no pixels: 0x8");
        let zero = Preprocessing { std: [0.0; 3], ..caffe.clone() };
        assert_eq!(fails("coffee.png", zero, (8, 8, 3), 192), "`std` holds 0, by which nothing can be divided");
        assert_eq!(fails("no.png", caffe.clone(), (8, 8, 3), 192), "no such file");
        assert_eq!(fails("", caffe, (8, 8, 3), 192), "a folder, not a photo");
    }

    fn png(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
        let mut png = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut png);
        image::ImageEncoder::write_image(encoder, pixels, width, height, image::ExtendedColorType::Rgb8).unwrap();
        png
    }

    /// A crop of 8 of 11 pixels: torchvision's CenterCrop starts at `int(round(3 / 2.0))` = 2, NeuPy's at `3 // 2` = 1.
    #[test]
    fn the_central_crop_follows_the_framework() {
        let pixels: Vec<u8> = (0..8 * 11).flat_map(|i| [i % 11; 3]).collect();
        let png = png(&pixels, 11, 8);
        let plain = Preprocessing { std: [1.0; 3], ..Preprocessing::unit() }.with_resize(Resize::ShorterSide(8));
        for (preset, begin) in [(Preprocessing::torch(), 2.0), (Preprocessing::caffe(), 1.0)] {
            let mut out = [f32::NAN; 8 * 8 * 3];
            let preprocessing = Preprocessing { crop: preset.crop, ..plain.clone() };
            read_bytes(&png, "a", &preprocessing, (8, 8, 3), &mut out).unwrap();
            assert_eq!([out[0], out[7 * 3]], [begin, begin + 7.0]);
        }
    }

    /// The pixels of a PNG give the values of the file; transparency is dropped.
    #[test]
    fn decoded_pixels_are_as_the_file_of_them() {
        let pixels: Vec<u8> = (0..9 * 7 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let opaque: Vec<u8> = pixels.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 9]).collect();
        let preprocessing = Preprocessing::caffe().with_resize(Resize::ShorterSide(8));
        for channels in [1, 3] {
            let size = (8, 8, channels);
            let [mut file, mut rgb, mut rgba] = [0, 1, 2].map(|_| vec![f32::NAN; 64 * channels]);
            read_bytes(&png(&pixels, 9, 7), "a", &preprocessing, size, &mut file).unwrap();
            read_pixels(&pixels, (7, 9, 3), "a", &preprocessing, size, &mut rgb).unwrap();
            read_pixels(&opaque, (7, 9, 4), "a", &preprocessing, size, &mut rgba).unwrap();
            assert!(file == rgb && file == rgba);
        }
        let error = |size, pixels: &[u8]| {
            let mut out = [0.0; 192];
            read_pixels(pixels, size, "a", &preprocessing, (8, 8, 3), &mut out).unwrap_err().to_string()
        };
        let wanted = "a: pixels are (height, width, channels) with 1, 3 or 4 channels, not ";
        assert_eq!(error((7, 9, 2), &pixels), format!("{wanted}2 channels"));
        assert_eq!(error((7, 9, 3), &pixels[1..]), format!("{wanted}188 bytes for 7x9x3"));
        assert_eq!(error((0, 9, 3), &[]), "a: damaged: it has no pixels");
        assert!(error((1 << 40, 9, 3), &[]).starts_with("a: too large"));
    }

    /// 2x1 pixels, red and blue.
    #[test]
    fn channels_in_both_orders() {
        let png = png(&[255, 0, 0, 0, 0, 255], 2, 1);
        for (order, expected) in
            [(ChannelOrder::Rgb, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]), (ChannelOrder::Bgr, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])]
        {
            let mut out = [0.0; 6];
            let preprocessing = Preprocessing { order, ..Preprocessing::unit() };
            read_bytes(&png, "two", &preprocessing, (1, 2, 3), &mut out).unwrap();
            assert_eq!(out, expected);
        }
    }
}
