//! `netc serve`: the program on a free port, spoken to over TCP.

#[cfg(feature = "serve")]
mod client;
#[cfg(feature = "serve")]
mod edit;
#[cfg(feature = "serve")]
mod inference;
#[cfg(feature = "serve")]
mod limits;
#[cfg(feature = "serve")]
mod photos;
#[cfg(feature = "serve")]
mod server;
#[cfg(feature = "serve")]
mod starting;

/// A build without the server says what it lacks.
#[cfg(not(feature = "serve"))]
#[test]
fn a_build_without_the_server_says_so() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_netc"))
        .args(["serve", "bird.netb", "--port", "0"])
        .output()
        .expect("the program runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("error[E0804]") && messages.contains("--features serve"), "{messages}");
}
