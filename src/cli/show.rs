//! `netc show`

use super::{Done, Format, output, report};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::view::{svg, table};
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
    let spec = report::load(&args.spec)?;
    let graph = report::settle(compile::graph_or_fragment(&spec, args.net.as_deref()), &spec.sources)?;
    if args.svg {
        let drawing = svg::svg(&graph);
        return match &args.output {
            None => {
                report::print(drawing);
                Ok(())
            }
            Some(path) => {
                let read: Vec<&Path> = spec.sources.iter().filter_map(|(_, file)| file.path.as_deref()).collect();
                output::check(path, output::Kind::Drawing, &read)?;
                write_whole(path, drawing.as_bytes())
            }
        };
    }
    match args.format {
        Format::Json => report::print(format!("{:#}\n", table::json(&graph))),
        Format::Text => {
            let docs =
                spec.project.nets.iter().find(|net| net.item.name.text == graph.name).map(|net| net.docs.clone());
            report::print(table::table(&graph, &docs.unwrap_or_default(), table::terminal_width()));
        }
    }
    Ok(())
}

/// Writes a file beside its place and renames it when it is whole.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Done {
    crate::file::replace(path, |file| file.write_all(bytes)).map_err(|fault| {
        report::fail_with(Diagnostic::new(Code::Output, format!("{} cannot be written: {fault}", path.display())))
    })
}
