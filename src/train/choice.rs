//! What a recipe's entries may be: tables of names with arguments, read like the arguments of layers.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::graph::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};

/// A name that an entry of a recipe takes, with its arguments.
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

impl<T> Choice<T> {
    /// `Momentum(step=0.1, momentum=0.9, nesterov=false)`, what it does, and its arguments: what `netc help` prints.
    pub fn documentation(&self) -> String {
        let list: Vec<String> = self.arguments.iter().map(Argument::signature).collect();
        let call = if list.is_empty() { self.name.to_string() } else { format!("{}({})", self.name, list.join(", ")) };
        let width = self.arguments.iter().map(|argument| argument.name.len()).max().unwrap_or(0);
        let told = self.arguments.iter().map(|one| format!("  {:width$}  {}\n", one.name, one.told()));
        let arguments: String = told.collect();
        let heading = if arguments.is_empty() { "" } else { "\nArguments:\n" };
        format!("{call}\n\n{}\n{heading}{arguments}", self.summary)
    }
}

/// An argument of a choice.
pub const fn argument(name: &'static str, takes: &'static str, default: Default, doc: &'static str) -> Argument {
    Argument { name, takes, default, doc }
}

/// The answer to a value that the recipe's key `key` does not take.
pub fn wrong(key: &str, value: &Value, takes: &str) -> Diagnostic {
    Diagnostic::new(Code::RecipeValue, format!("`{key}` takes {takes}"))
        .at(value.span, format!("this is {} `{value}`", value.kind.noun()))
}

/// The name and arguments of a value: a bare word has none.
pub fn called(value: &Value) -> Option<(&str, Vec<crate::graph::definition::Given>)> {
    match &value.kind {
        ValueKind::Word(name) => Some((name, Vec::new())),
        ValueKind::Construct { name, arguments } => Some((name, arguments.clone())),
        _ => None,
    }
}

/// Reads a value by a table; `entry` is the recipe's key.
///
/// # Errors
/// A name that is not in the table, and arguments that it does not take.
pub fn read<T>(entry: &str, table: &'static [Choice<T>], value: &Value) -> Result<T, Diagnostics> {
    let names = || table.iter().map(|choice| choice.name);
    let Some((name, given)) = called(value) else {
        return Err(Diagnostic::new(Code::RecipeValue, format!("`{entry}` takes {}", suggest::one_of(names())))
            .at(value.span, format!("this is {} `{value}`", value.kind.noun()))
            .into());
    };
    let Some(choice) = table.iter().find(|choice| choice.name == name) else {
        return Err(Diagnostic::new(Code::RecipeValue, format!("`{entry}` knows no `{name}`"))
            .at(value.span, format!("it takes {}", suggest::one_of(names())))
            .maybe_help(suggest::did_you_mean(name, names()))
            .into());
    };
    let arguments = Arguments::bind(choice.name, choice.arguments, given, value.span)?;
    Ok((choice.build)(&arguments)?)
}
