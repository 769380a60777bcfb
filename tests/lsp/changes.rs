//! Fixes, references, renaming, and completion in recipes.

use super::editor::{BIRD, Editor, RIGHT, at, edited, labels};
use serde_json::{Value, json};

/// The fixes at a position: titles, and the text after each.
fn fixes(editor: &mut Editor, text: &str, piece: &str) -> Vec<(String, String)> {
    let place = at(text, piece);
    let params = json!({
        "textDocument": { "uri": BIRD },
        "range": { "start": place, "end": place },
        "context": { "diagnostics": [] },
    });
    let actions = editor.ask("textDocument/codeAction", params);
    let fix = |action: &Value| {
        assert_eq!(action["kind"], "quickfix");
        assert!(action["diagnostics"][0]["code"].is_string(), "{action}");
        let title = action["title"].as_str().expect("a title").to_string();
        (title, edited(text, &action["edit"]["changes"][BIRD]))
    };
    actions.as_array().expect("a list").iter().map(fix).collect()
}

#[test]
fn fixes_remove_their_errors() {
    let mut editor = Editor::start();
    editor.open(BIRD, "");
    let bird = "net bird = Input(8x8x3) >> ";
    let recipe = "net a = Input(8) >> Softmax(2)\ntrain a { data = arrays(x=\"x.npy\", y=\"y.npy\")  epochs = 2 }\n";
    // A text with an error, its position, and the fixed text.
    let cases = [
        (format!("{bird}Covn(3x3, 4)"), "Covn", format!("{bird}Conv(3x3, 4)")),
        (format!("{bird}Conv2D(4, 3)"), "Conv2D", format!("{bird}Conv(filters=4, size=3)")),
        (
            recipe.replace("epochs = 2", "optimizer = Adam  lr = 0.1"),
            "lr",
            recipe.replace("epochs = 2", "optimizer = Adam(step=0.1)"),
        ),
        (
            recipe.replace("epochs = 2", "lr = 0.1, epochs = 2, optimizer = Adam(beta1=0.8)"),
            "lr",
            recipe.replace("epochs = 2", "epochs = 2, optimizer = Adam(step=0.1, beta1=0.8)"),
        ),
        (format!("{bird}Conv(3x3, 4, strid=2)"), "strid", format!("{bird}Conv(3x3, 4, stride=2)")),
        (format!("{bird}Conv(3x3, 4, padding=smae)"), "smae", format!("{bird}Conv(3x3, 4, padding=same)")),
        (format!("{bird}Conv(3x3, 4) >> Dense(10) as top"), "Dense", {
            format!("{bird}Conv(3x3, 4) >> Flatten >> Dense(10) as top")
        }),
        (format!("{bird}Conv(3x3, 4, bias: false)"), ": false", format!("{bird}Conv(3x3, 4, bias=false)")),
        (format!("{bird}Conv(3x3, 4, bias=False)"), "False", format!("{bird}Conv(3x3, 4, bias=false)")),
        (format!("{bird}Conv (3x3, 4)"), "Conv", format!("{bird}Conv(3x3, 4)")),
        (format!("{bird}Conv(3x3 4)"), " 4)", format!("{bird}Conv(3x3, 4)")),
        (format!("{bird}Conv(3x3, 4) Relu"), "Relu", format!("{bird}Conv(3x3, 4) >> Relu")),
        (format!("{bird}Conv(3x3, 4) -> Relu"), "->", format!("{bird}Conv(3x3, 4) >> Relu")),
        (format!("{bird}Conv(3x3, 4) > Relu"), "> Relu", format!("{bird}Conv(3x3, 4) >> Relu")),
        (format!("{bird}Conv(3×3, 4)"), "×", format!("{bird}Conv(3x3, 4)")),
        (format!("{bird}Conv(3x3, 4"), "(3x3", format!("{bird}Conv(3x3, 4)")),
        (format!("{bird}Dropout(.5)"), ".5", format!("{bird}Dropout(0.5)")),
        (format!("{bird}Conv(3x3, 4) >> BatchNorm"), "Conv", format!("{bird}Conv(3x3, 4, bias=false) >> BatchNorm")),
        ("vgg16[..dropot-2]".into(), "dropot", "vgg16[..dropout-2]".into()),
        ("def bird = Input(8) >> Relu".into(), "def", "net bird = Input(8) >> Relu".into()),
        ("net bird-1 = Input(8) >> Relu".into(), "bird-1", "net bird_1 = Input(8) >> Relu".into()),
        (recipe.replace("epochs", "epoch"), "epoch", recipe.into()),
        (recipe.replace("train a", "train b"), "b {", recipe.into()),
        // Words of other libraries.
        (format!("{bird}MaxPool2d(2)"), "MaxPool2d", format!("{bird}MaxPool(2)")),
        (format!("{bird}GlobalAveragePooling2D()"), "GlobalAv", format!("{bird}GlobalPool(avg)")),
        (format!("{bird}GAP"), "GAP", format!("{bird}GlobalPool(avg)")),
        (format!("{bird}Conv2D(filters=4, size=3x3)"), "Conv2D", format!("{bird}Conv(filters=4, size=3x3)")),
        (format!("{bird}Conv(kernel_size=3x3, filters=4)"), "kernel", format!("{bird}Conv(size=3x3, filters=4)")),
        (
            recipe.replace("epochs", "optimizer = Adam(lr=0.1)  epochs"),
            "lr",
            recipe.replace("epochs", "optimizer = Adam(step=0.1)  epochs"),
        ),
        (
            recipe.replace("epochs", "optimizer = SGD  epochs"),
            "SGD",
            recipe.replace("epochs", "optimizer = GradientDescent  epochs"),
        ),
        (
            recipe.replace("epochs", "lr = 0.05  epochs"),
            "lr",
            recipe.replace("epochs", "optimizer = Momentum(step=0.05)  epochs"),
        ),
        (
            recipe.replace("epochs", "weight_decay = 0.001  epochs"),
            "weight",
            recipe.replace("epochs", "regularizer = l2(0.001)  epochs"),
        ),
        (recipe.replace("epochs", "batch_size = 4  epochs"), "batch", recipe.replace("epochs", "batch = 4  epochs")),
    ];
    for (version, (wrong, place, right)) in (2..).step_by(2).zip(cases) {
        assert!(!editor.change(BIRD, version, &wrong).is_empty(), "{wrong}");
        let offered = fixes(&mut editor, &wrong, place);
        assert_eq!(offered.iter().map(|(_, text)| text).collect::<Vec<_>>(), [&right], "{wrong}");
        assert_eq!(editor.change(BIRD, version + 1, &right), [] as [Value; 0], "{right}");
        assert!(fixes(&mut editor, &right, "").is_empty());
    }
    editor.stop();
}

