//! [`StepwiseDense`]: what a dense layer is on a sequence, the same product for each step. It is computed as a 1x1
//! convolution over the steps, whose weight has the same values in the same order.

use crate::graph::training::Backward;
use crate::graph::{
    AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind, ParameterSpec,
    ShapeError, Supports,
};
use crate::ops::convolution::Convolution;
use crate::ops::convolution::window::{Padding, Sliding, known_channels};
use crate::size::product;
use crate::tensor::{Size, TensorType};
use ndarray::{Array2, ArrayD, Ix1, Ix2, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A dense layer of each step of a sequence, `(?, t, n) -> (?, t, units)`, without a function.
#[derive(Clone, Debug)]
pub struct StepwiseDense {
    /// The layer that it is a part of.
    pub definition: &'static Definition,
    pub units: usize,
    pub weight: Initializer,
    pub bias: Option<Initializer>,
}

impl StepwiseDense {
    /// The same values as a 1x1 convolution over an image of one row.
    fn convolution(&self) -> Convolution {
        let window = Sliding { size: [1, 1], stride: [1, 1], dilation: [1, 1], padding: Padding::Valid, ceil: false };
        let StepwiseDense { units: filters, weight, bias, .. } = *self;
        Convolution { window, single: false, filters, groups: 1, weight, bias, depthwise: false }
    }
}

/// The weight `(features, units)` and the bias `(units)` of a dense layer.
///
/// # Errors
/// If the number of features is open.
pub fn dense_parameters(
    layer: &str,
    input: &TensorType,
    units: usize,
    weight: Initializer,
    bias: Option<Initializer>,
) -> Result<Vec<ParameterSpec>, ShapeError> {
    let features = known_channels(layer, input)?;
    let mut specs = vec![ParameterSpec::new("weight", ParameterKind::Matrix, &[features, units], weight)];
    specs.extend(bias.map(|bias| ParameterSpec::new("bias", ParameterKind::Vector, &[units], bias)));
    Ok(specs)
}

/// x * weight + bias over the last axis, by plain loops; x as it is where the shapes do not fit.
pub fn dense_product(x: &ArrayD<f64>, parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
    let [weight, rest @ ..] = parameters else { return x.clone() };
    let features = x.shape().last().copied().unwrap_or(1);
    let rows = x.len() / features.max(1);
    let matrix = x.as_standard_layout().into_owned().into_shape_with_order((rows, features));
    let (Ok(matrix), Ok(weight)) = (matrix, weight.view().into_dimensionality::<Ix2>()) else { return x.clone() };
    // Plain loops, not `dot`: OpenBLAS is built for f32 only.
    let mut product = Array2::zeros((rows, weight.ncols()));
    for (row, mut sums) in matrix.rows().into_iter().zip(product.rows_mut()) {
        for (value, weights) in row.iter().zip(weight.rows()) {
            sums.scaled_add(*value, &weights);
        }
    }
    if let Some(Ok(bias)) = rest.first().map(|bias| bias.view().into_dimensionality::<Ix1>()) {
        product += &bias;
    }
    let shape: Vec<usize> = x.shape()[..x.ndim() - 1].iter().copied().chain([weight.ncols()]).collect();
    product.into_dyn().into_shape_with_order(IxDyn(&shape)).unwrap_or_else(|_| x.clone())
}

impl Operation for StepwiseDense {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("units", self.units.to_string())];
        if self.bias.is_none() {
            list.push(("bias", "false".into()));
        }
        list
    }

    /// A dense layer has checked that its input is a sequence.
    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let mut sizes = inputs[0].sizes.clone();
        if let Some(last) = sizes.last_mut() {
            *last = Size::Known(self.units);
        }
        Ok(TensorType::batched(sizes))
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        dense_parameters(self.definition.name, inputs[0], self.units, self.weight, self.bias)
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Steps
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        inputs[0].len().map_or(0, |len| product([len, self.units]) as u64)
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        dense_product(inputs[0], parameters)
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        self.convolution().lower(&as_image(cx)?)
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let geometry = self.convolution().geometry(&as_image(&cx.lowering())?)?;
        Convolution::add_gradients(geometry, cx);
        Ok(())
    }

    fn category(&self) -> Category {
        Category::Dense
    }

    fn supports(&self) -> Supports {
        Supports { activation: true, residual: true, ..Supports::default() }
    }

    fn with_foldable_bias(&self) -> Option<Arc<dyn Operation>> {
        Some(Arc::new(StepwiseDense { bias: Some(Initializer::Constant(0.0)), ..self.clone() }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The lowering of a sequence as an image of one row.
fn as_image(cx: &Lowering) -> Result<Lowering, String> {
    match cx.inputs[0][..] {
        [steps, features] => {
            Ok(Lowering { inputs: vec![vec![1, steps, features]], epilogue: cx.epilogue, exact: cx.exact })
        }
        _ => Err("its input is not a sequence".into()),
    }
}
