//! Each pass alone computes the same outputs, by the f64 reference before and after it; and `Graph::verify` finds broken
//! graphs.

mod verify_nets;

use ndarray::{ArrayD, IxDyn};
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::graph::{Graph, Initializer, NodeId, ParameterId, reference};
use netc::passes::{INFERENCE, Pass, TRAINING};
use netc::tensor::TensorType;
use std::collections::BTreeSet;

/// The maximum difference, as a fraction of the output's range. Folding reorders a few f64 operations.
const TOLERANCE: f64 = 1e-10;
const BATCH: usize = 2;

fn graph(expression: &str) -> Graph {
    let spec = load(expression, &from_disk).unwrap_or_else(|_| panic!("{expression}"));
    netc::compile::graph(&spec, None).unwrap_or_else(|errors| panic!("{expression}: {errors:?}")).0
}

/// The parameter's values, which depend on its path only: passes renumber parameters.
fn parameter(graph: &Graph, id: ParameterId) -> Vec<f32> {
    let parameter = &graph.parameters[id.0];
    let values = Initializer::Normal { mean: 0.0, std: 0.5 }.sample(&parameter.shape, &parameter.path(), 3);
    match parameter.role {
        "running_inv_std" => values.iter().map(|value| value.abs() + 0.5).collect(),
        _ => values,
    }
}

fn inputs(graph: &Graph) -> Vec<ArrayD<f64>> {
    let of = |id: NodeId| {
        let node = graph.node(id);
        let shape: Vec<usize> = [BATCH].into_iter().chain(node.output.known().expect("known sizes")).collect();
        let values = Initializer::Normal { mean: 0.0, std: 1.0 }.sample(&shape, &node.name, 1);
        ArrayD::from_shape_vec(IxDyn(&shape), values.into_iter().map(f64::from).collect()).expect("an input")
    };
    graph.inputs().into_iter().map(of).collect()
}

fn outputs(graph: &Graph) -> Vec<ArrayD<f64>> {
    reference::evaluate(graph, &inputs(graph), &mut |id| parameter(graph, id), &mut |_, _| {})
}

/// The maximum difference of two lists of outputs, as a fraction of the range of each.
fn difference(a: &[ArrayD<f64>], b: &[ArrayD<f64>]) -> f64 {
    assert_eq!(a.len(), b.len(), "outputs");
    let mut worst: f64 = 0.0;
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.shape(), b.shape(), "shapes");
        let range = a.iter().fold(1e-6, |range: f64, value| range.max(value.abs()));
        for (a, b) in a.iter().zip(b) {
            let error = (a - b).abs() / range;
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    }
    worst
}

/// Applies a pass and returns the new graph if it changed anything; the outputs must not change.
fn checked(pass: &Pass, graph: &Graph, expression: &str) -> Option<Graph> {
    let after = (pass.run)(graph.clone());
    after.verify().unwrap_or_else(|error| panic!("{expression}: after {}: {error}\n{after}", pass.name));
    if after.to_string() == graph.to_string() {
        return None;
    }
    let error = difference(&outputs(graph), &outputs(&after));
    assert!(error <= TOLERANCE, "{expression}: {} changes outputs by {error:.1e}\n{graph}\n{after}", pass.name);
    Some(after)
}

#[test]
fn each_pass_keeps_the_outputs() {
    let mut effective = BTreeSet::new();
    let extra = [
        "Input(8) >> { let a = Relu(4)  let b = Tanh(4)  a >> Dense(2) }",
        "Input(8x8x3) >> frozen(Conv(3x3, 4) >> BatchNorm) >> Relu >> Flatten >> Dense(3)",
    ];
    for expression in verify_nets::ALL.iter().copied().flatten().copied().chain(extra) {
        let graph = graph(expression);
        graph.verify().unwrap_or_else(|error| panic!("{expression}: {error}\n{graph}"));
        for passes in [INFERENCE, TRAINING] {
            let mut optimized = graph.clone();
            for pass in passes {
                // On the original graph, and after the preceding passes.
                let alone = checked(pass, &graph, expression);
                let in_order = checked(pass, &optimized, expression);
                if alone.is_some() || in_order.is_some() {
                    effective.insert(pass.name);
                }
                optimized = in_order.unwrap_or(optimized);
            }
        }
    }
    let all: BTreeSet<&str> = INFERENCE.iter().chain(TRAINING).map(|pass| pass.name).collect();
    assert_eq!(effective, all, "a pass changed no net");
}

