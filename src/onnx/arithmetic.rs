//! Arithmetic of small constants: what exporters compute shapes and scales with.

use super::model::Node;
use crate::size::product;

/// The most values of a constant that nodes compute with.
pub(super) const MAX_SMALL: usize = 1 << 16;

/// Shape, values, and whether they are whole numbers.
pub(super) type Small = (Vec<usize>, Vec<f64>, bool);

/// What an operator makes of constants; none if it is not one of those here, or its inputs do not fit.
pub(super) fn computed(op: &str, node: &Node, inputs: &[Small]) -> Option<Small> {
    let unary = |f: fn(f64) -> f64| {
        let (shape, values, whole) = inputs.first()?;
        Some((shape.clone(), values.iter().map(|&value| f(value)).collect(), *whole))
    };
    match op {
        "Add" => binary(inputs, |a, b| a + b),
        "Sub" => binary(inputs, |a, b| a - b),
        "Mul" => binary(inputs, |a, b| a * b),
        "Div" => {
            let whole = inputs.iter().all(|(.., whole)| *whole);
            let (shape, values, _) = binary(inputs, |a, b| a / b)?;
            let finite = values.iter().all(|value| value.is_finite());
            let values = if whole { values.iter().map(|value| value.trunc()).collect() } else { values };
            finite.then_some((shape, values, whole))
        }
        "Mod" => binary(inputs, f64::rem_euclid),
        "Pow" => binary(inputs, f64::powf),
        "Min" => binary(inputs, f64::min),
        "Max" => binary(inputs, f64::max),
        "Equal" => binary(inputs, |a, b| truth(a == b)),
        "Greater" => binary(inputs, |a, b| truth(a > b)),
        "GreaterOrEqual" => binary(inputs, |a, b| truth(a >= b)),
        "Less" => binary(inputs, |a, b| truth(a < b)),
        "LessOrEqual" => binary(inputs, |a, b| truth(a <= b)),
        "And" => binary(inputs, |a, b| truth(a != 0.0 && b != 0.0)),
        "Or" => binary(inputs, |a, b| truth(a != 0.0 || b != 0.0)),
        "Not" => unary(|x| truth(x == 0.0)),
        "IsNaN" => {
            let (shape, values, _) = inputs.first()?;
            Some((shape.clone(), values.iter().map(|value| truth(value.is_nan())).collect(), true))
        }
        "Neg" => unary(|x| -x),
        "Abs" => unary(f64::abs),
        "Floor" => unary(f64::floor),
        "Ceil" => unary(f64::ceil),
        "Sqrt" => unary(f64::sqrt),
        "Reciprocal" => unary(|x| 1.0 / x),
        "Where" => {
            let [condition, yes, no] = inputs else { return None };
            let shape = broadcast(&broadcast(&condition.0, &yes.0)?, &no.0)?;
            let [condition, yes, no] = [spread(condition, &shape), spread(yes, &shape), spread(no, &shape)];
            let choice = yes.iter().zip(no);
            let values = condition.iter().zip(choice).map(|(&c, (&yes, no))| if c != 0.0 { yes } else { no });
            Some((shape, values.collect(), inputs[1].2))
        }
        "Gather" => {
            let [(shape, values, whole), (at, indices, _)] = inputs else { return None };
            let axis = clamped(node.int("axis", 0), shape.len());
            let size = *shape.get(axis)? as i64;
            let place = |&index: &f64| {
                let index = if index < 0.0 { index as i64 + size } else { index as i64 };
                usize::try_from(index).ok().filter(|_| index < size)
            };
            let places: Vec<usize> = indices.iter().map(place).collect::<Option<_>>()?;
            let (_, taken) = along(shape, values, axis, &places)?;
            Some(([&shape[..axis], at, &shape[axis + 1..]].concat(), taken, *whole))
        }
        "Concat" => {
            let (first, ..) = inputs.first()?;
            let axis = clamped(node.int("axis", 0), first.len());
            let size = |shape: &[usize]| shape.get(axis).copied();
            let alike = |shape: &[usize]| {
                shape.len() == first.len()
                    && (0..shape.len()).all(|other| other == axis || shape[other] == first[other])
            };
            if !inputs.iter().all(|(shape, ..)| alike(shape)) {
                return None;
            }
            let sizes = inputs.iter().map(|(shape, ..)| size(shape)).collect::<Option<Vec<usize>>>()?;
            let (rows, inner) = (product(first[..axis].iter().copied()), product(first[axis + 1..].iter().copied()));
            let mut values = Vec::new();
            for row in 0..rows {
                for ((_, part, _), size) in inputs.iter().zip(&sizes) {
                    values.extend_from_slice(part.get(row * size * inner..(row + 1) * size * inner)?);
                }
            }
            let mut shape = first.clone();
            shape[axis] = sizes.iter().sum();
            Some((shape, values, inputs.iter().all(|(.., whole)| *whole)))
        }
        "Transpose" => {
            let (shape, values, whole) = inputs.first()?;
            let order: Vec<usize> = match node.ints("perm") {
                Some(list) => list.iter().map(|&axis| usize::try_from(axis).ok()).collect::<Option<_>>()?,
                None => (0..shape.len()).rev().collect(),
            };
            let (shape, values) = transposed(shape, values, &order)?;
            Some((shape, values, *whole))
        }
        "Expand" => {
            let [from, (_, target, _)] = inputs else { return None };
            let target: Vec<usize> =
                target.iter().map(|&size| (size >= 1.0).then_some(size as usize)).collect::<Option<_>>()?;
            let shape = broadcast(&from.0, &target)?;
            (product(shape.iter().copied()) <= MAX_SMALL).then(|| (shape.clone(), spread(from, &shape), from.2))
        }
        // A triangle of each matrix: what is above the diagonal is 0, or what is below.
        "Trilu" => {
            let (shape, values, whole) = inputs.first()?;
            let diagonal = inputs.get(1).map_or(Some(0), |(_, k, _)| k.first().map(|&k| k as i64))?;
            let &[.., rows, columns] = &shape[..] else { return None };
            let upper = node.int("upper", 1) != 0;
            let kept = |at: usize| {
                let (row, column) = ((at / columns % rows.max(1)) as i64, (at % columns) as i64);
                if upper { column - row >= diagonal } else { column - row <= diagonal }
            };
            let value = |(at, &value): (usize, &f64)| if kept(at) { value } else { 0.0 };
            Some((shape.clone(), values.iter().enumerate().map(value).collect(), *whole))
        }
        "Slice" => slice(node, inputs),
        "Range" => {
            let [(_, from, whole), (_, to, _), (_, step, _)] = inputs else { return None };
            let (&from, &to, &step) = (from.first()?, to.first()?, step.first()?);
            let count = ((to - from) / step).ceil().max(0.0);
            (count <= 4096.0).then(|| {
                let values: Vec<f64> = (0..count as usize).map(|at| from + at as f64 * step).collect();
                (vec![values.len()], values, *whole)
            })
        }
        "ReduceProd" => {
            let (_, values, whole) = inputs.first()?;
            let shape = if node.int("keepdims", 1) != 0 { vec![1] } else { Vec::new() };
            (inputs[0].0.len() <= 1).then(|| (shape, vec![values.iter().product()], *whole))
        }
        _ => None,
    }
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Value by value, each with those of its place, as numpy broadcasts.
fn binary(inputs: &[Small], f: impl Fn(f64, f64) -> f64) -> Option<Small> {
    let [a, b] = inputs else { return None };
    let shape = broadcast(&a.0, &b.0)?;
    let values = spread(a, &shape).into_iter().zip(spread(b, &shape)).map(|(a, b)| f(a, b)).collect();
    Some((shape, values, a.2 && b.2))
}

/// The shape in which two have all their values, by numpy's rules; none if they do not fit, or it is too large.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let sizes = (0..rank).map(|axis| match (size(a, axis), size(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    let shape: Vec<usize> = sizes.collect::<Option<_>>()?;
    (product(shape.iter().copied()) <= MAX_SMALL).then_some(shape)
}

