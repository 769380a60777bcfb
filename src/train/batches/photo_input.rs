//! How photos become the input of a compiled net.

use crate::artifact::Manifest;
use crate::data::Decoding;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};

/// How photos become the one input of a compiled net, without augmentation.
///
/// # Errors
/// A net with several inputs, or without preprocessing for an image.
pub fn photo_decoding(manifest: &Manifest) -> Result<Decoding, Diagnostics> {
    let plan = &manifest.plan;
    let ([port], [preprocessing]) = (&plan.inputs[..], &manifest.preprocessing[..]) else {
        let message =
            format!("`{}` has {} inputs: give it arrays in an .npz by their names", plan.name, plan.inputs.len());
        return Err(Diagnostic::new(Code::Inputs, message).into());
    };
    match (preprocessing, &port.sizes[..]) {
        (Some(preprocessing), &[height, width, channels]) => {
            let size = (height, width, channels);
            Ok(Decoding { preprocessing: preprocessing.clone(), size, augmentation: None })
        }
        (_, sizes) => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            let sizes = sizes.join("x");
            let message = format!("`{}` does not say how a photo becomes its input {sizes}", plan.name);
            let help = match port.sizes[..] {
                [_, _, 1 | 3] => {
                    format!("write `Input({sizes}, image=Caffe)` in the spec; arrays (.npy) are taken as they are")
                }
                // Noise, or features.
                _ => "a photo has a height, a width and 1 or 3 channels: give the net arrays (.npy)".to_string(),
            };
            Err(Diagnostic::new(Code::Preprocessing, message).help(help).into())
        }
    }
}
