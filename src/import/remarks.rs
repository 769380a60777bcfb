//! What a spec says of the ONNX model that it comes from.

use super::convert::Known;
use super::inputs::Input;
use super::items::{ORIGIN, file_name, plain};
use crate::onnx::Model;
use crate::onnx::model::{DOUBLE, IMAGE};
use std::path::Path;

/// Keys of metadata under which models keep the names of their classes.
const LABELS: [&str; 5] = ["labels", "classes", "class_names", "names", "categories"];
/// The most classes whose names are written into a spec.
const MAX_LABELS: usize = 2_000;

/// The preprocessing of an input that a model exported by netc names.
pub(super) fn image(model: &Model, input: &str) -> Option<String> {
    let key = format!("{IMAGE}{input}");
    model.metadata.iter().find(|(known, _)| *known == key).map(|(_, image)| image.clone())
}

pub(super) struct Remarks<'m> {
    pub model: &'m Model,
    pub inputs: &'m [Input],
    pub outputs: &'m [Known],
    /// The outputs' names in the model.
    pub names: &'m [String],
    /// Inputs and outputs whose time is before the batch in the model.
    pub time_first: Vec<String>,
    /// The axes in front of those of the model.
    pub front: usize,
}

impl Remarks<'_> {
    /// The comment above the net.
    pub fn head(&self, model: &Path) -> Vec<String> {
        let mut lines =
            vec![format!("{ORIGIN} {} (opset {}{}).", file_name(model), self.model.opset(), self.producer())];
        for input in self.inputs.iter().filter(|input| input.channels_first) {
            let &[_, channels, height, width] = &input.shape[..] else { continue };
            lines.push(format!(
                "`{}` is (channels, height, width) = ({channels}, {height}, {width}) in the model, and (height, width, channels) here.",
                plain(&input.name)
            ));
        }
        if self.inputs.iter().any(|input| input.is_photo) {
            lines.push(
                "It does not say how photos become its input: `image=Torch` in `Input` is torchvision's way.".into(),
            );
        }
        if self.model.graph.inputs.iter().any(|input| input.element == DOUBLE) {
            lines.push("The model computes in float64, this net in float32.".into());
        }
        for name in &self.time_first {
            let name = plain(name);
            lines.push(format!("`{name}` is (time, batch, features) in the model, and (batch, time, features) here."));
        }
        if self.front > 0 {
            let sizes = |input: &Input| input.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let inputs: Vec<String> =
                self.inputs.iter().map(|input| format!("`{}` is ({})", plain(&input.name), sizes(input))).collect();
            lines.push(format!(
                "The model has no axis for a batch, this net has one in front: there {}.",
                inputs.join(", ")
            ));
        }
        let is_image = |known: &Known| self.front == 0 && known.axes.len() == 3 && known.is_image();
        match self.outputs.iter().filter(|known| known.axes.len() == 3).all(is_image) {
            true if self.outputs.iter().any(is_image) => {
                lines.push("Images that it gives have their channels last too.".into());
            }
            true => {}
            false => {
                for (known, name) in self.outputs.iter().zip(self.names).filter(|(known, _)| is_image(known)) {
                    let [_, channels, height, width] = known.shape[..] else { continue };
                    lines.push(format!(
                        "`{}`, which it gives, is (channels, height, width) = ({channels}, {height}, {width}) in the model, and (height, width, channels) here.",
                        plain(name)
                    ));
                }
            }
        }
        lines
    }

    fn producer(&self) -> String {
        match (plain(&self.model.producer), plain(&self.model.producer_version)) {
            (producer, _) if producer.is_empty() => String::new(),
            (producer, version) if version.is_empty() => format!(", written by {producer}"),
            (producer, version) => format!(", written by {producer} {version}"),
        }
    }

    /// The names of the classes, where the metadata has as many.
    pub fn labels(&self) -> Option<Vec<String>> {
        let [output] = self.outputs else { return None };
        let [classes] = output.sizes()[..] else { return None };
        let known = |(key, _): &&(String, String)| LABELS.contains(&key.to_ascii_lowercase().as_str());
        let (_, value) = self.model.metadata.iter().find(known)?;
        // Ultralytics writes a dictionary of Python.
        let json = serde_json::from_str::<serde_json::Value>(value).ok().or_else(|| {
            let text: Vec<String> = value
                .trim_matches(['{', '}'])
                .split(", ")
                .map(|pair| {
                    let (key, label) = pair.split_once(": ").unwrap_or(("", pair));
                    format!("\"{}\": \"{}\"", key.trim_matches('\''), label.trim_matches(['\'', '"']))
                })
                .collect();
            serde_json::from_str(&format!("{{{}}}", text.join(", "))).ok()
        })?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_string);
        let labels: Vec<String> = match &json {
            serde_json::Value::Array(list) => list.iter().map(text).collect::<Option<_>>()?,
            serde_json::Value::Object(map) => {
                (0..map.len()).map(|at| text(map.get(&at.to_string())?)).collect::<Option<_>>()?
            }
            _ => return None,
        };
        (labels.len() == classes && classes <= MAX_LABELS).then_some(labels)
    }
}