#[test]
fn alternative_fixes_are_not_preferred() {
    let mut editor = Editor::start();
    let text = "net bird = Input(8) >> (Dense(4) | Dense(4)) >> Relu\n";
    editor.open(BIRD, text);
    let titles: Vec<String> = fixes(&mut editor, text, "Relu").into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles, ["insert `Concatenate >>`", "insert `Add >>`"]);
    // There are no fixes elsewhere.
    assert!(fixes(&mut editor, text, "bird").is_empty());
    // PyTorch's sixth argument has no place, and an optimizer has one step.
    let foreign = "net bird = Input(8x8x3) >> Conv2d(3, 4, 3, 1, 1, 1)\n";
    assert!(!editor.change(BIRD, 3, foreign).is_empty());
    assert!(fixes(&mut editor, foreign, "Conv2d").is_empty());
    let two =
        "net a = Input(8) >> Softmax(2)\ntrain a { data = images(\"d\")  optimizer = Adam(step=0.2)  lr = 0.1 }\n";
    assert!(!editor.change(BIRD, 4, two).is_empty());
    assert!(fixes(&mut editor, two, "lr").is_empty());
    // A word that was passed as an argument is not replaced where it is used, nor in a shipped net.
    let handed = "net f(p=smae) = Conv(3x3, 4, padding=p)\nnet g = Input(8x8x3) >> f\n";
    assert!(!editor.change(BIRD, 5, handed).is_empty());
    assert!(fixes(&mut editor, handed, "padding=|p").is_empty());
    editor.stop();
}

fn starts(answer: &Value) -> Vec<Value> {
    answer.as_array().expect("a list").iter().map(|place| place["range"]["start"].clone()).collect()
}

