//! The values in specs that have names, besides those of recipes: preprocessings and initialisers.

use super::input;
use crate::graph::{Argument, Initializer};
use crate::ops::input::preprocessing::{Preprocessing, Resize};

/// The name of a preprocessing that is written in full.
const IMAGE: &str = "Image";

/// The arguments of a value, by its name.
pub fn arguments(name: &str) -> Option<&'static [Argument]> {
    let is_image = name == IMAGE || Preprocessing::PRESETS.contains(&name);
    if is_image { Some(input::IMAGE) } else { Initializer::arguments(name) }
}

/// The kinds of values, which have a help of their own.
pub const KINDS: [&str; 2] = ["initialisers", "preprocessings"];

/// The help of a kind of values, by its name, in the singular too: a line for each value.
pub fn find_kind(name: &str) -> Option<String> {
    let name = name.to_lowercase().replace('z', "s");
    let kind = KINDS.into_iter().find(|kind| kind.trim_end_matches('s') == name.trim_end_matches('s'))?;
    let (what, lines): (&str, Vec<String>) = match kind {
        "initialisers" => (
            "The distribution of a parameter's initial values: `Dense(10, weight=HeNormal(gain=2))`; a number is a constant.",
            Initializer::NAMES.into_iter().filter_map(Initializer::doc).collect(),
        ),
        _ => (
            "How a photo becomes an input: `Input(224x224x3, image=Torch)`. `netc help Torch` describes one.",
            [IMAGE].into_iter().chain(Preprocessing::PRESETS).map(str::to_string).collect(),
        ),
    };
    Some(format!("{kind}\n\n{what}\n\n  {}\n", lines.join("\n  ")))
}

/// The help of a value, by its name.
pub fn find(name: &str) -> Option<String> {
    let name = Initializer::named(name).unwrap_or(name);
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
         The shorter side is resized to `resize` (`squash` instead of a number ignores the aspect ratio; \
         `interpolation=bicubic` instead of bilinear, both with antialiasing), the centre is cropped to the input's \
         size (`center_even` starts at an even pixel if the border is odd, as in torchvision), channels are put in \
         `order`, and values become (x * scale - mean) / std, x from 0 to 255.\n\
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
    use super::{arguments, find, find_kind, names};
    use crate::ops::input::preprocessing::Preprocessing;

    #[test]
    fn every_value_has_help_and_arguments() {
        for name in names() {
            assert!(find(name).is_some() && arguments(name).is_some_and(|list| !list.is_empty()), "{name}");
        }
        assert!(arguments("Dense").is_none());
        for kind in ["initialisers", "initializer", "preprocessings"] {
            assert!(find_kind(kind).is_some(), "{kind}");
        }
        assert!(find_kind("dense").is_none() && find("he_normal") == find("HeNormal"));
    }

    #[test]
    fn presets_are_described_by_their_data() {
        let texts: Vec<String> = ["Image"].into_iter().chain(Preprocessing::PRESETS).filter_map(find).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
