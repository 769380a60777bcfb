//! Layers that a person would write as one: a dense layer with its activation, a convolution with its padding, a shuffle of
//! channels, a concatenation that goes on from another.

use super::layers::{Item, Layers};
use super::tree::{Call, Val, has};
use std::collections::HashMap;

/// Activations that take the units of a dense layer before them.
const WITH_UNITS: [&str; 8] = ["Relu", "Sigmoid", "Tanh", "Softmax", "Softplus", "Elu", "Swish", "Gelu"];

/// Joins what belongs together.
pub(super) fn fuse(layers: &mut Layers) {
    directions(layers);
    concatenations(layers);
    layers.pruned();
    hard_sigmoids(layers);
    hard_swishes(layers);
    pairs(layers);
    shuffles(layers);
}

/// The states of two directions that are joined, taken apart, and perhaps joined again.
fn directions(layers: &mut Layers) {
    let range = |call: &Call| match (call.argument("from")?, call.argument("to")?) {
        (Val::Int(from), Val::Int(to)) => Some((*from, *to)),
        _ => None,
    };
    let mut taken: Vec<Option<usize>> = vec![None; layers.items.len()];
    for (item, taken) in layers.items.iter().zip(&mut taken) {
        let Item { call, inputs } = item;
        let (true, Some((from, to)), &[joined]) = (call.is(&["Slice"]), range(call), &inputs[..]) else { continue };
        let whole = &layers.items[joined];
        let mut first = 0;
        for &part in whole.inputs.iter().filter(|_| whole.call == Call::layer("Concatenate")) {
            let layer = &layers.items[part].call;
            let (true, Some(Val::Int(units))) = (layer.is(&["LSTM", "GRU"]), layer.argument("n_units")) else { break };
            if (from, to) == (first, first + units) {
                *taken = Some(part);
                break;
            }
            first += units;
        }
    }
    // A layer may only stand for those after it: readers are pointed to it.
    for at in 0..layers.items.len() {
        for input in 0..layers.items[at].inputs.len() {
            if let Some(part) = taken[layers.items[at].inputs[input]] {
                layers.items[at].inputs[input] = part;
            }
        }
    }
}

/// A concatenation of what another has and more: it takes that one first.
fn concatenations(layers: &mut Layers) {
    let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
    for at in 0..layers.items.len() {
        let item = &layers.items[at];
        if !item.call.is(&["Concatenate"]) || item.call != Call::layer("Concatenate") {
            continue;
        }
        let all = item.inputs.clone();
        let longest = (2..all.len()).rev().find_map(|count| Some((count, *known.get(&all[..count])?)));
        if let Some((count, whole)) = longest {
            layers.items[at].inputs = std::iter::once(whole).chain(all[count..].iter().copied()).collect();
        }
        known.insert(all, at);
    }
}

/// An argument that is a number.
fn number(call: &Call, name: &str) -> Option<f64> {
    match call.argument(name)? {
        Val::Float(value) => Some(*value),
        Val::Int(value) => Some(*value as f64),
        _ => None,
    }
}

/// Whether a layer multiplies by `scale` and adds `shift`.
fn is_affine(call: &Call, scale: f64, shift: f64) -> bool {
    let near = |name, wanted: f64| number(call, name).is_some_and(|value| (value - wanted).abs() < 1e-6);
    call.is(&["Affine"]) && near("scale", scale) && near("shift", shift)
}

/// relu6(x + 3) / 6 in three layers (MobileNetV3 in Keras).
fn hard_sigmoids(layers: &mut Layers) {
    let readers = layers.readers();
    let mut taken = vec![None; layers.items.len()];
    for at in 0..layers.items.len() {
        let before = |at: usize| match layers.items[at].inputs[..] {
            [before] if readers[before].len() == 1 => Some(before),
            _ => None,
        };
        let Some((sum, clip)) = before(at).and_then(|clip| Some((before(clip)?, clip))) else { continue };
        let call = |at: usize| &layers.items[at].call;
        if is_affine(call(at), 1.0 / 6.0, 0.0) && *call(clip) == Call::layer("Relu6") && is_affine(call(sum), 1.0, 3.0)
        {
            layers.items[at].inputs = layers.items[sum].inputs.clone();
            layers.items[at].call = Call::layer("HardSigmoid").with("alpha", Val::Float(1.0 / 6.0));
            (taken[sum], taken[clip]) = (Some(at), Some(at));
        }
    }
    layers.replace(&taken);
}

