//! Commands, run in a folder of their own: output and exit code.

mod program;

use program::{folder, netc};
use std::fs;
use std::path::Path;
use std::process::Output;

/// Exit code, stdout and stderr as one text.
fn messages(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_string();
    let code = output.status.code().unwrap_or(-1);
    format!("exit {code}\n{}\n{}", text(&output.stdout), text(&output.stderr)).trim_end().to_string()
}

/// A spec, and the lints that `check` reports.
const LINTS: &[(&str, &[&str])] = &[
    ("Input(4) >> Softmax(3) >> Softmax", &["W1001"]),
    ("Input(4) >> Softmax(3) >> Dropout(0.5) >> Softmax(2)", &["W1001"]),
    ("Input(4) >> Softmax(3) >> Relu(3) >> Softmax(2)", &[]),
    ("vgg16 >> Softmax(10)", &["W1001"]),
    ("Input(8x8x3) >> Conv(3x3, 4) >> BatchNorm", &["W1002"]),
    ("Input(8) >> Dense(4) >> BatchNorm", &["W1002"]),
    ("Input(8x8x3) >> Conv(3x3, 4, bias=false) >> BatchNorm", &[]),
    ("Input(8x8x3) >> Conv(3x3, 4, bias=true) >> BatchNorm", &[]),
    ("Input(8x8x3) >> Conv(3x3, 4) >> Relu >> BatchNorm", &[]),
    ("Input(8) >> Relu(4) >> BatchNorm", &[]),
    ("Input(8x8x3) >> Conv(3x3, 4) >> (BatchNorm | Identity) >> Add", &[]),
    ("net spec = Input(4) >> Relu\nnet piece = Relu(3)", &["W1003"]),
    ("net spec = Input(4) >> Relu\nnet piece = Relu(3) # piece", &["W1003"]),
    ("net spec = Input(4) >> piece\nnet piece = Relu(3)", &[]),
    ("net spec = Input(4) >> Relu\nnet other = Input(4) >> Tanh", &[]),
    ("Input(64x64x4) >> Flatten >> Dense(4096)", &["W1005"]),
    ("Input(16384) >> Dense(4096)", &[]),
    ("Input(8x8x4) >> Flatten >> Dense(4096)", &[]),
    ("frozen(vgg16[..dropout-2]) >> Softmax(10)", &[]),
    ("Input(9x8x3) >> MaxPool(2x2)", &["W1006"]),
    ("Input(8x8x3) >> AvgPool(3x3, stride=2)", &["W1006"]),
    ("Input(9x9x3) >> MaxPool(2x2, padding=same)", &[]),
    ("Input(112x112x3) >> MaxPool(3x3, stride=2, padding=1)", &[]),
    ("Input(9x9x3) >> MaxPool(3x3, stride=2)", &[]),
    ("net spec = Input(8x8x3) >> f(2)\nnet f(same) = Conv(3x3, 4, padding=same)", &["W1007"]),
    ("net spec = Input(8x8x3) >> f(same)\nnet f(padding) = Conv(3x3, 4, padding=padding)", &[]),
];

/// The codes of the lints in the output of `check --format json`, except the one for missing weights files.
fn lints(folder: &Path, spec: &str) -> Vec<String> {
    let output = netc(folder, &["check", spec, "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{spec}: {}", messages(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    let list = document["diagnostics"].as_array().expect("a list").iter();
    list.filter_map(|one| one["code"].as_str()).filter(|code| *code != "W1008").map(str::to_string).collect()
}

#[test]
fn lints_are_given_where_they_are_due_and_nowhere_else() {
    for (text, wanted) in LINTS {
        let folder = folder(&[("spec.net", text)]);
        assert_eq!(lints(folder.path(), "spec.net"), *wanted, "{text}");
    }
}

#[test]
fn specs_that_ship_give_no_lints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("specs")).expect("the specs") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        // A net that needs arguments is not complete.
        if name.ends_with(".net") && name != "mixture_of_experts.net" {
            assert_eq!(lints(root, &format!("specs/{name}")), [""; 0], "{name}");
        }
    }
}

