//! `netc lsp` over pipes, as used by an editor, and the files in `editors/`.

mod changes;
mod editor;
mod help;
mod renaming;

use editor::{BIRD, Editor, RIGHT, at, edited, labels};
use serde_json::{Value, json};

#[test]
fn diagnostics_are_published_and_cleared() {
    let mut editor = Editor::start();
    let wrong = "# 🐦\nnet bird = Input(8x8x3) >> Conv(3x3, 4) as \"🐦\" >> Dense(10)\n";
    let messages = editor.open(BIRD, wrong);
    let error = messages.iter().find(|error| error["code"] == "E0301").expect("a shape error");
    assert_eq!(error["severity"], 1);
    assert_eq!(error["source"], "netc");
    // The bird before it is one character, two UTF-16 units and four bytes.
    assert_eq!(error["range"]["start"], at(wrong, "Dense"));
    assert!(error["message"].as_str().expect("a message").contains("Flatten"), "{error}");
    let related = error["relatedInformation"][0].clone();
    assert_eq!(related["location"]["uri"], BIRD);
    assert!(related["message"].as_str().expect("a message").contains("(?, 6, 6, 4)"), "{related}");
    assert_eq!(editor.change(BIRD, 2, &wrong.replace(">> Dense", ">> Flatten >> Dense")), [] as [Value; 0]);
    let warned = editor.change(BIRD, 3, &format!("{RIGHT}weights bird = \"away.h5\"\n"));
    assert_eq!((&warned[0]["severity"], warned.len()), (&json!(2), 1), "{warned:?}");
    editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": BIRD } }));
    editor.stop();
}

#[test]
fn hover_describes_layers_nets_and_arguments() {
    let mut editor = Editor::start();
    editor.open(BIRD, RIGHT);
    let messages = |editor: &mut Editor, text: &str, piece: &str| {
        let answer = editor.ask_at("textDocument/hover", BIRD, text, piece);
        answer["contents"]["value"].as_str().unwrap_or_default().to_string()
    };
    let softmax = messages(&mut editor, RIGHT, "Softmax(cl");
    assert!(softmax.contains("(?, 10)") && softmax.contains("weight (4096, 10)"), "{softmax}");
    let conv = messages(&mut editor, RIGHT, "Conv(size");
    assert!(conv.contains("(?, 32, 32, 8)") && conv.contains("(?, 32, 32, 16)"), "{conv}");
    assert!(conv.contains("Convolution(size, filters"), "{conv}");
    let bird = messages(&mut editor, RIGHT, "bird(");
    assert!(bird.contains("Ten 🐦 birds.") && bird.contains("-> (?, 10)"), "{bird}");
    assert!(messages(&mut editor, RIGHT, "padding=same").contains("padding"));
    assert!(messages(&mut editor, RIGHT, "filters, padding").contains("parameter"));
    assert!(messages(&mut editor, RIGHT, "size=5x5").contains("size=3x3"));
    // With a syntax error, the previous results are kept.
    let broken = RIGHT.replace("(x | x >> Sigmoid) >> Add }", "(x | x >> Sigmoid) >> ");
    assert!(!editor.change(BIRD, 2, &broken).is_empty());
    assert!(messages(&mut editor, &broken, "Softmax(cl").contains("weight (4096, 10)"));
    editor.stop();
}

#[test]
fn completion_depends_on_the_context() {
    let mut editor = Editor::start();
    let complete = |editor: &mut Editor, version: i64, text: &str| {
        let text = text.to_string();
        editor.change(BIRD, version, &text);
        let end = json!({ "line": text.matches('\n').count(), "character": text.rsplit('\n').next().unwrap_or("").encode_utf16().count() });
        editor.ask("textDocument/completion", json!({ "textDocument": { "uri": BIRD }, "position": end }))
    };
    editor.open(BIRD, "");
    let cut = complete(&mut editor, 2, "vgg16[..drop");
    let names = labels(&cut);
    assert!(names.contains(&"dropout-2".into()) && names.contains(&"max-pooling-5".into()), "{names:?}");
    assert!(!names.contains(&"Conv".into()), "{names:?}");
    let item = cut.as_array().expect("a list").iter().find(|item| item["label"] == "dropout-2").expect("it is there");
    assert_eq!(edited("vgg16[..drop", &json!([item["textEdit"]])), "vgg16[..dropout-2");
    assert!(labels(&complete(&mut editor, 3, "squeezenet[fire")).contains(&"fire2".into()));
    let names = labels(&complete(&mut editor, 4, "net g = Relu\nnet f(depth) = { let x = Relu  x >> "));
    for name in ["depth", "x", "g", "vgg16", "Conv", "Convolution", "frozen"] {
        assert!(names.contains(&name.into()), "{name}: {names:?}");
    }
    let names = labels(&complete(&mut editor, 5, "net f = Input(8x8x3) >> Conv(3x3, 64, pad"));
    assert!(names.contains(&"padding".into()) && names.contains(&"stride".into()), "{names:?}");
    let names = labels(&complete(&mut editor, 6, "net f = Input(8x8x3) >> Conv(3x3, 64, padding="));
    assert_eq!(names[..2], ["same", "valid"]);
    let names = labels(&complete(&mut editor, 7, "net f = Input(8x8x3) >> Relu\n"));
    assert_eq!(names, ["net", "weights", "labels", "train", "use", "expect"]);
    assert!(labels(&complete(&mut editor, 8, "net f = Relu as ")).is_empty());
    editor.stop();
}

