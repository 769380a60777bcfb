//! `Input`: the input of a network, with its shape and preprocessing.

pub mod preprocessing;

use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::graph::signature::definition::Default;
use crate::graph::training::Backward;
use crate::graph::{
    Argument, Arguments, Arity, AxisRule, Category, Definition, FusionRole, Lowered, Lowering, Operation, ShapeError,
    Value, ValueKind,
};
use crate::tensor::{Size, TensorType};
use ndarray::ArrayD;
use preprocessing::{ChannelOrder, Crop, Interpolation, Preprocessing, Resize};
use std::any::Any;
use std::sync::Arc;

/// The input of a net; inside a chain, an assertion on the shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    pub shape: TensorType,
    /// The preprocessing of photos.
    pub image: Option<Preprocessing>,
}

/// `Input(224x224x3, image=Caffe)`
pub static INPUT: Definition = Definition {
    name: "Input",
    aliases: &[],
    kind: "Input",
    category: Category::Input,
    summary: "The input of a network: its sizes, without the batch.",
    arguments: &[
        Argument {
            name: "shape",
            takes: "sizes",
            default: Default::Required,
            doc: "`224x224x3` for images, `20x64` for sequences, `4096` for features; `?` leaves a size open",
        },
        Argument {
            name: "image",
            takes: "`Caffe`, `Torch`, `Unit`, `Symmetric` or `Image(…)`",
            default: Default::Absent("the net takes arrays only"),
            doc: "preprocessing of photos; it is stored in the artifact",
        },
    ],
    details: "Inside a chain it is an assertion on the shape. It counts as a layer and costs nothing.\n\n\
        The full form of a preprocessing is `Image(resize=256, crop=center, order=bgr, scale=1, mean=[103.939, 116.779, 123.68], std=1)`: \
        the shorter side to `resize` (with antialiasing, bilinear or by `interpolation=bicubic`; `squash` ignores the aspect), the centre of the Input's size (`center_even` \
        begins at an even pixel where the border cannot be halved, as torchvision does), the order of the channels, then (x * scale - mean) / std. Presets: `Caffe` (that one), `Torch`, `Unit`, `Symmetric`; `Caffe(resize=227)` changes an entry.",
    example: "Input(28x28x1, image=Unit) >> Flatten >> Softmax(10)",
    build: |arguments| {
        let sizes = arguments.given("shape").and_then(Value::sizes);
        let sizes =
            sizes.filter(|sizes| !sizes.is_empty() && sizes.iter().all(|size| size.is_none_or(|size| size > 0)));
        let Some(sizes) = sizes else {
            return Err(arguments.wrong("shape", "takes positive sizes such as `224x224x3` or `4096`"));
        };
        let sizes: Vec<Size> =
            sizes.into_iter().map(|size| size.map_or(Size::Open, |size| Size::Known(size as usize))).collect();
        let shape = TensorType::batched(sizes);
        let image = arguments.given("image").map(preprocessing_of).transpose()?.flatten();
        if image.is_some() && shape.image().is_none_or(|(_, _, channels)| !matches!(channels.known(), Some(1 | 3))) {
            return Err(arguments.wrong("image", format!("needs an Input of (height, width, 3 or 1), not {shape}")));
        }
        Ok(Arc::new(Input { shape, image }))
    },
};

/// The entries of `Image(…)`, and of a preset.
pub const IMAGE: &[Argument] = &[
    Argument {
        name: "resize",
        takes: "integer or `squash`",
        default: Default::Int(256),
        doc: "the shorter side, in pixels",
    },
    Argument {
        name: "interpolation",
        takes: "`bilinear` or `bicubic`",
        default: Default::Word("bilinear"),
        doc: "the filter of resizing, with antialiasing (Pillow's; most networks of timm take `bicubic`)",
    },
    Argument {
        name: "crop",
        takes: "`center` or `center_even`",
        default: Default::Word("center"),
        doc: "which part of the resized photo is used: the middle; `center_even` begins at an even pixel where the border cannot be halved (torchvision)",
    },
    Argument {
        name: "order",
        takes: "`rgb` or `bgr`",
        default: Default::Word("rgb"),
        doc: "the order of the channels",
    },
    Argument { name: "scale", takes: "number", default: Default::Float(1.0), doc: "factor of the bytes 0 to 255" },
    Argument { name: "mean", takes: "number or three", default: Default::Float(0.0), doc: "subtracted, per channel" },
    Argument { name: "std", takes: "number or three", default: Default::Float(1.0), doc: "divisor, per channel" },
];

