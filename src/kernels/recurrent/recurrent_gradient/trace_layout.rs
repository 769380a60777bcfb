//! The layout of a trace.

/// The layout of a trace row, in floats: gradients of the gates' input terms x W + b, gradients of initial states and
/// peepholes, gradients of the gates' hidden terms h U, and the previous hidden state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLayout {
    /// Number of gate pre-activations.
    pub gates: usize,
    /// Length of the prefix that is summed over samples and time steps: gradients of the biases, the initial states and
    /// the peepholes, in the order of the parameters.
    pub sums: usize,
    /// Offset of the gradients of the gates' hidden terms.
    pub hidden_gates: usize,
    /// Offset of the previous hidden state.
    pub hidden: usize,
    /// Floats of a row.
    pub width: usize,
}

impl TraceLayout {
    /// The row of an LSTM: gates, initial cell, initial hidden state, peepholes; previous hidden state.
    pub fn lstm(units: usize, peepholes: bool) -> Self {
        let sums = if peepholes { 9 } else { 6 } * units;
        Self { gates: 4 * units, sums, hidden_gates: 0, hidden: sums, width: sums + units }
    }

    /// The row of a GRU: gates, initial hidden state; hidden terms of the gates, which are summed too if those have biases;
    /// previous hidden state.
    pub fn gru(units: usize, hidden_biases: bool) -> Self {
        let sums = if hidden_biases { 7 } else { 4 } * units;
        Self { gates: 3 * units, sums, hidden_gates: 4 * units, hidden: 7 * units, width: 8 * units }
    }
}
