//! The named values of a recipe's entries: tables of names with arguments, which are bound like the arguments of layers.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, foreign_names, suggest};
use crate::graph::signature::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};

/// A named value of an entry of a recipe, with its arguments.
pub struct Choice<T: 'static> {
    pub name: &'static str,
    /// What it does, in one line, with its source.
    pub summary: &'static str,
    pub arguments: &'static [Argument],
    pub build: fn(&Arguments) -> Result<T, Diagnostic>,
}

impl<T> std::fmt::Debug for Choice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What `netc help` prints: `Momentum(step=0.1, momentum=0.9, nesterov=false)`, the summary, and a line for each argument.
pub fn documentation(name: &str, summary: &str, arguments: &[Argument]) -> String {
    let call = call(name, arguments);
    let width = arguments.iter().map(|argument| argument.name.len()).max().unwrap_or(0);
    let lines: String =
        arguments.iter().map(|one| format!("  {:width$}  {}\n", one.name, one.documentation())).collect();
    let heading = if lines.is_empty() { "" } else { "\nArguments:\n" };
    format!("{call}\n\n{summary}\n{heading}{lines}")
}

/// The item of a Markdown list that describes a choice, with one for each argument below it.
pub fn item(name: &str, summary: &str, arguments: &[Argument]) -> String {
    let summary = if summary.is_empty() { String::new() } else { format!(": {summary}") };
    let lines = arguments.iter().map(|one| format!("  - `{}`: {}\n", one.name, one.documentation()));
    format!("- `{}`{summary}\n{}", call(name, arguments), lines.collect::<String>())
}

/// `Momentum(step=0.1, momentum=0.9, nesterov=false)`
fn call(name: &str, arguments: &[Argument]) -> String {
    let list: Vec<String> = arguments.iter().map(Argument::signature).collect();
    if list.is_empty() { name.to_string() } else { format!("{name}({})", list.join(", ")) }
}

/// An argument of a choice.
pub const fn argument(name: &'static str, takes: &'static str, default: Default, doc: &'static str) -> Argument {
    Argument { name, takes, default, doc }
}

/// The error for a value that the recipe's key `key` does not take.
pub fn wrong(key: &str, value: &Value, takes: &str) -> Diagnostic {
    Diagnostic::new(Code::RecipeValue, format!("`{key}` takes {takes}"))
        .at(value.span, format!("this is {}", value.kind.described()))
}

/// The name and arguments of a value: a bare word has none.
pub fn called(value: &Value) -> Option<(&str, Vec<crate::graph::signature::definition::Given>)> {
    match &value.kind {
        ValueKind::Word(name) => Some((name, Vec::new())),
        ValueKind::Construct { name, arguments } => Some((name, arguments.clone())),
        _ => None,
    }
}

/// The name that a word likely stands for: a similar one, or the equivalent of another library's name, or the one most like it.
pub fn likely<'a>(word: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let similar = |word: &str| suggest::nearest(word, names.clone());
    // The metric of the loss `mse` is `rmse`.
    let contains = |ours: &str| names.clone().find(|name| name.ends_with(ours));
    similar(word).or_else(|| {
        let ours = foreign_names::value(word)?;
        contains(ours).or_else(|| similar(ours))
    })
}

/// Adds the fix of a name in quotes: the name without them, or the one that it likely stands for.
pub fn unquoted<'a>(error: Diagnostic, value: &Value, names: impl Iterator<Item = &'a str> + Clone) -> Diagnostic {
    let ValueKind::Text(text) = &value.kind else { return error };
    let fixed = |error: Diagnostic, name: &str| error.fix(value.span, format!("\"{text}\""), name);
    match likely(text, names) {
        Some(name) if name == text => fixed(error.help(format!("write it without quotes: `{text}`")), text),
        Some(name) => fixed(error.help(suggest::question(name)), name),
        None => error,
    }
}

/// Reads a value by a table; `key` is the recipe's key.
///
/// # Errors
/// A name that is not in the table, or invalid arguments.
pub fn read<T>(key: &str, table: &'static [Choice<T>], value: &Value) -> Result<T, Diagnostics> {
    let names = || table.iter().map(|choice| choice.name);
    let Some((name, given)) = called(value) else {
        return Err(unquoted(wrong(key, value, &suggest::one_of(names())), value, names()).into());
    };
    let Some(choice) = table.iter().find(|choice| choice.name == name) else {
        return Err(Diagnostic::new(Code::RecipeValue, format!("`{key}` has no value `{name}`"))
            .at(value.span, format!("it takes {}", suggest::one_of(names())))
            .suggest_name(value.span.head(name.len()), name, likely(name, names()))
            .into());
    };
    let arguments = Arguments::bind(choice.name, choice.arguments, given, value.span)?;
    Ok((choice.build)(&arguments)?)
}
