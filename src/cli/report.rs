//! What is told on stderr: diagnostics, and the lines of a build's progress.

use super::Failed;
use crate::diagnostics::{Diagnostic, Diagnostics, render};
use crate::elaborate::{self, Spec, project};
use crate::source::Sources;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Prints to stdout; a reader that went away (a closed pipe) ends the program quietly.
pub fn print(text: impl Display) {
    let mut out = io::stdout().lock();
    if write!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints diagnostics.
pub fn tell(diagnostics: &Diagnostics, sources: &Sources) {
    if !diagnostics.is_empty() {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        eprint!("{}", render::text(diagnostics, sources, color));
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
    elaborate::load(argument, &project::from_disk).map_err(|(sources, diagnostics)| fail(&diagnostics, &sources))
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
        true => eprintln!("\x1b[1;32m{verb:>12}\x1b[0m {text}"),
        false => eprintln!("{verb:>12} {text}"),
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
