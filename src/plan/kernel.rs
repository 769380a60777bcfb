//! The enum of all kernels. Each is a description with resolved sizes, defined in `steps` and registered here.

use super::checked_kernel::CheckedKernel;
use super::kernel_step::{CONSTANT_ALIGNMENT, Call, Inputs, KernelError, KernelStep, Sizes};
use super::steps::convolution::ConvolutionStep;
use super::steps::convolution::fused_convolutions::FusedConvolutionsStep;
use super::steps::convolution::transposed_convolution::TransposedConvolutionStep;
use super::steps::dense::DenseStep;
use super::steps::gradient::convolution_gradient::{InputGradientStep, WeightGradientStep};
use super::steps::gradient::dense_gradient::{BiasGradientStep, DenseInputGradientStep, DenseWeightGradientStep};
use super::steps::gradient::merge_gradient::{
    BroadcastGradientStep, GateGradientStep, GatedAverageGradientStep, MergeGradientStep,
};
use super::steps::gradient::norm_gradient::{
    BatchNormGradientStep, BatchNormStep, BatchStatisticsStep, ChannelProductStep, FixedNormGradientStep,
    GroupNormGradientStep, GroupScaleGradientStep, GroupSumsStep, LocalResponseGradientStep, RunningStatsStep,
    ScaleGradientStep,
};
use super::steps::gradient::pointwise_gradient::{
    ActivationGradientStep, NormalizeGradientStep, PReluGradientStep, PReluSlopeStep, ScatterSliceStep,
    SoftmaxGradientStep,
};
use super::steps::gradient::pool_gradient::{GlobalPoolGradientStep, PoolGradientStep, UpscaleGradientStep};
use super::steps::gradient::recurrent_gradient::{
    RecurrentGatesStep, RecurrentGradientStep, RecurrentInputGradientStep,
};
use super::steps::gradient::reduce_gradient::{ReduceGradientStep, SoftmaxAlongGradientStep};
use super::steps::gradient::resize_gradient::{PadGradientStep, ResizeGradientStep};
use super::steps::int8::convert::ConvertStep;
use super::steps::int8::convolution::Int8ConvolutionStep;
use super::steps::int8::dense::Int8DenseStep;
use super::steps::int8::merge::Int8AddStep;
use super::steps::int8::pool::{Int8GlobalPoolStep, Int8PoolStep};
use super::steps::merge::{BroadcastStep, GatedAverageStep, MergeStep};
use super::steps::movement::{CopyStep, TransposeStep};
use super::steps::norm::layer_norm::{LayerNormGradientStep, LayerNormStep, LayerScaleGradientStep};
use super::steps::norm::{GroupNormStep, LocalResponseStep, NormStep, NormalizeStep};
use super::steps::pointwise::{ActivationStep, SoftmaxStep};
use super::steps::pool::{GlobalPoolStep, PoolStep};
use super::steps::prelu::PReluStep;
use super::steps::reduce::{ReduceStep, SoftmaxAlongStep};
use super::steps::resize::{CropStep, PadStep, ResizeStep, UpscaleStep};
use super::steps::sequence::attention::{AttentionDropoutStep, AttentionGradientStep, AttentionStep};
use super::steps::sequence::embedding::{EmbeddingGradientStep, EmbeddingStep};
use super::steps::sequence::recurrent::{GruStep, LstmStep};
use super::steps::sequence::tokens::{AddPositionsStep, PrependTokenStep};
use super::steps::training::dropout::NoiseStep;
use super::steps::training::update::{AccumulateStep, GradientNormStep, LossGradientStep, LossStep, UpdateStep};
use crate::size::{BEYOND, sum};
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};

