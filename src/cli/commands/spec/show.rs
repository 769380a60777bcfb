//! `netc show`

use crate::cli::args::build_args::{check_effect, given};
use crate::cli::output::{messages, output_guard};
use crate::cli::result::{CommandResult, Format};
use crate::compile::{self, BuildOptions};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::graph::{Graph, ParameterId};
use crate::plan::Plan;
use crate::view::{self, DrawingOptions, Histogram, LayerDetails, TableOptions, TooManyLayers, layer_table};
#[cfg(feature = "png")]
use crate::weights::bind::report::shortened;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A stage that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// The layers as they are written
    Graph,
    /// The layers after the passes, each with those fused into it: the steps that run
    Fused,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    /// The net of the spec
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    #[arg(long, value_enum, default_value = "text", conflicts_with_all = ["svg", "output"])]
    format: Format,
    /// The net as it is written, or its steps after the passes
    #[arg(long, value_enum, default_value = "graph")]
    stage: Stage,
    /// List or draw layers to this depth of scopes; deeper ones are one row or box for each scope
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    depth: Option<u8>,
    /// Draw equal blocks one by one, not once with a count
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
    check_options(args).map_err(messages::fail_with)?;
    let depth = args.depth.map(usize::from);
    let options = DrawingOptions { expand: args.expand, depth, steps: args.stage == Stage::Fused };
    let spec = messages::load(&args.spec)?;
    let (graph, plan) = match args.stage {
        Stage::Graph => {
            (messages::unwrap_or_report(compile::graph_or_fragment(&spec, args.net.as_deref()), &spec.sources)?, None)
        }
        Stage::Fused => {
            let graph = messages::unwrap_or_report(compile::graph(&spec, args.net.as_deref()), &spec.sources)?;
            let fused = compile::fused(graph, &BuildOptions::default());
            let (fused, plan) = fused.map_err(|errors| messages::fail(&errors, &spec.sources))?;
            (fused, Some(plan))
        }
    };
    if let Some((path, (kind, paint))) = drawing {
        output_guard::check(path, kind, &spec.sources.paths())?;
        let shown = Shown { spec: &spec, graph, plan };
        let Painted { bytes, warnings } = paint(shown, options).map_err(messages::fail_with)?;
        messages::emit(&warnings, &spec.sources);
        return output_guard::write_file(path, &bytes);
    }
    if args.svg {
        messages::print(view::drawn(&graph, options).map_err(|error| messages::fail_with(undrawn(&error)))?);
        return Ok(());
    }
    match args.format {
        Format::Json => messages::print(format!("{:#}\n", layer_table::json(&graph, plan.as_ref()))),
        Format::Text => {
            let docs =
                spec.project.nets.iter().find(|net| net.item.name.text == graph.name).map(|net| net.docs.clone());
            let options = TableOptions { width: layer_table::terminal_width(), depth, plan: plan.as_ref() };
            messages::print(layer_table::table(&graph, &docs.unwrap_or_default(), options));
        }
    }
    Ok(())
}

/// Checks that the options apply to what is shown.
///
/// # Errors
/// Options of drawings for a table, or of what is folded where nothing is.
fn check_options(args: &Args) -> Result<(), Diagnostic> {
    if let (Some(path), true) = (&args.output, args.svg)
        && path.extension().is_some_and(|end| ["html", "htm", "png", "dot", "gv"].iter().any(|other| end == *other))
    {
        check_effect(&given([("--svg", true)]), "the extension of the file selects another format")?;
    }
    let (depth, expand) = (("--depth", args.depth.is_some()), ("--expand", args.expand));
    let is_dot = args.output.as_ref().and_then(|path| path.extension()).is_some_and(|end| end == "dot" || end == "gv");
    match (is_dot, args.output.is_some() || args.svg, args.format) {
        (true, ..) => check_effect(&given([depth, expand]), "a .dot file has every layer"),
        (_, false, Format::Json) => check_effect(&given([depth, expand]), "JSON has every layer"),
        (_, false, Format::Text) => check_effect(&given([expand]), "it is about drawings"),
        _ => Ok(()),
    }
}

/// What is drawn.
struct Shown<'a> {
    spec: &'a Spec,
    graph: Graph,
    /// The plan of a graph after the passes.
    plan: Option<Plan>,
}

/// A drawing as the bytes of a file.
struct Painted {
    bytes: Vec<u8>,
    warnings: Diagnostics,
}

