//! What is known of the word under the cursor.

use super::completion::{argument_of, recipe_arguments};
use super::cursor::{self, Place, cursor};
use super::documents::Document;
use crate::elaborate::names::{Kind, LayerWord, Symbol};
use crate::graph::{Graph, Node};
use crate::ops;
use crate::train::recipe;
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind};
use std::fmt::Write;
use std::ops::Range;

/// How many shapes are told of a layer that is made several times.
const SHOWN: usize = 4;

/// What is to be said of the word at a byte.
pub fn hover(document: &Document, offset: usize) -> Option<Hover> {
    if let Some(layer) = document.names().layer_at(offset)
        && let Some(told) = layer_word(document, layer)
    {
        return shown(document, layer.span.range(), told);
    }
    let text = &document.text.text;
    let word = cursor::word(text, offset)?;
    let cursor = cursor(text, word.end);
    let written = &text[word.clone()];
    let told = match cursor.place {
        Place::Argument { callee } if cursor::is_assigned(text, word.end) => match cursor.recipe {
            true => {
                let known = recipe_arguments(&callee).iter().find(|known| known.name == written);
                known.map(|known| format!("`{written}` of `{callee}`: {}", known.told()))
            }
            false => argument(document, &callee, written),
        },
        Place::Nothing | Place::Cut { .. } => named(document, &word),
        _ if cursor.recipe => recipe::help::documentation(written).map(|text| format!("```text\n{text}```\n")),
        _ => named(document, &word).or_else(|| layer(document, &word)),
    }?;
    shown(document, word, told)
}

fn shown(document: &Document, place: Range<usize>, told: String) -> Option<Hover> {
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: told });
    Some(Hover { contents, range: Some(document.text.range(place)) })
}

/// A layer's name: what it makes, or the layer or scope that it cuts at.
fn layer_word(document: &Document, word: &LayerWord) -> Option<String> {
    let Some(net) = &word.cut else { return made(document, &word.of.range()) };
    let graph = document.graph(net)?;
    if let Some(index) = graph.nodes.iter().position(|node| node.name == word.name) {
        let node = &graph.nodes[index];
        let kind = node.operation.definition().name;
        return Some(format!("layer {index} of `{net}`, `{kind}`  \n{}\n", told(&graph, node)));
    }
    let inside = format!("{}/", word.name);
    let nodes: Vec<&Node> = graph.nodes.iter().filter(|node| node.name.starts_with(&inside)).collect();
    let (first, last) = (nodes.first()?, nodes.last()?);
    let mut lines = vec![format!("a scope of `{net}`, from `{}` to `{}`", first.name, last.name)];
    lines.extend(nodes.iter().filter(|node| !node.parameters.is_empty()).take(SHOWN).map(|node| told(&graph, node)));
    Some(lines.join("  \n") + "\n")
}

fn argument(document: &Document, callee: &str, name: &str) -> Option<String> {
    if let Some(argument) = argument_of(callee, name) {
        return Some(format!("`{name}` of `{callee}`: {}", argument.told()));
    }
    let spec = &document.now.spec;
    let net = &spec.project.nets[spec.project.find(callee, spec.root())?];
    let parameter = net.item.parameters.iter().find(|parameter| parameter.name.text == name)?;
    let default = parameter.default.as_ref().map(|default| format!("={}", spec.sources.text(default.span)));
    Some(format!("parameter `{name}{}` of `{callee}`", default.unwrap_or_default()))
}

/// A net, parameter or value.
fn named(document: &Document, word: &Range<usize>) -> Option<String> {
    let names = document.names();
    match names.at(word.start).filter(|(_, span)| span.range() == *word) {
        Some((Symbol { kind: Kind::Net, name, .. }, _)) => net(document, name, word),
        Some((symbol, _)) => {
            let whole = document.now.spec.sources.text(symbol.whole);
            let mut told = format!("{}\n```netc\n{whole}\n```\n", symbol.kind.noun());
            told += &made(document, word).unwrap_or_default();
            Some(told)
        }
        None if matches!(cursor(&document.text.text, word.end).place, Place::Nothing | Place::Cut { .. }) => None,
        None => net(document, &document.text.text[word.clone()], word),
    }
}

/// A net's documentation, and what it is in one line.
fn net(document: &Document, name: &str, word: &Range<usize>) -> Option<String> {
    let spec = &document.now.spec;
    let index = spec.project.find(name, spec.root())?;
    let definition = &spec.project.nets[index];
    let parameters: Vec<&str> = definition
        .item
        .parameters
        .iter()
        .map(|parameter| {
            let end = parameter.default.as_ref().map_or(parameter.name.span, |default| default.span);
            spec.sources.text(parameter.name.span.to(end))
        })
        .collect();
    let mut told = match parameters.is_empty() {
        true => format!("```netc\nnet {name}\n```\n"),
        false => format!("```netc\nnet {name}({})\n```\n", parameters.join(", ")),
    };
    for line in &definition.docs {
        let _ = writeln!(told, "{}", line.trim());
    }
    if let Some(graph) = document.graph(name) {
        let _ = write!(told, "\n`{}`, {} parameters\n", graph.summary(), graph.parameter_count());
    }
    told += &made(document, word).unwrap_or_default();
    Some(told)
}

/// A layer's documentation, and what it makes here.
fn layer(document: &Document, word: &Range<usize>) -> Option<String> {
    let definition = ops::find(&document.text.text[word.clone()])?;
    let made = made(document, word).map_or(String::new(), |made| format!("{made}\n---\n"));
    Some(format!("{made}```text\n{}```\n", definition.documentation()))
}

/// The layers that begin at a word: their shapes and parameters.
fn made(document: &Document, word: &Range<usize>) -> Option<String> {
    let known = &document.known;
    let start = document.in_known(word.start)?;
    let here = |node: &&Node| node.origin.span.file == known.root && node.origin.span.start as usize == start;
    let mut lines: Vec<String> = Vec::new();
    for graph in &known.graphs {
        for node in graph.nodes.iter().filter(here) {
            let line = told(graph, node);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    (!lines.is_empty()).then(|| lines.join("  \n") + "\n")
}

fn told(graph: &Graph, node: &Node) -> String {
    let mut line = format!("`{}` gives `{}`", node.name, node.output);
    let parameters: Vec<String> = node
        .parameters
        .iter()
        .map(|id| {
            let parameter = &graph.parameters[id.0];
            let sizes: Vec<String> = parameter.shape.iter().map(usize::to_string).collect();
            format!("{} ({})", parameter.role, sizes.join(", "))
        })
        .collect();
    if !parameters.is_empty() {
        let count: usize = node.parameters.iter().map(|id| graph.parameters[id.0].len()).sum();
        let _ = write!(line, "; {}: {count} parameters", parameters.join(", "));
    }
    line
}