#[test]
fn frozen_random_weights_are_reported_by_build() {
    let cases = [("frozen(Input(4) >> Relu(3)) >> Softmax(2)", true), ("Input(4) >> Relu(3) >> Softmax(2)", false)];
    for (text, due) in cases {
        let folder = folder(&[("spec.net", text)]);
        let output = netc(folder.path(), &["build", "spec.net", "--allow-untrained"]);
        assert_eq!(output.status.code(), Some(0), "{}", messages(&output));
        assert_eq!(messages(&output).contains("W1004"), due, "{text}: {}", messages(&output));
    }
}

/// Expectations of a small net, and the code that `test` reports.
const EXPECTATIONS: &[(&str, Option<&str>)] = &[
    ("spec: (?, 4) -> (?, 3)", None),
    ("spec: (?, n) -> (?, n - 1)", None),
    ("spec: (?, 4) -> (?, 4)", Some("E0218")),
    ("spec: (?, 4, 1) -> (?, 3)", Some("E0218")),
    ("spec: [(?, 4), (?, 4)] -> (?, 3)", Some("E0218")),
    ("parameters(spec) == 15", None),
    ("parameters(spec) < 16 and layers(spec) == 2", None),
    ("not (layers(spec) > 2)", None),
    ("layers(spec) > 2", Some("E0218")),
    ("layers(spec)", Some("E0219")),
    ("depth(spec) == 2", Some("E0219")),
    ("layers(speck) == 2", Some("E0219")),
    ("other: (?, 4) -> (?, 4)", Some("E0219")),
    ("top1(spec) == \"owl\"", Some("E0219")),
    ("top1(spec, \"owl.jpg\") == \"owl\"", Some("E0408")),
];

#[test]
fn promises_hold_or_are_answered_with_what_was_found() {
    for (promise, code) in EXPECTATIONS {
        let text = format!("net spec = Input(4) >> Relu(3)\nexpect {promise}\n");
        let folder = folder(&[("spec.net", &text)]);
        let output = netc(folder.path(), &["test"]);
        assert_eq!(output.status.code(), Some(i32::from(code.is_some())), "{promise}: {}", messages(&output));
        assert!(messages(&output).contains(code.unwrap_or("1 passed, 0 failed")), "{promise}: {}", messages(&output));
    }
}

#[test]
fn a_photo_is_what_the_spec_promises() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/samples");
    let text = "weights squeezenet1_1 = \"squeezenet1_1.hdf5\"\nlabels cat = \"imagenet_labels.txt\"\nnet cat = squeezenet1_1\n\
        expect top1(cat, \"chelsea.png\") == \"tiger cat\"\nexpect top1(cat, \"chelsea.png\") == \"owl\"\n";
    let folder = folder(&[("cat.net", text)]);
    for name in ["squeezenet1_1.hdf5", "imagenet_labels.txt", "chelsea.png"] {
        fs::copy(samples.join(name), folder.path().join(name)).expect("a sample");
    }
    insta::assert_snapshot!(messages(&netc(folder.path(), &["test"])), @r#"
    exit 1
    FAIL  cat.net
    0 passed, 1 failed
    1 snapshot to write: `netc test --accept` writes it, and later runs show what has changed
    error[E0218]: `top1(cat, "chelsea.png") == "owl"` is false
      ┌─ cat.net:5:8
      │
    5 │ expect top1(cat, "chelsea.png") == "owl"
      │        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ expected here
      │
      = top1(cat, "chelsea.png") is "tiger cat"
    "#);
}

