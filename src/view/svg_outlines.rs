//! Text of drawings as outlines, so that pixels do not depend on the fonts of the machine.

use super::svg_text::escape;
use roxmltree::{Document, Node};
use std::collections::BTreeSet;
use std::fmt::Write;
use ttf_parser::{Face, FaceParsingError, GlyphId, OutlineBuilder};

/// DejaVu Sans, reduced to the characters of drawings. See `fonts/LICENSE`.
const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold.ttf");

/// Ems from the beginning of a box for a character without a glyph to the next character.
const BOX_ADVANCE: f64 = 0.7;

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
                let glyph = font.glyph_index(c);
                lacking.extend(glyph.is_none().then_some(c));
                glyph
            })
            .collect();
        let advance = |glyph: Option<GlyphId>| match glyph {
            Some(glyph) => f64::from(font.glyph_hor_advance(glyph).unwrap_or(0)) * scale,
            None => BOX_ADVANCE * f64::from(font.units_per_em()) * scale,
        };
        let width: f64 = glyphs.iter().copied().map(advance).sum();
        let before = match text.attribute("text-anchor") {
            Some("middle") => width / 2.0,
            Some("end") => width,
            _ => 0.0,
        };
        let mut line = Line { path: String::new(), at: (number("x", 0.0) - before, number("y", 0.0)), scale };
        for glyph in glyphs {
            match glyph {
                Some(glyph) => _ = font.outline_glyph(glyph, &mut line),
                None => line.lacking(f32::from(font.units_per_em())),
            }
            line.at.0 += advance(glyph);
        }
        line
    }

    /// A box for a character without a glyph, of a font with so many units in an em.
    fn lacking(&mut self, em: f32) {
        // The inner rectangle runs the other way round, so that it is not filled.
        for [left, bottom, right, top] in [[0.1, 0.0, 0.6, 0.7], [0.55, 0.05, 0.15, 0.65]] {
            let points = [(left, bottom), (left, top), (right, top), (right, bottom)].map(|(x, y)| (x * em, y * em));
            self.add('M', &points[..1]);
            points[1..].iter().for_each(|point| self.add('L', std::slice::from_ref(point)));
            self.close();
        }
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
