//! Everything that can be said of a spec without opening weights: each of its nets is expanded, also those that nothing
//! uses, and fragments by themselves.

pub mod expectations;
pub(crate) mod lints;
pub mod verify;

use crate::compile;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::elaborate::Spec;
use crate::elaborate::generic::fragment::FragmentTrial;
use crate::graph::Graph;
use crate::request::LabelsRequest;
use crate::source::Span;
use crate::train::autodiff::loss_compatibility;
use crate::train::recipe;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

/// Layers that are expanded for all nets together, about; each counts once for every net that it is in.
const MAX_EXPANDED: usize = 300_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Mistakes and lints.
    pub told: Diagnostics,
    /// What was checked of each net that is right, one line each, in the order of the text.
    pub lines: Vec<String>,
    /// The graphs of the nets that are right and were expanded. Those of fragments stand behind inputs that were tried.
    pub graphs: Vec<Graph>,
    /// Where something was said.
    places: BTreeSet<(Code, Option<Span>)>,
}

/// Checks the net that is asked for, else all nets of the spec's own file.
pub fn check(spec: &Spec, net: Option<&str>) -> Checked {
    let mut checked = Checked::default();
    checked.tell(spec.errors.clone());
    checked.tell(spec.check_recipes());
    checked.tell(recipe::check(spec));
    let nets = match net {
        Some(_) => match spec.choose(net) {
            Ok(net) => vec![net],
            Err(errors) => {
                checked.tell(errors);
                return checked;
            }
        },
        None => spec.project.root_nets(),
    };
    // Where an item could not be read, others miss it: that is no mistake of theirs.
    let readable = !spec.errors.iter().any(|error| hides_items(error.code));
    if nets.is_empty() && !checked.told.has_errors() {
        // Reports what is missing.
        checked.tell(spec.choose(net).err().unwrap_or_default());
    }
    let (complete, fragments): (Vec<usize>, Vec<usize>) = nets.iter().partition(|&&net| spec.is_complete(net));
    let mut lines = BTreeMap::new();
    let most = spec.expanded() + MAX_EXPANDED;
    for net in complete {
        if spec.expanded() > most {
            checked.emit_new(spec.check_generic(net).iter());
            lines.insert(net, names_only(&spec.project.nets[net].item.name.text, "", SPENT));
            continue;
        }
        match checked.complete(spec, net, readable) {
            Some(line) => _ = lines.insert(net, line),
            // Names and arguments behind the place where it was given up.
            None if readable => checked.emit_new(spec.check_generic(net).iter()),
            None => {}
        }
    }
    // What is wrong with a fragment is told first where it is used: there it is known what comes in.
    let used: HashSet<Rc<str>> = checked.graphs.iter().flat_map(nets_of).collect();
    for net in fragments {
        let mut alone = Checked::default();
        let large = checked.told.iter().any(|error| error.code == Code::Limit) || spec.expanded() > most;
        if let Some(line) = alone.fragment(spec, net, large)
            && !used.contains(spec.project.nets[net].item.name.text.as_str())
        {
            lines.insert(net, line);
        }
        checked.graphs.append(&mut alone.graphs);
        // A circle and a net that grows without end are told once, not from each of the nets that they lead through.
        let once = |code: Code| matches!(code, Code::Recursion | Code::Limit);
        let known: BTreeSet<Code> = checked.told.iter().map(|error| error.code).filter(|&code| once(code)).collect();
        if readable {
            checked.emit_new(alone.told.iter().filter(|error| !known.contains(&error.code)));
        }
    }
    checked.lines = lines.into_values().collect();
    // A net that seems to be unused may be what a wrong word means.
    if !checked.told.has_errors() {
        checked.tell(spec.lint_items());
    }
    checked
}

/// The nets that layers of a graph came from.
fn nets_of(graph: &Graph) -> impl Iterator<Item = Rc<str>> + '_ {
    graph.nodes.iter().flat_map(|node| &node.origin.layers).map(|(net, _)| net.clone())
}

/// Why a net is not expanded.
const SPENT: &str = "with the nets before it there are too many layers to look at its shapes";

/// The line of a net of which only the names were looked at.
fn names_only(net: &str, what: &str, why: &str) -> String {
    format!("{net}: {what}its names and arguments; {why}\n")
}

/// What is said where: the same of two nets is one mistake.
fn place(error: &Diagnostic) -> (Code, Option<Span>) {
    (error.code, error.labels.iter().find(|label| label.primary).map(|label| label.span))
}

/// Mistakes behind which items are missing.
fn hides_items(code: Code) -> bool {
    let text = code.text();
    text.starts_with("E00") || text.starts_with("E01") || code == Code::Use
}

impl Checked {
    fn tell(&mut self, more: Diagnostics) {
        self.places.extend(more.iter().map(place));
        self.told.extend(more);
    }

