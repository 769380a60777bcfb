//! The text of every stage of every shipped spec.

use netc::compile;
use netc::elaborate::load;
use netc::elaborate::project::shipped;
use netc::elaborate::project::source_files::from_disk;
use netc::lower::{Options, lower};
use netc::passes::{INFERENCE, optimize};

/// How a shipped spec is used as a complete net.
fn expression(name: &str) -> String {
    match name {
        "mixture_of_experts" => "Input(10) >> mixture_of_experts([Relu(5), Tanh(5)], gate=Softmax(2))".into(),
        name => name.into(),
    }
}

fn graph(argument: &str) -> netc::graph::Graph {
    let spec = load(argument, &from_disk).map_err(|(_, errors)| errors).unwrap();
    compile::graph(&spec, None).unwrap().0
}

fn snapshot(stage: &str, name: &str, text: String) {
    insta::with_settings!({ snapshot_path => "snapshots/specs", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{name}-{stage}"), text);
    });
}

#[test]
fn every_shipped_spec_has_its_graph_fused_graph_and_plan() {
    for spec in shipped::SPECS {
        let graph = graph(&expression(spec.name));
        snapshot("graph", spec.name, graph.to_string());
        let fused = optimize(graph);
        snapshot("fused", spec.name, fused.to_string());
        snapshot("plan", spec.name, lower(&fused, Options::inference(false)).unwrap().plan.to_string());
    }
}

#[test]
fn the_example_of_the_readme_has_its_stages() {
    let spec = load("specs/bird.net", &from_disk).map_err(|(_, errors)| errors).unwrap();
    let (graph, _) = compile::graph(&spec, None).unwrap();
    assert_eq!(graph.summary(), "(?, 224, 224, 3) -> [... 39 layers ...] -> (?, 10)");
    snapshot("graph", "bird", graph.to_string());
    snapshot("fused", "bird", optimize(graph).to_string());
}

#[test]
fn the_same_spec_gives_the_same_text() {
    assert_eq!(graph("resnet50").to_string(), graph("resnet50").to_string());
}

/// Each pass on a net where it has something to do: before and after.
#[test]
fn passes_do_what_they_say() {
    let cases = [
        ("decompose", "Input(6x8) >> Gelu(4) >> Attention(2)"),
        ("dead_code", "Input(8) >> { let a = Relu(4)  let b = Tanh(4)  a >> Dense(2) }"),
        ("remove_identity", "Input(8) >> Dropout(0.5) >> Identity >> Input(8) >> Dense(2) >> GaussianNoise(std=0.1)"),
        ("common_subgraphs", "Input(8) >> (Relu | Relu >> Tanh) >> Concatenate"),
        ("fold_batch_norm", "Input(8x8x3) >> Conv(3x3, 4, bias=false) >> BatchNorm >> Relu"),
        ("fuse_residual", "Input(8x8x4) >> (Conv(3x3, 4, padding=same) | Identity) >> Add >> Relu"),
        ("fuse_activation", "Input(8x8x3) >> Conv(3x3, 4) >> Relu >> Flatten >> Dense(3) >> Sigmoid"),
        ("fuse_pool", "Input(8x8x3) >> Conv(3x3, 4) >> Relu >> MaxPool(2x2)"),
        ("fuse_softmax", "Input(8) >> Dense(3) >> Softmax"),
    ];
    assert_eq!(cases.map(|(name, _)| name), *INFERENCE.iter().map(|pass| pass.name).collect::<Vec<_>>());
    for (name, expression) in cases {
        let mut graph = graph(expression);
        for pass in INFERENCE {
            let before = graph.to_string();
            graph = pass.apply(graph);
            if pass.name == name {
                let after = graph.to_string();
                assert_ne!(before, after, "{name} changed nothing");
                snapshot("pass", name, format!("{}\n\nbefore\n{before}\nafter\n{after}", pass.explain));
                break;
            }
        }
    }
}

/// Names, shapes and parameters of NeuPy's architectures, from its tables.
#[test]
fn architectures_are_those_of_neupy() {
    for name in ["vgg16", "vgg19", "squeezenet", "resnet50"] {
        let table = std::fs::read_to_string(format!("tests/data/architectures/{name}.tsv")).unwrap();
        let graph = graph(name);
        let rows: Vec<String> = graph
            .nodes
            .iter()
            .map(|node| {
                let parameters: usize = node.parameters.iter().map(|id| graph.parameters[id.0].len()).sum();
                let inputs: Vec<&str> = node.inputs.iter().map(|&id| graph.node(id).name.as_str()).collect();
                let kind = node.operation.kind();
                format!("{}\t{kind}\t{}\t{parameters}\t{}", node.name, node.output, inputs.join(","))
            })
            .collect();
        assert_eq!(rows, table.lines().collect::<Vec<_>>(), "{name}");
    }
}

/// A cut is a net like any other, even without an input.
#[test]
fn a_fragment_is_shown_without_what_it_takes() {
    let spec = load("vgg16[-3..]", &from_disk).map_err(|(_, errors)| errors).unwrap();
    let (graph, _) = compile::graph_or_fragment(&spec, None).unwrap();
    assert_eq!(graph.summary(), "(?, 4096) -> [... 3 layers ...] -> (?, 1000)");
    let names: Vec<&str> = graph.layers().map(|id| graph.node(id).name.as_str()).collect();
    assert_eq!(names, ["dropout-2", "dense_3", "softmax-1"]);
    assert!(compile::graph(&spec, None).is_err());
}

/// A scope as the end of a cut includes all of its layers, also those with generated names.
#[test]
fn a_scope_is_an_end_of_a_cut() {
    assert_eq!(graph("squeezenet[..=fire8]").summary(), "(?, 227, 227, 3) -> [... 54 layers ...] -> (?, 27, 27, 512)");
    assert_eq!(graph("squeezenet[..fire8]").summary(), "(?, 227, 227, 3) -> [... 47 layers ...] -> (?, 27, 27, 384)");
    // Between the layers of the scope are some without a name.
    for cut in ["convnext_tiny[..features.7.2]", "convnext_tiny[..=features.7.2]"] {
        assert!(graph(cut).summary().ends_with("] -> (?, 7, 7, 768)"), "{cut}: {}", graph(cut).summary());
    }
    assert!(graph("densenet121[..features.denseblock4]").summary().ends_with("] -> (?, 7, 7, 512)"));
}
