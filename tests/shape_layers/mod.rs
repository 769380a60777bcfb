//! Layers that resample, rearrange or slide along sequences, against what PyTorch computes (make.py).

use super::{TOLERANCE, difference, double, lower, run};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzReader;
use netc::elaborate::load;
use netc::graph::{Lowered, Operation};
use netc::kernels::movement::border::Border;
use netc::plan::Kernel;
use netc::plan::steps::gradient::pool_gradient::PoolGradientStep;
use netc::plan::steps::gradient::resize_gradient::{PadGradientStep, ResizeGradientStep};
use netc::plan::steps::pool::Reduction;
use netc::plan::steps::resize::{CropStep, PadStep};
use netc::tensor::TensorType;
use std::fs::File;
use std::sync::Arc;

/// Case and layer.
const SHAPES: &[(&str, &str)] = &[
    ("nearest_up", "Resize(9x16)"),
    ("nearest_down", "Resize(4x3)"),
    ("nearest_same", "Resize([4, 9])"),
    ("nearest_one", "Resize(1)"),
    ("nearest_grow", "Resize(3x5)"),
    ("nearest_twice", "Resize(scale=2)"),
    ("nearest_fraction", "Resize(scale=1.5)"),
    ("nearest_shrink", "Resize(scale=0.6)"),
    ("nearest_sides", "Resize(scale=[2, 1.3])"),
    ("bilinear_up", "Resize(9x16, mode=bilinear)"),
    ("bilinear_down", "Resize(4x3, mode=bilinear)"),
    ("bilinear_same", "Resize(4x9, mode=bilinear)"),
    ("bilinear_one", "Resize(1, mode=bilinear)"),
    ("bilinear_grow", "Resize(3x5, mode=bilinear)"),
    ("bilinear_twice", "Resize(scale=2, mode=bilinear)"),
    ("bilinear_fraction", "Resize(scale=1.5, mode=bilinear)"),
    ("bilinear_shrink", "Resize(scale=0.6, mode=bilinear)"),
    ("bilinear_sides", "Resize(scale=[2, 1.3], mode=bilinear)"),
    ("bilinear_up_corners", "Resize(9x16, mode=bilinear, align_corners=true)"),
    ("bilinear_down_corners", "Resize(4x3, mode=bilinear, align_corners=true)"),
    ("bilinear_same_corners", "Resize(4x9, mode=bilinear, align_corners=true)"),
    ("bilinear_one_corners", "Resize(1, mode=bilinear, align_corners=true)"),
    ("bilinear_grow_corners", "Resize(3x5, mode=bilinear, align_corners=true)"),
    ("bilinear_twice_corners", "Resize(scale=2, mode=bilinear, align_corners=true)"),
    ("bilinear_fraction_corners", "Resize(scale=1.5, mode=bilinear, align_corners=true)"),
    ("bilinear_shrink_corners", "Resize(scale=0.6, mode=bilinear, align_corners=true)"),
    ("bilinear_sides_corners", "Resize(scale=[2, 1.3], mode=bilinear, align_corners=true)"),
    ("bicubic_up", "Resize(9x16, mode=bicubic)"),
    ("bicubic_down", "Resize(4x3, mode=bicubic)"),
    ("bicubic_same", "Resize(4x9, mode=bicubic)"),
    ("bicubic_one", "Resize(1, mode=bicubic)"),
    ("bicubic_grow", "Resize(3x5, mode=bicubic)"),
    ("bicubic_twice", "Resize(scale=2, mode=bicubic)"),
    ("bicubic_fraction", "Resize(scale=1.5, mode=bicubic)"),
    ("bicubic_shrink", "Resize(scale=0.6, mode=bicubic)"),
    ("bicubic_sides", "Resize(scale=[2, 1.3], mode=bicubic)"),
    ("bicubic_up_corners", "Resize(9x16, mode=bicubic, align_corners=true)"),
    ("bicubic_down_corners", "Resize(4x3, mode=bicubic, align_corners=true)"),
    ("bicubic_same_corners", "Resize(4x9, mode=bicubic, align_corners=true)"),
    ("bicubic_one_corners", "Resize(1, mode=bicubic, align_corners=true)"),
    ("bicubic_grow_corners", "Resize(3x5, mode=bicubic, align_corners=true)"),
    ("bicubic_twice_corners", "Resize(scale=2, mode=bicubic, align_corners=true)"),
    ("bicubic_fraction_corners", "Resize(scale=1.5, mode=bicubic, align_corners=true)"),
    ("bicubic_shrink_corners", "Resize(scale=0.6, mode=bicubic, align_corners=true)"),
    ("bicubic_sides_corners", "Resize(scale=[2, 1.3], mode=bicubic, align_corners=true)"),
    ("shuffle", "Shuffle(3)"),
    ("pixel_shuffle", "DepthToSpace(2, order=crd)"),
    ("pixel_unshuffle", "SpaceToDepth(2, order=crd)"),
    ("depth_to_space", "DepthToSpace(3)"),
    ("space_to_depth", "SpaceToDepth(2)"),
    ("reflect", "Pad([3, 0, 2, 1], mode=reflect)"),
    ("edge", "Pad([0, 5, 2, 4], mode=edge)"),
    ("zero", "Pad(1)"),
    ("zero", "ZeroPad(1)"),
    ("crop", "Crop([1, 0, 2, 3])"),
];

