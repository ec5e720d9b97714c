//! Ports and HTTP on loopback, with nothing but the standard library.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// An answer to [`http_get`].
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// For example 200.
    pub status: u16,
    /// The header lines, as they came.
    pub head: String,
    /// What follows the head; a chunked body is not put together (the request says HTTP/1.0).
    pub body: Vec<u8>,
}

/// A port of 127.0.0.1 that nobody listens on now. Another process may take it before it is used;
/// a server that accepts port 0 needs no such luck.
///
/// # Panics
/// When the kernel has none to give.
#[must_use]
pub fn free_port() -> u16 {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| panic!("no free port on 127.0.0.1: {error}")).port()
}

/// `GET path` from 127.0.0.1:`port`; every wait is at most 5 s, the answer at most 16 MiB.
///
/// # Errors
/// When nobody listens, or the answer is not HTTP.
pub fn http_get(port: u16, path: &str) -> Result<Response> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // In one write: a server that reads once must not see half a request.
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(16 << 20).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// [`http_get`] again and again until somebody answers, at most for `limit`.
///
/// # Errors
/// The last one, when time is up.
pub fn wait_http(port: u16, path: &str, limit: Duration) -> Result<Response> {
    let end = Instant::now() + limit;
    loop {
        match http_get(port, path) {
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
}

fn parse(answer: &[u8]) -> Option<Response> {
    let split = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(answer.get(..split)?).into_owned();
    let mut words = head.split_whitespace();
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let status = words.next()?.parse().ok()?;
    Some(Response { status, body: answer.get(split + 4..)?.to_vec(), head })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn answer_once(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 256];
            let n = stream.read(&mut asked).unwrap();
            assert!(asked[..n].starts_with(b"GET /healthz HTTP/1.0\r\n"));
            stream.write_all(answer).unwrap();
        });
        port
    }

    #[test]
    fn status_and_body_are_read() {
        let port = answer_once(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nok\n");
        let response = wait_http(port, "/healthz", Duration::from_secs(10)).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, b"ok\n".as_slice()));
    }

    #[test]
    fn what_is_not_http_is_an_error() {
        let port = answer_once(b"SSH-2.0-x\r\n\r\n");
        assert_eq!(http_get(port, "/healthz").unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn nobody_there_is_an_error() {
        assert!(wait_http(free_port(), "/", Duration::from_millis(100)).is_err());
    }
}
