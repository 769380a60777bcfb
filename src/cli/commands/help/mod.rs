//! `netc help`

mod terms;

use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::elaborate::project::shipped;
use crate::ops;
use crate::train::recipe;
use std::fmt::Write;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A layer, a name in recipes, a shipped net or a command; without it, all are listed
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// Print the descriptions of all layers as a Markdown page
    #[arg(long)]
    all: bool,
}

pub fn run(args: &Args, mut program: clap::Command) -> CommandResult {
    if args.all {
        messages::print(ops::page());
        return Ok(());
    }
    // Adds the program's name to the usage of commands.
    program.build();
    let Some(name) = &args.name else {
        messages::print(format!("{}\n{}", program.render_help(), list()));
        return Ok(());
    };
    if let Some(definition) = ops::find(name) {
        messages::print(definition.documentation());
        return Ok(());
    }
    if let Some(spec) = shipped::find(name) {
        messages::print(spec.text);
        return Ok(());
    }
    if let Some(text) = recipe::help::documentation(name).or_else(|| terms::find(name)) {
        messages::print(text);
        return Ok(());
    }
    if let Some(command) = program.find_subcommand_mut(name) {
        messages::print(command.render_long_help());
        return Ok(());
    }
    let mut known: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_string()).collect();
    known.extend(ops::names().map(str::to_string));
    known.extend(recipe_names().chain(terms::names()).map(str::to_string));
    known.extend(shipped::SPECS.iter().map(|spec| spec.name.to_string()));
    let suggestion = suggest::did_you_mean(name, known.iter().map(String::as_str));
    Err(messages::fail_with(
        Diagnostic::new(Code::UnknownName, format!("there is no layer, shipped net or command `{name}`"))
            .maybe_help(suggestion)
            .help("`netc help` lists them all"),
    ))
}

/// The keys of recipes, and the names that they take.
fn recipe_names() -> impl Iterator<Item = &'static str> {
    recipe::keys::KEYS.iter().map(|key| key.name).chain(recipe::help::names())
}

/// All layers, one on a line, and the names in recipes and of shipped nets.
fn list() -> String {
    let mut text = String::from("Layers:\n");
    let width = ops::LAYERS.iter().map(|layer| layer.name.len()).max().unwrap_or(0);
    for layer in ops::LAYERS {
        let _ = writeln!(text, "  {:width$}  {}", layer.name, layer.summary);
    }
    let names: Vec<&str> = shipped::SPECS.iter().map(|spec| spec.name).collect();
    let _ = writeln!(text, "\nIn recipes: {}", recipe_names().collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "Values: {}", terms::names().collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "\nShipped nets: {}", names.join(", "));
    text
}
