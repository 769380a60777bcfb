//! Predictions in every format, the files that commands write, and a closed stdout.

mod program;

use ndarray::{Array2, ArrayD};
use netc::data::arrays::array_file;
use program::{command, done, folder, netc, refused, text};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

/// Photos of two kinds, dark ones under the first name and light ones under the second.
fn photos(folder: &Path, classes: [&str; 2]) {
    for (class, base) in classes.into_iter().zip([10u8, 200]) {
        fs::create_dir_all(folder.join(class)).expect("a folder");
        for number in 0..6u8 {
            let picture =
                image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([base + number, base + x as u8, base + y as u8]));
            picture.save(folder.join(class).join(format!("{number}.png"))).expect("a photo");
        }
    }
}

const BINARY: &str = "net kind = Input(8x8x3, image=Unit) >> Flatten >> Sigmoid(1)";

#[test]
fn one_sigmoid_tells_two_classes_apart() {
    let folder = folder(&[(
        "kind.net",
        &format!(
            "{BINARY}\ntrain kind {{ data = images(\"two\"), epochs = 60, batch = 3, checkpoint = 60 }}\n\
             expect top1(kind, \"two/cat/0.png\") == \"cat\"\nexpect top1(kind, \"two/dog/0.png\") == \"dog\"\n"
        ),
    )]);
    photos(&folder.path().join("two"), ["cat", "dog"]);
    done(&netc(folder.path(), &["train", "kind.net"]));
    let both = ["predict", "kind.netb", "two/cat/0.png", "two/dog/0.png"];
    let table = done(&netc(folder.path(), &both));
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines.len(), lines[1][0], lines[2][0]), (6, "cat", "dog"), "{table}");
    assert_eq!((lines[4][0], lines[5][0]), ("dog", "cat"), "{table}");
    let json = done(&netc(folder.path(), &[&both[..], &["--format", "json"]].concat()));
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    for (photo, index) in [(0, 0), (1, 1)] {
        let top = json[photo]["top"].as_array().expect("classes");
        let share = |at: usize| top[at]["probability"].as_f64().expect("a number");
        assert_eq!((top.len(), top[0]["index"].as_u64()), (2, Some(index)), "{json}");
        assert!(share(0) > 0.5 && (share(0) + share(1) - 1.0).abs() < 1e-6, "{json}");
    }
    let csv = done(&netc(folder.path(), &[&both[..], &["--format", "csv", "--top", "1"]].concat()));
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[1].starts_with("two/cat/0.png,1,0,cat,") && rows[2].starts_with("two/dog/0.png,1,1,dog,"), "{csv}");
    done(&netc(folder.path(), &["test", "kind.net"]));
    // A later build has both names.
    let again = done(&netc(folder.path(), &["predict", "kind.net", "two/dog/1.png"]));
    assert!(again.contains("dog"), "{again}");
}

#[test]
fn one_sigmoid_has_two_labels() {
    let two = folder(&[("kind.net", &format!("{BINARY}\nlabels kind = [\"cat\", \"dog\"]"))]);
    done(&netc(two.path(), &["check", "kind.net"]));
    done(&netc(two.path(), &["build", "kind.net", "--allow-untrained"]));
    let one = folder(&[("kind.net", &format!("{BINARY}\nlabels kind = [\"dog\"]"))]);
    refused(&netc(one.path(), &["check", "kind.net"]), "E0702", &["distinguishes two classes"]);
    // The number of a regression has a name.
    let number = folder(&[("price.net", "net price = Input(4) >> Dense(1)\nlabels price = [\"price\"]")]);
    done(&netc(number.path(), &["check", "price.net"]));
}

fn array(path: &Path, rows: usize, columns: usize) {
    let values = Array2::from_shape_fn((rows, columns), |(row, column)| (row + column) as f32 * 100.0);
    array_file::write_npy(path, values.into_dyn().view()).expect("an array");
}

