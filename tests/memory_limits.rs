//! Memory limits: if the system refuses memory, every command ends with a result or an error, never by a signal, and never hangs.
#![cfg(target_os = "linux")]

mod program;

use program::{done, netc, text};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Address space in MB.
const LIMITS: [usize; 6] = [40, 60, 80, 100, 120, 200];

/// Far more than any of the commands needs.
const TIME: Duration = Duration::from_secs(60);

const SPEC: &str = "net m = Input(16x16x3, image=Unit) >> Conv(3x3, 8) as c >> Relu >> Flatten >> Dense(64) as d >> Softmax(2) as s\n\
                    labels m = [\"cups\", \"rockets\"]\n\
                    train m { data = images(\"photos\"), epochs = 2, batch = 2 }\n";

const COMMANDS: [&str; 5] = [
    "check m.net",
    "build m.net --allow-untrained -o built.netb",
    "predict m.netb photos/cups",
    "train m.net",
    "embed m.netb photos -o out.h5",
];

fn project() -> tempfile::TempDir {
    let folder = program::folder(&[("m.net", SPEC)]);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos");
    for (class, photo) in
        [("cups", "coffee.png"), ("cups", "gray.png"), ("rockets", "rocket.jpg"), ("rockets", "bits.png")]
    {
        let to = folder.path().join("photos").join(class);
        fs::create_dir_all(&to).expect("a folder");
        fs::copy(from.join(photo), to.join(photo)).expect("a photo");
    }
    done(&netc(folder.path(), &["build", "m.net", "--allow-untrained", "-o", "m.netb"]));
    folder
}

/// A command with a limited address space, in KiB.
fn limited(folder: &Path, kibibytes: usize, arguments: &str, backtrace: &str) -> Output {
    let script = format!("ulimit -v {kibibytes}; exec \"$0\" {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_netc")]).current_dir(folder);
    command.env("NETC_CACHE", folder.join("cache")).env("NO_COLOR", "1").env("RUST_BACKTRACE", backtrace);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell");
    let began = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if began.elapsed() > TIME {
            child.kill().expect("a child");
            let messages = text(&child.wait_with_output().expect("a child").stderr);
            panic!("`{arguments}` hangs with {kibibytes} KiB: {messages}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("a child")
}

#[track_caller]
fn assert_ended(output: &Output, what: &str) {
    let messages = text(&output.stderr);
    assert_eq!(output.status.signal(), None, "{what}: {messages}");
    match output.status.code() {
        Some(0) => {}
        Some(1) => assert!(messages.contains("error[E"), "{what}: {messages}"),
        code => panic!("{what}: {code:?}: {messages}"),
    }
}

/// The temporary files in a folder.
fn begun(folder: &Path) -> Vec<std::path::PathBuf> {
    let list = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    list.filter(|path| path.to_string_lossy().contains(".netc-")).collect()
}

#[test]
fn every_command_ends_with_a_result_or_an_error() {
    let folder = project();
    let folder = folder.path();
    let made = ["built.netb", "out.h5", "m.h5"].map(|name| folder.join(name));
    for backtrace in ["0", "1"] {
        for (limit, arguments) in LIMITS.iter().flat_map(|limit| COMMANDS.map(|command| (limit, command))) {
            made.iter().for_each(|path| _ = fs::remove_file(path));
            let output = limited(folder, limit * 1000, arguments, backtrace);
            let what = format!("`{arguments}` with {limit} MB");
            assert_ended(&output, &what);
            if *limit == 200 {
                done(&output);
            }
            let (wrote, succeeded) = (made.iter().any(|path| path.exists()), output.status.success());
            assert!(succeeded || !wrote, "{what} leaves a file: {}", text(&output.stderr));
        }
    }
    // Stale temporary files are deleted by the next command that writes there.
    for path in begun(folder) {
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).expect("a time");
    }
    done(&netc(folder, &["build", "m.net", "--allow-untrained", "-o", "built.netb"]));
    assert_eq!(begun(folder), Vec::<std::path::PathBuf>::new());
}

/// Closely spaced limits, so that allocation fails in many places.
#[test]
fn memory_may_end_anywhere() {
    let folder = project();
    // With less memory than the program needs before `main`, the loader exits with 127.
    let starts = |limit: &usize| limited(folder.path(), *limit, "--version", "0").status.success();
    let start = (20_000..40_000).step_by(250).find(starts).expect("a limit with which the program starts");
    for limit in (start..start + 60_000).step_by(2_000) {
        for arguments in COMMANDS {
            assert_ended(&limited(folder.path(), limit, arguments, "1"), &format!("`{arguments}` with {limit} KiB"));
        }
    }
}

/// More threads than there is memory for stacks.
#[test]
fn threads_that_the_system_refuses_are_done_without() {
    let folder = project();
    for arguments in ["predict m.netb photos/cups --threads 512", "train m.net --threads 512"] {
        assert_ended(&limited(folder.path(), 150_000, arguments, "1"), arguments);
    }
}
