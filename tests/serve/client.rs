//! A client for HTTP/1.1: a connection per request, unless a test keeps it.

use crate::server::Server;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of a response that is 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The message of a response that is an error, which must contain these words.
    #[track_caller]
    pub fn refused(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let json = self.json();
        let message = json["error"].as_str().expect("a message");
        assert!(message.contains(words), "`{words}` is missing in {message}");
    }
}

/// A connection that waits at most a minute, so that a server that hangs fails a test.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    stream
}

/// Reads the response to a request; `None` if the connection is closed without one.
pub fn read(stream: &mut TcpStream) -> Option<Response> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer).expect("the server answers") {
            0 => return None,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).expect("a head");
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let split = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()));
    let headers: Vec<(String, String)> = lines.filter_map(split).collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, length)| length.parse().expect("a length"));
    let mut body = bytes[head..].to_vec();
    while body.len() < length {
        match stream.read(&mut buffer).expect("the server answers") {
            0 => panic!("the body ends after {} of {length} bytes", body.len()),
            read => body.extend_from_slice(&buffer[..read]),
        }
    }
    Some(Response { status, headers, body })
}

/// A request as it is sent, which asks to close the connection.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "host") {
        head += "host: test\r\n";
    }
    if matches!(method, "POST" | "PUT") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    [head.as_bytes(), b"\r\n", body].concat()
}

/// Sends a request and reads the response.
#[track_caller]
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut stream = connect(address);
    // A server that refuses early need not read all.
    let _ = stream.write_all(&request(method, path, headers, body));
    read(&mut stream).expect("a response")
}

/// A form with a part for each photo.
pub fn form(photos: &[(&str, &[u8])]) -> (Vec<u8>, &'static str) {
    let mut body = Vec::new();
    for (name, bytes) in photos {
        let head = format!(
            "--edge\r\ncontent-disposition: form-data; name=\"photo\"; filename=\"{name}\"\r\ncontent-type: image/jpeg\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    (body, "multipart/form-data; boundary=edge")
}

impl Server {
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        send(self.address, "GET", path, &[], &[])
    }

    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        send(self.address, "POST", path, headers, body)
    }

    /// Asks a model about JSON.
    #[track_caller]
    pub fn infer(&self, model: &str, request: &Value) -> Response {
        let path = format!("/v2/models/{model}/infer");
        self.post(&path, &[("content-type", "application/json")], request.to_string().as_bytes())
    }

    /// Posts photos as a form.
    #[track_caller]
    pub fn predict(&self, path: &str, photos: &[(&str, &[u8])]) -> Response {
        let (body, media_type) = form(photos);
        self.post(path, &[("content-type", media_type)], &body)
    }
}
