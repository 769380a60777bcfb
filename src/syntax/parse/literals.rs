//! The values of numbers, sizes and escapes.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

/// The character of an escape.
pub(crate) fn escape(text: &str, span: Span) -> Result<char, Diagnostic> {
    match text {
        "\\\"" => Ok('"'),
        "\\\\" => Ok('\\'),
        "\\n" => Ok('\n'),
        "\\t" => Ok('\t'),
        _ => {
            let help = match text {
                "\\{" | "\\}" => format!("a brace in a text is written twice: `{0}{0}`", &text[1..]),
                _ => "the escapes are \\\" \\\\ \\n and \\t; a path takes `/` on every system".to_string(),
            };
            Err(Diagnostic::new(Code::Literal, format!("`{text}` is no escape")).at(span, "in this text").help(help))
        }
    }
}

/// Integers up to here have 18 digits.
const LARGEST: i64 = 999_999_999_999_999_999;

/// A whole number.
pub(crate) fn int(text: &str, span: Span) -> Result<i64, Diagnostic> {
    match text.parse() {
        Ok(value) if value <= LARGEST => Ok(value),
        _ => Err(Diagnostic::new(Code::Literal, "this number is too large").at(span, "an integer has up to 18 digits")),
    }
}

/// A number with a point or a power of ten.
pub(crate) fn float(text: &str, span: Span) -> Result<f64, Diagnostic> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            Err(Diagnostic::new(Code::Literal, "this number is too large")
                .at(span, "more than a 64-bit float can hold"))
        }
    }
}

/// `3x3`, `?x512`.
pub(crate) fn sizes(text: &str, span: Span) -> Result<Vec<Option<i64>>, Diagnostic> {
    // `0x3` is a padding of one direction, `0x10` and `0x00` are habits from elsewhere.
    let hexadecimal = text.strip_prefix("0x").filter(|rest| rest.len() > 1 && rest.bytes().all(|b| b.is_ascii_digit()));
    if let Some(digits) = hexadecimal {
        let value = u64::from_str_radix(digits, 16).map_or(String::new(), |value| format!(", `{value}`"));
        return Err(Diagnostic::new(Code::Literal, format!("`{text}` is no number"))
            .at(span, "numbers are decimal, and `AxB` is a pair of sizes")
            .help(format!("write the number in decimal{value}, or the pair as `[0, {digits}]`")));
    }
    text.split('x').map(|size| if size == "?" { Ok(None) } else { int(size, span).map(Some) }).collect()
}
