//! The table of a graph, its JSON form and the drawing.

use netc::elaborate;
use netc::elaborate::project::{shipped, source_files};
use netc::graph::changes::Change;
use netc::graph::outline::Outline;
use netc::graph::{self, Graph, Node, NodeId};
use netc::view::{self, DrawingOptions, LayerDetails};
use std::collections::{BTreeMap, BTreeSet};

/// The graph and the documentation of a spec's net.
fn load(argument: &str) -> (Graph, Vec<String>) {
    let spec = match elaborate::load(argument, &source_files::from_disk) {
        Ok(spec) => spec,
        Err((_, errors)) => panic!("{argument}: {errors:?}"),
    };
    let net = spec.choose(None).unwrap_or_else(|errors| panic!("{argument}: {errors:?}"));
    let (graph, _) = spec.graph(net).unwrap_or_else(|errors| panic!("{argument}: {errors:?}"));
    (graph, spec.project.nets[net].docs.clone())
}

const BIRD: &str = "frozen(vgg16[..dropout-2]) >> Softmax(10) as species";
const BRANCHY: &str = "Input(32x32x8) as photo \
    >> (Conv(3x3, 8, padding=same) as left >> BatchNorm >> Relu | Identity | Conv(1x1, 8) as right) >> Add >> Relu \
    >> (Slice(0, 4) | Slice(4, 8) >> Conv(5x5, 12, padding=same)) >> Concatenate >> Flatten";

/// A U whose levels are scopes.
const SCOPED_U: &str = "{ let a = Input(32x32x3) >> (Conv(3x3, 8, padding=same) as one >> Conv(3x3, 8, padding=same) as two) as down1 \
    let b = a >> MaxPool(2x2) >> (Conv(3x3, 16, padding=same) as one >> Conv(3x3, 16, padding=same) as two) as down2 \
    let c = b >> MaxPool(2x2) >> Conv(3x3, 32, padding=same) as middle >> Upscale(2) as wider \
    let d = (c | b) >> Concatenate >> (Conv(3x3, 16, padding=same) as one >> Conv(3x3, 16, padding=same) as two) as up2 >> Upscale(2) \
    (d | a) >> Concatenate >> (Conv(3x3, 8, padding=same) as one >> Conv(3x3, 8, padding=same) as two) as up1 >> Conv(1x1, 2) as end }";

/// Outputs in the middle of a net, one of them twice, another of the layers of a scope, another in a column of a U.
const INNER: &str = "{ let a = Input(8) >> Relu(6) as first let b = a >> (Relu(8) as one >> Tanh(7) as two) as body \
    let c = b >> Relu(5) >> Dense(5) as last (c | a | b | a) }";
const SIDE_OUTPUTS: &str = "{ let a = Input(32x32x3) >> Conv(3x3, 8, padding=same) as one let b = a >> MaxPool(2x2) >> Conv(3x3, 8, padding=same) as two \
    let c = (b >> MaxPool(2x2) >> Conv(3x3, 16, padding=same) >> Upscale(2) | b) >> Concatenate >> Conv(3x3, 8, padding=same) as three \
    let d = (c >> Upscale(2) | a) >> Concatenate >> Conv(3x3, 8, padding=same) as four (d | c | b) }";

/// Nets whose drawings have branches, scopes, long skips, several inputs and outputs, and odd names.
const DRAWN: &[&str] = &[
    BIRD,
    "Input(10) >> mixture_of_experts([Relu(5), Tanh(5) >> Dropout(0.2) >> Tanh(5)], gate=Softmax(2)) >> Dense(3)",
    "Input(32x32x8) as photo >> (Conv(3x3, 8, padding=same) as left >> BatchNorm >> Relu | Identity) >> Add >> Relu",
    "Input(20) >> (Relu(8) as \"a <name> & \\\"more\\\"\" | Tanh(8) as \"出力\") >> Average >> (Softmax(3) | Sigmoid(1))",
    "{ let a = Input(32x32x3) >> Conv(3x3, 8, padding=same) as one let b = a >> MaxPool(2x2) >> Conv(3x3, 8, padding=same) \
        let c = b >> MaxPool(2x2) >> Conv(3x3, 16) (c >> GlobalPool(avg) | b >> GlobalPool(max) | a >> GlobalPool(avg)) >> Concatenate }",
    SCOPED_U,
    INNER,
    SIDE_OUTPUTS,
    "{ let a = Input(32x32x3) >> Conv(3x3, 8) >> Flatten let b = Input(12) (a | b >> Relu(32)) >> Concatenate >> Softmax(10) }",
];

