//! `netc serve`

use crate::cli::args::build_args::{BuildArgs, byte_size, check_effect, given};
use crate::cli::args::duration::Time;
use crate::cli::args::number::batch_size;
use crate::cli::args::threads_arg;
use crate::cli::model;
use crate::cli::out_of_memory::bound_heaps;
use crate::cli::output::messages;
use crate::cli::result::{CommandResult, Failed};
use crate::diagnostics::{Code, Diagnostic, counted};
use crate::runtime::RunError;
use crate::serve::limits::{DEFAULT_BATCH, DEFAULT_DELAY};
use crate::serve::{Batching, EditedSpec, Limits, ModelError, Options, ServeError, Stopped, is_name, serve};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;

const LIMITS: Limits = Limits::DEFAULT;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Artifacts, or specs, which are compiled first; the name of a model is that of its file
    #[arg(required_unless_present = "edit", value_name = "MODEL")]
    models: Vec<String>,
    /// Edit a spec in the browser, with its diagnostics, layers and drawing as you type; on this machine only
    #[arg(long, value_name = "SPEC")]
    edit: Option<PathBuf>,
    /// The address to listen on; any other than a loopback address makes the server public
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 takes a free one, which is printed
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Maximum number of images in a batch
    #[arg(long, default_value_t = DEFAULT_BATCH, value_parser = batch_size)]
    max_batch: usize,
    /// How long the first image of a batch waits for others, such as 500us, 2ms or 1s
    #[arg(long, value_name = "TIME", default_value_t = Time(DEFAULT_DELAY))]
    max_delay: Time,
    /// Maximum size of a request's body
    #[arg(long, value_name = "BYTES", default_value_t = LIMITS.body_bytes as u64, value_parser = byte_size)]
    max_body: u64,
    /// Maximum number of photos, or rows of tensors, in a request
    #[arg(long, value_name = "COUNT", default_value_t = LIMITS.images, value_parser = batch_size)]
    max_images: usize,
    /// Maximum number of images of a model that are queued or being computed
    #[arg(long, value_name = "IMAGES", default_value_t = LIMITS.queue, value_parser = batch_size)]
    queue: usize,
    /// Maximum number of simultaneous connections
    #[arg(long, value_name = "COUNT", default_value_t = LIMITS.connections, value_parser = batch_size)]
    connections: usize,
    /// Time limit for the headers of a request, and for an idle connection
    #[arg(long, value_name = "TIME", default_value_t = Time(LIMITS.header_time))]
    header_timeout: Time,
    /// Time limit for the body of a request, and for a stalled response
    #[arg(long, value_name = "TIME", default_value_t = Time(LIMITS.body_time))]
    body_timeout: Time,
    /// Time to answer pending requests after SIGTERM or Ctrl-C; a second signal stops the server at once
    #[arg(long, value_name = "TIME", default_value_t = Time(LIMITS.stop_time))]
    stop_timeout: Time,
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    threads: threads_arg::Threads,
}

