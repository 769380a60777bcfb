//! Rectifiers with learnt slopes.

use super::dense::DenseStep;
use crate::kernels::elementwise::activate::prelu;
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::tensor_view::ViewMut;
use crate::plan::checked_kernel::{CheckedKernel, ensure};
use crate::plan::kernel_step::{Call, Inputs, KernelError, KernelStep, Sizes};
use crate::size::product;
use serde::{Deserialize, Serialize};

/// A dense layer where there is one, and behind it max(0, x) + alpha * min(0, x).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PReluStep {
    pub dense: Option<DenseStep>,
    /// Sizes of the output without the batch.
    pub sizes: Vec<usize>,
    /// The axes among them that the slopes differ along, in the order of the parameter's axes.
    pub axes: Vec<usize>,
}

impl PReluStep {
    /// Pixels and channels of the output.
    pub fn pixels_channels(&self) -> (usize, usize) {
        let channels = self.sizes.last().copied().unwrap_or(1);
        (product(self.sizes.iter().copied()) / channels.max(1), channels)
    }

    /// The output's sizes from the first axis that the slopes differ along: the kernel repeats its slopes over them.
    fn repeated(&self) -> &[usize] {
        let first = self.axes.iter().copied().min().unwrap_or(0);
        self.sizes.get(first..).unwrap_or(&[])
    }

    /// How many places the repeated axes have.
    pub fn places(&self) -> usize {
        product(self.repeated().iter().copied())
    }

    /// How many slopes the layer learns.
    pub fn slopes(&self) -> usize {
        product(self.axes.iter().map(|&axis| self.sizes[axis]))
    }

    /// Which slope stands at a place of the repeated axes.
    pub fn slope_at(&self, place: usize) -> usize {
        let along = |axis: usize| {
            let behind: usize = self.sizes[axis + 1..].iter().product();
            place / behind % self.sizes[axis]
        };
        self.axes.iter().fold(0, |at, &axis| at * self.sizes[axis] + along(axis))
    }

    /// A slope for each place of the repeated axes.
    fn spread(&self, alpha: &[f32]) -> Vec<f32> {
        (0..self.places()).map(|place| alpha.get(self.slope_at(place)).copied().unwrap_or(0.0)).collect()
    }
}

impl KernelStep for PReluStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        let (pixels, channels) = self.pixels_channels();
        let size = Images { n: call.batch, pixels, channels };
        let Some((alpha, rest)) = call.constants.split_last() else { return Ok(()) };
        let Some(dense) = &self.dense else {
            prelu(call.first(), call.output, size, alpha, call.threads);
            return Ok(());
        };
        let Call { batch, inputs, in_place, output: ViewMut { data, ld, image }, scratch, threads, .. } = call;
        let output = ViewMut { data: &mut *data, ld, image };
        dense.run(Call {
            batch,
            inputs,
            in_place,
            constants: rest,
            output,
            state: Default::default(),
            scratch,
            threads,
        })?;
        prelu(None, ViewMut { data, ld, image }, size, alpha, threads);
        Ok(())
    }

    fn describe(&self) -> String {
        let (pixels, channels) = self.pixels_channels();
        match &self.dense {
            Some(dense) => format!("{}, learnt slopes along {:?}", dense.describe(), self.axes),
            None => format!("learnt slopes along {:?} of {pixels}x{channels}", self.axes),
        }
    }

    fn sizes(&self) -> Sizes {
        let output = self.pixels_channels();
        match &self.dense {
            Some(dense) => Sizes { output, ..dense.sizes() },
            None => Sizes { inputs: Inputs::Fixed(vec![output]), output },
        }
    }

    fn constants(&self) -> Vec<usize> {
        let mut list = self.dense.as_ref().map_or_else(Vec::new, DenseStep::constants);
        list.push(self.places());
        list
    }

    fn needs_packing(&self) -> bool {
        true
    }

    fn pack(&self, mut parameters: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let Some(alpha) = parameters.pop() else { return parameters };
        let mut packed = self.dense.as_ref().map_or_else(Vec::new, |dense| dense.pack(parameters));
        packed.push(self.spread(&alpha));
        packed
    }

    fn scratch_len(&self, batch: usize, workers: usize) -> usize {
        self.dense.as_ref().map_or(0, |dense| dense.scratch_len(batch, workers))
    }

    fn executed_macs(&self) -> u64 {
        self.dense.as_ref().map_or(0, DenseStep::executed_macs)
    }
}

impl CheckedKernel for PReluStep {
    fn check(&self) -> Result<(), &'static str> {
        let mut axes = self.axes.clone();
        axes.sort_unstable();
        let apart = axes.windows(2).all(|pair| pair[0] < pair[1]);
        let there = axes.last().is_none_or(|&axis| axis < self.sizes.len());
        ensure(!self.sizes.is_empty() && apart && there, "slopes lie along axes that are not there")?;
        let Some(dense) = &self.dense else { return Ok(()) };
        dense.check()?;
        ensure(self.sizes == [dense.outputs] && !dense.epilogue.softmax, "slopes are not those of its dense layer")
    }

    fn works_in_place(&self) -> bool {
        self.dense.is_none()
    }
}