macro_rules! kernels {
    (predict { $($variant:ident($step:ty),)* } train { $($training:ident($training_step:ty),)* }) => {
        /// A kernel with resolved sizes and algorithm.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Kernel {
            $(#[doc = concat!("See [`", stringify!($step), "`].")] $variant($step),)*
            $(#[doc = concat!("See [`", stringify!($training_step), "`].")] $training($training_step),)*
        }

        impl Kernel {
            /// The names of all kernels.
            pub const NAMES: &[&str] = &[$(stringify!($variant),)* $(stringify!($training),)*];

            /// Its name among [`Kernel::NAMES`].
            pub fn name(&self) -> &'static str {
                match self {
                    $(Kernel::$variant(_) => stringify!($variant),)*
                    $(Kernel::$training(_) => stringify!($training),)*
                }
            }
            /// The names of the kernels that an artifact may contain.
            pub const PREDICTION_NAMES: &'static [&'static str] = &[$(stringify!($variant),)*];

            /// Whether it is used only in training, so that no artifact may contain it.
            pub fn is_training_only(&self) -> bool {
                self.checked().is_none()
            }

            /// The kernel, if an artifact may contain it.
            fn checked(&self) -> Option<&dyn CheckedKernel> {
                match self {
                    $(Kernel::$variant(step) => Some(step),)*
                    $(Kernel::$training(_) => None,)*
                }
            }
        }

        impl Deref for Kernel {
            type Target = dyn KernelStep;

            fn deref(&self) -> &(dyn KernelStep + 'static) {
                match self {
                    $(Kernel::$variant(step) => step,)*
                    $(Kernel::$training(step) => step,)*
                }
            }
        }

        impl DerefMut for Kernel {
            fn deref_mut(&mut self) -> &mut (dyn KernelStep + 'static) {
                match self {
                    $(Kernel::$variant(step) => step,)*
                    $(Kernel::$training(step) => step,)*
                }
            }
        }
    };
}

kernels! {
    predict {
    Convolution(ConvolutionStep),
    FusedConvolutions(FusedConvolutionsStep),
    Dense(DenseStep),
    Pool(PoolStep),
    GlobalPool(GlobalPoolStep),
    Reduce(ReduceStep),
    Activation(ActivationStep),
    Softmax(SoftmaxStep),
    SoftmaxAlong(SoftmaxAlongStep),
    Norm(NormStep),
    LocalResponse(LocalResponseStep),
    Merge(MergeStep),
    Broadcast(BroadcastStep),
    GatedAverage(GatedAverageStep),
    Copy(CopyStep),
    Transpose(TransposeStep),
    PRelu(PReluStep),
    TransposedConvolution(TransposedConvolutionStep),
    Upscale(UpscaleStep),
    Resize(ResizeStep),
    Pad(PadStep),
    Crop(CropStep),
    GroupNorm(GroupNormStep),
    LayerNorm(LayerNormStep),
    Normalize(NormalizeStep),
    Embedding(EmbeddingStep),
    Attention(AttentionStep),
    PrependToken(PrependTokenStep),
    AddPositions(AddPositionsStep),
    Lstm(LstmStep),
    Gru(GruStep),
    Convert(ConvertStep),
    Int8Convolution(Int8ConvolutionStep),
    Int8Dense(Int8DenseStep),
    Int8Pool(Int8PoolStep),
    Int8GlobalPool(Int8GlobalPoolStep),
    Int8Add(Int8AddStep),
    }
    train {
    Repack(RepackStep),
    Unbatched(UnbatchedStep),
    Noise(NoiseStep),
    ActivationGradient(ActivationGradientStep),
    SoftmaxGradient(SoftmaxGradientStep),
    SoftmaxAlongGradient(SoftmaxAlongGradientStep),
    PReluGradient(PReluGradientStep),
    PReluSlope(PReluSlopeStep),
    NormalizeGradient(NormalizeGradientStep),
    ScatterSlice(ScatterSliceStep),
    WeightGradient(WeightGradientStep),
    InputGradient(InputGradientStep),
    DenseInputGradient(DenseInputGradientStep),
    DenseWeightGradient(DenseWeightGradientStep),
    BiasGradient(BiasGradientStep),
    EmbeddingGradient(EmbeddingGradientStep),
    PoolGradient(PoolGradientStep),
    GlobalPoolGradient(GlobalPoolGradientStep),
    ReduceGradient(ReduceGradientStep),
    UpscaleGradient(UpscaleGradientStep),
    ResizeGradient(ResizeGradientStep),
    PadGradient(PadGradientStep),
    MergeGradient(MergeGradientStep),
    BroadcastGradient(BroadcastGradientStep),
    GatedAverageGradient(GatedAverageGradientStep),
    GateGradient(GateGradientStep),
    BatchStatistics(BatchStatisticsStep),
    RunningStats(RunningStatsStep),
    BatchNorm(BatchNormStep),
    ScaleGradient(ScaleGradientStep),
    ChannelProduct(ChannelProductStep),
    BatchNormGradient(BatchNormGradientStep),
    FixedNormGradient(FixedNormGradientStep),
    GroupSums(GroupSumsStep),
    GroupNormGradient(GroupNormGradientStep),
    GroupScaleGradient(GroupScaleGradientStep),
    LayerNormGradient(LayerNormGradientStep),
    LayerScaleGradient(LayerScaleGradientStep),
    LocalResponseGradient(LocalResponseGradientStep),
    AttentionDropout(AttentionDropoutStep),
    AttentionGradient(AttentionGradientStep),
    RecurrentGates(RecurrentGatesStep),
    RecurrentInputGradient(RecurrentInputGradientStep),
    RecurrentGradient(RecurrentGradientStep),
    Loss(LossStep),
    LossGradient(LossGradientStep),
    Accumulate(AccumulateStep),
    GradientNorm(GradientNormStep),
    Update(UpdateStep),
    }
}

