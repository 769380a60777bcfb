//! Warns of weights whose `config.json` says something else than the spec: of photos, of sizes, of classes.

use super::lints::inputs_of;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::graph::{Graph, NodeId, ParameterKind};
use crate::ops::input::Input;
use crate::ops::input::preprocessing::Preprocessing;
use crate::request::WeightsRequest;
use crate::weights::pretrained_config::PretrainedConfig;

impl Spec {
    /// Warns of what a file beside the weights contradicts, and of a file that cannot be read.
    pub(super) fn lint_configuration(&self, graph: &Graph, request: &WeightsRequest, diagnostics: &mut Diagnostics) {
        let Some(config) = PretrainedConfig::beside(&request.path).filter(|_| request.check_configuration) else {
            return;
        };
        let name = config.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let inputs = inputs_of(graph, &request.net);
        let mut differences = config.problems.clone();
        differences.extend(inputs.iter().find_map(|&id| size_difference(graph, id, &config)));
        differences.extend(class_differences(graph, request, &config));
        if !differences.is_empty() {
            let message = match differences.len() == config.problems.len() {
                true => format!("the {name} beside the weights of `{}` has entries without meaning", request.net),
                false => format!("`{}` is not what the {name} beside its weights says", request.net),
            };
            let diagnostic = Diagnostic::new(Code::ConfigurationDiffers, message)
                .at(request.span, format!("{name} stands beside it"))
                .note(differences.join("\n"));
            diagnostics
                .push(diagnostic.help("if the net is meant to differ, write `config = ignore` in the weights block"));
        }
        if let Some(diagnostic) = self.photos_differ(graph, request, &config, &inputs, &name) {
            diagnostics.push(diagnostic);
        }
    }

    /// A preprocessing that the file contradicts.
    fn photos_differ(
        &self,
        graph: &Graph,
        request: &WeightsRequest,
        config: &PretrainedConfig,
        inputs: &[NodeId],
        name: &str,
    ) -> Option<Diagnostic> {
        let photos = config.photos.as_ref()?;
        let (node, found, side) = inputs.iter().find_map(|&id| {
            let node = graph.node(id);
            let found = node.operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.as_ref())?;
            let (height, width, _) = node.output.image()?;
            let side = height.known()?.min(width.known()?);
            (!photos.agrees(found, side)).then_some((node, found, side))
        })?;
        let trained = photos.preprocessing(side);
        let text = |image: &Preprocessing| image.preset_name().map_or(image.to_string(), str::to_string);
        let message = format!("`{}` has another preprocessing than the {name} beside its weights", node.name);
        let origin = node.origin.span;
        let mut diagnostic = Diagnostic::new(Code::ConfigurationDiffers, message)
            .at(request.span, format!("{name} beside it says `{}`", text(&trained)));
        if self.is_own(origin) {
            diagnostic = diagnostic.and(origin, format!("gives `{}`", text(found)));
        } else {
            diagnostic = diagnostic.note(format!("the net's input gives `{}`", text(found)));
        }
        for what in photos.unsupported() {
            diagnostic = diagnostic.note(what);
        }
        Some(match *found == trained {
            true => diagnostic.help("`image=…` in the weights block says that the preprocessing is meant as it is"),
            false => {
                diagnostic.help(format!("give `Input` the preprocessing of the weights: `image={}`", text(&trained)))
            }
        })
    }
}

/// Whether an input has none of the sizes of the file.
fn size_difference(graph: &Graph, input: NodeId, config: &PretrainedConfig) -> Option<String> {
    let node = graph.node(input);
    let (height, width, channels) = node.output.image()?;
    let found = [channels.known()?, height.known()?, width.known()?];
    let [channels, height, width] = *config.inputs.first()?;
    (!config.inputs.contains(&found))
        .then(|| format!("its inputs have {height}x{width}x{channels} pixels, `{}` takes {}", node.name, node.output))
}

/// Whether the layer that gives the classes gives another number of them than the file says, or than it names.
fn class_differences(graph: &Graph, request: &WeightsRequest, config: &PretrainedConfig) -> Vec<String> {
    let mut differences = Vec::new();
    for (layer, found) in classifiers(graph, request, config) {
        let gives = format!("`{layer}` gives {found}");
        if let Some(classes) = config.classes.filter(|classes| *classes != found) {
            differences.push(format!("its `num_classes` is {classes}, {gives}"));
        }
        if let Some(labels) = config.labels.filter(|labels| *labels != found) {
            differences.push(format!("its `label_names` are {labels}, {gives}"));
        }
    }
    let named = config.classes.zip(config.labels).filter(|(classes, labels)| classes != labels);
    if let Some((classes, labels)) = named.filter(|_| differences.is_empty()) {
        differences.push(format!("its `num_classes` is {classes}, its `label_names` are {labels}"));
    }
    differences
}

/// The layers whose weights the file has that give classes, and how many: those that it names, else the dense layers before the
/// outputs.
fn classifiers(graph: &Graph, request: &WeightsRequest, config: &PretrainedConfig) -> Vec<(String, usize)> {
    // The head may be one of the layers that the file lacks.
    if request.initialize_missing {
        return Vec::new();
    }
    let name_in_file = |id: NodeId| {
        let (_, layer) = graph.node(id).origin.layers.iter().find(|(net, _)| **net == *request.net)?;
        let renamed = |from: &String, to: &String| (to.as_str() == &**layer).then(|| from.clone());
        let tables = request.rename.iter().chain(&request.shipped_rename);
        let mut names: Vec<String> = tables.filter_map(|(from, to)| renamed(from, to)).collect();
        names.push(layer.to_string());
        Some(names)
    };
    let is_matrix = |id: &NodeId| {
        let node = graph.node(*id);
        node.parameters.iter().any(|one| graph.parameters[one.0].kind == ParameterKind::Matrix)
    };
    let has_parameters = |id: NodeId| !graph.node(id).parameters.is_empty();
    let of_output = |&output: &NodeId| {
        let mut id = output;
        while !has_parameters(id) {
            let &[before] = &graph.node(id).inputs[..] else { return None };
            id = before;
        }
        Some(id)
    };
    let found: Vec<NodeId> = match config.classifiers.is_empty() {
        true => graph.outputs.iter().filter_map(of_output).filter(is_matrix).collect(),
        false => {
            let is_named = |id: &NodeId| {
                name_in_file(*id).is_some_and(|names| names.iter().any(|name| config.classifiers.contains(name)))
            };
            graph.ids().filter(|&id| has_parameters(id)).filter(is_named).collect()
        }
    };
    let sized = |id: NodeId| {
        name_in_file(id)?;
        let node = graph.node(id);
        let sizes = node.output.known()?;
        Some((node.name.clone(), *sizes.last()?))
    };
    found.into_iter().filter_map(sized).collect()
}
