//! The graph of a net under construction, and the names of its layers.
//!
//! A layer's name is written (`as conv1`, prefixed by the enclosing scopes) or generated: NeuPy's class name in kebab-case and
//! a number. Numbers count per class in source order over the complete net, and continue from the highest number of a spliced
//! complete net before any cut, so that moving a cut renames no layer.

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::axis::{AxisOrders, Cut};
use crate::graph::signature::definition::kebab_case;
use crate::graph::{Graph, Insertion, NodeId, Operation, Origin, ParameterId, ShapeError};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Builds the graph of a net.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    pub graph: Graph,
    /// The written name of each node, with its scopes; `None` for a generated one.
    written: Vec<Option<String>>,
    /// The scopes around each node, outermost first: `left/fire2`. Nodes with generated names have scopes too.
    scopes: Vec<String>,
    /// The highest numbers of each spliced complete net before any cut, and the node at which its layers begin.
    spliced: Vec<(usize, BTreeMap<String, usize>)>,
    /// The number of nodes at the front that are placeholders for inputs from outside.
    pub placeholders: usize,
}

/// A finished graph that can be spliced into others.
#[derive(Clone, Debug)]
pub struct Subgraph {
    pub graph: Graph,
    /// Whether the name of each node was generated; it is generated again where the node is spliced in.
    pub generated: Vec<bool>,
    /// The scopes around each node.
    pub scopes: Vec<String>,
    /// The number of nodes at the front that are placeholders for inputs from outside.
    pub placeholders: usize,
}

impl GraphBuilder {
    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    /// Adds a layer without a written name.
    ///
    /// # Errors
    /// [`ShapeError`] if the layer does not accept the shapes of its inputs.
    pub fn insert(
        &mut self,
        operation: Arc<dyn Operation>,
        inputs: &[NodeId],
        frozen: bool,
        origin: Origin,
    ) -> Result<NodeId, ShapeError> {
        let inputs = inputs.to_vec();
        let id = self.graph.insert(Insertion { name: String::new(), operation, inputs, frozen, origin })?;
        self.written.push(None);
        self.scopes.push(String::new());
        Ok(id)
    }

    /// Sets the written name of a layer.
    pub fn name(&mut self, id: NodeId, name: String) {
        self.written[id.0] = Some(name);
    }

    /// Puts nodes into a scope, which becomes a prefix of their written names.
    pub fn scope(&mut self, nodes: Range<usize>, scope: &str) {
        for name in self.written[nodes.clone()].iter_mut().flatten() {
            *name = format!("{scope}/{name}");
        }
        for path in &mut self.scopes[nodes] {
            *path = if path.is_empty() { scope.to_string() } else { format!("{scope}/{path}") };
        }
    }

    /// Records that nodes belong to a net; nodes with parameters also get the names that they have in it.
    pub fn note_net(&mut self, nodes: Range<usize>, net: &str) {
        let needs_name = |index: usize| !self.graph.nodes[index].parameters.is_empty();
        let names = self.numbered(nodes.clone(), needs_name).0;
        let (net, unnamed): (Rc<str>, Rc<str>) = (net.into(), "".into());
        for (node, name) in self.graph.nodes[nodes].iter_mut().zip(names) {
            let name = if name.is_empty() { unnamed.clone() } else { name.into() };
            node.origin.layers.push((net.clone(), name));
        }
    }

