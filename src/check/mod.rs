//! Checks a spec without opening weights: expands each of its nets, also unused ones, and fragments on their own.

mod configuration;
pub mod expectations;
pub(crate) mod lints;
pub mod stage_snapshots;
pub mod verify;
pub mod verify_training;

use crate::compile;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::elaborate::Spec;
use crate::elaborate::generic::fragment::FragmentTrial;
use crate::graph::Graph;
use crate::request::LabelsRequest;
use crate::source::Span;
use crate::train::autodiff::recipe_check;
use crate::train::recipe;
use crate::train::run::prepare::check_layout;
use crate::train::run::save::Layout;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

/// The approximate limit of layers that are expanded for all nets; a layer counts once for each net that it is in.
const MAX_EXPANDED: usize = 300_000;

/// The result of a check.
#[derive(Debug, Default)]
pub struct Checked {
    /// Errors and lints.
    pub diagnostics: Diagnostics,
    /// A line for each valid net, in the order of the text.
    pub lines: Vec<String>,
    /// The graphs of the valid nets that were expanded. Fragments have trial inputs.
    pub graphs: Vec<Graph>,
    /// The codes and positions of the diagnostics so far.
    positions: BTreeSet<(Code, Option<Span>)>,
}

/// Checks the given net, else all nets of the spec's root file.
pub fn check(spec: &Spec, net: Option<&str>) -> Checked {
    let mut checked = Checked::default();
    checked.add(spec.errors.clone());
    checked.add(spec.check_recipes());
    checked.add(recipe::check(spec));
    let nets = match net {
        Some(_) => match spec.choose(net) {
            Ok(net) => vec![net],
            Err(errors) => {
                checked.add(errors);
                return checked;
            }
        },
        None => spec.project.root_nets(),
    };
    // Items that refer to an unreadable one have no errors of their own.
    let readable = !spec.errors.iter().any(|error| hides_items(error.code));
    if nets.is_empty() && !checked.diagnostics.has_errors() {
        // Reports what is missing.
        checked.add(spec.choose(net).err().unwrap_or_default());
    }
    let (complete, fragments): (Vec<usize>, Vec<usize>) = nets.iter().partition(|&&net| spec.is_complete(net));
    let mut lines = BTreeMap::new();
    let limit = spec.expanded() + MAX_EXPANDED;
    for net in complete {
        if spec.expanded() > limit {
            checked.add_new(spec.check_generic(net).iter());
            lines.insert(net, names_only(&spec.project.nets[net].item.name.text, "", TOO_MANY_LAYERS));
            continue;
        }
        match checked.complete(spec, net, readable) {
            Some(line) => _ = lines.insert(net, line),
            // Names and arguments after the position of the first error.
            None if readable => checked.add_new(spec.check_generic(net).iter()),
            None => {}
        }
    }
    // Errors of a fragment are reported first where it is used, because its input is known there.
    let used: HashSet<Rc<str>> = checked.graphs.iter().flat_map(nets_of).collect();
    for net in fragments {
        let mut alone = Checked::default();
        let large = checked.diagnostics.iter().any(|error| error.code == Code::Limit) || spec.expanded() > limit;
        if let Some(line) = alone.fragment(spec, net, large)
            && !used.contains(spec.project.nets[net].item.name.text.as_str())
        {
            lines.insert(net, line);
        }
        checked.graphs.append(&mut alone.graphs);
        // Recursion and exceeded limits are reported once, not for each net on the way.
        let once = |code: Code| matches!(code, Code::Recursion | Code::Limit);
        let known: BTreeSet<Code> =
            checked.diagnostics.iter().map(|error| error.code).filter(|&code| once(code)).collect();
        if readable {
            checked.add_new(alone.diagnostics.iter().filter(|error| !known.contains(&error.code)));
        }
    }
    checked.lines = lines.into_values().collect();
    // An unused net may be the one that a misspelt name means.
    if !checked.diagnostics.has_errors() {
        checked.add(spec.lint_items());
    }
    checked
}

/// The nets that the layers of a graph come from.
fn nets_of(graph: &Graph) -> impl Iterator<Item = Rc<str>> + '_ {
    graph.nodes.iter().flat_map(|node| &node.origin.layers).map(|(net, _)| net.clone())
}

/// The reason why a net is not expanded.
const TOO_MANY_LAYERS: &str = "its shapes are not checked, because the nets before it have too many layers";

/// The line of a net whose names and arguments alone were checked.
fn names_only(net: &str, what: &str, why: &str) -> String {
    format!("{net}: {what}its names and arguments; {why}\n")
}

/// The code and the position of a diagnostic, by which duplicates from several nets are found.
fn position(error: &Diagnostic) -> (Code, Option<Span>) {
    (error.code, error.labels.iter().find(|label| label.primary).map(|label| label.span))
}

