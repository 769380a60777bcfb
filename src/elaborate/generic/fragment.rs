//! Fragments by themselves: a net that takes what comes in is expanded with tensors that stand in for it.
//!
//! Which tensors it takes is not written, so some are tried: those of its signature, else images, features and sequences, of
//! sizes that are open and of channels that occur in it. What goes wrong whatever comes in is a mistake of the net.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::Scope;
use crate::graph::{Graph, Origin};
use crate::ops::input::Input;
use crate::syntax::ast::{ExprKind, ShapePattern};
use crate::tensor::{Size, TensorType};
use std::sync::Arc;

/// Channels that stand in first: many nets have them, and many groups divide them.
const CHANNELS: usize = 64;
/// Channels that nothing depends on: an error that stays the same with them does not come from what comes in.
const ODD_CHANNELS: usize = 7;
/// Height and width where they must be known.
const SIDE: usize = 224;
/// Another one: an error that stays the same with both does not come from them.
const ODD_SIDE: usize = 97;
/// Channels that are tried at the most.
const MAX_CHANNELS: usize = 24;

/// Layers that trials of one fragment expand at the most, about.
const MAX_TRIED: usize = 200_000;

/// What can be said of a fragment.
#[derive(Debug)]
pub enum FragmentTrial {
    /// It is right for one input at least: its graph behind that input, and lints.
    Fits(Graph, Diagnostics),
    /// It is wrong whatever comes in.
    Wrong(Diagnostics),
    /// No input was found that fits it, and none is known that should.
    Unknown,
}

/// Sizes that are tried: whether height and width are known, and the channels.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    side: Option<usize>,
    channels: usize,
}

/// The attempt that went furthest, and whether other sizes would change nothing.
struct Failed {
    attempt: Attempt,
    certain: bool,
}

/// One expansion.
struct Attempt {
    outcome: Result<(Graph, Diagnostics), Diagnostics>,
    /// How many layers fitted.
    reached: usize,
    /// The channels of the layers that fitted.
    channels: Vec<usize>,
}

impl Spec {
    /// Expands a fragment whose parameters all have defaults.
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
                    // Of two that went as far, one that other sizes may mend says more.
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

    /// Tries one form of input with several sizes. Where none fits: the attempt that went furthest, and whether what is
    /// wrong with it does not depend on the sizes. Ends when so many layers were expanded.
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
                if form.settles(errors) {
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
                    // What is too large may be right where less comes in.
                    let first = errors.iter().next().filter(|error| side.is_none() || error.code != Code::TooLarge);
                    found.extend(first.map(|error| (count, format!("{}{:?}", error.message, error.labels))));
                }
                // Of two that went as far, one that lacked no size says more.
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
                // Too large to come in: that says nothing of the net.
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

/// What may come in.
enum Form<'s> {
    /// As the signature says.
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

    /// Whether other sizes would change nothing.
    fn settles(&self, errors: &Diagnostics) -> bool {
        let by_size = |code: Code| match code {
            Code::Mismatch
            | Code::MergeMismatch
            | Code::Window
            | Code::Reshape
            | Code::OpenSize
            | Code::Channels
            | Code::TooLarge
            | Code::Contract => true,
            // A size that a signature binds may be what is calculated with.
            Code::Arithmetic | Code::WrongArgument => matches!(self, Form::Written(_)),
            _ => false,
        };
        errors.iter().any(|error| !by_size(error.code))
    }
}