    /// Adds the nodes of a subgraph that `keep` selects, with `sources` in place of other nodes that feed them. Returns the
    /// new id of each kept node.
    ///
    /// # Errors
    /// The node of the subgraph that does not accept its new inputs, and why.
    pub fn splice(
        &mut self,
        subgraph: &Subgraph,
        keep: &[bool],
        sources: &HashMap<NodeId, NodeId>,
        frozen: bool,
    ) -> Result<HashMap<NodeId, NodeId>, (NodeId, ShapeError)> {
        self.spliced.push((self.len(), subgraph.graph.counters.clone()));
        let mut ids = sources.clone();
        let mut parameters: HashMap<ParameterId, ParameterId> = HashMap::new();
        let mut cuts = cuts(subgraph, keep);
        for id in subgraph.graph.ids().filter(|id| keep[id.0]) {
            let node = subgraph.graph.node(id);
            let mut inputs: Vec<NodeId> = node.inputs.iter().filter_map(|input| ids.get(input).copied()).collect();
            // An `Input` that is fed by a source becomes an assertion on the shape there.
            let fed = node.inputs.is_empty().then(|| sources.get(&id).copied()).flatten();
            inputs.extend(fed);
            let frozen = frozen || node.frozen;
            let new = self
                .insert(node.operation.clone(), &inputs, frozen, node.origin.clone())
                .map_err(|error| (id, error))?;
            let keeps_name = !subgraph.generated[id.0] && fed.is_none();
            self.scopes[new.0].clone_from(&subgraph.scopes[id.0]);
            self.written[new.0] = keeps_name.then(|| node.name.clone());
            self.graph.nodes[new.0].cuts =
                node.cuts.iter().cloned().chain(cuts.remove(&id).unwrap_or_default()).collect();
            for (index, old) in node.parameters.iter().enumerate() {
                let fresh = self.graph.nodes[new.0].parameters[index];
                let known = *parameters.entry(*old).or_insert(fresh);
                self.graph.nodes[new.0].parameters[index] = known;
                self.graph.parameters[known.0].frozen |= subgraph.graph.parameters[old.0].frozen;
            }
            ids.insert(id, new);
        }
        Ok(ids)
    }

    /// Names every layer, and the parameters after their layers. `complete` makes generated names final.
    ///
    /// # Errors
    /// Two layers with the same name.
    pub fn finish(mut self, net: &str, outputs: &[NodeId], complete: bool) -> Result<Subgraph, Diagnostic> {
        self.graph.name = net.to_string();
        self.graph.outputs = outputs.to_vec();
        self.graph.open_inputs = self.placeholders;
        let nodes = self.placeholders..self.len();
        let (names, counters) = self.numbered(nodes.clone(), |_| true);
        self.graph.counters = if complete { counters } else { self.floor(&nodes) };
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, name) in nodes.clone().zip(&names) {
            if let Some(&earlier) = seen.get(name.as_str()) {
                let (first, second) = (&self.graph.nodes[earlier].origin, &self.graph.nodes[index].origin);
                // The net itself is not used anywhere.
                let mention = |origin: &Origin| {
                    origin.mention.as_ref().filter(|mention| mention.net != net).map(|mention| mention.span)
                };
                let diagnostic = Diagnostic::new(Code::DuplicateLayer, format!("two layers are named `{name}`"));
                let diagnostic = match first.span == second.span {
                    true => diagnostic.at(second.span, "expanded twice"),
                    false => diagnostic.at(second.span, "again here").and(first.span, "first here"),
                };
                return Err(diagnostic
                    .maybe_and(mention(first), "first by this use")
                    .maybe_and(mention(second), "again by this use")
                    .help("put one of them into a scope: `(…) as left` names its layers `left/…`"));
            }
            seen.insert(name, index);
        }
        let mut generated: Vec<bool> = self.written.iter().map(|name| !complete && name.is_none()).collect();
        generated[..self.placeholders].fill(false);
        for (index, name) in nodes.zip(names) {
            self.graph.nodes[index].name = name;
        }
        let mut owned = vec![false; self.graph.parameters.len()];
        for node in &self.graph.nodes {
            for parameter in &node.parameters {
                if !std::mem::replace(&mut owned[parameter.0], true) {
                    let parameter = &mut self.graph.parameters[parameter.0];
                    parameter.layer = node.name.clone();
                    parameter.layers = node.origin.layers.clone();
                    parameter.span = node.origin.span;
                }
            }
        }
        let all = vec![true; self.graph.nodes.len()];
        self.graph.retain(&all);
        Ok(Subgraph { graph: self.graph, generated, scopes: self.scopes, placeholders: self.placeholders })
    }
}

