//! What is known of a layer before it is used: its names, arguments and documentation, and how arguments are read.

use super::value::number_text;
use super::{Initializer, Operation, Value, ValueKind};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, spellings, suggest};
use crate::source::Span;
use std::fmt::Write;
use std::sync::Arc;

/// What an argument is when it is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It must be given.
    Required,
    /// Without a value; the text says what that means.
    Absent(&'static str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Word(&'static str),
}

/// An argument of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    pub name: &'static str,
    /// What it takes, for people: `integer or sizes`.
    pub takes: &'static str,
    pub default: Default,
    /// One line.
    pub doc: &'static str,
}

/// A layer that the language knows.
#[derive(Debug)]
pub struct Definition {
    /// Its full name, `Convolution`.
    pub name: &'static str,
    /// Other names, `Conv`.
    pub aliases: &'static [&'static str],
    /// NeuPy's class, from which generated names are made.
    pub kind: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    pub arguments: &'static [Argument],
    /// Formulas, shape rules and sources.
    pub details: &'static str,
    /// A complete spec that uses it.
    pub example: &'static str,
    /// Makes the operation.
    pub build: fn(&Arguments) -> Result<Arc<dyn Operation>, Diagnostic>,
}

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

    /// Makes the operation of a call; all that is wrong with its arguments is told at once.
    pub fn make(&self, given: Vec<Given>, span: Span) -> Result<Arc<dyn Operation>, Diagnostics> {
        let (mut arguments, mut faults) = Arguments::sort(self.name, self.arguments, given, span);
        // What is missing or wrong was told; 1 stands in for it, so that the others are looked at too.
        let stand_in = |argument: &Argument| {
            (argument.default == Default::Required).then_some(Value { kind: ValueKind::Int(1), span })
        };
        for (value, argument) in arguments.values.iter_mut().zip(self.arguments) {
            if value.is_none() {
                *value = stand_in(argument);
            }
        }
        for _ in 0..=self.arguments.len() {
            let fault = match (self.build)(&arguments) {
                Ok(operation) if faults.is_empty() => return Ok(operation),
                Ok(_) => break,
                Err(fault) => fault,
            };
            let place = fault.labels.iter().find(|label| label.primary).map(|label| label.span);
            let inside = |value: &Option<Value>| {
                let of = |value: &Value| value.span != span && place.is_some_and(|place| value.span.holds(place));
                value.as_ref().is_some_and(of)
            };
            let Some(wrong) = arguments.values.iter().position(inside) else {
                if faults.is_empty() {
                    faults.push(fault);
                }
                break;
            };
            // A fault of several values together may come from the one that stands in.
            if faults.is_empty() || fault.message.contains("` takes ") {
                faults.push(fault);
            }
            arguments.values[wrong] = stand_in(&self.arguments[wrong]);
        }
        Err(faults)
    }

    /// What is to be known of it, as text: `netc help Conv` and hover show it.
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
            let _ = writeln!(text, "  {:width$}  {}", argument.name, argument.told());
        }
        let _ = write!(text, "\n{}\n\nExample:\n  {}\n", self.details, self.example);
        text
    }

    /// The same as a section in Markdown.
    pub fn section(&self) -> String {
        let mut text = format!("\n## {}\n\n```net\n{}\n```\n\n{}\n", self.name, self.signature(), self.summary);
        if !self.aliases.is_empty() {
            let _ = writeln!(text, "Also written {}.", suggest::one_of(self.aliases.iter().copied()));
        }
        if !self.arguments.is_empty() {
            text += "\n| argument | meaning |\n|---|---|\n";
        }
        for argument in self.arguments {
            let _ = writeln!(text, "| `{}` | {} |", argument.name, argument.told().replace('|', "\\|"));
        }
        let _ = write!(text, "\n{}\n\n```net\n{}\n```\n", self.details, self.example);
        text
    }
}