/// The values in a shape that they were found to fit.
fn spread((own, values, _): &Small, shape: &[usize]) -> Vec<f64> {
    if own == shape {
        return values.clone();
    }
    let offset = shape.len() - own.len();
    let place = |mut at: usize| {
        let (mut place, mut stride) = (0, 1);
        for (axis, size) in shape.iter().enumerate().rev() {
            let Some(own) = axis.checked_sub(offset).map(|axis| own[axis]) else { break };
            place += if own == 1 { 0 } else { at % size * stride };
            (at, stride) = (at / size, stride * own);
        }
        place
    };
    (0..product(shape.iter().copied())).map(|at| values.get(place(at)).copied().unwrap_or(f64::NAN)).collect()
}

/// The values at some places along an axis, and their shape.
fn along(shape: &[usize], values: &[f64], axis: usize, places: &[usize]) -> Option<(Vec<usize>, Vec<f64>)> {
    let (rows, size) = (product(shape[..axis].iter().copied()), *shape.get(axis)?);
    let inner = product(shape[axis + 1..].iter().copied());
    let mut taken = Vec::new();
    for row in 0..rows {
        for place in places {
            let from = (row * size + place) * inner;
            taken.extend_from_slice(values.get(from..from + inner)?);
        }
        if taken.len() > MAX_SMALL {
            return None;
        }
    }
    let mut shape = shape.to_vec();
    shape[axis] = places.len();
    Some((shape, taken))
}