/// Whether an error means that items are missing.
fn hides_items(code: Code) -> bool {
    let text = code.text();
    text.starts_with("E00") || text.starts_with("E01") || code == Code::Use
}

impl Checked {
    fn add(&mut self, more: Diagnostics) {
        self.positions.extend(more.iter().map(position));
        self.diagnostics.extend(more);
    }

    /// Adds the diagnostics whose code and position are new.
    fn add_new<'d>(&mut self, more: impl Iterator<Item = &'d Diagnostic>) {
        let new: Vec<&Diagnostic> = more.filter(|error| !self.positions.contains(&position(error))).collect();
        new.into_iter().for_each(|error| self.add(error.clone().into()));
    }

    fn complete(&mut self, spec: &Spec, net: usize, readable: bool) -> Option<String> {
        match spec.graph(net) {
            Ok((graph, more)) => {
                if readable {
                    self.add(more);
                    self.add(spec.lint_graph(&graph));
                    self.weights(spec, &graph);
                    self.labels(spec, &graph);
                    // The recipe's own errors were reported before.
                    if spec.project.recipes.contains_key(&graph.name)
                        && let Ok(recipe) = recipe::of(spec, &graph.name)
                    {
                        let proven = recipe_check::check(spec, &graph, &recipe);
                        if !proven.has_errors() {
                            let within = compile::trained_weights_within(spec, &graph);
                            let requests = spec.weights(&graph, &BTreeMap::new(), &within);
                            self.add(requests.map(|list| spec.lint_unbound(&graph, &list)).unwrap_or_default());
                        }
                        self.add(proven);
                        let stored = check_layout(&graph, &recipe, Layout::default());
                        self.add(stored.unwrap_or_else(|errors| errors));
                    }
                }
                let line = format!("{}: {}\n", graph.name, graph.summary());
                self.graphs.push(graph);
                Some(line)
            }
            Err(errors) => {
                if readable {
                    self.add(errors);
                }
                None
            }
        }
    }

    /// Warns of missing weights files.
    fn weights(&mut self, spec: &Spec, graph: &Graph) {
        match spec.weights(graph, &BTreeMap::new(), &BTreeMap::new()) {
            Ok(requests) => {
                self.add(spec.lint_weights(graph, &requests));
                for request in requests.iter().filter(|request| !request.path.exists()) {
                    let message = format!("{} does not exist", request.path.display());
                    self.add(Diagnostic::new(Code::WeightsAway, message).at(request.span, "needed to build").into());
                }
            }
            Err(errors) => self.add(errors),
        }
    }

    /// Checks the labels; warns if their file does not exist.
    fn labels(&mut self, spec: &Spec, graph: &Graph) {
        let missing = match spec.labels(&graph.name) {
            Ok(Some(LabelsRequest::File(path, span))) if !path.exists() => Some((path, span)),
            _ => None,
        };
        match (missing, compile::labels(spec, graph)) {
            (_, Ok(_)) => {}
            (Some((path, span)), Err(_)) => {
                let message = format!("{} does not exist", path.display());
                self.add(Diagnostic::new(Code::WeightsAway, message).at(span, "needed to build").into());
            }
            (None, Err(errors)) => self.add(errors),
        }
    }

    /// Checks a fragment: its shapes, or with `large` its names alone.
    fn fragment(&mut self, spec: &Spec, net: usize, large: bool) -> Option<String> {
        let item = &spec.project.nets[net].item;
        let name = &item.name.text;
        // What is trained is a complete net.
        if spec.project.recipes.contains_key(name)
            && let Err(errors) = spec.graph(net)
        {
            self.add(errors);
            return None;
        }
        let needed = item.parameters.iter().filter(|parameter| parameter.default.is_none());
        let needed: Vec<&str> = needed.map(|parameter| parameter.name.text.as_str()).collect();
        let names_only = |why: &str| names_only(name, "a fragment, ", why);
        if !needed.is_empty() {
            self.add(spec.check_generic(net));
            let them = suggest::one_of(needed).replace(" or ", " and ");
            return Some(names_only(&format!("its shapes depend on {them}")))
                .filter(|_| !self.diagnostics.has_errors());
        }
        if large {
            self.add(spec.check_generic(net));
            return Some(names_only(TOO_MANY_LAYERS)).filter(|_| !self.diagnostics.has_errors());
        }
        // A cut that contains an input has known shapes.
        if let Ok((graph, more)) = spec.graph_or_fragment(net) {
            return Some(self.fits(spec, graph, more));
        }
        match spec.fragment(net) {
            FragmentTrial::Fits(graph, more) => Some(self.fits(spec, graph, more)),
            FragmentTrial::Wrong(errors) => {
                self.add(errors);
                self.add_new(spec.check_generic(net).iter());
                None
            }
            FragmentTrial::Unknown => {
                self.add(spec.check_generic(net));
                Some(names_only("its shapes depend on what comes in")).filter(|_| !self.diagnostics.has_errors())
            }
        }
    }

    fn fits(&mut self, spec: &Spec, graph: Graph, more: Diagnostics) -> String {
        self.add(more);
        // The input sizes are only trial sizes: lints that depend on them are left out.
        let lints = spec.lint_graph(&graph);
        for lint in lints.iter().filter(|lint| matches!(lint.code, Code::BiasBeforeNorm | Code::SoftmaxTwice)) {
            self.add(lint.clone().into());
        }
        let line = format!("{}: a fragment, {}\n", graph.name, graph.summary());
        self.graphs.push(graph);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_EXPANDED, check};
    use crate::elaborate::project::source_files;
    use crate::elaborate::{Spec, load_text};
    use std::path::Path;

    #[test]
    fn checking_many_large_nets_is_bounded() {
        let cuts: String = (0..300).map(|cut| format!("net c{cut} = a[..={}]\n", 3000 + cut)).collect();
        let text = format!("net a = Input(4) >> repeat(4000) {{ Tanh }}\n{cuts}net last = Input(4) >> Relo\n");
        let spec = load_text(Path::new("a.net"), &text, &source_files::from_disk);
        let checked = check(&spec, None);
        let net = 4000 * 8;
        assert!(spec.expanded() < MAX_EXPANDED + net, "{}", spec.expanded());
        // The names of the other nets are checked.
        let diagnostics: Vec<&str> = checked.diagnostics.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(diagnostics, ["there is no layer or net `Relo`"]);
        assert_eq!(checked.lines.len(), 302);
        assert!(checked.lines[301].contains("too many layers"), "{}", checked.lines[301]);
    }

    /// Every kind of keyword value: of layers, initialisers, preprocessings, weights and recipes; bare, called, in lists, in
    /// parentheses, in conditions, compared, passed as parameters, and next to nets of the same name.
    const TEXT: &str = r#"
        net block(pad=same, mode=same, init=Normal(std=0.1)) =
          if mode == same { Conv(3x3, 8, padding=pad, weight=init) } else { Identity }
        net deep(pad) = block(pad=pad)
        net handed(valid) = Conv(3x3, 8, padding=valid) >> valid
        net words =
          Input(32x32x3, image=Image(resize=squash, crop=center, order=bgr))
          >> block >> deep(valid) >> deep(same) >> handed(Relu >> Relu)
          >> {
            let valid = Relu
            share same = Conv(3x3, 4, padding=same, weight=he_normal)
            valid >> same >> MaxPool(2x2, padding=(same)) >> Conv(3x3, 4, padding=if true { same } else { valid })
          }
          >> (Identity | Relu) >> Elementwise(multiply) >> GlobalPool(max) >> Softmax(2)
        weights words = "words.h5" { layout = auto, missing = initialize, image = Caffe }
        train words {
          data = images("x"), validation = split(0.1), optimizer = Momentum(step=0.1), loss = mse
          metrics = [accuracy, top5], class_weights = balanced, schedule = exponential_decay
        }"#;
    const WORDS: &str = "same valid Normal Image squash center bgr he_normal multiply max auto initialize Caffe images split \
        Momentum mse accuracy top5 balanced exponential_decay";

    fn layers(spec: &Spec) -> String {
        let net = spec.choose(Some("words")).expect("the net");
        let (graph, _) = spec.graph(net).expect("a net that is right");
        graph
            .nodes
            .iter()
            .map(|node| format!("{} {:?} {}\n", node.name, node.operation.settings(), node.output))
            .collect()
    }

    #[test]
    fn a_keyword_value_is_not_shadowed_by_a_net_of_its_name() {
        let read = |text: &str| load_text(Path::new("words.net"), text, &source_files::from_disk);
        let plain = layers(&read(TEXT));
        assert!(plain.contains("same"));
        for word in WORDS.split_whitespace() {
            let spec = read(&format!("net {word} = Relu\n{TEXT}"));
            let diagnostics = check(&spec, None).diagnostics;
            assert!(!diagnostics.has_errors(), "{word}: {:?}", diagnostics.iter().next());
            assert_eq!(layers(&spec), plain, "{word}");
        }
    }

    #[test]
    fn a_parameter_shadows_a_keyword_value() {
        let text = "net words = Input(9x9x3) >> wide(2)\nnet wide(same) = Conv(3x3, 4, padding=same)\nnet same = Relu";
        assert!(layers(&load_text(Path::new("words.net"), text, &source_files::from_disk)).contains("(?, 11, 11, 4)"));
    }
}