#[test]
fn definitions_and_renames() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = folder.path().join("blocks.net");
    std::fs::write(&blocks, "# Pieces.\nnet stem(n) = Conv(3x3, n) >> Relu\n").expect("it is written");
    let uri = format!("file://{}", folder.path().join("main.net").display());
    let text = format!("use \"blocks.net\"\n{}", RIGHT.replace(">> block(8)", ">> stem(4) >> block(8)"));
    let mut editor = Editor::start();
    assert_eq!(editor.open(&uri, &text), [] as [Value; 0]);
    let found = editor.ask_at("textDocument/definition", &uri, &text, "block(16");
    assert_eq!((&found["uri"], &found["range"]["start"]), (&json!(uri), &at(&text, "net |block(filters")));
    let found = editor.ask_at("textDocument/definition", &uri, &text, "stem(4)");
    assert!(found["uri"].as_str().is_some_and(|uri| uri.ends_with("/blocks.net")), "{found}");
    assert_eq!(found["range"]["start"], json!({ "line": 1, "character": 4 }));
    let found = editor.ask_at("textDocument/definition", &uri, &text, "x >> Sigmoid");
    assert_eq!(found["range"]["start"], at(&text, "let |x"));
    // Unsaved changes in a used file take effect, and its errors are shown where it is used.
    let used = format!("file://{}", blocks.display());
    assert_eq!(editor.open(&used, "net stem(n) = Conv(3x3, n) >> Relu"), [] as [Value; 0]);
    assert_eq!(editor.diagnostics(&uri, 1), [] as [Value; 0]);
    editor.change(&used, 2, "net stem(n) = Conv(3x3, n) >> Relo");
    let messages = editor.diagnostics(&uri, 1);
    let related = messages[0]["relatedInformation"].as_array().expect("the place in the other file");
    assert!(related.iter().any(|place| place["location"]["uri"] == used), "{messages:?}");
    editor.change(&used, 3, "net stem(n) = Conv(3x3, n) >> Relu");
    let mut rename = |piece: &str, name: &str| {
        let params = json!({ "textDocument": { "uri": uri }, "position": at(&text, piece), "newName": name });
        editor.request("textDocument/rename", params)
    };
    let size = rename("size, filters", "window");
    let renamed = edited(&text, &size["result"]["changes"][&uri]);
    assert_eq!(renamed, text.replace("size", "window"));
    let block = rename("block(16", "layers");
    assert_eq!(edited(&text, &block["result"]["changes"][&uri]), text.replace("block(", "layers("));
    let x = rename("x = Conv", "branch");
    let after = edited(&text, &x["result"]["changes"][&uri]);
    assert!(after.contains("let branch = Conv") && after.contains("(branch | branch >> Sigmoid)"), "{after}");
    for name in ["Conv", "net", "3x", "filters", "same", "bird", ""] {
        assert!(rename("size, filters", name).get("error").is_some(), "{name}");
    }
    let outline = editor.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
    let names: Vec<&str> =
        outline.as_array().expect("a list").iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(names, ["use", "bird", "block"]);
    editor.stop();
}

