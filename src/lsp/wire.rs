//! Messages over stdin and stdout: a header with their length, an empty line, JSON. What cannot be read as a message is
//! answered with an error, and the next one is looked for: an editor's slip must not end the server.

use super::RequestError;
use lsp_server::{Connection, ErrorCode, Message};
use serde_json::json;
use std::io::{self, BufRead, Read, Write};
use std::thread::{self, JoinHandle};

/// A message of more bytes is none: the largest hold a spec, as a JSON text.
const MAX_BYTES: usize = 64 << 20;
/// Of a line that is too long to be a header, so many bytes at its end are kept.
const MAX_LINE: usize = 1 << 12;
/// The header that tells how long a message is.
const LENGTH: &[u8] = b"content-length:";

/// What was read.
#[derive(Debug)]
enum Incoming {
    Message(Message),
    /// Something else, as the protocol's error says it.
    Broken(ErrorCode, String),
}

/// A connection to the editor at the other end of stdin and stdout, and the thread that writes to it.
pub fn stdio() -> (Connection, JoinHandle<io::Result<()>>) {
    let (server, Connection { sender, receiver }) = Connection::memory();
    // Not joined: it waits for an editor that may say nothing more.
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(incoming)) = next(&mut input) {
            match incoming {
                Incoming::Message(message) => {
                    let exit = matches!(&message, Message::Notification(note) if note.method == "exit");
                    if sender.send(message).is_err() || exit {
                        return;
                    }
                }
                Incoming::Broken(code, what) => {
                    // No answer to a request: whose it was is not known.
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
    });
    let writer =
        thread::spawn(move || receiver.into_iter().try_for_each(|message| message.write(&mut io::stdout().lock())));
    (server, writer)
}

/// Waits until all answers are written.
pub fn finish(server: Connection, writer: JoinHandle<io::Result<()>>) -> Result<(), RequestError> {
    // The writing thread ends when the connection is gone.
    drop(server);
    match writer.join() {
        Ok(written) => Ok(written?),
        Err(_) => Err("the thread that writes ended".into()),
    }
}

/// The next message; none where there is no more.
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
        let what = format!("a message has no length that is a number up to {MAX_BYTES}");
        return Ok(Some(Incoming::Broken(ErrorCode::InvalidRequest, what)));
    };
    let mut bytes = Vec::new();
    // Memory is taken as bytes come, not as many as are promised.
    if input.take(length as u64).read_to_end(&mut bytes)? < length {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_slice(&bytes) {
        Ok(message) => Incoming::Message(message),
        Err(error) if error.is_data() => Incoming::Broken(ErrorCode::InvalidRequest, format!("no message: {error}")),
        Err(error) => Incoming::Broken(ErrorCode::ParseError, format!("not JSON: {error}")),
    }))
}

/// What a line says of the length: nothing, no length that can be, or a length. It may stand behind what is left of a
/// message that was longer than its header said.
fn length_of(line: &[u8]) -> Option<Option<usize>> {
    let at = line.windows(LENGTH.len()).rposition(|piece| piece.eq_ignore_ascii_case(LENGTH))?;
    let number = std::str::from_utf8(&line[at + LENGTH.len()..]).ok().and_then(|text| text.trim().parse().ok());
    Some(number.filter(|&length| length <= MAX_BYTES))
}

/// The next line without its end; of a long one its last bytes.
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

    /// The methods of the messages of some bytes; of what is no message the error's number.
    fn read(bytes: &[u8]) -> Vec<String> {
        let mut input = bytes;
        let mut all = Vec::new();
        while let Some(incoming) = next(&mut input).expect("bytes in memory can be read") {
            all.push(match incoming {
                Incoming::Message(Message::Notification(note)) => note.method,
                Incoming::Message(other) => format!("{other:?}"),
                Incoming::Broken(code, _) => (code as i32).to_string(),
            });
        }
        all
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        let good = framed(r#"{"jsonrpc":"2.0","method":"m"}"#);
        let deep = framed(&"[".repeat(100_000));
        for (bad, told) in [
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
            let wanted: Vec<&str> = ["m"].iter().chain(told).chain(&["m"]).copied().collect();
            assert_eq!(read(format!("{good}{bad}{good}").as_bytes()), wanted, "{:.60}", bad);
        }
        // Bytes that are no text, names in small letters, lines without carriage returns.
        assert_eq!(
            read(b"content-length: 2\n\n\xff\xffcontent-length:30\n\n{\"jsonrpc\":\"2.0\",\"method\":\"m\"}"),
            ["-32700", "m"]
        );
        // An editor that goes away in the middle.
        assert!(read(b"Content-Length: 1000\r\n\r\n{").is_empty());
    }
}