impl From<String> for Painted {
    fn from(text: String) -> Painted {
        Painted { bytes: text.into(), warnings: Diagnostics::default() }
    }
}

/// The kind of a drawing's file, and what draws it.
type Painter = (output_guard::FileKind, fn(Shown<'_>, DrawingOptions) -> Result<Painted, Diagnostic>);

/// The painter for the ending of a file name; with `--svg` an SVG in a file of any name but that of another format.
fn painter(path: &Path, svg: bool) -> Option<Painter> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let drawing: Painter = (output_guard::FileKind::Drawing, |shown, options| {
        view::drawn(&shown.graph, options).map(Painted::from).map_err(|error| undrawn(&error))
    });
    match ending.as_str() {
        "svg" => Some(drawing),
        "png" => Some((output_guard::FileKind::Drawing, pixels)),
        "dot" | "gv" => Some((output_guard::FileKind::Drawing, |shown, _| Ok(view::dot(&shown.graph).into()))),
        "html" | "htm" => Some((output_guard::FileKind::Page, page)),
        "pdf" | "jpg" | "jpeg" => None,
        _ => svg.then_some(drawing),
    }
}

fn page(shown: Shown<'_>, options: DrawingOptions) -> Result<Painted, Diagnostic> {
    let Shown { spec, graph, plan } = shown;
    let weights = match plan {
        None => histograms(spec, &graph),
        // The passes compute others from those in files.
        Some(_) => Err("the page of the net as it is written has them".to_string()),
    };
    let details = match weights {
        Ok(weights) => LayerDetails { plan, weights, unread: None },
        Err(why) => LayerDetails { plan, unread: Some(why), ..LayerDetails::default() },
    };
    view::network(&graph, options, &details).map(Painted::from).map_err(|error| undrawn(&error))
}

/// The distribution of each parameter that is bound to a file.
///
/// # Errors
/// Why the weights cannot be read: they are no more than an addition to a drawing.
fn histograms(spec: &Spec, graph: &Graph) -> Result<BTreeMap<ParameterId, Histogram>, String> {
    let bindings = compile::weights(spec, graph).map_err(|errors| {
        let first = errors.sorted().first().map(|error| error.message.clone());
        first.unwrap_or_default()
    })?;
    let mut histograms = BTreeMap::new();
    for id in (0..graph.parameters.len()).map(ParameterId).filter(|&id| bindings.is_bound(id)) {
        let values = bindings.read(graph, id).map_err(|error| error.to_string())?;
        histograms.insert(id, Histogram::of(&values));
    }
    Ok(histograms)
}

fn undrawn(error: &TooManyLayers) -> Diagnostic {
    Diagnostic::new(Code::Output, error.to_string())
        .help("`netc show` lists them, `--depth 1` draws each scope as one box, and a .dot file has any number")
}

#[cfg(feature = "png")]
fn pixels(shown: Shown<'_>, options: DrawingOptions) -> Result<Painted, Diagnostic> {
    let help = "a drawing in a .svg or .html file has any size; `--depth 1` makes it smaller";
    let svg = view::drawn(&shown.graph, options).map_err(|error| undrawn(&error))?;
    let view::Png { bytes, lacking } = view::png(&svg)
        .map_err(|error| Diagnostic::new(Code::Output, format!("a PNG cannot be drawn: {error}")).help(help))?;
    let mut warnings = Diagnostics::default();
    if !lacking.is_empty() {
        let list: Vec<String> = lacking.iter().map(char::to_string).collect();
        let message = format!("the fonts of PNGs lack {}: each is drawn as a box", shortened(&list));
        let help = "a .svg or .html file has all characters, in the fonts of the machine that shows it";
        warnings.push(Diagnostic::new(Code::MissingCharacters, message).help(help));
    }
    Ok(Painted { bytes, warnings })
}

#[cfg(not(feature = "png"))]
fn pixels(_: Shown<'_>, _: DrawingOptions) -> Result<Painted, Diagnostic> {
    Err(Diagnostic::new(Code::Output, "this netc was built without PNG output (feature `png`)")
        .help("draw a .svg, .html or .dot file"))
}

fn unknown_ending(path: &Path) -> Diagnostic {
    Diagnostic::new(Code::Output, format!("{}: a net cannot be drawn in this format", path.display()))
        .help("the extension of the file selects the format: .svg, .png, .html or .dot")
}