#[test]
fn verify_finds_broken_graphs() {
    let valid =
        graph("Input(8x8x3) >> (Conv(3x3, 4) >> Relu | Conv(3x3, 4)) >> Add >> MaxPool(2x2) >> Flatten >> Dense(3)");
    assert_eq!(valid.verify(), Ok(()));
    let find = |graph: &Graph, kind: &str| {
        graph.ids().find(|&id| graph.node(id).operation.kind() == kind).expect("a layer of that kind").0
    };
    type Break = fn(&mut Graph, &dyn Fn(&Graph, &str) -> usize);
    let cases: &[(&str, Break)] = &[
        ("not before node", |graph, find| {
            let (conv, add) = (find(graph, "Convolution"), find(graph, "Elementwise"));
            graph.nodes[conv].inputs = vec![NodeId(add)];
        }),
        ("not before node", |graph, _| {
            let last = graph.nodes.len();
            graph.nodes[1].inputs = vec![NodeId(last)];
        }),
        ("takes one input, but 2 branches", |graph, find| {
            let relu = find(graph, "Relu");
            graph.nodes[relu].inputs.push(NodeId(0));
        }),
        ("gets no input", |graph, find| {
            let relu = find(graph, "Relu");
            graph.nodes[relu].inputs.clear();
        }),
        ("its type is (?, 6, 6, 5)", |graph, find| {
            let relu = find(graph, "Relu");
            graph.nodes[relu].output = TensorType::of(&[6, 6, 5]);
        }),
        ("there is no parameter", |graph, find| {
            let dense = find(graph, "Linear");
            graph.nodes[dense].parameters[0] = ParameterId(graph.parameters.len());
        }),
        ("its operation declares the parameter", |graph, find| {
            let dense = find(graph, "Linear");
            let weight = graph.nodes[dense].parameters[0];
            graph.parameters[weight.0].shape.reverse();
        }),
        ("its operation declares the parameter", |graph, find| {
            let dense = find(graph, "Linear");
            graph.nodes[dense].parameters.swap(0, 1);
        }),
        ("but its operation declares 2", |graph, find| {
            let dense = find(graph, "Linear");
            graph.nodes[dense].parameters.pop();
        }),
        ("there is no node", |graph, _| graph.outputs[0] = NodeId(graph.nodes.len())),
        ("open inputs", |graph, _| graph.open_inputs = graph.nodes.len() + 1),
        ("has a pool, which the layer does not support", |graph, find| {
            let dense = find(graph, "Linear");
            graph.nodes[dense].epilogue.pool = true;
        }),
        ("has a softmax, which the layer does not support", |graph, find| {
            let conv = find(graph, "Convolution");
            graph.nodes[conv].epilogue.softmax = true;
        }),
        // The input of the convolution would be read as the residual.
        ("gets no input", |graph, find| {
            let conv = find(graph, "Convolution");
            graph.nodes[conv].epilogue.residual = true;
        }),
        ("its epilogue adds (?, 8, 8, 3) to (?, 6, 6, 4)", |graph, find| {
            let conv = find(graph, "Convolution");
            graph.nodes[conv].epilogue.residual = true;
            graph.nodes[conv].inputs.push(NodeId(0));
        }),
        // A pool in the epilogue makes the output smaller.
        ("its type is (?, 6, 6, 4), but its operation gives (?, 3, 3, 4)", |graph, find| {
            let conv = find(graph, "Convolution");
            graph.nodes[conv].epilogue.pool = true;
        }),
    ];
    for (expected, broken) in cases {
        let mut graph = valid.clone();
        broken(&mut graph, &find);
        let error = graph.verify().expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

/// A derived parameter is computed from parameters before it.
#[test]
fn verify_finds_circular_derivations() {
    let mut graph = graph("Input(8x8x3) >> Conv(3x3, 4) >> BatchNorm");
    for pass in INFERENCE {
        graph = pass.apply(graph);
    }
    assert_eq!(graph.verify(), Ok(()));
    let derived = graph.parameters.iter().position(|parameter| parameter.derived.is_some()).expect("a folded weight");
    graph.parameters.swap(0, derived);
    assert!(graph.verify().is_err());
}
