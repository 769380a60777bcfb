//! `netc import`

use crate::cli::output::messages;
use crate::cli::output::output_guard::{self, FileKind, write_file};
use crate::cli::result::CommandResult;
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::elaborate::project::source_files::from_disk;
use crate::import::{self, Options};
use crate::source::{Sources, in_shell};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A model of ONNX, or of Keras (.keras, .h5)
    model: PathBuf,
    /// The spec to write [default: the model's name with .net, beside it]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Import up to this node, value or layer
    #[arg(long, value_name = "NODE")]
    until: Option<String>,
    /// Height and width of an input that leaves them open, such as 224x224; or the steps of a sequence
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<Size>,
}

/// Height and width.
#[derive(Clone, Copy, Debug)]
struct Size([usize; 2]);

fn size(text: &str) -> Result<Size, String> {
    let wrong = || format!("'{text}' is not a size, such as 224x224");
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    let side = |text: &str| text.parse().ok().filter(|side| (1..1 << 20).contains(side)).ok_or_else(wrong);
    Ok(Size([side(height)?, side(width)?]))
}

/// Checks that a spec which is to be replaced was imported, not written by hand.
///
/// # Errors
/// Any other spec.
fn check_own(spec: &Path) -> Result<(), Diagnostic> {
    if !spec.is_file() {
        return Ok(());
    }
    // A file that cannot be read may belong to the user, too.
    if let Ok(text) = from_disk(spec).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        && (text.trim().is_empty() || import::is_imported(&text))
    {
        return Ok(());
    }
    let message = format!("this would overwrite {}, which was not imported", spec.display());
    Err(Diagnostic::new(Code::Output, message).help("choose another file: `-o NAME.net`"))
}

pub fn run(args: &Args) -> CommandResult {
    if args.model.extension().is_some_and(|ending| ending == "net") && args.model.is_file() {
        let name = args.model.display();
        let help = format!("`netc check {0}` checks it, `netc show {0}` lists its layers", in_shell(&name.to_string()));
        return Err(messages::fail_with(
            Diagnostic::new(Code::ImportModel, format!("{name} is a spec already; models of other tools are imported"))
                .help(help),
        ));
    }
    let spec = args.output.clone().unwrap_or_else(|| args.model.with_extension("net"));
    output_guard::check(&spec, FileKind::Spec, &[args.model.as_path()])?;
    let options = Options { size: args.size.map(|Size(size)| size), until: args.until.clone() };
    let imported =
        import::import(&args.model, &spec, &options).map_err(|errors| messages::fail(&errors, &Sources::default()))?;
    check_own(&spec).map_err(messages::fail_with)?;
    write_file(&spec, imported.text.as_bytes())?;
    let lines = imported.text.lines().count();
    messages::line(
        "Imported",
        format!(
            "{}  {} layers of {} in {lines} lines",
            spec.display(),
            imported.layers,
            counted(imported.nodes, imported.noun)
        ),
    );
    Ok(())
}
