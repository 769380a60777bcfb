//! Whether the files that a recipe's data names fit a net, where they are there: the shapes of arrays, the columns of a list, the class
//! folders of photos. Samples are not read.

use super::data_fit::targets_of;
use crate::data::samples::dataset::ArraySource;
use crate::data::samples::photo_paths;
use crate::data::{Dataset, DatasetError, Targets};
use crate::diagnostics::{Diagnostic, Result};
use crate::graph::Graph;
use crate::ops::output_kind::OutputKind;
use crate::source::Span;
use crate::train::evaluation::dataset_match::other_sizes;
use crate::train::evaluation::learned::{LearningOutput, TargetForm};
use crate::train::evaluation::task::data_error;
use crate::train::recipe::values::losses::OutputLoss;
use crate::train::recipe::values::sources::Data;
use crate::weights::bind::report::shortened;

/// Checks the files of data; `needs_classes` says whether the names of its classes are those of the outputs.
///
/// # Errors
/// A file that cannot be read as what it is named for, or that does not fit.
pub(super) fn check(data: &Data, net: &Graph, losses: &[OutputLoss], needs_classes: bool) -> Result<()> {
    match data {
        Data::Arrays { .. } => check_arrays(data, net),
        Data::Csv { path, columns, span, .. } if path.exists() => {
            let columns: Option<Vec<Vec<String>>> =
                columns.as_ref().map(|list| list.iter().map(|(_, columns)| columns.clone()).collect());
            let counts = Dataset::label_counts(path, columns.as_deref()).map_err(|error| failed(error, *span))?;
            let Some(counts) = counts else { return Ok(()) };
            let order = targets_of(data, net)?;
            for (&output, count) in net.outputs.iter().zip(order.into_iter().filter_map(|at| counts.get(at))) {
                let sizes = net.node(output).output.known().unwrap_or_default();
                // A single label may be the name of a class.
                if *count > 1 {
                    Targets::check_sizes(&[*count], &sizes).map_err(|error| failed(error, *span))?;
                }
            }
            Ok(())
        }
        Data::Images { folder, span, .. } if needs_classes && folder.exists() => {
            let ([output], [loss]) = (&net.outputs[..], losses) else { return Ok(()) };
            let found = photo_paths::class_names(folder).map_err(|error| failed(error, *span))?;
            let sizes = net.node(*output).output.known().unwrap_or_default();
            let kind = OutputKind::of(net, *output);
            let output = LearningOutput { sizes: &sizes, kind, loss: loss.loss, has_names: true };
            let learned = output.learns_from(TargetForm::Class);
            let classes = learned.class_count(output.width());
            match learned.is_labelled(output.width()) && found.len() != classes {
                true => Err(other_classes(&found, classes, *span).into()),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The error of data with another number of classes than a net.
pub fn other_classes(found: &[String], classes: usize, span: Span) -> Diagnostic {
    let found_text = if found.len() == 1 { "1 class".into() } else { format!("{} classes", found.len()) };
    let help = match found.len() {
        0 | 1 => "a net needs at least two classes: add a folder with photos of another class".into(),
        count if count < classes => {
            format!("end the net with {count} outputs, or give `labels` for all {classes} classes")
        }
        count => format!("end the net with {count} outputs, or remove classes"),
    };
    data_error(format!("the data has {found_text}, but the net has {classes}"), Some(span))
        .note(format!("the data's classes: {}", shortened(found)))
        .help(help)
}

/// The error of an array whose samples have other sizes than an input of a net.
pub fn other_input(net: &Graph, input: usize, found: &[usize], span: Span) -> Diagnostic {
    let node = net.node(net.inputs()[input]);
    data_error(other_sizes(found), Some(span)).and(node.origin.span, format!("takes {}", node.output))
}

fn failed(error: impl Into<DatasetError>, span: Span) -> Diagnostic {
    data_error(error.into().to_string(), Some(span))
}

/// Checks the shapes of arrays: those of the inputs and targets, and that they have as many rows.
fn check_arrays(data: &Data, net: &Graph) -> Result<()> {
    let Data::Arrays { inputs, targets, span, .. } = data else { return Ok(()) };
    let failed = |error: DatasetError| failed(error, *span);
    let mut first: Option<(&ArraySource, usize)> = None;
    for (index, (source, id)) in inputs.iter().zip(net.inputs()).enumerate() {
        let Some((rows, sizes)) = shape(source).map_err(failed)? else { continue };
        if net.node(id).output.known().is_some_and(|wanted| wanted != sizes) {
            return Err(other_input(net, index, &sizes, *span).into());
        }
        let (known, expected) = *first.get_or_insert((source, rows));
        if rows != expected {
            let (path, first) = (source.path.clone(), known.path.clone());
            return Err(failed(DatasetError::Lengths { path, rows, first, expected }).into());
        }
    }
    let sources = targets.sources();
    if sources.is_empty() {
        return Ok(());
    }
    for (&output, source) in net.outputs.iter().zip(targets_of(data, net)?.into_iter().filter_map(|at| sources.get(at)))
    {
        let Some((rows, found)) = shape(source).map_err(failed)? else { continue };
        if let Some((known, expected)) = first.filter(|(_, expected)| *expected != rows) {
            let (path, first) = (source.path.clone(), known.path.clone());
            return Err(failed(DatasetError::Lengths { path, rows, first, expected }).into());
        }
        let sizes = net.node(output).output.known().unwrap_or_default();
        let fits = match &found[..] {
            // Whether a column has classes is seen in its values, one for each sample.
            [] | [1] => Dataset::column(source).map_err(failed)?.check(&sizes),
            found => Targets::check_sizes(found, &sizes),
        };
        fits.map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

/// The number of rows of an array, and the sizes of each; none without the file.
fn shape(source: &ArraySource) -> std::result::Result<Option<(usize, Vec<usize>)>, DatasetError> {
    if !source.path.exists() {
        return Ok(None);
    }
    source.shape().map(Some)
}