/// Shipped nets that start at an input.
fn shipped_nets() -> Vec<&'static str> {
    shipped::SPECS.iter().map(|spec| spec.name).filter(|name| !["mixture_of_experts", "bird"].contains(name)).collect()
}

/// The forms of a drawing.
const FORMS: [DrawingOptions; 4] = [
    DrawingOptions { expand: false, depth: None, steps: false },
    DrawingOptions { expand: true, depth: None, steps: false },
    DrawingOptions { expand: false, depth: Some(1), steps: false },
    DrawingOptions { expand: true, depth: Some(2), steps: false },
];
const EXPANDED: DrawingOptions = FORMS[1];

fn all() -> impl Iterator<Item = (&'static str, Graph)> {
    let names = shipped_nets().into_iter().chain(DRAWN.iter().copied());
    names.map(|name| (name, load(name).0))
}

/// Every drawing of every net.
fn drawings() -> impl Iterator<Item = (String, String)> {
    let draw = |(name, graph): (&'static str, Graph)| {
        FORMS.map(|form| (format!("{name} {form:?}"), view::svg_with(&graph, form)))
    };
    all().flat_map(draw)
}

#[test]
fn the_table_of_a_new_head_on_vgg16() {
    let (graph, _) = load("vgg16[..dropout-2] >> Softmax(10)");
    insta::assert_snapshot!(view::table(&graph, &[], view::TableOptions::default()));
}

#[test]
fn the_table_of_a_net_with_branches() {
    insta::assert_snapshot!(view::table(&load(BRANCHY).0, &[], view::TableOptions::default()));
}

#[test]
fn a_table_tells_inputs_and_what_is_frozen() {
    let (graph, _) =
        load("Input(32x32x8) >> (frozen(Conv(3x3, 8, padding=same) as left >> BatchNorm) >> Relu | Identity) >> Add");
    insta::assert_snapshot!(view::table(&graph, &["A residual block.".into()], view::TableOptions::default()));
}

#[test]
fn a_terminal_wraps_inputs_and_cuts_no_name() {
    let (graph, _) =
        load("Input(8) >> (Relu(4) as a_long_name_of_one | Tanh(4) as a_long_name_of_two | Elu(4) as three) >> Add");
    insta::assert_snapshot!(view::table(&graph, &[], view::TableOptions { width: Some(100), ..Default::default() }));
    for width in [1, 40, 80, 300] {
        let table = view::table(&graph, &[], view::TableOptions { width: Some(width), ..Default::default() });
        assert!(graph.nodes.iter().all(|node| table.contains(&node.name)));
    }
}

#[test]
fn a_narrow_terminal_has_narrow_rows() {
    let (graph, _) = load("squeezenet1_1");
    for width in [70, 80, 100] {
        let table = view::table(&graph, &[], view::TableOptions { width: Some(width), ..Default::default() });
        let rows: Vec<&str> = table.lines().skip(2).take_while(|line| !line.is_empty()).collect();
        assert!(rows.len() > 60 && rows.iter().all(|row| row.chars().count() <= width), "{table}");
        assert!(graph.layers().all(|id| table.contains(&graph.node(id).name)), "{table}");
    }
}

#[test]
fn the_documentation_is_below_the_summary() {
    let (graph, docs) = load("vgg16");
    let table = view::table(&graph, &docs, view::TableOptions::default());
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "(?, 224, 224, 3) -> [... 41 layers ...] -> (?, 1000)");
    assert!(lines[1].starts_with("VGG16 (Simonyan"), "{}", lines[1]);
    let totals = "138,357,544 parameters, 15.5 G multiply-adds, 527.8 MiB of weights";
    assert_eq!(lines[lines.len() - 2], totals);
}

