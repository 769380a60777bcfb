//! Checks fragments on their own: a net without an input is expanded with placeholder inputs.
//!
//! The types of its inputs are unknown, so several are tried: those of its signature, else images, features and sequences, with
//! open sizes and with numbers of channels that occur in it. An error that occurs for every input is an error of the net.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::Scope;
use crate::graph::{Graph, Origin};
use crate::ops::input::Input;
use crate::syntax::ast::{ExprKind, ShapePattern};
use crate::tensor::{Size, TensorType};
use std::sync::Arc;

/// The first number of channels to try: it is common, and divisible by many numbers of groups.
const CHANNELS: usize = 64;
/// An unusual number of channels: an error that occurs with both is not caused by the input.
const ODD_CHANNELS: usize = 7;
/// Height and width if they must be known.
const SIDE: usize = 224;
/// An unusual one: an error that occurs with both is not caused by the size.
const ODD_SIDE: usize = 97;
/// The maximum number of channel counts to try.
const MAX_CHANNELS: usize = 24;

/// The approximate maximum number of layers to expand for a fragment.
const MAX_TRIED: usize = 200_000;

/// The result of checking a fragment.
#[derive(Debug)]
pub enum FragmentTrial {
    /// It is valid for at least one input: its graph with that input, and lints.
    Fits(Graph, Diagnostics),
    /// It is invalid for every input.
    Wrong(Diagnostics),
    /// No suitable input was found.
    Unknown,
}

/// Sizes to try: height and width, if known, and channels.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    side: Option<usize>,
    channels: usize,
}

/// The attempt that got furthest, and whether it would fail with all other sizes too.
struct Failed {
    attempt: Attempt,
    certain: bool,
}

/// An expansion.
struct Attempt {
    outcome: Result<(Graph, Diagnostics), Diagnostics>,
    /// The number of valid layers.
    reached: usize,
    /// The channels of the valid layers.
    channels: Vec<usize>,
}

impl Spec {
    /// Checks a fragment whose parameters all have defaults.
    pub fn fragment(&self, net: usize) -> FragmentTrial {
        let item = &self.project.nets[net].item;
        let forms: Vec<Form> = match &item.signature {
            Some(signature) => vec![Form::Written(&signature.inputs)],
            None => vec![
                Form::Image(1),
                Form::Features(1),
                Form::Sequence(1),
                Form::Image(2),
                Form::Features(2),
                Form::Sequence(2),
            ],
        };
        let mut furthest: Option<Box<Failed>> = None;
        let most = self.expanded() + MAX_TRIED;
        for form in forms {
            match self.fragment_of(net, &form, most) {
                Ok((graph, found)) => return FragmentTrial::Fits(graph, found),
                Err(failed) => {
                    if failed.attempt.outcome.as_ref().err().is_some_and(|errors| errors.iter().any(is_limit)) {
                        return failed.attempt.outcome.map_or_else(FragmentTrial::Wrong, |_| FragmentTrial::Unknown);
                    }
                    // Of two that got equally far, prefer one that may succeed with other sizes.
                    let order = |failed: &Failed| (failed.attempt.reached, !failed.certain);
                    if furthest.as_deref().is_none_or(|other| order(&failed) > order(other)) {
                        furthest = Some(failed);
                    }
                }
            }
        }
        match furthest.map(|failed| *failed) {
            Some(Failed { attempt: Attempt { outcome: Err(errors), .. }, certain: true }) => {
                FragmentTrial::Wrong(errors)
            }
            _ => FragmentTrial::Unknown,
        }
    }

