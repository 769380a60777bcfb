//! Values that do not depend on a model's inputs: the tensors of its file and what its nodes make of them. Exporters write
//! parameters, shapes and their arithmetic as nodes; here they become values again.

use super::arithmetic::{self, MAX_SMALL, clamped};
use super::error::OnnxError;
use super::model::{BOOL, Dim, FLOATS, Graph, INT64, Node, Tensor, Value, ValueInfo};
use super::source::Source;
use crate::size::{is_tensor, product};
use std::collections::HashMap;
use std::sync::Arc;

/// Operators that give what depends on a size that is not known as such.
const WITH_OPEN_SIZES: [&str; 4] = ["Add", "Concat", "Mul", "Sub"];

/// A tensor whose values are known.
#[derive(Clone, Debug)]
pub struct Constant {
    pub shape: Vec<usize>,
    /// The name of the tensor that it comes from.
    pub key: String,
    pub form: Form,
}

/// Where the values of a constant come from.
#[derive(Clone, Debug)]
pub enum Form {
    /// From the file, in their order.
    Stored(Arc<Tensor>),
    /// One value everywhere.
    Filled(f64),
    /// Computed; whole numbers if they are an integer type's.
    Computed {
        values: Arc<[f64]>,
        whole: bool,
    },
    /// A matrix with its axes in the other order.
    Transposed(Arc<Constant>),
    /// The weights of a recurrent layer, (1, gates * units, inputs), as (inputs, gates * units); gate i is gate `gates[i]`.
    Gates {
        of: Arc<Constant>,
        gates: &'static [usize],
        units: usize,
    },
    /// Its biases, (1, 2 * gates * units), those of the input before those of the state: as two rows, or their sum.
    GateBiases {
        of: Arc<Constant>,
        gates: &'static [usize],
        units: usize,
        added: bool,
    },
    /// Some of the values, from the first on.
    Range {
        of: Arc<Constant>,
        first: usize,
    },
    /// Value by value; both have equally many.
    Product(Arc<Constant>, Arc<Constant>),
    Sum(Arc<Constant>, Arc<Constant>),
    /// One divided by each value.
    Reciprocal(Arc<Constant>),
}

