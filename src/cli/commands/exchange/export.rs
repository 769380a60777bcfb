//! `netc export`

use crate::artifact::is_artifact;
use crate::cli::args::build_args::{BuildArgs, check_effect, given, names};
use crate::cli::model::{open_artifact, report_build};
use crate::cli::output::{messages, output_guard};
use crate::cli::result::{CommandResult, Failed};
use crate::compile::rebuild::rebuild;
use crate::compile::{self, Build, Precision};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, counted};
use crate::elaborate::Spec;
use crate::export;
use crate::graph::{Graph, NodeId};
use crate::source::in_shell;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression; or an artifact, beside the files that it was built from
    spec: String,
    #[command(flatten)]
    build: BuildArgs,
    /// The file to write; its extension selects the format: .safetensors (parameters with PyTorch's names and axis
    /// order), .onnx, or .keras (a model of Keras 3)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write an ONNX model, whatever the extension of the file
    #[arg(long)]
    onnx: bool,
    /// Write a model of Keras 3, whatever the extension of the file
    #[arg(long, conflicts_with = "onnx")]
    keras: bool,
    #[command(flatten)]
    onnx_args: OnnxArgs,
}

/// How an ONNX model takes and gives values.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "ONNX")]
struct OnnxArgs {
    /// Images go in and out as (batch, height, width, channels), not (batch, channels, height, width)
    #[arg(long)]
    nhwc: bool,
    /// Photos go in as pixels from 0 to 255, red, green and blue: nodes of the model do the arithmetic of `image=…`
    #[arg(long)]
    preprocess: bool,
}

/// A format, and how it is written.
struct Format {
    ending: &'static str,
    /// What is written, for help.
    what: &'static str,
    /// Whether it was asked for by its name.
    asked: fn(&Args) -> bool,
    /// Returns what the file has: `12 tensors`.
    write: fn(&Build, &Path, &Args) -> Result<String, Diagnostics>,
}

/// Every format.
const FORMATS: &[Format] = &[
    Format {
        ending: "safetensors",
        what: "a file of parameters for PyTorch",
        asked: |_| false,
        write: |build, path, _| Ok(counted(export::safetensors(build, path)?, "tensor")),
    },
    Format { ending: "onnx", what: "an ONNX model", asked: |args| args.onnx, write: onnx },
    Format {
        ending: "keras",
        what: "a model of Keras 3",
        asked: |args| args.keras,
        write: |build, path, _| Ok(counted(export::keras(build, path)?, "Keras layer")),
    },
];

fn onnx(build: &Build, path: &Path, args: &Args) -> Result<String, Diagnostics> {
    let OnnxArgs { nhwc: channels_last, preprocess } = args.onnx_args;
    let options = export::onnx::Options { channels_last, preprocess };
    Ok(format!("{}, opset {}", counted(export::onnx::onnx(build, path, &options)?, "node"), export::onnx::OPSET))
}

/// The format that is asked for by its name, else by the ending of the file.
fn format(args: &Args) -> Option<&'static Format> {
    let ending = args.output.extension().and_then(|ending| ending.to_str());
    let asked = FORMATS.iter().find(|format| (format.asked)(args));
    asked.or_else(|| FORMATS.iter().find(|format| ending == Some(format.ending)))
}

/// The net before anything is fused, from a spec or from an artifact.
fn built(args: &Args) -> Result<(Spec, Build), Failed> {
    let (path, options) = (Path::new(&args.spec), args.build.options());
    if is_compiled(args) {
        let artifact = open_artifact(&args.spec)?;
        let (spec, build, warnings) =
            rebuild(path, &artifact, options).map_err(|(sources, errors)| messages::fail(&errors, &sources))?;
        messages::emit(&warnings, &spec.sources);
        return Ok((spec, build));
    }
    let spec = messages::load(&args.spec)?;
    let build = messages::unwrap_or_report(compile::build(&spec, &options), &spec.sources)?;
    Ok((spec, build))
}

/// Checks that the options apply to what is written.
///
/// # Errors
/// Options of another format, or of the compiled net.
fn check_options(args: &Args, format: &Format) -> Result<(), Diagnostic> {
    let OnnxArgs { nhwc, preprocess } = args.onnx_args;
    let of_onnx = [("--nhwc", nhwc), ("--preprocess", preprocess)].into_iter().find(|(_, given)| *given);
    if let (Some((option, _)), false) = (of_onnx, format.ending == "onnx") {
        let message = format!("`{option}` applies to ONNX models, but this writes {}", format.what);
        return Err(Diagnostic::new(Code::Option, message).help("leave it out, or name a file that ends in .onnx"));
    }
    let mut given = args.build.of_compilation();
    given.retain(|option| option != "--precision f32");
    // Of an artifact they say how it was built, which the files beside it must prove.
    if given.is_empty() || is_compiled(args) {
        return Ok(());
    }
    let message = format!(
        "{} has the parameters in f32, as nothing is compiled: {} cannot change it",
        format.what,
        names(&given)
    );
    let (spec, given) = (in_shell(&args.spec), given.join(" "));
    let help = format!("leave it out, or compile the net into an artifact: `netc build {spec} {given}`");
    let mut error = Diagnostic::new(Code::Option, message).help(help);
    if format.ending == "onnx" && args.build.precision == Some(Precision::Int8) {
        error = error.help("ONNX models are quantised by `quantize_static` of onnxruntime.quantization");
    }
    Err(error)
}

/// Checks that the options apply to the net.
///
/// # Errors
/// Options of photos for a net without any.
fn check_effect_on(graph: &Graph, args: &Args) -> Result<(), Diagnostic> {
    let OnnxArgs { nhwc, preprocess } = args.onnx_args;
    let is_image = |id: &NodeId| graph.node(*id).output.sizes.len() == 3;
    if !graph.inputs().iter().chain(&graph.outputs).any(is_image) {
        check_effect(&given([("--nhwc", nhwc)]), "no input or output of the net has a height, a width and channels")?;
    }
    if compile::preprocessing(graph).iter().all(Option::is_none) {
        check_effect(&given([("--preprocess", preprocess)]), "no input of the net says `image=…`")?;
    }
    Ok(())
}

/// Whether the net is that of an artifact.
fn is_compiled(args: &Args) -> bool {
    args.spec.ends_with(".netb") || is_artifact(Path::new(&args.spec))
}

pub fn run(args: &Args) -> CommandResult {
    let Some(format) = format(args) else {
        let what = format!("{}: the extension of the file is not that of a format to export", args.output.display());
        let help = FORMATS.iter().map(|format| format!("`-o NAME.{}` writes {}", format.ending, format.what));
        return Err(messages::fail_with(Diagnostic::new(Code::Output, what).help(help.collect::<Vec<_>>().join(", "))));
    };
    check_options(args, format).map_err(messages::fail_with)?;
    output_guard::check(&args.output, output_guard::FileKind::Weights, &[Path::new(&args.spec)])?;
    let (spec, build) = built(args)?;
    check_effect_on(&build.graph, args).map_err(messages::fail_with)?;
    // Again with the files that it has read.
    let inputs =
        spec.sources.paths().into_iter().chain([Path::new(&args.spec)]).chain(build.files.iter().map(PathBuf::as_path));
    let inputs: Vec<&Path> = inputs.collect();
    output_guard::check(&args.output, output_guard::FileKind::Weights, &inputs)?;
    report_build(&build);
    let written =
        (format.write)(&build, &args.output, args).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    messages::line("Finished", format!("{}  {written}", args.output.display()));
    Ok(())
}
