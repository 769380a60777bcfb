//! Training targets: binary classes, images, pixel classes; and invalid targets.

mod program;

use ndarray::{ArrayD, IxDyn, array};
use netc::data::arrays::array_file;
use program::{done, netc};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn write(folder: &Path, name: &str, array: &ArrayD<f32>) {
    array_file::write(&folder.join(name), &[("x", array.view())]).expect("an array");
}

/// A folder with a net of this expression, called n, and its recipe.
fn project(net: &str, recipe: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("n.net"), format!("net n = {net}\ntrain n {{\n{recipe}\n}}\n")).expect("a spec");
    folder
}

/// Pseudo-random numbers from -1 to 1.
fn number(at: usize) -> f32 {
    ((at as f64 * 12.9898).sin() * 43758.5453).fract() as f32
}

/// Gradient descent on the hinge in f64, from its definition: the mean of max(0, 1 - t y), y = x w + b, t = -1 or 1.
/// What an evaluation prints, without the confusion matrix that a training does not print.
fn without_confusion(printed: &str) -> &str {
    printed.find("\nConfusion matrix in ").map_or(printed, |at| &printed[..at])
}

#[test]
fn a_hinge_learns_classes_as_minus_one_and_one() {
    let (samples, features, step, epochs) = (24, 3, 0.5, 9);
    let x = ArrayD::from_shape_fn(IxDyn(&[samples, features]), |at| number(at[0] * features + at[1]));
    let class = |sample: usize| x[[sample, 0]] - 0.5 * x[[sample, 2]] + 0.2 > 0.0;
    let classes = ArrayD::from_shape_fn(IxDyn(&[samples]), |at| f32::from(u8::from(class(at[0]))));
    let signs = classes.mapv(|class| 2.0 * class - 1.0);
    let (mut w, mut b) = (vec![0.0f64; features], 0.0f64);
    for _ in 0..epochs {
        let (mut dw, mut db) = (vec![0.0; features], 0.0);
        for sample in 0..samples {
            let t = f64::from(signs[[sample]]);
            let y = b + (0..features).map(|f| f64::from(x[[sample, f]]) * w[f]).sum::<f64>();
            if t * y < 1.0 {
                dw.iter_mut().enumerate().for_each(|(f, dw)| *dw -= t * f64::from(x[[sample, f]]) / samples as f64);
                db -= t / samples as f64;
            }
        }
        w.iter_mut().zip(dw).for_each(|(w, dw)| *w -= step * dw);
        b -= step * db;
    }
    let recipe = format!(
        "data = arrays(x=\"x.npy\", y=\"y.npy\"), loss = binary_hinge, optimizer = GradientDescent(step={step})\n\
         epochs = {epochs}, batch = {samples}, shuffle = false"
    );
    for targets in [&classes, &signs] {
        let folder = project("Input(3) >> Dense(1, weight=0) as out", &recipe);
        write(folder.path(), "x.npy", &x);
        write(folder.path(), "y.npy", targets);
        let table = done(&netc(folder.path(), &["train", "n.net"]));
        let right = (0..samples).filter(|&sample| {
            let y = b + (0..features).map(|f| f64::from(x[[sample, f]]) * w[f]).sum::<f64>();
            (y > 0.0) == class(sample)
        });
        let accuracy = format!("accuracy {:.2} %", right.count() as f64 / samples as f64 * 100.0);
        assert!(table.contains(&accuracy) && accuracy != "accuracy 50.00 %", "{accuracy}: {table}");
        let weights = folder.path().join("n.h5");
        let found = array_file::read(&weights, Some("out/weight")).expect("the weights");
        for (found, wanted) in found.iter().zip(&w) {
            assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} for {wanted}");
        }
        let bias = array_file::read(&weights, Some("out/bias")).expect("the bias");
        assert!((f64::from(bias[[0]]) - b).abs() < 1e-5, "{} for {b}", bias[[0]]);
        // Prediction decides the class by the sign too.
        let printed = done(&netc(folder.path(), &["predict", "n.netb", "x.npy", "--format", "json"]));
        let printed: serde_json::Value = serde_json::from_str(&printed).expect("one JSON document");
        for (sample, answer) in printed.as_array().expect("a list").iter().enumerate() {
            let best = &answer["top"][0];
            let y = b + (0..features).map(|f| f64::from(x[[sample, f]]) * w[f]).sum::<f64>();
            assert_eq!(best["index"], u64::from(y > 0.0), "{answer}");
            assert!((best["value"].as_f64().expect("a number") - y.abs()).abs() < 1e-5, "{answer}");
        }
    }
}

