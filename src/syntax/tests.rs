//! Tests of the grammar with examples and random texts: valid text parses and is printed back, invalid text gives errors.

use super::ast::File;
use super::{ast_text, format, parse, parse_expression};
use crate::diagnostics::{Code, Diagnostics, render};
use crate::source::Sources;
use proptest::prelude::*;
use std::time::Duration;

const EXAMPLES: [(&str, &str); 14] = [
    ("bird", include_str!("../../tests/syntax/ok/bird.net")),
    ("comments", include_str!("../../tests/syntax/ok/comments.net")),
    ("composition", include_str!("../../tests/syntax/ok/composition.net")),
    ("cuts", include_str!("../../tests/syntax/ok/cuts.net")),
    ("expect", include_str!("../../tests/syntax/ok/expect.net")),
    ("lists", include_str!("../../tests/syntax/ok/lists.net")),
    ("resnet50", include_str!("../../tests/syntax/ok/resnet50.net")),
    ("shortest", include_str!("../../tests/syntax/ok/shortest.net")),
    ("train", include_str!("../../tests/syntax/ok/train.net")),
    ("two_parts", include_str!("../../tests/syntax/ok/two_parts.net")),
    ("unet", include_str!("../../tests/syntax/ok/unet.net")),
    ("unet_lines", include_str!("../../tests/syntax/ok/unet_lines.net")),
    ("values", include_str!("../../tests/syntax/ok/values.net")),
    ("weights", include_str!("../../tests/syntax/ok/weights.net")),
];

fn read(text: &str) -> (File, Diagnostics, Sources) {
    let mut sources = Sources::default();
    let file = sources.add_text("a.net", text);
    let (tree, diagnostics) = parse(&sources, file);
    (tree, diagnostics, sources)
}

/// The tree of a valid text.
#[track_caller]
fn tree(text: &str) -> File {
    let (tree, diagnostics, sources) = read(text);
    assert!(diagnostics.is_empty(), "{text}\n{}", render::text(&diagnostics, &sources, false));
    tree
}

/// The codes of the errors of a text.
fn codes(text: &str) -> Vec<Code> {
    read(text).1.sorted().iter().map(|diagnostic| diagnostic.code).collect()
}

/// A tree as text without the spans, for comparison.
fn erased(file: &File) -> String {
    let text = format!("{file:?}");
    let mut pieces = text.split("Span {");
    let mut out = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        out.push_str(piece.split_once('}').map_or("", |(_, rest)| rest));
    }
    out
}

/// Formats a text, and checks that the tree and the comments stay and that a second run changes nothing.
#[track_caller]
fn check_format(text: &str) -> String {
    let before = tree(text);
    let once = format(text, &before);
    let after = tree(&once);
    assert_eq!(erased(&before), erased(&after), "\n--- before\n{text}\n--- after\n{once}");
    // Counts `#`, not `# `: an empty comment loses its trailing space.
    let comments = |text: &str| text.matches('#').count();
    assert_eq!(comments(text), comments(&once), "\n--- before\n{text}\n--- after\n{once}");
    let twice = format(&once, &after);
    assert_eq!(once, twice, "\n--- source\n{text}");
    once
}

fn snapshot(name: &str, text: String) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("../../tests/syntax/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn examples_have_these_trees() {
    let trees = EXAMPLES.iter().map(|(name, text)| format!("{name}.net\n{}\n", ast_text(&tree(text))));
    snapshot("trees", trees.collect());
}

#[test]
fn examples_are_formatted() {
    let texts = EXAMPLES.iter().map(|(name, text)| format!("===== {name}.net\n{}\n", check_format(text)));
    snapshot("formatted", texts.collect());
}

#[test]
fn the_languages_own_examples_are_in_canonical_form() {
    for (name, text) in EXAMPLES {
        if ["resnet50", "shortest"].contains(&name) {
            assert_eq!(check_format(text), text);
        }
    }
}

