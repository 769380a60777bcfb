//! `loss = …`: one loss, with a factor, or one for each output by its name.

use super::choice;
use super::choice::{Choice, argument};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::signature::definition::Default;
use crate::graph::{Argument, Arguments, Value, ValueKind};
use crate::kernels::training::loss::Loss;
use crate::source::Span;
use std::fmt;
use std::sync::LazyLock;

/// The loss of an output, and its factor in the sum over the outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputLoss {
    pub loss: Loss,
    pub factor: f32,
}

impl From<Loss> for OutputLoss {
    fn from(loss: Loss) -> Self {
        OutputLoss { loss, factor: 1.0 }
    }
}

/// As in a recipe, without the loss's arguments: `0.5 * mse`.
impl fmt::Display for OutputLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.factor {
            1.0 => f.write_str(self.loss.name()),
            factor => write!(f, "{factor} * {}", self.loss.name()),
        }
    }
}

/// The losses that a recipe names.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Losses {
    /// None: each output has the loss that fits it.
    #[default]
    Fitting,
    One(OutputLoss),
    /// By the names of the outputs, with the place of each name.
    ByOutput(Vec<(String, Span, OutputLoss)>),
}

const DELTA: &[Argument] =
    &[argument("delta", "number above 0", Default::Float(1.0), "the error from which the loss is linear")];
const FOCAL: &[Argument] = &[
    argument(
        "gamma",
        "number from 0",
        Default::Float(2.0),
        "how much less well-classified samples count; 0 is alpha times the crossentropy",
    ),
    argument(
        "alpha",
        "number from 0 to 1",
        Default::Float(0.25),
        "the factor of the class; after a sigmoid that of 1, and 1 - alpha that of 0",
    ),
];
const SMOOTH: &[Argument] =
    &[argument("smooth", "number above 0", Default::Float(1e-7), "added to numerator and denominator")];
const MARGIN: &[Argument] =
    &[argument("margin", "number above 0", Default::Float(1.0), "the distance at which other pairs have no loss")];

/// Every loss.
pub static LOSSES: LazyLock<Vec<Choice<Loss>>> = LazyLock::new(|| {
    let choice = |loss: Loss| Choice { name: loss.name(), summary: loss.doc(), arguments: arguments(loss), build };
    Loss::ALL.map(choice).into()
});

fn arguments(loss: Loss) -> &'static [Argument] {
    match loss {
        Loss::Huber { .. } => DELTA,
        Loss::CategoricalFocal { .. } | Loss::BinaryFocal { .. } => FOCAL,
        Loss::Dice { .. } => SMOOTH,
        Loss::Contrastive { .. } | Loss::Triplet { .. } => MARGIN,
        _ => &[],
    }
}

/// The loss that a call names, with its arguments.
fn build(arguments: &Arguments) -> std::result::Result<Loss, Diagnostic> {
    let above_0 = |name: &str| match arguments.number_within(name, 0.0, 1e6)? as f32 {
        number if number > 0.0 => Ok(number),
        _ => Err(arguments.wrong(name, "takes a number above 0")),
    };
    Ok(match Loss::named(arguments.callee()) {
        Loss::Huber { .. } => Loss::Huber { delta: above_0("delta")? },
        Loss::CategoricalFocal { .. } => Loss::CategoricalFocal {
            gamma: arguments.number_within("gamma", 0.0, 100.0)? as f32,
            alpha: arguments.number_within("alpha", 0.0, 1.0)? as f32,
        },
        Loss::Dice { .. } => Loss::Dice { smooth: above_0("smooth")? },
        Loss::Contrastive { .. } => Loss::Contrastive { margin: above_0("margin")? },
        Loss::Triplet { .. } => Loss::Triplet { margin: above_0("margin")? },
        plain => plain,
    })
}

/// Reads `loss = …`.
///
/// # Errors
/// A name that is no loss, a factor that is not above 0, an output that is named twice.
pub(crate) fn read(key: &str, value: &Value) -> Result<Losses> {
    let ValueKind::Map(entries) = &value.kind else { return read_one(key, value).map(Losses::One) };
    let mut errors = Diagnostics::default();
    let mut list: Vec<(String, Span, OutputLoss)> = Vec::new();
    for (name, value) in entries {
        let (ValueKind::Word(text) | ValueKind::Text(text)) = &name.kind else {
            errors.push(choice::wrong(
                key,
                name,
                "the names of outputs: `{ species = categorical_crossentropy, box = mse }`",
            ));
            continue;
        };
        if let Some((_, earlier, _)) = list.iter().find(|(other, ..)| other == text) {
            let twice = Diagnostic::new(Code::RecipeValue, format!("`{text}` has two losses"));
            errors.push(twice.at(name.span, "again here").and(*earlier, "first here"));
            continue;
        }
        match read_one(key, value) {
            Ok(loss) => list.push((text.clone(), name.span, loss)),
            Err(more) => errors.extend(more),
        }
    }
    errors.or_errors(Losses::ByOutput(list)).map(|(losses, _)| losses)
}

fn read_one(key: &str, value: &Value) -> Result<OutputLoss> {
    let (factor, named) = match &value.kind {
        ValueKind::Scaled(factor, named) => (*factor, &**named),
        _ => (1.0, value),
    };
    if !(factor > 0.0 && factor.is_finite()) {
        let message = "the factor of a loss is a number above 0";
        return Err(Diagnostic::new(Code::RecipeValue, message).at(value.span, format!("this is `{value}`")).into());
    }
    Ok(OutputLoss { loss: choice::read(key, &LOSSES, named)?, factor: factor as f32 })
}
