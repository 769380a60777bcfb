//! `augment = …`: random changes of photos.

use super::choice::{Choice, argument};
use crate::data::photos::augment::Augmentation;
use crate::graph::signature::definition::Default;

/// Every augmentation; a list combines them.
pub static AUGMENTATIONS: &[Choice<Augmentation>] = &[
    Choice {
        name: "flip",
        summary: "mirrors half of the photos, left to right",
        arguments: &[],
        build: |_| Ok(Augmentation { flip: true, ..Augmentation::default() }),
    },
    Choice {
        name: "crop",
        summary: "takes a random part of the photo, with a ratio from 3/4 to 4/3",
        arguments: &[argument(
            "area",
            "number from 0 to 1",
            Default::Float(0.5),
            "the minimum share of the photo's area",
        )],
        build: |arguments| {
            let area = arguments.number_within("area", 0.01, 1.0)?;
            Ok(Augmentation { crop: Some(area), ..Augmentation::default() })
        },
    },
    Choice {
        name: "rotate",
        summary: "rotates the photo about its centre",
        arguments: &[argument(
            "degrees",
            "number from 0 to 180",
            Default::Float(10.0),
            "the maximum angle in either direction",
        )],
        build: |arguments| {
            let rotate = arguments.number_within("degrees", 0.0, 180.0)?;
            Ok(Augmentation { rotate, ..Augmentation::default() })
        },
    },
    Choice {
        name: "colour",
        summary: "multiplies brightness, contrast and saturation by factors from 1 - x to 1 + x",
        arguments: &[
            argument("brightness", "number", Default::Float(0.2), "x of the brightness"),
            argument("contrast", "number", Default::Float(0.2), "x of the contrast"),
            argument("saturation", "number", Default::Float(0.2), "x of the saturation"),
        ],
        build: |arguments| {
            let within = |name: &str| arguments.number_within(name, 0.0, 10.0);
            let (brightness, contrast) = (within("brightness")?, within("contrast")?);
            Ok(Augmentation { brightness, contrast, saturation: within("saturation")?, ..Augmentation::default() })
        },
    },
];

/// Applies both augmentations.
pub fn combine(a: Augmentation, b: Augmentation) -> Augmentation {
    Augmentation {
        flip: a.flip || b.flip,
        crop: a.crop.or(b.crop),
        rotate: a.rotate.max(b.rotate),
        brightness: a.brightness.max(b.brightness),
        contrast: a.contrast.max(b.contrast),
        saturation: a.saturation.max(b.saturation),
    }
}