impl Kernel {
    /// See [`CheckedKernel::check`].
    ///
    /// # Errors
    /// What is invalid.
    pub fn check(&self) -> Result<(), &'static str> {
        self.checked().map_or(Ok(()), CheckedKernel::check)
    }

    /// See [`CheckedKernel::works_in_place`].
    pub fn works_in_place(&self) -> bool {
        self.checked().is_none_or(CheckedKernel::works_in_place)
    }

    /// Upper bound of the values that it multiplies, adds, copies, reads or writes per image, with this number of inputs.
    pub fn work(&self, inputs: usize) -> usize {
        let arithmetic = match self.checked() {
            Some(step) => step.work(),
            None => usize::try_from(self.executed_macs()).unwrap_or(BEYOND),
        };
        sum([arithmetic, self.sizes().floats(inputs)])
    }
}

/// Packs the parameters of a kernel after an update: see [`KernelStep::pack_into`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepackStep {
    kernel: Box<Kernel>,
    /// Lengths of the unpacked parameters.
    parameters: Vec<usize>,
}

impl RepackStep {
    /// Packs parameters of these lengths for `kernel`.
    pub fn new(kernel: Kernel, parameters: Vec<usize>) -> Self {
        Self { kernel: Box::new(kernel), parameters }
    }

    /// Floats of the packed parameters.
    pub fn floats(&self) -> usize {
        self.kernel.constants().into_iter().map(|len| len.next_multiple_of(CONSTANT_ALIGNMENT)).sum()
    }
}

impl KernelStep for RepackStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        self.kernel.pack_into(call.constants, call.output.data, call.scratch, call.threads);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("pack {} floats for {}", self.parameters.iter().sum::<usize>(), self.kernel.describe())
    }

    fn sizes(&self) -> Sizes {
        Sizes { inputs: Inputs::Fixed(Vec::new()), output: (1, self.floats()) }
    }

    fn constants(&self) -> Vec<usize> {
        self.parameters.clone()
    }

    fn scratch_len(&self, _: usize, _: usize) -> usize {
        self.kernel.pack_scratch_len()
    }
}

/// A kernel on unbatched tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnbatchedStep {
    pub kernel: Box<Kernel>,
}

impl KernelStep for UnbatchedStep {
    fn run(&self, call: Call<'_>) -> Result<(), KernelError> {
        self.kernel.run(Call { batch: 1, ..call })
    }

    fn describe(&self) -> String {
        self.kernel.describe()
    }

    fn sizes(&self) -> Sizes {
        self.kernel.sizes()
    }

    fn constants(&self) -> Vec<usize> {
        self.kernel.constants()
    }

    fn scratch_len(&self, _: usize, workers: usize) -> usize {
        self.kernel.scratch_len(1, workers)
    }
}
