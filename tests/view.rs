//! The table of a graph, its JSON form and the drawing.

use netc::elaborate;
use netc::elaborate::project::{shipped, source_files};
use netc::graph::Graph;
use netc::view;
use std::collections::BTreeMap;

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

/// Nets whose drawings have branches, scopes, long skips, several inputs and outputs, and odd names.
const DRAWN: &[&str] = &[
    BIRD,
    "Input(10) >> mixture_of_experts([Relu(5), Tanh(5) >> Dropout(0.2) >> Tanh(5)], gate=Softmax(2)) >> Dense(3)",
    "Input(32x32x8) as photo >> (Conv(3x3, 8, padding=same) as left >> BatchNorm >> Relu | Identity) >> Add >> Relu",
    "Input(20) >> (Relu(8) as \"a <name> & \\\"more\\\"\" | Tanh(8) as \"出力\") >> Average >> (Softmax(3) | Sigmoid(1))",
    "{ let a = Input(32x32x3) >> Conv(3x3, 8, padding=same) as one let b = a >> MaxPool(2x2) >> Conv(3x3, 8, padding=same) \
        let c = b >> MaxPool(2x2) >> Conv(3x3, 16) (c >> GlobalPool(avg) | b >> GlobalPool(max) | a >> GlobalPool(avg)) >> Concatenate }",
    "{ let a = Input(32x32x3) >> Conv(3x3, 8) >> Flatten let b = Input(12) (a | b >> Relu(32)) >> Concatenate >> Softmax(10) }",
];

/// Shipped nets that start at an input.
fn shipped_nets() -> Vec<&'static str> {
    shipped::SPECS.iter().map(|spec| spec.name).filter(|name| !["mixture_of_experts", "bird"].contains(name)).collect()
}

fn all() -> impl Iterator<Item = (&'static str, Graph)> {
    let names = shipped_nets().into_iter().chain(DRAWN.iter().copied());
    names.map(|name| (name, load(name).0))
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
    insta::assert_snapshot!(view::table(&graph, &[], view::TableOptions { width: Some(100), depth: None }));
    for width in [1, 40, 80, 300] {
        let table = view::table(&graph, &[], view::TableOptions { width: Some(width), depth: None });
        assert!(graph.nodes.iter().all(|node| table.contains(&node.name)));
    }
}

#[test]
fn the_documentation_is_below_the_summary() {
    let (graph, docs) = load("vgg16");
    let table = view::table(&graph, &docs, view::TableOptions::default());
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "(?, 224, 224, 3) -> [... 41 layers ...] -> (?, 1000)");
    assert!(lines[1].starts_with("VGG16 (Simonyan"), "{}", lines[1]);
    let totals = "138,357,544 parameters, 15.5 G multiply-adds, 553.4 MB of weights";
    assert_eq!(lines[lines.len() - 2], totals);
}

#[test]
fn json_has_the_documented_shape() {
    let (graph, _) = load(BRANCHY);
    let json = view::json(&graph);
    let keys = |value: &serde_json::Value| -> Vec<String> {
        value.as_object().into_iter().flat_map(|object| object.keys().cloned()).collect()
    };
    let mut top = keys(&json);
    top.sort();
    assert_eq!(top, ["layers", "net", "summary"]);
    assert_eq!(json["summary"], graph.summary());
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
        let svg = view::svg(&graph);
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
        assert_eq!(svg, view::svg(&load(name).0), "{name} is drawn the same again");
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
    for (name, graph) in all() {
        let svg = view::svg(&graph);
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{name}: {error}"));
        let known = |attribute: &roxmltree::Attribute| ATTRIBUTES.contains(&attribute.name());
        let unknown = document.descendants().flat_map(|node| node.attributes()).find(|attribute| !known(attribute));
        assert_eq!(unknown, None, "{name}");
    }
}

#[test]
fn nothing_lies_over_another() {
    for (name, graph) in all() {
        let svg = view::svg(&graph);
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
    for (name, graph) in all() {
        let svg = view::svg(&graph);
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

#[test]
fn a_scope_is_a_frame_around_all_of_its_layers() {
    let svg = view::svg(&load("squeezenet").0);
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
    let svg = view::svg(&graph);
    assert!(svg.contains("too many to draw") && roxmltree::Document::parse(&svg).is_ok());
}

#[test]
fn the_drawing_in_the_readme_is_the_programs_own() {
    let drawing = std::fs::read_to_string("specs/samples/squeezenet1_1.svg").unwrap();
    assert_eq!(drawing, netc::view::svg(&load("squeezenet1_1").0));
}
