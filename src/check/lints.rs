//! Lints: what is legal and likely not meant. They speak of what stands in the user's own files, never of shipped specs.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::elaborate::Spec;
use crate::graph::{Graph, Node, NodeId, Parameter, ParameterKind};
use crate::ops::dense::{Dense, Function};
use crate::ops::input::Input;
use crate::ops::norm::batch_norm::BatchNorm;
use crate::ops::pool::Pool;
use crate::ops::preprocessing::Preprocessing;
use crate::request::WeightsRequest;
use crate::source::Span;
use crate::syntax::parse;

use std::collections::BTreeSet;

/// Parameters of a dense layer behind a flatten from which on there is likely a better way.
const HUGE: usize = 50_000_000;

/// Words that layers take as a choice of padding; as a parameter's name they are never needed.
const CHOICES: [&str; 2] = ["same", "valid"];

impl Spec {
    /// What is odd about the text of a spec that is right, whichever of its nets is compiled.
    pub fn lint_items(&self) -> Diagnostics {
        let mut told = Diagnostics::default();
        self.shadowed_words(&mut told);
        self.unused_nets(&mut told);
        told
    }

    /// What is odd about a net's layers.
    pub fn lint_graph(&self, graph: &Graph) -> Diagnostics {
        let mut told = Diagnostics::default();
        let consumers = graph.consumers();
        for id in graph.ids().filter(|&id| self.is_own(graph.node(id).origin.span)) {
            softmax_twice(graph, id, &mut told);
            huge_dense(graph, id, &mut told);
            pool_drops_border(graph, id, &mut told);
        }
        for id in graph.ids() {
            if graph.node(id).operation.as_any().is::<BatchNorm>()
                && let [before] = graph.node(id).inputs[..]
                && consumers[before.0].len() == 1
                && !graph.outputs.contains(&before)
            {
                self.bias_before_norm(graph, before, id, &mut told);
            }
        }
        told
    }

    /// Frozen layers among those whose parameters come from no file.
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
            graph.nodes.iter().find(|node| node.name == first).and_then(|node| self.own_place(node, &graph.name))
        {
            diagnostic = diagnostic.at(span, "comes from no file");
        }
        diagnostic.help("bind them with `weights NET = \"file\"`, or train them: leave out `frozen`").into()
    }

    /// Weights that were trained on photos prepared otherwise than the net prepares them.
    pub fn lint_weights(&self, graph: &Graph, requests: &[WeightsRequest]) -> Diagnostics {
        let mut told = Diagnostics::default();
        for request in requests {
            let Some((trained, place)) = &request.image else { continue };
            let of_net = |id: &NodeId| graph.node(*id).origin.layers.iter().any(|(net, _)| **net == *request.net);
            let layers: Vec<NodeId> = graph.ids().filter(of_net).collect();
            let leads = graph.ancestors(&layers);
            for id in graph.inputs().into_iter().filter(|id| leads[id.0]) {
                let node = graph.node(id);
                let input = node.operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.as_ref());
                let Some(found) = input.filter(|found| !same_values(found, trained)) else { continue };
                let message = format!("`{}` prepares photos otherwise than its weights were trained with", node.name);
                let origin = node.origin.span;
                let mut diagnostic = Diagnostic::new(Code::PreprocessingDiffers, message)
                    .at(*place, format!("trained with {}", values_text(trained)));
                if self.is_own(origin) {
                    diagnostic = diagnostic.and(origin, format!("gives {}", values_text(found)));
                } else {
                    diagnostic = diagnostic.note(format!("the net's input gives {}", values_text(found)));
                }
                told.push(diagnostic.help("give `Input` the preprocessing of the weights: `image=…`"));
            }
        }
        told
    }

    fn is_own(&self, span: Span) -> bool {
        let file = self.sources.file(span.file);
        // A shipped spec is that also where its file is named by a path.
        !file.shipped && !crate::elaborate::project::shipped::SPECS.iter().any(|spec| spec.text == file.text)
    }

    /// Where a layer was written or, for one of a shipped net, the body of the user's net that it came into.
    fn own_place(&self, node: &Node, net: &str) -> Option<Span> {
        let body =
            || self.project.nets.iter().find(|known| known.item.name.text == net).map(|known| known.item.body.span);
        Some(node.origin.span).filter(|&span| self.is_own(span)).or_else(body)
    }

    fn bias_before_norm(&self, graph: &Graph, before: NodeId, norm: NodeId, told: &mut Diagnostics) {
        let node = graph.node(before);
        let has_bias = node.parameters.iter().any(|&id| graph.parameters[id.0].role == "bias");
        // A function between the two would keep the bias from being subtracted.
        let linear = node.operation.with_foldable_bias().is_some();
        // Weights from elsewhere hold the bias that their network had, and `bias=…` in the text says that it is meant.
        let bound = node.origin.layers.iter().any(|(net, _)| self.project.weights.contains_key(&**net));
        let meant = self.sources.text(node.origin.span).contains("bias");
        if has_bias && linear && !bound && !meant && self.is_own(node.origin.span) {
            let span = node.origin.span;
            let mut diagnostic = Diagnostic::new(
                Code::BiasBeforeNorm,
                "the bias is subtracted again by the batch normalisation behind it",
            )
            .at(span, "has a bias")
            .and(graph.node(norm).origin.span, "subtracts the mean")
            .help("write `bias=false`, or `bias=true` where a file of weights has it");
            if self.sources.text(span).ends_with(')') {
                diagnostic = diagnostic.insert(Span { start: span.end - 1, ..span }, ", bias=false");
            }
            told.push(diagnostic);
        }
    }

    /// A net of a spec that has a complete one is there to be used by it. A file of pieces is there for other files.
    fn unused_nets(&self, told: &mut Diagnostics) {
        let complete = self.complete_nets();
        if complete.is_empty() {
            return;
        }
        let chosen = self.choose(None).ok();
        let used = |net: &usize| complete.contains(net) || chosen == Some(*net);
        let doubtful: Vec<usize> = self.project.root_nets().into_iter().filter(|net| !used(net)).collect();
        // Reading the text again takes as long as all the rest.
        if doubtful.is_empty() {
            return;
        }
        let names = self.names(&parse(&self.sources, self.root()).0);
        for net in doubtful {
            let definition = &self.project.nets[net];
            let name = &definition.item.name;
            let within = definition.span.range();
            let inside = |place: &Span| within.contains(&(place.start as usize));
            if names.all(name.span.start as usize).iter().all(inside) {
                told.push(
                    Diagnostic::new(Code::UnusedNet, format!("nothing uses `{}`", name.text))
                        .at(name.span, "mentioned nowhere else in this file"),
                );
            }
        }
    }

    fn shadowed_words(&self, told: &mut Diagnostics) {
        for definition in self.project.nets.iter().filter(|net| self.is_own(net.span)) {
            for parameter in &definition.item.parameters {
                let name = &parameter.name;
                if CHOICES.contains(&name.text.as_str()) {
                    told.push(
                        Diagnostic::new(Code::ShadowedWord, format!("the parameter hides the word `{}`", name.text))
                            .at(name.span, format!("`padding={}` in this net now means this parameter", name.text))
                            .help("give it another name, such as `padding`"),
                    );
                }
            }
        }
    }
}