/// Keywords and layers cannot be renamed; nets passed as arguments can.
#[test]
fn renames_leave_keywords_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = "net twice(part) = part >> part\n";
    std::fs::write(folder.path().join("blocks.net"), blocks).expect("it is written");
    let uri = format!("file://{}", folder.path().join("main.net").display());
    let text = "use \"blocks.net\"\n# same\n\
                net bird = Input(8x8x3) >> Conv(3x3, 4, padding=same) as same >> twice(same) >> own(same) >> (same | same) >> Add\n\
                net same = MaxPool(3x3, stride=1, padding=(same)) >> Relu\n\
                net own(part, mode=same) = part[..] >> if mode == same { part }\n\
                net padded(pad=same) = Conv(3x3, 4, padding=pad) >> Relu\n\
                net cut = bird[..=same] >> padded\n";
    let mut editor = Editor::start();
    assert_eq!(editor.open(&uri, text), [] as [Value; 0]);
    let mut rename = |piece: &str| {
        let params = json!({ "textDocument": { "uri": uri }, "position": at(text, piece), "newName": "pool" });
        edited(text, &editor.ask("textDocument/rename", params)["changes"][&uri])
    };
    let right = text
        .replace("twice(same)", "twice(pool)")
        .replace("own(same)", "own(pool)")
        .replace("(same | same)", "(pool | pool)")
        .replace("net same", "net pool");
    for piece in ["net |same", "twice(|same", "own(|same", "(|same | same"] {
        assert_eq!(rename(piece), right, "{piece}");
    }
    let params = json!({ "textDocument": { "uri": uri }, "position": at(text, "padding=|same"), "newName": "pool" });
    assert!(editor.request("textDocument/rename", params).get("error").is_some());
    editor.stop();
}

#[test]
fn formatting_and_hints() {
    let mut editor = Editor::start();
    let text = "net bird=Input(32x32x3)>>Conv(3x3,8) >> Relu>>MaxPool(2x2)\n\n\n\n";
    editor.open(BIRD, text);
    let options = json!({ "tabSize": 2, "insertSpaces": true });
    let format = json!({ "textDocument": { "uri": BIRD }, "options": options });
    let edits = editor.ask("textDocument/formatting", format.clone());
    let formatted = edited(text, &edits);
    assert_eq!(formatted, "net bird = Input(32x32x3) >> Conv(3x3, 8) >> Relu >> MaxPool(2x2)\n");
    editor.change(BIRD, 2, &formatted);
    assert_eq!(editor.ask("textDocument/formatting", format), json!([]));
    let whole = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = |editor: &mut Editor| {
        let answer = editor.ask("textDocument/inlayHint", json!({ "textDocument": { "uri": BIRD }, "range": whole }));
        let list = answer.as_array().expect("a list");
        let shape = |hint: &Value| (hint["position"].clone(), hint["label"].as_str().expect("a label").to_string());
        list.iter().map(shape).collect::<Vec<_>>()
    };
    let expected = [
        (at(&formatted, "Input(32x32x3)|"), "(?, 32, 32, 3)".to_string()),
        (at(&formatted, "Conv(3x3, 8)|"), "(?, 30, 30, 8)".to_string()),
        (at(&formatted, "MaxPool(2x2)|"), "(?, 15, 15, 8)".to_string()),
    ];
    assert_eq!(hints(&mut editor), expected);
    let cut = "vgg16[..dropout-2] >> Softmax(10)";
    editor.change(BIRD, 3, cut);
    let expected =
        [(at(cut, "dropout-2]|"), "(?, 4096)".to_string()), (at(cut, "Softmax(10)|"), "(?, 10)".to_string())];
    assert_eq!(hints(&mut editor), expected);
    editor.change(BIRD, 4, RIGHT);
    let shapes: Vec<String> = hints(&mut editor).into_iter().map(|(_, shape)| shape).collect();
    assert!(shapes.contains(&"(?, 32, 32, 16)".into()) && shapes.contains(&"(?, 4096)".into()), "{shapes:?}");
    editor.stop();
}