/// Two folders of photos, separated by one value between -1 and 1, with every loss.
#[test]
fn a_tanh_tells_two_folders_apart_by_its_sign() {
    for (loss, w1011) in [("", true), ("loss = mse\n", false), ("loss = binary_hinge\n", false)] {
        let recipe = format!("{loss}data = images(\"photos\"), epochs = 30, optimizer = Adam(step=0.02), batch = 8");
        let folder = project("Input(4x4x3, image=Symmetric) >> Flatten >> Tanh(1)", &recipe);
        for (name, colour) in [("red", [200u8, 30, 30]), ("sea", [20, 30, 190])] {
            fs::create_dir_all(folder.path().join("photos").join(name)).expect("a folder");
            for shade in 0..6u8 {
                let photo = image::RgbImage::from_pixel(4, 4, image::Rgb(colour.map(|value| value + 6 * shade)));
                photo.save(folder.path().join(format!("photos/{name}/{shade}.png"))).expect("a photo");
            }
        }
        let output = netc(folder.path(), &["train", "n.net"]);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(printed.contains("W1011"), w1011, "{printed}");
        let table = done(&output);
        assert!(table.starts_with("training: accuracy 100.00 %"), "{table}");
        for (name, sign) in [("red", -1.0), ("sea", 1.0)] {
            let photo = format!("photos/{name}/3.png");
            let printed = done(&netc(folder.path(), &["predict", "n.netb", &photo, "--format", "json"]));
            let printed: serde_json::Value = serde_json::from_str(&printed).expect("one JSON document");
            assert_eq!(printed[0]["top"][0]["label"], name, "{printed}");
            // The output of the artifact is the number itself.
            done(&netc(folder.path(), &["predict", "n.netb", &photo, "-o", "y.npy"]));
            let y = array_file::read(&folder.path().join("y.npy"), None).expect("an array");
            assert!(y[[0, 0]] * sign > 0.3, "{name}: {y}");
        }
        let measures = done(&netc(folder.path(), &["eval", "n.netb", "photos", "--format", "json"]));
        let measures: serde_json::Value = serde_json::from_str(&measures).expect("one JSON document");
        assert_eq!(
            (&measures["accuracy"], &measures["counted"]),
            (&serde_json::json!(1.0), &serde_json::json!("samples"))
        );
        // The loss is that of the recipe; without a recipe, the loss for a linear output is unknown.
        assert!(
            (measures["loss"].as_f64().expect("a loss") - figure(&table, "loss")).abs() < 1e-4,
            "{measures}: {table}"
        );
        fs::write(folder.path().join("bare.net"), "net bare = Input(4x4x3, image=Symmetric) >> Flatten >> Tanh(1)\n")
            .expect("a spec");
        let bare = done(&netc(folder.path(), &["eval", "bare.net", "photos", "--allow-untrained", "--format", "json"]));
        let bare: serde_json::Value = serde_json::from_str(&bare).expect("one JSON document");
        assert_eq!(bare["loss"], serde_json::Value::Null);
        // Labels in the spec are used too, in order.
        let spec = fs::read_to_string(folder.path().join("n.net")).expect("the spec");
        fs::write(folder.path().join("n.net"), format!("{spec}labels n = [\"sea\", \"red\"]\n")).expect("the spec");
        done(&netc(folder.path(), &["train", "n.net"]));
        done(&netc(folder.path(), &["predict", "n.netb", "photos/red/3.png", "-o", "y.npy"]));
        let y = array_file::read(&folder.path().join("y.npy"), None).expect("an array");
        assert!(y[[0, 0]] > 0.3, "red is the second now: {y}");
    }
}