/// The values with their axes in another order.
fn transposed(shape: &[usize], values: &[f64], order: &[usize]) -> Option<(Vec<usize>, Vec<f64>)> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..shape.len()) {
        return None;
    }
    let stride = |axis: usize| product(shape[axis + 1..].iter().copied());
    let axes: Vec<(usize, usize)> = order.iter().map(|&axis| (shape[axis], stride(axis))).collect();
    let place = |mut at: usize| {
        axes.iter().rev().fold(0, |place, &(size, stride)| {
            let step = at % size;
            at /= size;
            place + step * stride
        })
    };
    let moved = (0..values.len()).map(|at| values.get(place(at)).copied()).collect::<Option<_>>()?;
    Some((axes.into_iter().map(|(size, _)| size).collect(), moved))
}

/// Ranges along axes, with steps.
fn slice(node: &Node, inputs: &[Small]) -> Option<Small> {
    let (shape, values, whole) = inputs.first()?;
    let list = |index: usize, name: &str| match inputs.get(index) {
        Some((_, list, _)) => Some(list.iter().map(|&value| value as i64).collect::<Vec<i64>>()),
        None => node.ints(name).map(<[i64]>::to_vec),
    };
    let (starts, ends) = (list(1, "starts")?, list(2, "ends")?);
    let axes = list(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "").unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || steps.contains(&0) {
        return None;
    }
    let (mut shape, mut values) = (shape.clone(), values.clone());
    for (at, &axis) in axes.iter().enumerate() {
        let axis = clamped(axis, shape.len());
        let places = range(starts[at], ends[at], steps[at], *shape.get(axis)?);
        (shape, values) = along(&shape, &values, axis, &places)?;
    }
    Some((shape, values, *whole))
}

/// The places of a range with steps, as ONNX counts them: from the end where negative, and no further than the values go.
pub fn range(start: i64, end: i64, step: i64, size: usize) -> Vec<usize> {
    let size = size as i64;
    let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
    // Below the first value, where steps go backwards.
    let end = if step < 0 && end < -size { -1 } else { place(end).clamp(least, most) };
    let start = place(start).clamp(0, if step > 0 { size } else { size - 1 });
    let mut places = Vec::new();
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        places.push(at as usize);
        at = at.saturating_add(step);
    }
    places
}

