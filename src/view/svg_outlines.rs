//! Text of drawings as outlines, so that pixels do not depend on the fonts of the machine.

use super::svg_text::escape;
use roxmltree::{Document, Node};
use std::collections::BTreeSet;
use std::fmt::Write;
use ttf_parser::{Face, FaceParsingError, OutlineBuilder};

/// DejaVu Sans, reduced to the characters of drawings. See `fonts/LICENSE`.
const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");

/// Why text has no outlines.
#[derive(Debug, thiserror::Error)]
pub enum OutlineError {
    #[error(transparent)]
    Xml(#[from] roxmltree::Error),
    #[error(transparent)]
    Font(#[from] FaceParsingError),
}

/// An SVG whose texts are paths, and the characters that the shipped fonts lack: a box stands for each.
///
/// Takes texts as the drawings write them: `x`, `y`, `font-size`, `font-weight`, `text-anchor` and `fill`, without kerning.
///
/// # Errors
/// The SVG is not XML.
pub(super) fn outlined(svg: &str) -> Result<(String, BTreeSet<char>), OutlineError> {
    let document = Document::parse(svg)?;
    let fonts = [Face::parse(REGULAR, 0)?, Face::parse(BOLD, 0)?];
    let (mut out, mut lacking, mut end) = (String::with_capacity(2 * svg.len()), BTreeSet::new(), 0);
    for text in document.descendants().filter(|node| node.has_tag_name((SVG, "text"))) {
        out.push_str(&svg[end..text.range().start]);
        let font = &fonts[usize::from(text.attribute("font-weight").is_some())];
        let fill = escape(text.attribute("fill").unwrap_or("#000000"));
        let _ = write!(out, "<path fill=\"{fill}\" d=\"{}\"/>", Line::of(&text, font, &mut lacking).path);
        end = text.range().end;
    }
    out.push_str(&svg[end..]);
    Ok((out, lacking))
}

const SVG: &str = "http://www.w3.org/2000/svg";

/// A line of text as the data of a path. The units of `at` are the drawing's, `scale` converts the font's to them.
struct Line {
    path: String,
    at: (f64, f64),
    scale: f64,
}

impl Line {
    fn of(text: &Node, font: &Face, lacking: &mut BTreeSet<char>) -> Line {
        let number = |name, default| text.attribute(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let scale = number("font-size", 16.0) / f64::from(font.units_per_em());
        let characters = text.text().unwrap_or_default();
        let glyphs: Vec<_> = characters
            .chars()
            .map(|c| {
                font.glyph_index(c).unwrap_or_else(|| {
                    lacking.insert(c);
                    // The font's box for what it lacks.
                    ttf_parser::GlyphId(0)
                })
            })
            .collect();
        let advance = |glyph| f64::from(font.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
        let width: f64 = glyphs.iter().copied().map(advance).sum();
        let before = match text.attribute("text-anchor") {
            Some("middle") => width / 2.0,
            Some("end") => width,
            _ => 0.0,
        };
        let mut line = Line { path: String::new(), at: (number("x", 0.0) - before, number("y", 0.0)), scale };
        for glyph in glyphs {
            font.outline_glyph(glyph, &mut line);
            line.at.0 += advance(glyph);
        }
        line
    }

    fn add(&mut self, command: char, points: &[(f32, f32)]) {
        self.path.push(command);
        for &(x, y) in points {
            let (x, y) = (self.at.0 + f64::from(x) * self.scale, self.at.1 - f64::from(y) * self.scale);
            let _ = write!(self.path, "{x:.3} {y:.3} ");
        }
    }
}

impl OutlineBuilder for Line {
    fn move_to(&mut self, x: f32, y: f32) {
        self.add('M', &[(x, y)]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.add('L', &[(x, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.add('Q', &[(x1, y1), (x, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.add('C', &[(x1, y1), (x2, y2), (x, y)]);
    }

    fn close(&mut self) {
        self.add('Z', &[]);
    }
}