#[test]
fn snapshots_are_new_then_accepted_then_compared() {
    let folder = folder(&[("spec.net", "Input(4) >> Relu(3)\n"), ("pieces.net", "net piece = Relu(3)\n")]);
    let test = |arguments: &[&str]| messages(&netc(folder.path(), &[&["test"], arguments].concat()));
    insta::assert_snapshot!(test(&[]), @r"
    exit 0
    pass  pieces.net
    pass  spec.net
    2 passed, 0 failed
    1 snapshot to write: `netc test --accept` writes it, and later runs show what has changed
    ");
    assert!(test(&["--check"]).starts_with("exit 1"));
    assert!(test(&["--accept", "--stage", "graph,fused,plan"]).starts_with("exit 0"));
    assert!(test(&["--check", "--stage", "graph,fused,plan"]).starts_with("exit 0"));
    insta::assert_snapshot!(fs::read_to_string(folder.path().join("spec.graph.snap")).expect("it was written"), @r#"
    ---
    source: "spec.net"
    expression: graph
    ---
    net spec : (?, 4) -> [... 2 layers ...] -> (?, 3)
      input-1 = Input(shape=4) : (?, 4)
      relu-1 = Relu(units=3) of input-1 : (?, 3)
        weight (4, 3) HeNormal(gain=2)
        bias (3) Constant(0)
      gives relu-1
    "#);
    fs::write(folder.path().join("spec.net"), "Input(4) >> Tanh(3)\n").expect("a file can be written");
    let differs = test(&["spec.net"]);
    assert!(differs.starts_with("exit 1"), "{differs}");
    assert!(
        differs.contains("\n-  relu-1 = Relu(units=3)") && differs.contains("\n+  tanh-1 = Tanh(units=3)"),
        "{differs}"
    );
    assert!(test(&["--accept"]).starts_with("exit 0"));
    assert!(test(&["--check"]).starts_with("exit 0"));
}

#[test]
fn a_new_project_is_right_and_is_not_written_over() {
    let folder = folder(&[]);
    let run = |arguments: &[&str]| netc(folder.path(), arguments);
    assert_eq!(run(&["new", "my-birds"]).status.code(), Some(0));
    for place in [".gitignore", "photos/train/class_a", "photos/valid/class_b"] {
        assert!(folder.path().join("my-birds").join(place).exists(), "{place}");
    }
    for command in [&["check", "my-birds/my-birds.net"][..], &["test"], &["fmt", "--check", "my-birds/my-birds.net"]] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(0), "{}", messages(&output));
    }
    for name in ["my-birds", "vgg16", "Dense", "net", "..", "no/where"] {
        assert_eq!(run(&["new", name]).status.code(), Some(1), "{name}");
    }
}

#[test]
fn two_nets_differ_layer_by_layer() {
    let folder = folder(&[
        ("a.net", "Input(8x8x3) >> Conv(3x3, 4) as one >> Relu >> Flatten as flat >> Softmax(2) as end"),
        ("b.net", "Input(8x8x3) >> Conv(3x3, 8) as one >> Flatten as flat >> Dropout(0.5) >> Softmax(2) as end"),
    ]);
    insta::assert_snapshot!(messages(&netc(folder.path(), &["diff", "a.net", "b.net"])), @r"
    exit 0
    - a: (?, 8, 8, 3) -> [... 5 layers ...] -> (?, 2)
    + b: (?, 8, 8, 3) -> [... 5 layers ...] -> (?, 2)

    ~ one  settings size=3x3, filters=4 -> size=3x3, filters=8; output (?, 6, 6, 4) -> (?, 6, 6, 8); parameters 112 -> 224
    - relu-1  Relu : (?, 6, 6, 4)
    ~ flat  output (?, 144) -> (?, 288)
    + dropout-1  Dropout 0.5 : (?, 288)
    ~ end  parameters 290 -> 578

    1 added, 1 removed, 3 changed, 1 the same
    parameters 402 -> 802
    ");
    let output = netc(folder.path(), &["diff", "a.net", "a.net", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    for key in ["added", "removed", "changed"] {
        assert_eq!(document[key], serde_json::json!([]), "{key}");
    }
}

/// A layer that is added shifts the numbers of generated names after it, and changes the input of one layer.
#[test]
fn shifted_numbers_are_no_difference() {
    let folder = folder(&[]);
    let said = messages(&netc(folder.path(), &["diff", "vgg16", "vgg19"]));
    let changed: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with('~')).collect();
    assert!(said.contains("6 added, 0 removed") && changed.len() <= 3, "{said}");
    assert!(changed.iter().all(|line| line.contains("  inputs ") && !line.contains(';')), "{said}");
}

#[test]
fn every_shell_gets_completions() {
    let folder = folder(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = netc(folder.path(), &["completions", shell]);
        assert!(output.status.success() && messages(&output).contains("NETC_COMPLETE"), "{shell}");
    }
}

/// The completions that bash offers at the end of a line, of which `current` is what it would replace.
#[cfg(unix)]
fn completed(folder: &Path, line: &str, current: &str) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_netc"));
    let script = "eval \"$(netc completions bash)\"; COMP_LINE=$1; COMP_POINT=${#1}; _netc netc \"$2\" \"\"; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().expect("a folder").display());
    let mut bash = std::process::Command::new("bash");
    bash.args(["--norc", "-c", script, "bash", line, current]).env("PATH", path).current_dir(folder);
    let output = bash.output().expect("bash runs");
    // `compopt` works only where a person types.
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| !line.is_empty()).map(String::from).collect()
}

