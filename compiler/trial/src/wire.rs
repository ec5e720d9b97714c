//! Asking the program over the network, from inside the container's own network namespace.
//!
//! Nobody else is there: the namespace has a loopback device only. The questions go to 127.0.0.2, an
//! address of that device like 127.0.0.1, so that a program that listens on 127.0.0.1 alone is found out:
//! the kubelet asks the pod's address and would get no answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where questions go.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status; 0 for a TCP connection that was accepted.
    Status(u16),
    /// Nobody listens, or no answer came.
    None(String),
    /// It listens on 127.0.0.1 but not on other addresses.
    LoopbackOnly,
}

/// GET `path` at `port`: the status of the answer.
pub fn http(container: Pid, port: u16, path: &str, patience: Duration) -> Answer {
    let path = path.to_owned();
    inside(container, port, patience, move |stream, deadline| get(stream, port, &path, deadline))
}

/// Whether a connection to `port` is accepted.
pub fn tcp(container: Pid, port: u16, patience: Duration) -> Answer {
    inside(container, port, patience, |_, _| Ok(0))
}

/// Connects on a thread that enters the network namespace and ends afterwards: a namespace is a property
/// of a thread.
fn inside(
    container: Pid,
    port: u16,
    patience: Duration,
    ask: impl FnOnce(TcpStream, Instant) -> io::Result<u16> + Send + 'static,
) -> Answer {
    let thread = std::thread::spawn(move || -> io::Result<Answer> {
        let namespace = File::open(format!("/proc/{}/ns/net", container.as_raw_nonzero()))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let connect = |address: Ipv4Addr| TcpStream::connect_timeout(&SocketAddr::from((address, port)), patience);
        let deadline = Instant::now() + patience;
        match connect(ADDRESS) {
            Ok(stream) => ask(stream, deadline).map(Answer::Status),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && connect(Ipv4Addr::LOCALHOST).is_ok() => {
                Ok(Answer::LoopbackOnly)
            }
            Err(error) => Err(error),
        }
    });
    match thread.join() {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::None(match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("no answer within {} s", patience.as_secs_f32())
            }
            _ => error.to_string(),
        }),
        Err(_) => Answer::None("the question could not be asked".to_owned()),
    }
}

/// One request (RFC 9112), as the kubelet makes it; the status line of the answer is all that is read.
fn get(mut stream: TcpStream, port: u16, path: &str, deadline: Instant) -> io::Result<u16> {
    let left = || deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    let timeout = || left().ok_or(io::Error::from(io::ErrorKind::TimedOut));
    stream.set_write_timeout(Some(timeout()?))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {ADDRESS}:{port}\r\nUser-Agent: k8orc-test\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let mut block = [0; 512];
    while !line.contains(&b'\n') && line.len() < 8192 {
        stream.set_read_timeout(Some(timeout()?))?;
        match stream.read(&mut block)? {
            0 => break,
            got => line.extend_from_slice(block.get(..got).unwrap_or_default()),
        }
    }
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}

/// `HTTP/1.1 200 OK` → 200.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    let version = words.next()?;
    let code = words.next()?;
    let shaped = version.starts_with("HTTP/1.") && code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    code.parse().ok().filter(|code| shaped && (100..600).contains(code))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_status_line_is_a_status() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\nx: y\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 200\r\n"), Some(200));
        for wrong in ["", "SSH-2.0-x\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 +20 x\r\n", "HTTP/2 200\r\n", "HTTP/1.1 999 x"]
        {
            assert_eq!(status(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_silent_server_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let start = Instant::now();
        let error = get(stream, port, "/", start + Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