    /// Adds what was not said yet of its place.
    fn emit_new<'d>(&mut self, more: impl Iterator<Item = &'d Diagnostic>) {
        let new: Vec<&Diagnostic> = more.filter(|error| !self.places.contains(&place(error))).collect();
        new.into_iter().for_each(|error| self.tell(error.clone().into()));
    }

    fn complete(&mut self, spec: &Spec, net: usize, readable: bool) -> Option<String> {
        match spec.graph(net) {
            Ok((graph, more)) => {
                if readable {
                    self.tell(more);
                    self.tell(spec.lint_graph(&graph));
                    self.weights(spec, &graph);
                    self.labels(spec, &graph);
                    // What is wrong with the recipe itself was told before.
                    if spec.project.recipes.contains_key(&graph.name)
                        && let Ok(recipe) = recipe::of(spec, &graph.name)
                    {
                        self.tell(loss_compatibility::check(spec, &graph, &recipe));
                    }
                }
                let line = format!("{}: {}\n", graph.name, graph.summary());
                self.graphs.push(graph);
                Some(line)
            }
            Err(errors) => {
                if readable {
                    self.tell(errors);
                }
                None
            }
        }
    }

    /// Files of weights that are not there yet.
    fn weights(&mut self, spec: &Spec, graph: &Graph) {
        match spec.weights(graph, &BTreeMap::new(), &BTreeMap::new()) {
            Ok(requests) => {
                self.tell(spec.lint_weights(graph, &requests));
                for request in requests.iter().filter(|request| !request.path.exists()) {
                    let message = format!("{} is not there", request.path.display());
                    self.tell(Diagnostic::new(Code::WeightsAway, message).at(request.span, "needed to build").into());
                }
            }
            Err(errors) => self.tell(errors),
        }
    }

    /// Class names that do not fit, or whose file is not there yet.
    fn labels(&mut self, spec: &Spec, graph: &Graph) {
        let away = match spec.labels(&graph.name) {
            Ok(Some(LabelsRequest::File(path, span))) if !path.exists() => Some((path, span)),
            _ => None,
        };
        match (away, compile::labels(spec, graph)) {
            (_, Ok(_)) => {}
            (Some((path, span)), Err(_)) => {
                let message = format!("{} is not there", path.display());
                self.tell(Diagnostic::new(Code::WeightsAway, message).at(span, "needed to build").into());
            }
            (None, Err(errors)) => self.tell(errors),
        }
    }

    /// Expands a fragment, or looks at its names alone where expanding nets of this file has no end.
    fn fragment(&mut self, spec: &Spec, net: usize, large: bool) -> Option<String> {
        let item = &spec.project.nets[net].item;
        let name = &item.name.text;
        let needed = item.parameters.iter().filter(|parameter| parameter.default.is_none());
        let needed: Vec<&str> = needed.map(|parameter| parameter.name.text.as_str()).collect();
        let names_only = |why: &str| names_only(name, "a fragment, ", why);
        if !needed.is_empty() {
            self.tell(spec.check_generic(net));
            let them = suggest::one_of(needed).replace(" or ", " and ");
            return Some(names_only(&format!("its shapes depend on {them}"))).filter(|_| !self.told.has_errors());
        }
        if large {
            self.tell(spec.check_generic(net));
            return Some(names_only(SPENT)).filter(|_| !self.told.has_errors());
        }
        // A cut that has a start knows what it takes.
        if let Ok((graph, more)) = spec.graph_or_fragment(net) {
            return Some(self.fits(spec, graph, more));
        }
        match spec.fragment(net) {
            FragmentTrial::Fits(graph, more) => Some(self.fits(spec, graph, more)),
            FragmentTrial::Wrong(errors) => {
                self.tell(errors);
                self.emit_new(spec.check_generic(net).iter());
                None
            }
            FragmentTrial::Unknown => {
                self.tell(spec.check_generic(net));
                Some(names_only("its shapes depend on what comes in")).filter(|_| !self.told.has_errors())
            }
        }
    }

    fn fits(&mut self, spec: &Spec, graph: Graph, more: Diagnostics) -> String {
        self.tell(more);
        // The sizes that came in were tried: what depends on them alone is not said.
        let lints = spec.lint_graph(&graph);
        for lint in lints.iter().filter(|lint| matches!(lint.code, Code::BiasBeforeNorm | Code::SoftmaxTwice)) {
            self.tell(lint.clone().into());
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
    fn a_file_of_many_large_nets_is_looked_at_in_bounds() {
        let cuts: String = (0..300).map(|cut| format!("net c{cut} = a[..={}]\n", 3000 + cut)).collect();
        let text = format!("net a = Input(4) >> repeat(4000) {{ Relu }}\n{cuts}net last = Input(4) >> Relo\n");
        let spec = load_text(Path::new("a.net"), &text, &source_files::from_disk);
        let checked = check(&spec, None);
        let net = 4000 * 8;
        assert!(spec.expanded() < MAX_EXPANDED + net, "{}", spec.expanded());
        // The names of the others are looked at.
        let told: Vec<&str> = checked.told.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(told, ["there is no layer or net `Relo`"]);
        assert_eq!(checked.lines.len(), 302);
        assert!(checked.lines[301].contains("too many layers"), "{}", checked.lines[301]);
    }

    /// Every kind of choice: of layers, initialisers, preprocessings, weights and recipes; bare, called, in lists, in
    /// parentheses, chosen, compared, handed on as parameters, and beside values that are nets.
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
    fn a_word_stays_a_choice_beside_a_net_of_its_name() {
        let read = |text: &str| load_text(Path::new("words.net"), text, &source_files::from_disk);
        let plain = layers(&read(TEXT));
        assert!(plain.contains("same"));
        for word in WORDS.split_whitespace() {
            let spec = read(&format!("net {word} = Relu\n{TEXT}"));
            let told = check(&spec, None).told;
            assert!(!told.has_errors(), "{word}: {:?}", told.iter().next());
            assert_eq!(layers(&spec), plain, "{word}");
        }
    }

    #[test]
    fn a_value_of_a_words_name_stands_over_it() {
        let text = "net words = Input(9x9x3) >> wide(2)\nnet wide(same) = Conv(3x3, 4, padding=same)\nnet same = Relu";
        assert!(layers(&load_text(Path::new("words.net"), text, &source_files::from_disk)).contains("(?, 11, 11, 4)"));
    }
}
