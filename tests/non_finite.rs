//! Inputs for which a net's outputs are not finite: the sample and the layer are reported, and no output is dropped silently.

mod program;

use ndarray::{ArrayD, IxDyn};
use netc::data::arrays::array_file;
use program::{done, folder, netc, refused, text};
use std::path::Path;

fn write(folder: &Path, name: &str, shape: &[usize], value: impl Fn(usize) -> f32) {
    let values = (0..shape.iter().product()).map(value).collect();
    let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("an array");
    array_file::write(&folder.join(name), &[("a", array.view())]).expect("a file");
}

/// A net that squares its input, so that large values overflow.
const NET: &str = "net m = Input(3) as x >> square >> Dense(4) as a >> Relu >> Softmax(2) as b\n\
                   net square = { let y = Identity  (y | y) >> Multiply as square }\n";

/// Twenty samples, of which two are too large.
fn project(recipe: &str) -> tempfile::TempDir {
    let folder = folder(&[("m.net", format!("{NET}{recipe}").as_str())]);
    write(folder.path(), "x.npy", &[20, 3], |at| if at == 31 || at == 54 { 1e30 } else { at as f32 / 60.0 });
    write(folder.path(), "good.npy", &[20, 3], |at| at as f32 / 60.0);
    write(folder.path(), "none.npy", &[20, 3], |_| 1e30);
    write(folder.path(), "y.npy", &[20], |at| (at % 2) as f32);
    folder
}

#[test]
fn an_evaluation_names_the_sample_and_leaves_nothing_out() {
    let folder = project("");
    let eval =
        |x: &str| netc(folder.path(), &["eval", "m.net", "--net", "m", "--x", x, "--y", "y.npy", "--allow-untrained"]);
    done(&eval("good.npy"));
    let messages = refused(&eval("x.npy"), "E0707", &["row 10 of x.npy", "`square`"]);
    assert!(!messages.contains("accuracy"), "{messages}");
    refused(&eval("none.npy"), "E0707", &["row 0 of none.npy"]);
}

#[test]
fn a_prediction_names_images_without_numbers_and_prints_the_others() {
    let folder = project("");
    let predict = |x: &str| {
        let arguments = ["predict", "m.net", x, "--net", "m", "-o", "out.npy", "--format", "csv", "--allow-untrained"];
        netc(folder.path(), &arguments)
    };
    let output = predict("x.npy");
    refused(&output, "E0707", &["x.npy[10]", "x.npy[18]", "infinite values or NaN is `square`"]);
    let printed = text(&output.stdout);
    assert!(printed.contains("x.npy[9],1,") && !printed.contains("x.npy[10]") && !printed.contains("NaN"), "{printed}");
    let written = array_file::read(&folder.path().join("out.npy"), None).expect("all rows");
    assert_eq!(written.shape(), [20, 2]);
    assert!(written[[10, 0]].is_nan() && written[[11, 0]].is_finite());
    // If the image itself contains NaN, the message says so.
    write(folder.path(), "nan.npy", &[2, 3], |at| if at == 4 { f32::NAN } else { 1.0 });
    refused(&predict("nan.npy"), "E0707", &["nan.npy[1]", "its input `x` has infinite values or NaN"]);
}

#[test]
fn training_names_a_sample_without_a_number() {
    let data = "data = arrays(x=\"good.npy\", y=\"y.npy\"), validation = arrays(x=\"x.npy\", y=\"y.npy\"), epochs = 1";
    let folder = project(&format!("train m {{ {data} }}\n"));
    refused(&netc(folder.path(), &["train", "m.net"]), "E0707", &["sample 10", "`square`"]);
    // Features of a frozen front that are not finite are not trained on either.
    let nets = "net m = frozen(Input(3) >> square >> Dense(4) as a >> Softmax) >> Dense(2) as b\n\
                net square = { let y = Identity  (y | y) >> Multiply as square }\n";
    let recipe = "train m { data = arrays(x=\"x.npy\", y=\"y.npy\"), epochs = 1, batch = 4 }\n";
    std::fs::write(folder.path().join("m.net"), format!("{nets}{recipe}")).expect("a spec");
    refused(&netc(folder.path(), &["train", "m.net"]), "E0707", &["sample 10", "`square`"]);
}
