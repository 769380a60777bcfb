//! From models of other tools to specs: `netc import model.onnx`.
//!
//! ```text
//! model.onnx ──onnx──▶ nodes ──convert──▶ layers ──fuse──▶ layers ──structure──▶ chain ──fold──▶ nets ──printing──▶ model.net
//! ```
//!
//! The spec binds its weights from the very file. It is elaborated before it is handed out: its outputs must have the sizes that
//! the model's have, and the folded spec must be the same net as the one written out.

mod convert;
mod fold;
mod fuse;
mod inputs;
mod layers;
mod printing;
mod remarks;
mod structure;
mod tree;
mod unsupported;

use crate::compile;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, render, suggest};
use crate::elaborate::project::shipped;
use crate::elaborate::{identifier, load_text};
use crate::graph::Graph as NetGraph;
use crate::onnx::constants::Constants;
use crate::onnx::{Graph, OnnxError, parameters, patterns};
use crate::source::Sources;
use crate::syntax::{self, KEYWORDS};
use convert::{Context, Known};
use printing::Printer;
use std::collections::BTreeSet;
use std::path::Path;
use tree::{Chain, Net};

/// What to import of a model.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Height and width of inputs that leave them open.
    pub size: Option<[usize; 2]>,
    /// The node, or the value, up to which is imported.
    pub until: Option<String>,
}

/// A spec made of a model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The spec, formatted.
    pub text: String,
    /// The name of its net.
    pub net: String,
    /// Its layers and the nodes that they were made of.
    pub layers: usize,
    pub nodes: usize,
}

/// Makes the spec of an ONNX model, to be written to the file `spec`.
///
/// # Errors
/// A model that cannot be read, or has parts that no spec can express: all of them, by operator and node.
pub fn import(model: &Path, spec: &Path, options: &Options) -> Result<Imported> {
    let file = model.display();
    let (read, source) = parameters::read(model).map_err(|error| unreadable(model, &error))?;
    let graph = &read.model.graph;
    let wanted: Vec<String> = outputs(graph, options, &file.to_string())?
        .into_iter()
        .map(|value| whole_layer(graph, &read.layers, value))
        .collect();
    let needed = patterns::needed(&graph.nodes, wanted.iter().map(String::as_str));
    let mut context = Context::new(Constants::of(graph, &source), &read.layers, read.model.opset());
    let image = |input: &str| remarks::image(&read.model, input).filter(|image| is_preprocessing(image));
    let inputs = inputs::define(&mut context, graph, &needed, &wanted, options, &file.to_string(), image)?;
    context.convert(graph, &needed);
    if !context.unsupported.is_empty() {
        return Err(unsupported::diagnostic(&file.to_string(), graph, &context.unsupported).into());
    }
    let ends: Vec<Known> = wanted.iter().filter_map(|name| context.value(name).cloned()).collect();
    if ends.len() != wanted.len() {
        let message = format!("an output of {file} does not depend on its inputs");
        return Err(Diagnostic::new(Code::ImportModel, message).into());
    }
    let mut layers = std::mem::take(&mut context.layers);
    layers.outputs = ends.iter().map(|known| known.item).collect();
    fuse::fuse(&mut layers);
    let main = structure::chain(&layers).map_err(|reason| {
        Diagnostic::new(Code::ImportUnsupported, format!("{file} cannot be written as a spec: {reason}"))
    })?;
    let net = net_name(spec);
    let taken: BTreeSet<String> =
        shipped::SPECS.iter().map(|spec| spec.name.to_string()).chain([net.clone()]).collect();
    let remarks = remarks::Remarks { model: &read.model, inputs: &inputs, outputs: &ends, net: &net };
    let write = |main: Chain, nets: &[Net]| {
        let printer = Printer { nets };
        let mut text = format!("netc 1\n\n{}", remarks.head(model));
        text += &printer.net(&Net { name: net.clone(), parameters: Vec::new(), body: main });
        for net in nets {
            text += "\n\n";
            text += &printer.net(net);
        }
        formatted(text + "\n\n" + &remarks.items(model, spec))
    };
    let mut plain = write(main.clone(), &[]);
    let mut expected = elaborated(spec, &plain, &net).map_err(|errors| {
        let message = format!("the spec that was made of {file} is wrong, which is a fault of netc");
        Diagnostic::new(Code::ImportModel, message).note(errors)
    })?;
    check_outputs(&expected, &ends, &file.to_string())?;
    // Names that layers without one have anyway are left out.
    let mut main = main;
    if let Some(unnamed) = tree::without_generated_names(&main) {
        let text = write(unnamed.clone(), &[]);
        if let Ok(graph) = elaborated(spec, &text, &net)
            && graph.to_string() == expected.to_string()
        {
            (main, plain, expected) = (unnamed, text, graph);
        }
    }
    let (main, nets) = fold::fold(main, &taken);
    let text = write(main, &nets);
    // Folding must not change the net; where it would, the layers are written one by one.
    let folded = elaborated(spec, &text, &net).is_ok_and(|graph| graph.to_string() == expected.to_string());
    Ok(Imported {
        text: if folded { text } else { plain },
        net,
        layers: expected.nodes.len(),
        nodes: needed.iter().filter(|needed| **needed).count(),
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

/// The net is named like its file.
fn net_name(spec: &Path) -> String {
    let stem = spec.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match identifier(&stem) {
        name if name.chars().all(|c| c == '_') => "imported".into(),
        name if KEYWORDS.contains(&name.as_str()) || crate::ops::find(&name).is_some() => format!("{name}_net"),
        name => name,
    }
}

/// As `netc fmt` prints it.
fn formatted(text: String) -> String {
    let mut sources = Sources::default();
    let file = sources.add_text("imported.net", text.as_str());
    let (tree, errors) = syntax::parse(&sources, file);
    if errors.has_errors() { text } else { syntax::format(&text, &tree) }
}

/// The graph of the spec, or what is wrong with it.
fn elaborated(path: &Path, text: &str, net: &str) -> std::result::Result<NetGraph, String> {
    let spec = load_text(path, text, &|_| Err(std::io::ErrorKind::NotFound.into()));
    if spec.errors.has_errors() {
        return Err(render::text(&spec.errors, &spec.sources, false));
    }
    match compile::graph(&spec, Some(net)) {
        Ok((graph, _)) => Ok(graph),
        Err(errors) => Err(render::text(&errors, &spec.sources, false)),
    }
}

/// Whether a text is a preprocessing of photos, as it is written in a spec.
fn is_preprocessing(text: &str) -> bool {
    let spec = format!("net x = Input(1x1x3, image={text})\n");
    let graph = elaborated(Path::new("x.net"), &spec, "x");
    !text.contains(['\n', '#']) && graph.is_ok_and(|graph| graph.nodes.len() == 1)
}

/// Whether the outputs have the sizes that the model gives them.
fn check_outputs(graph: &NetGraph, ends: &[Known], file: &str) -> std::result::Result<(), Diagnostics> {
    for (&output, known) in graph.outputs.iter().zip(ends) {
        let found = &graph.node(output).output;
        if found.known().is_some_and(|sizes| sizes != known.sizes()) {
            let message = format!("the spec that was made of {file} gives {found}, the model {:?}", known.sizes());
            return Err(Diagnostic::new(Code::ImportModel, message).help("that is a fault of netc").into());
        }
    }
    Ok(())
}