#[test]
fn no_text_ends_the_server() {
    let mut editor = Editor::start();
    editor.open(BIRD, RIGHT);
    let place = |text: &str| at(&format!("{text}\u{0}"), "\u{0}");
    let mut version = 1;
    let cuts = RIGHT.char_indices().map(|(at, _)| RIGHT[..at].to_string()).step_by(7);
    let odd = [
        "((((",
        "\"",
        "net",
        "net f(",
        "🐦[",
        "]]}}))",
        "x[..",
        "train a { b",
        "\u{feff}net a = \r\n\r",
        "use \"bird.net\"",
    ];
    let nested = |open: &str, close: &str, depth| format!("net a = {}Relu{}", open.repeat(depth), close.repeat(depth));
    let deep =
        [nested("(", ")", 62), nested("{ let x = Relu ", "}", 62), nested("repeat(2) {", "}", 9), "(".repeat(9000)];
    for text in cuts.chain(odd.map(String::from)).chain(deep) {
        version += 1;
        editor.change(BIRD, version, &text);
        let params = json!({ "textDocument": { "uri": BIRD }, "position": place(&text) });
        for method in ["hover", "completion", "definition", "prepareRename", "documentHighlight", "signatureHelp"] {
            editor.ask(&format!("textDocument/{method}"), params.clone());
        }
        let declared = json!({ "includeDeclaration": true });
        let place = place(&text);
        editor.ask(
            "textDocument/references",
            json!({ "textDocument": { "uri": BIRD }, "position": place, "context": declared }),
        );
        let whole = json!({ "start": { "line": 0, "character": 0 }, "end": place });
        let document = json!({ "uri": BIRD });
        let context = json!({ "diagnostics": [] });
        editor.ask("textDocument/codeAction", json!({ "textDocument": document, "range": whole, "context": context }));
        editor.request(
            "textDocument/rename",
            json!({ "textDocument": document, "position": whole["end"], "newName": "other" }),
        );
        editor.ask("textDocument/inlayHint", json!({ "textDocument": document, "range": whole }));
        editor.ask("textDocument/documentSymbol", json!({ "textDocument": document }));
        editor.ask(
            "textDocument/formatting",
            json!({ "textDocument": document, "options": { "tabSize": 2, "insertSpaces": true } }),
        );
    }
    let unknown = editor.request("textDocument/nothing", json!({}));
    assert_eq!(unknown["error"]["code"], -32601);
    let away = json!({ "textDocument": { "uri": "file:///away.net" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(editor.ask("textDocument/hover", away), Value::Null);
    editor.stop();
}

#[test]
fn shipped_specs_have_no_diagnostics() {
    let mut editor = Editor::start();
    for spec in netc::elaborate::project::shipped::SPECS {
        let uri = format!("file:///nowhere/{}.net", spec.name);
        let messages = editor.open(&uri, spec.text);
        assert!(messages.iter().all(|error| error["severity"] != 1), "{}: {messages:?}", spec.name);
        let whole = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 9999, "character": 0 } });
        let hints = editor.ask("textDocument/inlayHint", json!({ "textDocument": { "uri": uri }, "range": whole }));
        let shapes: Vec<&str> =
            hints.as_array().expect("a list").iter().filter_map(|hint| hint["label"].as_str()).collect();
        // The output shape is shown after the last layer; a generic net has no shapes.
        let read =
            netc::elaborate::load(spec.name, &netc::elaborate::project::source_files::from_disk).expect("it ships");
        let graph = read.choose(None).and_then(|net| read.graph(net));
        let gives = graph.ok().map(|(graph, _)| graph.node(graph.outputs[0]).output.to_string());
        assert!(gives.is_none_or(|gives| shapes.contains(&gives.as_str())), "{}: {shapes:?}", spec.name);
    }
    editor.stop();
}