pub fn run(args: &Args) -> CommandResult {
    bound_heaps();
    let names = names(&args.models)?;
    if args.models.is_empty() {
        let options = [
            ("--net", args.build.net.is_some()),
            ("--threads", args.threads.is_given()),
            ("--max-batch", args.max_batch != DEFAULT_BATCH),
            ("--max-delay", args.max_delay.0 != DEFAULT_DELAY),
            ("--max-images", args.max_images != LIMITS.images),
            ("--queue", args.queue != LIMITS.queue),
        ];
        let all = [given(options), args.build.given()].concat();
        check_effect(&all, "a spec that is edited is not compiled").map_err(messages::fail_with)?;
    }
    // A file that cannot be edited is told before an address that is taken.
    let edited = args.edit.clone().map(EditedSpec::open).transpose().map_err(cannot)?;
    let listener = bind(&args.host, args.port)?;
    let address = listener.local_addr().map_err(|error| cannot(error.to_string()))?;
    if edited.is_some() {
        check_private(&address)?;
    }
    let mut models = Vec::new();
    for (argument, name) in args.models.iter().zip(names) {
        let artifact = model::open(argument, &args.build)?;
        messages::line("Serving", format!("{name}  {}", artifact.manifest.summary));
        models.push((name, artifact));
    }
    if !address.ip().is_loopback() {
        messages::line("Public", "without encryption or authentication: a proxy in front must do both");
    }
    let limits = Limits {
        body_bytes: usize::try_from(args.max_body).unwrap_or(usize::MAX),
        images: args.max_images,
        queue: args.queue,
        connections: args.connections,
        header_time: args.header_timeout.0,
        body_time: args.body_timeout.0,
        stop_time: args.stop_timeout.0,
    };
    let batching = Batching { batch: args.max_batch, delay: args.max_delay.0 };
    let options = Options { limits, batching, threads: args.threads.count() };
    let count = models.len();
    let ready = || match &args.edit {
        Some(path) => messages::print(format!("{} at http://{address}/edit\n", path.display())),
        None => messages::print(format!("{} at http://{address}\n", counted(count, "model"))),
    };
    match serve(models, edited, listener, &options, ready).map_err(|error| failed(&error))? {
        Stopped::Finished => {
            messages::line("Stopped", "all requests are answered");
            Ok(())
        }
        Stopped::Cut => {
            messages::line("Stopped", "before all requests were answered");
            Err(Failed::Error)
        }
    }
}

/// Checks that only this machine's users reach the server: whoever does can write the spec.
fn check_private(address: &SocketAddr) -> CommandResult {
    if !address.ip().is_loopback() {
        let diagnostic = Diagnostic::new(Code::Serve, format!("a spec is not edited at a public address: {address}"));
        return Err(messages::fail_with(diagnostic.help("leave `--host` out: the editor writes the spec's file")));
    }
    Ok(())
}

/// The names of the models: unique, and fit for a path.
fn names(arguments: &[String]) -> Result<Vec<String>, Failed> {
    let mut names: Vec<String> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let path = model::artifact_path(argument);
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let wrong = |reason: String| {
            let diagnostic = Diagnostic::new(Code::Serve, reason);
            Err(messages::fail_with(diagnostic.help("the name of a model is that of its file: rename the file")))
        };
        if !is_name(&name) {
            return wrong(format!("`{name}` cannot be the name of a model: letters, digits, `-`, `_` and `.` can"));
        }
        if names.contains(&name) {
            return wrong(format!("two models are named `{name}`"));
        }
        names.push(name);
    }
    Ok(names)
}

fn bind(host: &str, port: u16) -> Result<TcpListener, Failed> {
    let addresses = (host, port).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
    let bound = addresses.and_then(|addresses| TcpListener::bind(&addresses[..]));
    bound.map_err(|error| {
        let message = format!("it cannot listen on {host}, port {port}: {}", crate::source::plain(&error));
        let diagnostic = Diagnostic::new(Code::Serve, message);
        messages::fail_with(match error.kind() {
            ErrorKind::AddrInUse | ErrorKind::PermissionDenied => diagnostic.help("`--port 0` takes a free port"),
            _ => diagnostic,
        })
    })
}

fn cannot(reason: String) -> Failed {
    messages::error(Code::Serve, reason)
}

fn failed(error: &ServeError) -> Failed {
    match error {
        ServeError::Model(_, ModelError::Run(RunError::Memory { .. })) => {
            let diagnostic = Diagnostic::new(Code::Memory, error.to_string());
            messages::fail_with(diagnostic.help("a smaller `--max-batch` and fewer `--threads` need less"))
        }
        _ => cannot(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_are_those_of_files() {
        let names = |arguments: &[&str]| names(&arguments.iter().map(|text| text.to_string()).collect::<Vec<_>>());
        let Ok(found) = names(&["nets/bird.netb", "cat-2.net", "vgg16", "Input(4) >> Relu(2)"]) else {
            panic!("names");
        };
        assert_eq!(found, ["bird", "cat-2", "vgg16", "Input-4-Relu-2"]);
        assert!(names(&["a/bird.netb", "b/bird.netb"]).is_err() && names(&["a b.netb"]).is_err());
    }
}
