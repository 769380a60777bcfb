//! Single kernels at the sizes of real networks: convolution algorithms on VGG16's layers, dense layers, depthwise
//! convolutions, pooling. `cargo bench --profile release --bench kernels -- vgg16/conv3` measures those whose name holds the word.

use netc::kernels::conv_direct;
use netc::kernels::threads::Threads;
use netc::kernels::view::{Convolution, Window};
use netc::kernels::winograd::Blocking;
use netc::plan::steps::convolution::{Algorithm, ConvolutionStep, TILES};
use netc::plan::steps::dense::DenseStep;
use netc::plan::steps::pool::{PoolStep, Reduction};
use netc::plan::trial::Trial;
use netc::plan::{Epilogue, Kernel, StepKernel};
use std::time::{Duration, Instant};

fn window(size: usize, kernel: usize, stride: usize, pad: usize) -> Window {
    let out = (size + 2 * pad - kernel) / stride + 1;
    Window {
        in_h: size,
        in_w: size,
        out_h: out,
        out_w: out,
        kernel_h: kernel,
        kernel_w: kernel,
        stride_h: stride,
        stride_w: stride,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: pad,
        pad_left: pad,
    }
}

/// Runs of each kernel at least; the median is what is printed.
const RUNS: usize = 10;
/// Each kernel is measured for so long.
const TIME: Duration = Duration::from_millis(600);

/// What is measured: the threads, and a word that names must hold.
struct Bench {
    threads: Threads,
    filter: String,
}

impl Bench {
    /// Measures a kernel; the rate counts the multiply-adds of the direct method.
    fn measure(&self, name: &str, kernel: &Kernel, batch: usize) {
        if !name.contains(&self.filter) {
            return;
        }
        let Some(mut trial) = Trial::new(kernel, batch, &self.threads) else { return };
        let direct = match kernel {
            Kernel::Convolution(step) => step.direct_arithmetic(),
            kernel => kernel.arithmetic(),
        };
        let mut time = || {
            let start = Instant::now();
            trial.run(&self.threads).expect("the kernel takes any values");
            start.elapsed()
        };
        time();
        let mut times = Vec::new();
        while times.len() < RUNS || times.iter().sum::<Duration>() < TIME {
            times.push(time());
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        let rate = 2.0 * (direct * batch as u64) as f64 / median.as_secs_f64() / 1e9;
        let rate = if direct > 0 { format!("  {rate:7.1} GFLOP/s") } else { String::new() };
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
        let geometry = Convolution { window: window(size, kernel, 1, kernel / 2), in_c, out_c, groups: 1 };
        for batch in [1, 8] {
            let mut list = vec![Algorithm::Im2col];
            list.extend(conv_direct::supports(&geometry).then_some(Algorithm::Direct));
            let tiles = TILES.into_iter().filter(|tile| tile.supports(&geometry));
            list.extend(tiles.map(|tile| Algorithm::Winograd(Blocking::new(tile, &geometry, batch))));
            for algorithm in list {
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
        let geometry =
            Convolution { window: window(size, 3, stride, 1), in_c: channels, out_c: channels, groups: channels };
        let mut step = ConvolutionStep::new(geometry, true, Epilogue::default());
        step.algorithm = Algorithm::Depthwise;
        let name = format!("{size}x{size}x{channels} stride {stride}");
        bench.measure(&format!("depthwise/{name}"), &Kernel::Convolution(step), 1);
    }
}

fn pools(bench: &Bench) {
    for (size, kernel, channels) in [(224, 2, 64), (112, 3, 64), (55, 3, 64), (27, 3, 192)] {
        let pool = PoolStep { window: window(size, kernel, 2, 0), channels, reduction: Reduction::Maximum };
        bench.measure(&format!("pool/{size}x{size}x{channels} {kernel}x{kernel}"), &Kernel::Pool(pool), 1);
    }
}

fn main() {
    // Cargo's own flags begin with dashes.
    let filter = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let bench = Bench { threads: Threads::new(netc::runtime::threads::available()), filter };
    convolutions(&bench);
    dense_layers(&bench);
    depthwise(&bench);
    pools(&bench);
}