/// Discs on a dark, uneven background, and the pixels that they cover.
fn discs(count: usize, size: usize) -> (ArrayD<f32>, ArrayD<f32>) {
    let covers = |image: usize, y: usize, x: usize| {
        let place = |at: usize| size as f32 * (0.5 + 0.25 * number(3 * image + at));
        let (cy, cx, radius) = (place(0), place(1), size as f32 * (0.22 + 0.06 * number(3 * image + 2)));
        (y as f32 - cy).powi(2) + (x as f32 - cx).powi(2) < radius * radius
    };
    let mask =
        ArrayD::from_shape_fn(IxDyn(&[count, size, size]), |at| f32::from(u8::from(covers(at[0], at[1], at[2]))));
    let photo = ArrayD::from_shape_fn(IxDyn(&[count, size, size, 1]), |at| {
        let noise = number((at[0] * size + at[1]) * size + at[2]);
        0.6 * mask[[at[0], at[1], at[2]]] + 0.2 + 0.15 * noise
    });
    (photo, mask)
}

/// The number after a name in the heading of the table.
fn figure(table: &str, name: &str) -> f64 {
    let (_, rest) = table.split_once(&format!("{name} ")).unwrap_or_else(|| panic!("no {name} in {table}"));
    rest.split([' ', ',', '\n']).next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn the_shipped_u_net_learns_masks() {
    let (photos, masks) = discs(12, 16);
    let hot = ArrayD::from_shape_fn(IxDyn(&[12, 16, 16, 2]), |at| {
        f32::from(u8::from(masks[[at[0], at[1], at[2]]] == at[3] as f32))
    });
    let recipe = "data = arrays(x=\"x.npy\", y=\"y.npy\"), optimizer = Adam(step=0.01), epochs = 30, batch = 4";
    let mut weights = Vec::new();
    for targets in [&masks, &hot] {
        let folder = project("unet(classes=2, size=16x16x1, width=4)", recipe);
        write(folder.path(), "x.npy", &photos);
        write(folder.path(), "y.npy", targets);
        let table = done(&netc(folder.path(), &["train", "n.net"]));
        let ground = 100.0 * masks.iter().filter(|value| **value == 0.0).count() as f64 / masks.len() as f64;
        let accuracy = figure(&table, "accuracy");
        assert!(accuracy > ground + 5.0 && accuracy > 90.0, "{ground} % are ground: {table}");
        // Each pixel was counted, and the discs were found.
        assert!(table.contains(" of the pixels,") && table.contains("F1  pixels\n"), "{table}");
        let row = table.lines().find(|line| line.trim_start().starts_with("1 ")).expect("the class of discs");
        assert!(row.ends_with(&format!("{}", masks.iter().sum::<f32>())), "{table}");
        let read = |name: &str| fs::read_to_string(folder.path().join("n.run").join(name)).expect("a text");
        assert!(read("run.yaml").contains("\ncounted: pixels\n"), "{}", read("run.yaml"));
        let page = read("report.html");
        for wanted in ["accuracy of the pixels", ">pixels</th>", "predicted ones, in pixels;", "12 samples"] {
            assert!(page.contains(wanted), "no {wanted} in {page}");
        }
        weights.push(fs::read(folder.path().join("n.h5")).expect("the weights"));
        let printed = done(&netc(folder.path(), &["predict", "n.netb", "x.npy"]));
        assert!(printed.contains("% of the pixels"), "{printed}");
        done(&netc(folder.path(), &["predict", "n.netb", "x.npy", "-o", "y.npy"]));
        let found = array_file::read(&folder.path().join("y.npy"), None).expect("an array");
        assert_eq!(found.shape(), [12, 16, 16, 2]);
    }
    assert!(weights[0] == weights[1], "indices and one-hot pixels are the same targets");
}

#[test]
fn one_channel_of_a_mask_is_a_yes_or_no_of_each_pixel() {
    let (photos, masks) = discs(10, 8);
    let net = "Input(8x8x1) >> Conv(3x3, 4, padding=same) >> Relu >> Conv(1x1, 1) >> Sigmoid";
    let recipe = "data = arrays(x=\"x.npy\", y=\"y.npy\"), optimizer = Adam(step=0.05), epochs = 40, batch = 5";
    let folder = project(net, recipe);
    write(folder.path(), "x.npy", &photos);
    write(folder.path(), "y.npy", &masks);
    let table = done(&netc(folder.path(), &["train", "n.net"]));
    assert!(figure(&table, "accuracy") > 95.0, "{table}");
}

#[test]
fn an_autoencoder_learns_its_own_input() {
    let (photos, _) = discs(16, 8);
    let net = "Input(8x8x1) >> Conv(3x3, 12, stride=2, padding=same) >> Relu >> Deconv(2x2, 1, stride=2) as out";
    // An image is reconstructed with the mean squared error, or with the crossentropy of its pixels as proportions.
    for (end, loss) in [("", ""), (" >> Sigmoid", ""), (" >> Sigmoid", ", loss = mse")] {
        let recipe = format!(
            "data = arrays(x=\"x.npy\", y=\"x.npy\"), optimizer = Adam(step=0.02), epochs = 60, batch = 4{loss}"
        );
        let folder = project(&format!("{net}{end}"), &recipe);
        write(folder.path(), "x.npy", &photos);
        let table = done(&netc(folder.path(), &["train", "n.net"]));
        let (rmse, r2) = (figure(&table, "rmse"), figure(&table, "r2"));
        assert!(rmse < 0.15 && r2 > 0.6, "{table}");
        // The reported metrics are those of the artifact.
        done(&netc(folder.path(), &["predict", "n.netb", "x.npy", "-o", "y.npy"]));
        let found = array_file::read(&folder.path().join("y.npy"), None).expect("an array");
        let squares: f64 = found.iter().zip(&photos).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        assert!(((squares / photos.len() as f64).sqrt() - rmse).abs() < 1e-3, "{table}");
    }
}

/// Multi-label classification: each output is a yes or no.
#[test]
fn several_classes_at_once_are_counted_one_by_one() {
    let x = ArrayD::from_shape_fn(IxDyn(&[40, 3]), |at| number(at[0] * 3 + at[1]));
    let recipe = "data = arrays(x=\"x.npy\", y=\"y.npy\"), optimizer = Adam(step=0.1), epochs = 60, batch = 10";
    let folder = project("Input(3) >> Sigmoid(3)", recipe);
    write(folder.path(), "y.npy", &x.mapv(|value| f32::from(u8::from(value > 0.0))));
    write(folder.path(), "x.npy", &x);
    let table = done(&netc(folder.path(), &["train", "n.net"]));
    assert!(figure(&table, "accuracy") > 95.0 && table.lines().count() == 4, "{table}");
}

/// For every kind of target, evaluating the artifact results in the metrics of training.
#[test]
fn an_evaluation_gives_the_metrics_of_training() {
    let (photos, masks) = discs(6, 8);
    let x = ArrayD::from_shape_fn(IxDyn(&[18, 3]), |at| number(at[0] * 3 + at[1]));
    let of = |f: &dyn Fn(usize) -> f32| ArrayD::from_shape_fn(IxDyn(&[18]), |at| f(at[0]));
    let class = |row: usize| f32::from(u8::from(x[[row, 0]] > 0.0)) + f32::from(u8::from(x[[row, 1]] > 0.0));
    let hot = ArrayD::from_shape_fn(IxDyn(&[18, 3]), |at| f32::from(u8::from(class(at[0]) == at[1] as f32)));
    let steps = ArrayD::from_shape_fn(IxDyn(&[18, 3, 1]), |at| x[[at[0], at[1]]]);
    let of_steps = x.mapv(|value| f32::from(u8::from(value > 0.2)));
    let either = of(&|row| f32::from(u8::from(x[[row, 0]] > 0.0)));
    let signs = x.mapv(|value| f32::from(u8::from(value > 0.0)));
    let pixels = "Input(8x8x1) >> Conv(3x3, 4, padding=same) >> Relu >> Conv(1x1, 2) >> Softmax";
    for (net, loss, x, y, counted) in [
        ("Input(3) >> Softmax(3)", "", &x, of(&class), "samples"),
        ("Input(3) >> Softmax(3)", "loss = mse", &x, hot, "samples"),
        ("Input(3) >> Dense(3)", "loss = categorical_hinge", &x, of(&class), "samples"),
        ("Input(3) >> Sigmoid(1)", "", &x, either.clone(), "samples"),
        ("Input(3) >> Tanh(1)", "loss = binary_hinge", &x, either, "samples"),
        ("Input(3) >> Sigmoid(3)", "", &x, signs, "values"),
        ("Input(3) >> Dense(3)", "loss = mae", &x, x.clone(), ""),
        ("Input(3) >> Dense(1)", "", &x, of(&|row| 3.0 * x[[row, 1]]), ""),
        (pixels, "", &photos, masks.clone(), "pixels"),
        ("Input(8x8x1) >> Conv(3x3, 1, padding=same) >> Sigmoid", "", &photos, masks, "pixels"),
        ("Input(8x8x1) >> Conv(3x3, 1, padding=same)", "", &photos, photos.clone(), ""),
        ("Input(3x1) >> GRU(2, only_return_final=false) >> Softmax", "", &steps, of_steps, "steps"),
    ] {
        let recipe =
            format!("data = arrays(\"d.h5\", x=\"x\", y=\"y\"), epochs = 3, batch = 4, optimizer = Adam\n{loss}");
        let folder = project(net, &recipe);
        array_file::write(&folder.path().join("d.h5"), &[("x", x.view()), ("y", y.view())]).expect("arrays");
        write(folder.path(), "x.npy", x);
        write(folder.path(), "y.npy", &y);
        let trained = done(&netc(folder.path(), &["train", "n.net"]));
        let measures = trained.split_once(": ").expect("a heading").1;
        for (arguments, on) in [
            (["n.netb", "d.h5", "--x", "x", "--y", "y"].as_slice(), "d.h5"),
            (&["n.net", "d.h5", "--x", "x", "--y", "y"], "d.h5"),
            (&["n.netb", "--x", "x.npy", "--y", "y.npy"], "x.npy"),
        ] {
            let printed = done(&netc(folder.path(), &[&["eval"], arguments].concat()));
            assert_eq!(without_confusion(&printed), format!("{on}: {measures}"), "{net} {loss}");
        }
        let printed = ["eval", "n.netb", "d.h5", "--x", "x", "--y", "y", "--format", "json", "--html", "page.html"];
        let printed: serde_json::Value =
            serde_json::from_str(&done(&netc(folder.path(), &printed))).expect("one document");
        assert!(
            (printed["loss"].as_f64().expect("a loss") - figure(&trained, "loss")).abs() < 1e-4,
            "{printed}: {trained}"
        );
        match counted {
            "" => assert!(
                (printed["rmse"].as_f64().expect("an error") - figure(&trained, "rmse")).abs() < 1e-4,
                "{printed}"
            ),
            counted => assert_eq!(printed["counted"], counted, "{net}"),
        }
        assert!(fs::read(folder.path().join("page.html")).expect("a page").starts_with(b"<!DOCTYPE html>"));
    }
}

/// Lists of photos with names, indices or numbers are evaluated like folders.
#[test]
fn an_evaluation_takes_lists_of_photos() {
    for (end, label) in [("Softmax(2)", "name"), ("Softmax(2)", "index"), ("Dense(1)", "number")] {
        let folder = project(
            &format!("Input(4x4x3, image=Unit) >> Flatten >> {end}"),
            "data = csv(\"list.csv\"), epochs = 4, optimizer = Adam(step=0.02), batch = 8",
        );
        let mut list = String::from("path,label\n");
        for shade in 0..12u8 {
            let photo = image::RgbImage::from_pixel(4, 4, image::Rgb([20 * shade, 90, 200 - 10 * shade]));
            photo.save(folder.path().join(format!("{shade}.png"))).expect("a photo");
            let label = match label {
                "name" => ["dark", "light"][usize::from(shade / 6)].to_string(),
                "index" => (shade / 6).to_string(),
                _ => (f32::from(shade) / 8.0).to_string(),
            };
            list += &format!("{shade}.png,{label}\n");
        }
        fs::write(folder.path().join("list.csv"), list).expect("a list");
        let trained = done(&netc(folder.path(), &["train", "n.net"]));
        let printed = done(&netc(folder.path(), &["eval", "n.netb", "list.csv"]));
        assert_eq!(without_confusion(&printed), trained.replace("training: ", "list.csv: "));
    }
}

#[test]
fn invalid_data_of_evaluations_is_reported() {
    let folder = project(
        "Input(2x2x1, image=Unit) >> Conv(1x1, 2) >> Softmax",
        "data = arrays(\"d.h5\", x=\"x\", y=\"y\"), epochs = 1",
    );
    let array = |sizes: &[usize]| ArrayD::from_shape_fn(IxDyn(sizes), |at| (at[0] % 2) as f32);
    let (x, y, wide) = (array(&[4, 2, 2, 1]), array(&[4, 2, 2]), array(&[4, 3, 3, 1]));
    let none = y.mapv(|value| value + 1.0);
    let arrays = [("x", x.view()), ("y", y.view()), ("none", none.view()), ("wide", wide.view())];
    array_file::write(&folder.path().join("d.h5"), &arrays).expect("arrays");
    write(folder.path(), "x.npy", &x);
    fs::create_dir_all(folder.path().join("photos/a")).expect("a folder");
    image::RgbImage::new(2, 2).save(folder.path().join("photos/a/1.png")).expect("a photo");
    done(&netc(folder.path(), &["train", "n.net"]));
    let mut printed = String::new();
    for arguments in [
        ["d.h5"].as_slice(),
        &["x.npy"],
        &["d.h5", "--x", "x", "--y", "z"],
        &["e.h5", "--x", "x", "--y", "y"],
        &["d.h5", "--x", "wide", "--y", "y"],
        &["d.h5", "--x", "x", "--x", "x", "--y", "y"],
        &["d.h5", "--x", "x", "--y", "none"],
        &["d.h5", "--x", "x", "--y", "wide"],
        &["photos", "--x", "x", "--y", "y"],
        &["photos"],
        &["photos", "--x", "x"],
        &[],
    ] {
        let output = netc(folder.path(), &[&["eval", "n.netb"], arguments].concat());
        let (code, stderr) = (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr));
        printed += &format!("# {}\nexit {code}\n{}\n\n", arguments.join(" "), stderr.trim_end());
    }
    insta::assert_snapshot!(printed);
}

