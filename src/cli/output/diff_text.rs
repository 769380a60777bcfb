//! Differences between texts, as `netc test` and `netc fmt --check --diff` print them.

use super::style;

/// A unified diff with green and red lines, on a terminal.
pub fn coloured(diff: &str) -> String {
    let mut out = String::new();
    for line in diff.lines() {
        match line.chars().next() {
            Some('+') => out += &painted(line, true),
            Some('-') => out += &painted(line, false),
            _ => out += line,
        }
        out.push('\n');
    }
    out
}

/// Green or red text on a terminal.
pub fn painted(text: &str, is_good: bool) -> String {
    match style::is_coloured(&std::io::stdout()) {
        true => format!("\x1b[{}m{text}\x1b[0m", if is_good { 32 } else { 31 }),
        false => text.to_string(),
    }
}

/// The unified diff of two texts, with three lines of context.
pub fn unified(old: &str, new: &str, name: &str) -> String {
    similar::TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(name, "formatted").to_string()
}
