//! What the definition of a layer does: it makes operations of calls, and documents them.

use crate::diagnostics::{Diagnostics, suggest};
use crate::graph::{Argument, Arguments, Definition, Operation, Value, ValueKind};
use crate::source::Span;
use std::fmt::Write;
use std::sync::Arc;

pub use super::argument::Default;
pub use super::call::Given;

impl Definition {
    /// All its names, the full one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// `Convolution(size, filters, stride=1)`
    pub fn signature(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(Argument::signature).collect();
        format!("{}({})", self.name, arguments.join(", "))
    }

    /// Makes the operation of a call.
    ///
    /// # Errors
    /// All errors in its arguments.
    pub fn make(&self, given: Vec<Given>, span: Span) -> Result<Arc<dyn Operation>, Diagnostics> {
        let (mut arguments, mut errors) = Arguments::sort(self.name, self.arguments, given, span);
        // Missing and wrong values were reported; 1 replaces them, so that the others are checked too.
        let replacement = |argument: &Argument| {
            (argument.default == Default::Required).then_some(Value { kind: ValueKind::Int(1), span })
        };
        for (value, argument) in arguments.values.iter_mut().zip(self.arguments) {
            if value.is_none() {
                *value = replacement(argument);
            }
        }
        for _ in 0..=self.arguments.len() {
            let error = match (self.build)(&arguments) {
                Ok(operation) if errors.is_empty() => return Ok(operation),
                Ok(_) => break,
                Err(error) => error,
            };
            let at = error.labels.iter().find(|label| label.primary).map(|label| label.span);
            let inside = |value: &Option<Value>| {
                let of = |value: &Value| value.span != span && at.is_some_and(|at| value.span.contains(at));
                value.as_ref().is_some_and(of)
            };
            let Some(wrong) = arguments.values.iter().position(inside) else {
                if errors.is_empty() {
                    errors.push(error);
                }
                break;
            };
            // An error of several values together may come from the replacement.
            if errors.is_empty() || error.message.contains("` takes ") {
                errors.push(error);
            }
            arguments.values[wrong] = replacement(&self.arguments[wrong]);
        }
        Err(errors)
    }

    /// Its documentation as text, for `netc help Conv` and hover.
    pub fn documentation(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.signature(), self.summary);
        if !self.aliases.is_empty() {
            let _ = writeln!(text, "Also written {}.", suggest::one_of(self.aliases.iter().copied()));
        }
        if !self.arguments.is_empty() {
            text += "\nArguments:\n";
        }
        let width = self.arguments.iter().map(|argument| argument.name.len()).max().unwrap_or(0);
        for argument in self.arguments {
            let _ = writeln!(text, "  {:width$}  {}", argument.name, argument.documentation());
        }
        let _ = write!(text, "\n{}\n\nExample:\n  {}\n", self.details, self.example);
        text
    }

    /// Its documentation as a section in Markdown.
    pub fn section(&self) -> String {
        let mut text = format!("\n## {}\n\n```net\n{}\n```\n\n{}\n", self.name, self.signature(), self.summary);
        if !self.aliases.is_empty() {
            let _ = writeln!(text, "Also written {}.", suggest::one_of(self.aliases.iter().copied()));
        }
        if !self.arguments.is_empty() {
            text += "\n| argument | meaning |\n|---|---|\n";
        }
        for argument in self.arguments {
            let _ = writeln!(text, "| `{}` | {} |", argument.name, argument.documentation().replace('|', "\\|"));
        }
        let _ = write!(text, "\n{}\n\n```net\n{}\n```\n", self.details, self.example);
        text
    }
}

/// The stem of generated names: the class in kebab-case, as in NeuPy (`MaxPooling` to `max-pooling`, `PRelu` to `p-relu`).
pub fn kebab_case(class: &str) -> String {
    let characters: Vec<char> = class.chars().collect();
    let mut out = String::new();
    for (index, c) in characters.iter().enumerate() {
        let before_lower = characters.get(index + 1).is_some_and(|next| next.is_lowercase() || *next == '_');
        if index > 0 && c.is_uppercase() && before_lower {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::kebab_case;

    #[test]
    fn names_follow_neupys_rule() {
        let cases = [
            ("Relu", "relu"),
            ("MaxPooling", "max-pooling"),
            ("PRelu", "p-relu"),
            ("LSTM", "lstm"),
            ("LocalResponseNorm", "local-response-norm"),
            ("ABCDefg", "abc-defg"),
        ];
        for (class, name) in cases {
            assert_eq!(kebab_case(class), name);
        }
    }
}
