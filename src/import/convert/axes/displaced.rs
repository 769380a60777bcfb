//! Values whose batch is not their first axis in the model: PyTorch's recurrent layers take the time first.

use crate::import::convert::axes::shape::in_shape;
use crate::import::convert::context::Context;
use crate::import::convert::known::Displaced;
use crate::import::convert::sequences::views;
use crate::onnx::Node;
use crate::onnx::arithmetic::clamped;
use crate::onnx::constants::{reshaped, squeezed, unsqueezed};
use crate::size::product;

/// The same values in another shape that has the batch as an axis.
fn in_other_shape(x: &Displaced, cx: &mut Context, shape: &[usize]) -> Option<Displaced> {
    let before = product(x.shape()[..x.place].iter().copied());
    let is_batch = |&place: &usize| {
        shape.get(place) == Some(&x.known.shape[0]) && product(shape[..place].iter().copied()) == before
    };
    let place = std::iter::once(x.place).chain(0..shape.len()).find(is_batch)?;
    let mut own = shape.to_vec();
    let batch = own.remove(place);
    own.insert(0, batch);
    Some(Displaced { known: in_shape(cx, x.known.clone(), own).ok()?, place })
}

/// Whether a node moves the batch of a value, or the axes of one whose batch was moved.
pub(in crate::import::convert) fn moved(cx: &mut Context, node: &Node) -> bool {
    let Some(name) = node.input(0) else { return false };
    let before = cx.displaced.get(name).cloned();
    let x = match (before, cx.value(name)) {
        (Some(displaced), _) => displaced,
        (None, Some(known)) if node.op == "Transpose" && views::of(cx, name).is_none() => {
            Displaced { known: known.clone(), place: 0 }
        }
        _ => return false,
    };
    let shape = x.shape();
    let found = match node.op.as_str() {
        "Transpose" => node.ints("perm").and_then(|list| {
            let order: Vec<usize> = list.iter().map(|&axis| usize::try_from(axis).ok()).collect::<Option<_>>()?;
            x.transposed(&order)
        }),
        "Identity" => Some(x.clone()),
        "Reshape" => {
            let target = cx.integers(node, 1, "shape");
            let sizes = target.and_then(|target| reshaped(&shape, &target, node.int("allowzero", 0) != 0));
            sizes.and_then(|sizes| in_other_shape(&x, cx, &sizes))
        }
        "Flatten" => {
            let (outer, inner) = shape.split_at(clamped(node.int("axis", 1), shape.len()));
            in_other_shape(&x, cx, &[product(outer.iter().copied()), product(inner.iter().copied())])
        }
        "Squeeze" => {
            squeezed(&shape, cx.integers(node, 1, "axes").as_deref()).and_then(|sizes| in_other_shape(&x, cx, &sizes))
        }
        "Unsqueeze" => {
            let sizes = cx.integers(node, 1, "axes").and_then(|axes| unsqueezed(&shape, &axes));
            sizes.and_then(|sizes| in_other_shape(&x, cx, &sizes))
        }
        _ => None,
    };
    let Some(found) = found else { return false };
    let output = node.output().to_string();
    match found.place {
        // What moves no batch is an ordinary transpose.
        0 if x.place == 0 => return false,
        0 => cx.define(&output, found.known),
        _ => drop(cx.displaced.insert(output, found)),
    }
    true
}
