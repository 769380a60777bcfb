//! Batch normalisation.

use crate::diagnostics::Diagnostic;
use crate::graph::signature::definition::Default;
use crate::graph::training::{Backward, Forward, pixels_channels, unbatched};
use crate::graph::{
    Affine, Argument, Arguments, AxisRule, Category, Definition, FusionRole, Initializer, Lowered, Lowering, NodeId,
    Operation, ParameterKind, ParameterSpec, ShapeError, Supports, ValueKind,
};
use crate::kernels::elementwise::activation::Activation;
use crate::ops::convolution::window::known_channels;
use crate::plan::kernel::Kernel;
use crate::plan::steps::gradient::norm_gradient::{
    BatchNormGradientStep, BatchNormStep, BatchStatisticsStep, FixedNormGradientStep, RunningStatsStep,
    ScaleGradientStep,
};
use crate::plan::steps::norm::NormStep;
use crate::tensor::TensorType;
use ndarray::ArrayD;
use std::any::Any;
use std::sync::Arc;

/// Batch normalisation over the last axis.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Weight of a batch in the running statistics.
    pub alpha: f64,
    pub epsilon: f64,
    /// Initialisers of shift and scale; `None` for a missing one: a constant zero or one, not trained and not stored in files.
    pub beta: Option<Initializer>,
    pub gamma: Option<Initializer>,
}

/// The initialiser of an optional parameter; `None` for false.
fn optional(arguments: &Arguments, name: &str, default: f64) -> Result<Option<Initializer>, Diagnostic> {
    match arguments.given(name).map(|value| &value.kind) {
        Some(ValueKind::Bool(false)) => Ok(None),
        Some(ValueKind::Bool(true)) => Ok(Some(Initializer::Constant(default))),
        _ => arguments.initializer(name, Initializer::Constant(default)).map(Some),
    }
}

/// `BatchNorm`
pub static BATCH_NORM: Definition = Definition {
    name: "BatchNorm",
    aliases: &["BN", "BatchNormalization"],
    kind: "BatchNorm",
    category: Category::Norm,
    summary: "Normalises each channel by the statistics of the batch, or at inference by the stored ones.",
    arguments: &[
        Argument {
            name: "alpha",
            takes: "number",
            default: Default::Float(0.1),
            doc: "weight of a batch in the running statistics",
        },
        Argument { name: "epsilon", takes: "number", default: Default::Float(1e-5), doc: "added to the variance" },
        Argument {
            name: "beta",
            takes: "number, initialiser or `false`",
            default: Default::Int(0),
            doc: "initial shift; false for none",
        },
        Argument {
            name: "gamma",
            takes: "number, initialiser or `false`",
            default: Default::Int(1),
            doc: "initial scale; false for none",
        },
    ],
    details: "gamma * (x - running_mean) * running_inv_std + beta, per channel: over the batch and all pixels of an image or steps of a sequence. As in NeuPy the stored statistic is the inverse standard deviation, \
        1 / sqrt(variance + epsilon), of variances averaged over batches (divided by the number of values, as Keras does; PyTorch divides by one less); Keras' variances are converted when they are bound. Parameters running_mean, running_inv_std, gamma, beta of shape (1, …, 1, c).",
    example: "Input(32x32x3) >> Conv(3x3, 16, bias=false) >> BatchNorm >> Relu",
    build: |arguments| {
        Ok(Arc::new(BatchNorm {
            alpha: arguments.number_within("alpha", 0.0, 1.0)?,
            epsilon: arguments.number_within("epsilon", 0.0, 1.0)?,
            beta: optional(arguments, "beta", 0.0)?,
            gamma: optional(arguments, "gamma", 1.0)?,
        }))
    },
};

