//! `netc embed`

use super::build::{self, Choices};
use super::{Done, Failed, progress, report};
use crate::data::{Dataset, Decoding, Policy, array_file};
use crate::diagnostics::{Code, Diagnostic};
use crate::runtime::{Session, threads};
use crate::train::feed::{Feed, FeedError, run as run_batch};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first, such as 'vgg16[..dropout-2]'
    model: String,
    /// A folder of photos, or of one folder per class
    photos: PathBuf,
    #[command(flatten)]
    choices: Choices,
    /// Where the features go: .h5 (with the classes as targets), .npz or .npy; default: the spec's name with .h5
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The name of the array of features
    #[arg(long, default_value = "embedded", value_name = "NAME")]
    name: String,
    /// Leave out photos that cannot be read
    #[arg(long)]
    skip: bool,
    /// Images at a time
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Threads; default: all that the process may use
    #[arg(long)]
    threads: Option<usize>,
}

pub fn run(args: &Args) -> Done {
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let threads = args.threads.unwrap_or_else(threads::available).max(1);
    let decoding = decoding(&artifact)?;
    let policy = if args.skip { Policy::Skip } else { Policy::Refuse };
    let (mut paths, mut targets) = photos(&args.photos, policy)?;
    let port = &artifact.manifest.plan.outputs[0];
    let mut session = Session::new(Arc::clone(&artifact), threads);
    let mut bar = progress::Bar::new("Embedding");
    let mut features: Vec<f32> = Vec::with_capacity(paths.len() * port.len());
    let mut broken: Vec<(usize, String)> = Vec::new();
    let order: Vec<usize> = (0..paths.len()).collect();
    let batch = args.batch.max(1);
    let mut done = 0;
    while done < order.len() {
        let mut feed = Feed::Photos { photos: paths.clone().into(), decoding: decoding.clone(), front: None };
        let from = done;
        let result = feed.each::<FeedError>(&order[from..], batch, 0, threads, |places, inputs| {
            let outputs = run_batch(&mut session, places.len(), inputs)?;
            features.extend_from_slice(&outputs[0]);
            done += places.len();
            bar.at(done, order.len());
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(FeedError::Photos(faults)) => {
                broken.extend(faults);
                // The batch with the broken photos is left; its good ones come again, one at a time.
                let end = (done + batch).min(order.len());
                for place in done..end {
                    if broken.iter().any(|(index, _)| *index == place) {
                        continue;
                    }
                    let one = [place];
                    let mut one_feed =
                        Feed::Photos { photos: paths.clone().into(), decoding: decoding.clone(), front: None };
                    let again = one_feed.each::<FeedError>(&one, 1, 0, 1, |_, inputs| {
                        features.extend_from_slice(&run_batch(&mut session, 1, inputs)?[0]);
                        Ok(())
                    });
                    again.map_err(|fault| wrong(Code::Photo, fault.to_string()))?;
                }
                done = end;
            }
            Err(fault) => return Err(wrong(Code::Photo, fault.to_string())),
        }
    }
    bar.finish();
    for (_, reason) in &broken {
        report::line(if args.skip { "Skipping" } else { "Unreadable" }, reason);
    }
    if !broken.is_empty() && !args.skip {
        return Err(report::fail_with(
            Diagnostic::new(Code::Photo, format!("{} photos cannot be used", broken.len()))
                .help("`--skip` leaves them out"),
        ));
    }
    let kept = |index: &usize| !broken.iter().any(|(bad, _)| bad == index);
    let keep: Vec<usize> = order.iter().copied().filter(kept).collect();
    if let Some(classes) = &mut targets {
        *classes = keep.iter().map(|&index| classes[index]).collect();
    }
    paths = keep.iter().map(|&index| paths[index].clone()).collect();
    write(args, &artifact, &paths, features, targets)
}

fn wrong(code: Code, message: impl Into<String>) -> Failed {
    report::fail_with(Diagnostic::new(code, message))
}

/// How photos become the input of a net.
pub fn decoding(artifact: &crate::artifact::Artifact) -> Result<Decoding, Failed> {
    let plan = &artifact.manifest.plan;
    match (&plan.inputs[..], &artifact.manifest.preprocessing[..]) {
        ([port], [Some(preprocessing)]) => match port.sizes[..] {
            [height, width, channels] => Ok(Decoding {
                preprocessing: preprocessing.clone(),
                size: (height, width, channels),
                augmentation: None,
            }),
            _ => Err(wrong(Code::Preprocessing, format!("`{}` takes no images", plan.name))),
        },
        _ => Err(report::fail_with(
            Diagnostic::new(Code::Preprocessing, format!("`{}` does not say how a photo becomes its input", plan.name))
                .help("write `Input(224x224x3, image=Caffe)` in the spec"),
        )),
    }
}

/// The photos of a folder, with their classes where it has a folder for each.
fn photos(folder: &Path, policy: Policy) -> Result<(Vec<PathBuf>, Option<Vec<usize>>), Failed> {
    use crate::data::folder::{InputKind, Walk, expand};
    let has_folders = std::fs::read_dir(folder)
        .map(|list| list.flatten().any(|entry| entry.path().is_dir()))
        .map_err(|fault| wrong(Code::Inputs, format!("{}: {}", folder.display(), crate::source::plain(&fault))))?;
    if has_folders {
        let data = Dataset::images(folder, policy).map_err(|fault| wrong(Code::Dataset, fault.to_string()))?;
        for skipped in &data.skipped {
            report::line("Skipping", format!("{}: {}", skipped.path.display(), skipped.reason));
        }
        let classes = data.targets.classes();
        return match data.samples {
            crate::data::Samples::Photos(paths) => Ok((paths, classes)),
            crate::data::Samples::Arrays(_) => Ok((Vec::new(), None)),
        };
    }
    let found = expand(&[folder], Walk::OneLevel).map_err(|fault| wrong(Code::Inputs, fault.to_string()))?;
    let photos = found.inputs.into_iter().filter(|input| input.kind == InputKind::Photo);
    Ok((photos.map(|input| input.path).collect(), None))
}

fn write(
    args: &Args,
    artifact: &crate::artifact::Artifact,
    paths: &[PathBuf],
    features: Vec<f32>,
    targets: Option<Vec<usize>>,
) -> Done {
    let port = &artifact.manifest.plan.outputs[0];
    let path = args.output.clone().unwrap_or_else(|| build::artifact_path(&args.model).with_extension("h5"));
    let shape: Vec<usize> = std::iter::once(paths.len()).chain(port.sizes.iter().copied()).collect();
    let text = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let array =
        ArrayD::from_shape_vec(IxDyn(&shape), features).map_err(|fault| wrong(Code::Output, fault.to_string()))?;
    let mut arrays: Vec<(&str, ArrayViewD<f32>)> = vec![(args.name.as_str(), array.view())];
    let indices = targets.map(|classes| {
        let values = classes.iter().map(|&class| class as f32).collect();
        ArrayD::from_shape_vec(IxDyn(&[classes.len()]), values)
    });
    let single = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
    if let (Some(Ok(indices)), false) = (&indices, single) {
        arrays.push(("targets", indices.view()));
    }
    array_file::write(&path, &arrays).map_err(|fault| wrong(Code::Output, fault.to_string()))?;
    report::line("Finished", format!("{}  {} ({text})", path.display(), args.name));
    Ok(())
}
