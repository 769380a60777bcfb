//! `netc inspect`

use super::build::{self, Choices};
use super::{Done, Format, report};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An artifact, or a spec that is compiled first
    model: String,
    #[command(flatten)]
    choices: Choices,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Print the plan
    #[arg(long)]
    plan: bool,
}

pub fn run(args: &Args) -> Done {
    let artifact = build::open(&args.model, &args.choices)?;
    let manifest = &artifact.manifest;
    if args.format == Format::Json {
        report::print(format!("{:#}\n", serde_json::json!(manifest)));
        return Ok(());
    }
    if args.plan {
        report::print(&manifest.plan);
        return Ok(());
    }
    let yaml = serde_yaml::to_string(&serde_json::json!({
        "net": manifest.net,
        "summary": manifest.summary,
        "written by": format!("netc {}", manifest.netc),
        "inputs": manifest.plan.inputs.iter().zip(&manifest.preprocessing).map(|(port, image)| serde_json::json!({
            "name": port.name, "sizes": port.sizes, "image": image.as_ref().map(ToString::to_string),
        })).collect::<Vec<_>>(),
        "outputs": manifest.plan.outputs.iter().map(|port| serde_json::json!({ "name": port.name, "sizes": port.sizes })).collect::<Vec<_>>(),
        "steps": manifest.plan.steps.len(),
        "constants": manifest.plan.constant_floats() * 4,
        "arena per image": manifest.plan.image_floats() * 4,
        "labels": manifest.labels.as_ref().map(Vec::len),
        "untrained": manifest.untrained,
        "tuned for": manifest.tuned,
        "made from": manifest.inputs.iter().map(|(name, digest)| format!("{name} {digest}")).collect::<Vec<_>>(),
        "source": manifest.source,
    }));
    report::print(yaml.unwrap_or_default());
    Ok(())
}
