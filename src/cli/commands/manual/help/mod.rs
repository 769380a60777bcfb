//! `netc help`

mod commands_page;

use crate::cli::output::messages;
use crate::cli::output::paragraphs::wrapped;
use crate::cli::result::CommandResult;
use crate::diagnostics::foreign_names::{self, Meaning};
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::elaborate::project::shipped;
use crate::ops::{self, values};
use crate::syntax::manual;
use crate::train::recipe;
use std::fmt::Write;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A layer, a word of the language, a name in recipes, a shipped net, a command, or a name of Keras or PyTorch; without it, all are listed
    #[arg(group = "what")]
    name: Option<String>,
    /// Print the descriptions of all layers as a Markdown page
    #[arg(long, group = "what")]
    all: bool,
    /// Print all keys of recipes, and the values that they take, as a Markdown page
    #[arg(long, group = "what")]
    recipes: bool,
    /// Print all commands, with their arguments, as a Markdown page
    #[arg(long, group = "what")]
    commands: bool,
}

pub fn run(args: &Args, mut program: clap::Command) -> CommandResult {
    if args.all {
        messages::print(ops::page());
        return Ok(());
    }
    if args.recipes {
        messages::print(recipe::help::page());
        return Ok(());
    }
    // Adds the program's name to the usage of commands.
    program.build();
    if args.commands {
        messages::print(commands_page::page(&program));
        return Ok(());
    }
    let Some(name) = &args.name else {
        messages::print(format!("{}\n{}", program.render_help(), wrapped(&list())));
        return Ok(());
    };
    let answers = answers(name, &mut program);
    if !answers.is_empty() {
        messages::print(answers.join("\n"));
        return Ok(());
    }
    let mut known: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_string()).collect();
    known.extend(ops::names().map(str::to_string));
    known.extend(recipe_names().chain(values::names()).chain(values::KINDS).chain(manual::words()).map(str::to_string));
    known.extend(shipped::SPECS.iter().map(|spec| spec.name.to_string()));
    let suggestion = suggest::did_you_mean(name, known.iter().map(String::as_str));
    Err(messages::fail_with(
        Diagnostic::new(Code::UnknownName, format!("there is no help for `{name}`"))
            .maybe_help(suggestion)
            .help("`netc help` lists layers, words of the language, names in recipes, shipped nets and commands"),
    ))
}

/// The texts about a name: more than one if, as `train`, it is a word of the language and a command. Those of other libraries
/// are asked only if nothing of that name is known here.
fn answers(name: &str, program: &mut clap::Command) -> Vec<String> {
    let mut answers: Vec<String> = [
        ops::find(name).map(|layer| wrapped(&layer.documentation())),
        shipped::find(name).map(|spec| spec.text.to_string()),
        recipe::help::documentation(name)
            .or_else(|| values::find(name))
            .or_else(|| values::find_kind(name))
            .map(|text| wrapped(&text)),
        manual::section(name).map(|text| wrapped(&text)),
        manual::term(name).map(|meaning| wrapped(&format!("{name}\n\nA term of netc: {meaning}.\n"))),
        argument(name).map(|text| wrapped(&text)),
        program.find_subcommand_mut(name).map(|command| command.render_long_help().to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if answers.is_empty() {
        // `nn.Conv2d` and `keras.layers.Conv2D` are asked for by their last part.
        let last = name.rsplit('.').next().unwrap_or(name);
        answers.extend(foreign(last).or_else(|| in_another_case(last)).map(|text| wrapped(&text)));
    }
    if answers.is_empty() && name.parse::<Code>().is_ok() {
        answers.push(format!("{name}\n\nA diagnostic: `netc explain {name}` explains it.\n"));
    }
    if let (true, Some(ours)) = (answers.is_empty(), foreign_names::command(name)) {
        answers.push(format!("{name}\n\nA command of other tools: write `netc {ours}`.\n"));
    }
    answers
}

/// The layers that take an argument, and what it means in each.
fn argument(name: &str) -> Option<String> {
    let mut text = format!("{name}\n\nAn argument of layers:\n\n");
    let before = text.len();
    for layer in ops::LAYERS {
        for argument in layer.arguments.iter().filter(|argument| argument.name == name) {
            let _ = writeln!(text, "    {}: {}", layer.name, argument.doc);
        }
    }
    (text.len() > before).then_some(text)
}

/// What to write in place of a name of another library: a layer's, an entry's of a recipe, a value's or an initialiser's.
fn foreign(name: &str) -> Option<String> {
    let advice = foreign_names::layer(name).map(Meaning::Advice);
    match advice
        .or_else(|| foreign_names::concept(name).map(Meaning::Advice))
        .or_else(|| foreign_names::known_recipe_key(name))
        .or_else(|| foreign_names::known_initializer(name))
        .or_else(|| foreign_names::value(name).map(Meaning::Name))?
    {
        Meaning::Advice(text) => Some(format!("{name}\n\nA name of other libraries: {text}.\n")),
        Meaning::Name(ours) => {
            let called = ours.split_once('(').map_or(ours, |(called, _)| called);
            let text = recipe::help::documentation(ours).or_else(|| values::find(called));
            let text = text.map_or_else(String::new, |text| format!("\n{text}"));
            Some(format!("{name}\n\nA name of other libraries: write `{ours}`.\n{text}"))
        }
    }
}

/// The help of a layer whose name differs by case: `relu`, `ReLU`.
fn in_another_case(name: &str) -> Option<String> {
    let found = ops::names().find(|known| known.eq_ignore_ascii_case(name))?;
    ops::find(found).map(|layer| layer.documentation())
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
    let _ = writeln!(text, "\nWords: {}", manual::words().collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "In recipes: {}", recipe_names().collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "Values: {}", values::names().collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "\nShipped nets: {}", names.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::training::loss::Loss;
    use crate::train::recipe::Metric;

    #[test]
    fn every_loss_and_metric_has_help() {
        let losses = Loss::ALL.into_iter().map(Loss::name);
        let metrics = Metric::ALL.iter().map(|(name, _)| *name);
        for word in losses.chain(metrics) {
            assert!(recipe::help::documentation(word).is_some(), "{word}");
            assert!(recipe_names().any(|name| name == word), "{word}");
        }
    }
}
