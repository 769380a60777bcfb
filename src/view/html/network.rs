//! The drawing of a net as one self-contained HTML page: pan, zoom, search, and a panel about the layer that is clicked.

use crate::graph::Graph;
use crate::view::svg_text::escape;
use crate::view::{drawing, layer_table};

const STYLE: &str = include_str!("network.css");
const SCRIPT: &str = include_str!("network.js");

/// The page of a net.
pub fn network(graph: &Graph) -> String {
    let name = escape(&graph.name);
    // In a script element only `</` could end it.
    let data = layer_table::json(graph).to_string().replace("</", "<\\/");
    let drawing = drawing::svg(graph);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{name}</h1>\n<input type=\"search\" placeholder=\"Search layers (Enter: next)\" aria-label=\"Search layers\">\n\
         <button id=\"out\" aria-label=\"Zoom out\">−</button>\n<button id=\"in\" aria-label=\"Zoom in\">+</button>\n\
         <button id=\"fit\">Fit</button>\n</header>\n\
         <div id=\"view\" tabindex=\"0\" aria-label=\"The net: arrow keys move, + and - zoom\">\n{drawing}</div>\n\
         <aside aria-live=\"polite\">\n<p>{}</p>\n<p>Click a layer for its settings. Drag to move, Ctrl and the wheel to zoom.</p>\n</aside>\n\
         <script type=\"application/json\" id=\"net\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escape(&graph.summary()),
    )
}
