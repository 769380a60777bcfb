//! `netc show`

use crate::cli::output::{messages, output_guard};
use crate::cli::result::{CommandResult, Format};
use crate::compile;
use crate::view::{self, layer_table};
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
    /// Draw the net as SVG, to stdout or to the file of -o
    #[arg(long)]
    svg: bool,
    /// The file of the drawing
    #[arg(short, long, value_name = "FILE", requires = "svg")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> CommandResult {
    let spec = messages::load(&args.spec)?;
    let graph = messages::unwrap_or_report(compile::graph_or_fragment(&spec, args.net.as_deref()), &spec.sources)?;
    if args.svg {
        let drawing = view::svg(&graph);
        return match &args.output {
            None => {
                messages::print(drawing);
                Ok(())
            }
            Some(path) => {
                let inputs: Vec<&Path> = spec.sources.iter().filter_map(|(_, file)| file.path.as_deref()).collect();
                output_guard::check(path, output_guard::FileKind::Drawing, &inputs)?;
                output_guard::write_file(path, drawing.as_bytes())
            }
        };
    }
    match args.format {
        Format::Json => messages::print(format!("{:#}\n", layer_table::json(&graph))),
        Format::Text => {
            let docs =
                spec.project.nets.iter().find(|net| net.item.name.text == graph.name).map(|net| net.docs.clone());
            messages::print(layer_table::table(&graph, &docs.unwrap_or_default(), layer_table::terminal_width()));
        }
    }
    Ok(())
}
