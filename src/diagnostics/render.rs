//! Renders diagnostics as text for terminals and as JSON for editors and CI.

use super::{Diagnostic, Diagnostics, Severity};
use crate::source::{FileId, Sources};
use codespan_reporting::diagnostic as codespan;
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term::{self, Config};
use serde::Serialize;
use std::ops::Range;

/// Max diagnostics that are printed; the others are counted.
const MAX_SHOWN: usize = 20;

/// Max length of a source line that is printed, in bytes, so that a file of one huge line gives no huge message.
const MAX_LINE_LEN: usize = 400;

impl<'a> Files<'a> for Sources {
    type FileId = FileId;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(&self.file(id).name)
    }

    fn source(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(&self.file(id).text)
    }

    fn line_index(&'a self, id: FileId, byte: usize) -> Result<usize, Error> {
        Ok(self.line(id, byte))
    }

    fn line_range(&'a self, id: FileId, line: usize) -> Result<Range<usize>, Error> {
        let end = self.file(id).text.len();
        Ok(Sources::line_range(self, id, line).unwrap_or(end..end))
    }
}

/// Diagnostics as text, in source order. `color` adds ANSI escape codes.
pub fn text(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    let config = Config { tab_width: 4, ..Config::default() };
    let mut out = Vec::new();
    let sorted = diagnostics.sorted();
    for diagnostic in sorted.iter().take(MAX_SHOWN) {
        let converted = convert(diagnostic, sources);
        let written = if color {
            let mut styled = termcolor::Ansi::new(&mut out);
            term::emit_to_write_style(&mut styled, &config, sources, &converted)
        } else {
            term::emit_to_io_write(&mut out, &config, sources, &converted)
        };
        if written.is_err() {
            out.extend_from_slice(format!("{}: {}\n", diagnostic.code, diagnostic.message).as_bytes());
        }
    }
    if sorted.len() > MAX_SHOWN {
        out.extend_from_slice(format!("and {} more\n", sorted.len() - MAX_SHOWN).as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn convert(diagnostic: &Diagnostic, sources: &Sources) -> codespan::Diagnostic<FileId> {
    let severity = match diagnostic.severity {
        Severity::Error => codespan::Severity::Error,
        Severity::Warning => codespan::Severity::Warning,
    };
    let mut labels = Vec::new();
    let mut notes = Vec::new();
    for label in &diagnostic.labels {
        if longest_line(sources, label.span) > MAX_LINE_LEN {
            let (line, column) = sources.line_column(label.span);
            notes.push(format!("{}:{line}:{column}: {}", sources.file(label.span.file).name, label.text));
            continue;
        }
        let style = if label.primary { codespan::LabelStyle::Primary } else { codespan::LabelStyle::Secondary };
        labels.push(codespan::Label::new(style, label.span.file, label.span.range()).with_message(&label.text));
    }
    notes.extend(diagnostic.notes.iter().cloned());
    notes.extend(diagnostic.help.iter().map(|help| format!("help: {help}")));
    codespan::Diagnostic::new(severity)
        .with_code(diagnostic.code.to_string())
        .with_message(&diagnostic.message)
        .with_labels(labels)
        .with_notes(notes)
}

fn longest_line(sources: &Sources, span: crate::source::Span) -> usize {
    let text = &sources.file(span.file).text;
    let start = text[..(span.start as usize).min(text.len())].rfind('\n').map_or(0, |at| at + 1);
    let end = text[(span.end as usize).min(text.len())..].find('\n').map_or(text.len(), |at| at + span.end as usize);
    text[start..end].split('\n').map(str::len).max().unwrap_or(0)
}

/// Diagnostics as annotations of GitHub Actions, one on a line, in source order: `::error file=…,line=…,col=…,title=E0301::…`.
pub fn github(diagnostics: &Diagnostics, sources: &Sources) -> String {
    // The workflow commands' own escapes: of a message, and of a property.
    let message = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| message(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for diagnostic in diagnostics.sorted() {
        let severity = diagnostic.severity.name();
        let mut place = String::new();
        if let Some(label) = diagnostic.labels.iter().find(|label| label.primary) {
            let (line, column) = sources.line_column(label.span);
            place = format!("file={},line={line},col={column},", property(&sources.file(label.span.file).name));
        }
        let help = diagnostic.help.iter().map(|help| format!("\nhelp: {help}"));
        let text = std::iter::once(diagnostic.message.clone()).chain(help).collect::<String>();
        out += &format!("::{severity} {place}title={}::{}\n", diagnostic.code, message(&text));
    }
    out
}

/// A label in `--format json`; lines and columns count from 1.
#[derive(Serialize)]
struct JsonLabel<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    text: &'a str,
}

/// A fix in `--format json`: replaces the text `replace`, which is empty for an insertion, by `with`.
#[derive(Serialize)]
struct JsonFix<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    replace: &'a str,
    with: &'a str,
}

/// A diagnostic in `--format json`.
#[derive(Serialize)]
struct JsonDiagnostic<'a> {
    code: String,
    severity: &'static str,
    message: &'a str,
    labels: Vec<JsonLabel<'a>>,
    notes: &'a [String],
    help: &'a [String],
    fixes: Vec<JsonFix<'a>>,
}

/// Diagnostics as the JSON document `{"diagnostics": […]}`, in source order.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> serde_json::Value {
    let list: Vec<JsonDiagnostic> = diagnostics
        .sorted()
        .into_iter()
        .map(|diagnostic| JsonDiagnostic {
            code: diagnostic.code.to_string(),
            severity: diagnostic.severity.name(),
            message: &diagnostic.message,
            labels: diagnostic
                .labels
                .iter()
                .map(|label| {
                    let (line, column) = sources.line_column(label.span);
                    JsonLabel { file: &sources.file(label.span.file).name, line, column, text: &label.text }
                })
                .collect(),
            notes: &diagnostic.notes,
            help: &diagnostic.help,
            fixes: diagnostic
                .fixes_in(sources)
                .map(|fix| {
                    let (line, column) = sources.line_column(fix.span);
                    let file = &sources.file(fix.span.file).name;
                    JsonFix { file, line, column, replace: &fix.found, with: &fix.text }
                })
                .collect(),
        })
        .collect();
    serde_json::json!({ "diagnostics": list })
}
