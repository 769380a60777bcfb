//! Scopes: the meaning of parameters, `let`s and `share`s while a net is expanded.

use crate::diagnostics::Diagnostic;
use crate::graph::{Mention, NodeId, ParameterId, Value};
use crate::source::{FileId, Span};
use crate::syntax::ast::Expr;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The meaning of a name.
#[derive(Clone, Debug)]
pub enum Binding<'p> {
    /// A value: a number, string, list …
    Data(Value),
    /// A net, expanded anew at each use.
    Net(Closure<'p>),
    /// A list with at least one net.
    List(Vec<(Binding<'p>, Span)>),
    /// A `let`: the outputs of layers that exist already.
    Signal(Vec<NodeId>),
    /// A `share`: expanded anew at each use, with one set of parameters.
    Shared(Rc<Shared<'p>>),
}

/// An expression with the scope that it was written in.
#[derive(Clone, Debug)]
pub struct Closure<'p> {
    pub expression: &'p Expr,
    pub scope: Rc<Scope<'p>>,
}

/// Layers that share their parameters across all uses.
#[derive(Debug)]
pub struct Shared<'p> {
    pub name: String,
    pub closure: Closure<'p>,
    /// The parameters of each layer of the first use, in order.
    pub parameters: RefCell<Option<Vec<Vec<ParameterId>>>>,
    /// The number of uses so far.
    pub uses: RefCell<usize>,
}

/// The names defined in the body of a net or in a block.
#[derive(Debug)]
pub struct Scope<'p> {
    names: RefCell<BTreeMap<String, Binding<'p>>>,
    outer: Option<Rc<Scope<'p>>>,
    /// The file whose nets are in scope.
    pub file: FileId,
    /// The use of the net that is being expanded.
    pub mention: Option<Rc<Mention>>,
}

impl<'p> Scope<'p> {
    /// The top-level scope of a file, which defines its nets only.
    pub fn of_file(file: FileId) -> Rc<Self> {
        Rc::new(Scope { names: RefCell::default(), outer: None, file, mention: None })
    }

    /// Adds the uses of nets that led to this scope to a diagnostic.
    pub fn note_references(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let mut around = self.mention.as_deref();
        // The outermost entry is the compiled net, at its definition.
        while let Some(mention) = around.filter(|mention| mention.outer.is_some()) {
            diagnostic = diagnostic.and(mention.span, format!("in `{}`, used here", mention.net));
            around = mention.outer.as_deref();
        }
        diagnostic
    }

    /// The scope of the body of a net at one of its uses.
    pub fn of_net(file: FileId, mention: Rc<Mention>) -> Rc<Self> {
        Rc::new(Scope { names: RefCell::default(), outer: None, file, mention: Some(mention) })
    }

    /// A nested scope: a block or an iteration.
    pub fn nested(outer: &Rc<Self>) -> Rc<Self> {
        Rc::new(Scope {
            names: RefCell::default(),
            outer: Some(outer.clone()),
            file: outer.file,
            mention: outer.mention.clone(),
        })
    }

    /// Defines a name; returns whether this very scope defined it before.
    pub fn define(&self, name: &str, binding: Binding<'p>) -> bool {
        self.names.borrow_mut().insert(name.to_string(), binding).is_some()
    }

    /// Looks a name up in this scope and the enclosing ones.
    pub fn find(&self, name: &str) -> Option<Binding<'p>> {
        let found = self.names.borrow().get(name).cloned();
        found.or_else(|| self.outer.as_ref()?.find(name))
    }

    /// Whether the scope belongs to an expansion of a net, directly or nested.
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