impl Operation for BatchNorm {
    fn definition(&self) -> &'static Definition {
        &BATCH_NORM
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = Vec::new();
        if self.epsilon != 1e-5 {
            list.push(("epsilon", self.epsilon.to_string()));
        }
        for (name, part) in [("beta", self.beta), ("gamma", self.gamma)] {
            if part.is_none() {
                list.push((name, "false".into()));
            }
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        Ok(inputs[0].clone())
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let mut shape = vec![1; inputs[0].rank()];
        if let Some(last) = shape.last_mut() {
            *last = known_channels("BatchNorm", inputs[0])?;
        }
        // A missing one is a constant: see `Parameter::is_fixed`.
        let part = |role: &'static str, initializer: Option<Initializer>, fixed: f64| match initializer {
            Some(initializer) => ParameterSpec::new(role, ParameterKind::Vector, &shape, initializer),
            None => ParameterSpec::gathered(role, &shape, fixed),
        };
        Ok(vec![
            ParameterSpec::gathered("running_mean", &shape, 0.0),
            ParameterSpec::gathered("running_inv_std", &shape, 1.0),
            part("gamma", self.gamma, 1.0),
            part("beta", self.beta, 0.0),
        ])
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        // The file's framework normalises the channels of an image or a sequence too, not its last axis.
        AxisRule::of_channels(inputs[0])
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let [mean, inv_std, gamma, beta] = parameters else { return inputs[0].clone() };
        (inputs[0] - *mean) * *inv_std * *gamma + *beta
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::InPlace(Kernel::Norm(NormStep::of_sizes(&cx.inputs[0], cx.epilogue.activation))))
    }

    /// It normalises by the batch and updates the running statistics; a frozen one uses the stored ones.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        if cx.frozen {
            return cx.add_unchanged();
        }
        let (pixels, channels) = pixels_channels(&cx.sizes(0));
        let (x, running, scale) = (cx.inputs[0], cx.parameters[..2].to_vec(), cx.parameters[2..].to_vec());
        let statistics = BatchStatisticsStep { pixels, channels, epsilon: self.epsilon as f32 };
        let statistics = Lowered::Step(Kernel::BatchStatistics(statistics));
        let statistics = cx.add_step("statistics", unbatched(&[2 * channels]), statistics, &[x], &[], 0);
        let gather = Lowered::Step(Kernel::RunningStats(RunningStatsStep { channels, alpha: self.alpha as f32 }));
        cx.add_step("running", unbatched(&[1]), gather, &[statistics], &running, 2);
        let output = cx.graph.node(x).output.clone();
        let norm = Lowered::Step(Kernel::BatchNorm(BatchNormStep { pixels, channels, activation: Activation::Linear }));
        let node = cx.add_step("", output, norm, &[x, statistics], &scale, 0);
        Ok(cx.record(node, vec![statistics]))
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let (x, dy, parameters) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters.clone());
        let (pixels, channels) = cx.pixels_channels(0);
        let Some(&statistics) = cx.layer.saved.first() else {
            let layer = NormStep { pixels, channels, activation: Activation::Linear };
            let back = FixedNormGradientStep { layer };
            cx.grad_input_in_place(0, Kernel::FixedNormGradient(back), &[dy], &parameters);
            return Ok(());
        };
        let step = Lowered::Step(Kernel::ScaleGradient(ScaleGradientStep { pixels, channels }));
        let scales = cx.add_step("scale", unbatched(&[2 * channels]), step, &[x, dy, statistics], &[]);
        let back = Kernel::BatchNormGradient(BatchNormGradientStep { pixels, channels });
        cx.grad_input(0, back, &[x, dy, statistics, scales], &parameters[2..]);
        cx.grad_parameter_slice(2, scales, 0);
        cx.grad_parameter_slice(3, scales, channels);
        Ok(())
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        FusionRole::Affine(self)
    }

    fn epsilon(&self) -> Option<f64> {
        Some(self.epsilon)
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, ..Supports::default() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Affine for BatchNorm {
    fn scale_shift(&self, parameters: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
        let [mean, inv_std, gamma, beta] = parameters else { return (Vec::new(), Vec::new()) };
        let scale: Vec<f64> = gamma.iter().zip(inv_std).map(|(gamma, inv_std)| gamma * inv_std).collect();
        let shift = beta.iter().zip(mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
        (scale, shift)
    }
}