/// An axis or bound that may count from the end, within a rank.
pub fn clamped(axis: i64, rank: usize) -> usize {
    let rank = rank as i64;
    let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
    axis.clamp(0, rank) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::model::Value;

    fn node(attributes: &[(&str, Value)]) -> Node {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
        Node { attributes, ..Node::default() }
    }

    fn small(shape: &[usize]) -> Small {
        (shape.to_vec(), (0..product(shape.iter().copied())).map(|at| at as f64).collect(), true)
    }

    fn list(values: &[f64]) -> Small {
        (vec![values.len()], values.to_vec(), true)
    }

    #[test]
    fn steps_count_from_the_end_and_stop_at_the_last_value() {
        assert_eq!(range(0, 5, 2, 5), [0, 2, 4]);
        assert_eq!(range(-1, i64::MIN, -2, 5), [4, 2, 0]);
        assert_eq!(range(20, 0, -3, 10), [9, 6, 3]);
        assert_eq!(range(1, i64::MAX, 3, 6), [1, 4]);
        assert!(range(3, 3, 1, 5).is_empty());
    }

    /// PyTorch's padding: pairs from the last axis on, as they follow each other in ONNX.
    #[test]
    fn pairs_of_a_list_change_their_order() {
        let pairs = (vec![3, 2], vec![1., 2., 3., 4., 0., 0.], true);
        let from = [pairs, list(&[-1.]), list(&[i64::MIN as f64]), list(&[0.]), list(&[-1.])];
        let (shape, values, _) = computed("Slice", &node(&[]), &from).expect("a slice");
        assert_eq!((&shape[..], &values[..]), (&[3, 2][..], &[0., 0., 3., 4., 1., 2.][..]));
        let (shape, values, _) = computed("Transpose", &node(&[]), &[(shape, values, true)]).expect("a transpose");
        assert_eq!((&shape[..], &values[..]), (&[2, 3][..], &[0., 3., 1., 0., 4., 2.][..]));
    }

    #[test]
    fn axes_are_moved_joined_and_spread() {
        let perm = node(&[("perm", Value::Ints(vec![2, 0, 1]))]);
        let (shape, values, _) = computed("Transpose", &perm, &[small(&[2, 1, 3])]).expect("a transpose");
        assert_eq!((&shape[..], &values[..]), (&[3, 2, 1][..], &[0., 3., 1., 4., 2., 5.][..]));
        let axis = node(&[("axis", Value::Int(1))]);
        let (shape, values, _) = computed("Concat", &axis, &[small(&[2, 1]), small(&[2, 2])]).expect("both");
        assert_eq!((&shape[..], &values[..]), (&[2, 3][..], &[0., 0., 1., 1., 2., 3.][..]));
        let (shape, values, _) = computed("Gather", &axis, &[small(&[2, 3]), list(&[-1., 0.])]).expect("columns");
        assert_eq!((&shape[..], &values[..]), (&[2, 2][..], &[2., 0., 5., 3.][..]));
        let (shape, values, _) = computed("Add", &node(&[]), &[small(&[2, 1]), small(&[3])]).expect("a sum");
        assert_eq!((&shape[..], &values[..]), (&[2, 3][..], &[0., 1., 2., 1., 2., 3.][..]));
        assert!(computed("Add", &node(&[]), &[small(&[2]), small(&[3])]).is_none());
        let lower = node(&[("upper", Value::Int(0))]);
        let ones = (vec![2, 3], vec![1.; 6], true);
        let (_, values, _) = computed("Trilu", &lower, std::slice::from_ref(&ones)).expect("a triangle");
        assert_eq!(values, [1., 0., 0., 1., 1., 0.]);
        let (_, values, _) = computed("Trilu", &node(&[]), &[ones, list(&[1.])]).expect("a triangle");
        assert_eq!(values, [0., 1., 1., 0., 0., 1.]);
    }
}
