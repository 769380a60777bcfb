//! Signature help, hover on words of recipes and values, completion of choices and paths, and shipped nets.

use super::editor::{BIRD, Editor, at, edited, labels};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The place after a text.
fn end(text: &str) -> Value {
    at(&format!("{text}\u{0}"), "\u{0}")
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// The completion items at the end of a text.
fn complete(editor: &mut Editor, uri: &str, version: i64, text: &str) -> Value {
    editor.change(uri, version, text);
    editor.ask("textDocument/completion", json!({ "textDocument": { "uri": uri }, "position": end(text) }))
}

#[test]
fn signatures_are_shown_with_the_argument_at_the_cursor() {
    let mut editor = Editor::start();
    editor.open(BIRD, "");
    let net = "net a = Input(8x8x3) >> Softmax(2)\n";
    let cases = [
        // A text, the label, and the argument at the cursor.
        ("net b = Conv(", "Convolution(size, filters, ", Some("size")),
        ("net b = Conv(3x3, [1, 2]", "Convolution(size, filters, ", Some("filters")),
        ("net b = Conv(3x3, stride=", "Convolution(size, filters, ", Some("stride=1")),
        (
            "## Blocks.\nnet block(n, size=3x3) = Conv(size, n)\nnet b = block(4, ",
            "block(n, size=3x3)",
            Some("size=3x3"),
        ),
        ("net b = a(", "a()", None),
        ("train a { optimizer = Momentum(step=0.1, ", "Momentum(step=0.1, momentum=0.9", Some("momentum=0.9")),
        ("train a { optimizer = ", "optimizer = GradientDescent | ", None),
        ("train a { data = images(", "images(folder, ", Some("folder")),
        ("train a { epochs = ", "epochs = …", None),
        ("expect top1(a, ", "top1(net, photo)", Some("photo")),
        ("net b = Dense(4, weight=HeNormal(", "HeNormal(gain=1)", Some("gain=1")),
        (
            "net b = Input(8x8x3, image=Image(order=",
            "Image(resize=256, interpolation=bilinear, crop=center, order=rgb",
            Some("order=rgb"),
        ),
        ("net b = frozen(", "frozen(layers)", Some("layers")),
    ];
    for (version, (text, label, argument)) in (2..).zip(cases) {
        let text = format!("{net}{text}");
        editor.change(BIRD, version, &text);
        let params = json!({ "textDocument": { "uri": BIRD }, "position": end(&text) });
        let help = editor.ask("textDocument/signatureHelp", params);
        let signature = &help["signatures"][0];
        let shown = signature["label"].as_str().unwrap_or_default().replace("Conv(", "Convolution(");
        assert!(shown.starts_with(label), "{text}: {help}");
        let active = help["activeParameter"].as_u64().map(|index| {
            let offsets = &signature["parameters"][index as usize]["label"];
            let offset = |which: usize| offsets[which].as_u64().expect("an offset") as usize;
            let units: Vec<u16> = signature["label"].as_str().expect("a label").encode_utf16().collect();
            String::from_utf16_lossy(&units[offset(0)..offset(1)])
        });
        assert_eq!(active.as_deref(), argument, "{text}: {help}");
    }
    for (version, text) in (100..).zip(["net b = Relu", "net b = nothing(", "# Conv(", "net b("]) {
        editor.change(BIRD, version, text);
        let params = json!({ "textDocument": { "uri": BIRD }, "position": end(text) });
        assert_eq!(editor.ask("textDocument/signatureHelp", params), Value::Null, "{text}");
    }
    editor.stop();
}

#[test]
fn only_words_that_are_accepted_are_offered() {
    let mut editor = Editor::start();
    editor.open(BIRD, "");
    let offered = |editor: &mut Editor, version: i64, text: &str| labels(&complete(editor, BIRD, version, text));
    let padding = offered(&mut editor, 2, "net a = Input(8x8x3) >> Conv(3x3, 4, padding=");
    assert_eq!(padding, ["same", "valid"]);
    let weight = offered(&mut editor, 3, "net a(init) = Input(8x8x3) >> Conv(3x3, 4, weight=");
    assert_eq!(weight.last().map(String::as_str), Some("init"), "{weight:?}");
    assert_eq!(weight[..weight.len() - 1], netc::graph::Initializer::NAMES);
    // Options of weights, and their words.
    let layouts = offered(&mut editor, 11, "net a = Relu\nweights a = \"a.h5\" { layout = ");
    assert!(["auto", "keras", "pytorch"].iter().all(|word| layouts.contains(&word.to_string())), "{layouts:?}");
    assert_eq!(offered(&mut editor, 12, "net a = Relu\nweights a = \"a.h5\" { missing = "), ["error", "initialize"]);
    let keys = complete(&mut editor, BIRD, 13, "train a { ");
    let documented = |item: &Value| item["documentation"]["value"].as_str().is_some_and(|text| !text.is_empty());
    assert!(keys.as_array().expect("a list").iter().all(documented), "{keys}");
    let keys = complete(&mut editor, BIRD, 14, "weights a = \"a.h5\" { ");
    assert!(keys.as_array().expect("a list").iter().all(documented), "{keys}");
    let words = offered(&mut editor, 15, "net a = Input(8x8x3, image=Image(crop=");
    assert_eq!(words, ["center", "center_even"]);
    // Each word that an argument takes is accepted for it.
    let mut version = 1010;
    let mut count = 0;
    for layer in netc::ops::LAYERS {
        for argument in layer.arguments {
            for word in argument.choices() {
                version += 1;
                count += 1;
                let needed = layer.arguments.iter().filter(|other| {
                    other.default == netc::graph::signature::definition::Default::Required
                        && other.name != argument.name
                });
                let mut given: Vec<String> = needed
                    .map(|other| match other.takes {
                        takes if takes.contains("sizes") => format!("{}=8x8x3", other.name),
                        takes if takes.contains("pair") => format!("{}=2x2", other.name),
                        takes if takes.contains("list") => format!("{}=[0, 1, 2, 3]", other.name),
                        takes if takes.contains('`') => {
                            format!("{}={}", other.name, other.choices().next().expect("one"))
                        }
                        _ => format!("{}=1", other.name),
                    })
                    .collect();
                given.push(format!("{}={}", argument.name, word.replace("(…)", "(resize=64)")));
                let text = format!("net a = {}({})\n", layer.name, given.join(", "));
                let errors = editor.change(BIRD, version, &text);
                // Whether a layer fits its input is another question.
                let wrong =
                    |error: &&Value| ["E0204", "E0203", "E0205"].contains(&error["code"].as_str().unwrap_or(""));
                let named = |error: &&Value| {
                    error["message"].as_str().is_some_and(|text| text.contains(&format!("`{}`", argument.name)))
                };
                let found: Vec<&Value> = errors.iter().filter(wrong).filter(named).collect();
                assert!(found.is_empty(), "{text}{found:?}");
            }
        }
    }
    assert!(count > 50, "{count}");
    editor.stop();
}

#[test]
fn paths_that_exist_are_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("project");
    for name in ["data/owl", "data/wren", "models", ".hidden"] {
        fs::create_dir_all(root.join(name)).expect("a folder");
    }
    let files = [
        "blocks.net",
        "main.net",
        "models/bird.h5",
        "models/old.keras",
        "species.txt",
        "list.csv",
        "x.npy",
        ".secret.h5",
        "odd\"name.h5",
    ];
    for file in files {
        fs::write(root.join(file), "").expect("a file");
    }
    fs::write(folder.path().join("outside.net"), "").expect("a file");
    let uri = uri(&root.join("main.net"));
    let mut editor = Editor::start();
    editor.open(&uri, "");
    let cases: [(&str, &[&str]); 13] = [
        ("use \"", &["data", "models", "blocks.net", "main.net"]),
        ("use \"../", &[]),
        ("weights a = \"", &["data", "models"]),
        ("weights a = \"models/", &["bird.h5", "old.keras"]),
        ("weights a = \"models/bi", &["bird.h5", "old.keras"]),
        ("weights a = \"nowhere/", &[]),
        ("labels a = \"sp", &["data", "models", "list.csv", "species.txt"]),
        ("train a { data = images(\"data/", &["owl", "wren"]),
        ("train a { data = csv(\"", &["data", "models", "list.csv", "species.txt"]),
        ("train a { data = arrays(x=\"", &["data", "models", "x.npy"]),
        ("train a { data = arrays(\"models/bird.h5\", x=\"", &[]),
        ("net a = Relu as \"", &[]),
        ("weights a = \"../", &["project"]),
    ];
    for (version, (text, expected)) in (2..).zip(cases) {
        let offered = complete(&mut editor, &uri, version, text);
        assert_eq!(labels(&offered), expected, "{text}");
    }
    let text = "weights a = \"models/bi";
    let offered = complete(&mut editor, &uri, 100, text);
    assert_eq!(edited(text, &json!([offered[0]["textEdit"]])), "weights a = \"models/bird.h5");
    let text = "train a { data = images(\"da";
    let offered = complete(&mut editor, &uri, 101, text);
    assert_eq!(edited(text, &json!([offered[0]["textEdit"]])), "train a { data = images(\"data/");
    // A text that is no file has no folder.
    editor.open("untitled:Untitled-1", "");
    assert!(labels(&complete(&mut editor, "untitled:Untitled-1", 2, "weights a = \"")).is_empty());
    editor.stop();
}