/// Whether two ways give the same values; how a photo is resized and cropped is left to each net.
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

fn softmax_twice(graph: &Graph, id: NodeId, told: &mut Diagnostics) {
    let node = graph.node(id);
    let mut before = node.inputs.first();
    // Dropout, an inner `Input` and the like between the two change nothing.
    while let Some(inner) = before.filter(|&&inner| graph.node(inner).operation.fusion_role().is_identity()) {
        before = graph.node(*inner).inputs.first();
    }
    let Some(earlier) = before.map(|&before| graph.node(before)).filter(|earlier| is_softmax(earlier)) else { return };
    if is_softmax(node) {
        let diagnostic =
            Diagnostic::new(Code::SoftmaxTwice, format!("`{}` takes probabilities for features", node.name))
                .at(node.origin.span, "a softmax after a softmax")
                .and(earlier.origin.span, format!("`{}` gives probabilities", earlier.name));
        told.push(
            diagnostic.help(format!("cut the first one off (`net[..{}]`), or leave out the second", earlier.name)),
        );
    }
}

/// Whether a layer takes an image's values, through layers that keep them all in place.
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

fn huge_dense(graph: &Graph, id: NodeId, told: &mut Diagnostics) {
    let node = graph.node(id);
    for parameter in node.parameters.iter().map(|&id| &graph.parameters[id.0]) {
        if parameter.kind == ParameterKind::Matrix && parameter.len() > HUGE && takes_flattened(graph, node) {
            let millions = parameter.len() / 1_000_000;
            told.push(
                Diagnostic::new(Code::HugeDense, format!("`{}` has {millions} million parameters", node.name))
                    .at(node.origin.span, format!("weight {:?} behind a flatten", parameter.shape))
                    .help("`GlobalPool(avg)` in place of `Flatten` often serves as well"),
            );
        }
    }
}

fn pool_drops_border(graph: &Graph, id: NodeId, told: &mut Diagnostics) {
    let node = graph.node(id);
    let Some(pool) = node.operation.as_any().downcast_ref::<Pool>() else { return };
    let input = node.inputs.first().map(|&input| &graph.node(input).output);
    let Some((height, width, _)) = input.and_then(|input| input.image()) else { return };
    let of = |axis: usize, size: crate::tensor::Size| size.known().map_or(0, |size| pool.window.unseen(axis, size));
    let (rows, columns) = (of(0, height), of(1, width));
    let lost = [(rows, "row"), (columns, "column")].into_iter().filter(|(count, _)| *count > 0);
    let lost: Vec<String> = lost.map(|(count, noun)| counted(count, noun)).collect();
    if !lost.is_empty() {
        told.push(
            Diagnostic::new(Code::PoolDropsBorder, format!("`{}` drops a border", node.name))
                .at(node.origin.span, format!("of {height}x{width} it never sees the last {}", lost.join(" and ")))
                .help("`padding=same` looks at all of it"),
        );
    }
}