#[cfg(unix)]
#[test]
fn bash_completes_nets_layers_codes_and_keys() {
    let files =
        [("tiny.net", "net tiny = Input(8) >> Relu(4) as hidden >> Softmax(2)\n"), ("notes.txt", ""), ("x.jpg", "")];
    let folder = folder(&files);
    std::fs::create_dir(folder.path().join("specs")).expect("a folder");
    let at = folder.path();
    assert_eq!(completed(at, "netc show squ", "squ"), ["squeezenet", "squeezenet1_1"]);
    assert_eq!(completed(at, "netc diff vgg16 vgg", "vgg"), ["vgg16", "vgg19"]);
    assert_eq!(completed(at, "netc check ti", "ti"), ["tiny.net"]);
    assert_eq!(completed(at, "netc check sp", "sp"), ["specs/"]);
    assert_eq!(completed(at, "netc predict unet x", "x"), ["x.jpg"]);
    assert_eq!(completed(at, "netc pre", "pre"), ["predict"]);
    // In a cut: within quotes; without, bash breaks the word at `=`.
    let ends = ["vgg16[..=conv5_1]", "vgg16[..=conv5_2]", "vgg16[..=conv5_3]"];
    assert_eq!(completed(at, "netc show 'vgg16[..=conv5", "vgg16[..=conv5"), ends);
    assert_eq!(completed(at, "netc show 'vgg16[..=conv5", "'vgg16[..=conv5"), ends);
    assert_eq!(completed(at, "netc show vgg16[..=conv5", "conv5"), ["conv5_1]", "conv5_2]", "conv5_3]"]);
    assert_eq!(completed(at, "netc show 'tiny.net[..h", "tiny.net[..h"), ["tiny.net[..hidden]"]);
    assert!(completed(at, "netc show 'nothing[..h", "nothing[..h").is_empty());
    assert_eq!(completed(at, "netc explain e030", "e030").first().map(String::as_str), Some("E0301"));
    assert_eq!(completed(at, "netc help Mom", "Mom"), ["Momentum"]);
    assert_eq!(completed(at, "netc help GlobalP", "GlobalP"), ["GlobalPool", "GlobalPooling"]);
    assert_eq!(completed(at, "netc train tiny.net --set epo", "epo"), ["epochs="]);
    assert_eq!(completed(at, "netc show tiny.net --form", "--form"), ["--format"]);
    // Other names are accepted as before.
    let shown = netc(at, &["show", "Input(4) >> Relu(2)"]);
    assert!(shown.status.success(), "{}", messages(&shown));
}

