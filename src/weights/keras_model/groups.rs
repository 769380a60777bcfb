//! The groups of layers in weights files of Keras 2.12 and later: `conv2d`, `conv2d_1`, numbered within each class.

use serde_json::Value;
use std::collections::HashMap;

/// For each group of a file without names (`/layers/conv2d_1`), the name of its layer in `config.json`.
pub(in super::super) fn names_of_groups(config: &Value) -> HashMap<String, String> {
    let mut names = HashMap::new();
    collect(config, "", 0, &mut names);
    names
}

fn collect(model: &Value, path: &str, depth: usize, names: &mut HashMap<String, String>) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for layer in model["config"]["layers"].as_array().into_iter().flatten() {
        let Some(class) = layer["class_name"].as_str() else { continue };
        let group = snake_case(class);
        let count = counts.entry(group.clone()).or_default();
        let path = match *count {
            0 => format!("{path}/layers/{group}"),
            number => format!("{path}/layers/{group}_{number}"),
        };
        *count += 1;
        // The reader of the weights refuses deeper nesting.
        if depth < 32 {
            collect(layer, &path, depth + 1, names);
        }
        if let Some(name) = layer["name"].as_str().or_else(|| layer["config"]["name"].as_str()) {
            names.insert(path, name.to_string());
        }
    }
}

/// A class as Keras writes it in paths: `conv2d_transpose` for `Conv2DTranspose`, `p_re_lu` for `PReLU`.
pub(crate) fn snake_case(class: &str) -> String {
    let class = class.rsplit('>').next().unwrap_or(class);
    let letters: Vec<char> = class.chars().filter(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    // `(.)([A-Z][a-z]+)` becomes `\1_\2`.
    let mut words = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        words.push(letters[at]);
        at += 1;
        if at + 1 < letters.len() && letters[at].is_ascii_uppercase() && letters[at + 1].is_ascii_lowercase() {
            words.extend(['_', letters[at]]);
            at += 1;
            while at < letters.len() && letters[at].is_ascii_lowercase() {
                words.push(letters[at]);
                at += 1;
            }
        }
    }
    // So does `([a-z])([A-Z])`.
    let mut out = String::new();
    for (at, letter) in words.iter().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 && words[at - 1].is_ascii_lowercase() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    /// The results of `to_snake_case` in Keras 3.5.
    #[test]
    fn classes_are_written_as_keras_does() {
        let cases = [
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("MaxPooling2D", "max_pooling2d"),
            ("BatchNormalization", "batch_normalization"),
            ("PReLU", "p_re_lu"),
            ("ReLU", "re_lu"),
            ("LSTM", "lstm"),
            ("GRU", "gru"),
            ("SeparableConv2D", "separable_conv2d"),
            ("Package>MyLayer", "my_layer"),
            ("TFOpLambda", "tf_op_lambda"),
        ];
        for (class, group) in cases {
            assert_eq!(super::snake_case(class), group);
        }
    }
}
