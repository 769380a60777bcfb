//! Arithmetic of small constants: what exporters compute shapes and scales with.

use super::model::Node;

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
        "Equal" => binary(inputs, |a, b| f64::from(u8::from(a == b))),
        "Greater" => binary(inputs, |a, b| f64::from(u8::from(a > b))),
        "Less" => binary(inputs, |a, b| f64::from(u8::from(a < b))),
        "Neg" => unary(|x| -x),
        "Abs" => unary(f64::abs),
        "Floor" => unary(f64::floor),
        "Ceil" => unary(f64::ceil),
        "Sqrt" => unary(f64::sqrt),
        "Reciprocal" => unary(|x| 1.0 / x),
        "Where" => {
            let [(_, condition, _), (shape, yes, whole), (_, no, _)] = inputs else { return None };
            let same = condition.len() == yes.len() && yes.len() == no.len();
            let values =
                condition.iter().zip(yes.iter().zip(no)).map(|(&c, (&yes, &no))| if c != 0.0 { yes } else { no });
            same.then(|| (shape.clone(), values.collect(), *whole))
        }
        "Gather" => {
            let [(shape, values, whole), (at, indices, _)] = inputs else { return None };
            if shape.len() != 1 || node.int("axis", 0) != 0 {
                return None;
            }
            let count = values.len() as i64;
            let pick = |&index: &f64| {
                let index = if index < 0.0 { index as i64 + count } else { index as i64 };
                values.get(usize::try_from(index).ok()?).copied()
            };
            Some((at.clone(), indices.iter().map(pick).collect::<Option<_>>()?, *whole))
        }
        "Concat" => {
            let flat = inputs.iter().all(|(shape, ..)| shape.len() == 1);
            let values: Vec<f64> = inputs.iter().flat_map(|(_, values, _)| values.iter().copied()).collect();
            flat.then(|| (vec![values.len()], values, inputs.iter().all(|(.., whole)| *whole)))
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

/// Value by value, where shapes are equal or one has a single value.
fn binary(inputs: &[Small], f: impl Fn(f64, f64) -> f64) -> Option<Small> {
    let [(shape_a, a, whole_a), (shape_b, b, whole_b)] = inputs else { return None };
    let whole = *whole_a && *whole_b;
    match (a.len(), b.len()) {
        _ if shape_a == shape_b => Some((shape_a.clone(), a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect(), whole)),
        (_, 1) if shape_b.len() <= shape_a.len() => {
            Some((shape_a.clone(), a.iter().map(|&a| f(a, b[0])).collect(), whole))
        }
        (1, _) if shape_a.len() <= shape_b.len() => {
            Some((shape_b.clone(), b.iter().map(|&b| f(a[0], b)).collect(), whole))
        }
        _ => None,
    }
}

/// A range of a list.
fn slice(node: &Node, inputs: &[Small]) -> Option<Small> {
    let (shape, values, whole) = inputs.first()?;
    if shape.len() != 1 {
        return None;
    }
    let bound = |index: usize, name: &str| match inputs.get(index) {
        Some((_, list, _)) if list.len() == 1 => Some(list[0] as i64),
        Some(_) => None,
        None => node.ints(name).and_then(|list| list.first().copied()),
    };
    let (from, to) = (bound(1, "starts")?, bound(2, "ends")?);
    let step = if inputs.len() > 4 { bound(4, "")? } else { 1 };
    if step != 1 {
        return None;
    }
    let range = clamped(from, values.len())..clamped(to, values.len());
    let values = values.get(range).unwrap_or_default().to_vec();
    Some((vec![values.len()], values, *whole))
}

/// An axis or bound that may count from the end, within a rank.
pub fn clamped(axis: i64, rank: usize) -> usize {
    let rank = rank as i64;
    let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
    axis.clamp(0, rank) as usize
}
