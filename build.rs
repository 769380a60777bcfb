//! Says what the machine lacks for building the bundled C libraries, before a long build fails on it.

use std::process::{Command, Stdio};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_BUNDLED").is_none() {
        return;
    }
    let runs = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let missing: Vec<&str> = [("cc", "gcc"), ("make", "make"), ("perl", "perl")]
        .into_iter()
        .filter(|(program, _)| !runs(program))
        .map(|(_, package)| package)
        .collect();
    if !missing.is_empty() {
        println!("cargo:warning=netc builds OpenBLAS and HDF5 and needs: apt-get install {}", missing.join(" "));
    }
}
