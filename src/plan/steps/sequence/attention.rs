//! Scaled dot-product attention, and its gradient.

use crate::kernels::attention::gradient::{By, attention_gradient, attention_gradient_scratch_len};
use crate::kernels::attention::{Attention, Mask, Operands, ScoreDropout, attention, attention_scratch_len};
use crate::kernels::tensor_view::View;
use crate::kernels::training::dropout::RandomKey;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{is_tensor, product};
use serde::{Deserialize, Serialize};

/// The mask that an attention reads after its other inputs: see [`Mask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaskKind {
    Keys,
    Pairs,
}

/// Attention. Its inputs are queries, keys and values beside each other, `(steps, 3 features)`, or queries and then keys and
/// values, `(keys, 2 features)`; then the mask, if it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionStep {
    pub size: Attention,
    /// Whether keys and values come from a second input.
    pub memory: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskKind>,
}

impl AttentionStep {
    /// The tensors among its inputs.
    fn operands<'a>(&self, inputs: &[View<'a>]) -> Operands<'a> {
        let features = self.size.features();
        let from = |view: View<'a>, first: usize| View { data: &view.data[first..], ..view };
        let (queries, [keys, values], others) = match self.memory {
            true => (inputs[0], [inputs[1], from(inputs[1], features)], &inputs[2..]),
            false => (inputs[0], [1, 2].map(|part| from(inputs[0], product([part, features]))), &inputs[1..]),
        };
        let mask = self.mask.zip(others.first()).map(|(kind, view)| match kind {
            MaskKind::Keys => Mask::Keys(*view),
            MaskKind::Pairs => Mask::Pairs(*view),
        });
        Operands { queries, keys, values, mask }
    }

    /// `(pixels, channels)` of each input.
    fn inputs(&self) -> Vec<(usize, usize)> {
        let size = &self.size;
        let mut list = match self.memory {
            true => vec![By::Queries.sizes(size), By::Memory.sizes(size)],
            false => vec![By::All.sizes(size)],
        };
        list.extend(self.mask.map(|kind| match kind {
            MaskKind::Keys => (1, size.keys),
            MaskKind::Pairs => (size.queries, size.keys),
        }));
        list
    }
}

impl KernelStep for AttentionStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let x = self.operands(call.inputs);
        attention(&self.size, call.batch, &x, call.output, None, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let Attention { queries, keys, heads, depth, causal } = self.size;
        let mut text = format!("attention of {queries} queries to {keys} keys in {heads} heads of {depth}");
        if causal {
            text += ", causal";
        }
        if self.mask.is_some() {
            text += ", masked";
        }
        text
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(self.inputs()), output: By::Queries.sizes(&self.size) }
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        attention_scratch_len(&self.size, workers)
    }

    fn uses_gemm(&self) -> bool {
        true
    }

    fn executed_macs(&self) -> u64 {
        self.size.macs() as u64
    }
}

impl CheckedKernel for AttentionStep {
    fn check(&self) -> Result<(), &'static str> {
        let Attention { queries, keys, heads, depth, .. } = self.size;
        ensure(is_tensor(&[queries, heads, depth]), "the queries are invalid")?;
        ensure(is_tensor(&[keys, heads, depth]), "the keys are invalid")?;
        // A block of scores is held in memory.
        ensure(is_tensor(&[queries, keys]), "the scores are invalid")?;
        ensure(self.memory || queries == keys, "there are not as many keys as queries")
    }
}

/// Dropout of an attention's normalised scores in training, whose random numbers depend on the update, its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropScores {
    pub proba: f32,
    pub seed: u64,
    /// The index of the layer in the net.
    pub layer: u32,
}

impl DropScores {
    fn draw(&self, call: &Call<'_>) -> ScoreDropout {
        let update = u64::from(call.constants[0][0].to_bits());
        ScoreDropout { proba: self.proba, key: RandomKey { seed: self.seed, update, layer: self.layer } }
    }
}

/// Attention with dropout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionDropoutStep {
    pub layer: AttentionStep,
    pub dropout: DropScores,
}

impl KernelStep for AttentionDropoutStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (x, dropout) = (self.layer.operands(call.inputs), self.dropout.draw(&call));
        attention(&self.layer.size, call.batch, &x, call.output, Some(&dropout), call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{}, drop {}", self.layer.describe(), self.dropout.proba)
    }

    fn sizes(&self) -> Sizes {
        self.layer.sizes()
    }

    fn constants(&self) -> Vec<usize> {
        vec![1]
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        self.layer.scratch_len(batch, workers)
    }

    fn uses_gemm(&self) -> bool {
        true
    }

    fn executed_macs(&self) -> u64 {
        self.layer.executed_macs()
    }
}

/// The gradient of an attention, from its inputs and dy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionGradientStep {
    pub layer: AttentionStep,
    pub by: By,
    pub dropout: Option<DropScores>,
}

impl KernelStep for AttentionGradientStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let dropout = self.dropout.map(|dropout| dropout.draw(&call));
        let (size, x) = (&self.layer.size, self.layer.operands(call.inputs));
        let dy = call.inputs[call.inputs.len() - 1];
        let (n, dropout) = (call.batch, dropout.as_ref());
        attention_gradient(size, n, &x, dy, self.by, call.output, dropout, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let by = match self.by {
            By::All => "",
            By::Queries => ", to the queries",
            By::Memory => ", to keys and values",
        };
        format!("back through {}{by}", self.layer.describe())
    }

    fn sizes(&self) -> Sizes {
        let size = &self.layer.size;
        let mut inputs = self.layer.inputs();
        inputs.push(By::Queries.sizes(size));
        Sizes { inputs: Inputs::Fixed(inputs), output: self.by.sizes(size) }
    }

    fn constants(&self) -> Vec<usize> {
        self.dropout.map_or_else(Vec::new, |_| vec![1])
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        attention_gradient_scratch_len(&self.layer.size, workers)
    }

    fn uses_gemm(&self) -> bool {
        true
    }

    fn executed_macs(&self) -> u64 {
        product([5, self.layer.size.macs() / 2]) as u64
    }
}
