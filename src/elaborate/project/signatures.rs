//! What a spec promises of its nets with `expect`: signatures, checked as a net's own contract is.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::elaborate::elaborator::Elaborator;
use crate::elaborate::environment::Scope;
use crate::graph::Graph;
use crate::syntax::ast::{Ident, Signature};

impl Spec {
    /// Whether a graph takes and gives what `expect net: signature` says.
    pub fn check_promise(&self, net: &Ident, signature: &Signature, graph: &Graph) -> Diagnostics {
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        elaborator.draft.graph = graph.clone();
        let scope = Scope::of_file(net.span.file);
        // A stop has left its diagnostic in `errors`.
        let _ = elaborator
            .check_inputs(&net.text, signature, &graph.inputs(), &scope, net.span)
            .and_then(|()| elaborator.check_outputs(&net.text, signature, &graph.outputs, &scope, net.span));
        let mut told = Diagnostics::default();
        for error in elaborator.errors.iter() {
            let code = if error.code == Code::Contract { Code::Expectation } else { error.code };
            told.push(Diagnostic { code, ..error.clone() });
        }
        told
    }
}
