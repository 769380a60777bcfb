//! `class_weights = …`: how much the samples of each class count in the loss.

use super::choice::{unquoted, wrong};
use crate::diagnostics::{Result, suggest};
use crate::graph::{Value, ValueKind};
use crate::source::Span;

/// How much the samples of each class count in the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    Equal,
    /// In inverse proportion to the class's frequency: samples / (classes * samples of the class), as scikit-learn's
    /// `compute_class_weight("balanced")`.
    Balanced,
    /// In the order of the classes.
    List(Vec<f32>),
    /// By the classes' names; 1 for the others.
    Named(Vec<(String, f32)>, Span),
}

/// The name that `class_weights` takes in place of numbers.
pub const BALANCED: &str = "balanced";

/// Reads the value of `class_weights`.
///
/// # Errors
/// Neither `balanced` nor numbers from 0, or zeros only.
pub(crate) fn read(key: &str, value: &Value) -> Result<ClassWeights> {
    let positive = |value: &Value| value.number().filter(|number| *number >= 0.0).map(|number| number as f32);
    let weights = match &value.kind {
        ValueKind::Word(word) if word == BALANCED => Some(ClassWeights::Balanced),
        ValueKind::List(list) => list.iter().map(positive).collect::<Option<_>>().map(ClassWeights::List),
        ValueKind::Map(entries) => {
            let entry = |(key, weight): &(Value, Value)| match &key.kind {
                ValueKind::Text(name) => positive(weight).map(|weight| (name.clone(), weight)),
                _ => None,
            };
            entries.iter().map(entry).collect::<Option<_>>().map(|list| ClassWeights::Named(list, value.span))
        }
        _ => None,
    };
    match weights {
        // No sample would count.
        Some(ClassWeights::List(list)) if list.iter().all(|weight| *weight == 0.0) => {
            Err(wrong(key, value, "a number above 0 for at least one class").into())
        }
        Some(weights) => Ok(weights),
        None => {
            let takes = "`balanced`, a list with a number for each class, or a map `{ \"class\" = 2.0 }`";
            let error = wrong(key, value, takes);
            let error = match &value.kind {
                ValueKind::Word(word) => error.suggest_name(value.span, word, suggest::nearest(word, [BALANCED])),
                _ => unquoted(error, value, [BALANCED].into_iter()),
            };
            Err(error.into())
        }
    }
}
