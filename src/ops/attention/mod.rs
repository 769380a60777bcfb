//! `Attention`: multi-head attention with its projections (Vaswani et al., 2017).

mod dot_product;

use self::dot_product::DotProductAttention;
use super::dense::Dense;
use super::dense::stepwise_dense::dense_product;
use super::sequence::sequence_sizes;
use crate::diagnostics::Code;
use crate::graph::signature::definition::Default;
use crate::graph::{
    Argument, Arity, AxisRule, Category, Definition, Initializer, Lowered, Lowering, Operation, ParameterKind,
    ParameterSpec, Part, PartInput, ShapeError,
};
use crate::ops::convolution::window::known_channels;
use crate::size::product;
use crate::tensor::TensorType;
use ndarray::ArrayD;
use std::any::Any;
use std::sync::Arc;

/// Multi-head attention of a sequence to itself, or to a second one.
#[derive(Clone, Debug)]
pub struct Attention {
    pub heads: usize,
    pub causal: bool,
    /// The fraction of normalised scores that training drops.
    pub dropout: f64,
    pub bias: Option<Initializer>,
    pub weight: Initializer,
}

/// `Attention(8)`
pub static ATTENTION: Definition = Definition {
    name: "Attention",
    aliases: &["MultiHeadAttention"],
    kind: "Attention",
    category: Category::Dense,
    summary: "Multi-head attention: each step takes a weighted mean of projections of all steps.",
    arguments: &[
        Argument {
            name: "heads",
            takes: "integer",
            default: Default::Required,
            doc: "number of heads, a divisor of the features",
        },
        Argument {
            name: "causal",
            takes: "`true` or `false`",
            default: Default::Bool(false),
            doc: "whether a step sees only itself and the steps before it",
        },
        Argument {
            name: "dropout",
            takes: "number from 0 to 1",
            default: Default::Int(0),
            doc: "the fraction of weights that training drops",
        },
        Argument {
            name: "bias",
            takes: "`true`, `false` or initialiser",
            default: Default::Bool(true),
            doc: "biases of all projections",
        },
        Argument {
            name: "weight",
            takes: "initialiser",
            default: Default::Absent("XavierUniform(gain=2)"),
            doc: "initial weights of the projections",
        },
    ],
    details: "(?, t, f) -> (?, t, f). Queries q, keys k and values v are dense projections of each step, split into heads of d = f / heads features; \
        a head gives softmax(q k^T / sqrt(d)) v, and the heads beside each other are projected once more (Vaswani et al., 2017, arXiv \
        1706.03762). With two inputs, `(x | memory)`, keys and values are of the second, (?, s, m). A third, `(x | memory | mask)`, is not 0 \
        where a key is seen: (?, s) for all queries, or (?, t, s), as Keras' attention_mask and the opposite of PyTorch's key_padding_mask; \
        a step that sees nothing gives 0 before the last projection. `(x | x | mask)` masks a sequence's attention to itself. \
        Parameters as torch.nn.MultiheadAttention's: in_proj_weight (f, 3 f) for queries, keys and values, in_proj_bias (3 f), out_proj_weight \
        (f, f), out_proj_bias (f); with several inputs q_proj_weight (f, f) and kv_proj_weight (m, 2 f) in place of the first, with biases. \
        Weights named as by timm (qkv, proj), by Hugging Face (q_proj, k_proj, v_proj, out_proj; in BERT self.query, self.key, self.value, \
        output.dense) and by Keras (query, key, value, attention_output) bind too.",
    example: "Input(16x32) >> (Identity | LayerNorm >> Attention(4)) >> Add >> Flatten >> Softmax(10)",
    build: |arguments| {
        let dropout = arguments.number_within("dropout", 0.0, 1.0)?;
        if dropout >= 1.0 {
            return Err(arguments.wrong("dropout", "must be below 1: nothing would be left"));
        }
        Ok(Arc::new(Attention {
            heads: arguments.integer("heads", 1)?,
            causal: arguments.boolean("causal")?,
            dropout,
            bias: arguments.bias("bias")?,
            weight: arguments.initializer("weight", Initializer::XavierUniform { gain: 2.0 })?,
        }))
    },
};

impl Attention {
    /// Whether keys and values come from a second input.
    fn has_memory(inputs: usize) -> bool {
        inputs > 1
    }

    /// The projections before the scores: the input of each, its role, and its outputs in features.
    fn projections(inputs: usize) -> &'static [(usize, [&'static str; 2], usize)] {
        match Attention::has_memory(inputs) {
            false => &[(0, ["in_proj_weight", "in_proj_bias"], 3)],
            true => &[(0, ["q_proj_weight", "q_proj_bias"], 1), (1, ["kv_proj_weight", "kv_proj_bias"], 2)],
        }
    }

    /// Parameters of a projection.
    fn parameters_of_each(&self) -> usize {
        1 + usize::from(self.bias.is_some())
    }

    fn core(&self, inputs: usize, features: usize) -> DotProductAttention {
        let Attention { heads, causal, dropout, .. } = *self;
        let memory = Attention::has_memory(inputs);
        DotProductAttention { definition: &ATTENTION, heads, features, causal, dropout, memory }
    }
}

