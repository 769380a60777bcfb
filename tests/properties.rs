//! Property tests on random networks: cuts, shapes and formatting.

mod random;

use ndarray::{ArrayD, IxDyn};
use netc::diagnostics::render;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::graph::{Graph, Initializer, NodeId, ParameterId, reference};
use netc::syntax;
use proptest::prelude::*;
use random::RandomChoices;
use std::path::Path;

/// Writes random nets and tracks the output shape of the last layer.
struct Writer {
    random: RandomChoices,
    sizes: Vec<usize>,
    text: String,
}

impl Writer {
    fn function(&mut self) -> &'static str {
        self.random.pick(&[
            "Relu",
            "Tanh",
            "Sigmoid",
            "Elu",
            "LeakyRelu",
            "Gelu",
            "Absolute",
            "Softmax",
            "Dropout(0.5)",
            "Identity",
        ])
    }

    fn add(&mut self, layer: &str) {
        self.text += &format!(" >> {layer}");
    }

    /// A net of some layers.
    fn net(&mut self) {
        self.sizes = match self.random.below(5) {
            0 => vec![1 + self.random.below(9)],
            1 => vec![1 + self.random.below(5), 1 + self.random.below(6)],
            _ => vec![3 + self.random.below(6), 3 + self.random.below(6), 1 + self.random.below(5)],
        };
        let sizes: Vec<String> = self.sizes.iter().map(usize::to_string).collect();
        self.text = format!("Input({})", sizes.join("x"));
        for _ in 0..2 + self.random.below(9) {
            match self.sizes.len() {
                3 => self.on_image(),
                2 => self.on_sequence(),
                _ => self.on_features(),
            }
        }
    }

    fn on_image(&mut self) {
        let [height, width, channels] = self.sizes[..] else { return };
        let filters = 1 + self.random.below(5);
        match self.random.below(16) {
            0 | 1 => {
                let function = self.function();
                self.add(function);
            }
            2 => {
                let norm = self.random.pick(&[
                    "BatchNorm",
                    "BatchNorm(gamma=false)",
                    "LRN(depth_radius=1)",
                    "GroupNorm(1)",
                    "PRelu",
                ]);
                self.add(norm);
            }
            3 if height >= 3 && width >= 3 => {
                self.add(&format!("Conv(3x3, {filters})"));
                self.sizes = vec![height - 2, width - 2, filters];
            }
            4 => {
                let stride = 1 + self.random.below(2);
                self.add(&format!("Conv(3x2, {filters}, stride={stride}, padding=same, bias=false)"));
                self.sizes = vec![height.div_ceil(stride), width.div_ceil(stride), filters];
            }
            5 => {
                self.add("DepthwiseConv(3x3, padding=1, multiplier=2)");
                self.sizes[2] = 2 * channels;
            }
            6 => {
                let pool = self.random.pick(&["MaxPool", "AvgPool"]);
                self.add(&format!("{pool}(2x2, padding=same)"));
                self.sizes = vec![height.div_ceil(2), width.div_ceil(2), channels];
            }
            7 => {
                let pool = self.random.pick(&["MaxPool", "AvgPool"]);
                self.add(&format!("{pool}(2x2, stride=2, ceil=true, padding=[1, 0, 0, 1])"));
                // A window that starts in the padding on the right is omitted.
                self.sizes = vec![(height + 2) / 2, width.div_ceil(2), channels];
            }
            8 => {
                let merge = self.random.pick(&["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"]);
                self.add(&format!("(Conv(1x1, {channels}) >> Relu | Identity | Tanh) >> {merge}"));
            }
            9 => {
                self.add(&format!(
                    "(Conv(1x1, {filters}) | MaxPool(3x3, stride=1, padding=same)) >> Concatenate >> Relu"
                ));
                self.sizes[2] = channels + filters;
            }
            10 => {
                self.add(&format!(
                    "{{ let a = Relu  share f = Conv(3x3, {channels}, padding=same)  (a | a >> f >> Tanh >> f) >> Add }}"
                ));
            }
            11 => {
                self.add(&format!(
                    "repeat(2) {{ (Conv(3x3, {channels}, padding=same) >> BatchNorm | Identity) >> Add >> Relu }}"
                ));
            }
            12 if height * width <= 30 => {
                self.add("Upscale(2x1)");
                self.sizes[0] = 2 * height;
            }
            13 => {
                self.add("GlobalPool(avg)");
                self.sizes = vec![channels];
            }
            14 => {
                self.add("Flatten");
                self.sizes = vec![height * width * channels];
            }
            _ => {
                self.add("(Identity | GlobalPool(max)) >> Multiply");
            }
        }
    }

    fn on_features(&mut self) {
        let [features] = self.sizes[..] else { return };
        let units = 1 + self.random.below(6);
        match self.random.below(7) {
            0 => {
                let function = self.function();
                self.add(function);
            }
            1 => self.add("BatchNorm"),
            2 => {
                self.add(&format!("(Dense({units}) | Relu({units}) | Tanh({units}, bias=false)) >> Average"));
                self.sizes = vec![units];
            }
            3 => {
                self.add(&format!("(Softmax(2) | Relu({units}) | Dense({units})) >> GatedAverage"));
                self.sizes = vec![units];
            }
            4 => {
                self.add(&format!("Reshape({features}x1)"));
                self.sizes = vec![features, 1];
            }
            5 if features > 2 => {
                self.add(&format!("(Slice(1, {features}) | Slice(0, 2)) >> Concatenate"));
                self.sizes = vec![features + 1];
            }
            _ => {
                self.add(&format!("Dense({units})"));
                self.sizes = vec![units];
            }
        }
    }

    fn on_sequence(&mut self) {
        let [time, features] = self.sizes[..] else { return };
        let units = 1 + self.random.below(4);
        match self.random.below(6) {
            0 => {
                self.add(&format!("LSTM({units})"));
                self.sizes = vec![units];
            }
            1 => {
                self.add(&format!("GRU({units}, only_return_final=false, backwards=true)"));
                self.sizes = vec![time, units];
            }
            2 => {
                self.add("Flatten");
                self.sizes = vec![time * features];
            }
            3 => {
                self.add("Transpose([0, 2, 1])");
                self.sizes = vec![features, time];
            }
            _ => {
                let function = self.function();
                self.add(function);
            }
        }
    }
}

