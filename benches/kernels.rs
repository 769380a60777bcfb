//! Benchmarks of single kernels at the sizes of real networks: convolution algorithms on VGG16's layers, dense layers,
//! depthwise convolutions, pooling, activations, reductions, GEMM. `cargo bench --profile release --bench kernels -- vgg16/conv3`
//! runs those whose name contains the word.

use netc::kernels::attention::Attention;
use netc::kernels::conv::Algorithm;
use netc::kernels::conv::depthwise::Depthwise;
use netc::kernels::elementwise::activation::Activation;
use netc::kernels::gemm::{self, Backend, Operand, Product};
use netc::kernels::movement::resample::{Interpolation, Resize, ResizeAxis};
use netc::kernels::parallel::thread_pool::ThreadPool;
use netc::kernels::reduce::Axes;
use netc::kernels::tensor_view::{Convolution, ViewMut, Window};
use netc::plan::Kernel;
use netc::plan::epilogue::Epilogue;
use netc::plan::kernel_timing::KernelTiming;
use netc::plan::steps::convolution::ConvolutionStep;
use netc::plan::steps::dense::DenseStep;
use netc::plan::steps::gradient::resize_gradient::ResizeGradientStep;
use netc::plan::steps::norm::layer_norm::LayerNormStep;
use netc::plan::steps::pointwise::ActivationStep;
use netc::plan::steps::pool::{PoolStep, Reduction};
use netc::plan::steps::reduce::{ReduceStep, SoftmaxAlongStep};
use netc::plan::steps::resize::ResizeStep;
use netc::plan::steps::sequence::attention::AttentionStep;
use std::time::{Duration, Instant};

/// Minimum runs of each kernel; the median is printed.
const MIN_RUNS: usize = 10;
/// Minimum time to measure each kernel for.
const MIN_TIME: Duration = Duration::from_millis(600);

/// The thread pool, and the word that a benchmark's name must contain.
struct Bench {
    threads: ThreadPool,
    filter: String,
}