#[test]
fn json_has_the_documented_shape() {
    let (graph, _) = load(BRANCHY);
    let json = view::json(&graph, None);
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().into_iter().flat_map(|object| object.keys().cloned()).collect()
    };
    let mut top = keys(&json);
    top.sort();
    assert_eq!(top, ["layers", "net", "outputs", "summary"]);
    assert_eq!(json["summary"], graph.summary());
    assert_eq!(json["outputs"], serde_json::json!(["reshape-1"]));
    let layers = json["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), graph.nodes.len());
    for (index, (layer, node)) in layers.iter().zip(&graph.nodes).enumerate() {
        let mut names = keys(layer);
        names.sort();
        assert_eq!(names, ["frozen", "index", "inputs", "kind", "macs", "name", "output", "parameters", "settings"]);
        assert_eq!(layer["index"], index);
        assert_eq!(layer["name"], node.name);
        assert_eq!(layer["kind"], node.operation.kind());
        assert_eq!(layer["output"], node.output.to_string());
    }
    assert_eq!(layers[1]["name"], "left");
    assert_eq!(layers[1]["parameters"], 3 * 3 * 8 * 8 + 8);
    assert_eq!(layers[1]["macs"], 32 * 32 * 8 * 3 * 3 * 8);
    assert_eq!(layers[1]["inputs"], serde_json::json!(["photo"]));
    let parameters: u64 = layers.iter().filter_map(|layer| layer["parameters"].as_u64()).sum();
    assert_eq!(parameters, graph.parameter_count() as u64);
}

/// A rectangle of a drawing.
#[derive(Debug)]
struct Rect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

fn rects(document: &roxmltree::Document, class: &str) -> Vec<Rect> {
    let number =
        |node: &roxmltree::Node, name: &str| -> f64 { node.attribute(name).unwrap_or("0").parse().expect("a number") };
    document
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.attribute("class") == Some(class))
        .map(|node| {
            let (left, top) = (number(&node, "x"), number(&node, "y"));
            Rect { left, top, right: left + number(&node, "width"), bottom: top + number(&node, "height") }
        })
        .collect()
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

fn within(inner: &Rect, outer: &Rect) -> bool {
    inner.left >= outer.left && inner.top >= outer.top && inner.right <= outer.right && inner.bottom <= outer.bottom
}

#[test]
fn every_layer_is_drawn_once_and_titled() {
    for (name, graph) in all() {
        let svg = view::svg_with(&graph, EXPANDED);
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut titles: BTreeMap<String, usize> = BTreeMap::new();
        for layer in document.descendants().filter(|node| node.attribute("class") == Some("layer")) {
            let title = layer.children().find(|child| child.has_tag_name("title")).and_then(|title| title.text());
            let layer = title.and_then(|title| title.split_once(" = ")).map_or("", |(layer, _)| layer);
            *titles.entry(layer.to_string()).or_default() += 1;
        }
        let expected: BTreeMap<String, usize> = graph.nodes.iter().map(|node| (node.name.clone(), 1)).collect();
        assert_eq!(titles, expected, "{name}");
        let root = document.root_element();
        assert!(root.attribute("viewBox").is_some(), "{name}");
        assert_eq!(root.attribute("font-family"), Some("sans-serif"), "{name}");
        assert!(root.children().any(|child| child.has_tag_name("desc")), "{name}");
        assert_eq!(svg, view::svg_with(&load(name).0, EXPANDED), "{name} is drawn the same again");
    }
}

/// The attributes that the drawings use, all of them SVG's: a viewer ignores one that it does not know.
const ATTRIBUTES: [&str; 28] = [
    "aria-labelledby",
    "class",
    "d",
    "fill",
    "fill-opacity",
    "font-family",
    "font-size",
    "font-weight",
    "height",
    "id",
    "marker-end",
    "markerHeight",
    "markerWidth",
    "orient",
    "patternTransform",
    "patternUnits",
    "refX",
    "refY",
    "role",
    "rx",
    "stroke",
    "stroke-opacity",
    "text-anchor",
    "transform",
    "viewBox",
    "width",
    "x",
    "y",
];