impl Constant {
    /// The number of values.
    pub fn len(&self) -> usize {
        product(self.shape.iter().copied())
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has sizes that are not known.
    fn is_open(&self) -> bool {
        matches!(&self.form, Form::Computed { values, whole: true } if values.iter().any(|value| value.is_nan()))
    }

    /// Whether its values are floating-point numbers.
    pub fn is_float(&self) -> bool {
        match &self.form {
            Form::Computed { whole, .. } => !whole,
            Form::Stored(tensor) => FLOATS.contains(&tensor.element),
            _ => true,
        }
    }

    /// The same values in another shape.
    pub fn reshaped(&self, shape: Vec<usize>) -> Constant {
        Constant { shape, ..self.clone() }
    }

    /// Some of what stands along its first axis.
    fn rows(&self, first: usize, count: usize) -> Constant {
        let inner = product(self.shape[1..].iter().copied());
        let shape = [&[count], &self.shape[1..]].concat();
        let form = Form::Range { of: Arc::new(self.clone()), first: first * inner };
        Constant { shape, key: self.key.clone(), form }
    }

    /// A matrix with its axes in the other order.
    pub fn transposed(&self) -> Constant {
        if let Form::Transposed(inner) = &self.form {
            return Constant::clone(inner);
        }
        let shape = self.shape.iter().rev().copied().collect();
        Constant { shape, key: self.key.clone(), form: Form::Transposed(Arc::new(self.clone())) }
    }

    /// The product, value by value, in this one's shape.
    pub fn times(&self, other: &Constant) -> Constant {
        let form = Form::Product(Arc::new(self.clone()), Arc::new(other.clone()));
        Constant { shape: self.shape.clone(), key: format!("{} * {}", self.key, other.key), form }
    }

    /// The sum, value by value, in this one's shape.
    pub fn plus(&self, other: &Constant) -> Constant {
        let form = Form::Sum(Arc::new(self.clone()), Arc::new(other.clone()));
        Constant { shape: self.shape.clone(), key: format!("{} + {}", self.key, other.key), form }
    }

    /// One divided by each value.
    pub fn reciprocal(&self) -> Constant {
        let form = Form::Reciprocal(Arc::new(self.clone()));
        Constant { shape: self.shape.clone(), key: format!("1 / {}", self.key), form }
    }

    /// Its values.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn floats(&self, source: &Source) -> Result<Vec<f32>, OnnxError> {
        Ok(match &self.form {
            Form::Stored(tensor) => source.floats(tensor, 0..tensor.len())?,
            Form::Filled(value) => vec![*value as f32; self.len()],
            Form::Computed { values, .. } => values.iter().map(|&value| value as f32).collect(),
            Form::Transposed(inner) => {
                let (values, columns) = (inner.floats(source)?, inner.shape.last().copied().unwrap_or(1).max(1));
                (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
            }
            Form::Gates { of, gates, units } => {
                let values = of.floats(source)?;
                let inputs = self.shape.first().copied().unwrap_or(0);
                let rows: Vec<usize> = gate_rows(gates, *units);
                (0..inputs)
                    .flat_map(|input| rows.iter().map(move |row| row * inputs + input))
                    .map(|at| values.get(at).copied().unwrap_or(0.0))
                    .collect()
            }
            Form::GateBiases { of, gates, units, added } => {
                let values = of.floats(source)?;
                let rows = gate_rows(gates, *units);
                let (of_input, of_state) = values.split_at(rows.len().min(values.len()));
                let ordered = |list: &[f32]| -> Vec<f32> {
                    rows.iter().map(|&row| list.get(row).copied().unwrap_or(0.0)).collect()
                };
                let (of_input, of_state) = (ordered(of_input), ordered(of_state));
                if *added { zip(&of_input, &of_state, |a, b| a + b) } else { [of_input, of_state].concat() }
            }
            Form::Range { of, first } => of.floats(source)?.into_iter().skip(*first).take(self.len()).collect(),
            Form::Product(a, b) => zip(&a.floats(source)?, &b.floats(source)?, |a, b| a * b),
            Form::Sum(a, b) => zip(&a.floats(source)?, &b.floats(source)?, |a, b| a + b),
            Form::Reciprocal(of) => of.floats(source)?.into_iter().map(|value| 1.0 / value).collect(),
        })
    }

    /// The values of a small constant, and whether they are an integer type's.
    pub fn small(&self, source: &Source) -> Option<(Vec<f64>, bool)> {
        if self.len() > MAX_SMALL {
            return None;
        }
        match &self.form {
            Form::Computed { values, whole } => Some((values.to_vec(), *whole)),
            Form::Filled(value) => Some((vec![*value; self.len()], false)),
            Form::Stored(tensor) => match source.integers(tensor) {
                Ok(values) => Some((values.iter().map(|&value| value as f64).collect(), true)),
                Err(_) => Some((widened(&self.floats(source).ok()?), false)),
            },
            _ => Some((widened(&self.floats(source).ok()?), false)),
        }
    }
}

/// The rows of gates in another order.
fn gate_rows(gates: &[usize], units: usize) -> Vec<usize> {
    gates.iter().flat_map(|gate| (0..units).map(move |unit| gate * units + unit)).collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn zip(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

/// The constants of a graph by their names.
#[derive(Debug)]
pub struct Constants<'s> {
    known: HashMap<String, Constant>,
    source: &'s Source,
}

impl<'s> Constants<'s> {
    /// Those that do not depend on the shape of an input.
    pub fn of(graph: &Graph, source: &'s Source) -> Self {
        let stored = |tensor: &Tensor| Constant {
            shape: tensor.shape.clone(),
            key: tensor.name.clone(),
            form: Form::Stored(Arc::new(tensor.clone())),
        };
        let known = graph.initializers.iter().map(|tensor| (tensor.name.clone(), stored(tensor))).collect();
        let mut constants = Constants { known, source };
        let mut shapes: HashMap<&str, Vec<Option<usize>>> = HashMap::new();
        for ValueInfo { name, shape, .. } in &graph.inputs {
            let size = |size: &Dim| match size {
                Dim::Known(size) => usize::try_from(*size).ok(),
                Dim::Open(_) => None,
            };
            if let Some(shape) = shape.as_ref().filter(|_| !constants.known.contains_key(name)) {
                // Those before the last may be the batch, which is another one here.
                let is_last = |axis: usize| axis > 0 && axis + 1 == shape.len();
                let sizes = shape.iter().enumerate().map(|(axis, one)| size(one).filter(|_| is_last(axis))).collect();
                shapes.insert(name, sizes);
            }
        }
        for node in &graph.nodes {
            let of = node.input(0).and_then(|name| shapes.get(name));
            match (node.op.as_str(), of) {
                ("Transpose", Some(sizes)) => {
                    let order = node.ints("perm").unwrap_or_default();
                    let place = |&axis: &i64| sizes.get(usize::try_from(axis).ok()?).copied();
                    if let Some(moved) = order.iter().map(place).collect::<Option<Vec<_>>>()
                        && moved.len() == sizes.len()
                    {
                        shapes.insert(node.output(), moved);
                    }
                }
                // Sizes that are not known are no numbers; what depends on them is left out in the end.
                ("Shape", Some(sizes)) => {
                    let (from, to) =
                        (clamped(node.int("start", 0), sizes.len()), clamped(node.int("end", i64::MAX), sizes.len()));
                    let sizes: Vec<f64> = sizes
                        .get(from..to)
                        .unwrap_or_default()
                        .iter()
                        .map(|size| size.map_or(f64::NAN, |size| size as f64))
                        .collect();
                    let constant = Constant {
                        shape: vec![sizes.len()],
                        key: node.output().to_string(),
                        form: Form::Computed { values: sizes.into(), whole: true },
                    };
                    constants.known.insert(node.output().to_string(), constant);
                }
                _ => drop(constants.fold(node, |_| None)),
            }
        }
        constants.known.retain(|_, constant| !constant.is_open());
        constants
    }

    /// Where the values of stored tensors are read.
    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// A constant by its name.
    pub fn get(&self, name: &str) -> Option<&Constant> {
        self.known.get(name)
    }

    /// The values of a small constant.
    pub fn values(&self, name: &str) -> Option<Vec<f64>> {
        Some(self.get(name)?.small(self.source)?.0)
    }

    /// The values of a small constant of integers.
    pub fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let values = self.values(name)?;
        (!values.iter().any(|value| value.is_nan())).then(|| values.into_iter().map(|value| value as i64).collect())
    }

    /// The value of a constant that has one.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        match self.values(name)?[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Computes a node whose inputs are constants, or which asks for a shape that `shape_of` knows; whether it did.
    pub fn fold(&mut self, node: &Node, shape_of: impl Fn(&str) -> Option<Vec<usize>>) -> bool {
        if node.op == "Split" && node.domain.is_empty() {
            return self.split(node);
        }
        if !node.domain.is_empty() || node.outputs.len() != 1 || self.known.contains_key(node.output()) {
            return self.known.contains_key(node.output());
        }
        let Some(constant) = self.made_by(node, shape_of) else { return false };
        self.known.insert(node.output().to_string(), constant);
        true
    }

    /// The parts of a constant along its first axis; whether it is one.
    fn split(&mut self, node: &Node) -> bool {
        let parts = || {
            let from = self.get(node.input(0)?)?;
            let &rows = from.shape.first()?;
            let count = node.outputs.len();
            let sizes = match node
                .input(1)
                .and_then(|name| self.integers(name))
                .or_else(|| node.ints("split").map(<[i64]>::to_vec))
            {
                Some(list) => {
                    list.into_iter().map(|size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>()?
                }
                None if node.input(1).is_none() && rows % count.max(1) == 0 => vec![rows / count.max(1); count],
                None => return None,
            };
            let along_first = clamped(node.int("axis", 0), from.shape.len()) == 0;
            let fits = along_first
                && sizes.len() == count
                && sizes.iter().try_fold(0, |sum: usize, &size| sum.checked_add(size)) == Some(rows);
            let mut first = 0;
            let mut next = |size: usize| {
                first += size;
                from.rows(first - size, size)
            };
            fits.then(|| sizes.into_iter().map(&mut next).collect())
        };
        let Some(parts): Option<Vec<Constant>> = parts() else { return false };
        self.known.extend(node.outputs.iter().cloned().zip(parts));
        true
    }

    /// The value that a small constant has everywhere.
    fn uniform(&self, constant: &Constant) -> Option<f64> {
        if let Form::Filled(value) = constant.form {
            return Some(value);
        }
        let (values, whole) = constant.small(self.source)?;
        let first = *values.first()?;
        (!whole && values.iter().all(|&value| value == first)).then_some(first)
    }

    fn made_by(&self, node: &Node, shape_of: impl Fn(&str) -> Option<Vec<usize>>) -> Option<Constant> {
        let input = |index: usize| self.get(node.input(index)?);
        let key = || node.output().to_string();
        let computed = |values: Vec<f64>, shape: Vec<usize>, whole: bool| Constant {
            shape,
            key: key(),
            form: Form::Computed { values: values.into(), whole },
        };
        // Shapes that nodes ask for.
        if matches!(node.op.as_str(), "Shape" | "Size") {
            let name = node.input(0)?;
            let shape = self.get(name).map(|known| known.shape.clone()).or_else(|| shape_of(name))?;
            if node.op == "Size" {
                return Some(computed(vec![product(shape) as f64], Vec::new(), true));
            }
            let rank = shape.len();
            let from = clamped(node.int("start", 0), rank);
            let to = clamped(node.int("end", i64::MAX), rank);
            let sizes: Vec<f64> = shape.get(from..to).unwrap_or_default().iter().map(|&size| size as f64).collect();
            let count = sizes.len();
            return Some(computed(sizes, vec![count], true));
        }
        let integers = |index: usize| self.integers(node.input(index)?);
        match node.op.as_str() {
            "Constant" => constant_of(node, key()),
            "ConstantOfShape" => {
                let shape: Vec<usize> =
                    integers(0)?.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<_>>()?;
                let value = match node.attribute("value") {
                    Some(Value::Tensor(tensor)) => {
                        let one = Constant {
                            shape: vec![1],
                            key: String::new(),
                            form: Form::Stored(Arc::new(tensor.clone())),
                        };
                        let (values, whole) = one.small(self.source)?;
                        (*values.first()?, whole)
                    }
                    _ => (0.0, false),
                };
                if value.1 && product(shape.iter().copied()) <= MAX_SMALL {
                    let count = product(shape.iter().copied());
                    return Some(computed(vec![value.0; count], shape, true));
                }
                (is_tensor(&shape) || shape.is_empty()).then(|| Constant {
                    shape,
                    key: key(),
                    form: Form::Filled(value.0),
                })
            }
            "Identity" => input(0).cloned(),
            "Cast" => {
                let (from, to) = (input(0)?, node.int("to", 1));
                if from.is_open() {
                    return (to == INT64).then(|| from.clone());
                }
                if to == BOOL {
                    let (values, _) = from.small(self.source)?;
                    let values = values.into_iter().map(|value| f64::from(u8::from(value != 0.0))).collect();
                    return Some(computed(values, from.shape.clone(), true));
                }
                let float = FLOATS.contains(&to);
                match from.small(self.source) {
                    Some((values, whole)) if whole == float => {
                        let values = if float { values } else { values.iter().map(|value| value.trunc()).collect() };
                        Some(computed(values, from.shape.clone(), !float))
                    }
                    _ => Some(from.clone()),
                }
            }
            // To the type of a value of the model, which is floating point.
            "CastLike" => {
                let from = input(0)?;
                let whole = input(1).is_some_and(|like| !like.is_float());
                let (values, _) = from.small(self.source)?;
                Some(computed(values, from.shape.clone(), whole))
            }
            "Unsqueeze" => {
                let from = input(0)?;
                let axes = node.ints("axes").map(<[i64]>::to_vec).or_else(|| integers(1))?;
                Some(from.reshaped(unsqueezed(&from.shape, &axes)?))
            }
            "Squeeze" => {
                let from = input(0)?;
                let axes = node.ints("axes").map(<[i64]>::to_vec).or_else(|| integers(1));
                Some(from.reshaped(squeezed(&from.shape, axes.as_deref())?))
            }
            "Reshape" => {
                let from = input(0)?;
                Some(from.reshaped(reshaped(&from.shape, &integers(1)?, node.int("allowzero", 0) != 0)?))
            }
            "Flatten" => {
                let from = input(0)?;
                let axis = clamped(node.int("axis", 1), from.shape.len());
                let (outer, inner) = from.shape.split_at(axis);
                Some(from.reshaped(vec![product(outer.iter().copied()), product(inner.iter().copied())]))
            }
            // For each of a batch of one.
            "Expand" => {
                let from = input(0)?;
                let target = integers(1)?;
                let mut shape = vec![1; target.len().saturating_sub(from.shape.len())];
                shape.extend(&from.shape);
                let offset = shape.len() - target.len();
                let stays = target
                    .iter()
                    .enumerate()
                    .all(|(at, &size)| size == 1 || usize::try_from(size) == Ok(shape[offset + at]));
                if stays {
                    return Some(from.reshaped(shape));
                }
                // One value everywhere, or few.
                let Some(value) = self.uniform(from) else { return self.computed(node) };
                let pairs =
                    target.iter().zip(&shape[offset..]).map(|(&size, &own)| match (usize::try_from(size), own) {
                        (Ok(size), 1) => Some(size),
                        (Ok(size), own) if size == 1 || size == own => Some(own),
                        _ => None,
                    });
                let sizes = shape[..offset].iter().map(|&size| Some(size)).chain(pairs).collect::<Option<Vec<_>>>()?;
                is_tensor(&sizes).then(|| Constant { shape: sizes, key: key(), form: Form::Filled(value) })
            }
            "Transpose" => {
                let from = input(0)?;
                match (from.shape.len(), node.ints("perm")) {
                    (2, None | Some([1, 0])) => Some(from.transposed()),
                    (0 | 1, _) | (2, Some([0, 1])) => Some(from.clone()),
                    _ => self.computed(node),
                }
            }
            "Slice" if input(0)?.shape.len() > 1 || input(0)?.is_float() => self.slice(node),
            _ => self.computed(node),
        }
    }

    /// What a node makes of small constants.
    fn computed(&self, node: &Node) -> Option<Constant> {
        let sizes = node.inputs.iter().map(|name| self.get(name).map_or(0, Constant::len));
        if sizes.fold(0, usize::saturating_add) > 4 * MAX_SMALL {
            return None;
        }
        let inputs: Vec<(Vec<usize>, Vec<f64>, bool)> = (0..node.inputs.len())
            .map(|index| {
                let known = self.get(node.input(index)?)?;
                let (values, whole) = known.small(self.source)?;
                Some((known.shape.clone(), values, whole))
            })
            .collect::<Option<_>>()?;
        let is_open =
            |(_, values, whole): &(Vec<usize>, Vec<f64>, bool)| *whole && values.iter().any(|value| value.is_nan());
        let takes = match node.op.as_str() {
            // Of which sizes, it must be known.
            "Gather" | "Slice" => !inputs.iter().skip(1).any(is_open),
            op => WITH_OPEN_SIZES.contains(&op) || !inputs.iter().any(is_open),
        };
        if !takes {
            return None;
        }
        let (shape, values, whole) = arithmetic::computed(&node.op, node, &inputs)?;
        let form = Form::Computed { values: values.into(), whole };
        let constant = Constant { shape, key: node.output().to_string(), form };
        (constant.len() <= MAX_SMALL).then_some(constant)
    }

    /// A part of a tensor: of one value everywhere, of rows that follow each other, or of few values.
    fn slice(&self, node: &Node) -> Option<Constant> {
        // In older models, its bounds are attributes.
        if node.inputs.len() < 3 {
            return self.computed(node);
        }
        let from = self.get(node.input(0)?)?;
        let integers = |index: usize| self.integers(node.input(index)?);
        let (starts, ends) = (integers(1)?, integers(2)?);
        let axes = integers(3).unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = integers(4).unwrap_or_else(|| vec![1; starts.len()]);
        if steps.iter().any(|&step| step != 1) {
            return self.computed(node);
        }
        let mut shape = from.shape.clone();
        let mut first = 0;
        for (at, &axis) in axes.iter().enumerate() {
            let axis = clamped(axis, shape.len());
            let size = *shape.get(axis)?;
            let start = clamped(*starts.get(at)?, size);
            shape[axis] = clamped(*ends.get(at)?, size).checked_sub(start)?;
            first = if axis == 0 { start } else { first };
        }
        let is_stored = matches!(from.form, Form::Stored(_)) && from.is_float();
        if is_stored && axes.len() == 1 && shape.get(1..)? == from.shape.get(1..)? {
            return Some(from.rows(first, shape[0]));
        }
        match self.uniform(from) {
            Some(value) => Some(Constant { shape, key: node.output().to_string(), form: Form::Filled(value) }),
            None => self.computed(node),
        }
    }
}

fn constant_of(node: &Node, key: String) -> Option<Constant> {
    let (name, value) = node.attributes.first()?;
    let computed = |values: Vec<f64>, shape: Vec<usize>, whole: bool| Constant {
        shape,
        key: key.clone(),
        form: Form::Computed { values: values.into(), whole },
    };
    Some(match (name.as_str(), value) {
        ("value", Value::Tensor(tensor)) => {
            Constant { shape: tensor.shape.clone(), key: key.clone(), form: Form::Stored(Arc::new(tensor.clone())) }
        }
        ("value_float", Value::Float(value)) => computed(vec![f64::from(*value)], Vec::new(), false),
        ("value_int", Value::Int(value)) => computed(vec![*value as f64], Vec::new(), true),
        ("value_floats", Value::Floats(list)) => computed(widened(list), vec![list.len()], false),
        ("value_ints", Value::Ints(list)) => {
            computed(list.iter().map(|&value| value as f64).collect(), vec![list.len()], true)
        }
        _ => return None,
    })
}

/// A shape with further axes of size 1.
pub fn unsqueezed(shape: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let rank = shape.len() + axes.len();
    let mut new = vec![None; rank];
    for &axis in axes {
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        *new.get_mut(usize::try_from(axis).ok()?)? = Some(1);
    }
    let mut old = shape.iter().copied();
    new.into_iter().map(|size| size.or_else(|| old.next())).collect()
}

/// A shape without some axes of size 1, or without all.
pub fn squeezed(shape: &[usize], axes: Option<&[i64]>) -> Option<Vec<usize>> {
    let rank = shape.len() as i64;
    let at = |axis: i64| if axis < 0 { axis + rank } else { axis };
    let gone: Vec<i64> = match axes {
        Some(axes) => axes.iter().map(|&axis| at(axis)).collect(),
        None => (0..rank).filter(|&axis| shape[axis as usize] == 1).collect(),
    };
    if gone.iter().any(|&axis| !(0..rank).contains(&axis) || shape[axis as usize] != 1) {
        return None;
    }
    let kept = shape.iter().enumerate().filter(|(axis, _)| !gone.contains(&(*axis as i64)));
    Some(kept.map(|(_, &size)| size).collect())
}

/// The shape that a reshape asks for: 0 keeps a size, -1 is what is left.
pub fn reshaped(shape: &[usize], target: &[i64], zero_is_zero: bool) -> Option<Vec<usize>> {
    let all = product(shape.iter().copied());
    let mut sizes = Vec::with_capacity(target.len());
    let mut open = None;
    for (axis, &size) in target.iter().enumerate() {
        sizes.push(match size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !zero_is_zero => *shape.get(axis)?,
            size => usize::try_from(size).ok()?,
        });
    }
    let known = product(sizes.iter().copied());
    if let Some(open) = open {
        sizes[open] = (known > 0 && all % known == 0).then(|| all / known)?;
    }
    (product(sizes.iter().copied()) == all).then_some(sizes)
}
