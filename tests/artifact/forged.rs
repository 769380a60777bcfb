//! Forged manifests with valid checksums: numbers changed on purpose. The artifact must be refused, or run within its memory and in
//! limited time.

use super::{HEADER, NETS, PAGE, Written, compiled, written};
use netc::artifact::{Artifact, ArtifactError, VERSION};
use netc::data::SeededRng;
use netc::plan::{Kernel, Plan};
use netc::runtime::Session;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// The limit above which an artifact is not run in the test.
const MAX_FLOATS: usize = 1 << 22;
const MAX_WORK: usize = 1 << 26;
/// The value before and after borrowed memory.
const GUARD: usize = 1 << 10;

/// In addition to [`NETS`], so that every kind of step that an artifact may contain is covered.
const MORE: [&str; 10] = [
    "Input(4x4x3) >> (Identity | Relu) >> Concatenate",
    "Input(6x5x4) >> (Upscale(2) >> ZeroPad([1, 0, 2, 1]) | Upscale(2) >> ZeroPad([0, 1, 1, 2])) >> Add >> GroupNorm(2) >> Swish >> LocalResponseNorm >> Normalize >> Transpose([0, 3, 1, 2])",
    "Input(6x5x4) >> Resize(7x9, mode=bicubic) >> Pad(2, mode=reflect) >> Crop([1, 0, 2, 1]) >> Resize(scale=0.5, mode=bilinear)",
    "Input(8x8x4) >> Conv(3x3, 4, padding=same) >> (Identity | GlobalPool(avg) >> Sigmoid(4)) >> Multiply >> BatchNorm >> Tanh >> (GlobalPool(max) >> Softmax(2) | GlobalPool(avg) >> Dense(3) | GlobalPool(sum) >> Dense(3)) >> GatedAverage >> Relu(9) >> PRelu(3)",
    "Input(7) >> Embedding(20, 6) >> (LSTM(5, only_return_final=false, peepholes=true) | GRU(5, only_return_final=false)) >> Concatenate >> Softmax",
    "Input(5x6) >> ClassToken >> PositionEmbedding >> LayerNorm >> Attention(2) >> (Dense(4) | Dense(6) | Flatten >> Slice(0, 6)) >> Attention(2, causal=true)",
    "Input(128x128x8) >> DepthwiseConv(3x3, padding=same) >> Conv(1x1, 16) >> DepthwiseConv(3x3, padding=same) >> Relu >> Conv(1x1, 4) >> GlobalPool(avg)",
    "Input(4x5x3) >> Softmax(axis=width) >> (Mean(height) >> Flatten | Max(channels) >> Flatten | Sum([width, channels]) >> Flatten) >> Concatenate",
    "int8 Input(9x8x3) >> Conv(3x3, 8, stride=2, padding=same) >> Relu >> (Conv(1x1, 8) | MaxPool(3x3, stride=1, padding=same)) >> Add >> Relu6 >> (MaxPool(3x3, stride=1, padding=same) | MaxPool(5x5, stride=1, padding=same)) >> Add >> GlobalPool(avg) >> Relu(5) >> Dense(4)",
    "int8 Input(8x8x4) >> Conv(1x1, 20) >> DepthwiseConv(3x3) >> Relu >> (Conv(1x1, 8) | AvgPool(2x2, stride=1, padding=same)) >> Concatenate >> Tanh",
];

/// Numbers that an attacker might write.
fn instead(number: u64) -> [u64; 9] {
    let huge = u64::MAX;
    [0, 1, number + 1, number.saturating_sub(1), 1 << 20, 1 << 32, 1 << 63, huge / 3, huge]
}

#[test]
fn no_changed_number_does_harm() {
    let mut harm = Vec::new();
    for net in NETS.iter().chain(&MORE) {
        let file = written(net);
        let manifest = manifest(&file);
        for (place, number) in numbers(&manifest["plan"]) {
            for other in instead(number) {
                let mut forged = manifest.clone();
                *forged.pointer_mut(&place).expect("a number") = other.into();
                harm.extend(does_harm(&file, &forged).map(|what| format!("{place} = {other}, not {number}: {what}")));
            }
        }
    }
    assert!(harm.is_empty(), "{} times\n{}", harm.len(), harm[..harm.len().min(50)].join("\n"));
}

