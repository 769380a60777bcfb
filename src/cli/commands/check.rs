//! `netc check`

use crate::check;
use crate::cli::output::messages;
use crate::cli::result::{CommandResult, Failed, Format};
use crate::diagnostics::render;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    /// Check only this net
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> CommandResult {
    let spec =
        match (crate::elaborate::load(&args.spec, &crate::elaborate::project::source_files::from_disk), args.format) {
            (Ok(spec), _) => spec,
            (Err((sources, errors)), Format::Json) => {
                messages::print(format!("{:#}\n", render::json(&errors, &sources)));
                return Err(Failed::Error);
            }
            (Err((sources, errors)), Format::Text) => return Err(messages::fail(&errors, &sources)),
        };
    let checked = check::check(&spec, args.net.as_deref());
    match args.format {
        Format::Json => messages::print(format!("{:#}\n", render::json(&checked.diagnostics, &spec.sources))),
        Format::Text => {
            messages::emit(&checked.diagnostics, &spec.sources);
            if !checked.diagnostics.has_errors() {
                messages::print(checked.lines.concat());
            }
        }
    }
    if checked.diagnostics.has_errors() { Err(Failed::Error) } else { Ok(()) }
}
