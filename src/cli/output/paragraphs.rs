//! Long lines of help, wrapped at the width of the terminal.

use crate::view::layer_table::terminal_width;
use textwrap::{Options, WordSeparator, WordSplitter};
use unicode_width::UnicodeWidthStr;

/// The width without a terminal, and the greatest one, as longer lines are hard to read.
const WIDTH: usize = 100;

/// The beginnings of lines that stay as they are: examples, and rows of tables.
const FIXED: [&str; 2] = ["    ", "|"];

/// A text for this terminal.
pub fn wrapped(text: &str) -> String {
    wrapped_at(text, terminal_width().map_or(WIDTH, |width| width.min(WIDTH)))
}

fn wrapped_at(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.width() <= width || FIXED.iter().any(|start| line.starts_with(start)) {
            out.push_str(line);
        } else {
            wrap(line, width, &mut out);
        }
        out.push('\n');
    }
    out
}

/// Breaks a line at spaces. Its further lines begin below its text, behind the name of an item.
fn wrap(line: &str, width: usize, out: &mut String) {
    let start = line.len() - line.trim_start().len();
    let text = &line[start..];
    let start = if text.starts_with("- ") { start + 2 } else { start };
    let text = &line[start..];
    let behind_name = |at: usize| start + at + text[at..].len() - text[at..].trim_start().len();
    let hanging = text.find("  ").map(behind_name).filter(|&column| column <= width / 2).unwrap_or(start);
    let indent = " ".repeat(hanging);
    let options = Options::new(width)
        .initial_indent(&line[..hanging])
        .subsequent_indent(&indent)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    out.push_str(&textwrap::fill(&line[hanging..], options));
}

#[cfg(test)]
mod tests {
    use super::wrapped_at;

    #[test]
    fn lines_are_wrapped_below_their_text() {
        let text = "Short.\n\n  size   the size of the window in both directions\n- an item of a list of a few\n    a long line of an example stays\none two three four five\n";
        let wrapped = "Short.\n\n  size   the size of the\n         window in both\n         directions\n- an item of a list of a\n  few\n    a long line of an example stays\none two three four five\n";
        assert_eq!(wrapped_at(text, 24), wrapped);
        assert_eq!(wrapped_at("a verylongword b", 6), "a\nverylongword\nb\n");
    }
}
