//! Evaluated values of a layer's arguments, with their spans.

use crate::source::Span;
use std::fmt;

/// An evaluated argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub kind: ValueKind,
    /// Its span.
    pub span: Span,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// A bare word: a choice such as `same`.
    Word(String),
    /// `?`
    Open,
    /// `3x3`, `?x512`
    Sizes(Vec<Option<i64>>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    /// `HeNormal(gain=1)`
    Construct {
        name: String,
        arguments: Vec<(Option<(String, Span)>, Value)>,
    },
    /// A word or a call with a factor: `0.5 * mse`
    Scaled(f64, Box<Value>),
}

impl ValueKind {
    /// Its kind as a noun in a message: "an integer".
    pub fn noun(&self) -> &'static str {
        match self {
            ValueKind::Int(_) => "an integer",
            ValueKind::Float(_) => "a number",
            ValueKind::Bool(_) => "a boolean",
            ValueKind::Text(_) => "a string",
            ValueKind::Word(_) => "a word",
            ValueKind::Open => "an open size",
            ValueKind::Sizes(_) => "sizes",
            ValueKind::List(_) => "a list",
            ValueKind::Map(_) => "a map",
            ValueKind::Construct { .. } => "a call",
            ValueKind::Scaled(..) => "a product",
        }
    }

    /// It in a message: "the integer `3`".
    pub fn described(&self) -> String {
        let noun = self.noun();
        let bare = noun.split_once(' ').filter(|(article, _)| ["a", "an"].contains(article));
        format!("the {} `{self}`", bare.map_or(noun, |(_, bare)| bare))
    }
}

impl Value {
    /// It as sizes: `3x3`, `[3, 3]`, an integer or `?`; an open size is `None`.
    pub fn sizes(&self) -> Option<Vec<Option<i64>>> {
        match &self.kind {
            ValueKind::Int(size) => Some(vec![Some(*size)]),
            ValueKind::Open => Some(vec![None]),
            ValueKind::Sizes(sizes) => Some(sizes.clone()),
            ValueKind::List(list) => list
                .iter()
                .map(|value| match value.kind {
                    ValueKind::Int(size) => Some(Some(size)),
                    ValueKind::Open => Some(None),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    /// The number of parts that it consists of; texts count by their length.
    pub fn parts(&self) -> usize {
        match &self.kind {
            ValueKind::List(list) => 1 + list.iter().map(Value::parts).sum::<usize>(),
            ValueKind::Map(entries) => {
                1 + entries.iter().map(|(key, value)| key.parts() + value.parts()).sum::<usize>()
            }
            ValueKind::Construct { arguments, .. } => {
                1 + arguments.iter().map(|(_, value)| value.parts()).sum::<usize>()
            }
            ValueKind::Scaled(_, value) => 1 + value.parts(),
            ValueKind::Sizes(sizes) => 1 + sizes.len() / 8,
            ValueKind::Text(text) => 1 + text.len() / 64,
            _ => 1,
        }
    }

    /// It as a number.
    pub fn number(&self) -> Option<f64> {
        match self.kind {
            ValueKind::Int(value) => Some(value as f64),
            ValueKind::Float(value) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// A number as it is written in specs: `0.01`, `1e308`.
pub fn number_text(value: f64) -> String {
    let plain = value == 0.0 || (1e-4..1e15).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueKind::Int(value) => write!(f, "{value}"),
            ValueKind::Float(value) => f.write_str(&number_text(*value)),
            ValueKind::Bool(value) => write!(f, "{value}"),
            ValueKind::Text(text) => write!(f, "{text:?}"),
            ValueKind::Word(word) => f.write_str(word),
            ValueKind::Open => f.write_str("?"),
            ValueKind::Sizes(sizes) => {
                let words: Vec<String> =
                    sizes.iter().map(|size| size.map_or("?".to_string(), |size| size.to_string())).collect();
                f.write_str(&words.join("x"))
            }
            ValueKind::Scaled(factor, value) => write!(f, "{} * {value}", number_text(*factor)),
            ValueKind::List(list) => {
                f.write_str("[")?;
                separated(f, list, |f, value| value.fmt(f))?;
                f.write_str("]")
            }
            ValueKind::Map(entries) => {
                f.write_str("{ ")?;
                separated(f, entries, |f, (key, value)| write!(f, "{key} = {value}"))?;
                f.write_str(" }")
            }
            ValueKind::Construct { name, arguments } => {
                write!(f, "{name}(")?;
                separated(f, arguments, |f, (name, value)| match name {
                    Some((name, _)) => write!(f, "{name}={value}"),
                    None => value.fmt(f),
                })?;
                f.write_str(")")
            }
        }
    }
}
