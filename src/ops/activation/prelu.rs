//! `PRelu`: a rectifier whose slope below zero is learnt (He et al., 2015).

use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::training::{Backward, Forward};
use crate::graph::{
    Argument, AxisRule, Category, Definition, Initializer, Lowered, Lowering, NodeId, Operation, ParameterKind,
    ParameterSpec, Part, PartInput, ShapeError,
};
use crate::ops::dense::Dense;
use crate::plan::epilogue::Epilogue;
use crate::plan::kernel::Kernel;
use crate::plan::steps::dense::DenseStep;
use crate::plan::steps::gradient::pointwise_gradient::{PReluGradientStep, PReluSlopeStep};
use crate::plan::steps::prelu::PReluStep;
use crate::tensor::TensorType;
use ndarray::{ArrayD, IxDyn};
use std::any::Any;
use std::sync::Arc;

/// A rectifier with learnt slopes, alone or after a dense layer.
#[derive(Clone, Debug)]
pub struct PRelu {
    /// The dense layer before the function, if there is one.
    pub dense: Option<Dense>,
    /// The axes along which the slope differs, as in the spec: the batch is axis 0, negative ones count from the end.
    pub axes: Vec<i64>,
    pub alpha: Initializer,
}

/// `PRelu(64, alpha_axes=-1)`
pub static PRELU: Definition = Definition {
    name: "PRelu",
    aliases: &[],
    kind: "PRelu",
    category: Category::Activation,
    summary: "The rectifier with a learnt slope below zero, alone or after a dense layer.",
    arguments: &[
        Argument {
            name: "units",
            takes: "integer",
            default: Default::Absent("the function alone"),
            doc: "output features of the dense layer before the function",
        },
        Argument {
            name: "alpha_axes",
            takes: "integer or list of integers",
            default: Default::Int(-1),
            doc: "the axes along which the slope differs; the batch is axis 0 and cannot be one, negative ones count from the end",
        },
        Argument {
            name: "alpha",
            takes: "number or initialiser",
            default: Default::Float(0.25),
            doc: "initial slopes",
        },
        Argument {
            name: "bias",
            takes: "`true`, `false` or initialiser",
            default: Default::Bool(true),
            doc: "a bias per unit",
        },
        Argument {
            name: "weight",
            takes: "initialiser",
            default: Default::Absent("HeNormal(gain=2)"),
            doc: "initial weights",
        },
    ],
    details: "max(0, x) + alpha * min(0, x) (He et al., 2015, arXiv 1502.01852). With a size: (?, n) -> (?, units), the function of \
        x * weight + bias. Without one the shape stays. Parameters weight (n, units), bias (units), and alpha with the sizes of \
        alpha_axes in the order given: by default one slope per channel.",
    example: "Input(32x32x3) >> Conv(3x3, 16) >> PRelu >> Flatten >> PRelu(20) >> Softmax(10)",
    build: |arguments| {
        let units = arguments.given("units").map(|_| arguments.integer("units", 1)).transpose()?;
        let axes = arguments.given("alpha_axes").map_or(Some(vec![Some(-1)]), |value| value.sizes());
        let axes: Option<Vec<i64>> = axes.and_then(|axes| axes.into_iter().collect());
        let Some(axes) = axes.filter(|axes| !axes.is_empty() && !axes.contains(&0)) else {
            return Err(arguments.wrong("alpha_axes", "takes an axis or a list of axes, without the batch (0)"));
        };
        let alpha = arguments.initializer("alpha", Initializer::Constant(0.25))?;
        let weight = arguments.initializer("weight", Initializer::HeNormal { gain: 2.0 })?;
        let bias = arguments.bias("bias")?;
        let dense = units.map(|units| Dense::linear(units, weight, bias));
        Ok(Arc::new(PRelu { dense, axes, alpha }))
    },
};

impl PRelu {
    fn units(&self) -> Option<usize> {
        self.dense.as_ref().and_then(|dense| dense.units)
    }

    /// The axes for a tensor with this many sizes, counted without the batch.
    ///
    /// # Errors
    /// The invalid axis.
    pub fn resolve(&self, sizes: usize) -> Result<Vec<usize>, i64> {
        let mut found = Vec::with_capacity(self.axes.len());
        for &axis in &self.axes {
            let from_end = if axis < 0 { axis.saturating_add(sizes as i64) } else { axis.saturating_sub(1) };
            match usize::try_from(from_end) {
                Ok(place) if place < sizes && !found.contains(&place) => found.push(place),
                _ => return Err(axis),
            }
        }
        Ok(found)
    }

    /// The layer as its product and its function.
    fn parts(&self, dense: &Dense) -> Vec<Part> {
        let of_product = 1 + usize::from(dense.bias.is_some());
        let inputs = vec![PartInput::Layer(0)];
        let product =
            Part { name: "product", operation: Arc::new(dense.clone()), inputs, parameters: (0..of_product).collect() };
        let operation = Arc::new(PRelu { dense: None, ..self.clone() });
        let inputs = vec![PartInput::Part(0)];
        vec![product, Part { name: "function", operation, inputs, parameters: vec![of_product] }]
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let Some(dense) = &self.dense else { return Ok(inputs[0].clone()) };
        dense.infer(inputs).map_err(|mut error| {
            // The dense layer's error has its own name.
            error.message = error.message.replace("Dense(", "PRelu(");
            error.help = error.help.map(|help| help.replace("Dense(", "PRelu("));
            error
        })
    }

