//! Where in a spec a node comes from.

use crate::source::Span;
use std::rc::Rc;

/// A mention of a net in a spec, and the mention that it is part of.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// The net's name.
    pub net: String,
    /// The span of the mention.
    pub span: Span,
    /// The mention around this one.
    pub outer: Option<Rc<Mention>>,
}

/// The origin of a node in the spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The span of the layer.
    pub span: Span,
    /// The mentions of nets through which it was expanded, innermost first.
    pub mention: Option<Rc<Mention>>,
    /// The nets that contain it and its name in each, innermost first: `weights` binds by them. A layer without parameters
    /// may have no name there.
    pub layers: Vec<(Rc<str>, Rc<str>)>,
}
