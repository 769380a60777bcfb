//! What a node is lowered from and to.

use crate::plan::epilogue::Epilogue;
use crate::plan::kernel::Kernel;

/// What a node is lowered from. All sizes are known.
#[derive(Debug)]
pub struct Lowering {
    /// The sizes of each input without the batch; a residual is not among them.
    pub inputs: Vec<Vec<usize>>,
    pub epilogue: Epilogue,
    /// Whether only algorithms that round like the direct one are allowed.
    pub exact: bool,
}

/// What a node becomes in the plan.
#[derive(Clone, Debug)]
pub enum Lowered {
    /// A step that runs a kernel on the node's inputs and parameters.
    Step(Kernel),
    /// A step that may overwrite its first input, if no other node reads that.
    InPlace(Kernel),
    /// No step: a view of its input in another shape.
    View,
    /// No step: a view of its input's channels from this one on.
    Channels(usize),
    /// A concatenation of `rows` rows, each made of a row of every input. Its inputs are written to their part directly.
    Concatenate { rows: usize },
}
