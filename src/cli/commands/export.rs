//! `netc export`

use crate::cli::args::build_args::BuildArgs;
use crate::cli::model::report_build;
use crate::cli::output::{messages, output_guard};
use crate::cli::result::CommandResult;
use crate::compile::{self, Build};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::export;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    #[command(flatten)]
    build: BuildArgs,
    /// The file to write; its ending is the format: .safetensors (parameters with PyTorch's names and axis order), .keras (a
    /// model of Keras 3)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write a model of Keras 3, whatever the ending of the file
    #[arg(long)]
    keras: bool,
}

/// Writes a build to a file and returns how much it wrote.
type Write = fn(&Build, &Path) -> Result<usize, Diagnostics>;

/// A format of files.
struct Format {
    ending: &'static str,
    write: Write,
    /// What is counted.
    noun: &'static str,
    /// What `-o` with this ending does, for the help.
    does: &'static str,
}

const FORMATS: [Format; 2] = [
    Format {
        ending: "safetensors",
        write: export::safetensors,
        noun: "tensor",
        does: "writes the parameters for PyTorch",
    },
    Format { ending: "keras", write: export::keras, noun: "Keras layer", does: "writes a model of Keras 3" },
];

pub fn run(args: &Args) -> CommandResult {
    let ending = if args.keras { Some("keras") } else { args.output.extension().and_then(|ending| ending.to_str()) };
    let Some(format) = FORMATS.iter().find(|format| Some(format.ending) == ending) else {
        let what = format!("{}: the ending of the file is not a format to export", args.output.display());
        let help = |diagnostic: Diagnostic, format: &Format| {
            diagnostic.help(format!("`-o NAME.{}` {}", format.ending, format.does))
        };
        return Err(messages::fail_with(FORMATS.iter().fold(Diagnostic::new(Code::Output, what), help)));
    };
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
    let count = (format.write)(&build, &args.output).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::line("Finished", format!("{}  {}", args.output.display(), counted(count, format.noun)));
    Ok(())
}