impl Argument {
    /// As a signature shows it: `stride=1`, in brackets where it may be left out.
    pub fn signature(&self) -> String {
        match self.default {
            Default::Required => self.name.to_string(),
            Default::Absent(_) => format!("[{}]", self.name),
            Default::Int(value) => format!("{}={value}", self.name),
            Default::Float(value) => format!("{}={}", self.name, number_text(value)),
            Default::Bool(value) => format!("{}={value}", self.name),
            Default::Word(value) => format!("{}={value}", self.name),
        }
    }

    /// Its line of the documentation: `pixels between windows (integer or pair; default 1)`.
    pub fn told(&self) -> String {
        let default = match self.default {
            Default::Required => "needed".to_string(),
            Default::Absent(meaning) => format!("without it: {meaning}"),
            Default::Int(value) => format!("default {value}"),
            Default::Float(value) => format!("default {}", number_text(value)),
            Default::Bool(value) => format!("default {value}"),
            Default::Word(value) => format!("default {value}"),
        };
        format!("{} ({}; {default})", self.doc, self.takes)
    }
}

/// The pattern of generated names: the class in kebab-case, as NeuPy makes it (`MaxPooling` to `max-pooling`, `PRelu` to `p-relu`).
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

/// The likely fix of an argument's name, and the argument that is meant.
fn spelled(layer: &str, defined: &[Argument], name: &str) -> (Option<String>, Option<usize>) {
    let known: Vec<&str> = defined.iter().map(|argument| argument.name).collect();
    let help = spellings::argument(layer, name, &known).or_else(|| suggest::did_you_mean(name, known.iter().copied()));
    let meant = |text: &String| known.iter().position(|known| *text == format!("did you mean `{known}`?"));
    let place = help.as_ref().and_then(meant);
    (help, place)
}

/// An argument as it was given: its name, where one was written, and its value.
pub type Given = (Option<(String, Span)>, Value);

/// A window's side, stride, dilation or border beyond this is mistyped.
const MOST_PIXELS: i64 = 1 << 24;

/// The arguments of one call, by name.
#[derive(Debug)]
pub struct Arguments {
    layer: &'static str,
    defined: &'static [Argument],
    values: Vec<Option<Value>>,
    /// The whole call.
    pub span: Span,
}

impl Arguments {
    /// Sorts what was given, by position and by name, into the places of a definition.
    pub fn bind(
        layer: &'static str,
        defined: &'static [Argument],
        given: Vec<Given>,
        span: Span,
    ) -> Result<Arguments, Diagnostics> {
        let (arguments, faults) = Arguments::sort(layer, defined, given, span);
        faults.or_errors(arguments).map(|(arguments, _)| arguments)
    }

