//! From models of other tools to specs: `netc import model.onnx`, `netc import model.keras`.
//!
//! ```text
//! model.onnx  ──onnx──▶ nodes ──convert──▶ layers ─┬fuse──▶ layers ──structure──▶ chain ──fold──▶ nets ──printing──▶ model.net
//! model.keras ──keras::config──▶ layers of Keras ──keras::convert──▶ layers ─┘
//! ```
//!
//! The spec binds its weights from the very file. It is elaborated before it is handed out: its outputs must have the sizes that
//! the model's have, and the folded spec must be the same net as the one written out.

mod axes;
mod convert;
mod elaborated;
mod fold;
mod fuse;
mod inputs;
mod items;
mod keras;
mod layers;
mod onnx_model;
mod printing;
mod remarks;
mod source;
mod structure;
mod tree;
mod unsupported;

use crate::compile::{self, Build, BuildOptions};
use crate::content::Content;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, Severity, render};
use crate::elaborate::project::shipped;
use crate::elaborate::{identifier, load_text};
use crate::graph::Graph as NetGraph;
use crate::source::{Sources, in_shell};
use crate::syntax::{self, KEYWORDS};
pub use items::is_imported;
pub use source::Options;

use axes::WAYS;
use elaborated::elaborated;
use layers::Layers;
use onnx_model::OnnxModel;
use printing::Printer;
use source::Source;
use std::collections::BTreeSet;
use std::path::Path;
use tree::{Call, Expr, Net};

/// A spec made of a model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The spec, formatted.
    pub text: String,
    /// The name of its net.
    pub net: String,
    /// Its layers, and the nodes or layers of the model that they were made of.
    pub layers: usize,
    pub nodes: usize,
    /// What those are called.
    pub noun: &'static str,
}

/// Makes the spec of a model of ONNX or Keras, to be written to the file `spec`. It was built from the model's weights.
///
/// # Errors
/// A model that cannot be read, or has parts that no spec can express: all of them, by operator or class, and name.
pub fn import(model: &Path, spec: &Path, options: &Options) -> Result<Imported> {
    let name = net_name(spec);
    let write = Write { model, spec, name: &name };
    match Content::of_path(model) {
        Ok(Content::Zip | Content::Hdf5) => return write.source(&keras::source(model, options, &name)?),
        // A file that cannot be read is reported by the reader.
        Ok(Content::Onnx | Content::UNKNOWN) | Err(_) => {}
        Ok(other) => return Err(not_a_model(model, other).into()),
    }
    let read = OnnxModel::read(model)?;
    let mut refused: Option<Diagnostics> = None;
    for axes in WAYS {
        match read.source(options, axes) {
            Ok(source) => match write.source(&source) {
                // Transposes that the spec has itself leave nothing to infer.
                Err(errors) if !axes.explicit && errors.iter().any(|error| error.code == Code::AxisOrder) => {
                    refused.get_or_insert(errors);
                }
                written => return written,
            },
            // The last way that can read all inputs tells most: explicit axes leave the fewest reasons to refuse a model.
            Err(errors) => {
                let of_parts = |errors: &Diagnostics| errors.iter().any(|error| error.code == Code::ImportUnsupported);
                if axes.front == 0 || of_parts(&errors) && !refused.as_ref().is_some_and(of_parts) {
                    refused = Some(errors);
                }
            }
        }
    }
    Err(refused.unwrap_or_default())
}

/// How a model is written as a spec.
struct Write<'p> {
    model: &'p Path,
    spec: &'p Path,
    /// The name of the net.
    name: &'p str,
}

