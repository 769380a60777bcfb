//! Renaming of layers: everywhere, or not at all.

use super::editor::{Editor, at, edited};
use serde_json::{Value, json};

fn params(uri: &str, text: &str, piece: &str, name: &str) -> Value {
    json!({ "textDocument": { "uri": uri }, "position": at(text, piece), "newName": name })
}

/// The text after a change of name.
fn renamed(editor: &mut Editor, uri: &str, text: &str, piece: &str, name: &str) -> String {
    edited(text, &editor.ask("textDocument/rename", params(uri, text, piece, name))["changes"][uri])
}

/// Why a change of name is refused.
fn refused(editor: &mut Editor, uri: &str, text: &str, piece: &str, name: &str) -> String {
    let answer = editor.request("textDocument/rename", params(uri, text, piece, name));
    answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{piece} -> {name}: {answer}")).to_string()
}

const BIRD: &str = "file:///nowhere/bird.net";

const TEXT: &str = "net stem(n) = Conv(3x3, n) as first >> Relu as last\n\
                    net bird = Input(8x8x3, image=Unit) >> stem(4) as top >> { let x = Conv(1x1, 2) as \"mid\"  (x | x) >> Add as sum }\n\
                    \x20 >> Flatten >> (Softmax(2) as species | Dense(4) as box)\n\
                    net one = bird[..=top] >> Flatten\n\
                    net two = bird[top/last..=mid] >> Flatten\n\
                    net three = bird[..=\"sum\"] >> Flatten\n\
                    train bird {\n\
                    \x20 data = csv(\"b.csv\", y={ species = \"label\", box = [\"x\", \"y\", \"w\", \"h\"] })\n\
                    \x20 loss = { species = categorical_crossentropy, box = mse }\n\
                    \x20 rates = { \"top\" = 0.1, \"top/first\" = 0.5, mid = 2 }\n\
                    }\n";

#[test]
fn layers_are_renamed_with_all_their_uses() {
    let mut editor = Editor::start();
    let errors = editor.open(BIRD, TEXT);
    assert!(errors.iter().all(|error| error["severity"] != 1), "{errors:?}");
    let top = TEXT
        .replace("as top", "as entry")
        .replace("..=top]", "..=entry]")
        .replace("[top/last", "[entry/last")
        .replace("\"top\"", "\"entry\"")
        .replace("\"top/first\"", "\"entry/first\"");
    for piece in ["as |top", "..=|top]", "[|top/last"] {
        assert_eq!(renamed(&mut editor, BIRD, TEXT, piece, "entry"), top, "{piece}");
    }
    let last = TEXT.replace("as last", "as end").replace("top/last", "top/end");
    for piece in ["as |last", "top/|last"] {
        assert_eq!(renamed(&mut editor, BIRD, TEXT, piece, "end"), last, "{piece}");
    }
    let species = TEXT.replace("as species", "as kind").replace("species =", "kind =");
    assert_eq!(renamed(&mut editor, BIRD, TEXT, "as |species", "kind"), species);
    let mid = TEXT.replace("\"mid\"", "\"a b\"").replace("=mid]", "=\"a b\"]").replace("mid =", "\"a b\" =");
    assert_eq!(renamed(&mut editor, BIRD, TEXT, "as \"|mid", "a b"), mid);
    let sum = TEXT.replace("as sum", "as plus").replace("\"sum\"", "\"plus\"");
    assert_eq!(renamed(&mut editor, BIRD, TEXT, "=\"|sum", "plus"), sum);
    let at_last = json!({ "textDocument": { "uri": BIRD }, "position": at(TEXT, "top/|last") });
    let range = editor.ask("textDocument/prepareRename", at_last);
    assert_eq!((&range["start"], &range["end"]), (&at(TEXT, "top/|last"), &at(TEXT, "top/last|..")));
    // The same name is no change.
    assert_eq!(editor.ask("textDocument/rename", params(BIRD, TEXT, "as |top", "top")), Value::Null);
    editor.stop();
}