#[test]
fn every_attribute_is_one_of_svg() {
    for (name, svg) in drawings() {
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let known = |attribute: &roxmltree::Attribute| ATTRIBUTES.contains(&attribute.name());
        let unknown = document.descendants().flat_map(|node| node.attributes()).find(|attribute| !known(attribute));
        assert_eq!(unknown, None, "{name}");
    }
}

#[test]
fn nothing_lies_over_another() {
    for (name, svg) in drawings() {
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (boxes, frames, tags) = (rects(&document, "box"), rects(&document, "scope"), rects(&document, "tag"));
        for (index, one) in boxes.iter().enumerate() {
            assert!(boxes[..index].iter().all(|other| !overlap(one, other)), "{name}: {one:?}");
            assert!(frames.iter().all(|frame| within(one, frame) || !overlap(one, frame)), "{name}: {one:?}");
        }
        for (index, one) in frames.iter().enumerate() {
            let apart = |other: &Rect| within(one, other) || within(other, one) || !overlap(one, other);
            assert!(frames[..index].iter().all(apart), "{name}: {one:?}");
        }
        for (index, one) in tags.iter().enumerate() {
            assert!(boxes.iter().any(|outer| within(one, outer)), "{name}: {one:?}");
            assert!(tags[..index].iter().all(|other| !overlap(one, other)), "{name}: {one:?}");
        }
    }
}

/// The points of a path, its curves at sixteenths.
fn points(path: &str) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::new();
    let mut rest = path;
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 1);
        let numbers: Vec<f64> =
            rest[1..end].split_whitespace().map(|number| number.parse().expect("a number")).collect();
        rest = &rest[end..];
        let ends: Vec<(f64, f64)> = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let start = out.last().copied().unwrap_or(ends[0]);
        for step in 1..=16 {
            let t = f64::from(step) / 16.0;
            let mix = |a: (f64, f64), b: (f64, f64)| (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t);
            let mut hull: Vec<(f64, f64)> = std::iter::once(start).chain(ends.iter().copied()).collect();
            while hull.len() > 1 {
                hull = hull.windows(2).map(|pair| mix(pair[0], pair[1])).collect();
            }
            out.push(hull[0]);
        }
        assert!("MLQC".contains(command), "{path}");
    }
    out
}

#[test]
fn no_edge_runs_through_a_box() {
    for (name, svg) in drawings() {
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let boxes = rects(&document, "box");
        for edge in document.descendants().filter(|node| node.attribute("class") == Some("edge")) {
            for (x, y) in points(edge.attribute("d").unwrap_or("")) {
                // End points are on borders, up to rounding.
                let inside = |one: &&Rect| x > one.left && x < one.right && y > one.top + 0.2 && y < one.bottom - 0.2;
                assert!(boxes.iter().find(inside).is_none(), "{name}: ({x}, {y})");
            }
        }
    }
}

/// Every output has an arrow that leaves its box and arrives at none; what is no output has none.
#[test]
fn every_output_has_an_arrow() {
    for (name, graph) in all() {
        let svg = view::svg_with(&graph, EXPANDED);
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let boxes = rects(&document, "box");
        let around = |(x, y): (f64, f64)| -> Option<usize> {
            let within =
                |one: &Rect| x >= one.left - 0.2 && x <= one.right + 0.2 && y >= one.top - 0.2 && y <= one.bottom + 0.2;
            boxes.iter().position(within)
        };
        let arrows = document.descendants().filter(|node| node.attribute("class") == Some("edge"));
        let arrows = arrows.filter(|edge| edge.attribute("marker-end").is_some());
        let ends = arrows.map(|edge| points(edge.attribute("d").unwrap_or("")));
        let leaving = ends.filter(|path| around(path[path.len() - 1]).is_none()).filter_map(|path| around(path[0]));
        let mut leaving: Vec<usize> = leaving.collect();
        leaving.sort_unstable();
        let outputs: BTreeSet<usize> = graph.outputs.iter().map(|id| id.0).collect();
        assert_eq!(leaving.len(), outputs.len(), "{name}: arrows of the boxes {leaving:?}");
        assert_eq!(leaving.iter().collect::<BTreeSet<_>>().len(), leaving.len(), "{name}: one arrow for each");
    }
}

