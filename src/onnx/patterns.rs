//! Functions that exporters write out, as the one operator that they are: swish, hard swish, hard sigmoid, GELU, layer
//! normalisation.

use super::constants::Constants;
use super::model::{Graph, Node, Value};
use std::collections::HashMap;

/// The graph with its patterns replaced; what they consisted of is gone where nothing else needs it.
pub(super) fn recognised(graph: &mut Graph, constants: &Constants) {
    for root in 0..graph.nodes.len() {
        let pattern = Pattern { graph, constants };
        if let Some((op, inputs, attributes)) = pattern.at(root) {
            let node = &mut graph.nodes[root];
            node.op = op.into();
            node.inputs = inputs;
            node.attributes = attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        }
    }
}

/// An operator, its inputs and attributes.
type Found = (&'static str, Vec<String>, Vec<(&'static str, Value)>);

struct Pattern<'g> {
    graph: &'g Graph,
    constants: &'g Constants<'g>,
}

/// Makers and numbers of users of values are looked up near a root: patterns are short.
const NEAR: usize = 64;

impl Pattern<'_> {
    fn at(&self, root: usize) -> Option<Found> {
        let node = &self.graph.nodes[root];
        if !node.domain.is_empty() || node.outputs.len() != 1 {
            return None;
        }
        match node.op.as_str() {
            "Mul" => self.product(root),
            "Div" => self.product(root).or_else(|| self.unit_length(root)),
            "Add" => self.layer_norm(root).or_else(|| self.group_norm(root)),
            "Gather" => self.strided(root),
            _ => None,
        }
    }

    /// The node of an operator that makes a value, somewhat before `root`.
    fn maker(&self, root: usize, value: &str, op: &str) -> Option<usize> {
        let from = root.saturating_sub(NEAR);
        let found = self.graph.nodes[from..root].iter().rposition(|node| node.output() == value)?;
        let node = &self.graph.nodes[from + found];
        (node.op == op && node.domain.is_empty()).then_some(from + found)
    }

    /// Division by the length along an axis, and at least by some small number: PyTorch's `normalize`.
    fn unit_length(&self, root: usize) -> Option<Found> {
        let node = &self.graph.nodes[root];
        let made = |value: &str, op| self.maker(root, value, op).map(|at| &self.graph.nodes[at]);
        let divisor = node.input(1)?;
        let divisor = made(divisor, "Expand").and_then(|node| node.input(0)).unwrap_or(divisor);
        let clip = made(divisor, "Clip")?;
        let length = made(clip.input(0)?, "ReduceL2")?;
        let [least, most] = bounds(clip, self.constants)?;
        let axes = length.ints("axes").map(<[i64]>::to_vec).or_else(|| self.constants.integers(length.input(1)?))?;
        let &[axis] = &axes[..] else { return None };
        let fits = length.input(0) == node.input(0) && length.int("keepdims", 1) != 0 && least > 0.0 && most > 1e30;
        let attributes =
            vec![("axis", Value::Int(axis)), ("p", Value::Int(2)), ("epsilon", Value::Float(least as f32))];
        fits.then(|| ("LpNormalization", vec![node.inputs[0].clone()], attributes))
    }

    /// All values in a row, taken one after another in another shape: a view of PyTorch that its exporter could not name.
    fn strided(&self, root: usize) -> Option<Found> {
        let node = &self.graph.nodes[root];
        let flat = &self.graph.nodes[self.maker(root, node.input(0)?, "Reshape")?];
        let indices = self.constants.get(node.input(1)?)?;
        let places = self.constants.integers(node.input(1)?)?;
        let in_a_row = self.constants.integers(flat.input(1)?).is_some_and(|shape| shape.len() == 1);
        let all = places.iter().enumerate().all(|(at, &place)| place == at as i64);
        let shape = indices.shape.iter().map(|&size| size as i64).collect();
        (in_a_row && all && node.int("axis", 0) == 0 && indices.shape.len() > 1)
            .then(|| ("Reshape", vec![flat.inputs[0].clone()], vec![("shape", Value::Ints(shape))]))
    }

    /// Groups of channels normalised as channels of another shape, then a scale and a shift for each channel: as PyTorch writes
    /// group normalisation.
    fn group_norm(&self, root: usize) -> Option<Found> {
        let made = |value: &str, op| self.maker(root, value, op).map(|at| &self.graph.nodes[at]);
        let (scaled, beta) = self.with_constant(root)?;
        let scaled = self.maker(root, &scaled, "Mul")?;
        let (values, gamma) = self.with_constant(scaled)?;
        let normalised = made(made(&values, "Reshape")?.input(0)?, "InstanceNormalization")?;
        let groups = made(normalised.input(0)?, "Reshape")?;
        let all = |index: usize, wanted: f64| {
            let values = normalised.input(index).and_then(|name| self.constants.values(name));
            values.is_some_and(|values| values.iter().all(|&value| value == wanted))
        };
        let &[_, count, _] = &self.constants.integers(groups.input(1)?)?[..] else { return None };
        (all(1, 1.0) && all(2, 0.0) && count > 0).then(|| {
            let epsilon = Value::Float(normalised.float("epsilon", 1e-5));
            let attributes = vec![("num_groups", Value::Int(count)), ("epsilon", epsilon)];
            ("GroupNormalization", vec![groups.inputs[0].clone(), gamma, beta], attributes)
        })
    }

    /// The value and the constant of a node that has one of each.
    fn with_constant(&self, at: usize) -> Option<(String, String)> {
        let [a, b] = &self.graph.nodes[at].inputs[..] else { return None };
        match (self.constants.get(a), self.constants.get(b)) {
            (None, Some(_)) => Some((a.clone(), b.clone())),
            (Some(_), None) => Some((b.clone(), a.clone())),
            _ => None,
        }
    }

    fn is(&self, value: Option<f64>, wanted: f64) -> bool {
        value.is_some_and(|value| (value - wanted).abs() <= wanted.abs() * 1e-4)
    }

    fn scalar(&self, node: &Node, index: usize) -> Option<f64> {
        self.constants.scalar(node.input(index)?)
    }

    /// The factors of a product and the constant that it is multiplied by, through products that it is made of.
    fn factors(&self, root: usize, value: &str, depth: usize, factors: &mut Vec<String>) -> f64 {
        if let Some(constant) = self.constants.scalar(value) {
            return constant;
        }
        let multiply = self.maker(root, value, "Mul").filter(|_| depth > 0);
        if let Some(at) = multiply {
            let node = &self.graph.nodes[at];
            return node.inputs.iter().map(|input| self.factors(root, input, depth - 1, factors)).product();
        }
        let divide = self.maker(root, value, "Div").filter(|_| depth > 0);
        if let Some(at) = divide
            && let Some(divisor) = self.scalar(&self.graph.nodes[at], 1)
        {
            return self.factors(root, &self.graph.nodes[at].inputs[0], depth - 1, factors) / divisor;
        }
        factors.push(value.to_string());
        1.0
    }

    fn product(&self, root: usize) -> Option<Found> {
        let node = &self.graph.nodes[root];
        let mut factors = Vec::new();
        let constant = match node.op.as_str() {
            "Div" => self.factors(root, node.input(0)?, 3, &mut factors) / self.scalar(node, 1)?,
            _ => node.inputs.iter().map(|input| self.factors(root, input, 3, &mut factors)).product(),
        };
        match &factors[..] {
            [clipped] if self.is(Some(constant), 1.0 / 6.0) => {
                let x = self.clipped(root, clipped)?;
                Some(("HardSigmoid", vec![x], vec![("alpha", Value::Float(1.0 / 6.0)), ("beta", Value::Float(0.5))]))
            }
            [a, b] => [(a, b), (b, a)].into_iter().find_map(|(x, gate)| self.gated(root, x, gate, constant)),
            _ => None,
        }
    }

    /// What `x` times a function of it is.
    fn gated(&self, root: usize, x: &String, gate: &str, constant: f64) -> Option<Found> {
        let of_x = |op| {
            let node = self.maker(root, gate, op).map(|at| &self.graph.nodes[at])?;
            (node.input(0) == Some(x)).then_some(node)
        };
        if self.is(Some(constant), 1.0) && of_x("Sigmoid").is_some() {
            return Some(("Swish", vec![x.clone()], Vec::new()));
        }
        if self.is(Some(constant), 1.0)
            && let Some(node) = of_x("HardSigmoid")
            && self.is(Some(f64::from(node.float("alpha", 0.2))), 1.0 / 6.0)
            && self.is(Some(f64::from(node.float("beta", 0.5))), 0.5)
        {
            return Some(("HardSwish", vec![x.clone()], Vec::new()));
        }
        if self.is(Some(constant), 1.0 / 6.0) && self.clipped(root, gate).as_ref() == Some(x) {
            return Some(("HardSwish", vec![x.clone()], Vec::new()));
        }
        if self.is(Some(constant), 0.5) && self.erf(root, gate).as_ref() == Some(x) {
            return Some(("Gelu", vec![x.clone()], Vec::new()));
        }
        None
    }

    /// The value and the constant of a sum.
    fn plus(&self, root: usize, value: &str) -> Option<(String, f64)> {
        let node = &self.graph.nodes[self.maker(root, value, "Add")?];
        [(0, 1), (1, 0)]
            .into_iter()
            .find_map(|(x, constant)| Some((node.input(x)?.to_string(), self.scalar(node, constant)?)))
    }

    /// x of `clip(x + 3, 0, 6)`.
    fn clipped(&self, root: usize, value: &str) -> Option<String> {
        let node = &self.graph.nodes[self.maker(root, value, "Clip")?];
        let [low, high] = bounds(node, self.constants)?;
        let (x, three) = self.plus(root, node.input(0)?)?;
        (low == 0.0 && self.is(Some(high), 6.0) && self.is(Some(three), 3.0)).then_some(x)
    }

    /// x of `1 + erf(x / sqrt(2))`.
    fn erf(&self, root: usize, value: &str) -> Option<String> {
        let (erf, one) = self.plus(root, value)?;
        let node = &self.graph.nodes[self.maker(root, &erf, "Erf")?];
        let mut factors = Vec::new();
        let constant = self.factors(root, node.input(0)?, 1, &mut factors);
        let fits = self.is(Some(one), 1.0) && self.is(Some(constant), std::f64::consts::FRAC_1_SQRT_2);
        (fits && factors.len() == 1).then(|| factors.swap_remove(0))
    }

    /// `(x - mean) / sqrt(variance + epsilon) * gamma + beta` over the last axis.
    fn layer_norm(&self, root: usize) -> Option<Found> {
        let node = &self.graph.nodes[root];
        let node_of = |value: &str, op| self.maker(root, value, op).map(|at| &self.graph.nodes[at]);
        let with_constant = |node: &Node| {
            [(0, 1), (1, 0)].into_iter().find_map(|(x, constant)| {
                let known = self.constants.get(node.input(constant)?).filter(|known| known.shape.len() == 1)?;
                known.len().checked_sub(2)?;
                Some((node.input(x)?.to_string(), node.input(constant)?.to_string()))
            })
        };
        let (scaled, beta) = with_constant(node)?;
        let (quotient, gamma) = with_constant(node_of(&scaled, "Mul")?)?;
        let quotient = node_of(&quotient, "Div")?;
        let centred = node_of(quotient.input(0)?, "Sub")?;
        let root_of = node_of(quotient.input(1)?, "Sqrt")?;
        let (variance, epsilon) = self.plus(root, root_of.input(0)?)?;
        let variance = node_of(&variance, "ReduceMean")?;
        let square = node_of(variance.input(0)?, "Pow")?;
        let mean = node_of(centred.input(1)?, "ReduceMean")?;
        let fits = square.input(0) == Some(centred.output())
            && self.is(self.scalar(square, 1), 2.0)
            && mean.input(0) == centred.input(0)
            && [variance, mean].iter().all(|node| {
                let axes = node.ints("axes").map(<[i64]>::to_vec);
                axes.or_else(|| self.constants.integers(node.input(1)?)).is_some_and(|axes| axes == [-1])
            });
        fits.then(|| {
            let inputs = vec![centred.inputs[0].clone(), gamma, beta];
            ("LayerNormalization", inputs, vec![("epsilon", Value::Float(epsilon as f32))])
        })
    }
}

/// The bounds of a `Clip`, infinite where there is none.
pub fn bounds(node: &Node, constants: &Constants) -> Option<[f64; 2]> {
    let of = |index: usize, name: &str, infinite: f64| match (node.input(index), node.attribute(name)) {
        (Some(input), _) => constants.scalar(input),
        (None, Some(Value::Float(bound))) => Some(f64::from(*bound)),
        _ => Some(infinite),
    };
    Some([of(1, "min", f64::NEG_INFINITY)?, of(2, "max", f64::INFINITY)?])
}

/// The nodes that lead to some values, in their order.
pub fn needed<'n>(nodes: &'n [Node], wanted: impl IntoIterator<Item = &'n str>) -> Vec<bool> {
    let mut values: HashMap<&str, ()> = wanted.into_iter().map(|name| (name, ())).collect();
    let mut needed = vec![false; nodes.len()];
    for (at, node) in nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|output| values.contains_key(output.as_str())) {
            needed[at] = true;
            values.extend(node.inputs.iter().map(|input| (input.as_str(), ())));
        }
    }
    needed
}
