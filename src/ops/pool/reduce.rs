//! `Mean`, `Sum` and `Max`: reductions along axes by their names.

use crate::diagnostics::{Diagnostic, suggest};
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, Arguments, AxisRule, Category, Definition, Lowered, Lowering, Operation, ShapeError, ValueKind,
};
use crate::ops::named_axis::{NamedAxis, axes};
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::pool_gradient::GlobalPoolGradientStep;
use crate::plan::steps::gradient::reduce_gradient::ReduceGradientStep;
use crate::plan::steps::pool::{GlobalPoolStep, Reduction};
use crate::plan::steps::reduce::ReduceStep;
use crate::tensor::{Size, TensorType};
use ndarray::{ArrayD, Axis};
use std::any::Any;
use std::sync::Arc;

/// A reduction of one tensor along some of its axes.
#[derive(Clone, Debug)]
pub struct Reduce {
    pub definition: &'static Definition,
    pub reduction: Reduction,
    /// In the order of the spec, each once.
    pub axes: Vec<NamedAxis>,
}

macro_rules! reductions {
    ($($item:ident: $name:literal, $summary:literal, $reduction:expr, $example:literal;)*) => {
        $(
            #[doc = $summary]
            pub static $item: Definition = Definition {
                name: $name,
                aliases: &[],
                kind: $name,
                category: Category::Pool,
                summary: $summary,
                arguments: &[Argument {
                    name: "axis",
                    takes: "`height`, `width`, `time`, `channels` or list",
                    default: Default::Required,
                    doc: "the axis that disappears, or several: `[height, width]`",
                }],
                details: DETAILS,
                example: $example,
                build: |arguments| {
                    let axes = axes_of(arguments)?;
                    Ok(Arc::new(Reduce { definition: &$item, reduction: $reduction, axes }))
                },
            };
        )*
    };
}

const DETAILS: &str = "An image has height, width and channels, a sequence time and channels, features channels. Height, width and \
    time disappear: over [height, width] an image (?, h, w, c) becomes features (?, c), over height a sequence (?, w, c), over width a \
    sequence (?, h, c); over time a sequence (?, t, c) becomes features (?, c). Channels stay as one: over channels (?, h, w, c) becomes \
    (?, h, w, 1), (?, t, c) becomes (?, t, 1), and (?, n) becomes (?, 1). Branches are joined by `Average`, `Add` and `Maximum`.";

reductions! {
    MEAN: "Mean", "The mean along one or several axes.", Reduction::Average,
        "Input(32x32x3) >> Conv(3x3, 16) >> Mean([height, width]) >> Softmax(10)";
    SUM: "Sum", "The sum along one or several axes.", Reduction::Sum,
        "Input(20x8) >> LSTM(16, only_return_final=false) >> Sum(time) >> Softmax(10)";
    MAX: "Max", "The maximum along one or several axes.", Reduction::Maximum,
        "Input(32x32x3) >> Conv(3x3, 16) >> (Mean(channels) | Max(channels)) >> Concatenate >> Conv(7x7, 1, padding=same)";
}

/// The axes that are written, each once.
fn axes_of(arguments: &Arguments) -> Result<Vec<NamedAxis>, Diagnostic> {
    let needs = format!("takes {}, or a list of them", suggest::one_of(NamedAxis::NAMES));
    let wrong = || arguments.wrong("axis", &needs);
    let Some(given) = arguments.given("axis") else { return Err(wrong()) };
    let list = match &given.kind {
        ValueKind::List(list) if !list.is_empty() => list.as_slice(),
        _ => std::slice::from_ref(given),
    };
    let mut found = Vec::new();
    for value in list {
        let axis = match &value.kind {
            ValueKind::Word(word) if NamedAxis::NAMES.contains(&word.as_str()) => NamedAxis::of_word(word),
            ValueKind::Word(word) => {
                let near = suggest::nearest(word, NamedAxis::NAMES);
                return Err(wrong().suggest_name(value.span, word, near));
            }
            ValueKind::Int(_) => {
                return Err(wrong().help("axes have names: `[height, width]` for the pixels of an image"));
            }
            _ => return Err(wrong()),
        };
        if found.contains(&axis) {
            return Err(arguments.wrong("axis", format!("has the {axis} twice")));
        }
        found.push(axis);
    }
    Ok(found)
}