#[test]
fn a_table_and_a_graph_have_the_outputs() {
    let (graph, _) = load(INNER);
    let table = view::table(&graph, &[], view::TableOptions::default());
    let outputs = "\noutputs: last (?, 5), first (?, 6), body/two (?, 7), first-2 (?, 6)\n";
    assert!(table.contains(outputs), "{table}");
    assert_eq!(view::json(&graph, None)["outputs"], serde_json::json!(["last", "first", "body/two", "first-2"]));
    let dot = view::dot(&graph);
    assert_eq!(dot.matches("-> out").count(), 4, "{dot}");
    assert!(
        dot.contains("label=\"output first-2\"") && dot.contains("n1 -> out1;") && dot.contains("n1 -> out3;"),
        "{dot}"
    );
    let (cut, _) = load("Input(4) >> Relu(3) as a >> Relu(2)");
    assert!(!view::table(&cut, &[], view::TableOptions::default()).contains("output:"));
}

#[test]
fn a_scope_is_a_frame_around_all_of_its_layers() {
    let svg = view::svg_with(&load("squeezenet").0, EXPANDED);
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}"));
    let frames = rects(&document, "scope");
    assert_eq!(frames.len(), 8);
    let boxes = rects(&document, "box");
    // Three convolutions, and the merge that has no name in the scope.
    for frame in &frames {
        assert_eq!(boxes.iter().filter(|one| within(one, frame)).count(), 4, "{frame:?}");
    }
}

#[test]
fn a_layer_without_a_name_is_in_the_scope_that_it_came_from() {
    // Also in a part that is cut out of a net.
    for name in ["mobilenet_v3_large", "deeplab_v3"] {
        let table = view::table(&load(name).0, &[], view::TableOptions { depth: Some(2), ..Default::default() });
        assert!(!table.contains("elementwise"), "{table}");
    }
}

#[test]
fn skips_that_a_frame_cannot_hold_and_deep_names_are_drawn() {
    let deep = format!("Input(8) >> Relu(8) as \"{}a\" >> Relu(8) as \"{}b\"", "x/".repeat(900), "x/".repeat(900));
    let crossing = "Input(8) >> Relu(8) as \"a/1\" >> Relu(8) as \"b/1\" >> Relu(8) as \"a/2\" >> Relu(8) as \"b/2\"";
    for net in [deep.as_str(), crossing] {
        let svg = view::svg(&load(net).0);
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(rects(&document, "box").len(), load(net).0.nodes.len());
    }
}

#[test]
fn what_nobody_could_read_is_not_drawn() {
    let (graph, _) = load("Input(8) >> repeat(4000) { Dense(8) }");
    let svg = view::svg_with(&graph, EXPANDED);
    assert!(svg.contains("too many to draw") && roxmltree::Document::parse(&svg).is_ok());
}

/// The folds of a net, from its page: the layers of each block, and what it is called.
fn folds(graph: &Graph) -> Vec<(String, Vec<Vec<usize>>)> {
    let page = view::network(graph, DrawingOptions::default(), &LayerDetails::default()).expect("a drawing");
    let data = page.split("id=\"net\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    let data: serde_json::Value = serde_json::from_str(&data.replace("<\\/", "</")).expect("JSON");
    let folds = data["folds"].as_array().expect("folds").iter();
    let blocks = |fold: &serde_json::Value| serde_json::from_value(fold["blocks"].clone()).expect("blocks");
    folds.map(|fold| (fold["label"].as_str().unwrap_or_default().to_string(), blocks(fold))).collect()
}

/// The indices of the layers that a drawing shows.
fn drawn_layers(svg: &str) -> BTreeSet<usize> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}"));
    let ids = document.descendants().filter_map(|node| node.attribute("id")?.strip_prefix("layer-")?.parse().ok());
    ids.collect()
}

/// The indices of the layers in frames that are drawn as one box, from the descriptions of these.
fn layers_in_boxes(svg: &str, graph: &Graph) -> BTreeSet<usize> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}"));
    let groups = document.descendants().filter(|node| node.attribute("class") == Some("group"));
    let titles = groups.filter_map(|group| group.first_element_child()?.text());
    let index = |name: &str| graph.nodes.iter().position(|node| node.name == name).expect("a layer");
    titles.flat_map(|title| title.lines().skip(1).map(index)).collect()
}

