//! The program as a server, with the artifacts of small nets.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A net for photos, one for rows of numbers, one with two inputs and two outputs, and one that looks up what it gets.
const SPECS: &[(&str, &str)] = &[
    (
        "bird.net",
        "net bird = Input(12x10x3, image=Image(resize=14, scale=0.015625, mean=[2, 2, 2])) as photo >> Conv(3x3, 6) >> Relu >> Flatten >> Softmax(3) as kind\n\
         labels bird = [\"owl\", \"wren\", \"crow\"]\n",
    ),
    ("rows.net", "net rows = Input(4) as x >> Relu(30) >> Softmax(3) as y\n"),
    (
        "two.net",
        "net two = (Input(2) as a | Input(3) as b) >> Concatenate >> Relu(4) >> (Softmax(2) as c | Dense(1) as d)\n",
    ),
    ("words.net", "net words = Input(2) as x >> Embedding(5, 4) >> Flatten >> Dense(2) as y\n"),
];

/// The program in a folder.
pub fn netc(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1").env_remove("CI").env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program, which must succeed.
#[track_caller]
pub fn done(folder: &Path, arguments: &[&str]) -> Output {
    let output = netc(folder, arguments).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A folder with the artifacts of some of the nets.
pub fn artifacts(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, text) in
        SPECS.iter().filter(|(file, _)| names.iter().any(|name| file.strip_suffix(".net") == Some(name)))
    {
        std::fs::write(folder.path().join(file), text).expect("a spec");
        done(folder.path(), &["build", file, "--allow-untrained"]);
    }
    folder
}

/// A running server, which ends with the value.
pub struct Server {
    pub folder: TempDir,
    pub address: SocketAddr,
    child: Child,
}

impl Server {
    /// Serves some of the nets on a free port.
    #[track_caller]
    pub fn start(names: &[&str], arguments: &[&str]) -> Server {
        let folder = artifacts(names);
        let files: Vec<String> = names.iter().map(|name| format!("{name}.netb")).collect();
        let mut all = vec!["serve", "--port", "0", "--threads", "2"];
        all.extend(files.iter().map(String::as_str).chain(arguments.iter().copied()));
        let mut command = netc(folder.path(), &all);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        let Some((_, address)) = line.trim().split_once("http://") else {
            let mut messages = String::new();
            let _ = child.stderr.take().expect("a pipe").read_to_string(&mut messages);
            panic!("no address in {line:?}\n{messages}");
        };
        let address = address.trim_end_matches("/edit");
        Server { address: address.parse().expect("an address"), folder, child }
    }

    /// Sends a signal, such as TERM.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill` runs").success());
    }

    /// The heaps of the C library beside that of the main thread: mappings of 64 MiB of which the first part is in use.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub fn heaps(&self) -> usize {
        const HEAP_BYTES: u64 = 64 << 20;
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).expect("its memory");
        let regions: Vec<(u64, u64, bool)> = maps
            .lines()
            .filter_map(|line| {
                let mut parts = line.split_whitespace();
                let (start, end) = parts.next()?.split_once('-')?;
                let number = |text| u64::from_str_radix(text, 16).ok();
                Some((number(start)?, number(end)?, parts.next()? == "rw-p"))
            })
            .collect();
        let is_heap = |pair: &&[(u64, u64, bool)]| {
            let [(start, end, used), (rest, until, reserved)] = **pair else { return false };
            start % HEAP_BYTES == 0 && used && !reserved && rest == end && until - start == HEAP_BYTES
        };
        regions.windows(2).filter(is_heap).count()
    }

    /// Waits for its end: the exit code and stderr.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut messages = String::new();
        let _ = self.child.stderr.take().expect("a pipe").read_to_string(&mut messages);
        (self.child.wait().expect("it ends").code(), messages)
    }

    /// The value of a metric, by its name and labels as they are in the text; 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        line.unwrap_or(0.0)
    }

    /// Waits until a metric has a value, for a minute at most.
    #[track_caller]
    pub fn wait_for(&self, name: &str, value: f64) {
        let mut tries = 0..12_000;
        while self.metric(name) != value {
            assert!(tries.next().is_some(), "{name} is {}, not {value}", self.metric(name));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
