//! The drawing of a net as one self-contained HTML page: pan, zoom, search, folds that open and close, and a panel about the layer
//! that is clicked.

use crate::graph::{Graph, NodeId, ParameterId};
use crate::plan::Plan;
use crate::view::drawing::{DrawingOptions, TooManyLayers, drawn, svg_with};
use crate::view::graph_layout::boxes_of;
use crate::view::histogram::Histogram;
use crate::view::layer_table;
use crate::view::svg_text::escape;
use serde_json::json;
use std::collections::BTreeMap;

const STYLE: &str = include_str!("network.css");
const SCRIPT: &str = include_str!("network.js");

/// What the panel of a layer says that the graph does not know.
#[derive(Debug, Default)]
pub struct LayerDetails {
    /// The plan of a graph after the passes.
    pub plan: Option<Plan>,
    /// The distributions of the weights that are bound.
    pub weights: BTreeMap<ParameterId, Histogram>,
    /// Why the weights could not be read, if so.
    pub unread: Option<String>,
}

/// The page of a net. If it has equal blocks, the page has a drawing with them folded and one with all; `expand` says which it
/// shows first; the other one may be too large to draw.
///
/// # Errors
/// A net that is too large to draw.
pub fn network(graph: &Graph, options: DrawingOptions, details: &LayerDetails) -> Result<String, TooManyLayers> {
    let name = escape(&graph.name);
    let boxes = boxes_of(graph, options.depth, options.steps, false);
    let index = |id: &NodeId| id.0.saturating_sub(graph.open_inputs);
    let blocks = |blocks: &[Vec<NodeId>]| {
        blocks.iter().map(|block| block.iter().map(index).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let folds = boxes.folds.iter().map(|fold| json!({ "label": fold.label, "blocks": blocks(&fold.blocks) }));
    let mut data = layer_table::json(graph, details.plan.as_ref());
    data["folds"] = folds.collect();
    for id in graph.layers() {
        let weights = graph.node(id).parameters.iter().filter_map(|parameter| {
            let (histogram, one) = (details.weights.get(parameter)?, &graph.parameters[parameter.0]);
            Some(json!({ "role": one.role, "shape": one.shape, "histogram": histogram }))
        });
        data["layers"][index(&id)]["weights"] = weights.collect();
    }
    let unread = details
        .unread
        .as_ref()
        .map_or(String::new(), |why| format!("<p>Without histograms of the weights: {}.</p>\n", escape(why)));
    // In a script element only `</` could end it.
    let data = data.to_string().replace("</", "<\\/");
    let has_folds = !boxes.folds.is_empty();
    let all = DrawingOptions { expand: true, ..options };
    let all = if options.expand || !has_folds { drawn(graph, all)? } else { svg_with(graph, all) };
    let mut drawings = format!("<div id=\"all\">\n{all}</div>\n");
    let mut button = "";
    if has_folds {
        let folded = DrawingOptions { expand: false, ..options };
        let folded = if options.expand { svg_with(graph, folded) } else { drawn(graph, folded)? };
        // Names are unique in a page. Text has no quotes: they are escaped.
        let folded = folded.replace(" id=\"", " id=\"folded-").replace("\"url(#", "\"url(#folded-");
        let folded = folded.replace("\"name description\"", "\"folded-name folded-description\"");
        drawings = format!("<div id=\"folded\">\n{folded}</div>\n{drawings}");
        button = match options.expand {
            true => "<button id=\"folds\" aria-pressed=\"true\">All blocks</button>\n",
            false => "<button id=\"folds\" aria-pressed=\"false\">All blocks</button>\n",
        };
    }
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{name}</h1>\n<input type=\"search\" placeholder=\"Search layers\" title=\"Enter: the next one\" aria-label=\"Search layers\">\n\
         {button}<button id=\"out\" aria-label=\"Zoom out\">−</button>\n<button id=\"in\" aria-label=\"Zoom in\">+</button>\n\
         <button id=\"fit\">Fit</button>\n</header>\n\
         <div id=\"view\" tabindex=\"0\" aria-label=\"The net: arrow keys move, + and - zoom\">\n{drawings}</div>\n\
         <aside aria-live=\"polite\">\n<p>{}</p>\n<p>Click a layer for its settings, and ×3 to open equal blocks. Drag to move, Ctrl and the wheel to zoom.</p>\n{unread}</aside>\n\
         <script type=\"application/json\" id=\"net\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(&graph.summary()),
    ))
}
