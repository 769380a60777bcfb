//! An argument of a layer: name, default and documentation.

use super::value::number_text;

/// The default of an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It is required.
    Required,
    /// No value; the text says what that means.
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
    /// The values that it takes, in words: `integer or sizes`. Words of specs, such as `same`, are in backticks.
    pub takes: &'static str,
    pub default: Default,
    /// One line of documentation.
    pub doc: &'static str,
}

impl Argument {
    /// Its form in a signature: `stride=1`, in brackets if it is optional without a default.
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

    /// The words of specs that it takes: `same` and `valid`. `Image(…)` is one with arguments.
    pub fn choices(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.takes.split('`').skip(1).step_by(2)
    }

    /// Its line of the documentation: `pixels between windows (integer or pair; default 1)`.
    pub fn documentation(&self) -> String {
        let default = match self.default {
            Default::Required => "required".to_string(),
            Default::Absent(meaning) => format!("without it: {meaning}"),
            Default::Int(value) => format!("default {value}"),
            Default::Float(value) => format!("default {}", number_text(value)),
            Default::Bool(value) => format!("default {value}"),
            Default::Word(value) => format!("default {value}"),
        };
        format!("{} ({}; {default})", self.doc, self.takes)
    }
}
