//! Output to the terminal: results on stdout, diagnostics and progress lines on stderr.

pub use crate::diagnostics::numbers::bytes;

use super::style;
use crate::cli::result::Failed;
use crate::data::samples::photo_paths::Skipped;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, render};
use crate::elaborate;
use crate::elaborate::Spec;
use crate::elaborate::project::source_files;
use crate::source::{Sources, plain};
use crate::weights::bind::report::shortened;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Instant;

/// Prints to stdout. A closed pipe ends the program quietly, any other failure with an error.
pub fn print(text: impl Display) {
    let text = text.to_string();
    let mut out = io::stdout().lock();
    let Err(error) = write!(out, "{}", visible(&text)).and_then(|()| out.flush()) else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    let message = format!("the results cannot be written: {}", plain(&error));
    let _ = fail_with(Diagnostic::new(Code::Output, message));
    std::process::exit(i32::from(crate::cli::result::EXIT_ERROR));
}

/// Prints to stderr, and ignores failures.
fn emit_text(text: impl Display) {
    let text = text.to_string();
    let _ = write!(io::stderr().lock(), "{}", visible(&text));
}

/// Prints the error of wrong arguments to stderr, with clap's colours.
pub fn usage(text: &clap::builder::StyledStr) {
    match style::is_coloured(&io::stderr()) {
        true => emit_text(text.ansi()),
        false => emit_text(text),
    }
}

/// Escapes control characters, which may come from quoted files, except line ends, tabs and colours; and those that turn the
/// direction of the text after them.
fn visible(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_escaped) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        // A carriage return before a line feed is part of the line end; a colour code ends with `m`.
        let colour = from.strip_prefix("\x1b[").and_then(|code| code.find(|c: char| !c.is_ascii_digit() && c != ';'));
        let kept = match colour {
            _ if from.starts_with("\r\n") => 1,
            Some(end) if from[2 + end..].starts_with('m') => 3 + end,
            _ => 0,
        };
        out.push_str(&from[..kept]);
        rest = &from[kept..];
        if kept == 0
            && let Some(c) = rest.chars().next()
        {
            out.extend(c.escape_default());
            rest = &rest[c.len_utf8()..];
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Prints diagnostics; only errors if the output is quiet.
pub fn emit(diagnostics: &Diagnostics, sources: &Sources) {
    let errors: Diagnostics;
    let diagnostics = match style::is_quiet() {
        true => {
            errors = diagnostics.errors();
            &errors
        }
        false => diagnostics,
    };
    if !diagnostics.is_empty() {
        emit_text(render::text(diagnostics, sources, style::is_coloured(&io::stderr())));
    }
}

/// Prints diagnostics and fails.
pub fn fail(diagnostics: &Diagnostics, sources: &Sources) -> Failed {
    emit(diagnostics, sources);
    Failed::Error
}

/// Prints one diagnostic without a position in a source, and fails.
pub fn fail_with(diagnostic: Diagnostic) -> Failed {
    fail(&diagnostic.into(), &Sources::default())
}

/// Prints an error without a position in a source, and fails.
pub fn error(code: Code, message: impl Into<String>) -> Failed {
    fail_with(Diagnostic::new(code, message))
}

/// Loads the spec of an argument.
///
/// # Errors
/// A spec that cannot be read; the error has been reported.
pub fn load(argument: &str) -> Result<Spec, Failed> {
    elaborate::load(argument, &source_files::from_disk).map_err(|(sources, diagnostics)| fail(&diagnostics, &sources))
}

/// The value of a result, after its warnings have been printed.
///
/// # Errors
/// The errors, which have been printed.
pub fn unwrap_or_report<T>(result: Result<(T, Diagnostics), Diagnostics>, sources: &Sources) -> Result<T, Failed> {
    match result {
        Ok((value, warnings)) => {
            emit(&warnings, sources);
            Ok(value)
        }
        Err(errors) => Err(fail(&errors, sources)),
    }
}

/// Prints a progress line, with the verb right-aligned as in Cargo: `    Fusing 39 layers into 16 steps`. Verbose lines have the time
/// since the first one.
pub fn line(verb: &str, text: impl Display) {
    static START: OnceLock<Instant> = OnceLock::new();
    if style::is_quiet() {
        return;
    }
    let seconds = START.get_or_init(Instant::now).elapsed().as_secs_f64();
    let time = if style::is_verbose() { format!("  [{seconds:.2} s]") } else { String::new() };
    match style::is_coloured(&io::stderr()) {
        true => emit_text(format_args!("\x1b[1;32m{verb:>12}\x1b[0m {text}{time}\n")),
        false => emit_text(format_args!("{verb:>12} {text}{time}\n")),
    }
}

/// Prints the files that are left out, and why.
pub fn skipping<'a>(files: impl IntoIterator<Item = &'a Skipped>) {
    for Skipped { path, reason } in files {
        line("Skipping", format!("{}: {reason}", path.display()));
    }
}

/// A list of names, complete if the output is verbose.
pub fn list(names: &[String]) -> String {
    if style::is_verbose() { names.join(", ") } else { shortened(names) }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn control_characters_except_line_ends_and_colours_are_escaped() {
        assert_eq!(visible("\x1b[1;32mGood\x1b[0m\ta\r\n"), "\x1b[1;32mGood\x1b[0m\ta\r\n");
        assert_eq!(
            visible("\x1b]0;title\x07\x1b[2J\x1b[31;Hx\ry\u{9b}\x1b["),
            "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{1b}[31;Hx\\ry\\u{9b}\\u{1b}["
        );
    }
}
