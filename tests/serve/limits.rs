//! Slow, large, many and broken requests.

use crate::client::{connect, read, request};
use crate::photos::photo;
use crate::server::Server;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

/// A request for one row.
fn row(value: f64) -> Value {
    json!({ "inputs": [{ "name": "x", "shape": [1, 4], "datatype": "FP32", "data": [value, 2.0, -1.0, 0.5] }] })
}

const INFER: &str = "/v2/models/rows/infer";

#[test]
fn bodies_have_a_limit() {
    let server = Server::start(&["rows", "bird"], &["--max-body", "100000"]);
    let large = vec![b' '; 100_001];
    server.post(INFER, &[], &large).refused(413, "at most 100000 bytes");
    // Far more than any buffer between: the client gets the answer, not a broken connection.
    server.post(INFER, &[], &vec![b' '; 20_000_000]).refused(413, "at most 100000 bytes");
    server.post("/v2/models/none/infer", &[], &vec![b' '; 5_000_000]).refused(404, "no model `none`");
    // Without a length, in chunks.
    let mut stream = connect(server.address);
    let head = format!("POST {INFER} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = [format!("{:x}\r\n", 50_000).as_bytes(), &vec![b' '; 50_000], b"\r\n"].concat();
    for _ in 0..3 {
        let _ = stream.write_all(&chunk);
    }
    read(&mut stream).expect("a response").refused(413, "at most 100000 bytes");
    // A body of the limit's size is read.
    let mut fitting = row(1.0).to_string().into_bytes();
    fitting.resize(100_000, b' ');
    server.post(INFER, &[], &fitting).ok();
}

#[test]
fn slow_clients_are_cut_off() {
    let server = Server::start(&["rows"], &["--header-timeout", "300ms", "--body-timeout", "400ms"]);
    let head = format!("POST {INFER} HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n");
    let mut within_head = connect(server.address);
    within_head.write_all(head.as_bytes()).expect("sent");
    read(&mut within_head).expect("a response").refused(408, "headers of the request");
    let mut within_body = connect(server.address);
    within_body.write_all(format!("{head}\r\n{{").as_bytes()).expect("sent");
    let response = read(&mut within_body).expect("a response");
    response.refused(408, "body did not arrive");
    assert_eq!(response.header("connection"), Some("close"));
    // One that sends a byte from time to time is slow too.
    let mut trickling = connect(server.address);
    trickling.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    let mut sender = trickling.try_clone().expect("a handle");
    let writer = thread::spawn(move || {
        while sender.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50))
        }
    });
    read(&mut trickling).expect("a response").refused(408, "body did not arrive");
    drop(trickling);
    // One that says nothing is closed without a response.
    assert!(read(&mut connect(server.address)).is_none());
    server.infer("rows", &row(1.0)).ok();
    drop(server);
    writer.join().expect("it ends");
}

#[test]
fn broken_requests_end_nothing() {
    let server = Server::start(&["rows", "bird"], &[]);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ] {
        let mut stream = connect(server.address);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // An error without more, or the end.
        if let Some(response) = read(&mut stream) {
            assert!((400..600).contains(&response.status), "{response:?}");
        }
    }
    let long = format!("/{}", "a".repeat(200_000));
    let mut stream = connect(server.address);
    let _ = stream.write_all(&request("GET", &long, &[], &[]));
    assert!(read(&mut stream).is_none_or(|response| (400..500).contains(&response.status)));
    // Connections that end at every point of a request.
    let whole = request("POST", INFER, &[], row(1.0).to_string().as_bytes());
    for end in (0..whole.len()).step_by(7) {
        let mut stream = connect(server.address);
        let _ = stream.write_all(&whole[..end]);
    }
    server.infer("rows", &row(1.0)).ok();
    server.wait_for("netc_body_bytes", 0.0);
    server.wait_for("netc_queue_images{model=\"rows\"}", 0.0);
}

/// A connection serves one request after the other.
#[test]
fn connections_are_kept() {
    let server = Server::start(&["rows"], &[]);
    let mut stream = connect(server.address);
    let body = row(1.0).to_string();
    let request = format!("POST {INFER} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..5 {
        stream.write_all(request.as_bytes()).expect("sent");
        read(&mut stream).expect("a response").ok();
    }
}

