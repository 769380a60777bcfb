//! The arguments of a call: bound by position and by name, and converted to the types that a layer takes.

use super::argument::{Argument, Default};
use super::value::{Value, ValueKind};
use crate::diagnostics::foreign_names;
use crate::diagnostics::foreign_names::Meaning;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::graph::initializer::Initializer;
use crate::source::Span;

/// An argument of a call: its name, if one was written, and its value.
pub type Given = (Option<(String, Span)>, Value);

/// The maximum of a window's side, stride, dilation or border.
const MAX_PIXELS: i64 = 1 << 24;

/// The arguments of one call, by name.
#[derive(Debug)]
pub struct Arguments {
    layer: &'static str,
    defined: &'static [Argument],
    /// The value of each, in the order of the definition.
    pub(crate) values: Vec<Option<Value>>,
    /// The span of the call.
    pub span: Span,
}

impl Arguments {
    /// Binds arguments to a definition, by position and by name.
    ///
    /// # Errors
    /// All arguments that are unknown, given twice, missing or too many.
    pub fn bind(
        layer: &'static str,
        defined: &'static [Argument],
        given: Vec<Given>,
        span: Span,
    ) -> Result<Arguments, Diagnostics> {
        let (arguments, errors) = Arguments::sort(layer, defined, given, span);
        errors.or_errors(arguments).map(|(arguments, _)| arguments)
    }

    /// As [`Arguments::bind`], but returns the arguments that could be bound together with the errors.
    pub fn sort(
        layer: &'static str,
        defined: &'static [Argument],
        given: Vec<Given>,
        span: Span,
    ) -> (Arguments, Diagnostics) {
        let mut errors = Diagnostics::default();
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
                        errors.push(
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
                    let names: Vec<&str> = defined.iter().map(|argument| argument.name).collect();
                    let known = match defined {
                        [] => format!("`{layer}` takes no arguments"),
                        _ => format!("it takes {}", suggest::one_of(names.iter().copied()).replace(" or ", " and ")),
                    };
                    let meant = foreign_names::argument(layer, &name, &names);
                    errors.push(
                        Diagnostic::new(Code::UnknownArgument, format!("`{layer}` has no argument `{name}`"))
                            .at(at, known)
                            .suggest(at, &name, meant),
                    );
                    // Its value is checked as that of the likely argument.
                    if let Some(Meaning::Name(meant)) = meant
                        && let Some(place) = names.iter().position(|name| *name == meant)
                    {
                        values[place].get_or_insert(value);
                    }
                }
                (None, None) => {
                    let count = defined.len();
                    let takes = match count {
                        0 => "none".to_string(),
                        1 => "one".to_string(),
                        _ => format!("at most {count}"),
                    };
                    errors.push(
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
                errors.push(
                    Diagnostic::new(Code::MissingArgument, format!("`{layer}` needs `{}`", argument.name))
                        .at(span, format!("{}: {}", argument.takes, argument.doc))
                        .help(format!("`netc help {layer}` describes it")),
                );
            }
        }
        (Arguments { layer, defined, values, span }, errors)
    }