/// Gradient descent in f64, from its definition, on the pixels that are not ignored: the mean of the class weight times the
/// crossentropy. Each pixel is a sample of its own, as the net has no spatial extent.
#[test]
fn pixels_that_are_ignored_count_for_nothing_and_classes_of_pixels_have_weights() {
    let (count, size, step, epochs) = (5, 4, 0.7f64, 6);
    let x = ArrayD::from_shape_fn(IxDyn(&[count, size, size, 1]), |at| number((at[0] * size + at[1]) * size + at[2]));
    let y = ArrayD::from_shape_fn(IxDyn(&[count, size, size]), |at| {
        let value = x[[at[0], at[1], at[2], 0]];
        // All pixels of the last photo are ignored.
        if at[0] == 4 || (at[1] + at[2]) % 3 == 0 { 255.0 } else { f32::from(u8::from(value > 0.2)) }
    });
    let pixels: Vec<(f64, usize)> =
        x.iter().zip(&y).filter(|(_, y)| **y < 2.0).map(|(x, y)| (f64::from(*x), *y as usize)).collect();
    let of_class = |class: usize| pixels.iter().filter(|(_, found)| *found == class).count() as f64;
    let balanced = [0, 1].map(|class| pixels.len() as f64 / (2.0 * of_class(class)));
    for (end, more, by_class) in [
        ("Conv(1x1, 2, weight=0) as out >> Softmax", "", [1.0, 1.0]),
        ("Conv(1x1, 2, weight=0) as out >> Softmax", "class_weights = [0.5, 3]", [0.5, 3.0]),
        ("Conv(1x1, 2, weight=0) as out >> Softmax", "class_weights = balanced", balanced),
        ("Conv(1x1, 1, weight=0) as out >> Sigmoid", "class_weights = [0.5, 3]", [0.5, 3.0]),
    ] {
        // One output is equivalent to two logits, the first of which is 0.
        let one = end.contains("Sigmoid");
        let (mut w, mut b) = ([0.0f64; 2], [0.0f64; 2]);
        let share = |w: &[f64; 2], b: &[f64; 2], x: f64| 1.0 / (1.0 + (w[0] * x + b[0] - w[1] * x - b[1]).exp());
        for _ in 0..epochs {
            let (mut dw, mut db) = ([0.0; 2], [0.0; 2]);
            for &(x, class) in &pixels {
                let second = share(&w, &b, x) - class as f64;
                for (at, by) in [(0, -second), (1, second)] {
                    dw[at] += by_class[class] * by * x / pixels.len() as f64;
                    db[at] += by_class[class] * by / pixels.len() as f64;
                }
            }
            for at in usize::from(one)..2 {
                (w[at], b[at]) = (w[at] - step * dw[at], b[at] - step * db[at]);
            }
        }
        let recipe = format!(
            "data = arrays(\"d.h5\", x=\"x\", y=\"y\", ignore=255), optimizer = GradientDescent(step={step})\n\
             epochs = {epochs}, batch = {count}, shuffle = false\n{more}"
        );
        let folder = project(&format!("Input({size}x{size}x1) >> {end}"), &recipe);
        array_file::write(&folder.path().join("d.h5"), &[("x", x.view()), ("y", y.view())]).expect("arrays");
        let table = done(&netc(folder.path(), &["train", "n.net"]));
        for (role, wanted) in [("weight", w), ("bias", b)] {
            let found = array_file::read(&folder.path().join("n.h5"), Some(&format!("out/{role}"))).expect("weights");
            for (found, wanted) in found.iter().zip(&wanted[usize::from(one)..]) {
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "{end} {more}: {role} {found} for {wanted}");
            }
        }
        // Metrics count each pixel that is not ignored once.
        let right = pixels.iter().filter(|(x, class)| (share(&w, &b, *x) >= 0.5) == (*class == 1)).count();
        let loss = |&(x, class): &(f64, usize)| -(1.0 - class as f64 - share(&w, &b, x)).abs().ln();
        let loss = pixels.iter().map(loss).sum::<f64>() / pixels.len() as f64;
        assert!((figure(&table, "accuracy") - 100.0 * right as f64 / pixels.len() as f64).abs() < 0.006, "{table}");
        assert!((figure(&table, "loss") - loss).abs() < 1e-4, "{loss}: {table}");
        let supports: f64 = table.lines().skip(2).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        assert_eq!(supports, pixels.len() as f64, "{table}");
        let printed = done(&netc(
            folder.path(),
            &["eval", "n.netb", "d.h5", "--x", "x", "--y", "y", "--ignore", "255", "--batch", "2"],
        ));
        assert_eq!(without_confusion(&printed), table.replace("training: ", "d.h5: "));
    }
}

