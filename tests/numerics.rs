//! Compiled nets against independent references: NeuPy's outputs for single layers and small graphs, and real networks
//! in the folder that `NETC_DATA` names (ignored without it).

mod difference;

use difference::difference;
use ndarray::ArrayD;
use netc::compile::{self, BuildOptions};
use netc::data::arrays::array_file;
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Compiles a spec and runs it; the first output.
fn run(spec: &str, weights: &[(&str, &Path)], inputs: &[ArrayD<f32>]) -> Vec<f32> {
    let spec = load(spec, &from_disk).unwrap_or_else(|(_, errors)| panic!("{spec}: {errors:?}"));
    let weights: BTreeMap<String, PathBuf> =
        weights.iter().map(|(net, path)| (net.to_string(), path.to_path_buf())).collect();
    let (build, _) = compile::build(&spec, &BuildOptions { weights, ..BuildOptions::default() }).unwrap();
    let artifact = Arc::new(build.in_memory().unwrap());
    let batch = inputs[0].shape()[0];
    let mut outputs: Vec<Vec<f32>> =
        artifact.manifest.plan.outputs.iter().map(|port| vec![0.0; port.len() * batch]).collect();
    let slices: Vec<&[f32]> = inputs.iter().map(|input| input.as_slice().unwrap()).collect();
    let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    Session::new(artifact, 2).run(batch, &slices, &mut room).unwrap();
    outputs.swap_remove(0)
}

/// The maximum difference, as a fraction of the range of the reference.
fn error(found: &[f32], wanted: &ArrayD<f32>) -> f64 {
    let (low, high) = wanted.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    difference(found.iter().copied(), wanted.iter().copied(), |_| f64::from(high - low))
}

/// The classes of each row, most probable first.
fn top5(values: &[f32], classes: usize) -> Vec<Vec<usize>> {
    let order = |row: &[f32]| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order[..5].to_vec()
    };
    values.chunks(classes).map(order).collect()
}

fn array(path: &Path, name: &str) -> ArrayD<f32> {
    array_file::read(path, Some(name)).unwrap()
}

#[test]
fn single_layers_give_what_neupy_gives() {
    let folder = Path::new("tests/data/neupy_ops");
    let mut specs: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "net"))
        .collect();
    specs.sort();
    assert_eq!(specs.len(), 53);
    let mut wrong = Vec::new();
    for spec in specs {
        let arrays = spec.with_extension("npz");
        let names: Vec<String> = array_file::list(&arrays).unwrap().into_iter().map(|info| info.name).collect();
        let mut inputs: Vec<&String> = names.iter().filter(|name| name.starts_with('x')).collect();
        inputs.sort();
        let inputs: Vec<ArrayD<f32>> = inputs.into_iter().map(|name| array(&arrays, name)).collect();
        let found = run(&spec.display().to_string(), &[], &inputs);
        let error = error(&found, &array(&arrays, "y"));
        if error > 5e-6 {
            wrong.push(format!("{}: {error:.1e}", spec.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// torchvision's average pools include the zero padding (`count_include_pad`).
#[test]
fn average_pools_of_inception_count_the_border() {
    let ones = ArrayD::from_elem(vec![1, 7, 7, 192], 1.0);
    let pool = "Input(7x7x192) >> inception_v3(size=75x75x3)[zero-pad-1..=average-pooling-1]";
    let found = run(pool, &[], &[ones]);
    let share = |at: usize| if at.is_multiple_of(6) { 2.0 } else { 3.0 };
    for (at, found) in found.iter().enumerate() {
        let (row, column) = (at / 192 / 7, at / 192 % 7);
        let wanted: f32 = share(row) * share(column) / 9.0;
        assert!((found - wanted).abs() < 1e-6, "{row} {column}: {found} is not {wanted}");
    }
    assert_eq!(found.len(), 7 * 7 * 192);
}

/// The folder of large references that an environment variable names.
fn references(variable: &str) -> PathBuf {
    std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| panic!("{variable} must name the folder"))
}

#[test]
#[ignore = "needs NETC_DATA, the folder of large references"]
fn the_real_squeezenet_gives_the_reference() {
    let data = references("NETC_DATA");
    let reference = data.join("real/squeezenet_ref.npz");
    let found = run("specs/squeezenet1_1.net", &[], &[array(&reference, "x")]);
    let wanted = array(&reference, "prob");
    let most = difference(found.iter().copied(), wanted.iter().copied(), |_| 1.0);
    assert!(most < 1e-4, "{most}");
    assert_eq!(top5(&found, 1000), top5(wanted.as_slice().unwrap(), 1000));
}

#[test]
#[ignore = "needs NETC_DATA, the folder of large references"]
fn the_real_convolutions_of_vgg16_give_the_reference() {
    let data = references("NETC_DATA");
    let reference = data.join("real/vgg16_notop_ref.npz");
    let weights = data.join("real/vgg16_notop_keras2.h5");
    let spec = "vgg16(image=Torch)[..=max-pooling-5]";
    let found = run(spec, &[("vgg16", &weights)], &[array(&reference, "x")]);
    let error = error(&found, &array(&reference, "block5_pool"));
    assert!(error < 1e-5, "{error}");
}

/// Every shipped architecture at full size against the f64 reference of its unfused graph, with random weights. Outputs
/// are compared before a softmax that random weights saturate.
#[test]
#[ignore = "takes minutes: whole networks in plain loops"]
fn architectures_give_what_their_f64_reference_gives() {
    let nets = [
        "squeezenet",
        "alexnet",
        "resnet50[..fc1000] >> Dense(1000)",
        "vgg19",
        "Input(10) >> mixture_of_experts([Relu(64) >> Relu(7), Tanh(7), Sigmoid(7)], gate=Softmax(3))",
    ];
    for net in nets {
        let spec = load(net, &from_disk).map_err(|(_, errors)| errors).unwrap();
        let options = BuildOptions { allow_untrained: true, allow_missing: true, ..BuildOptions::default() };
        let (build, _) = compile::build(&spec, &options).unwrap();
        for deviation in netc::check::verify::verify(&build, 1, 2).unwrap().outputs {
            println!("{net}: {deviation:?}");
            assert!(deviation.error < 1e-4 && deviation.same_top5, "{net}: {deviation:?}");
        }
    }
}

/// VGG16 at full size against the float64 reference of `make_weights.py --scale 1`.
#[test]
#[ignore = "needs NETC_VGG16, the folder of VGG16 at full size"]
fn vgg16_at_full_size_gives_the_reference() {
    let folder = references("NETC_VGG16");
    let reference = folder.join("vgg16_ref.npz");
    let wanted = array(&reference, "probs");
    for file in [
        "vgg16_neupy.hdf5",
        "vgg16_keras1.h5",
        "vgg16_keras2.h5",
        "vgg16_keras_full.h5",
        "vgg16_keras3.weights.h5",
        "vgg16_keras3_noname.weights.h5",
    ] {
        let found = run("vgg16", &[("vgg16", &folder.join(file))], &[array(&reference, "x")]);
        let error = error(&found, &wanted);
        assert!(error < 1e-4, "{file}: {error}");
        assert_eq!(top5(&found, 1000), top5(wanted.as_slice().unwrap(), 1000), "{file}");
    }
}