    /// Tries a form of input with several sizes. If all fail, returns the attempt that got furthest, and whether its errors
    /// are independent of the sizes. Stops when `most` layers have been expanded.
    fn fragment_of(&self, net: usize, form: &Form, most: usize) -> Result<(Graph, Diagnostics), Box<Failed>> {
        let mut found: Vec<(usize, String)> = Vec::new();
        let mut channels = vec![CHANNELS, ODD_CHANNELS];
        let mut furthest: Option<(Attempt, (usize, bool))> = None;
        let mut next = 0;
        while let Some(&count) = channels.get(next).filter(|_| next < MAX_CHANNELS && self.expanded() < most) {
            next += 1;
            let mut needs_side = false;
            for side in [None, Some(SIDE), Some(ODD_SIDE)] {
                if side == Some(ODD_SIDE) && !needs_side {
                    break;
                }
                let types = form.types(Sizes { side, channels: count });
                let Some(attempt) = self.attempt(net, &types) else { continue };
                let errors = match attempt.outcome {
                    Ok(fits) => return Ok(fits),
                    Err(ref errors) => errors,
                };
                if form.is_independent_of_sizes(errors) {
                    return Err(Box::new(Failed { attempt, certain: true }));
                }
                for &more in attempt.channels.iter().filter(|more| **more > 0) {
                    if !channels.contains(&more) {
                        channels.push(more);
                    }
                }
                let open = errors.iter().any(|error| error.code == Code::OpenSize);
                if side.is_none() {
                    needs_side = open;
                }
                if side.is_some() == needs_side {
                    // A layer that is too large may be valid for a smaller input.
                    let first = errors.iter().next().filter(|error| side.is_none() || error.code != Code::TooLarge);
                    found.extend(first.map(|error| (count, format!("{}{:?}", error.message, error.labels))));
                }
                // Of two that got equally far, prefer one without an unknown size.
                let order = (attempt.reached, !open);
                if furthest.as_ref().is_none_or(|(_, other)| order > *other) {
                    furthest = Some((attempt, order));
                }
            }
        }
        let same =
            found.iter().all(|(_, text)| *text == found[0].1) && found.iter().any(|(count, _)| *count != found[0].0);
        let certain = same && !matches!(form, Form::Written(_));
        let nothing = || Attempt { outcome: Err(Diagnostics::default()), reached: 0, channels: Vec::new() };
        Err(Box::new(Failed { attempt: furthest.map_or_else(nothing, |(attempt, _)| attempt), certain }))
    }

    fn attempt(&self, net: usize, types: &[TensorType]) -> Option<Attempt> {
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        let definition = &self.project.nets[net];
        let (name, span) = (&definition.item.name.text, definition.item.name.span);
        let mut flow = Vec::with_capacity(types.len());
        for shape in types {
            let input = Arc::new(Input { shape: shape.clone(), image: None });
            let origin = Origin { span, mention: None, layers: Vec::new() };
            match elaborator.builder.insert(input, &[], false, origin) {
                Ok(node) => flow.push(node),
                // The input itself is too large, which is not an error of the net.
                Err(_) => return None,
            }
        }
        elaborator.builder.placeholders = flow.len();
        let outputs = elaborator
            .net_scope(net, span, &[], &Scope::of_file(definition.file))
            .and_then(|scope| elaborator.body(net, &scope, Some(flow), span));
        let draft = std::mem::take(&mut elaborator.builder);
        let reached = draft.len();
        let channels = draft.graph.nodes.iter().rev().filter_map(|node| node.output.channels().known()).collect();
        let piece = outputs
            .and_then(|outputs| draft.finish(name, &outputs, true).map_err(|diagnostic| elaborator.stop(diagnostic)));
        self.note_work(&elaborator);
        let errors = elaborator.take_errors();
        let outcome = match piece {
            Ok(piece) if !errors.has_errors() => Ok((piece.graph, errors)),
            _ => Err(errors),
        };
        Some(Attempt { outcome, reached, channels })
    }
}

fn is_limit(error: &Diagnostic) -> bool {
    error.code == Code::Limit
}

/// A form of input.
enum Form<'s> {
    /// By the signature.
    Written(&'s [ShapePattern]),
    Image(usize),
    Features(usize),
    Sequence(usize),
}

impl Form<'_> {
    fn types(&self, sizes: Sizes) -> Vec<TensorType> {
        let side = sizes.side.map_or(Size::Open, Size::Known);
        let channels = Size::Known(sizes.channels);
        match self {
            Form::Written(patterns) => {
                let known = |size: &ExprKind, last: bool| match size {
                    ExprKind::Int(size) => usize::try_from(*size).map_or(Size::Open, Size::Known),
                    _ if last => channels,
                    _ => side,
                };
                let pattern = |pattern: &ShapePattern| {
                    let count = pattern.sizes.len();
                    let sizes = pattern.sizes.iter().enumerate().skip(1);
                    TensorType::batched(sizes.map(|(at, size)| known(&size.kind, at + 1 == count)).collect::<Vec<_>>())
                };
                patterns.iter().map(pattern).collect()
            }
            Form::Image(count) => vec![TensorType::batched([side, side, channels]); *count],
            Form::Features(count) => vec![TensorType::batched([channels]); *count],
            Form::Sequence(count) => vec![TensorType::batched([side, channels]); *count],
        }
    }

    /// Whether the errors are independent of the sizes.
    fn is_independent_of_sizes(&self, errors: &Diagnostics) -> bool {
        let by_size = |code: Code| match code {
            Code::Mismatch
            | Code::MergeMismatch
            | Code::Window
            | Code::Reshape
            | Code::OpenSize
            | Code::Channels
            | Code::TooLarge
            | Code::Contract => true,
            // These may depend on a size that is bound by the signature.
            Code::Arithmetic | Code::WrongArgument => matches!(self, Form::Written(_)),
            _ => false,
        };
        errors.iter().any(|error| !by_size(error.code))
    }
}