const TRANSPOSED: &[(&str, &str)] = &[
    ("transposed_valid", "ConvTranspose(3x3, 4, stride=2)"),
    ("transposed_padded", "ConvTranspose(4x4, 4, stride=2, padding=1)"),
    ("transposed_output_padding", "ConvTranspose(3x3, 17, stride=2, padding=1, output_padding=1)"),
    ("transposed_groups", "ConvTranspose(3x2, 4, stride=[1, 2], padding=[1, 0], groups=2)"),
    ("transposed_dilation", "ConvTranspose(3x2, 5, stride=[2, 3], dilation=[2, 3], output_padding=[1, 2])"),
    ("transposed_gaps", "ConvTranspose(2x2, 3, stride=3)"),
    ("transposed_depthwise", "ConvTranspose(4x4, 6, stride=2, padding=1, groups=6)"),
    ("transposed_sides", "ConvTranspose(3x3, 4, stride=2, padding=[1, 0, 0, 1])"),
    ("transposed_same", "ConvTranspose(5x5, 4, stride=2, padding=same)"),
    ("transposed_same_one", "ConvTranspose(4x3, 4, padding=same)"),
];

const SEQUENCES: &[(&str, &str)] = &[
    ("conv1d", "Conv(3, 8)"),
    ("conv1d_padded", "Conv(3, 17, padding=1, stride=2)"),
    ("conv1d_dilation", "Conv(3, 4, dilation=2, groups=2)"),
    ("conv1d_same", "Conv(4, 4, padding=same)"),
    ("conv1d_depthwise", "DepthwiseConv(3, multiplier=2)"),
    ("conv1d_wave", "Conv(16, 8, stride=4)"),
    ("max1d", "MaxPool(2)"),
    ("max1d_padded", "MaxPool(3, stride=2, padding=1)"),
    ("average1d", "AvgPool(3, stride=2, padding=1)"),
    ("average1d_ceil", "AvgPool(2, ceil=true)"),
    ("mean1d", "GlobalPool(avg)"),
    ("largest1d", "GlobalPool(max)"),
    ("group_norm1d", "GroupNorm(3)"),
];

/// The arrays of the cases.
struct Reference(NpzReader<File>);

impl Reference {
    fn open() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shape_layers/reference.npz");
        Reference(NpzReader::new(File::open(path).unwrap()).unwrap())
    }

    fn array(&mut self, case: &str, array: &str) -> ArrayD<f32> {
        let name = format!("{case}.{array}");
        let values: ArrayD<f32> = self.0.by_name(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        values.as_standard_layout().into_owned()
    }
}