#[test]
fn frames_like_an_earlier_one_are_boxes_in_a_large_net_alone() {
    let boxes = |name: &str| layers_in_boxes(&view::svg(&load(name).0), &load(name).0).len();
    assert_eq!(["resnet50", "densenet121", "googlenet"].map(boxes), [0, 0, 112]);
    let svg = view::svg(&load("googlenet").0);
    assert_eq!(svg.matches(">like inception_3a<").count(), 8);
}

#[test]
fn a_fold_is_of_equal_blocks() {
    for (name, graph) in all() {
        let mut hidden = BTreeSet::new();
        for (label, blocks) in folds(&graph) {
            let first = &blocks[0];
            assert!(blocks.len() > 1, "{name}: {label}");
            for block in &blocks {
                assert_eq!(block.len(), first.len(), "{name}: {label}");
                for (&here, &there) in block.iter().zip(first) {
                    let (node, other) = (graph.node(NodeId(here)), graph.node(NodeId(there)));
                    assert_eq!(node.operation.kind(), other.operation.kind(), "{name}: {label}");
                    assert_eq!(node.operation.settings(), other.operation.settings(), "{name}: {label}");
                    assert_eq!(node.frozen, other.frozen, "{name}: {label}");
                    // Inputs are from the same place in the block, or from outside in both.
                    let places = |node: &Node, block: &[usize]| -> Vec<Option<usize>> {
                        node.inputs.iter().map(|input| block.iter().position(|&layer| layer == input.0)).collect()
                    };
                    assert_eq!(places(node, block), places(other, first), "{name}: {label}");
                }
            }
            // Nothing but the last block of a series is used after it.
            let inside: BTreeSet<usize> = blocks.iter().flatten().copied().collect();
            assert_eq!(inside.len(), blocks.len() * first.len(), "{name}: {label}");
            hidden.extend(blocks[1..].iter().flatten().copied());
        }
        // A layer is drawn, in another block of a fold, or in a frame that is one box like an earlier one.
        let svg = view::svg(&graph);
        let drawn = drawn_layers(&svg);
        let contracted = layers_in_boxes(&svg, &graph);
        let everything: BTreeSet<usize> = (0..graph.nodes.len()).collect();
        let sets = [&drawn, &hidden, &contracted];
        assert_eq!(sets.iter().map(|set| set.len()).sum::<usize>(), everything.len(), "{name}");
        assert_eq!(sets.into_iter().flatten().copied().collect::<BTreeSet<_>>(), everything, "{name}");
    }
}

