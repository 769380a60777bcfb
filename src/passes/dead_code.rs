//! Dead code elimination.

use super::pass::{Pass, remove_dead_nodes};

pub const PASS: Pass = Pass {
    name: "dead_code",
    explain: "Layers that no output depends on are removed. The net's inputs stay.",
    run: remove_dead_nodes,
};
