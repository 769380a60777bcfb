//! Text and coordinates in SVG and HTML: escaping, rounding, and estimated widths. The reader's fonts are unknown, so the
//! widths are those of a wide one (Bitstream Vera).

use unicode_width::UnicodeWidthChar;

/// The width of a text at a font size.
pub(crate) fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    let em: f64 = text.chars().map(char_width).sum();
    em * size * if bold { 1.11 } else { 1.0 }
}

/// A character's width in em.
fn char_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' => 0.28,
        ' ' | '.' | ',' | ':' | ';' | '/' | '|' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | 'I' | '-' => 0.40,
        's' | 'c' | 'k' | 'v' | 'x' | 'y' | 'z' | '_' | '?' => 0.57,
        'm' | 'W' | '%' | '@' => 0.98,
        'w' | 'M' | '×' | '→' | '=' | '+' | '<' | '>' | '#' | '~' => 0.87,
        'a'..='z' | '0'..='9' => 0.64,
        'A'..='Z' => 0.74,
        _ => match c.width().unwrap_or(0) {
            0 => 0.0,
            1 => 0.8,
            _ => 1.1,
        },
    }
}

/// A coordinate with one decimal at most.
pub(crate) fn round(value: f64) -> String {
    let tenths = (value * 10.0).round();
    // Avoids `-0`.
    let tenths = if tenths == 0.0 { 0.0 } else { tenths };
    (tenths / 10.0).to_string()
}

/// Escapes text for XML; replaces characters that XML forbids.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_one_decimal() {
        assert_eq!(round(12.34), "12.3");
        assert_eq!(round(-0.01), "0");
        assert_eq!(round(7.0), "7");
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("a<b & \"c\"\u{1}"), "a&lt;b &amp; &quot;c&quot;\u{fffd}");
    }
}
