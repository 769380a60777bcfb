//! Lints: valid specs that are likely mistakes. They concern the user's own files, never shipped specs.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::elaborate::Spec;
use crate::graph::{FusionRole, Graph, Node, NodeId, Parameter, ParameterKind};
use crate::kernels::elementwise::activation::Activation;
use crate::ops::dense::{Dense, Function};
use crate::ops::input::Input;
use crate::ops::input::preprocessing::Preprocessing;
use crate::ops::norm::batch_norm::BatchNorm;
use crate::ops::pool::Pool;
use crate::request::WeightsRequest;
use crate::source::Span;
use crate::syntax::parse;

use std::collections::BTreeSet;

/// The number of parameters of a dense layer after a flatten above which there is likely a better layer.
const HUGE: usize = 50_000_000;

/// The keywords of `padding`, which are confusing as names of parameters.
const CHOICES: [&str; 2] = ["same", "valid"];

impl Spec {
    /// The lints of a spec's items, whichever net is compiled.
    pub fn lint_items(&self) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        self.shadowed_words(&mut diagnostics);
        self.unused_nets(&mut diagnostics);
        diagnostics
    }

    /// The lints of a net's layers.
    pub fn lint_graph(&self, graph: &Graph) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        let consumers = graph.consumers();
        for id in graph.ids().filter(|&id| self.is_own(graph.node(id).origin.span)) {
            softmax_twice(graph, id, &mut diagnostics);
            activation_without_effect(graph, id, &mut diagnostics);
            huge_dense(graph, id, &mut diagnostics);
            pool_drops_border(graph, id, &mut diagnostics);
        }
        for id in graph.ids() {
            if graph.node(id).operation.as_any().is::<BatchNorm>()
                && let [before] = graph.node(id).inputs[..]
                && consumers[before.0].len() == 1
                && !graph.outputs.contains(&before)
            {
                self.bias_before_norm(graph, before, id, &mut diagnostics);
            }
        }
        diagnostics
    }

    /// Warns of frozen layers whose parameters come from no file.
    pub fn lint_untrained(&self, graph: &Graph, untrained_layers: &[String]) -> Diagnostics {
        let untrained: BTreeSet<&str> = untrained_layers.iter().map(String::as_str).collect();
        let frozen = |one: &&Parameter| one.frozen && one.trainable && untrained.contains(one.layer.as_str());
        let mut layers: Vec<&str> = graph.parameters.iter().filter(frozen).map(|one| one.layer.as_str()).collect();
        layers.dedup();
        let Some(&first) = layers.first() else { return Diagnostics::default() };
        let message = match layers.len() {
            1 => format!("`{first}` is frozen with random weights"),
            count => format!("{count} layers are frozen with random weights, `{first}` the first"),
        };
        let mut diagnostic = Diagnostic::new(Code::FrozenUntrained, message);
        if let Some(span) =
            graph.nodes.iter().find(|node| node.name == first).and_then(|node| self.own_span(node, &graph.name))
        {
            diagnostic = diagnostic.at(span, "comes from no file");
        }
        diagnostic.help("bind them with `weights NET = \"file\"`, or train them: leave out `frozen`").into()
    }

    /// As [`Spec::lint_untrained`], for layers that no file is named for; files are not opened.
    pub fn lint_unbound(&self, graph: &Graph, requests: &[WeightsRequest]) -> Diagnostics {
        let is_named =
            |one: &&Parameter| one.layers.iter().any(|(net, _)| requests.iter().any(|request| request.net == **net));
        let unbound = graph.parameters.iter().filter(|one| !is_named(one)).map(|one| one.layer.clone());
        self.lint_untrained(graph, &unbound.collect::<Vec<_>>())
    }

    /// Warns of weights that were trained with another preprocessing than the net's.
    pub fn lint_weights(&self, graph: &Graph, requests: &[WeightsRequest]) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for request in requests {
            let inputs = inputs_of(graph, &request.net);
            let Some((trained, span)) = &request.image else {
                // Weights of `netc train` are those of the net as it is.
                if !request.trained {
                    self.lint_configuration(graph, request, &mut diagnostics);
                }
                continue;
            };
            for id in inputs {
                let node = graph.node(id);
                let input = node.operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.as_ref());
                let Some(found) = input.filter(|found| !same_values(found, trained)) else { continue };
                let message = format!("`{}` has another preprocessing than its weights were trained with", node.name);
                let origin = node.origin.span;
                let mut diagnostic = Diagnostic::new(Code::PreprocessingDiffers, message)
                    .at(*span, format!("trained with {}", values_text(trained)));
                if self.is_own(origin) {
                    diagnostic = diagnostic.and(origin, format!("gives {}", values_text(found)));
                } else {
                    diagnostic = diagnostic.note(format!("the net's input gives {}", values_text(found)));
                }
                diagnostics.push(diagnostic.help("give `Input` the preprocessing of the weights: `image=…`"));
            }
        }
        diagnostics
    }

    pub(super) fn is_own(&self, span: Span) -> bool {
        let file = self.sources.file(span.file);
        // A shipped spec that is named by its path counts as shipped, too.
        !file.shipped && !crate::elaborate::project::shipped::SPECS.iter().any(|spec| spec.text == file.text)
    }

    /// The span of a layer or, for a layer of a shipped net, of the body of the user's net that contains it.
    fn own_span(&self, node: &Node, net: &str) -> Option<Span> {
        let body =
            || self.project.nets.iter().find(|known| known.item.name.text == net).map(|known| known.item.body.span);
        Some(node.origin.span).filter(|&span| self.is_own(span)).or_else(body)
    }

    fn bias_before_norm(&self, graph: &Graph, before: NodeId, norm: NodeId, diagnostics: &mut Diagnostics) {
        let node = graph.node(before);
        let has_bias = graph.parameter(node, "bias").is_some();
        // With an activation between them, the bias is not subtracted.
        let linear = node.operation.with_foldable_bias().is_some();
        // Weights from a file may include the bias, and `bias=…` in the text is a deliberate choice.
        let bound = node.origin.layers.iter().any(|(net, _)| self.project.weights.contains_key(&**net));
        let is_deliberate = self.sources.text(node.origin.span).contains("bias");
        if has_bias && linear && !bound && !is_deliberate && self.is_own(node.origin.span) {
            let span = node.origin.span;
            let mut diagnostic =
                Diagnostic::new(Code::BiasBeforeNorm, "the batch normalisation after this layer cancels its bias")
                    .at(span, "has a bias")
                    .and(graph.node(norm).origin.span, "subtracts the mean")
                    .help("write `bias=false`, or `bias=true` if a weights file has the bias");
            if self.sources.text(span).ends_with(')') {
                diagnostic = diagnostic.insert(Span { start: span.end - 1, ..span }, ", bias=false");
            }
            diagnostics.push(diagnostic);
        }
    }

    /// Warns of unused nets in a spec with a complete net; a file of fragments is for other files.
    fn unused_nets(&self, diagnostics: &mut Diagnostics) {
        let complete = self.complete_nets();
        if complete.is_empty() {
            return;
        }
        let chosen = self.choose(None).ok();
        let used = |net: &usize| complete.contains(net) || chosen == Some(*net);
        let candidates: Vec<usize> = self.project.root_nets().into_iter().filter(|net| !used(net)).collect();
        // Parsing the text again takes as long as everything else.
        if candidates.is_empty() {
            return;
        }
        let names = self.names(&parse(&self.sources, self.root()).0);
        for net in candidates {
            let definition = &self.project.nets[net];
            let name = &definition.item.name;
            let within = definition.span.range();
            let inside = |span: &Span| within.contains(&(span.start as usize));
            if names.all(name.span.start as usize).iter().all(inside) {
                diagnostics.push(
                    Diagnostic::new(Code::UnusedNet, format!("nothing uses `{}`", name.text))
                        .at(name.span, "not used in this file"),
                );
            }
        }
    }

    fn shadowed_words(&self, diagnostics: &mut Diagnostics) {
        for definition in self.project.nets.iter().filter(|net| self.is_own(net.span)) {
            for parameter in &definition.item.parameters {
                let name = &parameter.name;
                if CHOICES.contains(&name.text.as_str()) {
                    diagnostics.push(
                        Diagnostic::new(
                            Code::ShadowedWord,
                            format!("the parameter shadows the keyword `{}`", name.text),
                        )
                        .at(name.span, format!("`padding={}` in this net refers to this parameter", name.text))
                        .help("give it another name, such as `padding`"),
                    );
                }
            }
        }
    }
}

