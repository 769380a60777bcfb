//! All commands as a page in Markdown, `docs/commands.md`, from the definition of the command line.

use clap::builder::PossibleValue;
use clap::{Arg, Command};
use std::fmt::Write;

/// An option of as many commands is described once, for all of them.
const SHARED: usize = 4;

/// The page. `program` is the whole command line, built.
pub fn page(program: &Command) -> String {
    let mut text = String::from(
        "# Commands\n\nEvery command, its arguments and options. `netc build --help` prints one, `netc help --commands` this page.\n\n",
    );
    let after = program.get_after_help().map(|help| escaped(&help.to_string())).unwrap_or_default();
    let _ = writeln!(text, "{after}\n\n| command | what it does |\n|---|---|");
    let commands = || program.get_subcommands().filter(|command| !command.is_hide_set());
    for command in commands() {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| [`{name}`](#netc-{name}) | {} |", escaped(&about).replace('|', "\\|"));
    }
    let mut shared: Vec<(String, usize)> = Vec::new();
    for option in commands().flat_map(options).filter(|option| !option.is_global_set()).map(described) {
        match shared.iter_mut().find(|(known, _)| *known == option) {
            Some((_, count)) => *count += 1,
            None => shared.push((option, 1)),
        }
    }
    shared.retain(|(_, count)| *count >= SHARED);
    let is_shared = |option: &Arg| shared.iter().any(|(known, _)| *known == described(option));
    text += "\n## Options of every command\n\n";
    program.get_arguments().filter(|option| option.is_global_set()).for_each(|option| text += &described(option));
    text += "\n## Options of several commands\n\n";
    shared.iter().for_each(|(option, _)| text += option);
    for command in commands() {
        text += &section(command, &is_shared);
    }
    text
}

/// A command: its usage, what it does, its arguments and options.
fn section(command: &Command, is_shared: &dyn Fn(&Arg) -> bool) -> String {
    let usage = command.clone().render_usage().to_string();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let more = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let more = more.strip_prefix(&about).unwrap_or_default().trim();
    let usage = usage.trim_start_matches("Usage: ");
    let mut text = format!("\n## netc {}\n\n```text\n{usage}\n```\n\n{}.\n", command.get_name(), escaped(&about));
    if !more.is_empty() {
        let _ = write!(text, "\n{}\n", escaped(more));
    }
    let positional = command.get_positionals().filter(|argument| !argument.is_hide_set()).map(described);
    let own = options(command).filter(|option| !option.is_global_set() && !is_shared(option)).map(described);
    let list: String = positional.chain(own).collect();
    if !list.is_empty() {
        let _ = write!(text, "\n{list}");
    }
    let names: Vec<String> = options(command).filter(|option| is_shared(option)).map(name).collect();
    if !names.is_empty() {
        let _ =
            writeln!(text, "\nAnd [options of several commands](#options-of-several-commands): {}.", names.join(", "));
    }
    text
}

/// The options of a command in their order, without help and version.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_builtin = |option: &Arg| matches!(option.get_id().as_str(), "help" | "version");
    command
        .get_arguments()
        .filter(move |option| !option.is_positional() && !option.is_hide_set() && !is_builtin(option))
}

/// `` `--output` ``
fn name(option: &Arg) -> String {
    format!("`--{}`", option.get_long().unwrap_or_default())
}

/// The item of a list that describes an argument: its form, its help, its default and the values that it takes.
fn described(argument: &Arg) -> String {
    let short = argument.get_short().filter(|_| argument.get_long().is_some());
    let short = short.map_or_else(String::new, |short| format!("-{short}, "));
    let mut text = format!("- `{short}{argument}`");
    if let Some(help) = argument.get_long_help().or(argument.get_help()) {
        let _ = write!(text, ": {}", escaped(&help.to_string()));
    }
    let takes_values = argument.get_action().takes_values();
    let values: Vec<PossibleValue> = if takes_values { argument.get_possible_values() } else { Vec::new() };
    let values: Vec<&PossibleValue> = values.iter().filter(|value| !value.is_hide_set()).collect();
    let is_explained = values.iter().any(|value| value.get_help().is_some());
    if !values.is_empty() && !is_explained {
        let names: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let separator = if argument.get_help().is_some() { "; " } else { ": " };
        let _ = write!(text, "{separator}{}", names.join(", "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into()).collect();
    if takes_values && !defaults.is_empty() && !argument.is_hide_default_value_set() {
        let _ = write!(text, " (default `{}`)", defaults.join(","));
    }
    text.push('\n');
    for value in values.into_iter().filter(|_| is_explained) {
        let help = value.get_help().map(|help| format!(": {}", escaped(&help.to_string()))).unwrap_or_default();
        let _ = writeln!(text, "  - `{}`{help}", value.get_name());
    }
    text
}

/// A text of help in Markdown: what is between angle brackets is no HTML.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
}
