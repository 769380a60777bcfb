//! `netc show`

use super::output::{messages, output_guard};
use super::{Done, Format};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::view::{self, layer_table};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    /// The net that is meant
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Draw it: to stdout, or to the file of -o
    #[arg(long)]
    svg: bool,
    /// Where the drawing is written
    #[arg(short, long, value_name = "FILE", requires = "svg")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> Done {
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
                let read: Vec<&Path> = spec.sources.iter().filter_map(|(_, file)| file.path.as_deref()).collect();
                output_guard::check(path, output_guard::Kind::Drawing, &read)?;
                write_whole(path, drawing.as_bytes())
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

/// Writes a file beside its place and renames it when it is whole.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Done {
    crate::file::replace(path, |file| file.write_all(bytes)).map_err(|error| {
        messages::fail_with(Diagnostic::new(Code::Output, format!("{} cannot be written: {error}", path.display())))
    })
}