#[test]
fn what_is_folded_in_shipped_nets() {
    let mut text = String::new();
    for name in shipped_nets() {
        let folds = folds(&load(name).0);
        let folds: Vec<String> = folds.iter().map(|(label, blocks)| format!("{} x {label}", blocks.len())).collect();
        if !folds.is_empty() {
            text.push_str(&format!("{name}: {}\n", folds.join("; ")));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn blocks_that_differ_are_not_folded() {
    // The third has other filters, an other activation, or a use of its own; too few are easier to read.
    for net in [
        "Input(8) >> Dense(8) >> Relu >> Dense(8) >> Relu >> Dense(9) >> Relu >> Dense(8) >> Relu >> Dense(8) >> Relu",
        "Input(8) >> Dense(8) >> Relu >> Dense(8) >> Relu >> Dense(8) >> Tanh >> Dense(8) >> Relu >> Dense(8) >> Relu",
        "{ let a = Input(8) >> repeat(3) { Dense(8) } (a | a >> repeat(3) { Dense(8) }) >> Add }",
        "Input(8) >> repeat(4) { Dense(8) }",
    ] {
        assert_eq!(folds(&load(net).0), [], "{net}");
    }
    let graph = load("Input(8) >> repeat(6) { Dense(8) } >> Softmax(2)").0;
    let expected: Vec<Vec<usize>> = (1..=6).map(|layer| vec![layer]).collect();
    let blocks: Vec<_> = folds(&graph).into_iter().map(|(_, blocks)| blocks).collect();
    assert_eq!(blocks, [expected]);
    assert!(view::svg(&graph).contains("×6"));
}

#[test]
fn twins_are_drawn_once_with_both_inputs() {
    let graph = load("siamese").0;
    let twins = folds(&graph);
    assert_eq!(twins.len(), 1);
    assert_eq!((twins[0].0.as_str(), twins[0].1.len()), ("twin, shared by left and right", 2));
    let svg = view::svg_with(&graph, EXPANDED);
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}"));
    let frames = rects(&document, "scope");
    let size = |frame: &Rect| (frame.right - frame.left, frame.top);
    assert_eq!((frames.len(), size(&frames[0])), (2, size(&frames[1])));
    // Their outputs have other consumers each.
    let apart = "{ let a = Input(8) as a let b = Input(8) as b share twin = Dense(4) >> Relu >> Dense(4) \
        ((a >> twin | b) >> Concatenate | b >> twin) >> Concatenate }";
    assert_eq!(folds(&load(apart).0), []);
}

#[test]
fn a_unet_is_a_u() {
    let graph = load("unet").0;
    let svg = view::svg(&graph);
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}"));
    let place = |id: usize| -> Rect {
        let layer = document.descendants().find(|node| node.attribute("id") == Some(&format!("layer-{id}")));
        let rect = layer.and_then(|layer| layer.children().find(|child| child.attribute("class") == Some("box")));
        let number = |name: &str| rect.and_then(|rect| rect.attribute(name)?.parse().ok()).unwrap_or(f64::NAN);
        let (left, top) = (number("x"), number("y"));
        Rect { left, top, right: left + number("width"), bottom: top + number("height") }
    };
    let merges: Vec<NodeId> = graph.ids().filter(|&id| graph.node(id).operation.kind() == "Concatenate").collect();
    assert_eq!(merges.len(), 4);
    for id in merges {
        // The activation of the skip is a tag of its convolution.
        let skip = graph.node(graph.node(id).inputs[0]).inputs[0];
        let (merge, from) = (place(id.0), place(skip.0));
        assert!(from.right < merge.left, "{id:?}");
        assert!(((merge.top + merge.bottom) - (from.top + from.bottom)).abs() < 0.5, "{id:?}");
        let below = place(graph.node(id).inputs[1].0);
        assert!(below.top > merge.bottom, "{id:?}");
    }
    let root = document.root_element();
    let size = |name: &str| -> f64 { root.attribute(name).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN) };
    assert!(size("width") > 0.4 * size("height"));
}

#[test]
fn drawings_fit_a_page() {
    for name in shipped_nets() {
        let svg = view::svg(&load(name).0);
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}"));
        let width: f64 =
            document.root_element().attribute("width").and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        assert!(width < 1500.0, "{name}: {width}");
        // A chain with wide parts has bands of columns.
        let height: f64 =
            document.root_element().attribute("height").and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        assert!(height < 4500.0, "{name}: {height}");
    }
}

#[test]
fn layers_put_between_others_change_none_of_them() {
    let (a, b) = (load("vgg16").0, load("vgg19").0);
    let (first, second) = (Outline::of(&a), Outline::of(&b));
    let changes = graph::changes::changes(&first, &second);
    let added = |change: &Change| match change {
        Change::Added(id) => b.node(*id).name.clone(),
        other => panic!("{other:?}"),
    };
    let mut names: Vec<String> = changes.iter().map(added).collect();
    names.retain(|name| !name.starts_with("relu-"));
    assert_eq!((changes.len(), names), (6, ["conv3_4", "conv4_4", "conv5_4"].map(String::from).to_vec()));
    let changes = graph::changes::changes(&second, &first);
    assert!(changes.iter().all(|change| matches!(change, Change::Removed(_))));
}

#[test]
fn the_drawing_in_the_readme_is_the_programs_own() {
    let drawing = std::fs::read_to_string("specs/samples/squeezenet1_1.svg").unwrap();
    assert_eq!(drawing, netc::view::svg(&load("squeezenet1_1").0));
}
