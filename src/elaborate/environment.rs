//! What names mean while a net is expanded: parameters, `let`s, shared pieces, and the nets of the file they stand in.

use crate::diagnostics::Diagnostic;
use crate::graph::{Mention, NodeId, ParameterId, Value};
use crate::source::{FileId, Span};
use crate::syntax::ast::Expr;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Bound<'p> {
    /// A number, text, list of them …
    Data(Value),
    /// A piece of network, made afresh at each mention.
    Net(Closure<'p>),
    /// Several, of which one at least is a net.
    List(Vec<(Bound<'p>, Span)>),
    /// A `let`: outputs that were computed already.
    Signal(Vec<NodeId>),
    /// A `share`: made afresh at each mention, with one set of parameters.
    Shared(Rc<Shared<'p>>),
}

/// An expression and the names that it was written among.
#[derive(Clone, Debug)]
pub struct Closure<'p> {
    pub expression: &'p Expr,
    pub scope: Rc<Scope<'p>>,
}

/// A piece with one set of parameters.
#[derive(Debug)]
pub struct Shared<'p> {
    pub name: String,
    pub closure: Closure<'p>,
    /// The parameters of the layers of its first mention, in order, and how often it was mentioned.
    pub first: RefCell<Option<Vec<Vec<ParameterId>>>>,
    pub mentions: RefCell<usize>,
}

/// The names of one net's body or block.
#[derive(Debug)]
pub struct Scope<'p> {
    names: RefCell<BTreeMap<String, Bound<'p>>>,
    outer: Option<Rc<Scope<'p>>>,
    /// The file whose nets are in scope.
    pub file: FileId,
    /// The mention of the net that is being expanded.
    pub mention: Option<Rc<Mention>>,
}

impl<'p> Scope<'p> {
    /// The names of a file: its nets alone.
    pub fn of_file(file: FileId) -> Rc<Self> {
        Rc::new(Scope { names: RefCell::default(), outer: None, file, mention: None })
    }

    /// A mistake in a net's body, with the mentions that led there.
    pub fn note_references(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let mut around = self.mention.as_deref();
        // The outermost mention is the net that is compiled, at its own definition.
        while let Some(mention) = around.filter(|mention| mention.outer.is_some()) {
            diagnostic = diagnostic.and(mention.span, format!("in `{}`, mentioned here", mention.net));
            around = mention.outer.as_deref();
        }
        diagnostic
    }

    /// The body of a net that is mentioned.
    pub fn of_net(file: FileId, mention: Rc<Mention>) -> Rc<Self> {
        Rc::new(Scope { names: RefCell::default(), outer: None, file, mention: Some(mention) })
    }

    /// A block or repetition inside.
    pub fn inside(outer: &Rc<Self>) -> Rc<Self> {
        Rc::new(Scope {
            names: RefCell::default(),
            outer: Some(outer.clone()),
            file: outer.file,
            mention: outer.mention.clone(),
        })
    }

    /// Gives a name a meaning; returns whether it had one in this very scope.
    pub fn define(&self, name: &str, bound: Bound<'p>) -> bool {
        self.names.borrow_mut().insert(name.to_string(), bound).is_some()
    }

    /// What a name means here or around here.
    pub fn find(&self, name: &str) -> Option<Bound<'p>> {
        let found = self.names.borrow().get(name).cloned();
        found.or_else(|| self.outer.as_ref()?.find(name))
    }

    /// Whether it belongs to a mention of a net, or to one inside it.
    pub fn is_inside(&self, net: &str) -> bool {
        let mut around = self.mention.as_deref();
        while let Some(mention) = around {
            if mention.net == net {
                return true;
            }
            around = mention.outer.as_deref();
        }
        false
    }

    /// All names in scope, for suggestions.
    pub fn names(&self) -> Vec<String> {
        let mut list: Vec<String> = self.names.borrow().keys().cloned().collect();
        list.extend(self.outer.iter().flat_map(|outer| outer.names()));
        list
    }
}
