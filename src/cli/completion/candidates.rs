//! The values that arguments are completed with: shipped nets, layers in a cut, codes, names that have help, keys of recipes.

use crate::diagnostics::Code;
use crate::elaborate::load;
use crate::elaborate::project::{shipped, source_files};
use crate::ops::{self, values};
use crate::syntax::{layer_name_text, manual};
use crate::train::recipe;
use crate::train::recipe::keys::KEYS;
use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use std::ffi::OsStr;

/// The arguments that take a spec.
const SPECS: [&str; 6] = ["spec", "specs", "model", "models", "a", "b"];
/// Commands whose `model` is a file of another program.
const WITHOUT_SPECS: [&str; 1] = ["import"];

/// The program with what completes the values of its arguments.
pub fn with_candidates(program: Command) -> Command {
    let commands: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_string()).collect();
    program.mut_subcommands(|command| {
        let name = command.get_name().to_string();
        let takes_specs = !WITHOUT_SPECS.contains(&name.as_str());
        let commands = commands.clone();
        command.mut_args(move |argument| match (name.as_str(), argument.get_id().as_str()) {
            (_, id) if takes_specs && SPECS.contains(&id) => argument.add(ArgValueCompleter::new(specs)),
            (_, "settings") => argument.add(ArgValueCompleter::new(settings)),
            ("explain", "code") => argument.add(ArgValueCompleter::new(codes)),
            ("help", "name") => {
                let commands = commands.clone();
                argument.add(ArgValueCompleter::new(move |typed: &OsStr| helped(typed, &commands)))
            }
            _ => argument,
        })
    })
}

/// Shipped nets, specs and artifacts, folders; in the brackets of a cut the net's layers.
fn specs(typed: &OsStr) -> Vec<CompletionCandidate> {
    let text = typed.to_string_lossy();
    // Zsh and fish hand over the quote that is open, and put it back themselves.
    let text = text.trim_start_matches(['\'', '"']);
    if let Some(names) = layers(text) {
        return names.into_iter().map(CompletionCandidate::new).collect();
    }
    let nets = shipped::SPECS.iter().map(|spec| spec.name).filter(|name| name.starts_with(text));
    let files = PathCompleter::file().filter(|path| {
        path.is_dir() || path.extension().is_some_and(|extension| extension == "net" || extension == "netb")
    });
    nets.map(CompletionCandidate::new).chain(files.complete(typed)).collect()
}

/// The continuations of an expression that ends within a cut, such as `vgg16[..=conv5`: one for each layer and scope. `None` if it
/// ends elsewhere.
fn layers(text: &str) -> Option<Vec<String>> {
    let open = text.rfind('[').filter(|&open| !text[open..].contains(']'))?;
    let in_path = |c: char| c.is_alphanumeric() || "_-./".contains(c);
    let start = text[..open]
        .rfind(|c| !in_path(c))
        .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
    let net = Some(&text[start..open]).filter(|net| !net.is_empty())?;
    let range = &text[open + 1..];
    let end = range.find("..").map_or(0, |dots| dots + 2);
    let end = end + usize::from(range[end..].starts_with('=') && end > 0);
    let (head, written) = text.split_at(open + 1 + end);
    let spec = load(net, &source_files::from_disk).ok()?;
    let (graph, _) = spec.choose(None).and_then(|net| spec.graph(net)).ok()?;
    let names = graph.nodes.iter().map(|node| node.name.clone()).chain(graph.scopes());
    let names = names.map(|name| layer_name_text(&name)).filter(|name| name.starts_with(written));
    Some(names.map(|name| format!("{head}{name}]")).collect())
}

/// The codes of diagnostics.
fn codes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy().to_uppercase();
    let codes = Code::ALL.iter().filter(|code| code.text().starts_with(&typed));
    codes.map(|code| CompletionCandidate::new(code.text()).help(Some(code.title().into()))).collect()
}

/// The names that `netc help` describes.
fn helped(typed: &OsStr, commands: &[String]) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let mut names: Vec<String> = ops::names()
        .chain(manual::words())
        .chain(KEYS.iter().map(|key| key.name))
        .chain(recipe::help::names())
        .chain(values::names())
        .chain(shipped::SPECS.iter().map(|spec| spec.name))
        .map(str::to_string)
        .chain(commands.iter().cloned())
        .filter(|name| name.starts_with(&*typed))
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// `epochs=`, `optimizer=`: the keys of recipes.
fn settings(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let keys = KEYS.iter().filter(|key| key.name.starts_with(&*typed));
    keys.map(|key| CompletionCandidate::new(format!("{}=", key.name)).help(Some(key.summary.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::layers;

    #[test]
    fn layers_continue_the_cut_that_is_typed() {
        let of = |text: &str| layers(text).unwrap_or_default();
        assert_eq!(of("vgg16[..=conv1_"), ["vgg16[..=conv1_1]", "vgg16[..=conv1_2]"]);
        assert_eq!(of("vgg16[conv1_1..conv2_2"), ["vgg16[conv1_1..conv2_2]"]);
        assert_eq!(of("frozen(squeezenet[..fire2/sq"), ["frozen(squeezenet[..fire2/squeeze1x1]"]);
        assert!(of("squeezenet[fire").contains(&"squeezenet[fire2]".to_string()));
        assert_eq!(layers("vgg16"), None);
        assert_eq!(layers("vgg16[..3] >> Softmax(2)"), None);
        for text in ["[", "nothing[..", "vgg16[..=ü", "ü[..", "vgg16[..=..="] {
            assert!(of(text).is_empty(), "{text}");
        }
    }
}
