//! `netc check`

use super::{Done, Failed, Format, report};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, render};
use crate::elaborate::Spec;
use std::collections::BTreeMap;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// File, shipped net or expression
    spec: String,
    /// Check only this net
    #[arg(long, value_name = "NAME")]
    net: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> Done {
    let spec = match (crate::elaborate::load(&args.spec, &crate::elaborate::project::from_disk), args.format) {
        (Ok(spec), _) => spec,
        (Err((sources, faults)), Format::Json) => {
            report::print(format!("{:#}\n", render::json(&faults, &sources)));
            return Err(Failed);
        }
        (Err((sources, faults)), Format::Text) => return Err(report::fail(&faults, &sources)),
    };
    let (told, lines) = check(&spec, args.net.as_deref());
    match args.format {
        Format::Json => report::print(format!("{:#}\n", render::json(&told, &spec.sources))),
        Format::Text => {
            report::tell(&told, &spec.sources);
            if !told.has_errors() {
                report::print(lines.concat());
            }
        }
    }
    if told.has_errors() { Err(Failed) } else { Ok(()) }
}

/// Everything that can be said of a spec without opening weights, and a line for each net that is right.
fn check(spec: &Spec, net: Option<&str>) -> (Diagnostics, Vec<String>) {
    let mut told = spec.faults.clone();
    told.extend(spec.check_recipes());
    let mut lines = Vec::new();
    if told.has_errors() {
        return (told, lines);
    }
    let nets = match net {
        Some(_) => match spec.choose(net) {
            Ok(net) => vec![net],
            Err(faults) => {
                told.extend(faults);
                Vec::new()
            }
        },
        None => match (spec.complete_nets(), spec.choose(None)) {
            (nets, _) if !nets.is_empty() => nets,
            (_, Ok(net)) => vec![net],
            (_, Err(faults)) => {
                told.extend(faults);
                Vec::new()
            }
        },
    };
    for net in nets {
        match spec.graph_or_fragment(net) {
            Ok((graph, more)) => {
                told.extend(more);
                lines.push(format!("{}: {}\n", graph.name, graph.summary()));
                match spec.weights(&graph, &BTreeMap::new()) {
                    Ok(requests) => {
                        for request in requests.iter().filter(|request| !request.path.exists()) {
                            let message = format!("{} is not there", request.path.display());
                            told.push(Diagnostic::new(Code::WeightsAway, message).at(request.span, "needed to build"));
                        }
                    }
                    Err(faults) => told.extend(faults),
                }
            }
            Err(faults) => told.extend(faults),
        }
    }
    (told, lines)
}
