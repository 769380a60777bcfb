//! `netc export`

use crate::cli::args::build_args::BuildArgs;
use crate::cli::model::report_build;
use crate::cli::output::{messages, output_guard};
use crate::cli::result::CommandResult;
use crate::compile;
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::export;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    #[command(flatten)]
    build: BuildArgs,
    /// The file to write; its ending is the format: .safetensors (parameters with PyTorch's names and axis order)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &Args) -> CommandResult {
    if args.output.extension().is_none_or(|ending| ending != "safetensors") {
        let what = format!("{}: the ending of the file is not a format to export", args.output.display());
        return Err(messages::fail_with(
            Diagnostic::new(Code::Output, what).help("`-o NAME.safetensors` writes the parameters for PyTorch"),
        ));
    }
    if args.spec.ends_with(".netb") {
        let what = format!("{}: the parameters of an artifact are fused and packed", args.spec);
        return Err(messages::fail_with(
            Diagnostic::new(Code::Inputs, what).help("export the spec that it was built from"),
        ));
    }
    let spec = messages::load(&args.spec)?;
    let build = messages::unwrap_or_report(compile::build(&spec, &args.build.options()), &spec.sources)?;
    let specs = spec.sources.iter().filter_map(|(_, file)| file.path.as_deref());
    let inputs: Vec<&Path> = specs.chain(build.files.iter().map(PathBuf::as_path)).collect();
    output_guard::check(&args.output, output_guard::FileKind::Weights, &inputs)?;
    report_build(&build);
    let tensors = export::safetensors(&build, &args.output).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::line("Finished", format!("{}  {}", args.output.display(), counted(tensors, "tensor")));
    Ok(())
}