/// Pairs of equivalent specs.
const SAME: &[(&str, &str)] = &[
    (
        "Input(8x8x3) >> repeat [f, s] in [[4, 1], [6, 2]] { Conv(3x3, f, stride=s, padding=same) as \"c{f}\" }",
        "Input(8x8x3) >> Conv(3x3, 4, padding=same) as c4 >> Conv(3x3, 6, stride=2, padding=same) as c6",
    ),
    ("Input(4) >> repeat [f] in [[4], [6]] { Relu(f) }", "Input(4) >> Relu(4) >> Relu(6)"),
    ("Input(4) >> repeat [h, w] in [3x5, [7, 9]] { Relu(h * w) }", "Input(4) >> Relu(15) >> Relu(63)"),
    (
        "net spec = Input(4) >> g(1..=2) >> g(depths=5..7)\nnet g(depths) = repeat d in depths { Relu(d) as \"r{d}\" }",
        "Input(4) >> Relu(1) as r1 >> Relu(2) as r2 >> Relu(5) as r5 >> Relu(6) as r6",
    ),
    ("net spec(n=[3, 5, 7]) = Input(4) >> Relu(n[0]) >> Relu(n[-1] + n[1])", "Input(4) >> Relu(3) >> Relu(12)"),
    ("net spec(s=8x9x3) = Input(s) >> Conv(3x3, s[0] + s[2])", "Input(8x9x3) >> Conv(3x3, 11)"),
    (
        "net spec(n=[[3, Relu], [5, Tanh]]) = Input(4) >> repeat i in 0..2 { Dense(n[i][0]) >> n[i][1] }",
        "Input(4) >> Dense(3) >> Relu >> Dense(5) >> Tanh",
    ),
    (
        "net spec(ends=[Relu(3), Input(4) >> Tanh(5)]) = ends[1] >> ends[0] as last",
        "Input(4) >> Tanh(5) >> Relu(3) as last",
    ),
    (
        "net spec = Input(4) >> g(1..1)\nnet g(list) = repeat i in list { Relu(i) } >> Relu(len(list) + 1)",
        "Input(4) >> Identity >> Relu(1)",
    ),
];

#[test]
fn lists_are_taken_apart_and_counted() {
    for (one, other) in SAME {
        let folder = folder(&[("spec.net", one), ("other.net", other)]);
        let table = |file: &str| {
            let output = netc(folder.path(), &["show", file, "--format", "json"]);
            assert_eq!(output.status.code(), Some(0), "{one}: {}", messages(&output));
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
            document["layers"].clone()
        };
        assert_eq!(table("spec.net"), table("other.net"), "{one}");
    }
}

/// The stdout of `netc check` for files of nets, and the codes and labels of the errors.
const FRAGMENTS: &[(&str, &str, &[&str])] = &[
    ("net head = Flatten >> Softmax(10)", "head: a fragment, (?, 224, 224, 64) -> [... 2 layers ...] -> (?, 10)", &[]),
    ("net cell = LSTM(12)", "cell: a fragment, (?, ?, 64) -> [... 1 layer ...] -> (?, 12)", &[]),
    (
        "net block = (Conv(1x1, 256) | Identity) >> Add",
        "block: a fragment, (?, ?, ?, 256) -> [... 3 layers ...] -> (?, ?, ?, 256)",
        &[],
    ),
    (
        "net join = Add >> Relu",
        "join: a fragment, [(?, ?, ?, 64), (?, ?, ?, 64)] -> [... 2 layers ...] -> (?, ?, ?, 64)",
        &[],
    ),
    (
        "net twice: (?, h, w, c) -> (?, h, w, 2*c) = Conv(1x1, 2*c)",
        "twice: a fragment, (?, ?, ?, 64) -> [... 1 layer ...] -> (?, ?, ?, 128)",
        &[],
    ),
    ("net gate = GatedAverage", "gate: a fragment, its names and arguments; its shapes depend on what comes in", &[]),
    (
        "net stage(n, f=64) = repeat i in 1..=n { Conv(3x3, f) as \"c{i}\" }",
        "stage: a fragment, its names and arguments; its shapes depend on `n`",
        &[],
    ),
    ("net spec = Input(4) >> piece\nnet piece = Relu(3)", "spec: (?, 4) -> [... 2 layers ...] -> (?, 3)", &[]),
    // Errors in unused nets, and in nets whose parameters have no values.
    ("net spec = Input(4) >> Relu\nnet other(n) = Relu(n) >> Rleu", "", &["E0201"]),
    ("net spec = Input(4) >> Relu\nnet other = Input(4) >> Conv(3x3, 2)", "", &["E0301"]),
    ("net stage(n) = Conv(3x3, n, strid=2) >> Dense(-1)", "", &["E0204", "E0207"]),
    ("net outer(n) = inner(n, n)\nnet inner(n) = Relu(n)", "", &["E0206"]),
    // For every input.
    ("net none = (Conv(3x3, 4) | Dense(3)) >> Concatenate", "", &["E0301"]),
    ("net none = Conv(1x1, 4) >> (Conv(1x1, 8) | Conv(1x1, 9)) >> Add", "", &["E0303"]),
    // Reported once, where the input is known.
    ("net spec = Input(4) >> piece\nnet piece = Relu(3) >> Conv(3x3, 2)", "", &["E0301"]),
];