impl Reduce {
    /// Whether the channels become one, and the places of the other axes among a number of sizes, in ascending order.
    pub fn places(&self, sizes: usize) -> (bool, Vec<usize>) {
        let pixels = self.axes.iter().filter(|axis| **axis != NamedAxis::Channels);
        let mut places: Vec<usize> = pixels.filter_map(|axis| axis.place(sizes)).collect();
        places.sort_unstable();
        (self.axes.contains(&NamedAxis::Channels), places)
    }

    /// Whether it is a global pool: one result for each channel of an image.
    pub fn is_over_pixels(&self) -> bool {
        self.axes.len() == 2 && [NamedAxis::Height, NamedAxis::Width].iter().all(|axis| self.axes.contains(axis))
    }

    fn step(&self, sizes: &[usize]) -> ReduceStep {
        let (over_channels, places) = self.places(sizes.len());
        ReduceStep { axes: axes(sizes, &places, over_channels), reduction: self.reduction }
    }

    /// The pool that computes it where each channel has one result.
    fn pool(&self, sizes: &[usize]) -> Option<GlobalPoolStep> {
        let ReduceStep { axes, reduction } = self.step(sizes);
        let is_whole = !axes.over_channels && axes.outer == 1 && axes.inner == 1;
        is_whole.then_some(GlobalPoolStep { pixels: axes.len, channels: axes.channels, reduction })
    }
}

impl Operation for Reduce {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let names: Vec<&str> = self.axes.iter().map(|axis| axis.name()).collect();
        vec![("axis", if let [name] = names[..] { name.to_string() } else { format!("[{}]", names.join(", ")) })]
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        for axis in &self.axes {
            axis.place_in(self.definition.name, inputs[0])?;
        }
        let (over_channels, places) = self.places(inputs[0].sizes.len());
        let kept = inputs[0].sizes.iter().enumerate().filter(|(place, _)| !places.contains(place));
        let mut sizes: Vec<Size> = kept.map(|(_, size)| *size).collect();
        if let (true, Some(channels)) = (over_channels, sizes.last_mut()) {
            *channels = Size::Known(1);
        }
        Ok(TensorType::batched(sizes))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Reduce
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let (over_channels, places) = self.places(inputs[0].ndim().saturating_sub(1));
        let mut y = inputs[0].clone();
        let reduce = |y: &ArrayD<f64>, axis: Axis| match self.reduction {
            Reduction::Maximum => y.fold_axis(axis, f64::NEG_INFINITY, |a, &b| a.max(b)),
            _ => y.sum_axis(axis),
        };
        let count = y.len() as f64;
        if over_channels {
            let last = Axis(y.ndim() - 1);
            y = reduce(&y, last).insert_axis(last);
        }
        for place in places.into_iter().rev() {
            y = reduce(&y, Axis(place + 1));
        }
        let count = count / y.len() as f64;
        if self.reduction == Reduction::Average { y / count } else { y }
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let sizes = &cx.inputs[0];
        Ok(Lowered::Step(match self.pool(sizes) {
            Some(pool) => Kernel::GlobalPool(pool),
            None => Kernel::Reduce(self.step(sizes)),
        }))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let sizes = cx.sizes(0);
        let kernel = match self.pool(&sizes) {
            Some(pool) => Kernel::GlobalPoolGradient(GlobalPoolGradientStep { pool }),
            None => Kernel::ReduceGradient(ReduceGradientStep { layer: self.step(&sizes) }),
        };
        let from = [cx.gradient, cx.layer.inputs[0]];
        let needed = if self.reduction.gradient_needs_input() { &from[..] } else { &from[..1] };
        cx.grad_input(0, kernel, needed, &[]);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
