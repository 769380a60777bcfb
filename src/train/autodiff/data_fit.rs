//! Whether the data that a recipe names fits the inputs and outputs of a net, as far as the data is not read: a folder of photos
//! has one class for each photo, arrays have values.

use super::entry_names::check_names;
use crate::data::TargetsError;
use crate::data::photos::prefetch::Decoding;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::Graph;
use crate::kernels::training::loss::Loss;
use crate::ops::input::Input;
use crate::source::Span;
use crate::train::evaluation::dataset_match::other_count;
use crate::train::evaluation::task::{check_pixel_weights, data_error};
use crate::train::recipe::Recipe;
use crate::train::recipe::values::losses::OutputLoss;
use crate::train::recipe::values::sources::{Data, Validation};

/// The errors of a recipe's data and validation data for a net whose outputs have these losses.
pub(super) fn check(net: &Graph, recipe: &Recipe, losses: &[OutputLoss]) -> Diagnostics {
    let mut errors = Diagnostics::default();
    let validation = match &recipe.validation {
        Validation::Data(data) => Some(data),
        _ => None,
    };
    for data in std::iter::once(&recipe.data).chain(validation) {
        errors.extend(check_targets(data, net, losses).err().unwrap_or_default());
        errors.extend(check_ignored(data, net, losses).err().unwrap_or_default());
        errors.extend(check_inputs(data, net).err().unwrap_or_default());
        errors.extend(check_photo_targets(data, net).err().unwrap_or_default());
    }
    if let (Some(_), Data::Arrays { span, .. }) = (&recipe.augment, &recipe.data) {
        let diagnostic = data_error("`augment` needs photos, but this data has arrays", Some(*span));
        errors.push(diagnostic.help("leave `augment` out, or train on `images(…)` or `csv(…)`"));
    }
    if let (Data::Arrays { span, .. }, Some(data @ (Data::Images { .. } | Data::Csv { .. }))) =
        (&recipe.data, validation)
    {
        let message = "the validation data has photos, but the data has arrays";
        errors.push(data_error(message, Some(data.span())).and(*span, "arrays"));
    }
    errors
}

/// The targets of each output among those of the data, in the order of the outputs.
///
/// # Errors
/// Several outputs without targets for each, and a name that is no output's.
pub fn targets_of(data: &Data, net: &Graph) -> Result<Vec<usize>> {
    let names = net.output_names();
    let Some(given) = data.target_names() else {
        if names.len() == 1 {
            return Ok(vec![0]);
        }
        let message = format!("`{}` has {} outputs, but its data has one target per sample", net.name, names.len());
        let each: Vec<String> = names.iter().map(|name| format!("{name} = \"{name}\"")).collect();
        return Err(Diagnostic::new(Code::RecipeValue, message)
            .at(data.span(), "these targets")
            .help(format!("name the targets of each output: `y={{ {} }}`", each.join(", ")))
            .into());
    };
    check_names(given.iter().map(|name| (name.as_str(), data.span())), net, "targets")?;
    Ok(names.iter().filter_map(|name| given.iter().position(|known| known == name)).collect())
}

/// Checks that data has targets for the losses.
fn check_targets(data: &Data, net: &Graph, losses: &[OutputLoss]) -> Result<()> {
    let takes_none = |loss: &OutputLoss| matches!(loss.loss, Loss::Triplet { .. });
    let error = |message: String, help: &str| {
        Diagnostic::new(Code::RecipeValue, message).at(data.span(), "this data").help(help)
    };
    match (losses.iter().find(|loss| takes_none(loss)), data) {
        (Some(_), Data::Arrays { ignore: None, .. }) if !data.has_targets() => Ok(()),
        (Some(_), _) => Err(error(
            "`triplet` takes no targets".into(),
            "give it arrays of anchors, positives and negatives alone: `arrays(x=[\"a.npy\", \"p.npy\", \"n.npy\"])`",
        )
        .into()),
        (None, Data::Arrays { .. }) if !data.has_targets() => {
            Err(error(format!("this data has no targets for `{}`", net.name), "name them: `y=\"targets.npy\"`").into())
        }
        (None, Data::Arrays { ignore: Some(_), .. }) if losses.len() > 1 => {
            Err(error("`ignore` is for nets with one output".into(), "leave `ignore` out").into())
        }
        _ => targets_of(data, net).map(|_| ()),
    }
}

/// Checks that photos with a class each are not the data of a net with one for each pixel or step.
fn check_photo_targets(data: &Data, net: &Graph) -> Result<()> {
    let Data::Images { span, .. } = data else { return Ok(()) };
    let has_positions = |id| net.node(id).output.sizes.len() > 1;
    let Some(node) = net.outputs.iter().copied().find(|&id| has_positions(id)).map(|id| net.node(id)) else {
        return Ok(());
    };
    let gives = if node.output.sizes.len() == 3 { "an image".to_string() } else { node.output.to_string() };
    let message = format!("the data has a class for each photo, but `{}` gives {gives}", node.name);
    let help = match gives.as_str() {
        "an image" => {
            "images as targets are arrays: `arrays(x=\"x.npy\", y=\"y.npy\")`; for an autoencoder both are one file"
        }
        _ => "end the net with one value for each class, or give it arrays",
    };
    Err(data_error(message, Some(*span)).and(node.origin.span, format!("gives {}", node.output)).help(help).into())
}

/// Checks that a value of targets is ignored where pixels have classes, by a loss that can leave pixels out.
fn check_ignored(data: &Data, net: &Graph, losses: &[OutputLoss]) -> Result<()> {
    let Data::Arrays { ignore: Some(_), span, .. } = data else { return Ok(()) };
    let ([output], [loss]) = (&net.outputs[..], losses) else { return Ok(()) };
    if net.node(*output).output.sizes.len() < 2 {
        return Err(data_error(TargetsError::NothingToIgnore.to_string(), Some(*span)).into());
    }
    check_pixel_weights(loss.loss, "`ignore` leaves out", Some(*span))
}

/// Checks that data has an array for each input of a net, or photos for a net that takes them.
fn check_inputs(data: &Data, net: &Graph) -> Result<()> {
    match data {
        Data::Arrays { inputs, span, .. } if inputs.len() != net.inputs().len() => {
            Err(data_error(other_count(net.inputs().len(), inputs.len()), Some(*span)).into())
        }
        Data::Arrays { .. } => Ok(()),
        Data::Images { span, .. } | Data::Csv { span, .. } => photo_decoding(net, *span).map(|_| ()),
    }
}

/// How photos become the input of a net, without augmentation; `span` is where the spec names the photos.
///
/// # Errors
/// A net with several inputs, or without preprocessing for an image.
pub fn photo_decoding(net: &Graph, span: Span) -> Result<Decoding> {
    let inputs = net.inputs();
    let [input] = inputs[..] else {
        let message = format!("the net has {} inputs: give it arrays", inputs.len());
        return Err(data_error(message, Some(span)).into());
    };
    let node = net.node(input);
    let image = node.operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.clone());
    let sizes = node.output.known().unwrap_or_default();
    match (image, &sizes[..]) {
        (Some(preprocessing), &[height, width, channels]) => {
            Ok(Decoding { preprocessing, size: (height, width, channels), augmentation: None })
        }
        _ => Err(Diagnostic::new(Code::Preprocessing, "the net does not say how a photo becomes its input")
            .at(node.origin.span, "this input")
            .and(span, "these are photos")
            .help("write `Input(224x224x3, image=Caffe)`, or Torch, Unit, Symmetric, as the weights were trained")
            .into()),
    }
}