#[test]
fn every_net_of_a_file_is_checked() {
    for (text, line, codes) in FRAGMENTS {
        let folder = folder(&[("spec.net", text)]);
        let output = netc(folder.path(), &["check", "spec.net"]);
        let wrong = codes.iter().any(|code| code.starts_with('E'));
        assert_eq!(output.status.code(), Some(i32::from(wrong)), "{text}: {}", messages(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), *line, "{text}");
        let errors = String::from_utf8_lossy(&output.stderr);
        let mut found: Vec<&str> =
            errors.lines().filter_map(|line| line.split_once('[')?.1.split_once("]:")).map(|(code, _)| code).collect();
        found.sort_unstable();
        assert_eq!(found, *codes, "{text}: {errors}");
    }
}

#[test]
fn nets_of_one_file_differ_by_their_names() {
    let two = "net left = Input(4) >> Relu(3)\nnet right = Input(4) >> Tanh(3)";
    let folder = folder(&[("two.net", two)]);
    let diff = |nets: &[&str]| {
        let names = nets.iter().flat_map(|net| ["--net", net]);
        let arguments: Vec<&str> = ["diff", "two.net", "two.net"].into_iter().chain(names).collect();
        netc(folder.path(), &arguments)
    };
    let (same, other) = (messages(&diff(&["left"])), messages(&diff(&["left", "right"])));
    assert!(same.starts_with("exit 0") && !same.contains("relu-1"), "{same}");
    assert!(other.starts_with("exit 0") && other.contains("relu-1") && other.contains("tanh-1"), "{other}");
    for nets in [&[][..], &["middle"], &["left", "right", "left"]] {
        let refused = messages(&diff(nets));
        assert!(refused.starts_with("exit 1") && refused.contains("E0211"), "{refused}");
    }
}

/// A file given on the command line for a net overrides those of the nets in it, which need not exist.
#[test]
fn weights_of_an_outer_net_cover_those_of_the_inner_ones() {
    let spec = "net outer = inner\nnet inner = Input(6x6x3) >> Conv(3x3, 4) as conv1_1\nweights inner = \"away.h5\"";
    let folder = folder(&[("outer.net", spec)]);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vgg16_tiny/vgg16_neupy.hdf5");
    let weights = format!("outer={}", file.display());
    let built = messages(&netc(folder.path(), &["build", "outer.net", "--weights", &weights]));
    assert!(built.starts_with("exit 0") && !built.contains("away.h5"), "{built}");
    let refused = messages(&netc(folder.path(), &["build", "outer.net"]));
    assert!(refused.starts_with("exit 1") && refused.contains("E0401"), "{refused}");
}

#[test]
fn a_training_step_is_compared_with_its_reference() {
    let spec = "net tiny = Input(6x6x3) >> frozen(Conv(3x3, 4) >> Relu) >> Conv(3x3, 4, bias=false) >> BatchNorm >> Relu\n  \
                >> Flatten >> Dropout(0.5) >> Relu(5) >> Softmax(3) as species\n\
                train tiny {\n  data = arrays(\"x.h5\", x=\"x\", y=\"y\")\n  optimizer = Adam(step=0.01)\n  regularizer = l2(0.01)\n}\n";
    let folder = folder(&[("tiny.net", spec), ("bare.net", "Input(4) >> Softmax(2)")]);
    let output = netc(folder.path(), &["verify", "tiny.net", "--training"]);
    let text = messages(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["Inactive dropout-1", "batch-norm-1/running_mean ", "relu-3/weight ", "species: error of the loss"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert!(!text.contains("convolution-1/weight "), "a frozen layer is not trained: {text}");
    let refused = netc(folder.path(), &["verify", "bare.net", "--training"]);
    assert_eq!(refused.status.code(), Some(1), "there is no recipe");
}