#[test]
fn changes_that_break_something_are_refused() {
    let mut editor = Editor::start();
    editor.open(BIRD, TEXT);
    for (piece, name, reason) in [
        ("as |top", "", "not a valid name"),
        ("as |top", "a\"b", "not a valid name"),
        ("as |top", "a{b}", "not a valid name"),
        ("as |top", "mid", "cannot become"),
        ("as |species", "box", "cannot become"),
        ("Flatten", "x", "can be renamed"),
    ] {
        let said = refused(&mut editor, BIRD, TEXT, piece, name);
        assert!(said.contains(reason), "{piece} -> {name}: {said}");
    }
    // Generated names, and those of other nets.
    let text = "net a = Input(8x8x3) >> Conv(3x3, 2) >> Relu\nnet b = a[..relu-1]\nnet c = vgg16[..=conv1_1]\n";
    editor.change(BIRD, 2, text);
    for piece in ["..|relu-1", "..=|conv1_1"] {
        assert!(refused(&mut editor, BIRD, text, piece, "x").contains("no name after `as` in this file"), "{piece}");
    }
    let wrong = TEXT.replace(">> Flatten >> (Soft", ">> Flatte >> (Soft");
    editor.change(BIRD, 3, &wrong);
    assert!(refused(&mut editor, BIRD, &wrong, "as |top", "x").contains("errors"));
    editor.stop();
}

/// Weights bind by name.
#[test]
fn layers_keep_their_weights() {
    let mut editor = Editor::start();
    let text = "net a = Input(8) >> Dense(4) as hidden >> Relu as act >> Softmax(2) as out\nweights a = \"a.h5\"\n";
    editor.open(BIRD, text);
    let said = refused(&mut editor, BIRD, text, "as |hidden", "inner");
    assert!(said.contains("a.h5") && said.contains("rename = { \"hidden\" = \"hidden\" }"), "{said}");
    // A layer without parameters has none.
    let act = renamed(&mut editor, BIRD, text, "as |act", "relu");
    assert_eq!(act, text.replace("as act", "as relu"));
    let mapped = text.replace("\"a.h5\"", "\"a.h5\" { rename = { \"hidden\" = \"hidden\", \"o\" = \"out\" } }");
    editor.change(BIRD, 2, &mapped);
    let after = renamed(&mut editor, BIRD, &mapped, "as |hidden", "inner");
    assert_eq!(after, mapped.replace("as hidden", "as inner").replace("= \"hidden\"", "= \"inner\""));
    let after = renamed(&mut editor, BIRD, &mapped, "as |out", "species");
    assert_eq!(after, mapped.replace("as out", "as species").replace("= \"out\"", "= \"species\""));
    editor.stop();
}

#[test]
fn layers_are_renamed_in_all_open_texts() {
    let folder = tempfile::tempdir().expect("a folder");
    let blocks = "net stem(n) = Conv(3x3, n) >> Relu as last\n";
    let main = "use \"blocks.net\"\nnet bird = Input(8x8x3, image=Unit) >> stem(4) as a\nnet cut = bird[..=a/last] >> Flatten\n";
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("blocks.net"), blocks).expect("a file");
    std::fs::write(path("main.net"), main).expect("a file");
    let uri = |name: &str| format!("file://{}", path(name).display());
    let mut editor = Editor::start();
    editor.open(&uri("blocks.net"), blocks);
    assert_eq!(editor.open(&uri("main.net"), main), [] as [Value; 0]);
    let answer = editor.ask("textDocument/rename", params(&uri("blocks.net"), blocks, "as |last", "end"));
    assert_eq!(edited(blocks, &answer["changes"][uri("blocks.net")]), blocks.replace("last", "end"));
    assert_eq!(edited(main, &answer["changes"][uri("main.net")]), main.replace("last", "end"));
    let said = refused(&mut editor, &uri("main.net"), main, "a/|last", "end");
    assert!(said.contains("of another file"), "{said}");
    editor.stop();
}
