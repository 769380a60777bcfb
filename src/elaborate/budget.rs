//! Bounds on expansion: a short text can stand for a net or a value without end.

use super::Aborted;
use super::elaborator::Elaborator;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::Value;
use crate::source::Span;

/// Nets inside nets at the most.
pub const MAX_DEPTH: usize = 64;
/// Layers of one net at the most.
const MAX_LAYERS: usize = 100_000;
/// Layers that are expanded at the most, each counted once for every net that it is in.
const MAX_WORK: usize = 1_000_000;
/// Expressions that are looked at, and values that are made, at the most; nets that mention each other in pairs double
/// them at each level.
pub const MAX_STEPS: usize = 1_000_000;
/// Repetitions of one `repeat` at the most.
const MAX_REPEATS: i64 = 10_000;
/// Bytes of a name at the most that is given to a layer or a scope.
pub const MAX_NAME_LEN: usize = 2_000;
/// About so many steps are as much work as a layer.
const STEPS_OF_A_LAYER: usize = 6;
/// And so many as one to tell what is wrong.
pub const STEPS_PER_ERROR: usize = 10;

/// What was used up.
#[derive(Debug, Default)]
pub struct Budget {
    /// Layers that were added, and for each net the layers that were noted as its own.
    work: usize,
    pub(super) steps: usize,
    /// What was told when a bound was reached: nothing is expanded from there on.
    told: Option<Diagnostic>,
}

impl Budget {
    /// Layers that were expanded, about.
    pub fn layers(&self) -> usize {
        self.work.max(self.steps / STEPS_OF_A_LAYER)
    }

    /// Whether nothing more may be looked at.
    pub fn is_over(&self) -> bool {
        self.told.is_some() || self.steps > MAX_STEPS
    }
}

impl<'p> Elaborator<'p> {
    /// Counts steps.
    pub(super) fn step(&mut self, count: usize, span: Span) -> Result<(), Aborted> {
        self.spent.steps = self.spent.steps.saturating_add(count);
        match self.spent.is_over() {
            true => Err(self.exhaust("the net has no end in sight: it is made of too many pieces".into(), span)),
            false => Ok(()),
        }
    }

    /// Counts the parts of a value.
    pub(super) fn made(&mut self, value: Value) -> Result<Value, Aborted> {
        self.step(value.parts(), value.span)?;
        Ok(value)
    }

    /// Counts layers of a net.
    pub(super) fn count_work(&mut self, layers: usize, span: Span) -> Result<(), Aborted> {
        self.spent.work += layers;
        match self.spent.work > MAX_WORK {
            true => {
                let message =
                    format!("there are more than {MAX_WORK} layers, each counted for every net that it is in");
                Err(self.exhaust(message, span))
            }
            false => self.step(0, span),
        }
    }

    /// Whether so many layers more have a place.
    pub(super) fn check_size(&mut self, more: usize, span: Span) -> Result<(), Aborted> {
        self.spent.work += more;
        match self.draft.len() + more > MAX_LAYERS {
            true => Err(self.exhaust(format!("the net has more than {MAX_LAYERS} layers"), span)),
            false => Ok(()),
        }
    }

    pub(super) fn check_repeats(&mut self, count: i64, span: Span) -> Result<(), Aborted> {
        match count > MAX_REPEATS {
            true => Err(self.stop(
                Diagnostic::new(Code::Limit, format!("{count} repetitions are too many"))
                    .at(span, format!("at most {MAX_REPEATS}")),
            )),
            false => Ok(()),
        }
    }

    pub(super) fn too_deep(&mut self, span: Span) -> Aborted {
        self.exhaust(format!("more than {MAX_DEPTH} nets stand inside each other"), span)
    }

    /// Gives up everything; that is told once.
    fn exhaust(&mut self, message: String, span: Span) -> Aborted {
        self.spent.told.get_or_insert_with(|| Diagnostic::new(Code::Limit, message).at(span, "here"));
        Aborted
    }

    /// What was wrong; the pieces that were made for others are dropped.
    pub(super) fn take_errors(mut self) -> Diagnostics {
        if let Some(told) = self.spent.told {
            self.errors.push(told);
        }
        self.errors
    }
}
