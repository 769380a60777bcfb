//! What `netc help` says of words that stand in specs and are neither layers nor parts of a recipe with arguments:
//! losses, metrics, preprocessing, initialisers.

use crate::ops::preprocessing::{Preprocessing, Resize};

/// Words, and what each means.
static WORDS: &[(&str, &str)] = &[
    (
        "categorical_crossentropy",
        "A loss: -sum t ln(y), y clipped to 1e-7 and 1 - 1e-7 (NeuPy). For classes; the net ends with `Softmax(n)`, and the\ntwo are differentiated together, from the logits.",
    ),
    (
        "binary_crossentropy",
        "A loss: the mean of -(t ln(y) + (1 - t) ln(1 - y)), y clipped to 1e-7 and 1 - 1e-7 (NeuPy). For two classes behind\n`Sigmoid(1)`, or independent yes-and-no answers behind `Sigmoid(n)`.",
    ),
    ("mse", "A loss: the mean of (y - t)^2, the mean squared error. For numbers; the net ends with `Dense(n)`."),
    ("mae", "A loss and a metric: the mean of |y - t|, the mean absolute error."),
    ("rmse", "A loss and a metric: the root of the mean squared error; as a loss of the whole batch (NeuPy)."),
    ("msle", "A loss: the mean of (ln(1 + max(y, 0)) - ln(1 + max(t, 0)))^2, for numbers whose ratio matters (NeuPy)."),
    ("rmsle", "A loss: the root of the whole batch's msle (NeuPy)."),
    ("binary_hinge", "A loss: the mean of max(0, 1 - t y), for targets -1 and 1 (NeuPy). The net ends with `Tanh(1)`."),
    (
        "categorical_hinge",
        "A loss: max(0, 1 + the largest y of another class - y of the target's class) (NeuPy). For classes.",
    ),
    ("accuracy", "A metric: the share of samples whose likeliest class is the right one."),
    ("top5", "A metric: the share of samples whose class is among the five likeliest."),
    ("r2", "A metric: 1 - the sum of (t - y)^2 over that of (t - mean of t)^2; 1 where every number is right."),
    ("Constant", "An initialiser: Constant(value=0), or the number alone."),
    ("Normal", "An initialiser: Normal(mean=0, std=0.01), drawn from a normal distribution."),
    ("Uniform", "An initialiser: Uniform(minval=0, maxval=1), drawn evenly from a range."),
    (
        "HeNormal",
        "An initialiser: HeNormal(gain=1), normal with the variance gain / fan_in (He et al., 2015). Layers with a rectifier take\ngain 2 by themselves.",
    ),
    ("HeUniform", "An initialiser: HeUniform(gain=1), even with the variance gain / fan_in (He et al., 2015)."),
    (
        "XavierNormal",
        "An initialiser: XavierNormal(gain=1), normal with the variance gain / (fan_in + fan_out) (Glorot and Bengio, 2010).",
    ),
    (
        "XavierUniform",
        "An initialiser: XavierUniform(gain=1), even with the variance gain / (fan_in + fan_out) (Glorot and Bengio, 2010).",
    ),
    ("Orthogonal", "An initialiser: Orthogonal(scale=1), a matrix of orthonormal rows or columns (Saxe et al., 2013)."),
];

/// The word of a preprocessing in full.
const IMAGE: &str = "Image";

/// What a word means.
pub fn find(word: &str) -> Option<String> {
    let text = match Preprocessing::preset(word) {
        Some(preset) => of_preset(word, &preset),
        None if word == IMAGE => of_image(),
        None => WORDS.iter().find(|(known, _)| *known == word)?.1.to_owned(),
    };
    Some(format!("{word}\n\n{text}\n"))
}

/// Every word.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(name, _)| *name).chain([IMAGE]).chain(Preprocessing::PRESETS)
}

fn of_image() -> String {
    format!(
        "How a photo becomes an input: `Input(224x224x3, image=Image(…))`.\n\n\
         {}\n\n\
         The shorter side is resized to `resize` (`squash` in place of the number ignores the aspect), the centre is cropped to\n\
         the input's size (`center_even` begins at an even pixel where the border cannot be halved, as torchvision does),\n\
         channels are put in `order`, and values become (x * scale - mean) / std, x from 0 to 255.\n\
         Presets: {}.",
        Preprocessing::caffe(),
        Preprocessing::PRESETS.join(", ")
    )
}

/// What a preset does to a photo, told from its data, and whose it is.
fn of_preset(name: &str, preset: &Preprocessing) -> String {
    let resize = match preset.resize {
        Resize::ShorterSide(side) => format!("the shorter side becomes {side} pixels, and the centre is taken"),
        Resize::Squash => "both sides become the input's, whatever the aspect".to_owned(),
    };
    let same = preset.mean == [preset.mean[0]; 3] && preset.std == [preset.std[0]; 3];
    let values = match [preset.value(0, 0), preset.value(255, 0)] {
        [low, high] if same => format!("values from {low} to {high}"),
        _ => "values less a mean of each channel".to_owned(),
    };
    let of = match name {
        "Caffe" => "what NeuPy's and Keras' VGG weights were trained with",
        "Torch" => "what torchvision's weights were trained with",
        "Unit" => "Keras' `load_img(target_size=…)` over 255",
        _ => "Keras' `tf` mode",
    };
    let other = match preset.resize {
        Resize::ShorterSide(_) => "227",
        Resize::Squash => "256",
    };
    format!(
        "Preprocessing: {resize}; {}, {values}:\n{of}. In full:\n\n{preset}\n\n\
         `{name}(resize={other})` changes an entry.",
        preset.order
    )
}

#[cfg(test)]
mod tests {
    use super::{find, names};
    use crate::graph::Initializer;
    use crate::kernels::training::loss::Loss;
    use crate::ops::preprocessing::Preprocessing;
    use crate::train::recipe::Metric;

    #[test]
    fn every_word_that_specs_may_hold_is_told() {
        let losses = Loss::ALL.iter().map(|(name, _)| *name);
        let metrics = Metric::ALL.iter().map(|(name, _)| *name);
        let others = ["Image"].into_iter().chain(Preprocessing::PRESETS).chain(Initializer::NAMES);
        for word in losses.chain(metrics).chain(others) {
            assert!(find(word).is_some(), "{word}");
            assert!(names().any(|name| name == word), "{word}");
        }
    }

    #[test]
    fn presets_are_told_as_they_are() {
        let texts: Vec<String> = ["Image"].into_iter().chain(Preprocessing::PRESETS).filter_map(find).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
