//! What a recipe's entries may be: tables of names with arguments, read like the arguments of layers.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::graph::signature::definition::Default;
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
        let told = self.arguments.iter().map(|one| format!("  {:width$}  {}\n", one.name, one.documentation()));
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
pub fn called(value: &Value) -> Option<(&str, Vec<crate::graph::signature::definition::Given>)> {
    match &value.kind {
        ValueKind::Word(name) => Some((name, Vec::new())),
        ValueKind::Construct { name, arguments } => Some((name, arguments.clone())),
        _ => None,
    }
}

/// What other libraries call what recipes name otherwise.
const ELSEWHERE: &[(&str, &str)] = &[
    ("SGD", "GradientDescent"),
    ("sparse_categorical_crossentropy", "categorical_crossentropy"),
    ("crossentropy", "categorical_crossentropy"),
    ("nll", "categorical_crossentropy"),
    ("bce", "binary_crossentropy"),
    ("logistic", "binary_crossentropy"),
    ("mean_squared_error", "mse"),
    ("l2_loss", "mse"),
    ("mean_absolute_error", "mae"),
    ("l1_loss", "mae"),
    ("mean_squared_logarithmic_error", "msle"),
    ("hinge", "binary_hinge"),
    ("acc", "accuracy"),
    ("categorical_accuracy", "accuracy"),
    ("binary_accuracy", "accuracy"),
    ("top_k_categorical_accuracy", "top5"),
    ("root_mean_squared_error", "rmse"),
    ("ReduceLROnPlateau", "reduce_on_plateau"),
    ("CosineAnnealingLR", "cosine_decay"),
    ("ExponentialLR", "exponential_decay"),
    ("horizontal_flip", "flip"),
];

/// The one of the names that is likely meant by a word: a near one, or what another library calls so.
pub fn likely<'a>(word: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    suggest::nearest(word, names.clone()).or_else(|| {
        let known = suggest::nearest(word, ELSEWHERE.iter().map(|(other, _)| *other))?;
        let (_, ours) = ELSEWHERE.iter().find(|(other, _)| *other == known)?;
        names.into_iter().find(|name| name == ours)
    })
}

/// An answer with the quotes taken off, where one of the names stands in them.
pub fn unquoted<'a>(error: Diagnostic, value: &Value, mut names: impl Iterator<Item = &'a str>) -> Diagnostic {
    match &value.kind {
        ValueKind::Text(text) if names.any(|name| name == text) => {
            error.help(format!("write it without quotes: `{text}`")).fix(value.span, format!("\"{text}\""), text)
        }
        _ => error,
    }
}

/// Reads a value by a table; `entry` is the recipe's key.
///
/// # Errors
/// A name that is not in the table, and arguments that it does not take.
pub fn read<T>(entry: &str, table: &'static [Choice<T>], value: &Value) -> Result<T, Diagnostics> {
    let names = || table.iter().map(|choice| choice.name);
    let Some((name, given)) = called(value) else {
        return Err(unquoted(wrong(entry, value, &suggest::one_of(names())), value, names()).into());
    };
    let Some(choice) = table.iter().find(|choice| choice.name == name) else {
        return Err(Diagnostic::new(Code::RecipeValue, format!("`{entry}` knows no `{name}`"))
            .at(value.span, format!("it takes {}", suggest::one_of(names())))
            .suggest_name(value.span.head(name.len()), name, likely(name, names()))
            .into());
    };
    let arguments = Arguments::bind(choice.name, choice.arguments, given, value.span)?;
    Ok((choice.build)(&arguments)?)
}
