//! `netc show`

use crate::cli::output::{messages, output_guard};
use crate::cli::result::{CommandResult, Format};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::graph::Graph;
use crate::view::{self, DrawingOptions, TableOptions, layer_table};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    /// The net of the spec
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// List or draw layers to this depth of scopes; deeper ones are one row or box for each scope
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    depth: Option<u8>,
    /// Draw equal blocks one by one, not once with their number
    #[arg(long)]
    expand: bool,
    /// Draw the net as SVG, to stdout or to the file of -o
    #[arg(long)]
    svg: bool,
    /// Draw the net to a file: .svg, .png, .html (pan, zoom, search), or .dot (Graphviz)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> CommandResult {
    let drawing = match &args.output {
        Some(path) => {
            let painter = painter(path, args.svg).ok_or_else(|| messages::fail_with(unknown_ending(path)))?;
            Some((path, painter))
        }
        None => None,
    };
    let options = DrawingOptions { expand: args.expand, depth: args.depth.map(usize::from) };
    let spec = messages::load(&args.spec)?;
    let graph = messages::unwrap_or_report(compile::graph_or_fragment(&spec, args.net.as_deref()), &spec.sources)?;
    if let Some((path, (kind, paint))) = drawing {
        output_guard::check(path, kind, &spec.sources.paths())?;
        let bytes = paint(&graph, options).map_err(messages::fail_with)?;
        return output_guard::write_file(path, &bytes);
    }
    if args.svg {
        messages::print(view::svg_with(&graph, options));
        return Ok(());
    }
    match args.format {
        Format::Json => messages::print(format!("{:#}\n", layer_table::json(&graph))),
        Format::Text => {
            let docs =
                spec.project.nets.iter().find(|net| net.item.name.text == graph.name).map(|net| net.docs.clone());
            let options = TableOptions { width: layer_table::terminal_width(), depth: args.depth.map(usize::from) };
            messages::print(layer_table::table(&graph, &docs.unwrap_or_default(), options));
        }
    }
    Ok(())
}

/// The kind of a drawing's file, and what draws it.
type Painter = (output_guard::FileKind, fn(&Graph, DrawingOptions) -> Result<Vec<u8>, Diagnostic>);

/// The painter for the ending of a file name; with `--svg` an SVG in a file of any name but that of another format.
fn painter(path: &Path, svg: bool) -> Option<Painter> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let drawing: Painter =
        (output_guard::FileKind::Drawing, |graph, options| Ok(view::svg_with(graph, options).into()));
    match ending.as_str() {
        "svg" => Some(drawing),
        "png" => Some((output_guard::FileKind::Drawing, pixels)),
        "dot" | "gv" => Some((output_guard::FileKind::Drawing, |graph, _| Ok(view::dot(graph).into()))),
        "html" | "htm" => {
            Some((output_guard::FileKind::Page, |graph, options| Ok(view::network(graph, options).into())))
        }
        "pdf" | "jpg" | "jpeg" => None,
        _ => svg.then_some(drawing),
    }
}

#[cfg(feature = "png")]
fn pixels(graph: &Graph, options: DrawingOptions) -> Result<Vec<u8>, Diagnostic> {
    let help = "a drawing in a .svg or .html file has any size; `--depth 1` makes it smaller";
    let png = view::png(&view::svg_with(graph, options))
        .map_err(|error| Diagnostic::new(Code::Output, format!("no PNG is drawn: {error}")).help(help))?;
    if !png.lacking.is_empty() {
        let lacking: String = png.lacking.iter().collect();
        messages::line(
            "Note",
            format!("PNGs have no font for {lacking}: a box stands for each; a .svg file shows them"),
        );
    }
    Ok(png.bytes)
}

#[cfg(not(feature = "png"))]
fn pixels(_: &Graph, _: DrawingOptions) -> Result<Vec<u8>, Diagnostic> {
    Err(Diagnostic::new(Code::Output, "this program was built without PNGs (feature `png`)")
        .help("draw a .svg, .html or .dot file"))
}

fn unknown_ending(path: &Path) -> Diagnostic {
    Diagnostic::new(Code::Output, format!("{}: a net is not drawn in this format", path.display()))
        .help("the ending of the file is the format: .svg, .png, .html or .dot")
}