#[test]
fn hover_describes_keys_choices_and_values() {
    let mut editor = Editor::start();
    let text = "net a = Input(8x8x3, image=Caffe) >> Conv(3x3, 4, padding=same, weight=HeNormal) >> GlobalPool(avg) >> Softmax(2)\n\
                weights a = \"a.h5\" { layout = keras  missing = error }\n\
                train a {\n  data = images(\"d\", unreadable=skip)\n  optimizer = Adam\n  class_weights = balanced\n  shuffle = false\n}\n\
                expect parameters(a) < 1000\n";
    editor.open(BIRD, text);
    for (piece, said) in [
        ("same", "`padding` of `Conv`"),
        ("avg", "`function` of `GlobalPool`"),
        ("HeNormal", "He et al."),
        ("Caffe", "Preprocessing"),
        ("layout", "how the file arranges"),
        ("keras ", "Keras 1 or 2"),
        ("error }", "refuses a file"),
        ("data =", "the samples that the net is trained on"),
        ("images", "one folder"),
        ("unreadable", "cannot be read"),
        ("skip", "cannot be read"),
        ("optimizer", "A key of recipes"),
        ("Adam", "Kingma"),
        ("balanced", "inverse proportion"),
        ("parameters(a", "the number of a net's parameters"),
        ("train a {", "recipe"),
    ] {
        let answer = editor.ask_at("textDocument/hover", BIRD, text, piece);
        let shown = answer["contents"]["value"].as_str().unwrap_or_default();
        assert!(shown.contains(said), "{piece}: {shown}");
    }
    editor.stop();
}