/// Each mistake of `tests/syntax/mistakes.txt` with its diagnostics.
#[test]
fn mistakes_are_explained() {
    let mut out = String::new();
    for case in include_str!("../../tests/syntax/mistakes.txt").trim_end().split("\n----\n") {
        let (_, diagnostics, sources) = read(case);
        let rendered = render::text(&diagnostics, &sources, false);
        out.push_str(&format!("{case}\n\n{}\n{}\n", rendered.trim_end(), "-".repeat(80)));
        assert!(!diagnostics.is_empty() && diagnostics.has_errors(), "no error: {case}");
    }
    snapshot("mistakes", out);
}

#[test]
fn a_broken_item_does_not_hide_the_others() {
    let (tree, diagnostics, _) =
        read("net a = Relu\nnet b = (((\n## Good.\nnet c = Elu\nnet d = 1 ** 2\n  labels c = [\"x\"]\n");
    assert_eq!(tree.items.len(), 3);
    assert_eq!(tree.items[1].docs, ["Good."]);
    assert_eq!(diagnostics.iter().count(), 2);
}

#[test]
fn a_broken_item_does_not_spoil_the_edition_above_it() {
    for before in ["", "# a comment\n"] {
        assert_eq!(codes(&format!("{before}netc 1\nnet a = Relu(\nnet b = Input(3)\n")), [Code::Unclosed]);
    }
    assert_eq!(codes("netc 2\nnet a = Relu(\n").len(), 2);
}

#[test]
fn documentation_belongs_to_the_item_below_it() {
    let text = "### banner\n## One.\n# plain\n##Two. \nnet a = if x { y } ## behind\n## Three.\n\nweights a = \"f\"\n## Four.\nnet b = Relu\n";
    let docs: Vec<Vec<String>> = tree(text).items.into_iter().map(|item| item.docs).collect();
    assert_eq!(docs, [vec!["One.", "Two."], vec!["Three."], vec!["Four."]]);
}

#[test]
fn an_item_ends_where_its_text_ends() {
    let text = "net a = if x { y } # c\n\nweights a = \"f\"  \n# d\nnet b = Relu\n";
    let ends: Vec<&str> = tree(text).items.iter().map(|item| &text[item.span.range()]).collect();
    assert_eq!(ends, ["net a = if x { y }", "weights a = \"f\"", "net b = Relu"]);
}