/// Products wrap if two of their factors are large.
#[test]
fn no_changed_numbers_together_do_harm() {
    let mut rng = SeededRng::new([0; 4]);
    let mut random = |below: usize| rng.below(below);
    let large = [1 << 16, 1 << 20, 1 << 28, 1 << 31, 1 << 32, 1 << 33, 1 << 40, 1 << 62, 1 << 63, (1 << 63) + 1];
    let mut harm = Vec::new();
    for net in NETS.iter().chain(&MORE) {
        let file = written(net);
        let manifest = manifest(&file);
        for (index, step) in manifest["plan"]["steps"].as_array().expect("steps").iter().enumerate() {
            let places = numbers(&step["kernel"]);
            for _ in 0..60.min(20 * places.len()) {
                let mut forged = manifest.clone();
                let mut changes = String::new();
                for _ in 0..2 + random(2) {
                    let (place, number) = &places[random(places.len())];
                    let other = [*number, instead(*number)[random(9)], large[random(large.len())]][random(3)];
                    let place = format!("/plan/steps/{index}/kernel{}", place.strip_prefix("/plan").unwrap_or(place));
                    changes += &format!("{place} = {other}, not {number}; ");
                    *forged.pointer_mut(&place).expect("a number") = other.into();
                }
                harm.extend(does_harm(&file, &forged).map(|what| changes + &what));
            }
        }
    }
    assert!(harm.is_empty(), "{} times\n{}", harm.len(), harm[..harm.len().min(50)].join("\n"));
}

#[test]
fn no_changed_word_does_harm() {
    let mut algorithms =
        ["Im2col", "Pointwise", "Direct", "Depthwise", "Blas"].map(|name| serde_json::json!({ name: null })).to_vec();
    algorithms
        .push(serde_json::json!({ "Winograd": { "tile": "F4", "tiles": 500, "channels": 512, "shared": false } }));
    let mut harm = Vec::new();
    for net in NETS.iter().chain(&MORE) {
        let file = written(net);
        let manifest = manifest(&file);
        let mut places = Vec::new();
        walk(&manifest["plan"], "/plan".into(), &mut |place, value| places.push((place, value.clone())));
        for (place, value) in places {
            let others = match &value {
                Value::Bool(value) => vec![Value::Bool(!value)],
                Value::Object(_) if place.ends_with("/algorithm") => algorithms.clone(),
                Value::Array(list) if list.is_empty() => vec![serde_json::json!([0]), serde_json::json!([0, 0])],
                Value::Array(list) => {
                    let twice: Vec<Value> = list.iter().chain(list.first()).cloned().collect();
                    vec![Value::Array(list[1..].to_vec()), Value::Array(twice), Value::Array(Vec::new())]
                }
                _ => continue,
            };
            for other in others {
                let mut forged = manifest.clone();
                *forged.pointer_mut(&place).expect("a value") = other.clone();
                harm.extend(does_harm(&file, &forged).map(|what| format!("{place} = {other}, not {value}: {what}")));
            }
        }
    }
    assert!(harm.is_empty(), "{} times\n{}", harm.len(), harm[..harm.len().min(50)].join("\n"));
}

#[test]
fn the_nets_have_every_kind_of_step() {
    let kinds: BTreeSet<String> = NETS
        .iter()
        .chain(&MORE)
        .flat_map(|net| compiled(net).compiled.plan.steps)
        .map(|step| {
            serde_json::to_value(&step.kernel).expect("JSON").as_object().expect("a kind").keys().next().cloned()
        })
        .map(|kind| kind.expect("a kind"))
        .collect();
    let all: BTreeSet<String> = Kernel::PREDICTION_NAMES.iter().map(|kind| kind.to_string()).collect();
    assert_eq!(kinds, all);
}

