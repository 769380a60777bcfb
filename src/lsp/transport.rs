//! The transport over stdin and stdout: a header with the length, an empty line, JSON. An invalid message is answered with an
//! error and skipped, so that it does not end the server.

use lsp_server::{Connection, ErrorCode, Message};
use serde_json::json;
use std::io::{self, BufRead, Read, Write};
use std::thread::{self, JoinHandle};

/// Max size of a message, in bytes; the largest contain a spec as JSON.
const MAX_BYTES: usize = 64 << 20;
/// The bytes that are kept at the end of a line that is too long for a header.
const MAX_LINE: usize = 1 << 12;
/// The header with the length of a message.
const LENGTH: &[u8] = b"content-length:";

/// The result of reading a message.
#[derive(Debug)]
enum Incoming {
    Message(Message),
    /// An invalid message, with the error of the protocol.
    Invalid(ErrorCode, String),
}

/// A connection to the editor over stdin and stdout, and the thread that writes to it.
///
/// # Errors
/// If a thread cannot be started.
pub fn stdio() -> io::Result<(Connection, JoinHandle<io::Result<()>>)> {
    let (server, Connection { sender, receiver }) = Connection::memory();
    // Not joined: it blocks on stdin, where the editor may send nothing more.
    thread::Builder::new().spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(incoming)) = next(&mut input) {
            match incoming {
                Incoming::Message(message) => {
                    let exit = matches!(&message, Message::Notification(note) if note.method == "exit");
                    if sender.send(message).is_err() || exit {
                        return;
                    }
                }
                Incoming::Invalid(code, what) => {
                    // The id of the request is unknown.
                    let error = json!({ "code": code as i32, "message": what });
                    let text = json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string();
                    let mut output = io::stdout().lock();
                    let written = write!(output, "Content-Length: {}\r\n\r\n{text}", text.len());
                    if written.and_then(|()| output.flush()).is_err() {
                        return;
                    }
                }
            }
        }
    })?;
    let write = move || receiver.into_iter().try_for_each(|message| message.write(&mut io::stdout().lock()));
    Ok((server, thread::Builder::new().spawn(write)?))
}

/// Waits until all responses are written.
///
/// # Errors
/// I/O errors of stdout.
pub fn finish(server: Connection, writer: JoinHandle<io::Result<()>>) -> io::Result<()> {
    // The writing thread ends when the connection is dropped.
    drop(server);
    match writer.join() {
        Ok(written) => written,
        Err(_) => Err(io::Error::other("the writing thread panicked")),
    }
}

/// The next message; `None` at the end of the input.
fn next(input: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    let mut length = None;
    loop {
        let Some(line) = line(input)? else { return Ok(None) };
        if !line.is_empty() {
            length = length_of(&line).or(length);
        } else if length.is_some() {
            break;
        }
    }
    let Some(Some(length)) = length else {
        let what = format!("the Content-Length of a message must be a number up to {MAX_BYTES}");
        return Ok(Some(Incoming::Invalid(ErrorCode::InvalidRequest, what)));
    };
    let mut bytes = Vec::new();
    // Memory is allocated as bytes arrive, not as the header claims.
    if input.take(length as u64).read_to_end(&mut bytes)? < length {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_slice(&bytes) {
        Ok(message) => Incoming::Message(message),
        Err(error) if error.is_data() => {
            Incoming::Invalid(ErrorCode::InvalidRequest, format!("invalid message: {error}"))
        }
        Err(error) => Incoming::Invalid(ErrorCode::ParseError, format!("invalid JSON: {error}")),
    }))
}

/// The length in a header line: `None` for another line, `Some(None)` for an invalid length. The header may follow the rest
/// of a message that was longer than its header said.
fn length_of(line: &[u8]) -> Option<Option<usize>> {
    let at = line.windows(LENGTH.len()).rposition(|piece| piece.eq_ignore_ascii_case(LENGTH))?;
    let number = std::str::from_utf8(&line[at + LENGTH.len()..]).ok().and_then(|text| text.trim().parse().ok());
    Some(number.filter(|&length| length <= MAX_BYTES))
}

/// The next line without its line ending; the last bytes of a long one.
fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let read = input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if line.ends_with(b"\n") {
            let kept = line.trim_ascii_end().len();
            line.truncate(kept);
            return Ok(Some(line));
        }
        line.drain(..line.len().saturating_sub(MAX_LINE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(text: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{text}", text.len())
    }

    /// The methods of the messages in some bytes, and the error codes of invalid ones.
    fn read(bytes: &[u8]) -> Vec<String> {
        let mut input = bytes;
        let mut all = Vec::new();
        while let Some(incoming) = next(&mut input).expect("bytes in memory can be read") {
            all.push(match incoming {
                Incoming::Message(Message::Notification(note)) => note.method,
                Incoming::Message(other) => format!("{other:?}"),
                Incoming::Invalid(code, _) => (code as i32).to_string(),
            });
        }
        all
    }

    #[test]
    fn invalid_messages_are_skipped() {
        let good = framed(r#"{"jsonrpc":"2.0","method":"m"}"#);
        let deep = framed(&"[".repeat(100_000));
        for (bad, errors) in [
            (framed("no JSON"), &["-32700"][..]),
            (framed("{}"), &["-32600"]),
            (framed(""), &["-32700"]),
            (deep, &["-32700"]),
            ("Content-Length: 99999999999999999999\r\n\r\n{\"jsonrpc\":\"2.0\"}".into(), &["-32600"]),
            ("Content-Length: 18446744073709551615\r\n\r\n".into(), &["-32600"]),
            (format!("Content-Length: {}\r\n\r\n", 1u64 << 40), &["-32600"]),
            ("Content-Length: -1\r\n\r\n{}".into(), &["-32600"]),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n".into(), &[]),
            ("x".repeat(100_000), &[]),
        ] {
            let wanted: Vec<&str> = ["m"].iter().chain(errors).chain(&["m"]).copied().collect();
            assert_eq!(read(format!("{good}{bad}{good}").as_bytes()), wanted, "{:.60}", bad);
        }
        // Bytes that are not UTF-8, lower-case headers, lines without carriage returns.
        assert_eq!(
            read(b"content-length: 2\n\n\xff\xffcontent-length:30\n\n{\"jsonrpc\":\"2.0\",\"method\":\"m\"}"),
            ["-32700", "m"]
        );
        // The input ends in the middle of a message.
        assert!(read(b"Content-Length: 1000\r\n\r\n{").is_empty());
    }
}