    /// The same, also where something is wrong: what could be sorted, and the faults.
    pub fn sort(
        layer: &'static str,
        defined: &'static [Argument],
        given: Vec<Given>,
        span: Span,
    ) -> (Arguments, Diagnostics) {
        let mut faults = Diagnostics::default();
        let mut values: Vec<Option<Value>> = vec![None; defined.len()];
        let mut position = 0;
        for (name, value) in given {
            let place = match &name {
                None => {
                    position += 1;
                    (position <= defined.len()).then(|| position - 1)
                }
                Some((name, _)) => defined.iter().position(|argument| argument.name == name),
            };
            match (place, name) {
                (Some(place), name) => {
                    if let Some(earlier) = &values[place] {
                        let at = name.map_or(value.span, |(_, span)| span);
                        faults.push(
                            Diagnostic::new(
                                Code::TooManyArguments,
                                format!("`{}` of `{layer}` is given twice", defined[place].name),
                            )
                            .at(at, "again here")
                            .and(earlier.span, "first here"),
                        );
                    }
                    values[place] = Some(value);
                }
                (None, Some((name, at))) => {
                    let names = || defined.iter().map(|argument| argument.name);
                    let known = match defined {
                        [] => format!("`{layer}` takes no arguments"),
                        _ => format!("it takes {}", suggest::one_of(names()).replace(" or ", " and ")),
                    };
                    let (help, meant) = spelled(layer, defined, &name);
                    faults.push(
                        Diagnostic::new(Code::UnknownArgument, format!("`{layer}` has no argument `{name}`"))
                            .at(at, known)
                            .maybe_help(help),
                    );
                    // Its value is looked at as that of the argument that is meant.
                    if let Some(free) = meant.map(|place| &mut values[place]).filter(|place| place.is_none()) {
                        *free = Some(value);
                    }
                }
                (None, None) => {
                    let count = defined.len();
                    let takes = match count {
                        0 => "none".to_string(),
                        1 => "one".to_string(),
                        _ => format!("at most {count}"),
                    };
                    faults.push(
                        Diagnostic::new(Code::TooManyArguments, format!("`{layer}` gets too many arguments"))
                            .at(value.span, format!("it takes {takes}"))
                            .help(match layer {
                                "Input" => "sizes are one argument, without the batch: `Input(224x224x3)`".to_string(),
                                _ => format!("`netc help {layer}` describes them"),
                            }),
                    );
                }
            }
        }
        for (argument, value) in defined.iter().zip(&values) {
            if value.is_none() && argument.default == Default::Required {
                faults.push(
                    Diagnostic::new(Code::MissingArgument, format!("`{layer}` needs `{}`", argument.name))
                        .at(span, format!("{}: {}", argument.takes, argument.doc))
                        .help(format!("`netc help {layer}` describes it")),
                );
            }
        }
        (Arguments { layer, defined, values, span }, faults)
    }

    /// The value that was given, or none where the default holds.
    pub fn given(&self, name: &str) -> Option<&Value> {
        let place = self.defined.iter().position(|argument| argument.name == name)?;
        self.values[place].as_ref()
    }

    fn default(&self, name: &str) -> Default {
        self.defined.iter().find(|argument| argument.name == name).map_or(Default::Absent(""), |found| found.default)
    }