fn text_by_chance(seed: u64) -> (String, Vec<usize>) {
    let mut writer = Writer { random: RandomChoices::new(seed), sizes: Vec::new(), text: String::new() };
    writer.net();
    (writer.text, writer.sizes)
}

fn graph(text: &str) -> Graph {
    let spec = load_text(Path::new("net.net"), text, &from_disk);
    match spec.choose(Some("net_")).and_then(|net| spec.graph(net)) {
        Ok((graph, _)) => graph,
        Err(errors) => panic!("{text}\n{}", render::text(&errors, &spec.sources, false)),
    }
}

/// Values that depend only on the name of the parameter, so that parts of a net have the values of the whole.
fn values(graph: &Graph, id: ParameterId) -> Vec<f32> {
    let parameter = &graph.parameters[id.0];
    let drawn = Initializer::Uniform { min: -1.0, max: 1.0 }.sample(&parameter.shape, &parameter.path(), 3);
    match parameter.role {
        "running_inv_std" => drawn.into_iter().map(|value| value.abs() + 0.5).collect(),
        _ => drawn,
    }
}

fn evaluate(graph: &Graph, seen: &mut dyn FnMut(NodeId, &ArrayD<f64>)) -> Vec<ArrayD<f64>> {
    let inputs: Vec<ArrayD<f64>> = graph
        .inputs()
        .into_iter()
        .map(|id| {
            let mut shape = vec![2];
            shape.extend(graph.node(id).output.known().expect("known sizes"));
            let mut state = 1_u64;
            ArrayD::from_shape_fn(IxDyn(&shape), |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f64 / f64::from(1_u32 << 23) - 1.0
            })
        })
        .collect();
    reference::evaluate(graph, &inputs, &mut |id| values(graph, id), seen)
}

