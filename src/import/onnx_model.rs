//! An ONNX model as the layers of a spec.

use super::axes::Axes;
use super::convert::{Context, Known};
use super::elaborated::is_preprocessing;
use super::source::{Options, Source};
use super::{fuse, inputs, remarks, unsupported};
use crate::diagnostics::{Code, Diagnostic, Result, suggest};
use crate::onnx::constants::Constants;
use crate::onnx::{Graph, OnnxError, parameters, patterns, twins};
use std::collections::HashMap;
use std::path::Path;

/// Operators of models whose values are bytes.
const QUANTISED: [&str; 7] = [
    "ConvInteger",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
];

/// A model that was read.
pub(super) struct OnnxModel<'p> {
    path: &'p Path,
    read: parameters::Read,
    values: crate::onnx::Source,
}

impl<'p> OnnxModel<'p> {
    /// # Errors
    /// A file that cannot be read.
    pub fn read(path: &'p Path) -> Result<Self> {
        let (read, values) = parameters::read(path).map_err(|error| unreadable(path, &error))?;
        Ok(OnnxModel { path, read, values })
    }

    /// The layers of the model.
    ///
    /// # Errors
    /// Inputs that a spec cannot have, and parts that no spec can express.
    pub fn source(&self, options: &Options, axes: Axes) -> Result<Source> {
        let graph = &self.read.model.graph;
        let outputs = outputs(graph, options, &self.path.display().to_string())?;
        let wanted: Vec<String> =
            outputs.into_iter().map(|value| whole_layer(graph, &self.read.layers, value)).collect();
        let twins = twins::twins(graph, &self.read.layers, &self.values);
        Ok(Source {
            twins,
            ..of_inputs(self.path, &self.read, Constants::of(graph, &self.values), options, &wanted, axes)?
        })
    }
}

/// The layers of a model whose axes are read in one way.
fn of_inputs(
    model: &Path,
    read: &parameters::Read,
    constants: Constants,
    options: &Options,
    wanted: &[String],
    axes: Axes,
) -> Result<Source> {
    let front = axes.front;
    let (file, graph) = (model.display().to_string(), &read.model.graph);
    let needed = patterns::needed(&graph.nodes, wanted.iter().map(String::as_str));
    let mut context = Context::new(constants, &read.layers, read.model.opset(), axes);
    let image = |input: &str| remarks::image(&read.model, input).filter(|image| is_preprocessing(image));
    let inputs = inputs::define(&mut context, graph, &needed, wanted, options, &file, image)?;
    context.convert(graph, &needed);
    if let Some(first) = context.unsupported.first() {
        // The nodes that lead to the first of them can be imported.
        let node = graph.nodes.iter().find(|node| node.title() == first.node);
        let before = node.and_then(|node| {
            node.inputs.iter().find_map(|input| graph.nodes.iter().find(|node| node.outputs.contains(input)))
        });
        let total = (graph.nodes.len(), "node");
        let mut error = unsupported::diagnostic(&file, total, &context.unsupported, before.map(|node| node.title()));
        if context.unsupported.iter().any(|node| QUANTISED.contains(&node.op.as_str())) {
            error = error
                .help("import the model from before its quantisation; `netc build --precision int8` quantises a net");
        }
        return Err(error.into());
    }
    let ends: Vec<(Known, bool)> = wanted.iter().filter_map(|name| context.output(name)).collect();
    if ends.len() != wanted.len() {
        let message =
            format!("an output of {file} does not depend on its inputs, or no layer gives its axes in their order");
        return Err(Diagnostic::new(Code::ImportModel, message).into());
    }
    let images_last = inputs.iter().any(|input| input.channels_first);
    let (ends, time_first): (Vec<Known>, Vec<bool>) =
        ends.into_iter().map(|(known, time_first)| (context.as_output(known, images_last), time_first)).unzip();
    let outputs = wanted.iter().zip(&time_first).filter(|(_, time_first)| **time_first).map(|(name, _)| name.clone());
    let time_first: Vec<String> =
        inputs.iter().filter(|input| input.time_first).map(|input| input.name.clone()).chain(outputs).collect();
    let has_parameters = read.layers.iter().any(|layer| needed[layer.node]);
    let mut layers = std::mem::take(&mut context.layers);
    layers.outputs = ends.iter().map(|known| known.item).collect();
    fuse::fuse(&mut layers);
    let remarks =
        remarks::Remarks { model: &read.model, inputs: &inputs, outputs: &ends, names: wanted, time_first, front };
    Ok(Source {
        layers,
        parts: Vec::new(),
        inputs: inputs.iter().map(|input| input.sizes.clone()).collect(),
        outputs: ends.iter().map(Known::sizes).collect(),
        head: remarks.head(model),
        explicit_axes: axes.explicit && has_parameters,
        // What an ONNX model has behind is not compared.
        ends_early: false,
        twins: HashMap::new(),
        labels: remarks.labels(),
        nodes: needed.iter().filter(|needed| **needed).count(),
        noun: "node",
    })
}

fn unreadable(model: &Path, error: &OnnxError) -> Diagnostic {
    let code = match error {
        OnnxError::Io(_) => Code::Unreadable,
        _ => Code::ImportModel,
    };
    Diagnostic::new(code, format!("{} cannot be imported: {error}", model.display()))
}

/// The values that the spec gives: those of the model, or that of one node.
fn outputs(graph: &Graph, options: &Options, file: &str) -> Result<Vec<String>> {
    let Some(until) = &options.until else {
        let names: Vec<String> = graph.outputs.iter().map(|output| output.name.clone()).collect();
        return match names.is_empty() {
            true => Err(Diagnostic::new(Code::ImportModel, format!("{file} has no outputs")).into()),
            false => Ok(names),
        };
    };
    let by_name = graph.nodes.iter().find(|node| node.name == *until).map(|node| node.output().to_string());
    let by_value = || graph.nodes.iter().any(|node| node.outputs.contains(until)).then(|| until.clone());
    by_name.or_else(by_value).map(|name| vec![name]).ok_or_else(|| {
        let names = graph.nodes.iter().map(|node| node.title());
        Diagnostic::new(Code::ImportModel, format!("{file} has no node `{until}`"))
            .maybe_help(suggest::did_you_mean(until, names))
            .into()
    })
}

/// What the layer gives that a value is inside of: a product without its bias is no value of a spec.
fn whole_layer(graph: &Graph, layers: &[parameters::Layer], value: String) -> String {
    let gives = |node: usize| graph.nodes[node].outputs.contains(&value);
    let inside = |layer: &&parameters::Layer| {
        !layer.also.is_empty() && (gives(layer.node) || layer.also.iter().any(|&at| gives(at)))
    };
    layers.iter().find(inside).map_or(value.clone(), |layer| layer.output.clone())
}
