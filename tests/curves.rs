//! Loss curves of PyTorch and Keras, update by update: the same net, data, initial weights and batches
//! (tests/curves/README.md).

use netc::compile::{Values, graph};
use netc::data::arrays::array_file::read_npz;
use netc::elaborate::load;
use netc::kernels::training::loss::Loss;
use netc::kernels::training::optimizer::UpdateRule;
use netc::runtime::Session;
use netc::train::autodiff::Settings;
use netc::train::autodiff::training_plans::compile;
use netc::weights::bind::bind;
use std::path::Path;

const NET: &str = "Input(8x8x2) >> Conv(3x3, 4) >> Relu >> MaxPool(2x2) >> Flatten >> Relu(8) >> Softmax(3)";
const BATCH: usize = 12;

fn fixture(array: &str) -> Vec<f32> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/curves/curves.npz");
    read_npz(&file, array).expect("a fixture").iter().copied().collect()
}

/// The loss of each update.
fn losses(rule: UpdateRule, rate: f32, updates: usize) -> Vec<f32> {
    let spec = load(NET, &|path| std::fs::read(path)).expect("a spec");
    let (graph, _) = graph(&spec, None).expect("a net");
    let (bindings, _) = bind(&graph, &[]).expect("no weights");
    let settings = Settings::new(rule, &[Loss::CategoricalCrossentropy], 0);
    let trainable = compile(&graph, &settings, BATCH, &Values { graph: &graph, bindings: &bindings }).expect("a plan");
    let mut state = trainable.start.floats().to_vec();
    let place = |path: &str| {
        let tensor = trainable.layout.find(path).unwrap_or_else(|| panic!("{path}"));
        tensor.offset..tensor.offset + tensor.len
    };
    for parameter in &graph.parameters {
        state[place(&parameter.path())].copy_from_slice(&fixture(&parameter.path()));
    }
    // Images are stored in sixteenths.
    let images: Vec<f32> = fixture("images").iter().map(|value| value / 16.0).collect();
    let labels = fixture("labels");
    let mut session = Session::new(trainable.step.clone(), 2);
    let step = |update: usize| {
        state[place("optimizer/rate")][0] = rate;
        state[place("optimizer/update")][0] = f32::from_bits(update as u32);
        let begin = update * BATCH % labels.len();
        let x = &images[begin * 128..(begin + BATCH) * 128];
        let mut y = [0.0; BATCH * 3];
        for (row, &label) in y.chunks_exact_mut(3).zip(&labels[begin..]) {
            row[label as usize] = 1.0;
        }
        let (mut loss, mut prediction) = ([0.0], [0.0; BATCH * 3]);
        session.run_with(BATCH, &[x, &y], &mut [&mut loss, &mut prediction], &mut state).expect("a step");
        loss[0]
    };
    (0..updates).map(step).collect()
}

/// All compute in f32 and in different orders: after 40 updates, losses of up to 1.2 agree to within this.
const TOLERANCE: f32 = 1e-5;

#[test]
fn losses_follow_pytorch_and_keras_update_by_update() {
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-7);
    let momentum = |nesterov| UpdateRule::Momentum { momentum: 0.9, nesterov };
    // PyTorch adds epsilon to the bias-corrected root, as AdamW does; Keras adds it as NeuPy's Adam.
    let adam = UpdateRule::Adam { beta1, beta2, epsilon };
    let adamw = |decay| UpdateRule::AdamW { beta1, beta2, epsilon, decay };
    let cases = [
        ("torch_sgd", UpdateRule::GradientDescent, 0.05),
        ("torch_momentum", momentum(false), 0.01),
        ("torch_nesterov", momentum(true), 0.01),
        ("torch_adam", adamw(0.0), 0.003),
        ("torch_adamw", adamw(0.1), 0.003),
        ("keras_sgd", UpdateRule::GradientDescent, 0.05),
        ("keras_momentum", momentum(false), 0.01),
        ("keras_nesterov", momentum(true), 0.01),
        ("keras_adam", adam, 0.003),
    ];
    for (name, rule, rate) in cases {
        let expected = fixture(name);
        assert_eq!(expected.len(), 40, "{name}");
        assert!(expected[39] < 0.5 * expected[0], "{name}: nothing was learnt");
        for (update, (found, expected)) in losses(rule, rate, 40).into_iter().zip(expected).enumerate() {
            let apart = (found - expected).abs();
            assert!(apart < TOLERANCE, "{name}: update {update}: {found} for {expected}, {apart:.1e} apart");
        }
    }
}
