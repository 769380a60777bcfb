//! `netc eval`

use super::build::{self, Choices};
use super::measures::{pictures, table};
use super::predict::{decoding, wrong};
use super::{Done, Failed, Format, number, output, progress, report, team};
use crate::artifact::Artifact;
use crate::data::{Coding, Dataset, Policy, Samples, Targets};
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::kernels::loss as kernel;
use crate::kernels::view::View;
use crate::ops::ending::Ending;
use crate::runtime::Session;
use crate::train::end::fitting_loss;
use crate::train::feed::{Broken, Feed, FeedError, Pass, run as run_batch};
use crate::train::mistakes::worst;
use crate::train::record::{DataCounts, Machine, RunRecord};
use crate::train::samples::places;
use crate::train::tally::{Outcome, Tally};
use crate::view;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first
    model: String,
    /// A folder with one folder of photos for each class
    photos: PathBuf,
    #[command(flatten)]
    choices: Choices,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write a page with the confusion matrix and the worst mistakes as pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Leave out photos that cannot be read
    #[arg(long)]
    skip: bool,
    /// Images at a time
    #[arg(long, default_value_t = 8, value_parser = number::batch)]
    batch: usize,
    #[command(flatten)]
    threads: team::Threads,
}

pub fn run(args: &Args) -> Done {
    if let Some(page) = &args.html {
        output::check(page, output::Kind::Page, &output::inputs(&args.model, &args.choices.weights, &[]))?;
    }
    let artifact = Arc::new(build::open(&args.model, &args.choices)?);
    let threads = args.threads.count();
    let decoding = decoding(&artifact)?;
    let policy = if args.skip { Policy::Skip } else { Policy::Refuse };
    let data = Dataset::images(&args.photos, policy).map_err(|fault| wrong(Code::Dataset, fault.to_string()))?;
    let port = &artifact.manifest.plan.outputs[0];
    if port.sizes.len() > 1 {
        let sizes: Vec<String> = port.sizes.iter().map(usize::to_string).collect();
        let message = format!("`{}` gives {} for a photo, and folders tell one class", port.name, sizes.join("x"));
        return Err(report::fail_with(
            Diagnostic::new(Code::Dataset, message)
                .help("`netc predict -o FILE` writes what it gives; `netc train` measures it on the validation data"),
        ));
    }
    let (labels, classes) = classes(&artifact, &data)?;
    let Samples::Photos(paths) = &data.samples else { return Ok(()) };
    let (outputs, ending) = (port.len(), artifact.manifest.ending(0));
    let targets = Targets::Classes(classes.clone());
    let mut tally = Tally::classes(outputs, labels.clone(), ending);
    // Of plain numbers nothing says what they were trained by.
    let loss = (ending != Ending::Numbers).then(|| fitting_loss(ending));
    let mut session = Session::new(Arc::clone(&artifact), threads);
    let mut feed = Feed::Photos { photos: paths.clone().into(), decoding, front: None };
    let order: Vec<usize> = (0..paths.len()).collect();
    let mut bar = progress::Bar::new("Evaluating");
    let (mut losses, mut all) = (0.0, Vec::with_capacity(paths.len() * outputs));
    let team = Arc::clone(session.team());
    let pass = Pass { order: &order, batch: args.batch, epoch: 0, team: &team, interrupted: None };
    let result = feed.each::<FeedError>(pass, |places, inputs| {
        let predictions = run_batch(&mut session, places.len(), inputs)?.swap_remove(0);
        let mut rows = vec![0.0; predictions.len()];
        for (to, sample) in rows.chunks_exact_mut(outputs).zip(places.clone()) {
            targets.row(sample, Coding::of(&port.sizes), to).map_err(FeedError::Rows)?;
        }
        tally.add(&predictions, &rows);
        if let Some(loss) = loss {
            let view = |rows| View { data: rows, ld: outputs, image: outputs };
            let images = places.len();
            losses += kernel::loss(loss, view(&predictions), view(&rows), None, images, outputs) * images as f64;
        }
        all.extend_from_slice(&predictions);
        bar.at(places.end, order.len());
        Ok(())
    });
    bar.finish();
    result.map_err(|fault| match fault {
        FeedError::Photos(broken) => {
            let lines: Vec<String> = broken.iter().map(Broken::to_string).collect();
            report::fail_with(Diagnostic::new(Code::Photo, lines.join("\n")))
        }
        fault => wrong(Code::Array, fault.to_string()),
    })?;
    let loss = loss.map(|_| losses / paths.len().max(1) as f64);
    let Some(outcome) = tally.outcome(loss) else { return Ok(()) };
    if let (Some(path), Outcome::Classes(measures)) = (&args.html, &outcome) {
        let worst = pictures(&worst(&all, outputs, ending, &classes, paths), &labels);
        let record = RunRecord {
            net: artifact.manifest.net.clone(),
            summary: artifact.manifest.summary.clone(),
            netc: env!("CARGO_PKG_VERSION").to_string(),
            data: DataCounts { validation: paths.len() as u64, classes: labels.len() as u64, ..DataCounts::default() },
            machine: Machine::this(threads),
            stopped: Some(format!("evaluated on {}", args.photos.display())),
            ..RunRecord::default()
        };
        let page = view::report::report(&record, Some(measures), &worst);
        super::show::write_whole(path, page.as_bytes())?;
    }
    match (args.format, &outcome) {
        (Format::Json, Outcome::Classes(measures)) => report::print(format!("{:#}\n", serde_json::json!(measures))),
        (Format::Json, Outcome::Numbers(measures)) => report::print(format!("{:#}\n", serde_json::json!(measures))),
        (Format::Text, outcome) => report::print(table(outcome, &args.photos.display().to_string())),
    }
    Ok(())
}

/// The labels of a net, and the class of each photo among them: by name, or in order where the net has no labels.
fn classes(artifact: &Artifact, data: &Dataset) -> Result<(Vec<String>, Vec<usize>), Failed> {
    let outputs = artifact.manifest.plan.outputs[0].len().max(2);
    let found = data.classes.clone().unwrap_or_default();
    let classes = data.targets.classes().unwrap_or_default();
    let Some(labels) = artifact.manifest.labels.clone() else {
        if found.len() != outputs {
            return Err(report::fail_with(
                Diagnostic::new(
                    Code::Dataset,
                    format!("the folder has {} classes, and the net has {outputs} outputs and no labels", found.len()),
                )
                .help("give the net `labels` in its spec"),
            ));
        }
        return Ok((found, classes));
    };
    let places = places(&found, &labels).map_err(|name| {
        report::fail_with(
            Diagnostic::new(Code::Dataset, format!("the folder `{name}` is no class of the net"))
                .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
                .help("folders are named like the net's labels: `netc inspect` shows them"),
        )
    })?;
    Ok((labels, classes.into_iter().map(|class| places[class]).collect()))
}
