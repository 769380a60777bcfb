//! `netc diff`

use super::{Done, Format, report};
use crate::compile;
use crate::view::difference;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The first spec: file, shipped net or expression
    a: String,
    /// The second
    b: String,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> Done {
    let graph = |argument: &str| {
        let spec = report::load(argument)?;
        report::settle(compile::graph(&spec, None), &spec.sources)
    };
    let (a, b) = (graph(&args.a)?, graph(&args.b)?);
    report::print(match args.format {
        Format::Text => difference::text(&a, &b),
        Format::Json => format!("{:#}\n", difference::document(&a, &b)),
    });
    Ok(())
}
