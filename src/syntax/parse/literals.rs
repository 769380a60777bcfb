//! Converts literals to values: numbers, sizes, escapes.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

/// The character of an escape sequence.
pub(crate) fn escape(text: &str, span: Span) -> Result<char, Diagnostic> {
    match text {
        "\\\"" => Ok('"'),
        "\\\\" => Ok('\\'),
        "\\n" => Ok('\n'),
        "\\t" => Ok('\t'),
        _ => {
            let help = match text {
                "\\{" | "\\}" => format!("write `{0}{0}` for a brace in a string", &text[1..]),
                _ => "the escapes are \\\" \\\\ \\n and \\t; write paths with `/` on every system".to_string(),
            };
            Err(Diagnostic::new(Code::Literal, format!("unknown escape `{text}`"))
                .at(span, "in this string")
                .help(help))
        }
    }
}

/// The largest integer of 18 digits.
const MAX_INT: i64 = 999_999_999_999_999_999;

/// An integer.
pub(crate) fn int(text: &str, span: Span) -> Result<i64, Diagnostic> {
    match text.parse() {
        Ok(value) if value <= MAX_INT => Ok(value),
        _ => Err(Diagnostic::new(Code::Literal, "this number is too large").at(span, "integers have up to 18 digits")),
    }
}

/// A number with a decimal point or an exponent.
pub(crate) fn float(text: &str, span: Span) -> Result<f64, Diagnostic> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            Err(Diagnostic::new(Code::Literal, "this number is too large")
                .at(span, "out of the range of 64-bit floats"))
        }
    }
}

/// `3x3`, `?x512`.
pub(crate) fn sizes(text: &str, span: Span) -> Result<Vec<Option<i64>>, Diagnostic> {
    // `0x3` may be a padding along one axis, but `0x10` and `0x00` are hexadecimal numbers.
    let hexadecimal = text.strip_prefix("0x").filter(|rest| rest.len() > 1 && rest.bytes().all(|b| b.is_ascii_digit()));
    if let Some(digits) = hexadecimal {
        let value = u64::from_str_radix(digits, 16).map_or(String::new(), |value| format!(", `{value}`"));
        return Err(Diagnostic::new(Code::Literal, format!("`{text}` is ambiguous"))
            .at(span, "numbers are decimal, and `AxB` is a pair of sizes")
            .help(format!("write the number in decimal{value}, or the pair as `[0, {digits}]`")));
    }
    text.split('x').map(|size| if size == "?" { Ok(None) } else { int(size, span).map(Some) }).collect()
}
