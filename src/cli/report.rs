//! What is told on stderr: diagnostics, and the lines of a build's progress.

use super::Failed;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, render};
use crate::elaborate::{self, Spec, files};
use crate::source::{Sources, plain};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Prints to stdout; a reader that went away (a closed pipe) ends the program quietly, any other fault with an error.
pub fn print(text: impl Display) {
    let mut out = io::stdout().lock();
    let Err(fault) = write!(out, "{text}").and_then(|()| out.flush()) else { return };
    if fault.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    let message = format!("the results cannot be written: {}", plain(&fault));
    let _ = fail_with(Diagnostic::new(Code::Output, message));
    std::process::exit(i32::from(super::WRONG));
}

/// Prints to stderr. Where nobody can be told, the work goes on untold.
fn tell_text(text: impl Display) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// Prints diagnostics.
pub fn tell(diagnostics: &Diagnostics, sources: &Sources) {
    if !diagnostics.is_empty() {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        tell_text(render::text(diagnostics, sources, color));
    }
}

/// Prints diagnostics and fails.
pub fn fail(diagnostics: &Diagnostics, sources: &Sources) -> Failed {
    tell(diagnostics, sources);
    Failed::Wrong
}

/// Prints one diagnostic that has no place in a source, and fails.
pub fn fail_with(diagnostic: Diagnostic) -> Failed {
    fail(&diagnostic.into(), &Sources::default())
}

/// Reads the spec of an argument.
pub fn load(argument: &str) -> Result<Spec, Failed> {
    elaborate::load(argument, &files::from_disk).map_err(|(sources, diagnostics)| fail(&diagnostics, &sources))
}

/// Gives the result of a step, having told what is to be told.
pub fn settle<T>(result: Result<(T, Diagnostics), Diagnostics>, sources: &Sources) -> Result<T, Failed> {
    match result {
        Ok((value, told)) => {
            tell(&told, sources);
            Ok(value)
        }
        Err(faults) => Err(fail(&faults, sources)),
    }
}

/// A line of a report, its verb right-aligned as Cargo does: `    Fusing 39 layers into 16 steps`.
pub fn line(verb: &str, text: impl Display) {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match color {
        true => tell_text(format_args!("\x1b[1;32m{verb:>12}\x1b[0m {text}\n")),
        false => tell_text(format_args!("{verb:>12} {text}\n")),
    }
}

/// Bytes for people: `681.2 MiB`.
pub fn bytes(count: u64) -> String {
    match count {
        0..10_240 => format!("{count} bytes"),
        10_240..10_485_760 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / (1024.0 * 1024.0)),
    }
}
