//! The help of values in specs besides those of recipes: preprocessings and initialisers.

use crate::graph::Initializer;
use crate::ops::input::preprocessing::{Preprocessing, Resize};

/// The name of a preprocessing that is written in full.
const IMAGE: &str = "Image";

/// The help of a name.
pub fn find(name: &str) -> Option<String> {
    let text = match Preprocessing::preset(name) {
        Some(preset) => of_preset(name, &preset),
        None if name == IMAGE => of_image(),
        None => format!("An initialiser: {}.", Initializer::doc(name)?),
    };
    Some(format!("{name}\n\n{text}\n"))
}

/// The names that [`find`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    [IMAGE].into_iter().chain(Preprocessing::PRESETS).chain(Initializer::NAMES)
}

fn of_image() -> String {
    format!(
        "How a photo becomes an input: `Input(224x224x3, image=Image(…))`.\n\n\
         {}\n\n\
         The shorter side is resized to `resize` (`squash` instead of a number ignores the aspect ratio), the centre is cropped to\n\
         the input's size (`center_even` starts at an even pixel if the border is odd, as in torchvision),\n\
         channels are put in `order`, and values become (x * scale - mean) / std, x from 0 to 255.\n\
         Presets: {}.",
        Preprocessing::caffe(),
        Preprocessing::PRESETS.join(", ")
    )
}

/// The description of a preset, from its data, and which weights it belongs to.
fn of_preset(name: &str, preset: &Preprocessing) -> String {
    let resize = match preset.resize {
        Resize::ShorterSide(side) => format!("the shorter side is resized to {side} pixels, and the centre is cropped"),
        Resize::Squash => "both sides are resized to the input's, whatever the aspect ratio".to_owned(),
    };
    let same = preset.mean == [preset.mean[0]; 3] && preset.std == [preset.std[0]; 3];
    let values = match [preset.value(0, 0), preset.value(255, 0)] {
        [low, high] if same => format!("values from {low} to {high}"),
        _ => "values minus the mean of each channel".to_owned(),
    };
    let of = match name {
        "Caffe" => "the preprocessing of NeuPy's and Keras' VGG weights",
        "Torch" => "the preprocessing of torchvision's weights",
        "Unit" => "Keras' `load_img(target_size=…)` over 255",
        _ => "Keras' `tf` mode",
    };
    let other = match preset.resize {
        Resize::ShorterSide(_) => "227",
        Resize::Squash => "256",
    };
    format!(
        "Preprocessing: {resize}; {}, {values}:\n{of}. In full:\n\n{preset}\n\n\
         `{name}(resize={other})` changes one entry.",
        preset.order
    )
}

#[cfg(test)]
mod tests {
    use super::{find, names};
    use crate::graph::Initializer;
    use crate::kernels::training::loss::Loss;
    use crate::ops::input::preprocessing::Preprocessing;
    use crate::train::recipe::{Metric, help};

    #[test]
    fn every_name_in_specs_has_help() {
        let losses = Loss::ALL.into_iter().map(Loss::name);
        let metrics = Metric::ALL.iter().map(|(name, _)| *name);
        let others = ["Image"].into_iter().chain(Preprocessing::PRESETS).chain(Initializer::NAMES);
        for word in losses.chain(metrics).chain(others) {
            assert!(find(word).or_else(|| help::documentation(word)).is_some(), "{word}");
            assert!(names().chain(help::names()).any(|name| name == word), "{word}");
        }
    }

    #[test]
    fn presets_are_described_by_their_data() {
        let texts: Vec<String> = ["Image"].into_iter().chain(Preprocessing::PRESETS).filter_map(find).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