fn layer(text: &str, sizes: &[usize]) -> Arc<dyn Operation> {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let net = format!("Input({}) >> {text}", sizes.join("x"));
    let spec = load(&net, &|path| std::fs::read(path)).unwrap_or_else(|_| panic!("{net}"));
    let (graph, _) = netc::compile::graph(&spec, None).unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
    graph.node(graph.outputs[0]).operation.clone()
}

/// The kernel of the gradient by the only input, of layers without parameters; tests/gradients.rs has the others.
fn gradient(kernel: &Kernel) -> Option<Kernel> {
    Some(match kernel.clone() {
        Kernel::Resize(forward) => Kernel::ResizeGradient(ResizeGradientStep { forward }),
        Kernel::Pad(PadStep { geometry, border: Border::Zero }) => Kernel::Crop(CropStep { geometry }),
        Kernel::Pad(forward) => Kernel::PadGradient(PadGradientStep { forward }),
        Kernel::Crop(CropStep { geometry }) => Kernel::Pad(PadStep { geometry, border: Border::Zero }),
        Kernel::Transpose(forward) => Kernel::Transpose(forward.inverse()),
        Kernel::Pool(pool) if pool.reduction == Reduction::Average => Kernel::PoolGradient(PoolGradientStep { pool }),
        _ => return None,
    })
}

fn check(cases: &[(&str, &str)], all_gradients: bool) {
    let mut reference = Reference::open();
    for (case, text) in cases {
        let (x, y) = (reference.array(case, "x"), reference.array(case, "y"));
        let operation = layer(text, &x.shape()[1..]);
        let from = TensorType::of(&x.shape()[1..]);
        let specs = operation.parameters(&[&from]).unwrap();
        let parameters: Vec<ArrayD<f32>> = specs
            .iter()
            .map(|spec| {
                let values = reference.array(case, spec.role);
                // A normalisation's scale has an axis of one for each axis of its input.
                let bare: Vec<usize> = spec.shape.iter().copied().skip_while(|&size| size == 1).collect();
                assert!(values.shape() == &spec.shape[..] || values.shape() == &bare[..], "{case}: {:?}", spec.shape);
                values.to_shape(IxDyn(&spec.shape)).unwrap().into_owned()
            })
            .collect();
        let doubles: Vec<ArrayD<f64>> = parameters.iter().map(double).collect();
        let exact = operation.evaluate(&[&double(&x)], &doubles.iter().collect::<Vec<_>>());
        // The pools over everything keep an axis of one in the file.
        assert_eq!(exact.len(), y.len(), "{case}: {:?} for {:?}", exact.shape(), y.shape());
        let loops = difference(y.as_slice().unwrap(), &exact);
        let Lowered::Step(kernel) = lower(operation.as_ref(), &x.shape()[1..]) else { panic!("{text} is no step") };
        let mut worst = loops;
        for gap in [0, 3] {
            worst = worst.max(difference(&run(&kernel, &x, &parameters, false, gap).unwrap(), &double(&y)));
        }
        match gradient(&kernel) {
            // A permutation is between tensors without gaps.
            Some(back) => {
                let (dy, dx) = (reference.array(case, "dy"), reference.array(case, "dx"));
                worst = worst.max(difference(&run(&back, &dy, &[], false, 0).unwrap(), &double(&dx)));
            }
            None => assert!(!all_gradients, "{text} has no gradient"),
        }
        assert!(worst <= TOLERANCE, "{text}: {worst:e} from PyTorch, the loops {loops:e}");
    }
}

#[test]
fn images_are_resized_and_rearranged_as_in_pytorch() {
    check(SHAPES, true);
}

#[test]
fn transposed_convolutions_are_pytorchs() {
    check(TRANSPOSED, false);
}

#[test]
fn sequences_are_convolved_and_pooled_as_in_pytorch() {
    check(SEQUENCES, false);
}