#[test]
fn definitions_lead_into_shipped_nets() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut editor = Editor::start_with(&[("NETC_CACHE", cache.path())]);
    let text = "net bird = vgg16[..=conv1_1] >> GlobalPool(avg) >> Softmax(2)\nnet small = squeezenet[..=fire3]\n";
    editor.open(BIRD, text);
    // The words of a definition in a copy of the shipped spec.
    let mut word = |piece: &str| {
        let found = editor.ask_at("textDocument/definition", BIRD, text, piece);
        let path = found["uri"].as_str().and_then(|uri| uri.strip_prefix("file://")).expect("a file").to_string();
        assert!(Path::new(&path).starts_with(cache.path()), "{found}");
        let copy = fs::read_to_string(&path).expect("a copy");
        let line = copy.lines().nth(found["range"]["start"]["line"].as_u64().expect("a line") as usize);
        (path, copy.len(), line.expect("the line").to_string())
    };
    let (path, length, line) = word("vgg16");
    assert!(path.ends_with("/vgg16.net") && line.contains("vgg16"), "{path}: {line}");
    let shipped = netc::elaborate::project::shipped::find("vgg16").expect("it ships");
    assert_eq!(length, shipped.text.len());
    assert!(word("conv1_1").2.contains("conv"), "{line}");
    let (_, _, fire) = word("fire3");
    assert!(fire.contains("fire3"), "{fire}");
    // Nobody edits the copy.
    let writable = !fs::metadata(&path).expect("a copy").permissions().readonly();
    assert!(!writable);
    // One that was changed is replaced.
    fs::remove_file(&path).expect("the folder can be written");
    fs::write(&path, "net other = Relu").expect("a file");
    assert_eq!(word("vgg16").1, shipped.text.len());
    editor.stop();
}
