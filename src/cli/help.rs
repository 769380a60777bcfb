//! `netc help`

use super::{Done, Program, report};
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::elaborate::shipped;
use crate::graph::Definition;
use crate::graph::definition::Default;
use crate::ops;
use clap::CommandFactory;
use std::fmt::Write;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A layer, a shipped net or a command; without one, all are listed
    name: Option<String>,
}

pub fn run(args: &Args) -> Done {
    let mut program = Program::command();
    let Some(name) = &args.name else {
        report::print(format!("{}\n{}", program.render_help(), list()));
        return Ok(());
    };
    if let Some(definition) = ops::find(name) {
        report::print(layer(definition));
        return Ok(());
    }
    if let Some(spec) = shipped::find(name) {
        report::print(spec.text);
        return Ok(());
    }
    if let Some(command) = program.find_subcommand_mut(name) {
        report::print(command.render_long_help());
        return Ok(());
    }
    let mut known: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_string()).collect();
    known.extend(ops::names().map(str::to_string));
    known.extend(shipped::SPECS.iter().map(|spec| spec.name.to_string()));
    let near = suggest::did_you_mean(name, known.iter().map(String::as_str));
    Err(report::fail_with(
        Diagnostic::new(Code::UnknownName, format!("there is no layer, shipped net or command `{name}`"))
            .maybe_help(near)
            .help("`netc help` lists them all"),
    ))
}

/// All layers and shipped nets, one line each.
fn list() -> String {
    let mut text = String::from("Layers:\n");
    let width = ops::LAYERS.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in ops::LAYERS {
        let _ = writeln!(text, "  {:width$}  {}", layer.name, layer.summary);
    }
    let names: Vec<&str> = shipped::SPECS.iter().map(|spec| spec.name).collect();
    let _ = writeln!(text, "\nNets that ship: {}", names.join(", "));
    text
}

/// What is to be known of a layer.
pub fn layer(definition: &Definition) -> String {
    let mut text = format!("{}\n\n{}\n", definition.signature(), definition.summary);
    if !definition.aliases.is_empty() {
        let _ = writeln!(text, "Also written {}.", suggest::one_of(definition.aliases.iter().copied()));
    }
    if !definition.arguments.is_empty() {
        text += "\nArguments:\n";
    }
    let width = definition.arguments.iter().map(|argument| argument.name.len()).max().unwrap_or(0);
    for argument in definition.arguments {
        let default = match argument.default {
            Default::Required => "needed".to_string(),
            Default::Absent(meaning) => format!("without it: {meaning}"),
            Default::Int(value) => format!("default {value}"),
            Default::Float(value) => format!("default {value}"),
            Default::Bool(value) => format!("default {value}"),
            Default::Word(value) => format!("default {value}"),
        };
        let _ = writeln!(text, "  {:width$}  {} ({}; {default})", argument.name, argument.doc, argument.takes);
    }
    let _ = write!(text, "\n{}\n\nExample:\n  {}\n", definition.details, definition.example);
    text
}