impl Operation for Attention {
    fn definition(&self) -> &'static Definition {
        &ATTENTION
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut list = vec![("heads", self.heads.to_string())];
        if self.causal {
            list.push(("causal", "true".into()));
        }
        if self.dropout > 0.0 {
            list.push(("dropout", self.dropout.to_string()));
        }
        if self.bias.is_none() {
            list.push(("bias", "false".into()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let (steps, features) = sequence_sizes("Attention", inputs[0], "its input")?;
        if let Some(features) = features.known().filter(|features| features % self.heads != 0) {
            return Err(ShapeError::new(
                Code::Channels,
                format!("{features} features cannot be split into {} heads", self.heads),
                format!("heads={} over {}", self.heads, inputs[0]),
            ));
        }
        let keys = match inputs.get(1) {
            Some(memory) => sequence_sizes("Attention", memory, "the second").map_err(|error| error.at_input(1))?.0,
            None => steps,
        };
        if let Some(mask) = inputs.get(2) {
            let fits = match mask.sizes[..] {
                [seen] => seen.agrees(keys),
                [rows, seen] => rows.agrees(steps) && seen.agrees(keys),
                _ => false,
            };
            if !fits {
                let message = format!("the mask of `Attention` is {mask}");
                let expected = format!("expects (?, {keys}) for all queries, or (?, {steps}, {keys})");
                return Err(ShapeError::new(Code::MergeMismatch, message, expected).at_input(2));
            }
        }
        if inputs.len() > 3 {
            return Err(ShapeError::new(
                Code::MergeMismatch,
                format!("`Attention` takes one to three branches, but gets {}", inputs.len()),
                "expects `(x | memory | mask)`",
            ));
        }
        Ok(inputs[0].clone())
    }

    fn parameters(&self, inputs: &[&TensorType]) -> Result<Vec<ParameterSpec>, ShapeError> {
        let features = known_channels("Attention", inputs[0])?;
        let mut specs = Vec::new();
        let mut add = |[weight, bias]: [&'static str; 2], from: usize, to: usize| {
            specs.push(ParameterSpec::new(weight, ParameterKind::Matrix, &[from, to], self.weight));
            specs.extend(self.bias.map(|initial| ParameterSpec::new(bias, ParameterKind::Vector, &[to], initial)));
        };
        for &(input, roles, outputs) in Attention::projections(inputs.len()) {
            add(roles, known_channels("Attention", inputs[input])?, product([outputs, features]));
        }
        add(["out_proj_weight", "out_proj_bias"], features, features);
        Ok(specs)
    }

    fn macs(&self, inputs: &[&TensorType]) -> u64 {
        let Some(features) = inputs[0].channels().known() else { return 0 };
        let of = |input: usize, outputs: usize| {
            inputs[input].len().map_or(0, |len| product([len, outputs, features]) as u64)
        };
        let projections = Attention::projections(inputs.len()).iter().map(|&(input, _, outputs)| of(input, outputs));
        let core = self.core(inputs.len(), features);
        projections.chain([of(0, 1), core.macs(inputs)]).fold(0, u64::saturating_add)
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Steps
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], parameters: &[&ArrayD<f64>]) -> ArrayD<f64> {
        let features = inputs[0].shape().last().copied().unwrap_or(1);
        let mut of_projections = parameters.chunks(self.parameters_of_each());
        let mut projected = Vec::with_capacity(inputs.len());
        for &(input, ..) in Attention::projections(inputs.len()) {
            projected.push(dense_product(inputs[input], of_projections.next().unwrap_or_default()));
        }
        let operands: Vec<&ArrayD<f64>> = projected.iter().chain(inputs.get(2).copied()).collect();
        let y = self.core(inputs.len(), features).evaluate(&operands, &[]);
        dense_product(&y, of_projections.next().unwrap_or_default())
    }

    /// Projections of each step, the products of the heads, and the output's projection.
    fn decompose(&self, inputs: &[&TensorType]) -> Option<Vec<Part>> {
        let features = inputs[0].channels().known()?;
        let each = self.parameters_of_each();
        let dense = |units: usize| Arc::new(Dense::linear(units, self.weight, self.bias));
        let mut parts = Vec::new();
        for &(input, [role, _], outputs) in Attention::projections(inputs.len()) {
            let first = parts.len() * each;
            parts.push(Part {
                name: role.trim_end_matches("_weight"),
                operation: dense(product([outputs, features])),
                inputs: vec![PartInput::Layer(input)],
                parameters: (first..first + each).collect(),
            });
        }
        let core = parts.len();
        let mask = (inputs.len() > 2).then_some(PartInput::Layer(2));
        parts.push(Part {
            name: "heads",
            operation: Arc::new(self.core(inputs.len(), features)),
            inputs: (0..core).map(PartInput::Part).chain(mask).collect(),
            parameters: Vec::new(),
        });
        let inputs = vec![PartInput::Part(core)];
        let parameters = (core * each..(core + 1) * each).collect();
        parts.push(Part { name: "out_proj", operation: dense(features), inputs, parameters });
        Some(parts)
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Err("its features are open".into())
    }

    fn arity(&self) -> Arity {
        Arity::Many
    }

    fn is_stochastic(&self) -> bool {
        self.dropout > 0.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