/// A value times its hard sigmoid.
fn hard_swishes(layers: &mut Layers) {
    let readers = layers.readers();
    let mut taken = vec![None; layers.items.len()];
    for at in 0..layers.items.len() {
        let item = &layers.items[at];
        let (true, &[a, b]) = (item.call.is(&["Multiply"]), &item.inputs[..]) else { continue };
        let is_of = |gate: usize, value: usize| {
            let Item { call, inputs } = &layers.items[gate];
            let slope = number(call, "alpha").is_some_and(|alpha| (alpha - 1.0 / 6.0).abs() < 1e-6);
            call.is(&["HardSigmoid"]) && slope && inputs[..] == [value] && readers[gate].len() == 1
        };
        let found = [(a, b), (b, a)].into_iter().find(|&(value, gate)| is_of(gate, value));
        let Some((value, gate)) = found else { continue };
        layers.items[at].call = Call::layer("HardSwish");
        layers.items[at].inputs = vec![value];
        taken[gate] = Some(at);
    }
    layers.replace(&taken);
}

/// Layers of which the second takes in the first.
fn pairs(layers: &mut Layers) {
    let readers = layers.readers();
    let mut taken = vec![None; layers.items.len()];
    for at in 0..layers.items.len() {
        let [before] = layers.items[at].inputs[..] else { continue };
        if readers[before].len() != 1 || taken[before].is_some() {
            continue;
        }
        let (first, second) = (&layers.items[before].call, &layers.items[at].call);
        if let Some(call) = dense_activation(first, second) {
            layers.items[at].call = call;
        } else if let Some(call) = padded(first, second).or_else(|| affine(first, second)) {
            layers.items[at].call = call;
        } else {
            continue;
        }
        // The second stands in the place of both.
        layers.items[at].inputs = layers.items[before].inputs.clone();
        taken[before] = Some(at);
    }
    layers.replace(&taken);
}

fn dense_activation(dense: &Call, activation: &Call) -> Option<Call> {
    let plain = dense.is(&["Dense"]) && activation.is(&WITH_UNITS) && *activation == Call::layer(&activation.function);
    plain.then(|| {
        let mut call = activation.clone();
        for name in ["units", "bias"] {
            if let Some(value) = dense.argument(name) {
                call = call.with(name, value.clone());
            }
        }
        Call { name: dense.name.clone(), ..call }
    })
}

/// A factor and then a summand.
fn affine(first: &Call, second: &Call) -> Option<Call> {
    let both = first.is(&["Affine"]) && second.is(&["Affine"]);
    let fits = both && number(first, "shift") == Some(0.0) && number(second, "scale") == Some(1.0);
    fits.then(|| first.clone().with("shift", second.argument("shift").cloned().unwrap_or(Val::Int(0))))
}

fn padded(pad: &Call, convolution: &Call) -> Option<Call> {
    let bare = convolution.argument("padding") == Some(&Val::Word("valid".into()));
    let fits = pad.is(&["ZeroPad"]) && convolution.is(&["Conv", "DepthwiseConv"]) && bare;
    fits.then(|| convolution.clone().with("padding", pad.argument("size").cloned().unwrap_or(Val::Int(0))))
}

/// `Reshape(h x w x g x n) >> Transpose([0, 1, 2, 4, 3]) >> Reshape(h x w x c)`, where there is a layer for it.
fn shuffles(layers: &mut Layers) {
    if !has("Shuffle", None) {
        return;
    }
    let readers = layers.readers();
    let mut taken = vec![None; layers.items.len()];
    for at in 0..layers.items.len() {
        let one_before = |at: usize| match layers.items[at].inputs[..] {
            [before] if readers[before].len() == 1 => Some(before),
            _ => None,
        };
        let Some((first, second)) = one_before(at).and_then(|second| Some((one_before(second)?, second))) else {
            continue;
        };
        let call = |at: usize| &layers.items[at].call;
        let swap = call(second).argument("perm") == Some(&Val::List(vec![0, 1, 2, 4, 3]));
        let (Some(Val::Sizes(split)), Some(Val::Sizes(joined))) =
            (call(first).argument("shape"), call(at).argument("shape"))
        else {
            continue;
        };
        let (&[h, w, groups, each], &[rows, columns, channels]) = (&split[..], &joined[..]) else { continue };
        if swap && call(first).is(&["Reshape"]) && (h, w, groups * each) == (rows, columns, channels) {
            layers.items[at].call = Call::layer("Shuffle").with("groups", Val::Int(groups as i64));
            layers.items[at].inputs = layers.items[first].inputs.clone();
            (taken[first], taken[second]) = (Some(at), Some(at));
        }
    }
    layers.replace(&taken);
}