impl Bench {
    /// Measures a kernel; the GFLOP/s count the multiply-adds of the direct method.
    fn measure(&self, name: &str, kernel: &Kernel, batch: usize) {
        if !name.contains(&self.filter) {
            return;
        }
        let Some(mut timing) = KernelTiming::new(kernel, batch, 0, &self.threads) else { return };
        let direct_macs = match kernel {
            Kernel::Convolution(step) => step.direct_arithmetic(),
            kernel => kernel.executed_macs(),
        };
        let mut time = || {
            let start = Instant::now();
            timing.run(&self.threads).expect("the kernel runs");
            start.elapsed()
        };
        time();
        let mut times = Vec::new();
        while times.len() < MIN_RUNS || times.iter().sum::<Duration>() < MIN_TIME {
            times.push(time());
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        let rate = 2.0 * (direct_macs * batch as u64) as f64 / median.as_secs_f64() / 1e9;
        let rate = if direct_macs > 0 { format!("  {rate:7.1} GFLOP/s") } else { String::new() };
        println!("{name:70} median {:>9.1?}  fastest {:>9.1?}{rate}", median, times[0]);
    }
}

fn convolutions(bench: &Bench) {
    let layers = [
        ("vgg16/conv1_1", 224, 3, (3, 64)),
        ("vgg16/conv1_2", 224, 3, (64, 64)),
        ("vgg16/conv2_1", 112, 3, (64, 128)),
        ("vgg16/conv2_2", 112, 3, (128, 128)),
        ("vgg16/conv3_1", 56, 3, (128, 256)),
        ("vgg16/conv3_2", 56, 3, (256, 256)),
        ("vgg16/conv4_1", 28, 3, (256, 512)),
        ("vgg16/conv4_2", 28, 3, (512, 512)),
        ("vgg16/conv5_1", 14, 3, (512, 512)),
        ("alexnet/conv2", 27, 5, (64, 192)),
    ];
    for (layer, size, kernel, (in_c, out_c)) in layers {
        let geometry = Convolution { window: Window::square(size, kernel, 1, kernel / 2), in_c, out_c, groups: 1 };
        for batch in [1, 8] {
            for algorithm in Algorithm::candidates(&geometry, None, batch) {
                let mut step = ConvolutionStep::new(geometry, true, Epilogue::default());
                step.algorithm = algorithm;
                let name = format!("{layer} batch {batch} {algorithm}");
                bench.measure(&name, &Kernel::Convolution(step), batch);
            }
        }
    }
}

fn dense_layers(bench: &Bench) {
    for (inputs, outputs) in [(25_088, 4096), (4096, 4096), (4096, 1000), (1280, 1000)] {
        for batch in [1, 8] {
            let kernel = Kernel::Dense(DenseStep::new(inputs, outputs, true, Epilogue::default()));
            bench.measure(&format!("dense/{inputs}x{outputs} batch {batch}"), &kernel, batch);
        }
    }
}

fn depthwise(bench: &Bench) {
    for (size, channels, stride) in [(112, 32, 1), (112, 96, 2), (56, 144, 1), (28, 192, 1), (14, 576, 1), (7, 960, 1)]
    {
        let geometry = Convolution {
            window: Window::square(size, 3, stride, 1),
            in_c: channels,
            out_c: channels,
            groups: channels,
        };
        let mut step = ConvolutionStep::new(geometry, true, Epilogue::default());
        step.algorithm = Algorithm::Depthwise(Depthwise);
        let name = format!("{size}x{size}x{channels} stride {stride}");
        bench.measure(&format!("depthwise/{name}"), &Kernel::Convolution(step), 1);
    }
}

fn pools(bench: &Bench) {
    for (size, kernel, channels) in [(224, 2, 64), (112, 3, 64), (55, 3, 64), (27, 3, 192)] {
        let pool = PoolStep { window: Window::square(size, kernel, 2, 0), channels, reduction: Reduction::Maximum };
        bench.measure(&format!("pool/{size}x{size}x{channels} {kernel}x{kernel}"), &Kernel::Pool(pool), 1);
    }
}

/// Elementwise functions on an image of 56x56x64.
fn activations(bench: &Bench) {
    let functions = [
        Activation::Relu { alpha: 0.0 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Exp,
        Activation::Log,
        Activation::Sqrt,
        Activation::Power { exponent: 3.0 },
        Activation::Power { exponent: 1.0 / 3.0 },
    ];
    for activation in functions {
        let step = ActivationStep { pixels: 56 * 56, channels: 64, activation };
        bench.measure(&format!("activation/{activation}"), &Kernel::Activation(step), 1);
    }
}

/// Reductions and softmax along axes of an image of 56x56x64.
fn reductions(bench: &Bench) {
    let axes = [("height", 1, 56, 56), ("width", 56, 56, 1), ("channels", 56 * 56, 1, 1)];
    for (name, outer, len, inner) in axes {
        let axes = Axes { outer, len, inner, channels: 64, over_channels: len == 1 };
        for reduction in [Reduction::Average, Reduction::Maximum] {
            let name = format!("reduce/{} over {name}", reduction.name());
            bench.measure(&name, &Kernel::Reduce(ReduceStep { axes, reduction }), 1);
        }
        if !axes.over_channels {
            bench.measure(&format!("softmax/{name}"), &Kernel::SoftmaxAlong(SoftmaxAlongStep { axes }), 1);
        }
    }
}

fn resizes(bench: &Bench) {
    let axis = |input: usize, output: usize| ResizeAxis { input, output, ratio: input as f64 / output as f64 };
    for (input, output, channels) in [(56, 112, 64), (32, 64, 256), (640, 224, 3), (100, 224, 3)] {
        for interpolation in Interpolation::ALL {
            let axis = axis(input, output);
            let resize = Resize { rows: axis, columns: axis, channels, interpolation, half_pixels: true };
            let name = format!("resize/{input} to {output}x{channels} {}", interpolation.name());
            let forward = ResizeStep { resize };
            bench.measure(
                &format!("{name} gradient"),
                &Kernel::ResizeGradient(ResizeGradientStep { forward: forward.clone() }),
                1,
            );
            bench.measure(&name, &Kernel::Resize(forward), 1);
        }
    }
}

/// Attention and layer norm of vision transformers (tiny, base) and of a long text.
fn attention(bench: &Bench) {
    for (steps, heads) in [(197, 3), (197, 12), (1024, 8)] {
        let size = Attention { queries: steps, keys: steps, heads, depth: 64, causal: false };
        let kernel = Kernel::Attention(AttentionStep { size, memory: false, mask: None });
        bench.measure(&format!("attention/{steps} steps, {heads} heads"), &kernel, 1);
        let norm =
            LayerNormStep { pixels: steps, channels: size.features(), epsilon: 1e-6, activation: Default::default() };
        bench.measure(&format!("layer norm/{steps}x{}", size.features()), &Kernel::LayerNorm(norm), 1);
    }
}

/// GEMMs of training, by each backend in turn: `(rows, columns, depth)` and which operands are transposed.
fn products(bench: &Bench) {
    let shapes = [
        ("dense forward 32", (32, 4096, 4096), (false, false)),
        ("dense forward 8", (8, 1024, 4096), (false, false)),
        ("dense input gradient 32", (32, 4096, 4096), (false, true)),
        ("dense weight gradient 32", (4096, 4096, 32), (true, false)),
        ("square 512", (512, 512, 512), (false, false)),
        ("1x1 weight gradient", (256, 512, 3136), (true, false)),
        ("3x3 weight gradient", (576, 64, 3136), (true, false)),
        ("Winograd weight gradient", (256, 256, 784), (true, false)),
        ("strided input gradient", (96, 256, 512), (false, true)),
        ("49 rows", (49, 512, 512), (false, false)),
    ];
    for (name, (rows, columns, depth), (transpose_a, transpose_b)) in shapes {
        let name = format!("product/{name}");
        if !name.contains(&bench.filter) {
            continue;
        }
        let values = |len: usize| -> Vec<f32> { (0..len).map(|index| (index % 251) as f32 / 251.0 - 0.5).collect() };
        let (a, b, mut c) = (values(rows * depth), values(depth * columns), vec![0.0; rows * columns]);
        let mut time = |backend: Backend| {
            let product = Product { rows, columns, depth, alpha: 1.0, beta: 0.0, backend };
            let left = Operand { data: &a, ld: if transpose_a { rows } else { depth }, transposed: transpose_a };
            let right = Operand { data: &b, ld: if transpose_b { depth } else { columns }, transposed: transpose_b };
            let mut scratch = vec![0.0; product.scratch_len()];
            let start = Instant::now();
            gemm::multiply(
                &bench.threads,
                &product,
                left,
                right,
                ViewMut { data: &mut c, ld: columns, image: 0 },
                &mut scratch,
            );
            start.elapsed()
        };
        let mut times = [Vec::new(), Vec::new()];
        while times[0].len() < MIN_RUNS || times[0].iter().sum::<Duration>() < MIN_TIME {
            for (times, backend) in times.iter_mut().zip([Backend::Tiles, Backend::Blas]) {
                times.push(time(backend));
            }
        }
        let [tiles, blas] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        let ratio = tiles.as_secs_f64() / blas.as_secs_f64();
        println!("{name:40} tiles {tiles:>9.1?}  BLAS {blas:>9.1?}  tiles / BLAS {ratio:.2}");
    }
}

fn main() {
    // Arguments that start with dashes are flags of cargo.
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let bench = Bench { threads: ThreadPool::new(netc::runtime::thread_count::available()), filter };
    convolutions(&bench);
    dense_layers(&bench);
    depthwise(&bench);
    pools(&bench);
    activations(&bench);
    reductions(&bench);
    resizes(&bench);
    attention(&bench);
    println!("BLAS: {}", gemm::blas::name().as_deref().unwrap_or("none"));
    products(&bench);
}