/// The cut edges of a subgraph, with the axis orders that the nets of its layers have there.
fn cuts(subgraph: &Subgraph, keep: &[bool]) -> HashMap<NodeId, Vec<Cut>> {
    let graph = &subgraph.graph;
    let is_removed = |id: &NodeId| !keep[id.0] && id.0 >= subgraph.placeholders;
    let mut cuts: HashMap<NodeId, Vec<Cut>> = HashMap::new();
    if !graph.ids().any(|id| is_removed(&id)) {
        return cuts;
    }
    // Without an earlier cut the orders are the same for all nets.
    let has_earlier_cuts = graph.nodes.iter().any(|node| !node.cuts.is_empty());
    let mut known: BTreeMap<Rc<str>, Rc<AxisOrders>> = BTreeMap::new();
    for id in graph.ids() {
        for (position, &input) in graph.node(id).inputs.iter().enumerate() {
            let (layer, inward) = match (keep[id.0], is_removed(&input)) {
                (true, true) => (id, true),
                (false, false) if is_removed(&id) && keep[input.0] => (input, false),
                _ => continue,
            };
            for (net, _) in &graph.node(layer).origin.layers {
                let key = if has_earlier_cuts { net.clone() } else { "".into() };
                let orders = known.entry(key).or_insert_with(|| Rc::new(AxisOrders::of(graph, net)));
                let order = orders.output(input).clone();
                let list = cuts.entry(layer).or_default();
                let index = list.iter().position(|cut| cut.net == *net).unwrap_or_else(|| {
                    list.push(Cut { net: net.clone(), inputs: Vec::new(), output: None });
                    list.len() - 1
                });
                match inward {
                    true => list[index].inputs.push((position, order)),
                    false => list[index].output = Some(order),
                }
            }
        }
    }
    cuts
}

impl GraphBuilder {
    /// The highest number of each kind in the complete nets that were spliced into a range of nodes.
    fn floor(&self, nodes: &Range<usize>) -> BTreeMap<String, usize> {
        let mut floor: BTreeMap<String, usize> = BTreeMap::new();
        let before = |index: usize| self.spliced.partition_point(|(at, _)| *at < index);
        for (kind, number) in self.spliced[before(nodes.start)..before(nodes.end)].iter().flat_map(|(_, kinds)| kinds) {
            let highest = floor.entry(kind.clone()).or_default();
            *highest = (*highest).max(*number);
        }
        floor
    }

    /// The names of the nodes of a net or fragment, empty for those that need none, and the highest number of each kind.
    /// The layers have these names wherever the net is used, and in the weights files written for it.
    fn numbered(
        &self,
        nodes: Range<usize>,
        needs_name: impl Fn(usize) -> bool,
    ) -> (Vec<String>, BTreeMap<String, usize>) {
        let (graph, written, floor) = (&self.graph, &self.written, self.floor(&nodes));
        // For each class its prefix of names and its highest number.
        let mut kinds: Vec<(&str, String, usize)> = Vec::new();
        let taken: HashSet<&str> = written[nodes.clone()].iter().flatten().map(String::as_str).collect();
        let mut names = Vec::with_capacity(nodes.len());
        for index in nodes {
            let class = graph.nodes[index].operation.kind();
            let entry = kinds.iter().position(|(known, ..)| *known == class).unwrap_or_else(|| {
                let kind = kebab_case(class);
                let highest = floor.get(&kind).copied().unwrap_or(0);
                kinds.push((class, kind, highest));
                kinds.len() - 1
            });
            let (_, kind, number) = &mut kinds[entry];
            names.push(match &written[index] {
                Some(name) => {
                    // A written name that looks generated counts, so that no generated name collides with it.
                    let suffix = name.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
                    *number = (*number).max(suffix.unwrap_or(0));
                    name.clone()
                }
                None => loop {
                    *number += 1;
                    if taken.is_empty() && !needs_name(index) {
                        break String::new();
                    }
                    let name = format!("{kind}-{number}");
                    if !taken.contains(name.as_str()) {
                        break name;
                    }
                },
            });
        }
        let mut counters = floor;
        counters.extend(kinds.into_iter().map(|(_, kind, number)| (kind, number)).filter(|(_, number)| *number > 0));
        (names, counters)
    }
}