/// The inputs that lead to layers of a net.
pub(super) fn inputs_of(graph: &Graph, net: &str) -> Vec<NodeId> {
    let of_net = |id: &NodeId| graph.node(*id).origin.layers.iter().any(|(known, _)| **known == *net);
    let layers: Vec<NodeId> = graph.ids().filter(of_net).collect();
    let leads = graph.ancestors(&layers);
    graph.inputs().into_iter().filter(|id| leads[id.0]).collect()
}

/// Whether two preprocessings give the same values, apart from resizing and cropping.
fn same_values(a: &Preprocessing, b: &Preprocessing) -> bool {
    (a.order, a.scale, a.mean, a.std) == (b.order, b.scale, b.mean, b.std)
}

fn values_text(image: &Preprocessing) -> String {
    let preset = |name: &&&str| Preprocessing::preset(name).is_some_and(|preset| same_values(&preset, image));
    match Preprocessing::PRESETS.iter().find(preset) {
        Some(name) => format!("`{name}`"),
        None => format!("`{image}`"),
    }
}

fn is_softmax(node: &Node) -> bool {
    node.operation.as_any().downcast_ref::<Dense>().is_some_and(|dense| dense.function == Function::Softmax)
}

/// The layer before a layer; layers that are identities at inference, such as dropout, are skipped.
fn before<'g>(graph: &'g Graph, node: &Node) -> Option<&'g Node> {
    let mut before = node.inputs.first();
    while let Some(inner) = before.filter(|&&inner| graph.node(inner).operation.fusion_role().is_identity()) {
        before = graph.node(*inner).inputs.first();
    }
    before.map(|&before| graph.node(before))
}