/// Reads a preprocessing: `Caffe`, `Caffe(resize=227)`, `Image(…)`, or `none`.
///
/// # Errors
/// A value of another kind, an unknown preset, or wrong arguments.
pub fn preprocessing_of(value: &Value) -> Result<Option<Preprocessing>, Diagnostic> {
    let wrong = || {
        let names = Preprocessing::PRESETS.into_iter().chain(["Image(…)"]);
        Diagnostic::new(Code::WrongArgument, format!("`image` takes {}", suggest::one_of(names)))
            .at(value.span, format!("this is {}", value.kind.described()))
    };
    let (name, entries) = match &value.kind {
        ValueKind::Word(name) if name == "none" => return Ok(None),
        ValueKind::Word(name) => (name, Vec::new()),
        ValueKind::Construct { name, arguments } => (name, arguments.clone()),
        _ => return Err(wrong()),
    };
    let mut preset = match Preprocessing::preset(name) {
        Some(preset) => preset,
        None if name == "Image" => {
            Preprocessing { resize: Resize::ShorterSide(256), std: [1.0; 3], ..Preprocessing::unit() }
        }
        None => {
            let near = suggest::nearest(name, Preprocessing::PRESETS);
            return Err(wrong().suggest_name(value.span.head(name.len()), name, near));
        }
    };
    let entries = Arguments::bind("Image", IMAGE, entries, value.span)
        .map_err(|errors| errors.iter().next().cloned().unwrap_or_else(wrong))?;
    if let Some(value) = entries.given("resize") {
        preset.resize = match &value.kind {
            ValueKind::Word(word) if word == "squash" => Resize::Squash,
            ValueKind::Int(size) if (1..=i64::from(Preprocessing::MAX_RESIZE)).contains(size) => {
                Resize::ShorterSide(*size as u32)
            }
            _ => return Err(entries.wrong("resize", "takes a number of pixels or `squash`")),
        };
    }
    preset.interpolation = chosen(&entries, "interpolation", Interpolation::WORDS, preset.interpolation)?;
    preset.crop = chosen(&entries, "crop", Crop::WORDS, preset.crop)?;
    if entries.given("order").is_some() {
        preset.order = match entries.word("order", &["rgb", "bgr"])? {
            "bgr" => ChannelOrder::Bgr,
            _ => ChannelOrder::Rgb,
        };
    }
    if entries.given("scale").is_some() {
        preset.scale = entries.number("scale")? as f32;
    }
    if let Some(value) = entries.given("mean") {
        preset.mean = per_channel(value).ok_or_else(|| entries.wrong("mean", "takes a number or a list of three"))?;
    }
    if let Some(value) = entries.given("std") {
        preset.std = per_channel(value).ok_or_else(|| entries.wrong("std", "takes a number or a list of three"))?;
    }
    preset.check().map_err(|error| Diagnostic::new(Code::WrongArgument, error.to_string()).at(value.span, "here"))?;
    Ok(Some(preset))
}

/// The value of an entry that takes a word; `otherwise` if it is not given.
fn chosen<T: Copy>(
    entries: &Arguments,
    name: &'static str,
    words: [(&'static str, T); 2],
    otherwise: T,
) -> Result<T, Diagnostic> {
    if entries.given(name).is_none() {
        return Ok(otherwise);
    }
    let word = entries.word(name, &words.map(|(word, _)| word))?;
    Ok(words.into_iter().find(|(known, _)| *known == word).map_or(otherwise, |(_, value)| value))
}

fn per_channel(value: &Value) -> Option<[f32; 3]> {
    match &value.kind {
        ValueKind::List(list) => match &list[..] {
            [a, b, c] => Some([a.number()? as f32, b.number()? as f32, c.number()? as f32]),
            _ => None,
        },
        _ => value.number().map(|number| [number as f32; 3]),
    }
}

impl Operation for Input {
    fn definition(&self) -> &'static Definition {
        &INPUT
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let sizes: Vec<String> = self.shape.sizes.iter().map(Size::to_string).collect();
        let mut list = vec![("shape", sizes.join("x"))];
        if let Some(image) = &self.image {
            list.push(("image", image.to_string()));
        }
        list
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType, ShapeError> {
        let Some(given) = inputs.first() else { return Ok(self.shape.clone()) };
        if !given.agrees(&self.shape) {
            return Err(ShapeError::new(
                Code::Mismatch,
                format!("`Input` expects {}, but gets {given}", self.shape),
                format!("asserts {}", self.shape),
            ));
        }
        let sizes: Vec<Size> = given.sizes.iter().zip(&self.shape.sizes).map(|(a, b)| a.meet(*b)).collect();
        Ok(TensorType::batched(sizes))
    }

    fn axis_rule(&self, _: &[&TensorType]) -> AxisRule {
        AxisRule::Pointwise
    }

    fn arity(&self) -> Arity {
        Arity::Source
    }

    fn evaluate(&self, inputs: &[&ArrayD<f64>], _: &[&ArrayD<f64>]) -> ArrayD<f64> {
        inputs[0].clone()
    }

    fn lower(&self, _: &Lowering) -> Result<Lowered, String> {
        Ok(Lowered::View)
    }

    /// Inside a net it is an identity, and so is its gradient.
    fn differentiate(&self, cx: &mut Backward<'_>) -> Result<(), String> {
        cx.set_grad_input(0, cx.gradient);
        Ok(())
    }

    fn fusion_role(&self) -> FusionRole<'_> {
        FusionRole::Identity
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