/// The layers at which a net can be cut in two: nothing bypasses them.
fn spine(graph: &Graph) -> Vec<NodeId> {
    let whole = |id: &NodeId| {
        let (leads, follows) = (graph.ancestors(&[*id]), graph.descendants(&[*id]));
        let past = |node: NodeId| node != *id && graph.node(node).inputs.iter().any(|input| !follows[input.0]);
        graph.ids().all(|node| (leads[node.0] || follows[node.0]) && !(follows[node.0] && past(node)))
    };
    graph.ids().skip(1).filter(whole).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// The types at run time are the inferred ones.
    #[test]
    fn inferred_shapes_are_those_of_the_values(seed: u64) {
        let (text, sizes) = text_by_chance(seed);
        let graph = graph(&format!("net net_ = {text}"));
        prop_assert_eq!(graph.node(graph.outputs[0]).output.known(), Some(sizes), "{}", text);
        let mut wrong = Vec::new();
        evaluate(&graph, &mut |id, values| {
            let node = graph.node(id);
            if node.output.known().as_deref() != Some(&values.shape()[1..]) {
                wrong.push(format!("{}: {} and {:?}", node.name, node.output, values.shape()));
            }
        });
        prop_assert!(wrong.is_empty(), "{}\n{:?}", text, wrong);
    }

    /// `net[..a] >> net[a..]` is `net`.
    #[test]
    fn two_parts_compute_what_the_whole_does(seed: u64, at: prop::sample::Index) {
        let (text, _) = text_by_chance(seed);
        let whole = graph(&format!("net net_ = {text}"));
        let spine = spine(&whole);
        let cut = &whole.node(spine[at.index(spine.len())]).name;
        let parts = graph(&format!("net net_ = whole[..\"{cut}\"] >> whole[\"{cut}\"..]\nnet whole = {text}"));
        let names = |graph: &Graph| graph.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
        prop_assert_eq!(names(&whole), names(&parts), "{} at {}", text, cut);
        prop_assert_eq!(evaluate(&whole, &mut |_, _| {}), evaluate(&parts, &mut |_, _| {}), "{} at {}", text, cut);
    }

    /// The layers of a net have the same names in its weights wherever it is used, also after a cut net; those of the nets that it
    /// consists of keep theirs.
    #[test]
    fn parameters_are_known_by_the_names_of_their_layers(seed: u64, at: prop::sample::Index) {
        let (text, _) = text_by_chance(seed);
        let whole = graph(&format!("net net_ = {text}"));
        let spine = spine(&whole);
        let end = whole.node(spine[at.index(spine.len())]);
        let head = match end.output.sizes.len() {
            3 => "Conv(1x1, 2) >> BatchNorm >> Relu >> Flatten >> Softmax(2)",
            2 => "LSTM(2) >> Dense(3) >> Softmax(2)",
            _ => "Dense(3) >> BatchNorm >> Relu(2) >> Softmax(2)",
        };
        let text = format!(
            "net net_ = whole[..=\"{}\"] >> {head} >> tail\nnet whole = {text}\nnet tail = Dense(2) >> Softmax(3)",
            end.name
        );
        let graph = graph(&text);
        for node in graph.nodes.iter().filter(|node| !node.parameters.is_empty()) {
            let known: Vec<(&str, &str)> = node.origin.layers.iter().map(|(net, name)| (&**net, &**name)).collect();
            prop_assert_eq!(known.last(), Some(&("net_", node.name.as_str())), "{}", text);
            for (net, name) in known {
                let own = match net {
                    "whole" => whole.nodes.iter().any(|node| node.name == name),
                    "tail" => ["linear-1", "softmax-1"].contains(&name),
                    _ => true,
                };
                prop_assert!(own, "{} of {} in {}", name, net, text);
            }
        }
    }

    /// A formatted net is the same net.
    #[test]
    fn formatting_changes_no_net(seed: u64) {
        let (text, _) = text_by_chance(seed);
        let text = format!("net net_ = {text}");
        let mut sources = netc::source::Sources::default();
        let file = sources.add_text("net.net", &text[..]);
        let (tree, errors) = syntax::parse(&sources, file);
        prop_assert!(errors.is_empty(), "{}", text);
        let formatted = syntax::format(&text, &tree);
        prop_assert_eq!(graph(&text).to_string(), graph(&formatted).to_string(), "{}", formatted);
    }
}