#[test]
fn numbers_are_shown_as_numbers_and_every_output_is() {
    let folder = folder(&[]);
    array(&folder.path().join("x.npy"), 2, 4);
    let predict = |net: &str, more: &[&str]| {
        done(&netc(folder.path(), &[&["predict", net, "x.npy", "--allow-untrained"], more].concat()))
    };
    let table = predict("Input(4) >> Dense(7) as out", &[]);
    assert!(!table.contains('%') && table.contains("and 2 more: `-o FILE`"), "{table}");
    let indices: Vec<&str> = table.lines().skip(1).take(5).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(indices, ["0", "1", "2", "3", "4"], "numbers keep their order: {table}");
    let json = predict("Input(4) >> Dense(3)", &["--format", "json"]);
    assert!(json.contains("\"value\"") && !json.contains("probability"), "{json}");
    assert!(predict("Input(4) >> Dense(3)", &["--format", "csv"]).starts_with("input,rank,index,label,value\n"));
    for shares in ["Input(4) >> Dense(3) >> Softmax", "Input(4) >> (Softmax(3) | Softmax(3)) >> Average"] {
        assert!(predict(shares, &[]).contains('%'), "{shares}");
    }
    let several = "Input(4) >> (Softmax(2) as first | Dense(1) as second)";
    let table = predict(several, &[]);
    let names: Vec<&str> = table.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).collect();
    assert_eq!(names, ["  first", "  second", "  first", "  second"], "{table}");
    let json: serde_json::Value = serde_json::from_str(&predict(several, &["--format", "json"])).expect("a document");
    assert_eq!(json[1]["outputs"][1]["name"], "second", "{json}");
    // The scores of each output have a column of their kind.
    let csv = predict(several, &["--format", "csv"]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["input", "output", "rank", "index", "label", "probability", "value"], "{csv}");
    assert!(rows[1][1] == "first" && !rows[1][5].is_empty() && rows[1][6].is_empty(), "{csv}");
    assert!(
        rows[3][..5] == ["x.npy[0]", "second", "1", "0", "0"] && rows[3][5].is_empty() && !rows[3][6].is_empty(),
        "{csv}"
    );
}

#[test]
fn outputs_have_different_names() {
    let folder = folder(&[]);
    array(&folder.path().join("x.npy"), 2, 4);
    let twice = "{ let y = Input(4) >> Dense(3) as out let z = y >> Dense(2) as out-2 (y | z | y) }";
    for file in ["y.npz", "y.h5"] {
        done(&netc(folder.path(), &["predict", twice, "x.npy", "--allow-untrained", "-o", file]));
        let arrays = array_file::list(&folder.path().join(file)).expect("arrays");
        let mut names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["out", "out-2", "out-3"], "{file}");
    }
}

#[test]
fn an_input_takes_the_array_of_its_name_or_the_only_one() {
    let folder = folder(&[]);
    let (first, second) = (ArrayD::<f32>::zeros(ndarray::IxDyn(&[1, 4])), ArrayD::<f32>::ones(ndarray::IxDyn(&[1, 4])));
    let write = |file: &str, names: [&str; 2]| {
        let arrays = [(names[0], first.view()), (names[1], second.view())];
        array_file::write(&folder.path().join(file), &arrays).expect("a file");
    };
    write("named.npz", ["other", "x"]);
    write("unnamed.h5", ["a", "b"]);
    let net = "Input(4) as x >> Tanh";
    let values = done(&netc(folder.path(), &["predict", net, "named.npz"]));
    assert!(values.contains("0.76"), "{values}");
    refused(&netc(folder.path(), &["predict", net, "unnamed.h5"]), "E0703", &["no array `x`; available: `a`, `b`"]);
    refused(&netc(folder.path(), &["predict", net, "none.npz"]), "E0703", &["none.npz"]);
}

/// A folder with a spec of a net, its weights in the spec's name, an artifact, an array and a photo.
fn workshop() -> tempfile::TempDir {
    let spec = "net a = Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)";
    let folder =
        folder(&[("a.net", spec), ("t.net", &format!("{spec}\ntrain a {{ data = images(\"two\"), epochs = 1 }}"))]);
    photos(&folder.path().join("two"), ["cat", "dog"]);
    done(&netc(folder.path(), &["train", "t.net", "--net", "a"]));
    let x = ArrayD::<f32>::zeros(ndarray::IxDyn(&[1, 8, 8, 3]));
    array_file::write_npy(&folder.path().join("x.npy"), x.view()).expect("an array");
    folder
}