    /// Says that a given value cannot be used.
    pub fn wrong(&self, name: &str, needs: impl std::fmt::Display) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::WrongArgument, format!("`{name}` of `{}` {needs}", self.layer));
        match self.given(name) {
            Some(value) => diagnostic.at(value.span, format!("this is {} `{value}`", value.kind.noun())),
            None => diagnostic.at(self.span, "here"),
        }
    }

    /// An integer of at least `least`.
    pub fn integer(&self, name: &str, least: i64) -> Result<usize, Diagnostic> {
        let value = match self.given(name).map(|value| &value.kind) {
            Some(ValueKind::Int(value)) => Some(*value),
            Some(_) => None,
            None => match self.default(name) {
                Default::Int(value) => Some(value),
                _ => None,
            },
        };
        match value {
            Some(value) if value >= least => Ok(value as usize),
            _ => {
                let fault = self.wrong(name, format!("takes an integer of at least {least}"));
                // Sizes in place of a number: the arguments are likely in another order.
                let sizes = matches!(self.given(name).map(|value| &value.kind), Some(ValueKind::Sizes(_)));
                let order: Vec<&str> = self.defined.iter().map(|argument| argument.name).collect();
                let order = format!("the order is {}({})", self.layer, order.join(", "));
                Err(fault.maybe_help(sizes.then_some(order)))
            }
        }
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<f64, Diagnostic> {
        let value = match self.given(name) {
            Some(value) => value.number(),
            None => match self.default(name) {
                Default::Int(value) => Some(value as f64),
                Default::Float(value) => Some(value),
                _ => None,
            },
        };
        value.filter(|value| value.is_finite()).ok_or_else(|| self.wrong(name, "takes a number"))
    }

    /// A number between two, ends included.
    pub fn number_within(&self, name: &str, least: f64, most: f64) -> Result<f64, Diagnostic> {
        let value = self.number(name)?;
        match (least..=most).contains(&value) {
            true => Ok(value),
            false => {
                let percent = (least, most) == (0.0, 1.0) && (1.0..=100.0).contains(&value);
                let share = format!("a share of the whole: {} is {value} %", value / 100.0);
                Err(self
                    .wrong(name, format!("takes a number from {least} to {most}"))
                    .maybe_help(percent.then_some(share)))
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &str) -> Result<bool, Diagnostic> {
        match (self.given(name).map(|value| &value.kind), self.default(name)) {
            (Some(ValueKind::Bool(value)), _) => Ok(*value),
            (None, Default::Bool(value)) => Ok(value),
            _ => Err(self.wrong(name, "takes `true` or `false`")),
        }
    }

    /// One of some words.
    pub fn word<'a>(&self, name: &str, choices: &[&'a str]) -> Result<&'a str, Diagnostic> {
        let word = match (self.given(name).map(|value| &value.kind), self.default(name)) {
            (Some(ValueKind::Word(word)), _) => word.as_str(),
            (None, Default::Word(word)) => word,
            _ => return Err(self.wrong(name, format!("takes {}", suggest::one_of(choices.iter().copied())))),
        };
        choices.iter().copied().find(|choice| *choice == word).ok_or_else(|| {
            self.wrong(name, format!("takes {}", suggest::one_of(choices.iter().copied()))).maybe_help(
                suggest::did_you_mean(word, choices.iter().copied()).or_else(|| spellings::choice(word, choices)),
            )
        })
    }

    /// A pair of integers of at least `least`: `3x1`, `[3, 1]`, or one integer for both. `None` where it is not given and has no default.
    pub fn pair(&self, name: &str, least: i64) -> Result<Option<[usize; 2]>, Diagnostic> {
        let sizes = match (self.given(name), self.default(name)) {
            (Some(value), _) => value.sizes(),
            (None, Default::Int(value)) => Some(vec![Some(value)]),
            (None, _) => return Ok(None),
        };
        let pair = match sizes.as_deref() {
            Some([Some(both)]) => Some([*both, *both]),
            Some([Some(height), Some(width)]) => Some([*height, *width]),
            _ => None,
        };
        match pair {
            Some(pair) if pair.iter().all(|side| (least..=MOST_PIXELS).contains(side)) => {
                Ok(Some(pair.map(|side| side as usize)))
            }
            Some(pair) if pair.iter().any(|&side| side > MOST_PIXELS) => {
                Err(self.wrong(name, format!("takes an integer or a pair such as `3x3`, each up to {MOST_PIXELS}")))
            }
            _ => Err(self.wrong(name, format!("takes an integer or a pair such as `3x3`, each at least {least}"))),
        }
    }

    /// A pair that must be given.
    pub fn required_pair(&self, name: &str, least: i64) -> Result<[usize; 2], Diagnostic> {
        self.pair(name, least)?.ok_or_else(|| self.wrong(name, "takes a pair such as `3x3`"))
    }

    /// An initialiser: `HeNormal(gain=1)`, or a number for a constant.
    pub fn initializer(&self, name: &str, default: Initializer) -> Result<Initializer, Diagnostic> {
        match self.given(name) {
            None => Ok(default),
            Some(value) => Initializer::from_value(value).ok_or_else(|| {
                self.wrong(name, format!("takes a number or an initialiser: {}", suggest::one_of(Initializer::NAMES)))
            }),
        }
    }

    /// A bias: none for `false`, else its initialiser.
    pub fn bias(&self, name: &str) -> Result<Option<Initializer>, Diagnostic> {
        match self.given(name).map(|value| &value.kind) {
            None | Some(ValueKind::Bool(true)) => Ok(Some(Initializer::Constant(0.0))),
            Some(ValueKind::Bool(false)) => Ok(None),
            Some(ValueKind::Word(word)) if self.given(name).and_then(Initializer::from_value).is_none() => Err(self
                .wrong(name, "takes `true`, `false`, a number or an initialiser such as `Constant(0.1)`")
                .maybe_help(suggest::did_you_mean(word, ["true", "false"].into_iter().chain(Initializer::NAMES)))),
            Some(_) => self.initializer(name, Initializer::Constant(0.0)).map(Some),
        }
    }
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
