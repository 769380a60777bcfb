//! What all commands have in common, as users of cargo, uv and ruff expect it: options of output, folders, stdin, suggestions, help.

mod program;

use netc::data::arrays::array_file;
use program::{command, done, folder, netc, refused, text};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

const TINY: &str =
    "net tiny =\n  Input(8x8x3, image=Unit) >> Conv(3x3, 4) >> Relu >> GlobalPool(avg) >> Softmax(3) as species\n";
const UNTIDY: &str = "net  untidy=Input(3)>>Relu\n";

/// Runs a command with this text on stdin.
fn piped(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().expect("a pipe").write_all(input).expect("the program reads");
    child.wait_with_output().expect("the program ends")
}

#[test]
fn output_can_be_quiet_verbose_and_coloured() {
    let folder = folder(&[("tiny.net", TINY), ("wide.net", "net wide = Input(9x8x3) >> MaxPool(2x2)\n")]);
    let build = |options: &[&str]| {
        let output = netc(folder.path(), &[&["build", "tiny.net", "--allow-untrained"], options].concat());
        done(&output);
        text(&output.stderr)
    };
    assert!(build(&[]).contains("    Checking tiny"));
    assert_eq!(build(&["-q"]), "");
    assert!(build(&["-v"]).contains(" s]\n"), "stages have times");
    assert!(build(&["--color", "always"]).contains("\x1b[1;32m"), "although NO_COLOR is set");
    assert!(!build(&["--color=never"]).contains('\x1b'));
    let wrong = |color: &str| text(&netc(folder.path(), &["--color", color, "show", "--wrong"]).stderr);
    assert!(wrong("always").contains("\x1b[") && !wrong("never").contains('\x1b'));
    // A warning is not an error; an error stays.
    let check = |arguments: &[&str]| text(&netc(folder.path(), arguments).stderr);
    assert!(check(&["check", "wide.net"]).contains("W1006"));
    assert_eq!(check(&["--quiet", "check", "wide.net"]), "");
    assert!(check(&["-q", "check", "none.net"]).contains("E0002"));
}