#[test]
fn outputs_replace_no_inputs_and_no_files_of_another_kind() {
    let folder = workshop();
    let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    let untrained = "--allow-untrained";
    for (arguments, kept) in [
        (&["build", "a.net", untrained, "-o", "a.net"][..], "a.net"),
        (&["build", "a.net", untrained, "-o", "t.net"], "t.net"),
        (&["build", "a.net", untrained, "-o", "a.h5"], "a.h5"),
        (&["build", "a.net", untrained, "-o", "two/cat/0.png"], "two/cat/0.png"),
        (&["show", "--svg", "a.net", "-o", "a.net"], "a.net"),
        (&["show", "--svg", "a.net", "-o", "a.netb"], "a.netb"),
        (&["predict", "a.netb", "x.npy", "-o", "x.npy"], "x.npy"),
        (&["predict", "a.netb", "x.npy", "-o", "./two/../x.npy"], "x.npy"),
        (&["predict", "a.netb", "x.npy", "-o", "a.h5"], "a.h5"),
        (&["bench", "a.netb", "--runs", "0", "-o", "a.h5"], "a.h5"),
        (&["embed", "a.net", "two", untrained, "-o", "a.h5"], "a.h5"),
        (&["embed", "a.netb", "two", "-o", "a.h5"], "a.h5"),
        (&["eval", "a.netb", "two", "--html", "a.netb"], "a.netb"),
    ] {
        let before = read(kept);
        let messages = refused(&netc(folder.path(), arguments), "E0904", &[]);
        assert!(messages.contains("would overwrite"), "{arguments:?}: {messages}");
        assert_eq!(read(kept), before, "{arguments:?}");
    }
    // Files of the same kind, or of an unknown kind, are replaced.
    fs::write(folder.path().join("notes"), "text").expect("a file");
    for arguments in [
        &["build", "a.net", untrained, "-o", "a.netb"][..],
        &["build", "a.net", untrained, "-o", "notes"],
        &["predict", "a.netb", "x.npy", "-o", "y.npz"],
        &["predict", "a.netb", "x.npy", "-o", "y.npz"],
    ] {
        done(&netc(folder.path(), arguments));
    }
    // A build of t.net would bind them.
    let taken =
        refused(&netc(folder.path(), &["predict", "a.netb", "x.npy", "-o", "t.h5"]), "E0904", &["t.features.h5"]);
    assert!(taken.contains("trained weights of t.net") && !folder.path().join("t.h5").exists(), "{taken}");
    let nowhere = refused(&netc(folder.path(), &["predict", "a.netb", "x.npy", "-o", "no/y.npy"]), "E0904", &[]);
    assert!(nowhere.contains("its folder does not exist"), "{nowhere}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_on_stdout_is_an_error_and_a_closed_pipe_is_none() {
    let folder = workshop();
    for arguments in [
        &["predict", "a.netb", "x.npy"][..],
        &["predict", "a.netb", "x.npy", "--format", "csv"],
        &["show", "a.net"],
        &["show", "a.net", "--svg"],
        &["inspect", "a.netb"],
        &["build", "a.net", "--emit", "graph"],
        &["diff", "a.net", "a.net"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("the device");
        let output = command(folder.path(), arguments).stdout(full).output().expect("the program runs");
        assert!(refused(&output, "E0904", &[]).contains("the disk is full"), "{arguments:?}");
    }
    let mut child = command(folder.path(), &["predict", "a.netb", "two/cat", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn training_continues_if_stderr_cannot_be_written() {
    let folder = workshop();
    fs::remove_file(folder.path().join("a.netb")).expect("the artifact");
    let full = || File::options().write(true).open("/dev/full").expect("the device");
    let trained = command(folder.path(), &["train", "t.net", "--net", "a"]).stderr(full()).status();
    assert_eq!(trained.expect("an end").code(), Some(0));
    assert!(folder.path().join("a.netb").is_file());
    let wrong = command(folder.path(), &["check", "nope.net"]).stderr(full()).status();
    assert_eq!(wrong.expect("an end").code(), Some(1));
}

#[test]
fn counts_of_threads_and_images_have_bounds() {
    let folder = folder(&[("a.net", "Input(4) >> Softmax(2)")]);
    for usage in [
        &["predict", "a.net", "x.npy", "--threads", "100000"][..],
        &["predict", "a.net", "x.npy", "--threads", "0"],
        &["bench", "a.net", "--threads", "100000"],
        &["bench", "a.net", "--batch", "0"],
        &["verify", "a.net", "--batch", "0"],
    ] {
        assert_eq!(netc(folder.path(), usage).status.code(), Some(2), "{usage:?}");
    }
    for batch in ["18446744073709551615", "1000000000000", "1000000000"] {
        let verify = netc(folder.path(), &["verify", "a.net", "--batch", batch]);
        assert!(refused(&verify, "E0801", &[]).contains("--batch"), "{batch}");
    }
}

#[test]
fn classes_of_validation_are_matched_as_those_of_training_are() {
    let spec = |labels: &str| {
        format!(
            "net kind = Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)\n{labels}\n\
             train kind {{ data = images(\"two\"), validation = images(\"other\"), epochs = 2 }}"
        )
    };
    let train = |labels: &str, classes: [&str; 2]| {
        let folder = folder(&[("kind.net", &spec(labels))]);
        photos(&folder.path().join("two"), ["cat", "dog"]);
        photos(&folder.path().join("other"), classes);
        netc(folder.path(), &["train", "kind.net"])
    };
    refused(&train("", ["dog", "zebra"]), "E0706", &["`zebra` is not among the labels"]);
    let foreign = train("", ["lynx", "zebra"]);
    assert!(done(&foreign).starts_with("validation") && text(&foreign.stderr).contains("W1010"));
    let same = train("", ["cat", "dog"]);
    assert!(done(&same).starts_with("validation") && !text(&same.stderr).contains("W1010"));
    // If the classes of both sets differ from the labels, each is reported once; if they differ from each other, it is an error.
    let labels = "labels kind = [\"Felis\", \"Canis\"]";
    assert!(text(&train(labels, ["cat", "dog"]).stderr).contains("W1010"));
    refused(&train(labels, ["Felis", "bird"]), "E0706", &["`bird`"]);
}

/// A full disk, simulated by a limit on file sizes: the error names the target, not the temporary file.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_grow_is_named() {
    use std::process::Command;
    let folder = program::folder(&[("m.net", "net m = Input(400) >> Dense(400) as a\n")]);
    let limited = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_netc");
        // Blocks of 512 bytes or of 1024; with the signal ignored, writes fail with "file too large".
        let script = format!("trap '' XFSZ; ulimit -f 16; exec {program} {arguments}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(folder.path()).env("NETC_CACHE", folder.path().join("cache"));
        let output = command.env("NO_COLOR", "1").output().expect("a shell");
        let messages = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{messages}");
        assert!(messages.contains("error[E0904]") && !messages.contains(".netc-"), "{messages}");
        messages
    };
    assert!(limited("build m.net --allow-untrained -o big.netb").contains("big.netb"));
    let array = ndarray::ArrayD::<f32>::zeros(ndarray::IxDyn(&[60, 400]));
    netc::data::arrays::array_file::write(&folder.path().join("x.npy"), &[("x", array.view())]).expect("a file");
    for name in ["out.npy", "out.npz", "out.h5"] {
        assert!(limited(&format!("predict m.net x.npy --allow-untrained -o {name}")).contains(name));
    }
    let left = std::fs::read_dir(folder.path()).expect("the folder").flatten();
    let left: Vec<String> = left.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert!(left.iter().all(|name| !name.starts_with(".netc-") && !name.starts_with("out.")), "{left:?}");
}
