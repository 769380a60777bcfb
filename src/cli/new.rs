//! `netc new`

use super::output::messages;
use super::show::write_whole;
use super::{Done, Failed};
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
    /// The folder that is made; its name becomes the net's
    name: PathBuf,
}

pub fn run(args: &Args) -> Done {
    let folder = &args.name;
    let stem = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let net = match identifier(&stem) {
        // Letters that a net's name cannot have are no reason to call it nothing.
        bare if !bare.is_empty() && bare.chars().all(|c| c == '_') => "project".to_string(),
        name => name,
    };
    let text = spec(&net);
    let file = folder.join(format!("{stem}.net"));
    check(&stem, &file, &text)?;
    let cannot = |error: std::io::Error| {
        let (message, help) = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                (format!("{} is there already", folder.display()), "give the project another name".to_string())
            }
            std::io::ErrorKind::NotFound => {
                let around = folder_of(folder);
                (
                    format!("{} cannot be made: {} is not there", folder.display(), around.display()),
                    "make it first".into(),
                )
            }
            _ => (format!("{} cannot be made: {}", folder.display(), plain(&error)), "take another place".into()),
        };
        messages::fail_with(Diagnostic::new(Code::Output, message).help(help))
    };
    // Unlike `create_dir_all` this refuses a folder that exists, without a moment in which another could make it.
    fs::create_dir(folder).map_err(cannot)?;
    for part in ["train", "valid"] {
        for class in CLASSES {
            fs::create_dir_all(folder.join("photos").join(part).join(class)).map_err(cannot)?;
        }
    }
    write_whole(&folder.join("labels.txt"), format!("{}\n", CLASSES.join("\n")).as_bytes())?;
    write_whole(&folder.join(".gitignore"), b"*.netb\n*.h5\n*.hdf5\n/photos/\n")?;
    write_whole(&file, text.as_bytes())?;
    messages::line("Created", format!("{}  (try `netc check {}`)", folder.display(), file.display()));
    Ok(())
}

/// Refuses a name that the language has taken, by compiling what would be written.
fn check(stem: &str, file: &Path, text: &str) -> Done {
    let spec = load_text(file, text, &from_disk);
    let taken = || {
        messages::fail_with(Diagnostic::new(Code::ReservedName, format!("`{stem}` cannot be a project's name")).note(
            "the net is named like the project, and names of layers, shipped nets and the language's words are taken",
        ))
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
#   1. Put the pretrained weights beside this file as squeezenet1_1.hdf5 (netc's own is specs/samples/squeezenet1_1.hdf5).
#   2. Put photos in photos/train/CLASS and photos/valid/CLASS, one folder per class.
#   3. Write the classes' names into labels.txt, sorted as the folders are, and their number below in place of {classes}.
#   4. `netc check` proves this file, `netc show` prints its layers, `netc test` checks its `expect` lines.

weights squeezenet1_1 = "squeezenet1_1.hdf5"

## The front keeps what it learnt from ImageNet; only the head is trained.
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