/// Regression tests: sizes whose product wraps to the correct one, offsets out of range, time steps without values, windows far
/// outside the image.
#[test]
fn what_once_did_harm_is_refused() {
    let one = "Input(4x4x1) >> Conv(3x3, 1, padding=same, bias=false)";
    let file = written(one);
    let whole = manifest(&file);
    let kernel = "/plan/steps/0/kernel";
    let window = |changes: &[(&str, u64)]| {
        let mut forged = whole.clone();
        for (name, number) in changes {
            forged.pointer_mut(&format!("{kernel}/Convolution/geometry/window")).expect("a window")[*name] =
                (*number).into();
        }
        forged
    };
    let mut direct = window(&[("out_h", 77_158_673_929), ("out_w", 239_075_442)]);
    direct.pointer_mut(kernel).expect("a kernel")["Convolution"]["algorithm"] = serde_json::json!({ "Direct": null });
    direct["plan"]["outputs"][0]["sizes"] = serde_json::json!([2]);
    direct["plan"]["steps"][0]["output"]["batch_stride"] = 2.into();
    let square = 1 << 32;
    let outside = window(&[("in_h", square), ("in_w", square), ("out_h", 1), ("out_w", 16), ("dilation_w", 1 << 30)]);
    let mut far = window(&[("dilation_h", 1 << 24)]);
    far.pointer_mut(kernel).expect("a kernel")["Convolution"]["algorithm"] = serde_json::json!({ "Direct": null });
    let with_kernel = |kernel: Value, inputs: usize| {
        let mut forged = whole.clone();
        let step = &mut forged["plan"]["steps"][0];
        step["kernel"] = kernel;
        step["constants"] = serde_json::json!([]);
        step["inputs"] = vec![step["inputs"][0].clone(); inputs].into();
        forged["plan"]["constants"] = serde_json::json!([]);
        forged["blocks"] = serde_json::json!([]);
        forged
    };
    let broadcast = serde_json::json!({ "pixels": 16, "channels": 1, "broadcast_index": 2, "merge": "Add", "activation": "Linear" });
    let sequence =
        serde_json::json!({ "steps": 1u64 << 39, "features": 0, "units": 16, "only_final": true, "backwards": false });
    let none = serde_json::json!({ "in_h": 4, "in_w": 4, "channels": 1, "scale_h": 0, "scale_w": 1 });
    let work = serde_json::json!({ "Pool": { "window": {
        "in_h": 1 << 20, "in_w": 1 << 10, "out_h": 1 << 20, "out_w": 1 << 10, "kernel_h": 1 << 20, "kernel_w": 1 << 10,
        "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1, "pad_top": 0, "pad_left": 0,
    }, "channels": 1, "reduction": "Maximum" } });
    let mut endless = with_kernel(work, 1);
    for port in ["inputs", "outputs"] {
        endless["plan"][port][0]["sizes"] = serde_json::json!([1 << 20, 1 << 10, 1]);
    }
    for operand in ["/plan/steps/0/inputs/0", "/plan/steps/0/output"] {
        endless.pointer_mut(operand).expect("an operand")["batch_stride"] = (1u64 << 30).into();
    }
    for (forged, wanted) in [
        (direct, "the window is invalid or unsupported by the algorithm"),
        (outside, "the window is invalid or unsupported by the algorithm"),
        (far, "the window is invalid or unsupported by the algorithm"),
        (with_kernel(serde_json::json!({ "Broadcast": broadcast }), 2), "the broadcast operand is missing"),
        (
            with_kernel(serde_json::json!({ "Transpose": { "sizes": [16], "order": [1] } }), 1),
            "the order is not a permutation of the axes",
        ),
        (
            with_kernel(serde_json::json!({ "Gru": { "sequence": sequence } }), 1),
            "the sequence length or the weight shape is invalid",
        ),
        (with_kernel(serde_json::json!({ "Upscale": { "repeat": none } }), 1), "a tensor is empty or too large"),
        (endless, "multiply-adds, the limit is 70368744177664"),
    ] {
        let without = forged["blocks"].as_array().expect("a list").is_empty();
        let constants = if without { &[][..] } else { &file.bytes[file.constants..] };
        fs::write(&file.path, front(&forged, constants)).expect("a forged file");
        let error = Artifact::open(&file.path).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}");
    }
    fs::write(&file.path, front(&whole, &file.bytes[file.constants..])).expect("the same again");
    Artifact::open(&file.path).expect("the writer of this test is right");
}

#[test]
fn names_and_labels_that_no_spec_gives_are_refused() {
    let file = written(NETS[0]);
    let whole = manifest(&file);
    for (place, value, wanted) in [
        ("/plan/steps/0/name", Value::from("a\nb"), "one of its names contains a control character"),
        ("/plan/outputs/0/name", "\u{1b}[2J".into(), "one of its names contains a control character"),
        ("/summary", "a\nforged row".into(), "one of its names contains a control character"),
        ("/netc", "\u{1b}[8m".into(), "one of its names contains a control character"),
        ("/untrained", serde_json::json!(["a\nb"]), "one of its names contains a control character"),
        ("/inputs", serde_json::json!([["a\nb", ""]]), "one of its names contains a control character"),
        ("/labels", serde_json::json!(["a", "b"]), "its labels do not match its output"),
        ("/preprocessing/0/std", serde_json::json!([0, 0, 0]), "std"),
        ("/preprocessing", serde_json::json!([]), "its preprocessing does not match its inputs"),
    ] {
        let mut forged = whole.clone();
        *forged.pointer_mut(place).expect("a value") = value;
        fs::write(&file.path, front(&forged, &file.bytes[file.constants..])).expect("a forged file");
        let error = Artifact::open(&file.path).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{place}: {error}");
    }
}