impl Write<'_> {
    /// The spec of the layers of the model, which was built.
    fn source(&self, source: &Source) -> Result<Imported> {
        let (file, name, spec) = (self.model.display(), self.name, self.spec);
        let unwritten =
            |reason| Diagnostic::new(Code::ImportUnsupported, format!("{file} cannot be written as a spec: {reason}"));
        let mut net = net(name.to_string(), &source.layers).map_err(unwritten)?;
        let mut parts = Vec::new();
        for (name, layers) in &source.parts {
            parts.push(part(name, layers).map_err(unwritten)?);
        }
        let shipped = shipped::SPECS.iter().map(|spec| spec.name.to_string());
        let own = parts
            .iter()
            .chain([&net])
            .flat_map(|net| net.shares.iter().map(|(word, _)| word.clone()).chain([net.name.clone()]));
        let mut taken: BTreeSet<String> = shipped.chain(own).collect();
        if let Some((shared, nets)) = self.shared(source, &net, &parts, &taken) {
            taken.extend(shared.shares.iter().map(|(word, _)| word).chain(nets.iter().map(|net| &net.name)).cloned());
            (net, parts) = (shared, nets);
        }
        let mut plain = self.text(source, &net, &parts);
        let mut expected = elaborated(spec, &plain, name).map_err(|errors| {
            let message = format!("the spec that was made from {file} has errors: this is a bug in netc");
            Diagnostic::new(Code::ImportModel, message).note(errors)
        })?;
        check_outputs(&expected, &source.outputs, &file.to_string())?;
        // Names that layers without one have anyway are left out.
        let (unnamed, others) =
            (net.without_generated_names(), parts.iter().map(Net::without_generated_names).collect::<Vec<_>>());
        let text = self.text(source, &unnamed, &others);
        if text != plain
            && let Ok(graph) = elaborated(spec, &text, name)
            && graph.to_string() == expected.to_string()
        {
            (net, parts, plain, expected) = (unnamed, others, text, graph);
        }
        let (body, nets) = fold::fold(&net, parts, &taken);
        let text = self.text(source, &Net { body, ..net }, &nets);
        // Folding must not change the net; where it would, the layers are written one by one.
        let folded = elaborated(spec, &text, name).is_ok_and(|graph| graph.to_string() == expected.to_string());
        let text = if folded { text } else { plain };
        let build = self.built(&text)?;
        let text = if source.explicit_axes { self.inferred(&text, &build).unwrap_or(text) } else { text };
        Ok(Imported {
            text,
            net: name.to_string(),
            layers: expected.nodes.len(),
            nodes: source.nodes,
            noun: source.noun,
        })
    }

    /// The net and its parts with what is shared as such, if that is the same net but for names and parameters.
    fn shared(&self, source: &Source, net: &Net, parts: &[Net], taken: &BTreeSet<String>) -> Option<(Net, Vec<Net>)> {
        if source.twins.is_empty() {
            return None;
        }
        let mut shared = net.clone();
        let more = fold::shares(&mut shared, &source.twins, taken);
        let nets = [parts, &more].concat();
        let graph = |net: &Net, nets: &[Net]| elaborated(self.spec, &self.text(source, net, nets), self.name).ok();
        let (before, after) = (graph(net, parts)?, graph(&shared, &nets)?);
        let same =
            before.nodes.len() == after.nodes.len()
                && before.nodes.iter().zip(&after.nodes).all(|(a, b)| {
                    a.operation.definition().name == b.operation.definition().name && a.output == b.output
                });
        (same && !shared.shares.is_empty()).then_some((shared, nets))
    }

    fn text(&self, source: &Source, net: &Net, nets: &[Net]) -> String {
        let printer = Printer { nets };
        let head = source.head.iter().map(|line| format!("# {line}\n")).collect::<String>();
        let mut text = format!("netc 1\n\n{head}");
        text += &printer.net(net);
        for net in nets {
            text += "\n\n";
            text += &printer.net(net);
        }
        formatted(text + "\n\n" + &items::items(source, self.name, self.model, self.spec))
    }

    /// The spec without its explicit axes, where each of its parameters takes the same values in the same order without them.
    fn inferred(&self, text: &str, explicit: &Build) -> Option<String> {
        let line = text.find("\nweights ")?;
        let at = line + text[line..].find(items::EXPLICIT)?;
        let shorter = [&text[..at], &text[at + items::EXPLICIT.len()..]].concat();
        let build = self.built(&shorter).ok()?;
        let same = build.graph.to_string() == explicit.graph.to_string();
        (same && build.bindings.reads_as(&explicit.bindings)).then_some(shorter)
    }

    /// Builds the spec as `netc build` will.
    ///
    /// # Errors
    /// What `netc build` would say.
    fn built(&self, text: &str) -> Result<Build> {
        let spec = load_text(self.spec, text, &|_| Err(std::io::ErrorKind::NotFound.into()));
        let options = BuildOptions { net: Some(self.name.to_string()), fresh: true, ..BuildOptions::default() };
        let errors = match compile::build(&spec, &options) {
            Ok((build, _)) => return Ok(build),
            Err(errors) => errors,
        };
        // The text is not written: its lines are shown here.
        let (file, shown) = (self.model.display(), render::text(&errors, &spec.sources, false));
        let codes: Vec<Code> =
            errors.iter().filter(|error| error.severity == Severity::Error).map(|error| error.code).collect();
        let of_axes = codes.iter().find(|code| **code == Code::AxisOrder);
        let code = of_axes.or(codes.first()).copied().unwrap_or(Code::ImportModel);
        Err(Diagnostic::new(code, format!("the spec that was made from {file} cannot be built")).note(shown).into())
    }
}

/// The error of a file that has no model.
fn not_a_model(file: &Path, content: Content) -> Diagnostic {
    let (name, words) = (file.display(), content.in_words());
    let help = match content {
        Content::Artifact => format!("`netc inspect {} --source` prints the spec in it", in_shell(&name.to_string())),
        Content::Safetensors => {
            "these are weights without a model: write the net as a spec, and bind them by `weights NET = \"FILE\"`"
                .into()
        }
        content if content.is_pickle() => "in PyTorch, `torch.onnx.export` writes a model that can be imported".into(),
        _ => "a model of ONNX (.onnx) or Keras (.keras, .h5) can be imported".into(),
    };
    Diagnostic::new(Code::ImportModel, format!("{name} cannot be imported: it is {words}, not a model")).help(help)
}

/// The layers of a model as a net.
fn net(name: String, layers: &Layers) -> std::result::Result<Net, String> {
    let body = structure::chain(layers)?;
    let shares = layers.shares.iter().map(|(word, call)| (word.clone(), vec![Expr::Call(call.clone())]));
    Ok(Net::new(name, shares.collect(), body))
}

/// The layers of a part of a model as a net without its input.
fn part(name: &str, layers: &Layers) -> std::result::Result<Net, String> {
    let mut net = net(name.to_string(), layers)?;
    if matches!(net.body.first(), Some(Expr::Call(call)) if call.is(&["Input"])) {
        net.body.remove(0);
    }
    if net.body.is_empty() {
        net.body.push(Expr::Call(Call::layer("Identity")));
    }
    Ok(net)
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

/// Whether the outputs have the sizes that the model gives them.
fn check_outputs(graph: &NetGraph, outputs: &[Vec<usize>], file: &str) -> std::result::Result<(), Diagnostics> {
    for (&output, sizes) in graph.outputs.iter().zip(outputs) {
        let found = &graph.node(output).output;
        if found.known().is_some_and(|known| known != *sizes) {
            let message = format!("the spec that was made from {file} gives {found}, the model {sizes:?}");
            return Err(Diagnostic::new(Code::ImportModel, message).help("this is a bug in netc").into());
        }
    }
    Ok(())
}