    fn places(&self, output: &TensorType) -> Result<Vec<usize>, ShapeError> {
        self.resolve(output.sizes.len()).map_err(|axis| {
            ShapeError::new(
                Code::WrongRank,
                format!("`PRelu` cannot have slopes along axis {axis} of {output}"),
                format!("takes each axis once, from 1 to {} or from -1 down", output.sizes.len()),
            )
        })
    }
}

impl Operation for PRelu {
    fn definition(&self) -> &'static Definition {
        &PRELU
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list: Vec<_> = self.units().map(|units| ("units", units.to_string())).into_iter().collect();
        match self.axes[..] {
            [-1] => {}
            [axis] => list.push(("alpha_axes", axis.to_string())),
            _ => list.push(("alpha_axes", format!("{:?}", self.axes))),
        }
        if self.dense.as_ref().is_some_and(|dense| dense.bias.is_none()) {
            list.push(("bias", "false".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let output = self.output(inputs)?;
        self.places(&output)?;
        Ok(output)
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let output = self.output(inputs)?;
        let mut specs = match &self.dense {
            Some(dense) => dense.parameters(inputs)?,
            None => Vec::new(),
        };
        let shape: Option<Vec<usize>> =
            self.places(&output)?.into_iter().map(|place| output.sizes[place].known()).collect();
        let shape = shape.ok_or_else(|| {
            ShapeError::new(
                Code::OpenSize,
                "`PRelu` must know the sizes that its slopes differ along",
                format!("its parameters depend on them, and its output is {output}"),
            )
            .help("give the size a number in `Input`")
        })?;
        let kind = if self.axes == [-1] { ParameterKind::Vector } else { ParameterKind::Values };
        specs.push(ParameterSpec::new("alpha", kind, &shape, self.alpha));
        Ok(specs)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        self.dense.as_ref().map_or(0, |dense| dense.macs(inputs))
    }

    fn axis_rule(&self, inputs: &[&TensorType]) -> AxisRule {
        match (&self.dense, &self.axes[..]) {
            (Some(_), _) if inputs[0].sizes.len() > 1 => AxisRule::Steps,
            (Some(_), _) => AxisRule::Features,
            (None, [-1]) => AxisRule::of_channels(inputs[0]),
            (None, _) => AxisRule::Pointwise,
        }
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let Some((alpha, rest)) = parameters.split_last() else { return inputs[0].clone() };
        let mut y = self.dense.as_ref().map_or_else(|| inputs[0].clone(), |dense| dense.evaluate(inputs, rest));
        let Ok(places) = self.resolve(y.ndim().saturating_sub(1)) else { return y };
        for (at, value) in y.indexed_iter_mut() {
            let slope: Vec<usize> = places.iter().map(|&place| at[place + 1]).collect();
            if *value < 0.0 {
                *value *= alpha[IxDyn(&slope)];
            }
        }
        y
    }

    fn lower(&self, cx: &Lowering) -> Result<Lowered, String> {
        let input = &cx.inputs[0];
        let sizes = self.units().map_or_else(|| input.clone(), |units| vec![units]);
        let axes = self.resolve(sizes.len()).map_err(|axis| format!("there is no axis {axis}"))?;
        let dense = self
            .dense
            .as_ref()
            .map(|dense| DenseStep::new(input.iter().product(), sizes[0], dense.bias.is_some(), Epilogue::default()));
        let alone = dense.is_none();
        let kernel = Kernel::PRelu(PReluStep { dense, sizes, axes });
        Ok(if alone { Lowered::InPlace(kernel) } else { Lowered::Step(kernel) })
    }

    /// On a sequence the product has a step of its own.
    fn decompose(&self, inputs: &[&TensorType]) -> Option<Vec<Part>> {
        self.dense.as_ref().filter(|_| inputs[0].sizes.len() > 1).map(|dense| self.parts(dense))
    }

    /// The product and the function become two layers.
    fn train(&self, cx: &mut Forward<'_>) -> Result<NodeId, String> {
        match &self.dense {
            Some(dense) => cx.add_parts(&self.parts(dense)),
            None => cx.add_unchanged(),
        }
    }

    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        let Lowered::InPlace(Kernel::PRelu(layer)) = self.lower(&cx.lowering())? else { return Ok(()) };
        let (x, dy, alpha) = (cx.layer.inputs[0], cx.gradient, cx.layer.parameters.clone());
        let back = PReluGradientStep { layer: layer.clone() };
        // The gradient by the slopes reads dy too, so it is not overwritten.
        cx.grad_input(0, Kernel::PReluGradient(back), &[dy, x], &alpha);
        cx.grad_parameter(0, Kernel::PReluSlope(PReluSlopeStep { layer }), &[x, dy]);
        Ok(())
    }

    fn category(&self) -> Category {
        if self.dense.is_some() { Category::Dense } else { Category::Activation }
    }

    fn keeps_values(&self) -> bool {
        self.dense.is_none()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
