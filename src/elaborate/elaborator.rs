//! The state of an expansion: the graph being built, caches of nets, the budget and the errors.
//!
//! The methods that expand expressions are in [`expand`](super::expand).

use super::budget::{Budget, Exhausted, check_repeats};
use super::environment::Scope;
use super::graph_builder::{GraphBuilder, Subgraph};
use super::project::Project;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::NodeId;
use crate::ops;
use crate::source::{Sources, Span};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

/// The error was recorded, and the expression that contains it is abandoned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aborted;

impl From<Exhausted> for Aborted {
    fn from(_: Exhausted) -> Self {
        Aborted
    }
}

/// The tensors that feed an expression; `None` at the start of a net.
pub(crate) type Flow = Option<Vec<NodeId>>;

/// Expands the nets of a project.
#[derive(Debug)]
pub(crate) struct Elaborator<'p> {
    pub project: &'p Project,
    pub sources: &'p Sources,
    pub errors: Diagnostics,
    /// Whether a net may begin with a cut that has a start; its inputs are then left open, for `netc show`.
    pub allows_open_inputs: bool,
    /// The net that is being built.
    pub builder: GraphBuilder,
    /// Whether new layers are frozen.
    pub frozen: bool,
    /// Nesting of nets.
    pub depth: usize,
    /// The part of the chain before the element that is being applied: the source of its input.
    pub upstream: Option<Span>,
    /// Names of the `let`s of the enclosing blocks, including those further down.
    pub lets: Vec<(&'p str, Span)>,
    /// Complete nets that were used without arguments; `None` for a net with errors, which are reported once.
    complete_nets: HashMap<usize, Option<Rc<Subgraph>>>,
    /// Whether nets start at an input when used without arguments.
    pub closed_nets: HashMap<usize, bool>,
    pub budget: Budget,
    /// Expressions in which the name of a net was read as a keyword: see [`Elaborator::keyword_value`].
    pub keyword_spans: Vec<Span>,
    /// The names of nets that were read as keywords, where they are written.
    pub keyword_names: HashSet<Span>,
    /// Errors about unknown names: the search for suggestions runs once per span.
    pub unknown_names: HashMap<Span, Diagnostic>,
    /// Whether the last test for an input ended without a result, as at the bottom of a cycle.
    pub is_inconclusive: bool,
}

impl<'p> Elaborator<'p> {
    pub fn new(project: &'p Project, sources: &'p Sources) -> Self {
        Elaborator {
            project,
            sources,
            errors: Diagnostics::default(),
            allows_open_inputs: false,
            builder: GraphBuilder::default(),
            frozen: false,
            depth: 0,
            upstream: None,
            lets: Vec::new(),
            complete_nets: HashMap::new(),
            closed_nets: HashMap::new(),
            budget: Budget::default(),
            keyword_spans: Vec::new(),
            keyword_names: HashSet::new(),
            unknown_names: HashMap::new(),
            is_inconclusive: false,
        }
    }

    /// Records which layers belong to a net.
    pub fn note_net(&mut self, nodes: Range<usize>, net: &str, span: Span) -> Result<(), Aborted> {
        self.budget.count_net_layers(nodes.len(), span)?;
        self.builder.note_net(nodes, net);
        Ok(())
    }

    /// Records an error and abandons the expression that contains it.
    pub fn stop(&mut self, diagnostic: Diagnostic) -> Aborted {
        self.budget.add_error();
        self.errors.push(diagnostic);
        Aborted
    }

    /// Checks the count of a `repeat` or the length of a range.
    pub fn check_repeats(&mut self, count: i64, span: Span) -> Result<(), Aborted> {
        check_repeats(count, span).map_err(|diagnostic| self.stop(diagnostic))
    }

    /// The errors of the expansion, and that of the budget if it is exhausted.
    pub fn take_errors(mut self) -> Diagnostics {
        if let Some(error) = self.budget.into_error() {
            self.errors.push(error);
        }
        self.errors
    }

    /// Builds a subgraph of its own, with placeholders of the types of `flow` as its inputs.
    pub fn build_subgraph(
        &mut self,
        name: &str,
        flow: &Flow,
        complete: bool,
        build: impl FnOnce(&mut Self, Flow) -> Result<Vec<NodeId>, Aborted>,
    ) -> Result<Subgraph, Aborted> {
        let mut inner = GraphBuilder::default();
        let placeholders = flow.as_ref().map(|nodes| {
            let inserted = nodes.iter().filter_map(|&node| {
                let node = self.builder.graph.node(node);
                let input = ops::input::Input { shape: node.output.clone(), image: None };
                inner.insert(std::sync::Arc::new(input), &[], false, node.origin.clone()).ok()
            });
            inserted.collect::<Vec<NodeId>>()
        });
        inner.placeholders = inner.len();
        let outer = std::mem::replace(&mut self.builder, inner);
        let (frozen, upstream) = (std::mem::take(&mut self.frozen), self.upstream.take());
        let outputs = build(self, placeholders);
        (self.frozen, self.upstream) = (frozen, upstream);
        let inner = std::mem::replace(&mut self.builder, outer);
        inner.finish(name, &outputs?, complete).map_err(|diagnostic| self.stop(diagnostic))
    }

    /// A complete net of the project as a subgraph, its parameters at their defaults.
    pub fn complete(&mut self, net: usize) -> Result<Rc<Subgraph>, Aborted> {
        if let Some(subgraph) = self.complete_nets.get(&net) {
            return subgraph.clone().ok_or(Aborted);
        }
        let subgraph = self.build_complete(net);
        // The error of a cycle is reported where the cycle closes, which depends on where it was entered: no cache.
        let in_cycle =
            subgraph.is_err() && self.depth > 0 && self.errors.iter().any(|error| error.code == Code::Recursion);
        if !in_cycle {
            self.complete_nets.insert(net, subgraph.as_ref().ok().cloned());
        }
        subgraph
    }

    fn build_complete(&mut self, net: usize) -> Result<Rc<Subgraph>, Aborted> {
        let definition = &self.project.nets[net];
        let span = definition.item.name.span;
        let scope = self.net_scope(net, span, &[], &Scope::of_file(definition.file))?;
        self.complete_in(net, scope, span).map(Rc::new)
    }

    /// A complete net as a subgraph, its parameters bound in `scope`.
    pub fn complete_in(&mut self, net: usize, scope: Rc<Scope<'p>>, span: Span) -> Result<Subgraph, Aborted> {
        let item = &self.project.nets[net].item;
        self.build_subgraph(&item.name.text, &None, true, |this, flow| {
            let outputs = this.body(net, &scope, flow, span)?;
            this.note_net(0..this.builder.len(), &item.name.text, span)?;
            Ok(outputs)
        })
    }
}