/// The elementwise function that a layer is or ends with, unless it is linear.
fn function(node: &Node) -> Option<Activation> {
    match node.operation.as_any().downcast_ref::<Dense>()?.function {
        Function::Elementwise(function) => Some(function).filter(|function| *function != Activation::Linear),
        _ => None,
    }
}

fn activation_without_effect(graph: &Graph, id: NodeId, diagnostics: &mut Diagnostics) {
    let node = graph.node(id);
    let (Some(earlier), FusionRole::Activation(second)) = (before(graph, node), node.operation.fusion_role()) else {
        return;
    };
    let Some(first) = function(earlier).filter(|_| second != Activation::Linear) else { return };
    let stays = |x: f64| {
        let y = first.exact(x);
        y.is_nan() || second.exact(y) == y
    };
    if (-80..=80).all(|step| stays(f64::from(step) * 0.25)) {
        // Without the layer's name: one that is repeated is one mistake.
        let message = format!("{second} after {first} has no effect");
        diagnostics.push(
            Diagnostic::new(Code::NoEffect, message)
                .at(node.origin.span, "returns its input unchanged")
                .and(earlier.origin.span, format!("{first} before it"))
                .help("remove it, or write the intended function"),
        );
    }
}

fn softmax_twice(graph: &Graph, id: NodeId, diagnostics: &mut Diagnostics) {
    let node = graph.node(id);
    let Some(earlier) = before(graph, node).filter(|earlier| is_softmax(earlier)) else { return };
    if is_softmax(node) {
        let diagnostic =
            Diagnostic::new(Code::SoftmaxTwice, format!("`{}` takes probabilities as features", node.name))
                .at(node.origin.span, "a softmax after a softmax")
                .and(earlier.origin.span, format!("`{}` gives probabilities", earlier.name));
        diagnostics
            .push(diagnostic.help(format!("cut the first one off (`net[..{}]`), or remove the second", earlier.name)));
    }
}

/// Whether a layer takes the values of an image, through layers that keep their order.
fn takes_flattened(graph: &Graph, node: &Node) -> bool {
    let mut before = node.inputs.first().map(|&input| graph.node(input));
    while let Some(layer) = before {
        if layer.output.image().is_some() {
            return true;
        }
        before = layer.inputs.first().filter(|_| layer.operation.keeps_values()).map(|&input| graph.node(input));
    }
    false
}

fn huge_dense(graph: &Graph, id: NodeId, diagnostics: &mut Diagnostics) {
    let node = graph.node(id);
    for parameter in node.parameters.iter().map(|&id| &graph.parameters[id.0]) {
        if parameter.kind == ParameterKind::Matrix && parameter.len() > HUGE && takes_flattened(graph, node) {
            let millions = parameter.len() / 1_000_000;
            diagnostics.push(
                Diagnostic::new(Code::HugeDense, format!("`{}` has {millions} million parameters", node.name))
                    .at(node.origin.span, format!("weight {:?} after a flatten", parameter.shape))
                    .help("`GlobalPool(avg)` instead of `Flatten` often works as well"),
            );
        }
    }
}

fn pool_drops_border(graph: &Graph, id: NodeId, diagnostics: &mut Diagnostics) {
    let node = graph.node(id);
    let Some(pool) = node.operation.as_any().downcast_ref::<Pool>() else { return };
    let input = node.inputs.first().map(|&input| &graph.node(input).output);
    let Some((height, width, _)) = input.and_then(|input| input.image()) else { return };
    let of = |axis: usize, size: crate::tensor::Size| size.known().map_or(0, |size| pool.window.unseen(axis, size));
    let (rows, columns) = (of(0, height), of(1, width));
    let lost = [(rows, "row"), (columns, "column")].into_iter().filter(|(count, _)| *count > 0);
    let lost: Vec<String> = lost.map(|(count, noun)| counted(count, noun)).collect();
    if !lost.is_empty() {
        diagnostics.push(
            Diagnostic::new(Code::PoolDropsBorder, format!("`{}` drops the border of its input", node.name))
                .at(node.origin.span, format!("does not use the last {} of {height}x{width}", lost.join(" and ")))
                .help("`padding=same` uses the complete input"),
        );
    }
}
