//! Dead branches go.

use super::{Pass, drop_unused};

pub const PASS: Pass = Pass {
    name: "dead",
    explain: "Layers that lead to no output are not computed. The net's inputs stay.",
    run: drop_unused,
};