#[test]
fn a_full_queue_is_told_and_waiting_images_are_answered() {
    let server = Server::start(&["rows"], &["--queue", "2", "--max-batch", "8", "--max-delay", "3s"]);
    let address = server.address;
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..2)
            .map(|value| {
                scope.spawn(move || {
                    crate::client::send(address, "POST", INFER, &[], row(f64::from(value)).to_string().as_bytes())
                })
            })
            .collect();
        server.wait_for("netc_queue_images{model=\"rows\"}", 2.0);
        let refused = server.infer("rows", &row(3.0));
        refused.refused(503, "queue of `rows` is full");
        assert_eq!(refused.header("retry-after"), Some("1"));
        for waiting in waiting {
            waiting.join().expect("no panic").ok();
        }
    });
    assert_eq!(server.metric("netc_batch_images_count{model=\"rows\"}"), 1.0, "both were in one batch");
    assert_eq!(server.metric("netc_batch_images_sum{model=\"rows\"}"), 2.0);
}

#[test]
fn connections_have_a_limit() {
    let server = Server::start(&["rows"], &["--connections", "4"]);
    let kept: Vec<_> = (0..4).map(|_| connect(server.address)).collect();
    let mut fifth = connect(server.address);
    let refused = read(&mut fifth).expect("a response");
    refused.refused(503, "4 connections");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(kept);
    // Their room is free again, as soon as the server has seen that they are gone.
    let answered = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        let mut stream = connect(server.address);
        stream.write_all(&request("GET", "/v2", &[], &[])).is_ok()
            && read(&mut stream).is_some_and(|response| response.status == 200)
    });
    assert!(answered);
}

/// Answers do not depend on what else is asked at the same time.
#[test]
fn many_connections_get_their_own_answers() {
    let server = Server::start(&["rows", "bird"], &["--max-delay", "1ms"]);
    let coffee = photo("coffee.png");
    let expected: Vec<Value> = (0..32).map(|value| server.infer("rows", &row(f64::from(value))).ok()).collect();
    let seen = server.predict("/predict/bird", &[("a.png", &coffee)]).ok()["predictions"][0]["top"].clone();
    thread::scope(|scope| {
        for (value, expected) in expected.iter().enumerate() {
            let (server, coffee, seen) = (&server, &coffee, &seen);
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(server.infer("rows", &row(value as f64)).ok(), *expected);
                }
                let answer = server.predict("/predict/bird", &[("a.png", coffee)]).ok();
                assert_eq!(answer["predictions"][0]["top"], *seen);
            });
        }
    });
    assert_eq!(server.metric("netc_batch_images_sum{model=\"rows\"}"), 32.0 * 21.0);
}

/// What a server does on a signal: it answers what runs.
#[cfg(unix)]
#[test]
fn a_signal_stops_it_after_what_runs() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&["rows"], &["--max-delay", "1s"]);
        let address = server.address;
        let mut idle = connect(address);
        let waiting =
            thread::spawn(move || crate::client::send(address, "POST", INFER, &[], row(1.0).to_string().as_bytes()));
        server.wait_for("netc_queue_images{model=\"rows\"}", 1.0);
        server.signal(signal);
        waiting.join().expect("no panic").ok();
        let (code, messages) = server.ended();
        assert_eq!(code, Some(0), "{messages}");
        assert!(messages.contains("all requests are answered"), "{messages}");
        assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0, "idle connections are closed");
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}

/// What takes longer than it may is cut off, at once after a second signal.
#[cfg(unix)]
#[test]
fn stopping_is_bounded() {
    for (time, signals) in [("200ms", 1), ("1min", 2)] {
        let server = Server::start(&["rows"], &["--max-delay", "2s", "--stop-timeout", time]);
        let address = server.address;
        let mut waiting = connect(address);
        waiting.write_all(&request("POST", INFER, &[], row(1.0).to_string().as_bytes())).expect("sent");
        server.wait_for("netc_queue_images{model=\"rows\"}", 1.0);
        for _ in 0..signals {
            server.signal("TERM");
            // Two signals at once would be one.
            thread::sleep(Duration::from_millis(100));
        }
        let (code, messages) = server.ended();
        assert_eq!(code, Some(1), "{messages}");
        assert!(messages.contains("before all requests were answered"), "{messages}");
    }
}

/// Regression test: with a heap for each thread, buffers that one thread allocates and another one frees left gaps in all of
/// them, and the server grew from 30 to 150 MiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn the_heaps_of_the_server_are_bounded() {
    let server = Server::start(&["rows", "bird"], &["--connections", "64"]);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..20 {
                    server.post(INFER, &[], row(1.0).to_string().as_bytes()).ok();
                    server.post("/predict/bird", &[("content-type", "image/png")], &photo("coffee.png")).ok();
                }
            });
        }
    });
    assert!(server.heaps() <= 1, "{} heaps beside the main one", server.heaps());
}
