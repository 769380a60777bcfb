//! Chains of convolutions fused by bands of rows.

use super::ConvolutionStep;
use crate::kernels::conv::fused_rows;
use crate::kernels::conv::fused_rows::{Convolutions, FusedConvolution};
use crate::kernels::epilogue::EpilogueArgs;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::{product, sum};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A chain of convolutions, each reading the output of the previous one; only the last may add a residual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FusedConvolutionsStep {
    pub links: Vec<ConvolutionStep>,
}

impl FusedConvolutionsStep {
    /// Whether the shapes of the links match and the chain can be computed by bands of rows.
    pub fn is_valid(&self) -> bool {
        let size = |step: &ConvolutionStep| {
            let window = &step.geometry.window;
            (window.out_h, window.out_w, step.geometry.out_c)
        };
        let mut pairs = self.links.iter().zip(self.links.iter().skip(1));
        (2..=fused_rows::MAX_CONVOLUTIONS).contains(&self.links.len())
            && self.links.iter().all(FusedConvolutionsStep::can_fuse)
            && pairs.all(|(link, next)| {
                let window = &next.geometry.window;
                (window.in_h, window.in_w, next.geometry.in_c) == size(link) && !link.epilogue.residual
            })
            && fused_rows::is_within_buffer_limit(&self.convolutions())
    }

    /// Whether a convolution, with its algorithm, can be part of a chain.
    pub fn can_fuse(step: &ConvolutionStep) -> bool {
        let has_simple_epilogue = !step.epilogue.pool && !step.epilogue.softmax;
        step.is_valid()
            && fused_rows::supports(&step.geometry)
            && step.algorithm == fused_rows::algorithm(&step.geometry)
            && step.input_gradient_of.is_none()
            && has_simple_epilogue
    }

    /// Floats per image of the intermediate tensors, which are not written to memory.
    pub fn intermediate_floats(&self) -> usize {
        let producers = self.links.split_last().map_or(&[][..], |(_, others)| others);
        sum(producers.iter().map(|step| step.sizes().output).map(|(pixels, channels)| product([pixels, channels])))
    }

    fn convolutions(&self) -> Convolutions<'_> {
        self.links.iter().map(|step| &step.geometry).collect()
    }
}

impl KernelStep for FusedConvolutionsStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let Call { batch, inputs, constants, output, scratch, threads, .. } = call;
        let mut constants = constants.iter().copied();
        let mut next = || constants.next().unwrap_or_default();
        let link = |step: &'_ ConvolutionStep| {
            let (weights, bias) = (next(), step.bias.then(&mut next));
            let residual = if step.epilogue.residual { inputs.get(1).copied() } else { None };
            (weights, EpilogueArgs { bias, residual, activation: step.epilogue.activation, pool: None })
        };
        let operands: SmallVec<[_; fused_rows::MAX_CONVOLUTIONS]> = self.links.iter().map(link).collect();
        let links: SmallVec<[FusedConvolution; fused_rows::MAX_CONVOLUTIONS]> = std::iter::zip(&self.links, &operands)
            .map(|(step, &(weights, epilogue))| FusedConvolution { conv: &step.geometry, weights, epilogue })
            .collect();
        fused_rows::convolve(threads, &links, batch, inputs[0], scratch, output);
        Ok(())
    }

    fn describe(&self) -> String {
        let links: Vec<String> = self.links.iter().map(ConvolutionStep::describe).collect();
        format!("by bands of rows: {}", links.join("; "))
    }

    fn sizes(&self) -> Sizes {
        let empty = Sizes { inputs: Inputs::Fixed(Vec::new()), output: (0, 0) };
        let (Some(first), Some(last)) = (self.links.first(), self.links.last()) else { return empty };
        let (Sizes { inputs: Inputs::Fixed(first), .. }, Sizes { inputs: Inputs::Fixed(last), output }) =
            (first.sizes(), last.sizes())
        else {
            return empty;
        };
        Sizes { inputs: Inputs::Fixed(first.into_iter().take(1).chain(last.into_iter().skip(1)).collect()), output }
    }

    fn constants(&self) -> Vec<usize> {
        self.links.iter().flat_map(ConvolutionStep::constants).collect()
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let mut parameters = parameters.into_iter();
        let pack = |step: &ConvolutionStep| step.pack(parameters.by_ref().take(step.constants().len()).collect());
        self.links.iter().flat_map(pack).collect()
    }

    fn scratch_len(&self, _batch: usize, workers: usize) -> usize {
        fused_rows::scratch_len(&self.convolutions(), workers)
    }

    fn executed_macs(&self) -> u64 {
        self.links.iter().map(ConvolutionStep::executed_macs).fold(0, u64::saturating_add)
    }
}

impl CheckedKernel for FusedConvolutionsStep {
    fn check(&self) -> Result<(), &'static str> {
        ensure(self.is_valid(), "the convolutions cannot be fused")
    }

    /// Rows at the boundaries of bands are computed twice.
    fn work(&self) -> usize {
        product([2, sum(self.links.iter().map(CheckedKernel::work))])
    }
}
