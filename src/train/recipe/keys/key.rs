//! A key of a recipe, and an entry with its value.

use crate::diagnostics::Result;
use crate::elaborate::Spec;
use crate::graph::{Argument, Value};
use crate::source::{FileId, Span};
use crate::train::recipe::definition::Recipe;

/// A key of a recipe, of an entry `name = value`.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    /// What it sets, in one line.
    pub summary: &'static str,
    /// What a recipe without it does.
    pub default: &'static str,
    /// The names that its value may have; none where it takes numbers.
    pub choices: fn() -> Vec<NamedChoice>,
    pub(crate) read: Read,
}

/// A function that reads the value of an entry into the recipe.
pub(crate) type Read = fn(Entry<'_>, &mut Recipe) -> Result<()>;

/// The value of an entry, and where it was written.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub key: &'static str,
    pub value: &'a Value,
    pub spec: &'a Spec,
    pub file: FileId,
}

/// A name that an entry takes.
#[derive(Clone, Copy, Debug)]
pub struct NamedChoice {
    pub name: &'static str,
    /// What it does, in one line; empty where its name says it.
    pub summary: &'static str,
    pub arguments: &'static [Argument],
}

/// An entry of a recipe with its value, from the spec or from the command line.
#[derive(Clone, Debug)]
pub(crate) struct GivenEntry {
    pub key: String,
    /// Where the key is written.
    pub place: Span,
    /// The value in the words of the spec, for the record.
    pub text: String,
    pub value: Value,
    /// The file that paths in the value are relative to.
    pub file: FileId,
}