#[test]
fn expressions_from_the_command_line_parse() {
    let read = |text: &str| {
        let mut sources = Sources::default();
        let file = sources.add_text("argument", text);
        parse_expression(&sources, file).map(|expr| super::expression_text(&expr))
    };
    assert_eq!(read("vgg16[-3..]>>Softmax( 10 )").ok().as_deref(), Some("vgg16[-3..] >> Softmax(10)"));
    for wrong in ["", "net a = Relu", "Relu >>", "(Relu", "Relu Elu", "\"a"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn windows_line_endings_are_accepted() {
    let text = "\u{feff}netc 1\r\n# c\r\nnet a =\r\n  Relu\r\n  >> Elu # d\r\n";
    assert_eq!(check_format(text), "netc 1\n# c\nnet a =\n  Relu\n  >> Elu  # d\n");
}

#[test]
fn nesting_and_size_are_bounded() {
    let nested =
        |open: &str, close: &str, count: usize| format!("net a = {}b{}", open.repeat(count), close.repeat(count));
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("f(", ")"),
        ("{ ", " }"),
        ("f(x=", ")"),
        ("\"{", "}\""),
        ("if a { ", " }"),
        ("repeat(2) { ", " }"),
        ("frozen(", ")"),
        ("(c | -d >> ", ")"),
        ("1 + (", ")"),
    ] {
        assert_eq!(codes(&nested(open, close, 30)), [], "{open}");
        for count in [70, 1000, 20_000] {
            assert_eq!(codes(&nested(open, close, count)), [Code::TooDeep], "{open}");
        }
    }
    let long = |piece: &str, count: usize| format!("net a = {}b", piece.repeat(count));
    for piece in ["-", "not ", "1 + ", "1 * ", "x == y and ", "x or ", "- - "] {
        assert_eq!(codes(&long(piece, 5000)), [Code::TooDeep], "{piece}");
    }
    assert_eq!(codes(&format!("net a = b{}", " as c".repeat(5000))), [Code::TooDeep]);
    assert_eq!(codes(&format!("net a = b{}", "[c..]".repeat(5000))), [Code::TooDeep]);
    assert_eq!(codes(&long("b >> ", 5000)), []);
    for piece in ["if ", "repeat i in "] {
        assert_eq!(codes(&long(piece, 300)), [Code::Syntax], "{piece}");
        assert_eq!(codes(&format!("{}{}", long(piece, 300), " { b }".repeat(300))), [Code::TooDeep], "{piece}");
    }
    assert_eq!(codes(&format!("net a = if x {{ y }} {}", "else if x { y } ".repeat(5000))), []);
    assert_eq!(codes(&" ".repeat(4_000_001)), [Code::TooDeep]);
    assert_eq!(codes(&long("1, ", 300_000)), [Code::TooDeep]);
}

/// The deepest allowed nesting in every way at once, for all recursive walks, on a thread with a stack of 2 MiB.
#[test]
fn the_deepest_tree_fits_the_stack() {
    let text = format!("net a = {}b{}", "f(x=(c >> d | if e { -(".repeat(15), ") } >> g))".repeat(15));
    let (tree, ..) = read(&text);
    let deep = format!("net a = {}b{}", "(".repeat(60), " + 1 + 1)".repeat(60));
    for text in [text, deep] {
        let (tree, diagnostics, _) = read(&text);
        if diagnostics.is_empty() {
            check_format(&text);
        }
        drop(tree);
    }
    drop(tree);
}

#[test]
fn work_grows_with_the_length_only() {
    let repeated = |piece: &str, length: usize| piece.repeat(length / piece.len());
    for piece in [
        "(",
        "f(",
        "{ a = ",
        "\"{",
        "net a = (\n",
        "net\n",
        "x\n",
        "1.\n",
        "\"\n",
        "a(b,",
        "if ",
        "[",
        "repeat i in ",
        "{ let a = ",
        "f(a=f(b ",
        "\"{\"{",
        "}",
        "#\n",
    ] {
        check_work(|length| repeated(piece, length));
        check_work(|length| format!("net a = {}", repeated(piece, length)));
    }
    check_work(|length| format!("net a = [{}]", repeated("1,", length)));
    check_work(|length| format!("net a = Relu {}", repeated(">> Conv(3x3, 64, stride=2) as conv1\n", length)));
    check_work(|length| repeated("net a(b, c=1) = (b | Dense(c * 2)) >> Add\n", length));
}

/// Reads a text and one that is four times as long, which would take sixteen times the work if that grew with the square.
#[track_caller]
fn check_work(text: impl Fn(usize) -> String) {
    let [short, long] = [25_000, 100_000].map(|length| {
        let text = text(length);
        let start = processor_time();
        check_ends(&text);
        processor_time() - start
    });
    // What does not grow, and the clock's own steps.
    let allowed = short * 10 + Duration::from_millis(300);
    let beginning: String = text(100).chars().take(60).collect();
    assert!(long < allowed, "{short:?}, then {long:?} for {beginning:?}…");
}

/// Reads a text of any kind.
fn check_ends(text: &str) {
    let (_, diagnostics, sources) = read(text);
    render::text(&diagnostics, &sources, false);
}

/// Time that this thread was given by a processor, which other processes do not lengthen.
fn processor_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = schedstat.split_whitespace().next().and_then(|field| field.parse().ok());
    // Systems without it are tested for an end only.
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Generates random texts of the language.
struct RandomChoices(u64);

impl RandomChoices {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.roll(words.len() as u64) as usize]
    }

    /// Whitespace, line breaks and comments.
    fn gap(&mut self) -> &'static str {
        self.pick(&[" ", " ", " ", " ", " ", "  ", "\n", "\n  ", "\n\n", " # c\n", "\n# d\n", "\n\n  # e\n\n# f\n"])
    }

    fn joined(&mut self, count: u64, between: &str, depth: u64, part: fn(&mut Self, u64) -> String) -> String {
        let mut out = String::new();
        for index in 0..count {
            if index > 0 {
                let (before, after) = (self.pick(&["", "", " ", "\n", " # g\n"]), self.gap());
                out.push_str(&format!("{before}{between}{after}"));
            }
            out.push_str(&part(self, depth));
        }
        out
    }

    fn name(&mut self) -> &'static str {
        self.pick(&["a", "Relu", "conv_1", "netx", "_", "größe", "a_rather_long_name_that_fills_lines"])
    }

    fn layer(&mut self) -> &'static str {
        self.pick(&["conv-1", "fire2/relu", "layer1.0.b", "net", "\"odd {i} {{\"", "x", "a--b"])
    }

    fn argument(&mut self, depth: u64) -> String {
        let key = self.pick(&["", "", "size=", "in = ", "use="]);
        let to = if self.roll(6) == 0 {
            format!("{}{}{}", self.pick(&["..", "..=", " .. "]), self.gap(), self.primary(0))
        } else {
            String::new()
        };
        format!("{key}{}{to}", self.expr(depth))
    }

    fn pair(&mut self, depth: u64) -> String {
        format!("\"k\" ={}{}", self.gap(), self.expr(depth))
    }

    fn body(&mut self, depth: u64) -> String {
        let statement = if self.roll(4) == 0 {
            format!("let a ={}{}{}", self.gap(), self.expr(depth), self.gap())
        } else {
            String::new()
        };
        format!("{{{}{statement}{}{}}}", self.gap(), self.expr(depth), self.gap())
    }

    fn primary(&mut self, depth: u64) -> String {
        let deeper = depth.saturating_sub(1);
        let many = self.roll(4);
        match self.roll(if depth == 0 { 4 } else { 15 }) {
            0 | 1 => self.name().into(),
            2 => self.pick(&["1", "64", "0.5", "1e-3", "3x3", "?x5", "?", "true", "007"]).into(),
            3 => self.pick(&["\"\"", "\"a\\n\\\"{b + 1}}}\"", "\"# no comment\"", "\"x{\"{y}\"}\""]).into(),
            4 | 5 => {
                format!("{}({}{})", self.name(), self.pick(&["", "\n"]), self.joined(many, ",", deeper, Self::argument))
            }
            6 => format!("[{}{}{}]", self.gap(), self.joined(many, ",", deeper, Self::expr), self.gap()),
            7 => format!("{{{}{}{}}}", self.gap(), self.joined(many, ",", deeper, Self::pair), self.gap()),
            8 => format!("({}{}{})", self.gap(), self.joined(many.max(1), "|", deeper, Self::expr), self.gap()),
            9 => format!("repeat ({}){}{}", self.expr(deeper), self.gap(), self.body(deeper)),
            10 => format!("repeat i in {}..{}{}{}", self.primary(0), self.expr(deeper), self.gap(), self.body(deeper)),
            11 => {
                let pattern = self.pick(&["l", "[a, b]", "[ a,\n b, ]", "[x]"]);
                format!("repeat {pattern} in {}{}{}", self.expr(deeper), self.gap(), self.body(deeper))
            }
            12 => format!("frozen({}{}{})", self.gap(), self.expr(deeper), self.gap()),
            13 => {
                let otherwise = if many > 1 {
                    format!("{}else{}{}", self.gap(), self.gap(), self.body(deeper))
                } else {
                    String::new()
                };
                let arm = if many > 2 {
                    format!("else if{}{}{}{}", self.gap(), self.expr(deeper), self.gap(), self.body(deeper))
                } else {
                    String::new()
                };
                format!("if {}{}{}{}{arm}{otherwise}", self.expr(deeper), self.gap(), self.body(deeper), self.gap())
            }
            _ => {
                let share = format!("share f ={}{}{}", self.gap(), self.expr(deeper), self.gap());
                format!(
                    "{{{}{share}let{}b = {}{}{}{}}}",
                    self.gap(),
                    self.gap(),
                    self.expr(deeper),
                    self.gap(),
                    self.expr(deeper),
                    self.gap()
                )
            }
        }
    }

    fn operand(&mut self, depth: u64) -> String {
        let sign = self.pick(&["", "", "", "", "", "-", "not ", "not -"]);
        let cut =
            self.pick(&["", "", "", "[..dropout-2]", "[..=fire2/relu_1]", "[-3..]", "[\"a\"]", "[a..b]", "[ .. ]"]);
        let primary = self.primary(depth);
        let name = if self.roll(5) == 0 { format!("{}as {}", self.gap(), self.layer()) } else { String::new() };
        format!("{sign}{primary}{cut}{name}")
    }

    fn expr(&mut self, depth: u64) -> String {
        let count = self.roll(4);
        let mut out = self.operand(depth);
        for _ in 0..count {
            let sign = self.pick(&[">>", ">>", ">>", "+", "-", "*", "/", "or", "and"]);
            out.push_str(&format!("{}{sign}{}{}", self.gap(), self.gap(), self.operand(depth.saturating_sub(1))));
        }
        out
    }

    fn item(&mut self) -> String {
        let docs = self.pick(&["", "", "## doc\n", "# note\n\n"]);
        let item = match self.roll(6) {
            0 => "use \"x.net\"".into(),
            1 => format!(
                "weights {} = \"w\" {{{}missing ={}{} ,layout = auto{}}}",
                self.name(),
                self.gap(),
                self.gap(),
                self.expr(1),
                self.gap()
            ),
            2 => format!("labels {} = {}", self.name(), self.expr(1)),
            3 => format!(
                "train {} {{{}use = {}{}epochs = 1{}}}",
                self.name(),
                self.gap(),
                self.expr(2),
                self.gap(),
                self.gap()
            ),
            4 => format!("expect {}: (?, 3) -> [(?, h*2), (?, c)]", self.name()),
            _ => {
                let head = self.pick(&["", "", "(a, b=1)", "(\n  a, # h\n  b=[1, 2])", ": (?, c) -> (?, 2*c)"]);
                format!("net {}{head} ={}{}", self.name(), self.gap(), self.expr(3))
            }
        };
        format!("{docs}{item}")
    }

    fn file(&mut self) -> String {
        let count = self.roll(4);
        let edition = self.pick(&["", "netc 1\n", "# first\nnetc 1 # c\n"]);
        let mut out = edition.to_string();
        for _ in 0..count {
            out.push_str(&self.item());
            out.push_str(self.pick(&["\n", "\n", "\n\n", " # i\n", " "]));
        }
        if count == 0 { format!("{edition}{}", self.expr(3)) } else { out }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formatting_keeps_trees_and_comments(seed: u64) {
        let text = RandomChoices(seed).file();
        // Some random texts are invalid: those give errors and are not formatted.
        if read(&text).1.is_empty() {
            check_format(&text);
        }
    }

    #[test]
    fn any_bytes_are_handled(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_ends(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_tokens_are_handled(tokens in prop::collection::vec(prop::sample::select(vec![
        "net", "weights", "labels", "train", "use", "expect", "let", "share", "repeat", "in", "if", "else", "as", "frozen", "not",
        "a", "Conv", "3x3", "1.", "0.5", "?", "\"", "\"x\"", "{", "}", "(", ")", "[", "]", ",", "|", ">>", ">", "=", "==", "..", "..=",
        "->", "-", "+", "*", "/", ".", ":", "#", "\n", " ", "ü", "\u{a0}", "netc 1", "\\", "'",
    ]), 0..120)) {
        check_ends(&tokens.concat());
        check_ends(&tokens.join(" "));
    }

    #[test]
    fn changed_examples_are_handled(which in 0..EXAMPLES.len(), at: prop::sample::Index, length in 0..6_usize, with in ".{0,3}") {
        let text = EXAMPLES[which].1;
        let chars: Vec<char> = text.chars().collect();
        let from = at.index(chars.len());
        let to = (from + length).min(chars.len());
        let changed: String = chars[..from].iter().copied().chain(with.chars()).chain(chars[to..].iter().copied()).collect();
        check_ends(&changed);
        if read(&changed).1.is_empty() {
            check_format(&changed);
        }
    }
}
