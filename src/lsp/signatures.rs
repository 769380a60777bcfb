//! Signature help: the arguments of the call at the cursor, from the tables that help and hover use.

use super::cursor::{Argument, Call, Context, call, cursor};
use super::documents::Document;
use crate::check::expectations::FUNCTIONS;
use crate::elaborate::project::NetDefinition;
use crate::graph;
use crate::ops::{self, values};
use crate::syntax::manual;
use crate::train::recipe::help::find_choice;
use crate::train::recipe::keys;
use lsp_types::{
    Documentation, MarkupContent, MarkupKind, ParameterInformation, ParameterLabel, SignatureHelp, SignatureInformation,
};

/// A signature: `Conv(size, filters)`, with a line for each argument.
struct Signature {
    name: String,
    summary: String,
    arguments: Vec<SignatureArgument>,
}

struct SignatureArgument {
    name: String,
    /// Its form in the signature: `stride=1`.
    label: String,
    doc: String,
}

/// The signature of the call at an offset; outside of calls, of the entry of a recipe whose value is being typed.
pub fn signature_help(document: &Document, offset: usize) -> Option<SignatureHelp> {
    let text = &document.text.text;
    if let Some(call) = call(text, offset)
        && let Some(signature) = signature(document, &call)
    {
        return Some(help(&signature, active(&signature, &call.argument)));
    }
    match cursor(text, offset).context {
        Context::Entry { item: "train", key } => {
            let key = keys::find(&key)?;
            let names: Vec<&str> = (key.choices)().iter().map(|choice| choice.name).collect();
            let label = if names.is_empty() { "…".to_string() } else { names.join(" | ") };
            let information = SignatureInformation {
                label: format!("{} = {label}", key.name),
                documentation: Some(markdown(format!("{}. Default: {}.", key.summary, key.default))),
                parameters: None,
                active_parameter: None,
            };
            Some(SignatureHelp { signatures: vec![information], active_signature: Some(0), active_parameter: None })
        }
        _ => None,
    }
}

/// What is called: a net, a layer, a value, or a function.
fn signature(document: &Document, call: &Call) -> Option<Signature> {
    let (name, spec) = (call.callee.as_str(), &document.analysis.spec);
    let of = |summary: &str, arguments: &[graph::Argument]| Signature {
        name: name.to_string(),
        summary: summary.to_string(),
        arguments: arguments
            .iter()
            .map(|argument| SignatureArgument {
                name: argument.name.to_string(),
                label: argument.signature(),
                doc: argument.documentation(),
            })
            .collect(),
    };
    if call.in_recipe {
        let choice = find_choice(name)?;
        return Some(of(choice.summary, choice.arguments));
    }
    if call.in_expectation
        && let Some(function) = FUNCTIONS.iter().find(|function| function.name == name)
    {
        return Some(of_function(function.signature, function.doc));
    }
    if let Some(net) = spec.project.find(name, spec.root()) {
        return Some(of_net(document, &spec.project.nets[net]));
    }
    if let Some(definition) = ops::find(name) {
        return Some(of(definition.summary, definition.arguments));
    }
    if let Some(arguments) = values::arguments(name) {
        let help = values::find(name).unwrap_or_default();
        return Some(of(help.lines().nth(2).unwrap_or_default(), arguments));
    }
    match name {
        "len" => Some(of_function("len(list)", "the number of items of a list")),
        "frozen" => Some(of_function("frozen(layers)", first_paragraph("frozen"))),
        "repeat" => Some(of_function("repeat(count)", first_paragraph("repeat"))),
        _ => None,
    }
}

fn first_paragraph(word: &str) -> &'static str {
    manual::markdown(word).and_then(|text| text.split("\n\n").next()).unwrap_or_default()
}

/// A function without a table of arguments.
fn of_function(signature: &str, doc: &str) -> Signature {
    let (name, arguments) = signature.trim_end_matches(')').split_once('(').unwrap_or((signature, ""));
    let argument =
        |name: &str| SignatureArgument { name: name.to_string(), label: name.to_string(), doc: String::new() };
    let arguments = arguments.split(", ").filter(|name| !name.is_empty()).map(argument).collect();
    Signature { name: name.to_string(), summary: doc.to_string(), arguments }
}

fn of_net(document: &Document, net: &NetDefinition) -> Signature {
    let sources = &document.analysis.spec.sources;
    let arguments = net.item.parameters.iter().map(|parameter| {
        let end = parameter.default.as_ref().map_or(parameter.name.span, |default| default.span);
        SignatureArgument {
            name: parameter.name.text.clone(),
            label: sources.text(parameter.name.span.to(end)).to_string(),
            doc: String::new(),
        }
    });
    let docs: Vec<&str> = net.docs.iter().map(|line| line.trim()).collect();
    Signature { name: net.item.name.text.clone(), summary: docs.join("\n"), arguments: arguments.collect() }
}

/// The index of the argument at the cursor.
fn active(signature: &Signature, argument: &Argument) -> Option<u32> {
    let index = match argument {
        Argument::Position(index) => Some(*index),
        Argument::Name(name) => signature.arguments.iter().position(|known| known.name == *name),
    };
    index.filter(|&index| index < signature.arguments.len()).map(|index| index as u32)
}

fn help(signature: &Signature, active: Option<u32>) -> SignatureHelp {
    let mut label = format!("{}(", signature.name);
    let units = |text: &str| text.encode_utf16().count() as u32;
    let mut parameters = Vec::with_capacity(signature.arguments.len());
    for (index, argument) in signature.arguments.iter().enumerate() {
        label += if index > 0 { ", " } else { "" };
        let start = units(&label);
        label += &argument.label;
        parameters.push(ParameterInformation {
            label: ParameterLabel::LabelOffsets([start, units(&label)]),
            documentation: (!argument.doc.is_empty()).then(|| markdown(argument.doc.clone())),
        });
    }
    label += ")";
    let information = SignatureInformation {
        label,
        documentation: (!signature.summary.is_empty()).then(|| markdown(signature.summary.clone())),
        parameters: Some(parameters),
        active_parameter: active,
    };
    SignatureHelp { signatures: vec![information], active_signature: Some(0), active_parameter: active }
}

fn markdown(value: String) -> Documentation {
    Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value })
}
