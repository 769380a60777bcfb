//! Limits on expansion, so that a short text cannot expand into an unbounded net or value.

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::Value;
use crate::source::Span;

/// Max depth of nets inside nets.
pub const MAX_DEPTH: usize = 64;
/// Max length of a layer's or scope's name, in bytes.
pub const MAX_NAME_LEN: usize = 2_000;
/// Max layers of one net.
const MAX_LAYERS: usize = 100_000;
/// Max layers of one expansion, each counted once for every net that it belongs to.
const MAX_EXPANDED_LAYERS: usize = 1_000_000;
/// Max expressions evaluated and values created. Nets that use each other in pairs double them at each level.
const MAX_STEPS: usize = 1_000_000;
/// Max repetitions of one `repeat`.
const MAX_REPEATS: i64 = 10_000;
/// The steps that take about as long as expanding a layer.
const STEPS_PER_LAYER: usize = 6;
/// The steps that take about as long as reporting an error.
const STEPS_PER_ERROR: usize = 10;

/// A limit was exceeded. The budget holds the diagnostic, and every later step fails too.
#[derive(Clone, Copy, Debug)]
pub struct Exhausted;

/// What one expansion has used of its limits.
#[derive(Debug, Default)]
pub struct Budget {
    /// Layers that were added, and for each net the layers that were recorded as its own.
    layers: usize,
    steps: usize,
    /// The first limit that was exceeded.
    error: Option<Diagnostic>,
}

impl Budget {
    /// A budget of which some steps are used already.
    pub fn with_steps(steps: usize) -> Self {
        Budget { steps, ..Budget::default() }
    }

    /// The steps that were taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The work so far, in layers: those that were expanded, or the equivalent of the steps if that is more.
    pub fn layers(&self) -> usize {
        self.layers.max(self.steps / STEPS_PER_LAYER)
    }

    /// Whether a limit was exceeded.
    pub fn is_exhausted(&self) -> bool {
        self.error.is_some() || self.steps > MAX_STEPS
    }

    /// The diagnostic of the first limit that was exceeded.
    pub fn into_error(self) -> Option<Diagnostic> {
        self.error
    }

    /// Counts steps without checking the limit.
    pub fn add_steps(&mut self, count: usize) {
        self.steps = self.steps.saturating_add(count);
    }

    /// Counts the work of reporting an error.
    pub fn add_error(&mut self) {
        self.add_steps(STEPS_PER_ERROR);
    }

    /// Counts steps.
    ///
    /// # Errors
    /// [`Exhausted`] beyond the limit of steps.
    pub fn step(&mut self, count: usize, span: Span) -> Result<(), Exhausted> {
        self.add_steps(count);
        match self.is_exhausted() {
            true => Err(self.exhaust(format!("expanding the net takes more than {MAX_STEPS} steps"), span)),
            false => Ok(()),
        }
    }

    /// Counts a step for every element of a value, and returns the value.
    ///
    /// # Errors
    /// [`Exhausted`] beyond the limit of steps.
    pub fn count_value(&mut self, value: Value) -> Result<Value, Exhausted> {
        self.step(value.parts(), value.span)?;
        Ok(value)
    }

    /// Counts layers that were recorded as those of a net.
    ///
    /// # Errors
    /// [`Exhausted`] beyond the limit of expanded layers.
    pub fn count_net_layers(&mut self, layers: usize, span: Span) -> Result<(), Exhausted> {
        self.layers += layers;
        match self.layers > MAX_EXPANDED_LAYERS {
            true => {
                let message = format!(
                    "the expansion makes more than {MAX_EXPANDED_LAYERS} layers, counted once for every net they belong to"
                );
                Err(self.exhaust(message, span))
            }
            false => self.step(0, span),
        }
    }

    /// Counts layers that are about to be added to a net of `present` layers.
    ///
    /// # Errors
    /// [`Exhausted`] beyond the limit of layers in one net.
    pub fn add_layers(&mut self, present: usize, more: usize, span: Span) -> Result<(), Exhausted> {
        self.layers += more;
        match present + more > MAX_LAYERS {
            true => Err(self.exhaust(format!("the net has more than {MAX_LAYERS} layers"), span)),
            false => Ok(()),
        }
    }

    /// The error for nets that are nested deeper than [`MAX_DEPTH`].
    pub fn too_deep(&mut self, span: Span) -> Exhausted {
        self.exhaust(format!("nets are nested more than {MAX_DEPTH} levels deep"), span)
    }

    fn exhaust(&mut self, message: String, span: Span) -> Exhausted {
        self.error.get_or_insert_with(|| Diagnostic::new(Code::Limit, message).at(span, "the expansion stops here"));
        Exhausted
    }
}

/// Checks the count of a `repeat` or the length of a range.
///
/// # Errors
/// A diagnostic at `span` for a count beyond the limit.
pub fn check_repeats(count: i64, span: Span) -> Result<(), Diagnostic> {
    match count > MAX_REPEATS {
        true => Err(Diagnostic::new(Code::Limit, format!("{count} repetitions are too many"))
            .at(span, format!("the limit is {MAX_REPEATS}"))),
        false => Ok(()),
    }
}
