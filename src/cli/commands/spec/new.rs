//! `netc new`

use crate::cli::output::messages;
use crate::cli::output::output_guard::write_file;
use crate::cli::result::{CommandResult, Failed};
use crate::compile;
use crate::data::samples::photo_paths;
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic};
use crate::elaborate::project::source_files::from_disk;
use crate::elaborate::{identifier, load_text};
use crate::file::folder_of;
use crate::source::{in_shell, plain};
use crate::syntax::print::inline::quoted;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of a project without photos.
const EXAMPLE_CLASSES: [&str; 2] = ["class_a", "class_b"];

/// The names of the folders of validation photos that people use.
const VALIDATION_FOLDERS: [&str; 4] = ["valid", "validation", "val", "test"];

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder to create; the net gets its name
    name: PathBuf,
    /// A folder of photos, with a subfolder for each class, or with `train` and `valid` folders of those
    #[arg(long, value_name = "FOLDER")]
    photos: Option<PathBuf>,
}

/// The data of a new project, as its spec names it.
struct Data {
    classes: usize,
    /// The entries `data` and `validation` of the recipe.
    training: String,
    validation: String,
}

pub fn run(args: &Args) -> CommandResult {
    let folder = &args.name;
    let Some(stem) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        let message = format!("`{}` has no name for a project: its net is named like its folder", folder.display());
        let help = "write the name of a new folder: `netc new birds`";
        return Err(messages::fail_with(Diagnostic::new(Code::ReservedName, message).help(help)));
    };
    let net = match identifier(&stem) {
        // A name without any letter that the language allows.
        bare if !bare.is_empty() && bare.chars().all(|c| c == '_') => "project".to_string(),
        name => name,
    };
    let data = match &args.photos {
        Some(photos) => given(folder, photos)?,
        None => Data {
            classes: EXAMPLE_CLASSES.len(),
            training: "images(\"photos/train\")".into(),
            validation: "images(\"photos/valid\")".into(),
        },
    };
    let name = format!("{stem}.net");
    let text = spec(&net, &name, &data, args.photos.is_none());
    let file = folder.join(&name);
    check(&stem, &file, &text)?;
    let cannot = |error: std::io::Error| {
        let (message, help) = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                (format!("{} already exists", folder.display()), "give the project another name".to_string())
            }
            std::io::ErrorKind::NotFound => {
                let parent = folder_of(folder);
                (
                    format!("{} cannot be created: {} does not exist", folder.display(), parent.display()),
                    "create that folder first".into(),
                )
            }
            _ => (format!("{} cannot be created: {}", folder.display(), plain(&error)), "choose another folder".into()),
        };
        messages::fail_with(Diagnostic::new(Code::Output, message).help(help))
    };
    // Unlike `create_dir_all`, this fails atomically if the folder exists.
    fs::create_dir(folder).map_err(cannot)?;
    if args.photos.is_none() {
        for part in ["train", "valid"] {
            for class in EXAMPLE_CLASSES {
                fs::create_dir_all(folder.join("photos").join(part).join(class)).map_err(cannot)?;
            }
        }
    }
    write_file(&folder.join(".gitignore"), b"*.netb\n*.h5\n*.hdf5\n*.run/\n/photos/\n")?;
    write_file(&file, text.as_bytes())?;
    let check = in_shell(&file.to_string_lossy()).into_owned();
    messages::line("Created", format!("{}  (try `netc check {check}`)", folder.display()));
    Ok(())
}

/// The data of a folder of photos, with paths from the project's folder.
fn given(project: &Path, photos: &Path) -> Result<Data, Failed> {
    let part = |names: &[&str]| names.iter().map(|name| photos.join(name)).find(|path| path.is_dir());
    let validation = part(&VALIDATION_FOLDERS);
    let training = part(&["train"]).filter(|_| validation.is_some());
    let root = training.as_deref().unwrap_or(photos);
    let found = photo_paths::images(root).map_err(|error| {
        let near = did_you_mean_file(photos).filter(|_| !photos.exists());
        messages::fail_with(Diagnostic::new(Code::Dataset, error.to_string()).maybe_help(near))
    })?;
    if let [only] = &found.classes[..] {
        let message = format!("{} has one class, `{only}`; a net tells two or more classes apart", root.display());
        let help = "put the photos of each class into a folder of its own";
        return Err(messages::fail_with(Diagnostic::new(Code::Dataset, message).help(help)));
    }
    let unreadable =
        |error: std::io::Error| messages::error(Code::Inputs, format!("{}: {}", photos.display(), plain(&error)));
    let base = fs::canonicalize(folder_of(project)).map_err(unreadable)?.join(project.file_name().unwrap_or_default());
    let data = |path: &Path| -> Result<String, Failed> {
        let path = fs::canonicalize(path).map_err(unreadable)?;
        let path = pathdiff::diff_paths(&path, &base).unwrap_or(path);
        Ok(format!("images({})", quoted(&path.display().to_string().replace('\\', "/"))))
    };
    Ok(Data {
        classes: found.classes.len(),
        training: data(root)?,
        validation: match (&training, &validation) {
            (Some(_), Some(validation)) => data(validation)?,
            _ => "split(0.2)".into(),
        },
    })
}

/// Refuses names that the language reserves, by compiling the spec that would be written.
fn check(stem: &str, file: &Path, text: &str) -> CommandResult {
    let spec = load_text(file, text, &from_disk);
    let taken = || {
        messages::fail_with(
            Diagnostic::new(Code::ReservedName, format!("`{stem}` cannot be a project's name")).note(
                "the net is named like the project, and the names of layers, shipped nets and keywords are reserved",
            ),
        )
    };
    if crate::elaborate::project::shipped::find(&identifier(stem)).is_some() || identifier(stem).is_empty() {
        return Err(taken());
    }
    compile::graph(&spec, None).map(|_| ()).map_err(|_| -> Failed { taken() })
}

/// The spec of a new project. The recipe is one that does not overfit on few photos: a small step, a strong regularizer, a
/// moving average of the weights, and an end when the validation loss no longer improves. `file` is its name.
fn spec(net: &str, file: &str, data: &Data, is_example: bool) -> String {
    let in_command = in_shell(file);
    let Data { classes, training, validation } = data;
    let photos = match is_example {
        true => format!(
            "#   2. Put photos in photos/train/CLASS and photos/valid/CLASS, one folder per class, and write the number of classes in place\n\
             #      of {classes}. The classes are named like their folders.\n"
        ),
        false => "#   2. The classes are named like the folders of photos.\n".to_string(),
    };
    format!(
        r#"netc 1

# {file} - SqueezeNet 1.1 up to its last convolution, with a new head for your own classes.
#
# What to do next:
#   1. Put the pretrained weights next to this file as squeezenet1_1.hdf5 (netc's own is specs/samples/squeezenet1_1.hdf5).
{photos}#   3. `netc check {in_command}` checks this file, `netc show {in_command}` prints its layers, `netc train {in_command}` trains it.

weights squeezenet1_1 = "squeezenet1_1.hdf5"

## The front keeps its ImageNet weights; only the head is trained.
net {net} = frozen(squeezenet1_1[..conv10]) >> GlobalPool(avg) >> Softmax({classes}) as class

train {net} {{
  data        = {training}
  validation  = {validation}
  optimizer   = Momentum(step=0.001, momentum=0.9)
  regularizer = l2(0.1)
  average     = 0.99
  stop        = early_stopping(patience=10)
  epochs      = 100
  batch       = 32
}}
"#
    )
}