#[test]
fn all_references_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = folder.path().join("blocks.net");
    let stem = "net stem(n) = Conv(3x3, n) >> Relu as last\n";
    std::fs::write(&blocks, stem).expect("it is written");
    let uri = format!("file://{}", folder.path().join("main.net").display());
    let used = format!("file://{}", blocks.display());
    let text = "use \"blocks.net\"\nnet bird = Input(8x8x3) >> stem(4) as a >> { let x = Conv(1x1, 2) as top  (x | x) >> Add }\n\
                net cut = bird[..=top] >> stem(2)\nnet rest = bird[..a/last]\n";
    let mut editor = Editor::start();
    assert_eq!(editor.open(&uri, text), [] as [Value; 0]);
    let ask = |editor: &mut Editor, piece: &str, with: bool| {
        let params = json!({
            "textDocument": { "uri": uri },
            "position": at(text, piece),
            "context": { "includeDeclaration": with },
        });
        editor.ask("textDocument/references", params)
    };
    let bird = [at(text, "net |bird"), at(text, "bird[..="), at(text, "bird[..a")];
    assert_eq!(starts(&ask(&mut editor, "bird[..=", true)), bird);
    assert_eq!(starts(&ask(&mut editor, "bird[..=", false)), bird[1..]);
    // A net in a different file: also its definition, whether that file is open or not.
    let stems = ask(&mut editor, "stem(4)", true);
    assert_eq!(starts(&stems)[..2], [at(text, "stem(4)"), at(text, "stem(2)")]);
    assert_eq!((&stems[2]["uri"], &stems[2]["range"]["start"]), (&json!(used), &at(stem, "stem")));
    editor.open(&used, stem);
    let stems = ask(&mut editor, "stem(4)", true);
    assert_eq!(stems.as_array().expect("a list").len(), 3, "{stems}");
    // A layer: its name and its uses in cuts, also across files.
    assert_eq!(starts(&ask(&mut editor, "as |top", true)), [at(text, "as |top"), at(text, "=|top")]);
    let last = ask(&mut editor, "..|a/last", true);
    let places: Vec<&str> = last.as_array().expect("a list").iter().filter_map(|place| place["uri"].as_str()).collect();
    assert!(places.contains(&uri.as_str()) && places.contains(&used.as_str()), "{last}");
    let found = editor.ask_at("textDocument/definition", &uri, text, "=|top");
    assert_eq!(found["range"]["start"], at(text, "Conv(1x1"));
    let x = editor.ask_at("textDocument/documentHighlight", &uri, text, "(|x");
    let kinds: Vec<&Value> = x.as_array().expect("a list").iter().map(|place| &place["kind"]).collect();
    // Defined once, used twice.
    assert_eq!(kinds, [3, 2, 2]);
    assert_eq!(starts(&x), [at(text, "let |x"), at(text, "(|x"), at(text, "x) >> Add")]);
    assert!(starts(&editor.ask_at("textDocument/documentHighlight", &uri, text, "Add")).is_empty());
    editor.stop();
}

#[test]
fn hover_describes_layers_in_cuts() {
    let mut editor = Editor::start();
    let text = "net bird = frozen(vgg16[..=\"conv1_1\"]) >> MaxPool(2x2)\nnet tail = squeezenet[..=fire3]\n\
                net odd = Input(8x8x3) >> Conv(3x3, 4) as first\nnet of = odd[..=first]\n";
    editor.open(BIRD, text);
    let messages = |editor: &mut Editor, piece: &str| {
        let answer = editor.ask_at("textDocument/hover", BIRD, text, piece);
        (answer["contents"]["value"].as_str().unwrap_or_default().to_string(), answer["range"]["start"].clone())
    };
    let (conv, place) = messages(&mut editor, "conv1_1");
    assert!(conv.contains("`vgg16`") && conv.contains("(?, 224, 224, 64)"), "{conv}");
    assert!(conv.contains("weight (3, 3, 3, 64)"), "{conv}");
    assert_eq!(place, at(text, "\"conv1_1"));
    let (fire, _) = messages(&mut editor, "fire3");
    assert!(fire.contains("a scope of `squeezenet`") && fire.contains("fire3/squeeze1x1"), "{fire}");
    for piece in ["as |first", "=|first"] {
        let (first, _) = messages(&mut editor, piece);
        assert!(first.contains("`first` gives `(?, 6, 6, 4)`"), "{first}");
    }
    editor.stop();
}

