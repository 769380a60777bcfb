//! The grammar accepts every spec of netc, its highlights are a query of it, and the parser is made of it.

use std::path::{Path, PathBuf};
use tree_sitter::{Node, Parser, Query, QueryCursor, StreamingIterator, Tree};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn parse(text: &str) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_netc::LANGUAGE.into()).expect("the version of tree-sitter");
    parser.parse(text, None).expect("no time limit")
}

/// The first error of a tree, as text.
fn error(node: Node, text: &str) -> Option<String> {
    if node.is_error() || node.is_missing() {
        let (row, column) = (node.start_position().row, node.start_position().column);
        let near = text.lines().nth(row).unwrap_or_default();
        return Some(format!("{}:{}: {near}", row + 1, column + 1));
    }
    let mut cursor = node.walk();
    node.children(&mut cursor).filter(Node::has_error).find_map(|child| error(child, text))
}

/// All specs below a folder.
fn specs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => specs(&path, found),
            false if path.extension().is_some_and(|extension| extension == "net") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn every_spec_is_accepted() {
    let mut found = Vec::new();
    specs(&root().join("specs"), &mut found);
    let mut faults = Vec::new();
    for path in &found {
        let text = std::fs::read_to_string(path).expect("a text");
        faults.extend(error(parse(&text).root_node(), &text).map(|error| format!("{}: {error}", path.display())));
    }
    assert!(faults.is_empty() && found.len() >= 30, "{} specs\n{}", found.len(), faults.join("\n"));
}

#[test]
fn every_example_of_the_book_is_accepted() {
    let mut count = 0;
    for page in ["language.md", "layers.md", "from-neupy.md", "from-keras.md", "from-pytorch.md"] {
        let text = std::fs::read_to_string(root().join("docs").join(page)).expect("the page");
        for example in text.split("```net\n").skip(1).filter_map(|after| after.split("```").next()) {
            // The pages of layers show signatures too: `Conv(size, filters, [weight])`.
            if example.contains(">>") || !page.starts_with("layers") {
                count += 1;
                assert_eq!(error(parse(example).root_node(), example), None, "{page}:\n{example}");
            }
        }
    }
    assert!(count >= 60, "{count} examples");
}

#[test]
fn texts_that_are_no_specs_have_errors() {
    for text in ["net a = ", "net a = Conv(3x3", "net = Relu", "a b", "train a data = 3", "net a = \"b"] {
        assert!(parse(text).root_node().has_error(), "{text}");
    }
    // An error stays where it is.
    let tree = parse("net a = )\nnet b = Relu\n");
    assert!(
        tree.root_node().to_sexp().ends_with("(net_item name: (identifier) body: (identifier)))"),
        "{}",
        tree.root_node()
    );
}

#[test]
fn words_have_their_highlights() {
    let text = "## A bird.\nnet bird(n=2) = vgg16[..=conv1_1] >> Conv(3x3, 4, padding=same) as \"c{n}\"\n\
                train bird { data = images(\"d\") }\n";
    let tree = parse(text);
    let query = Query::new(&tree_sitter_netc::LANGUAGE.into(), tree_sitter_netc::HIGHLIGHTS).expect("a query");
    let mut cursor = QueryCursor::new();
    let mut captures = cursor.captures(&query, tree.root_node(), text.as_bytes());
    let mut found: Vec<(&str, &str)> = Vec::new();
    while let Some((found_match, index)) = captures.next() {
        let capture = found_match.captures[*index];
        let name = query.capture_names()[capture.index as usize];
        let written = &text[capture.node.byte_range()];
        // Later patterns have priority.
        found.retain(|(earlier, _)| *earlier != written || *earlier == "(");
        found.push((written, name));
    }
    for (word, name) in [
        ("## A bird.", "comment.documentation"),
        ("net", "keyword"),
        ("bird", "function"),
        ("vgg16", "function"),
        ("conv1_1", "label"),
        ("Conv", "type"),
        ("3x3", "number"),
        ("padding", "variable.parameter"),
        ("same", "variable"),
        ("data", "property"),
        ("images", "function"),
        ("\"d\"", "string"),
        ("..=", "operator"),
    ] {
        assert!(found.contains(&(word, name)), "{word}: {found:?}");
    }
}

/// Names of captures, and Helix' names of the same scopes.
const HELIX: [(&str, &str); 8] = [
    ("@keyword.repeat", "@keyword.control.repeat"),
    ("@keyword.conditional", "@keyword.control.conditional"),
    ("@number.float", "@constant.numeric.float"),
    ("@number", "@constant.numeric"),
    ("@boolean", "@constant.builtin.boolean"),
    ("@string.escape", "@constant.character.escape"),
    ("@property", "@variable.other.member"),
    ("@comment.documentation", "@comment.line.documentation"),
];

/// The query for Helix is the same with its names.
#[test]
fn helix_has_the_same_highlights() {
    let mut expected = tree_sitter_netc::HIGHLIGHTS.to_string();
    for (name, helix) in HELIX {
        expected = expected.replace(name, helix);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/helix/highlights.scm");
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(&path, &expected).expect("the query can be written");
    }
    assert!(std::fs::read_to_string(&path).is_ok_and(|text| text == expected), "renew it with RENEW=1");
    Query::new(&tree_sitter_netc::LANGUAGE.into(), &expected).expect("a query");
}

/// Renews `src/parser.c` from `grammar.js`, in version 14 of its interface, which older editors load too. Needs node.
#[test]
#[ignore = "needs node"]
fn the_parser_is_made_of_the_grammar() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parser = folder.join("src/parser.c");
    let before = std::fs::read_to_string(&parser).expect("the parser");
    tree_sitter_generate::generate_parser_in_directory(folder, None, None, 14, None, Some("node")).expect("a grammar");
    let made = std::fs::read_to_string(&parser).expect("the parser");
    assert!(before == made, "src/parser.c was old: it is renewed");
}
