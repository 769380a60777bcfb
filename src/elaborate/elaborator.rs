//! What expands nets: its state, and pieces that are built by themselves.

use super::Aborted;
use super::budget::{Budget, STEPS_PER_ERROR};
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

/// The outputs that come in; none where a net begins.
pub(super) type Flow = Option<Vec<NodeId>>;

/// Expands nets.
#[derive(Debug)]
pub struct Elaborator<'p> {
    pub project: &'p Project,
    pub sources: &'p Sources,
    pub errors: Diagnostics,
    /// Whether a net may begin with a cut that has a start: what comes in is then left open, for `show`.
    pub open: bool,
    pub(super) draft: GraphBuilder,
    pub(super) frozen: bool,
    pub(super) depth: usize,
    /// What was written before the element of a chain that is being applied: it gives what comes in.
    pub(super) before: Option<Span>,
    /// Names of the `let`s of the blocks around, also of those further down.
    pub(super) lets: Vec<(&'p str, Span)>,
    /// Complete nets that were mentioned without arguments.
    /// None for one that is wrong: that is told once.
    made: HashMap<usize, Option<Rc<Subgraph>>>,
    /// Nets that were looked at without arguments, and whether they start at an input.
    pub(super) starts: HashMap<usize, bool>,
    pub(super) spent: Budget,
    /// Where the names of nets were read as words: see [`Elaborator::choice`].
    pub(super) words: Vec<Span>,
    /// Names of nets, where they are written, that were words to those who read them.
    pub(super) choices: HashSet<Span>,
    /// What was said of words that stand for nothing: which names come near is looked up once for each place.
    pub(super) unknown: HashMap<Span, Diagnostic>,
    /// Whether a look ended where nothing was found out, as at the bottom of a circle.
    pub(super) gave_up: bool,
}

impl<'p> Elaborator<'p> {
    /// Of one project.
    pub fn new(project: &'p Project, sources: &'p Sources) -> Self {
        Elaborator {
            project,
            sources,
            errors: Diagnostics::default(),
            open: false,
            draft: GraphBuilder::default(),
            frozen: false,
            depth: 0,
            before: None,
            lets: Vec::new(),
            made: HashMap::new(),
            starts: HashMap::new(),
            spent: Budget::default(),
            words: Vec::new(),
            choices: HashSet::new(),
            unknown: HashMap::new(),
            gave_up: false,
        }
    }

    /// Notes which layers are those of a net.
    pub(super) fn note_net(&mut self, nodes: Range<usize>, net: &str, span: Span) -> Result<(), Aborted> {
        self.count_work(nodes.len(), span)?;
        self.draft.note_net(nodes, net);
        Ok(())
    }

    /// Notes a mistake and gives up the expression that it is in.
    pub(super) fn stop(&mut self, diagnostic: Diagnostic) -> Aborted {
        self.spent.steps += STEPS_PER_ERROR;
        self.errors.push(diagnostic);
        Aborted
    }

    /// Builds a piece of its own, with `placeholders` of the given nodes' types in place of what comes in.
    pub(super) fn separately(
        &mut self,
        name: &str,
        flow: &Flow,
        complete: bool,
        build: impl FnOnce(&mut Self, Flow) -> Result<Vec<NodeId>, Aborted>,
    ) -> Result<Subgraph, Aborted> {
        let mut inner = GraphBuilder::default();
        let inside = flow.as_ref().map(|nodes| {
            let placed = nodes.iter().filter_map(|&node| {
                let node = self.draft.graph.node(node);
                let input = ops::input::Input { shape: node.output.clone(), image: None };
                inner.insert(std::sync::Arc::new(input), &[], false, node.origin.clone()).ok()
            });
            placed.collect::<Vec<NodeId>>()
        });
        inner.placeholders = inner.len();
        let outer = std::mem::replace(&mut self.draft, inner);
        let (frozen, before) = (std::mem::take(&mut self.frozen), self.before.take());
        let outputs = build(self, inside);
        (self.frozen, self.before) = (frozen, before);
        let inner = std::mem::replace(&mut self.draft, outer);
        inner.finish(name, &outputs?, complete).map_err(|diagnostic| self.stop(diagnostic))
    }

    /// A net of the project as a piece of its own, with its defaults.
    pub fn complete(&mut self, net: usize) -> Result<Rc<Subgraph>, Aborted> {
        if let Some(piece) = self.made.get(&net) {
            return piece.clone().ok_or(Aborted);
        }
        let piece = self.complete_anew(net);
        // In a circle the mistake is told where it closes, and depends on where it was entered.
        let inner_circle =
            piece.is_err() && self.depth > 0 && self.errors.iter().any(|error| error.code == Code::Recursion);
        if !inner_circle {
            self.made.insert(net, piece.as_ref().ok().cloned());
        }
        piece
    }

    fn complete_anew(&mut self, net: usize) -> Result<Rc<Subgraph>, Aborted> {
        let definition = &self.project.nets[net];
        let span = definition.item.name.span;
        let scope = self.net_scope(net, span, &[], &Scope::of_file(definition.file))?;
        self.complete_in(net, scope, span).map(Rc::new)
    }

    pub(super) fn complete_in(&mut self, net: usize, scope: Rc<Scope<'p>>, span: Span) -> Result<Subgraph, Aborted> {
        let item = &self.project.nets[net].item;
        self.separately(&item.name.text, &None, true, |this, flow| {
            let outputs = this.body(net, &scope, flow, span)?;
            this.note_net(0..this.draft.len(), &item.name.text, span)?;
            Ok(outputs)
        })
    }
}
