//! `netc new`

use crate::cli::output::messages;
use crate::cli::output::output_guard::write_file;
use crate::cli::result::{CommandResult, Failed};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic};
use crate::elaborate::project::source_files::from_disk;
use crate::elaborate::{identifier, load_text};
use crate::file::folder_of;
use crate::source::plain;
use std::fs;
use std::path::{Path, PathBuf};

const CLASSES: [&str; 2] = ["class_a", "class_b"];

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder to create; the net is named like it
    name: PathBuf,
}

pub fn run(args: &Args) -> CommandResult {
    let folder = &args.name;
    let stem = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let net = match identifier(&stem) {
        // A name without any letter that the language allows.
        bare if !bare.is_empty() && bare.chars().all(|c| c == '_') => "project".to_string(),
        name => name,
    };
    let text = spec(&net);
    let file = folder.join(format!("{stem}.net"));
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
    for part in ["train", "valid"] {
        for class in CLASSES {
            fs::create_dir_all(folder.join("photos").join(part).join(class)).map_err(cannot)?;
        }
    }
    write_file(&folder.join("labels.txt"), format!("{}\n", CLASSES.join("\n")).as_bytes())?;
    write_file(&folder.join(".gitignore"), b"*.netb\n*.h5\n*.hdf5\n/photos/\n")?;
    write_file(&file, text.as_bytes())?;
    messages::line("Created", format!("{}  (try `netc check {}`)", folder.display(), file.display()));
    Ok(())
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

/// The spec of a new project.
fn spec(net: &str) -> String {
    format!(
        r#"netc 1

# {net}.net - SqueezeNet 1.1 up to its dropout, with a new head for your own classes.
#
# What to do next:
#   1. Put the pretrained weights next to this file as squeezenet1_1.hdf5 (netc's own is specs/samples/squeezenet1_1.hdf5).
#   2. Put photos in photos/train/CLASS and photos/valid/CLASS, one folder per class.
#   3. Write the names of the classes to labels.txt, sorted like the folders, and their number below in place of {classes}.
#   4. `netc check` checks this file, `netc show` prints its layers, `netc test` checks its `expect` lines.

weights squeezenet1_1 = "squeezenet1_1.hdf5"

## The front keeps its ImageNet weights; only the head is trained.
net {net} = frozen(squeezenet1_1[..dropout-1]) >> GlobalPool(avg) >> Softmax({classes}) as species

labels {net} = "labels.txt"

train {net} {{
  data       = images("photos/train")
  validation = images("photos/valid")
  optimizer  = Momentum(step=0.01, momentum=0.9)
  loss       = categorical_crossentropy
  epochs     = 20
  batch      = 32
}}

expect {net}: (?, 227, 227, 3) -> (?, {classes})
"#,
        classes = CLASSES.len()
    )
}