/// A file of the `editors` folder, as JSON.
fn editor_file(path: &str) -> Value {
    let path = format!("{}/editors/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn editor_files_are_consistent() {
    let package = editor_file("vscode/package.json");
    editor_file("vscode/language-configuration.json");
    let grammar = editor_file("netc.tmLanguage.json");
    assert_eq!(package["contributes"]["grammars"][0]["scopeName"], grammar["scopeName"]);
    assert_eq!(package["contributes"]["languages"][0]["extensions"], json!([".net"]));
    // The VS Code extension is made by a script: it bundles the program, and copies the grammar and the licences.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/vscode");
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let script = read("bundle.mjs");
    let (main, hidden) = (package["main"].as_str().expect("a program"), read(".vscodeignore"));
    assert!(script.contains(&format!("outfile: \"{}\"", main.trim_start_matches("./"))), "{main}");
    assert_eq!(package["contributes"]["grammars"][0]["path"], "./netc.tmLanguage.json");
    for path in ["extension.js", "../netc.tmLanguage.json", "../../LICENSE-MIT", "../../LICENSE-APACHE"] {
        assert!(script.contains(&format!("\"{path}\"")) && folder.join(path).is_file(), "{path}");
    }
    let prepare = package["scripts"]["vscode:prepublish"].as_str().expect("a script");
    assert_eq!(prepare, "node bundle.mjs");
    for name in ["extension.js", "bundle.mjs", "node_modules/**"] {
        assert!(hidden.lines().any(|line| line == name), "{name} is in the package");
    }
    // What the packager asks for.
    assert!(package["repository"]["url"].is_string() && package["license"] == "MIT OR Apache-2.0");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    let icon = std::fs::read(folder.join(package["icon"].as_str().expect("an icon"))).expect("the icon");
    assert_eq!((&icon[..8], &icon[16..24]), (&b"\x89PNG\r\n\x1a\n"[..], &[0, 0, 0, 128, 0, 0, 0, 128][..]));
    let text = grammar.to_string();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    // The reserved words in the grammar must be those of the program and the editors.
    let pest = include_str!("../../grammar/net.pest");
    let list = pest.split_once("keyword = _{").expect("the rule is there").1;
    let list = list.split_once('}').expect("the rule ends").0;
    let keywords: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(keywords, netc::syntax::KEYWORDS);
    // The published package has no grammar for tree-sitter.
    let query = std::fs::read_to_string(folder.join("../tree-sitter-netc/queries/highlights.scm")).ok();
    for keyword in keywords {
        assert!(words.contains(&keyword), "{keyword} is not highlighted");
        let literal = matches!(keyword, "true" | "false");
        let is_highlighted = |query: &String| literal || query.contains(&format!("\"{keyword}\""));
        assert!(query.as_ref().is_none_or(is_highlighted), "{keyword} is not highlighted by tree-sitter");
    }
}

#[test]
fn invalid_messages_do_not_end_the_server() {
    let mut editor = Editor::start();
    editor.open(BIRD, RIGHT);
    for (bytes, code) in [
        ("Content-Length: 7\r\n\r\nno JSON", -32700),
        ("Content-Length: 2\r\n\r\n{}", -32600),
        ("Content-Length: 18446744073709551615\r\n\r\n{\"jsonrpc\": \"2.0\"}", -32600),
        ("Content-Length: 1099511627776\r\n\r\n", -32600),
        ("Content-Length: many\r\n\r\n", -32600),
    ] {
        editor.send(bytes);
        assert_eq!(editor.slip(), code, "{bytes}");
        assert!(!editor.ask_at("textDocument/hover", BIRD, RIGHT, "Softmax(cl").is_null(), "{bytes}");
    }
    editor.stop();
}

/// Regression test: checking a fragment with an image that is too large crashed the server.
#[test]
fn a_fragment_that_fits_nothing_does_not_end_the_server() {
    let mut editor = Editor::start();
    editor.open(BIRD, "net a = Flatten >> (Dense(3) | Dense(4)) >> Add\n");
    assert_eq!(editor.change(BIRD, 2, RIGHT), [] as [Value; 0]);
    editor.stop();
}

/// Messages that an editor does not send, before, during and after the conversation.
#[test]
fn messages_out_of_order_do_not_end_the_server() {
    let mut editor = Editor::connect(&[]);
    editor.tell("initialized", json!({}));
    editor.send("Content-Length: 35\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1}");
    let early = editor.request("textDocument/hover", json!({}));
    assert_eq!(early["error"]["code"], -32002);
    // Parameters of another form are no reason to refuse.
    let answer = editor.ask("initialize", json!(["odd"]));
    assert_eq!(answer["capabilities"]["hoverProvider"], true);
    assert_eq!(answer["serverInfo"]["name"], "netc");
    // A text is opened although `initialized` is late, and a second `initialize` is refused.
    editor.open(BIRD, RIGHT);
    assert_eq!(editor.request("initialize", json!({}))["error"]["code"], -32600);
    for params in [Value::Null, json!([1]), json!({ "textDocument": 3 }), json!({ "textDocument": { "uri": "" } })] {
        editor.tell("textDocument/didChange", params.clone());
        let answer = editor.request("textDocument/hover", params);
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    assert!(!editor.ask_at("textDocument/hover", BIRD, RIGHT, "Softmax(cl").is_null());
    editor.tell("$/unknown", json!({}));
    assert_eq!(editor.ask("shutdown", Value::Null), Value::Null);
    assert_eq!(editor.request("textDocument/hover", json!({}))["error"]["code"], -32600);
    editor.leave();
}
