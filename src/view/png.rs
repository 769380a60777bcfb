//! Drawings as pixels.

use crate::content::DRAWN_PNG;
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, FontResolver, Options, Tree};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The fonts of PNGs, so that they do not depend on those of the machine. See `fonts/LICENSE`.
const FONTS: [&[u8]; 2] = [include_bytes!("fonts/DejaVuSans.ttf"), include_bytes!("fonts/DejaVuSans-Bold.ttf")];
const FAMILY: &str = "DejaVu Sans";
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
    Svg(#[from] usvg::Error),
    #[error(transparent)]
    Encoding(#[from] png::EncodingError),
}

/// A drawing as pixels.
#[derive(Debug)]
pub struct Pixels {
    /// A PNG file.
    pub bytes: Vec<u8>,
    /// The characters of the drawing that are missing, because the shipped fonts lack them.
    pub missing: BTreeSet<char>,
}

/// Draws an SVG of [`super::svg`] on white, two pixels a unit. Deterministic: only the shipped fonts are used.
///
/// # Errors
/// The drawing is too large, or not an SVG.
pub fn png(svg: &str) -> Result<Pixels, PngError> {
    let options = options();
    let tree = Tree::from_str(svg, &options)?;
    let missing = missing(svg)?;
    let size = tree.size();
    let scale = SCALES.into_iter().find(|scale| size.width() * size.height() * scale * scale <= MAX_PIXELS);
    let (width, height) = (size.width().ceil() as u32, size.height().ceil() as u32);
    let too_large = PngError::TooLarge(width, height);
    let Some(scale) = scale else { return Err(too_large) };
    let (width, height) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let Some(mut pixels) = Pixmap::new(width, height) else { return Err(too_large) };
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let bytes = encode(width, height, &opaque(pixels))?;
    Ok(Pixels { bytes, missing })
}

fn options() -> Options<'static> {
    let mut options = Options { font_family: FAMILY.to_string(), ..Options::default() };
    let fonts = options.fontdb_mut();
    FONTS.iter().for_each(|font| fonts.load_font_data(font.to_vec()));
    fonts.set_sans_serif_family(FAMILY);
    options
}

/// The characters of a drawing that no font has.
fn missing(svg: &str) -> Result<BTreeSet<char>, usvg::Error> {
    // A text without any glyph is not in the tree, and of others only the first character that their font lacks is looked for: here,
    // each is a text.
    let texts: String = characters(svg).into_iter().map(|c| format!("<text>{c}</text>")).collect();
    let found = Mutex::new(BTreeSet::new());
    let in_others = FontResolver::default_fallback_selector();
    let mut options = options();
    options.font_resolver.select_fallback = Box::new(|c, used_fonts, fonts| {
        let other = in_others(c, used_fonts, fonts);
        if other.is_none() {
            found.lock().unwrap_or_else(PoisonError::into_inner).insert(c);
        }
        other
    });
    let svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\">{texts}</svg>");
    Tree::from_str(&svg, &options)?;
    drop(options);
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The characters in the texts of a drawing, besides those that every font has.
fn characters(svg: &str) -> BTreeSet<char> {
    let texts = svg.split("<text ").skip(1).filter_map(|rest| Some(rest.split_once('>')?.1.split_once("</text>")?.0));
    texts.flat_map(str::chars).filter(|c| !c.is_ascii()).collect()
}

/// The channels red, green and blue of pixels that all are opaque.
fn opaque(pixels: Pixmap) -> Vec<u8> {
    pixels.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn encode(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<u8>, PngError> {
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
        let Pixels { bytes, missing } = png(&drawing(100, 40)).expect("a drawing");
        assert!(missing.is_empty(), "{missing:?}");
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
    fn sizes_are_bounded() {
        let bytes = png(&drawing(8192, 8192)).expect("one pixel a unit").bytes;
        assert_eq!(image::load_from_memory(&bytes).expect("a PNG").width(), 8192);
        let error = png(&drawing(8192, 8193)).expect_err("too many pixels");
        assert_eq!(error.to_string(), "the drawing has 8192 x 8193 pixels, more than fit a PNG of 64 million");
    }

    #[test]
    fn characters_without_a_glyph_are_told() {
        let text = |words: &str| png(&drawing(100, 40).replace("3 × 4", words)).expect("a drawing").missing;
        assert_eq!(text("層 ε &lt; 出力 → 層"), ['出', '力', '層'].into());
        assert_eq!(text("出"), ['出'].into());
        // A description is not drawn.
        let titled = drawing(100, 40).replace("<rect", "<title>出力</title><rect");
        assert!(png(&titled).expect("a drawing").missing.is_empty());
    }
}