#[test]
fn recipes_have_completion_and_hover() {
    let mut editor = Editor::start();
    editor.open(BIRD, "");
    let net = "net a = Input(4) >> Softmax(2)\n";
    let complete = |editor: &mut Editor, version: i64, recipe: &str| {
        let text = format!("{net}{recipe}");
        editor.change(BIRD, version, &text);
        let place = at(&format!("{text}\u{0}"), "\u{0}");
        labels(&editor.ask("textDocument/completion", json!({ "textDocument": { "uri": BIRD }, "position": place })))
    };
    let has = |list: &[String], words: &[&str], lacks: &[&str]| {
        assert!(words.iter().all(|word| list.iter().any(|label| label == word)), "{words:?} in {list:?}");
        assert!(!lacks.iter().any(|word| list.iter().any(|label| label == word)), "{lacks:?} in {list:?}");
    };
    has(&complete(&mut editor, 2, "train a {\n  "), &["data", "optimizer", "class_weights"], &["Conv"]);
    has(&complete(&mut editor, 3, "train a {\n  optimizer = Mo"), &["Momentum", "Adam"], &["Conv", "vgg16", "l2"]);
    has(&complete(&mut editor, 4, "train a { loss = "), &["categorical_crossentropy", "mse"], &["Momentum"]);
    has(&complete(&mut editor, 5, "train a { optimizer = Momentum("), &["step", "nesterov"], &["Conv"]);
    has(&complete(&mut editor, 6, "train a { optimizer = Momentum(nesterov="), &["true", "false"], &["Conv", "or"]);
    has(&complete(&mut editor, 7, "train a { optimizer = Momentum(step="), &["step_decay"], &["Conv"]);
    has(&complete(&mut editor, 8, "train a { schedule = [warm_up(10), "), &["cosine_decay"], &["Momentum"]);
    has(&complete(&mut editor, 9, "train a { data = images(\"d\")\n validation = "), &["split", "csv"], &["Conv"]);
    has(&complete(&mut editor, 10, "train a { data = images(\"d\", unreadable="), &["skip", "refuse"], &["Conv"]);
    has(&complete(&mut editor, 11, "weights a = \"a.h5\" { "), &["layout", "rename"], &["epochs"]);
    let text = format!("{net}train a {{ data = images(\"d\")  optimizer = Adam(step=0.1) }}\n");
    editor.change(BIRD, 12, &text);
    let messages = |editor: &mut Editor, piece: &str| {
        let answer = editor.ask_at("textDocument/hover", BIRD, &text, piece);
        answer["contents"]["value"].as_str().unwrap_or_default().to_string()
    };
    assert!(messages(&mut editor, "Adam").contains("Kingma"));
    assert!(messages(&mut editor, "step=").contains("the learning rate"));
    editor.stop();
}

#[test]
fn shipped_nets_are_offered_without_a_use() {
    let mut editor = Editor::start();
    for (version, spec) in (1..).zip(netc::elaborate::project::shipped::SPECS) {
        let start = format!("net bird = {}", &spec.name[..3]);
        editor.change(BIRD, version, &start);
        let end = at(&format!("{start}\u{0}"), "\u{0}");
        let ask = |editor: &mut Editor, place: Value| {
            let params = json!({ "textDocument": { "uri": BIRD }, "position": place });
            labels(&editor.ask("textDocument/completion", params))
        };
        assert!(ask(&mut editor, end).contains(&spec.name.to_string()), "{}", spec.name);
        let cut = format!("net bird = {}[..", spec.name);
        let version = version + 1000;
        editor.change(BIRD, version, &cut);
        let names = ask(&mut editor, at(&format!("{cut}\u{0}"), "\u{0}"));
        let read =
            netc::elaborate::load(spec.name, &netc::elaborate::project::source_files::from_disk).expect("it ships");
        // A generic net has no layers yet.
        let Ok((graph, _)) = read.choose(None).and_then(|net| read.graph(net)) else { continue };
        assert!(graph.nodes.iter().all(|node| names.contains(&node.name)), "{}: {names:?}", spec.name);
    }
    editor.stop();
}

#[test]
fn the_outline_shows_what_is_inside() {
    let mut editor = Editor::start();
    let text = format!(
        "{RIGHT}weights bird = \"away.h5\" {{ layout = keras }}\nlabels bird = \"away.txt\"\n\
         train bird {{ data = images(\"d\")  epochs = 3 }}\nexpect bird: (?, 32, 32, 3) -> (?, 10)\n"
    );
    editor.open(BIRD, &text);
    let outline = editor.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": BIRD } }));
    let name = |item: &Value| item["name"].as_str().expect("a name").to_string();
    let items: Vec<(String, Vec<String>)> = outline
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| (name(item), item["children"].as_array().into_iter().flatten().map(name).collect()))
        .collect();
    let expected = [
        ("bird", vec!["one", "species"]),
        ("block", vec!["x"]),
        ("weights bird", vec!["layout"]),
        ("labels bird", vec![]),
        ("train bird", vec!["data", "epochs"]),
        ("expect bird", vec![]),
    ];
    let expected: Vec<(String, Vec<String>)> =
        expected.map(|(name, inside)| (name.to_string(), inside.into_iter().map(String::from).collect())).to_vec();
    assert_eq!(items, expected);
    // The full range includes the name.
    for item in outline.as_array().expect("a list") {
        let line = |which: &str, end: &str| item[which][end]["line"].as_u64().expect("a line");
        assert!(line("range", "start") <= line("selectionRange", "start"), "{item}");
        assert!(line("selectionRange", "end") <= line("range", "end"), "{item}");
    }
    editor.stop();
}
