//! `netc cache`, and the arguments for the folder of feature caches.

use crate::cli::output::messages;
use crate::cli::result::CommandResult;
use crate::data::features::feature_cache;
use crate::data::features::feature_cache::CacheInfo;
use crate::diagnostics::{Code, Diagnostic, counted};
use std::fmt::Write;
use std::path::PathBuf;

/// The folder of feature caches.
#[derive(clap::Args, Clone, Debug)]
pub struct CacheFolder {
    /// Where the features of frozen fronts are cached; default: $NETC_CACHE, else the user's cache folder
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Keep features in memory only
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

impl CacheFolder {
    /// The folder; none if features stay in memory.
    pub fn folder(&self) -> Option<PathBuf> {
        if self.no_cache { None } else { self.cache.clone().or_else(feature_cache::default_folder) }
    }
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder of feature caches; default: $NETC_CACHE, else the user's cache folder
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Delete the listed caches
    #[arg(long)]
    clear: bool,
    /// Only caches whose name starts with this
    front: Option<String>,
}

pub fn run(args: &Args) -> CommandResult {
    let Some(folder) = args.cache.clone().or_else(feature_cache::default_folder) else {
        return Err(messages::fail_with(
            Diagnostic::new(Code::Unreadable, "there is no cache folder").help("name one with --cache FOLDER"),
        ));
    };
    let failed = |error: std::io::Error| {
        messages::fail_with(Diagnostic::new(
            Code::Unreadable,
            format!("{}: {}", folder.display(), crate::source::plain(&error)),
        ))
    };
    let all = feature_cache::list(&folder).map_err(failed)?;
    let chosen = |info: &&CacheInfo| args.front.as_ref().is_none_or(|front| info.front.starts_with(front.as_str()));
    let list: Vec<&CacheInfo> = all.iter().filter(chosen).collect();
    if args.clear {
        let mut bytes = 0;
        for info in &list {
            feature_cache::clear(&folder, Some(&info.front)).map_err(failed)?;
            bytes += info.bytes;
        }
        messages::line("Deleting", format!("{}, {}", counted(list.len(), "cache"), messages::bytes(bytes)));
        return Ok(());
    }
    let mut text = String::new();
    for info in &list {
        let size = messages::bytes(info.bytes);
        let _ = writeln!(text, "{}  {} rows of {} features, {size}", &info.front[..16], info.rows, info.floats);
    }
    let total: u64 = list.iter().map(|info| info.bytes).sum();
    let _ = writeln!(text, "{}, {} in {}", counted(list.len(), "cache"), messages::bytes(total), folder.display());
    messages::print(text);
    Ok(())
}
