//! Algorithms that replace the cost model's choice, found by measuring or to save memory.

use crate::kernels::conv::Algorithm;
use crate::kernels::conv::algorithm::Rounding;
use crate::kernels::gemm::Backend;
use crate::plan::steps::convolution::ConvolutionStep;
use crate::plan::steps::dense::{DenseStep, Storage};
use serde::{Deserialize, Serialize};

/// Convolutions and dense layers, each with its algorithm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlgorithmOverrides {
    list: Vec<Entry>,
    /// Dense layers with their storage and backend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dense: Vec<DenseStep>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// With the algorithm to use.
    step: ConvolutionStep,
    /// Images of a micro-batch.
    chunk: usize,
    /// The algorithms that were considered.
    rounding: Rounding,
}

impl AlgorithmOverrides {
    /// The algorithm for a convolution, if this program can run it.
    pub fn find(&self, step: &ConvolutionStep, chunk: usize, rounding: Rounding) -> Option<Algorithm> {
        let entry = self.list.iter().find(|entry| entry.is_for(step, chunk, rounding))?;
        entry.step.is_valid().then_some(entry.step.algorithm)
    }

    /// Sets the algorithm for a convolution to the one that it has.
    pub fn insert(&mut self, step: &ConvolutionStep, chunk: usize, rounding: Rounding) {
        self.list.retain(|entry| !entry.is_for(step, chunk, rounding));
        self.list.push(Entry { step: step.clone(), chunk, rounding });
    }
}

impl AlgorithmOverrides {
    /// The storage and backend for a dense layer.
    pub fn find_dense(&self, step: &DenseStep) -> Option<(Storage, Backend)> {
        self.dense.iter().find(|other| is_same(other, step)).map(|found| (found.weights, found.backend))
    }

    /// Sets the storage and backend for a dense layer to those that it has.
    pub fn insert_dense(&mut self, step: &DenseStep) {
        self.dense.retain(|other| !is_same(other, step));
        self.dense.push(step.clone());
    }
}

fn is_same(a: &DenseStep, b: &DenseStep) -> bool {
    (a.inputs, a.outputs, a.bias, a.epilogue) == (b.inputs, b.outputs, b.bias, b.epilogue)
}

impl Entry {
    fn is_for(&self, step: &ConvolutionStep, chunk: usize, rounding: Rounding) -> bool {
        let same = |a: &ConvolutionStep, b: &ConvolutionStep| {
            (a.geometry, a.bias, a.epilogue, a.input_gradient_of)
                == (b.geometry, b.bias, b.epilogue, b.input_gradient_of)
        };
        same(&self.step, step) && (self.chunk, self.rounding) == (chunk, rounding)
    }
}