#[test]
fn invalid_targets_are_reported() {
    let mut printed = String::new();
    let column = |values: [f32; 4]| array![values[0], values[1], values[2], values[3]].into_dyn();
    let hot = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 1.0]].into_dyn();
    let negative = array![[1.0, 0.0], [2.0, -1.0], [1.0, 0.0], [0.0, 1.0]].into_dyn();
    let pixels = ArrayD::from_shape_fn(IxDyn(&[4, 2, 2]), |at| if at[0] == 3 && at[1] == 1 { 2.0 } else { 1.0 });
    let pixels_but_one = pixels.mapv(|value| if value == 1.0 { 7.0 } else { value });
    let pixel_net = "Input(2x2x1) >> Conv(1x1, 2) >> Softmax";
    for (net, more, targets) in [
        ("Input(4) >> Sigmoid(1)", "", column([1.0, -1.0, 1.0, 1.0])),
        ("Input(4) >> Sigmoid(1)", "", column([1.0, 0.0, 0.5, 1.0])),
        ("Input(4) >> Sigmoid(1)", "", column([1.0, 0.0, 2.0, 1.0])),
        ("Input(4) >> Softmax(2)", "", column([1.0, 0.0, 2.0, 1.0])),
        ("Input(4) >> Softmax(2)", "", column([1.0, 0.0, -1.0, 1.0])),
        ("Input(4) >> Softmax(2)", "", hot),
        ("Input(4) >> Softmax(2)", "", negative),
        ("Input(4) >> Dense(1)", "loss = binary_hinge", column([1.0, 0.0, -1.0, 1.0])),
        ("Input(4) >> Dense(1)", "loss = binary_hinge", column([1.0, -1.0, 3.0, 1.0])),
        ("Input(4) >> Dense(1)", "loss = msle", column([1.0, -0.5, 3.0, 1.0])),
        ("Input(4) >> Dense(1)", "", column([1.0, f32::NAN, 3.0, 1.0])),
        (pixel_net, "", pixels),
        (pixel_net, "", column([1.0, 0.0, 1.0, 1.0])),
        (pixel_net, "class_weights = balanced, loss = rmse", ArrayD::ones(IxDyn(&[4, 2, 2]))),
        (pixel_net, "class_weights = balanced", ArrayD::from_elem(IxDyn(&[4, 2, 2, 2]), 0.5)),
        (pixel_net, "ignore = 1, loss = rmse", ArrayD::ones(IxDyn(&[4, 2, 2]))),
        (pixel_net, "ignore = 7", pixels_but_one.clone()),
        (pixel_net, "ignore = 1", ArrayD::from_elem(IxDyn(&[4, 2, 2, 2]), 0.5)),
        ("Input(4) >> Softmax(2)", "ignore = 1", column([1.0, 0.0, 1.0, 1.0])),
        ("Input(4) >> Dense(1)", "ignore = 1", column([1.5, 0.0, 1.0, 1.0])),
        (pixel_net, "", ArrayD::ones(IxDyn(&[4, 3, 2]))),
    ] {
        let (ignore, rest) = match more.strip_prefix("ignore = ") {
            Some(more) => (format!(", ignore={}", &more[..1]), more[1..].trim_start_matches(", ")),
            None => (String::new(), more),
        };
        let folder = project(net, &format!("data = arrays(x=\"x.npy\", y=\"y.npy\"{ignore}), epochs = 1\n{rest}"));
        let sizes: &[usize] = if net == pixel_net { &[4, 2, 2, 1] } else { &[4, 4] };
        write(folder.path(), "x.npy", &ArrayD::from_shape_fn(IxDyn(sizes), |at| at[0] as f32));
        write(folder.path(), "y.npy", &targets);
        let output = netc(folder.path(), &["train", "n.net"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let stderr = stderr.split("    Checking").next().unwrap_or_default();
        let stderr = stderr.replace(&format!("{}/", folder.path().display()), "");
        printed += &format!("# {net}  {more}\n{}\n\n", stderr.trim_end());
    }
    insta::assert_snapshot!(printed);
}