    /// The name of what is called.
    pub fn callee(&self) -> &'static str {
        self.layer
    }

    /// The value that was given, or `None` for the default.
    pub fn given(&self, name: &str) -> Option<&Value> {
        let place = self.defined.iter().position(|argument| argument.name == name)?;
        self.values[place].as_ref()
    }

    fn default(&self, name: &str) -> Default {
        self.defined.iter().find(|argument| argument.name == name).map_or(Default::Absent(""), |found| found.default)
    }

    /// The diagnostic for an invalid value.
    pub fn wrong(&self, name: &str, needs: impl std::fmt::Display) -> Diagnostic {
        let diagnostic = Diagnostic::new(Code::WrongArgument, format!("`{name}` of `{}` {needs}", self.layer));
        match self.given(name) {
            Some(value) => diagnostic.at(value.span, format!("this is {}", value.kind.described())),
            None => diagnostic.at(self.span, "here"),
        }
    }

    /// An integer of at least `least`.
    ///
    /// # Errors
    /// If the value is another one.
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
                let error = self.wrong(name, format!("takes an integer of at least {least}"));
                // Sizes instead of a number: the arguments are probably in another order.
                let sizes = matches!(self.given(name).map(|value| &value.kind), Some(ValueKind::Sizes(_)));
                let order: Vec<&str> = self.defined.iter().map(|argument| argument.name).collect();
                let order = format!("the order is {}({})", self.layer, order.join(", "));
                Err(error.maybe_help(sizes.then_some(order)))
            }
        }
    }

    /// A number.
    ///
    /// # Errors
    /// If the value is not a finite number.
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

    /// A number that an `f32` can hold.
    ///
    /// # Errors
    /// If the value is another one.
    pub fn float(&self, name: &str) -> Result<f32, Diagnostic> {
        let value = self.number(name)? as f32;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(self.wrong(name, format!("takes a number up to {:e}", f32::MAX)))
        }
    }

    /// A number in a closed interval.
    ///
    /// # Errors
    /// If the value is another one.
    pub fn number_within(&self, name: &str, least: f64, most: f64) -> Result<f64, Diagnostic> {
        let value = self.number(name)?;
        match (least..=most).contains(&value) {
            true => Ok(value),
            false => {
                let percent = (least, most) == (0.0, 1.0) && (1.0..=100.0).contains(&value);
                let share = format!("a fraction: {} is {value} %", value / 100.0);
                Err(self
                    .wrong(name, format!("takes a number from {least} to {most}"))
                    .maybe_help(percent.then_some(share)))
            }
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// If the value is another one.
    pub fn boolean(&self, name: &str) -> Result<bool, Diagnostic> {
        match (self.given(name).map(|value| &value.kind), self.default(name)) {
            (Some(ValueKind::Bool(value)), _) => Ok(*value),
            (None, Default::Bool(value)) => Ok(value),
            _ => Err(self.wrong(name, "takes `true` or `false`")),
        }
    }

    /// One of some words.
    ///
    /// # Errors
    /// If the value is another one.
    pub fn word<'a>(&self, name: &str, choices: &[&'a str]) -> Result<&'a str, Diagnostic> {
        let word = match (self.given(name).map(|value| &value.kind), self.default(name)) {
            (Some(ValueKind::Word(word)), _) => word.as_str(),
            (None, Default::Word(word)) => word,
            _ => return Err(self.wrong(name, format!("takes {}", suggest::one_of(choices.iter().copied())))),
        };
        choices.iter().copied().find(|choice| *choice == word).ok_or_else(|| {
            let meant =
                suggest::nearest(word, choices.iter().copied()).or_else(|| foreign_names::keyword(word, choices));
            let place = self.given(name).map_or(self.span, |value| value.span);
            self.wrong(name, format!("takes {}", suggest::one_of(choices.iter().copied())))
                .suggest_name(place, word, meant)
        })
    }

    /// A pair of integers of at least `least`: `3x1`, `[3, 1]`, or one integer for both. `None` if it is not given and has no default.
    ///
    /// # Errors
    /// If the value is another one.
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
            Some(pair) if pair.iter().all(|side| (least..=MAX_PIXELS).contains(side)) => {
                Ok(Some(pair.map(|side| side as usize)))
            }
            Some(pair) if pair.iter().any(|&side| side > MAX_PIXELS) => {
                Err(self.wrong(name, format!("takes an integer or a pair such as `3x3`, each up to {MAX_PIXELS}")))
            }
            _ => Err(self.wrong(name, format!("takes an integer or a pair such as `3x3`, each at least {least}"))),
        }
    }

    /// A required pair.
    ///
    /// # Errors
    /// If it is missing or not a pair.
    pub fn required_pair(&self, name: &str, least: i64) -> Result<[usize; 2], Diagnostic> {
        self.pair(name, least)?.ok_or_else(|| self.wrong(name, "takes a pair such as `3x3`"))
    }

    /// An initialiser: `HeNormal(gain=1)`, or a number for a constant.
    ///
    /// # Errors
    /// If the value is another one.
    pub fn initializer(&self, name: &str, default: Initializer) -> Result<Initializer, Diagnostic> {
        match self.given(name) {
            None => Ok(default),
            Some(value) => Initializer::from_value(value).ok_or_else(|| {
                let takes = format!("takes a number or an initialiser: {}", suggest::one_of(Initializer::NAMES));
                self.no_initializer(name, value, &takes)
            }),
        }
    }

    /// The error of a value that is no initialiser: an unknown name, or arguments that the one of this name does not take.
    fn no_initializer(&self, name: &str, value: &Value, takes: &str) -> Diagnostic {
        let wrong = || self.wrong(name, takes);
        let (word, arguments) = match &value.kind {
            ValueKind::Word(word) => (word, Vec::new()),
            ValueKind::Construct { name, arguments } => (name, arguments.clone()),
            ValueKind::Text(text) if Initializer::named(text).is_some() => {
                let help = format!("write it without quotes: `{text}`");
                return wrong().help(help).fix(value.span, format!("\"{text}\""), text);
            }
            _ => return wrong(),
        };
        if let Some(known) = Initializer::named(word) {
            let defined = Initializer::arguments(known).unwrap_or_default();
            let error = match Arguments::bind(known, defined, arguments, value.span) {
                Err(errors) => errors.iter().next().cloned(),
                Ok(bound) => defined.iter().find_map(|argument| bound.number(argument.name).err()),
            };
            return error.unwrap_or_else(wrong);
        }
        match foreign_names::initializer(word, &Initializer::NAMES) {
            // The arguments are others, too.
            Some(Meaning::Name(ours)) if !arguments.is_empty() && !Initializer::NAMES.contains(&ours) => {
                wrong().help(suggest::question(ours))
            }
            meant => wrong().suggest(value.span.head(word.len()), word, meant),
        }
    }

    /// A bias: `None` for `false`, else its initialiser.
    ///
    /// # Errors
    /// If the value is another one.
    pub fn bias(&self, name: &str) -> Result<Option<Initializer>, Diagnostic> {
        match self.given(name).map(|value| &value.kind) {
            None | Some(ValueKind::Bool(true)) => Ok(Some(Initializer::Constant(0.0))),
            Some(ValueKind::Bool(false)) => Ok(None),
            Some(ValueKind::Word(word)) if self.given(name).and_then(Initializer::from_value).is_none() => {
                let takes = "takes `true`, `false`, a number or an initialiser such as `Constant(0.1)`";
                let place = self.given(name).map_or(self.span, |value| value.span);
                Err(match (suggest::nearest(word, ["true", "false"]), self.given(name)) {
                    (None, Some(value)) => self.no_initializer(name, value, takes),
                    (near, _) => self.wrong(name, takes).suggest_name(place, word, near),
                })
            }
            Some(_) => self.initializer(name, Initializer::Constant(0.0)).map(Some),
        }
    }
}
