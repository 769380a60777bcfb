//! What the entries of a recipe take: what an editor offers.

use super::augmentations::AUGMENTATIONS;
use super::keyword_tables::Choice;
use super::optimizers::{OPTIMIZERS, REGULARIZERS};
use super::schedule::SCHEDULES;
use super::sources::{ARRAYS, CSV, IMAGES, SPLIT};
use super::{Metric, STOPS};
use crate::graph::Argument;
use crate::kernels::training::loss::Loss;
use crate::train::run::keep_best::KEEPS;

/// A name that an entry takes.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub name: &'static str,
    /// What it does, in one line; empty where its name says it.
    pub summary: &'static str,
    pub arguments: &'static [Argument],
}

/// The names that an entry of a recipe takes; none for one that takes a number.
pub fn offers(key: &str) -> Vec<Offer> {
    match key {
        "data" => vec![offer(&IMAGES), offer(&CSV), offer(&ARRAYS)],
        "validation" => vec![offer(&SPLIT), offer(&IMAGES), offer(&CSV), offer(&ARRAYS)],
        "optimizer" => OPTIMIZERS.iter().map(offer).collect(),
        "loss" => Loss::ALL.iter().map(|(name, _)| word(name)).collect(),
        "metrics" => Metric::ALL.iter().map(|(name, _)| word(name)).collect(),
        "regularizer" => REGULARIZERS.iter().map(offer).collect(),
        "schedule" => SCHEDULES.iter().map(offer).collect(),
        "stop" => STOPS.iter().map(offer).collect(),
        "keep" => KEEPS.iter().map(offer).collect(),
        "augment" => AUGMENTATIONS.iter().map(offer).collect(),
        "shuffle" => vec![word("true"), word("false")],
        "class_weights" => vec![word("balanced")],
        _ => Vec::new(),
    }
}

fn offer<T>(choice: &Choice<T>) -> Offer {
    Offer { name: choice.name, summary: choice.summary, arguments: choice.arguments }
}

fn word(name: &'static str) -> Offer {
    Offer { name, summary: "", arguments: &[] }
}
