//! Drawings as pixels.

use super::svg_outlines::{OutlineError, outlined};
use crate::content::DRAWN_PNG;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, Options, Tree};
use std::collections::BTreeSet;

/// Pixels for a unit of the drawing, as of screens of today; one where a drawing has too many pixels.
const SCALES: [f32; 2] = [2.0, 1.0];
/// The most pixels of a drawing: 256 MiB of memory.
const MAX_PIXELS: f32 = (1 << 26) as f32;

/// Why a drawing has no pixels.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    #[error("the drawing has {0} x {1} pixels, more than fit a PNG of {limit} million", limit = MAX_PIXELS as u32 >> 20)]
    TooLarge(u32, u32),
    #[error(transparent)]
    Text(#[from] OutlineError),
    #[error(transparent)]
    Svg(#[from] usvg::Error),
    #[error(transparent)]
    Encoding(#[from] png::EncodingError),
}

/// A drawing as a file.
#[derive(Debug)]
pub struct Png {
    pub bytes: Vec<u8>,
    /// The characters that the shipped fonts lack: each is drawn as a box.
    pub lacking: BTreeSet<char>,
}

/// Draws an SVG of [`super::svg`] on white, two pixels a unit. Deterministic: no font of the machine is read.
///
/// # Errors
/// The drawing is too large, or not an SVG.
pub fn png(svg: &str) -> Result<Png, PngError> {
    let (svg, lacking) = outlined(svg)?;
    let tree = Tree::from_str(&svg, &Options::default())?;
    let size = tree.size();
    let scale = SCALES.into_iter().find(|scale| size.width() * size.height() * scale * scale <= MAX_PIXELS);
    let (width, height) = (size.width().ceil() as u32, size.height().ceil() as u32);
    let too_large = PngError::TooLarge(width, height);
    let Some(scale) = scale else { return Err(too_large) };
    let (width, height) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let Some(mut pixels) = Pixmap::new(width, height) else { return Err(too_large) };
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    Ok(Png { bytes: encode(width, height, &opaque(pixels))?, lacking })
}

/// The channels red, green and blue of pixels that all are opaque.
fn opaque(pixels: Pixmap) -> Vec<u8> {
    pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn encode(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_text_chunk(DRAWN_PNG.0.to_string(), DRAWN_PNG.1.to_string())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(width: u32, height: u32) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\">\
             <rect width=\"10\" height=\"10\" fill=\"#ff0000\"/><text x=\"20\" y=\"30\" font-size=\"20\">3 × 4</text></svg>"
        )
    }

    #[test]
    fn shapes_and_text_have_two_pixels_a_unit() {
        let Png { bytes, lacking } = png(&drawing(100, 40)).expect("a drawing");
        assert!(lacking.is_empty());
        assert!(crate::content::is_marked_png(&bytes));
        let pixels = image::load_from_memory(&bytes).expect("a PNG").into_rgb8();
        assert_eq!(pixels.dimensions(), (200, 80));
        assert_eq!((pixels[(19, 19)].0, pixels[(199, 0)].0), ([255, 0, 0], [255, 255, 255]));
        // The text is black, and stands right of its start and on its line.
        let black: Vec<(u32, u32)> =
            pixels.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 == [0; 3]).map(|(x, y, _)| (x, y)).collect();
        assert!(black.len() > 100 && black.iter().all(|&(x, y)| x >= 40 && (20..=64).contains(&y)), "{black:?}");
    }

    #[test]
    fn characters_without_a_glyph_are_told() {
        let svg = drawing(100, 40).replace("3 × 4", "vögel &lt; 鸟 &amp; 鱼鸟");
        assert_eq!(png(&svg).expect("a drawing").lacking.into_iter().collect::<String>(), "鱼鸟");
        // A box stands for each: black at its side, white in it.
        let Png { bytes, .. } = png(&drawing(100, 40).replace("3 × 4", "鸟")).expect("a drawing");
        let pixels = image::load_from_memory(&bytes).expect("a PNG").into_rgb8();
        assert_eq!((pixels[(45, 50)].0, pixels[(54, 50)].0, pixels[(63, 50)].0), ([0; 3], [255; 3], [0; 3]));
    }

    #[test]
    fn sizes_are_bounded() {
        let bytes = png(&drawing(8192, 8192)).expect("one pixel a unit").bytes;
        assert_eq!(image::load_from_memory(&bytes).expect("a PNG").width(), 8192);
        let error = png(&drawing(8192, 8193)).expect_err("too many pixels");
        assert_eq!(error.to_string(), "the drawing has 8192 x 8193 pixels, more than fit a PNG of 64 million");
    }
}
