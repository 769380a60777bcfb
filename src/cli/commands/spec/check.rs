//! `netc check`

use crate::check;
use crate::cli::args::spec_files;
use crate::cli::output::messages;
use crate::cli::result::{CommandResult, Failed};
use crate::diagnostics::{Diagnostics, render};
use crate::elaborate;
use crate::elaborate::project::source_files::from_disk;
use crate::source::Sources;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files, folders of specs, shipped nets or expressions; - for stdin
    #[arg(required = true)]
    specs: Vec<String>,
    /// Check only this net
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The format of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Readable text
    Text,
    /// One JSON document
    Json,
    /// Annotations of GitHub Actions
    Github,
}

pub fn run(args: &Args) -> CommandResult {
    let mut result = Ok(());
    let mut documents = Vec::new();
    let specs: Vec<PathBuf> = args.specs.iter().map(PathBuf::from).collect();
    for path in spec_files::find(&specs)? {
        let (sources, diagnostics, lines) = match elaborate::load(&path.to_string_lossy(), &from_disk) {
            Ok(spec) => {
                let checked = check::check(&spec, args.net.as_deref());
                (spec.sources, checked.diagnostics, checked.lines)
            }
            Err((sources, errors)) => (sources, errors, Vec::new()),
        };
        if diagnostics.has_errors() {
            result = Err(Failed::Error);
        }
        print(args.format, &sources, &diagnostics, &lines, &mut documents);
    }
    if args.format == Format::Json {
        messages::print(format!("{:#}\n", json!({ "diagnostics": documents })));
    }
    result
}

/// Prints the result of one spec; JSON is collected for one document.
fn print(format: Format, sources: &Sources, diagnostics: &Diagnostics, lines: &[String], documents: &mut Vec<Value>) {
    match format {
        Format::Text => {
            messages::emit(diagnostics, sources);
            if !diagnostics.has_errors() {
                messages::print(lines.concat());
            }
        }
        Format::Json => {
            if let Value::Array(list) = render::json(diagnostics, sources)["diagnostics"].take() {
                documents.extend(list);
            }
        }
        Format::Github => messages::print(render::github(diagnostics, sources)),
    }
}
