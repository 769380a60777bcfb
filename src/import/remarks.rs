//! What a spec says besides its nets: where it comes from, in comments; weights, labels and shapes, as items.

use super::convert::Known;
use super::inputs::Input;
use crate::file::folder_of;
use crate::onnx::Model;
use crate::onnx::model::IMAGE;
use std::path::{Component, Path, PathBuf};

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
    pub net: &'m str,
}

fn sizes(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// One line of a comment: names in a model may have any characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

impl Remarks<'_> {
    /// The comment above the net.
    pub fn head(&self, model: &Path) -> String {
        let name = model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut lines =
            vec![format!("Imported from {} (opset {}{}).", plain(&name), self.model.opset(), self.producer())];
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
        if self.outputs.iter().any(|known| known.axes.len() == 3 && known.is_image()) {
            lines.push("Images that it gives have their channels last too.".into());
        }
        if self.outputs.iter().any(|known| known.permuted) {
            lines.push("It gives a flattened image: the model channel by channel, this net pixel by pixel.".into());
        }
        lines.iter().map(|line| format!("# {line}\n")).collect()
    }

    fn producer(&self) -> String {
        match (plain(&self.model.producer), plain(&self.model.producer_version)) {
            (producer, _) if producer.is_empty() => String::new(),
            (producer, version) if version.is_empty() => format!(", written by {producer}"),
            (producer, version) => format!(", written by {producer} {version}"),
        }
    }

    /// Weights, labels, and the shapes as a promise.
    pub fn items(&self, model: &Path, spec: &Path) -> String {
        let net = self.net;
        let file = quoted(&relative(model, &folder_of(spec)));
        let mut text = format!("weights {net} = {file}\n\n");
        if let [one] = self.outputs
            && let [classes] = one.sizes()[..]
            && let Some(labels) = self.labels(classes)
        {
            let labels: Vec<String> = labels.iter().map(|label| quoted(label)).collect();
            text += &format!("labels {net} = [{}]\n\n", labels.join(", "));
        }
        if let ([input], [output]) = (self.inputs, self.outputs) {
            let shape = match input.channels_first {
                true => vec![input.shape[2], input.shape[3], input.shape[1]],
                false => input.shape[1..].to_vec(),
            };
            text += &format!("expect {net}: (?, {}) -> (?, {})\n", sizes(&shape), sizes(&output.sizes()));
        }
        text
    }

    /// The names of the classes, where the metadata has as many.
    fn labels(&self, classes: usize) -> Option<Vec<String>> {
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

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    crate::syntax::print::inline::escape(text, &mut out);
    out + "\""
}

/// The path of a file as a spec in a folder names it.
fn relative(file: &Path, folder: &Path) -> String {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let (folder_of_file, folder) = (real(&folder_of(file)), real(folder));
    let name = file.file_name().map(PathBuf::from).unwrap_or_default();
    let (mut from, mut to) = (folder.components().peekable(), folder_of_file.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let up = from.filter(|part| matches!(part, Component::Normal(_))).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to).collect();
    path.join(name).to_string_lossy().into_owned()
}
