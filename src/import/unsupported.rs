//! What of a model cannot be expressed, all of it in one answer.

use crate::diagnostics::{Code, Diagnostic, counted};
use std::collections::BTreeMap;

/// A node or a layer of a model that cannot be expressed.
#[derive(Clone, Debug)]
pub(super) struct Unsupported {
    /// Its operator or class.
    pub op: String,
    /// Its name.
    pub node: String,
    pub reason: String,
}

/// Nodes that are named for each reason.
const MAX_NAMED: usize = 4;

/// One diagnostic with every operator that has no layer, the reason, how many there are and which. The model has `total` of
/// what is called `noun`; what leads to `before` can be imported.
pub(super) fn diagnostic(
    file: &str,
    (total, noun): (usize, &str),
    list: &[Unsupported],
    before: Option<&str>,
) -> Diagnostic {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for Unsupported { op, node, reason } in list {
        by_reason.entry((op, reason)).or_default().push(node);
    }
    let message = format!("{} of the {} of {file} cannot be expressed", list.len(), counted(total, noun));
    let mut diagnostic = Diagnostic::new(Code::ImportUnsupported, message);
    for ((op, reason), nodes) in by_reason {
        let mut names: Vec<String> = nodes.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
        if nodes.len() > MAX_NAMED {
            names.push("…".into());
        }
        diagnostic = diagnostic.note(format!("{op} ({}): {reason}: {}", counted(nodes.len(), noun), names.join(", ")));
    }
    diagnostic.maybe_help(before.map(|before| format!("`--until {before}` imports what comes before")))
}