#[test]
fn check_and_fmt_take_folders_and_stdin() {
    let files = [("a.net", TINY), ("b.net", UNTIDY), ("c.net", "net broken = Input(3) >> Dens(2)\n")];
    let folder = folder(&files);
    let checked = netc(folder.path(), &["check", "."]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("tiny: ") && text(&checked.stdout).contains("untidy: "));
    assert!(text(&checked.stderr).contains("c.net:1:26"), "{}", text(&checked.stderr));
    let document = netc(folder.path(), &["check", "a.net", "c.net", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&document.stdout).expect("one document");
    assert_eq!(document["diagnostics"].as_array().map(Vec::len), Some(1));
    assert!(done(&piped(folder.path(), &["check", "-"], TINY.as_bytes())).contains("tiny: "));

    let differs = netc(folder.path(), &["fmt", "--check", "--diff", "."]);
    assert_eq!(differs.status.code(), Some(1));
    insta::assert_snapshot!(text(&differs.stdout));
    let named = netc(folder.path(), &["fmt", "--check", "b.net"]);
    let advice = "b.net is not formatted\n1 file would change: `--check --diff` shows how, `netc fmt` formats\n";
    assert_eq!(text(&named.stdout), advice);
    assert_eq!(fs::read_to_string(folder.path().join("b.net")).expect("the file"), UNTIDY, "`--check` changes nothing");
    assert_eq!(done(&netc(folder.path(), &["fmt", "--diff", "b.net"])).lines().count(), 5);
    assert_eq!(fs::read_to_string(folder.path().join("b.net")).expect("the file"), UNTIDY, "`--diff` changes nothing");
    let formatted = "net untidy = Input(3) >> Relu\n";
    assert_eq!(done(&piped(folder.path(), &["fmt", "-"], UNTIDY.as_bytes())), formatted);
    done(&netc(folder.path(), &["fmt", "."]));
    assert_eq!(fs::read_to_string(folder.path().join("b.net")).expect("the file"), formatted);
}

#[test]
fn errors_are_annotations_of_github() {
    let folder = folder(&[("c.net", "net broken = Input(3) >> Dens(2)\n")]);
    let output = netc(folder.path(), &["check", "c.net", "--format", "github"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn unknown_names_get_suggestions() {
    let folder = folder(&[("tiny.net", TINY)]);
    let of = |arguments: &[&str]| text(&netc(folder.path(), arguments).stderr);
    insta::assert_snapshot!(
        [
            of(&["chekc", "tiny.net"]),
            of(&["nosuch"]),
            of(&["tiny.net"]),
            of(&["show", "squeezenet1"]),
            of(&["check", "--net", "tinny", "tiny.net"]),
            of(&["show", "vgg16", "-o", "x.pdf"]),
            of(&["compile", "tiny.net"]),
            of(&["fit", "tiny.net"]),
            of(&["show", "tiny"]),
            of(&["show", "frozen(tiny[..species])"]),
            of(&["show", "tinny[..species]"]),
        ]
        .concat()
    );
}

#[test]
fn layers_are_found_by_their_names_in_other_libraries() {
    let folder = folder(&[]);
    let cases = [
        ("resnet50[..=add-16]", "elementwise-16"),
        ("resnet50[..=add_15]", "elementwise-16"),
        ("vgg16[..=flatten]", "reshape-1"),
        ("vgg16[..block5_pool]", "max-pooling-5"),
        ("vgg16[..fc1]", "dense_1"),
        ("resnet50[..avgpool]", "global-pooling-1"),
    ];
    for (spec, layer) in cases {
        let messages = refused(&netc(folder.path(), &["show", spec]), "E0501", &[]);
        assert!(messages.contains(&format!("did you mean `{layer}`?")), "{spec}: {messages}");
    }
}

#[test]
fn a_cut_of_a_file_is_an_expression() {
    let folder = folder(&[("tiny.net", TINY)]);
    let shown = done(&netc(folder.path(), &["show", "tiny.net[..species]"]));
    assert_eq!(done(&netc(folder.path(), &["show", "tiny[..species]"])), shown);
    // Layer 0 is the input: with it a cut is complete.
    let whole = done(&netc(folder.path(), &["check", "squeezenet1_1[0..4] >> GlobalPool(avg) >> Softmax(3)"]));
    assert_eq!(whole, done(&netc(folder.path(), &["check", "squeezenet1_1[..4] >> GlobalPool(avg) >> Softmax(3)"])));
    assert!(shown.contains("-> (?, 4)") && !shown.contains("species"), "{shown}");
}

#[test]
fn artifacts_are_named_where_a_spec_is_expected() {
    let folder = folder(&[("tiny.net", TINY), ("other.net", TINY)]);
    done(&netc(folder.path(), &["build", "tiny.net", "--allow-untrained"]));
    for command in ["verify", "show", "check", "train", "fmt", "build"] {
        let messages = refused(&netc(folder.path(), &[command, "tiny.netb"]), "E0001", &["is an artifact"]);
        assert!(messages.contains("`netc inspect tiny.netb`"), "{command}: {messages}");
    }
    refused(&netc(folder.path(), &["diff", "other.net", "tiny.netb"]), "E0001", &["`tiny.netb` is an artifact"]);
    fs::create_dir(folder.path().join("photos")).expect("a folder");
    fs::copy("specs/samples/chelsea.png", folder.path().join("photos/cat.png")).expect("a photo");
    refused(&netc(folder.path(), &["check", "photos/cat.png"]), "E0001", &["`photos/cat.png` is a PNG"]);
    let cut = "tiny.netb[..species]";
    for arguments in [&["embed", cut, "photos"][..], &["predict", cut, "photos"], &["inspect", cut], &["show", cut]] {
        refused(&netc(folder.path(), arguments), "E0001", &["cannot be cut", "1:1", "`tiny.net[..species]`"]);
    }
}

#[test]
fn outputs_have_names_that_nothing_else_has() {
    let recipe = "train tiny { data = images(\"photos\") }\n";
    let folder = folder(&[("tiny.net", &format!("{TINY}{recipe}"))]);
    for class in ["cat", "hen", "owl"] {
        fs::create_dir_all(folder.path().join("photos").join(class)).expect("a folder");
        fs::copy("specs/samples/chelsea.png", folder.path().join("photos").join(class).join("1.png")).expect("a photo");
    }
    let run = |arguments: &[&str]| done(&netc(folder.path(), &[arguments, &["--allow-untrained"]].concat()));
    run(&["embed", "tiny.net", "photos"]);
    // Features beside the spec are not taken for trained weights.
    run(&["build", "tiny.net"]);
    run(&["build", "tiny.net[..=relu-1]"]);
    // Photos may be named one by one.
    run(&["embed", "tiny[..species]", "photos/owl/1.png", "photos/cat/1.png"]);
    for file in ["tiny.features.h5", "tiny.netb", "tiny-relu-1.netb", "tiny-before-species.features.h5"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let list = fs::read_to_string(folder.path().join("tiny-before-species.features.photos.csv")).expect("a list");
    assert_eq!(list, "photo\nphotos/owl/1.png\nphotos/cat/1.png\n");
    refused(&netc(folder.path(), &["embed", "tiny.net", "tiny.net"]), "E0704", &["tiny.net: text, not a photo"]);
    refused(&netc(folder.path(), &["embed", "tiny.net", "photoss"]), "E0704", &["did you mean `photos`?"]);
}

#[test]
fn inputs_and_outputs_are_checked_before_a_net_is_compiled() {
    let folder = folder(&[("tiny.net", TINY), ("flat.net", "net flat = Input(4) >> Softmax(2)\n")]);
    for class in ["photos/cat", "photos/owl"] {
        fs::create_dir_all(folder.path().join(class)).expect("a folder");
        fs::copy("specs/samples/chelsea.png", folder.path().join(class).join("1.png")).expect("a photo");
    }
    let zeros = ndarray::ArrayD::<f32>::zeros(vec![3, 5]);
    netc::data::arrays::array_file::write_npy(&folder.path().join("x.npy"), zeros.view()).expect("an array");
    fs::write(folder.path().join("text.npy"), "1 2 3").expect("a file");
    let photo = "photos/cat/1.png";
    let cases: [(&[&str], &str); 9] = [
        (&["predict", "flat.net", photo], "E0705"),
        (&["embed", "flat.net", "photos"], "E0705"),
        (&["eval", "flat.net", "photos"], "E0705"),
        (&["predict", "flat.net", "x.npy"], "E0703"),
        (&["predict", "flat.net", "text.npy"], "E0703"),
        (&["eval", "flat.net", "--x", "x.npy", "--y", "x.npy"], "E0706"),
        (&["predict", "tiny.net", photo, "-o", "y.txt"], "E0904"),
        (&["embed", "tiny.net", photo, "-o", "y.csv"], "E0904"),
        (&["build", "tiny.net", "-o", "none/y.netb"], "E0904"),
    ];
    for (arguments, code) in cases {
        // That a parameter has no weights would be found first.
        let messages = refused(&netc(folder.path(), arguments), code, &[]);
        assert!(!messages.contains("E0408"), "{messages}");
    }
}

#[test]
fn files_of_other_kinds_are_named_by_import_and_inspect() {
    let folder = folder(&[("tiny.net", TINY)]);
    fs::copy("specs/samples/chelsea.png", folder.path().join("cat.png")).expect("a photo");
    fs::copy("tests/diagnostics/files/pickle.pth", folder.path().join("old.pth")).expect("a pickle");
    done(&netc(folder.path(), &["build", "tiny.net", "--allow-untrained"]));
    let said = |command: &str, file: &str| {
        let output = netc(folder.path(), &[command, file]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    insta::assert_snapshot!(
        [
            said("import", "cat.png"),
            said("import", "old.pth"),
            said("import", "tiny.netb"),
            said("import", "tiny.net"),
            said("inspect", "old.pth"),
            said("inspect", "cat.png"),
        ]
        .concat()
    );
}

#[cfg(unix)]
#[test]
fn exported_files_have_the_same_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder(&[("tiny.net", TINY)]);
    let mode = |name: &str| {
        done(&netc(folder.path(), &["export", "tiny.net", "--allow-untrained", "-o", name]));
        fs::metadata(folder.path().join(name)).expect("a file").permissions().mode() & 0o777
    };
    let usual = fs::metadata(folder.path().join("tiny.net")).expect("a file").permissions().mode() & 0o777;
    assert_eq!(["tiny.safetensors", "tiny.onnx", "tiny.keras"].map(mode), [usual; 3]);
}

#[test]
fn the_net_with_a_recipe_is_the_one_that_is_meant() {
    let two = "net front = Input(4) >> Relu(3)\nnet head = Input(3) >> Softmax(2)\ntrain head { data = arrays(\"x.h5\", x=\"x\", y=\"y\") }\n";
    let folder = folder(&[("two.net", two)]);
    assert!(done(&netc(folder.path(), &["show", "two.net"])).starts_with("(?, 3) "));
    // Training gets as far as the data.
    refused(&netc(folder.path(), &["train", "two.net"]), "E0706", &["x.h5"]);
}

#[test]
fn a_net_is_shown_in_the_form_of_the_file() {
    let folder = folder(&[("tiny.net", TINY)]);
    for (file, start) in [("x.svg", "<svg "), ("x.html", "<!DOCTYPE html>"), ("x.dot", "digraph ")] {
        done(&netc(folder.path(), &["show", "tiny.net", "-o", file]));
        let written = fs::read_to_string(folder.path().join(file)).expect("a drawing");
        assert!(written.starts_with(start), "{file}");
    }
    insta::assert_snapshot!(fs::read_to_string(folder.path().join("x.dot")).expect("a graph"));
    insta::assert_snapshot!(done(&netc(folder.path(), &["show", "squeezenet1_1", "--depth", "1"])));
    let document = done(&netc(folder.path(), &["show", "frozen(vgg16[..=conv1_1])", "--format", "json"]));
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let layer = &document["layers"][1];
    assert_eq!((&layer["settings"]["padding"], &layer["frozen"]), (&"same".into(), &true.into()), "{layer}");
}

#[test]
fn the_steps_of_a_net_are_shown() {
    let folder = folder(&[]);
    let net = "Input(8x8x3) >> Conv(3x3, 4) as first >> BatchNorm >> Relu as active >> Flatten >> Softmax(2) as kind";
    let show =
        |arguments: &[&str]| done(&netc(folder.path(), &[&["show", net, "--stage", "fused"], arguments].concat()));
    insta::assert_snapshot!(show(&[]));
    insta::assert_snapshot!(show(&["--format", "json"]));
    show(&["-o", "steps.svg"]);
    let drawing = fs::read_to_string(folder.path().join("steps.svg")).expect("a drawing");
    assert!(drawing.contains("then relu") && drawing.contains("with batch-norm-1, active"), "{drawing}");
    assert_eq!(drawing.matches("class=\"layer\"").count(), 4, "{drawing}");
}

#[test]
fn a_page_has_the_distributions_of_the_weights_that_are_there() {
    let folder = folder(&[]);
    let page = |net: &str| {
        done(&netc(folder.path(), &["show", net, "-o", "net.html"]));
        fs::read_to_string(folder.path().join("net.html")).expect("a page")
    };
    let bound = page(&format!("{}/specs/squeezenet1_1.net", env!("CARGO_MANIFEST_DIR")));
    assert_eq!(bound.matches("\"histogram\":").count(), 52, "a weight and a bias of each of 26 convolutions");
    assert!(!bound.contains("Without histograms"));
    let text = bound.split("id=\"net\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    let data: serde_json::Value = serde_json::from_str(&text.replace("<\\/", "</")).expect("JSON");
    let bins = data["layers"][1]["weights"][0]["histogram"]["bins"].as_array().expect("bins").iter();
    assert_eq!(
        bins.filter_map(serde_json::Value::as_u64).sum::<u64>(),
        3 * 3 * 3 * 64,
        "the values of the first weight"
    );
    let unbound = page("squeezenet1_1");
    assert!(!unbound.contains("\"histogram\":") && unbound.contains("Without histograms of the weights: samples/"));
    let initial = page("Input(4) >> Softmax(2)");
    assert!(!initial.contains("\"histogram\":") && !initial.contains("Without histograms"));
}

#[test]
fn options_that_do_not_apply_to_the_net_are_refused() {
    let folder = folder(&[("tiny.net", TINY)]);
    let refuse = |arguments: &[&str], code: &str, words: &str| {
        refused(&netc(folder.path(), arguments), code, &[words]);
    };
    let rows = "Input(4) >> Softmax(2)";
    let export = ["export", rows, "--allow-untrained", "-o", "rows.onnx"];
    refuse(&[&export[..], &["--nhwc"]].concat(), "E0909", "no input or output of the net has a height");
    refuse(&[&export[..], &["--preprocess"]].concat(), "E0909", "no input of the net says `image=…`");
    refuse(&["build", "tiny.net", "--emit", "plan", "--fresh"], "E0909", "`--fresh` has no effect");
    refuse(&["build", "tiny.net", "--emit", "fused", "--calibrate", "."], "E0708", "is not calibrated");
    refuse(&["build", "tiny.net", "--emit", "weights", "--exact"], "E0909", "`--exact` has no effect");
    refuse(&["show", "tiny.net", "--svg", "-o", "x.html"], "E0909", "`--svg` has no effect");
    refuse(&["serve", "--edit", "tiny.net", "--max-batch", "4"], "E0909", "`--max-batch` has no effect");
    done(&netc(folder.path(), &export));
}

#[test]
fn a_model_of_keras_is_imported_up_to_a_layer() {
    let folder = folder(&[]);
    let net = "Input(8x8x3) >> Conv(3x3, 4) as one >> Relu >> GlobalPool(avg) >> Softmax(2) as kind";
    done(&netc(folder.path(), &["export", net, "--allow-untrained", "-o", "m.keras"]));
    done(&netc(folder.path(), &["import", "m.keras", "--until", "one", "-o", "until.net"]));
    let spec = fs::read_to_string(folder.path().join("until.net")).expect("a spec");
    assert!(spec.contains("config = ignore") && !spec.contains("Softmax"), "{spec}");
    done(&netc(folder.path(), &["import", "m.keras", "-o", "all.net"]));
    let spec = fs::read_to_string(folder.path().join("all.net")).expect("a spec");
    assert!(!spec.contains("config"), "{spec}");
}

#[test]
fn help_answers_terms_and_arguments() {
    let folder = folder(&[]);
    for (word, answer) in [
        ("fragment", "A term of netc: a net without `Input`"),
        ("artifact", "A term of netc: the compiled net"),
        ("padding", "An argument of layers:"),
        ("axis", "Softmax: "),
    ] {
        let text = done(&netc(folder.path(), &["help", word]));
        assert!(text.contains(answer), "{text}");
    }
}

#[cfg(feature = "png")]
#[test]
fn a_png_replaces_a_drawing_and_no_photo() {
    let folder = folder(&[("tiny.net", TINY)]);
    done(&netc(folder.path(), &["show", "tiny.net", "-o", "net.png"]));
    let first = fs::read(folder.path().join("net.png")).expect("a drawing");
    done(&netc(folder.path(), &["show", "tiny.net", "-o", "net.png"]));
    assert!(fs::read(folder.path().join("net.png")).expect("a drawing") == first, "the same net gives the same bytes");
    fs::copy("specs/samples/chelsea.png", folder.path().join("photo.png")).expect("a photo");
    refused(
        &netc(folder.path(), &["show", "tiny.net", "-o", "photo.png"]),
        "E0904",
        &["which is a photo, with a drawing"],
    );
}

#[cfg(feature = "png")]
#[test]
fn characters_that_a_png_lacks_are_told() {
    let folder = folder(&[]);
    let net = "Input(4) >> Relu(3) as \"出力\" >> Softmax(2) as café";
    let output = netc(folder.path(), &["show", net, "-o", "net.png"]);
    done(&output);
    let told = text(&output.stderr);
    assert!(told.contains("warning[W1016]: the fonts of PNGs lack 出, 力:") && told.contains(".svg"), "{told}");
    assert!(folder.path().join("net.png").is_file());
    let output = netc(folder.path(), &["show", net, "-o", "net.svg"]);
    assert!(done(&output).is_empty() && output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn what_is_too_large_to_draw_is_an_error_and_no_file() {
    let folder = folder(&[]);
    let net = "Input(8) >> repeat(2100) { Dense(8) }";
    let endings = ["x.svg", "x.html", "x.png"];
    for file in &endings[..if cfg!(feature = "png") { 3 } else { 2 }] {
        let words = ["expression has 2101 layers: too many to draw", "`netc show` lists them"];
        refused(&netc(folder.path(), &["show", net, "--expand", "-o", file]), "E0904", &words);
        assert!(!folder.path().join(file).exists(), "{file}");
    }
    refused(&netc(folder.path(), &["show", net, "--expand", "--svg"]), "E0904", &["too many to draw"]);
    for arguments in [&["-o", "x.svg"][..], &["-o", "x.html"], &["-o", "x.dot"]] {
        done(&netc(folder.path(), &[&["show", net], arguments].concat()));
    }
}

#[test]
fn help_answers_words_of_the_language_and_of_other_libraries() {
    let folder = folder(&[]);
    let help = |word: &str| done(&netc(folder.path(), &["help", word]));
    let texts =
        ["frozen", "missing", "train", "nn.Conv2d", "learning_rate", "batch_size", "Bidirectional", "relu"].map(help);
    insta::assert_snapshot!(texts.join("\n--------\n"));
}

#[test]
fn manual_pages_are_of_all_commands() {
    let folder = folder(&[]);
    done(&netc(folder.path(), &["man", "pages/deep"]));
    let page = fs::read_to_string(folder.path().join("pages/deep/netc-check.1")).expect("a page");
    assert!(page.contains(".TH netc-check 1") && page.contains("GitHub Actions"), "{page}");
    assert!(folder.path().join("pages/deep/netc.1").is_file());
}

#[test]
fn a_photo_may_come_from_stdin_and_folders_may_have_any_depth() {
    let folder = folder(&[("tiny.net", TINY)]);
    let photo = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/samples/chelsea.png")).expect("a photo");
    fs::create_dir_all(folder.path().join("photos/deep/er")).expect("a folder");
    fs::write(folder.path().join("photos/deep/er/cat.png"), &photo).expect("a photo");
    let options = ["--allow-untrained", "--format", "csv"];
    let from_file = done(&netc(folder.path(), &[&["predict", "tiny.net", "photos"], &options[..]].concat()));
    let from_pipe = done(&piped(folder.path(), &[&["predict", "tiny.net", "-"], &options[..]].concat(), &photo));
    assert_eq!(from_pipe, from_file.replace("photos/deep/er/cat.png", "stdin"));
    let failed = piped(folder.path(), &["predict", "tiny.net", "-", "--allow-untrained"], b"no photo");
    refused(&failed, "E0701", &["stdin"]);
    // Also what is embedded.
    let embed = |arguments: &[&str], file: &str| {
        let all = [&["embed", "tiny.net", "--allow-untrained", "-o", file], arguments].concat();
        let on_stdin = if arguments.contains(&"-") { &photo[..] } else { b"" };
        done(&piped(folder.path(), &all, on_stdin));
        array_file::read(&folder.path().join(file), Some("embedded")).expect("features")
    };
    let (alone, both, file) = (embed(&["-"], "a.h5"), embed(&["photos", "-"], "b.h5"), embed(&["photos"], "c.h5"));
    assert_eq!((alone.shape(), both.shape()), (&[1, 3][..], &[2, 3][..]));
    assert_eq!(
        (&alone, both.as_slice()),
        (&file, Some(&[alone.as_slice().unwrap(), file.as_slice().unwrap()].concat()[..]))
    );
    let names = fs::read_to_string(folder.path().join("b.photos.csv")).expect("a list");
    assert_eq!(names, "photo\nstdin\nphotos/deep/er/cat.png\n");
    // A list has classes, or numbers.
    for (list, targets, shape) in [
        ("path,label\nphotos/deep/er/cat.png,cat\nphotos/deep/er/cat.png,owl\n", &[0.0, 1.0][..], &[2][..]),
        ("path,left,top\nphotos/deep/er/cat.png,0.5,2\n", &[0.5, 2.0], &[1, 2]),
    ] {
        fs::write(folder.path().join("list.csv"), list).expect("a list");
        embed(&["list.csv"], "d.h5");
        let found = array_file::read(&folder.path().join("d.h5"), Some("targets")).expect("targets");
        assert_eq!((found.as_slice().expect("in order"), found.shape()), (targets, shape));
    }
}

#[test]
fn each_output_is_embedded() {
    let net = "net two = Input(8x8x3, image=Unit) >> GlobalPool(avg) >> (Dense(4) as a | Dense(2) as b)\n";
    let folder = folder(&[("two.net", net)]);
    fs::create_dir(folder.path().join("photos")).expect("a folder");
    image::RgbImage::new(8, 8).save(folder.path().join("photos/1.png")).expect("a photo");
    let embed = |file: &str| netc(folder.path(), &["embed", "two.net", "photos", "--allow-untrained", "-o", file]);
    let printed = text(&embed("f.h5").stderr);
    assert!(printed.contains("embedded/a (1, 4), embedded/b (1, 2)"), "{printed}");
    done(&netc(folder.path(), &["inspect", "f.h5"]));
    refused(&embed("f.npy"), "E0904", &["has 2 outputs", ".npz"]);
}

#[test]
fn embedded_features_have_a_list_of_their_photos() {
    let folder = folder(&[("tiny.net", TINY)]);
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/samples/chelsea.png");
    for class in ["cat", "owl"] {
        fs::create_dir_all(folder.path().join("photos").join(class)).expect("a folder");
        fs::copy(&photo, folder.path().join("photos").join(class).join("1.png")).expect("a photo");
    }
    done(&netc(folder.path(), &["embed", "tiny.net[..species]", "photos", "-o", "f.h5", "--allow-untrained"]));
    let list = fs::read_to_string(folder.path().join("f.photos.csv")).expect("a list");
    assert_eq!(list, "photo,class\nphotos/cat/1.png,cat\nphotos/owl/1.png,owl\n");
}

#[test]
fn an_artifact_is_described_for_people() {
    let folder = folder(&[("tiny.net", &format!("{TINY}\nlabels tiny = [\"a\", \"b\", \"c\"]\n"))]);
    done(&netc(folder.path(), &["build", "tiny.net", "--allow-untrained"]));
    let shown = done(&netc(folder.path(), &["inspect", "tiny.netb"]));
    insta::assert_snapshot!(shown);
    assert_eq!(done(&netc(folder.path(), &["inspect", "tiny.netb", "--source"])).lines().next(), TINY.lines().next());
}

/// What an artifact has fixed is not chosen again, by any command that takes one.
#[test]
fn options_that_contradict_an_artifact_are_refused() {
    let folder = folder(&[("tiny.net", TINY)]);
    fs::create_dir_all(folder.path().join("photos/cat")).expect("a folder");
    fs::copy("specs/samples/chelsea.png", folder.path().join("photos/cat/1.png")).expect("a photo");
    done(&netc(folder.path(), &["build", "tiny.net", "--allow-untrained"]));
    let commands = [
        &["predict", "tiny.netb", "photos"][..],
        &["embed", "tiny.netb", "photos"],
        &["eval", "tiny.netb", "photos"],
        &["bench", "tiny.netb", "--runs", "0"],
        &["inspect", "tiny.netb"],
        #[cfg(feature = "serve")]
        &["serve", "tiny.netb", "--port", "0"],
    ];
    for command in commands {
        for option in [&["--precision", "bf16"][..], &["--precision", "f32"], &["--exact"], &["--weights", "tiny=w.h5"]]
        {
            let words = [option[0], "is compiled already", "netc build SPEC", "--source"];
            refused(&netc(folder.path(), &[command, option].concat()), "E0909", &words);
        }
    }
    let predict = |options: &[&str]| netc(folder.path(), &[commands[0], options].concat());
    for option in [&["--fresh"][..], &["--max-memory", "1G"], &["--calibrate", "photos"]] {
        refused(&predict(option), "E0909", &[option[0]]);
    }
    refused(&predict(&["--exact", "--fresh"]), "E0909", &["`--fresh` and `--exact` cannot change it"]);
    refused(&predict(&["--net", "other"]), "E0909", &["contains only the net `tiny`, not `other`"]);
    // What agrees with it is no contradiction.
    done(&predict(&["--net", "tiny", "--allow-untrained"]));
    done(&netc(folder.path(), &["predict", "tiny.net", "photos", "--allow-untrained", "--exact"]));
    done(&netc(folder.path(), &["export", "tiny.net", "-o", "tiny.safetensors", "--allow-untrained"]));
    for option in [&["--plan"][..], &["--source"], &["--exact"]] {
        refused(&netc(folder.path(), &[&["inspect", "tiny.safetensors"], option].concat()), "E0909", &[option[0]]);
    }
}

/// An option that would change nothing is refused.
#[test]
fn options_without_effect_are_refused() {
    let folder = folder(&[("tiny.net", TINY)]);
    fs::create_dir_all(folder.path().join("photos/cat")).expect("a folder");
    fs::copy("specs/samples/chelsea.png", folder.path().join("photos/cat/1.png")).expect("a photo");
    let commands: [(&[&str], &str); 9] = [
        (&["show", "tiny.net", "--expand"], "--expand"),
        (&["show", "tiny.net", "--depth", "1", "-o", "t.dot"], "--depth"),
        (&["show", "tiny.net", "--depth", "1", "--format", "json"], "--depth"),
        (&["build", "tiny.net", "--emit", "graph", "--exact"], "--exact"),
        (&["build", "tiny.net", "--emit", "ast", "--weights", "tiny=none.h5"], "--weights"),
        (&["predict", "tiny.net", "photos", "--allow-untrained", "-o", "y.npy", "--top", "2"], "--top"),
        (&["embed", "tiny.net", "photos", "--allow-untrained", "-o", "y.npy", "--name", "x"], "--name"),
        (&["eval", "tiny.net", "--x", "x.npy", "--y", "y.npy", "--skip"], "--skip"),
        (&["eval", "tiny.net", "list.csv", "--y", "label", "--ignore", "255"], "--ignore"),
    ];
    for (command, option) in commands {
        refused(&netc(folder.path(), command), "E0909", &[option, "has no effect"]);
    }
    assert!(!folder.path().join("t.dot").exists() && !folder.path().join("y.npy").exists());
}

/// Nothing is compiled for a file of another program.
#[test]
fn options_that_an_exported_file_cannot_have_are_refused() {
    let folder = folder(&[("tiny.net", TINY)]);
    let export = |file: &str, options: &[&str]| {
        netc(folder.path(), &[&["export", "tiny.net", "--allow-untrained", "-o", file], options].concat())
    };
    for (file, options) in [
        ("m.onnx", &["--precision", "int8"][..]),
        ("m.onnx", &["--precision", "bf16"]),
        ("m.safetensors", &["--exact"]),
        ("m.keras", &["--max-memory", "1G"]),
        ("m.keras", &["--nhwc"]),
        ("m.safetensors", &["--preprocess"]),
    ] {
        refused(&export(file, options), "E0909", &[options[0], "leave it out"]);
        assert!(!folder.path().join(file).exists(), "{file}");
    }
    done(&export("m.onnx", &["--precision", "f32", "--nhwc"]));
}

#[test]
fn files_that_do_not_calibrate_are_told() {
    let folder = folder(&[("tiny.net", TINY)]);
    fs::create_dir_all(folder.path().join("photos")).expect("a folder");
    fs::copy("specs/samples/chelsea.png", folder.path().join("photos/1.png")).expect("a photo");
    fs::write(folder.path().join("photos/2.jpg"), "<html>").expect("a file");
    fs::write(folder.path().join("photos/3.npy"), b"\x93NUMPY\x01\0").expect("a file");
    let options = ["tiny.net", "--allow-untrained", "--precision", "int8", "--calibrate", "photos"];
    for command in [&["build"][..], &["verify"]] {
        let output = netc(folder.path(), &[command, &options[..]].concat());
        let told = text(&output.stderr);
        assert!(told.contains("Skipping photos/2.jpg: a web page, not a photo"), "{command:?}: {told}");
        assert!(told.contains("Skipping photos/3.npy: an array, not a photo"), "{command:?}: {told}");
    }
}

#[test]
fn a_project_is_made_for_a_folder_of_photos() {
    let folder = folder(&[]);
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/samples/chelsea.png");
    for class in ["all/train/cat", "all/train/owl", "all/train/hen", "all/val/cat", "all/val/hen", "all/val/owl"] {
        let class = folder.path().join(class);
        fs::create_dir_all(&class).expect("a folder");
        fs::copy(&photo, class.join("1.png")).expect("a photo");
    }
    done(&netc(folder.path(), &["new", "birds", "--photos", "all"]));
    insta::assert_snapshot!(fs::read_to_string(folder.path().join("birds/birds.net")).expect("a spec"));
    done(&netc(folder.path(), &["check", "birds/birds.net"]));
    done(&netc(folder.path(), &["fmt", "--check", "birds/birds.net"]));
    // One folder of classes is split.
    done(&netc(folder.path(), &["new", "hens", "--photos", "all/train"]));
    let spec = fs::read_to_string(folder.path().join("hens/hens.net")).expect("a spec");
    assert!(spec.contains("images(\"../all/train\")") && spec.contains("split(0.2)"), "{spec}");
    refused(&netc(folder.path(), &["new", "ducks", "--photos", "alll"]), "E0706", &["did you mean `all`?"]);
    assert!(!folder.path().join("ducks").exists());
}

#[test]
fn a_project_has_a_name_that_its_commands_take() {
    let folder = folder(&[]);
    let photo = folder.path().join("one/cat/1.png");
    fs::create_dir_all(folder.path().join("one/cat")).expect("a folder");
    fs::copy("specs/samples/chelsea.png", photo).expect("a photo");
    refused(&netc(folder.path(), &["new", "."]), "E0209", &["`netc new birds`"]);
    refused(&netc(folder.path(), &["new", "one-class", "--photos", "one"]), "E0706", &["one class, `cat`"]);
    assert!(!folder.path().join("one-class").exists());
    for (name, command) in
        [("a b", "`netc check 'a b.net'`"), ("3d", "`netc check 3d.net`"), ("x/", "`netc check x.net`")]
    {
        let output = netc(folder.path(), &["new", name]);
        done(&output);
        let file = Path::new(name).join(format!("{}.net", name.trim_end_matches('/')));
        let spec = fs::read_to_string(folder.path().join(file)).expect("a spec");
        assert!(spec.contains(command), "{spec}");
        assert_eq!(text(&output.stderr).contains("`netc check 'a b/a b.net'`"), name == "a b");
        assert!(done(&netc(&folder.path().join(name), &["test"])).contains("1 passed, 0 failed"));
    }
}
