//! The specs embedded in the program: architectures that every spec can use without `use`.

use crate::source::SourceFile;

/// A shipped spec: the name of its net, and its source.
#[derive(Debug)]
pub struct Spec {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! specs {
    ($($name:literal)*) => {
        /// Every shipped spec, in the order of `netc help`.
        pub static SPECS: &[Spec] = &[
            $(Spec { name: $name, text: include_str!(concat!("../../../specs/", $name, ".net")) },)*
        ];
    };
}

specs! {
    "vgg16"
    "vgg19"
    "alexnet"
    "squeezenet"
    "squeezenet1_1"
    "googlenet"
    "inception_v3"
    "resnet50"
    "resnet50_keras"
    "resnext50"
    "regnet_y_400mf"
    "densenet121"
    "mobilenet_v2"
    "mobilenet_v3_small"
    "mobilenet_v3_large"
    "shufflenet_v2"
    "efficientnet_lite0"
    "efficientnet_b0"
    "convnext_tiny"
    "deit_tiny"
    "unet"
    "deeplab_v3"
    "yolov3_tiny"
    "dcgan"
    "siamese"
    "lstm_text"
    "bigru_text"
    "bert_tiny"
    "mixture_of_experts"
}

/// The label files of shipped specs, one class per line.
static LABELS: &[(&str, &str)] =
    &[("samples/imagenet_labels.txt", include_str!("../../../specs/samples/imagenet_labels.txt"))];

/// The text of a label file of a shipped spec.
pub fn labels(name: &str) -> Option<&'static str> {
    LABELS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A shipped spec as a source file.
pub fn source(spec: &Spec) -> SourceFile {
    SourceFile { name: format!("{}.net", spec.name), path: None, text: spec.text.to_string(), shipped: true }
}

/// The shipped spec with this name.
pub fn find(name: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.name == name)
}