fn manifest(file: &Written) -> Value {
    serde_json::from_slice(&file.bytes[HEADER..file.manifest_end]).expect("JSON")
}

/// Anything but an error or a run within its memory.
fn does_harm(file: &Written, forged: &Value) -> Option<String> {
    fs::write(&file.path, front(forged, &file.bytes[file.constants..])).expect("a forged file");
    let run = catch_unwind(AssertUnwindSafe(|| match Artifact::open(&file.path) {
        // With a different version, the test would be meaningless.
        Err(ArtifactError::Version(version)) => Some(format!("version {version}")),
        Err(_) => None,
        Ok(artifact) => guarded(artifact),
    }));
    run.unwrap_or_else(|_| Some("a panic".into()))
}

/// Runs two images if that is little work; returns whether it wrote outside the borrowed memory.
fn guarded(artifact: Artifact) -> Option<String> {
    let plan = artifact.manifest.plan.clone();
    if floats(&plan) > MAX_FLOATS || plan.work() > MAX_WORK {
        return None;
    }
    let lent = |len: usize, value: f32| {
        let mut all = vec![f32::NAN; len + 2 * GUARD];
        all[GUARD..GUARD + len].fill(value);
        all
    };
    let inputs: Vec<Vec<f32>> = plan.inputs.iter().map(|port| lent(port.floats(2), 0.5)).collect();
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| lent(port.floats(2), 0.0)).collect();
    let given: Vec<&[f32]> = inputs.iter().map(|all| &all[GUARD..all.len() - GUARD]).collect();
    let mut room: Vec<&mut [f32]> = outputs
        .iter_mut()
        .map(|all| {
            let end = all.len() - GUARD;
            &mut all[GUARD..end]
        })
        .collect();
    let _ = Session::new(Arc::new(artifact), 2).run(2, &given, &mut room);
    let whole = |all: &Vec<f32>| {
        let (front, behind) = (&all[..GUARD], &all[all.len() - GUARD..]);
        front.iter().chain(behind).all(|value| value.is_nan())
    };
    (!outputs.iter().all(whole)).then(|| "it writes beside its output".into())
}

/// The cost of a run of two images.
fn floats(plan: &Plan) -> usize {
    let ports = plan.inputs.iter().chain(&plan.outputs).fold(0usize, |sum, port| sum.saturating_add(port.floats(2)));
    let chunks = plan.micro_batch_floats(2).unwrap_or(usize::MAX);
    chunks.saturating_add(2 * plan.batch_floats).saturating_add(plan.scratch_floats(2, 2)).saturating_add(ports)
}

/// The paths of all integers in a plan, or in a part of it.
fn numbers(plan: &Value) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    walk(plan, "/plan".into(), &mut |place, value| found.extend(value.as_u64().map(|number| (place, number))));
    found
}

fn walk(value: &Value, place: String, seen: &mut dyn FnMut(String, &Value)) {
    seen(place.clone(), value);
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, format!("{place}/{at}"), seen));
        }
        Value::Object(entries) => entries.iter().for_each(|(key, item)| walk(item, format!("{place}/{key}"), seen)),
        _ => {}
    }
}

/// The bytes of an artifact with another manifest.
fn front(manifest: &Value, constants: &[u8]) -> Vec<u8> {
    let text = serde_json::to_vec(manifest).expect("JSON");
    let offset = (HEADER + text.len()).next_multiple_of(PAGE);
    let mut bytes = vec![0; offset];
    bytes[..8].copy_from_slice(b"NETC\x00\x1a\x01\n");
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&(text.len() as u64).to_le_bytes());
    bytes[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
    bytes[32..40].copy_from_slice(&(constants.len() as u64).to_le_bytes());
    bytes[40..44].copy_from_slice(&crc32fast::hash(&text).to_le_bytes());
    let sum = crc32fast::hash(&bytes[16..HEADER]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    bytes[HEADER..HEADER + text.len()].copy_from_slice(&text);
    bytes.extend_from_slice(constants);
    bytes
}

/// Written out, so that the constant is not tested against itself.
#[test]
fn what_is_no_regular_file_is_refused() {
    for path in ["/dev/zero", "/dev/null"] {
        if Path::new(path).exists() {
            assert!(matches!(Artifact::open(Path::new(path)), Err(ArtifactError::Unreadable(_))), "{path}");
        }
    }
}
