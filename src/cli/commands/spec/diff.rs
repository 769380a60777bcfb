//! `netc diff`

use crate::cli::output::messages;
use crate::cli::result::{CommandResult, Format};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::view::diff;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The first spec: file, shipped net or expression
    a: String,
    /// The second
    b: String,
    /// The net of both specs, or given twice: the net of each
    #[arg(long, value_name = "NAME")]
    net: Vec<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> CommandResult {
    let (first, second) = match &args.net[..] {
        [] => (None, None),
        [both] => (Some(both), Some(both)),
        [first, second] => (Some(first), Some(second)),
        [.., last] => {
            let message = format!("`--net {last}` is one net too many");
            return Err(messages::fail_with(
                Diagnostic::new(Code::NoNet, message).help("give one net, or one for each spec"),
            ));
        }
    };
    let graph = |argument: &str, net: Option<&String>| {
        let spec = messages::load(argument)?;
        messages::unwrap_or_report(compile::graph(&spec, net.map(String::as_str)), &spec.sources)
    };
    let (a, b) = (graph(&args.a, first)?, graph(&args.b, second)?);
    messages::print(match args.format {
        Format::Text => diff::text(&a, &b),
        Format::Json => format!("{:#}\n", diff::document(&a, &b)),
    });
    Ok(())
}
