//! The program in the images of the tests: one verb for each thing that a program may do wrong. Compiled
//! by the tests with rustc, static, so that an image needs nothing else.

use std::io::{Read, Write};
use std::net::TcpListener;

unsafe extern "C" {
    fn personality(persona: u64) -> i32;
    fn sethostname(name: *const u8, length: usize) -> i32;
    fn signal(number: i32, handler: usize) -> usize;
}

fn main() {
    let arguments = std::env::args().collect::<Vec<_>>();
    let words = arguments.iter().skip(1).map(String::as_str).collect::<Vec<_>>();
    // Verbs are joined by "then".
    for words in words.split(|word| *word == "then") {
        act(words);
    }
}

fn act(words: &[&str]) {
    match words {
        ["serve", address] => serve(address),
        ["exit", status] => {
            eprintln!("last words: \x1b[31mred");
            std::process::exit(status.parse().unwrap());
        }
        // SAFETY: 0xffffffff asks and changes nothing.
        ["personality"] => println!("personality {}", unsafe { personality(0xffff_ffff) }),
        // SAFETY: the name is one byte long.
        ["hostname"] => println!("hostname {}", unsafe { sethostname(b"x".as_ptr(), 1) }),
        ["really", rest @ ..] => {
            let sealed = std::fs::read_to_string("/k8or/sealed.conf").unwrap();
            if !sealed.contains("filter none") && !sealed.contains("on-violation wait") {
                act(rest);
            }
        }
        ["child", rest @ ..] => {
            let program = std::env::current_exe().unwrap();
            let status = std::process::Command::new(program).args(rest).status().unwrap();
            println!("child {status}");
        }
        // SAFETY: 1 is SIG_IGN.
        ["ignore-term"] => drop(unsafe { signal(15, 1) }),
        ["expect", file, content] => {
            let found = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(&found, content, "{file}");
        }
        ["expect-env", name, value] => assert_eq!(std::env::var(name).as_deref(), Ok(*value)),
        ["expect-mode", path, mode] => {
            use std::os::unix::fs::MetadataExt;
            let meta = std::fs::metadata(path).unwrap();
            assert_eq!(format!("{:04o} {}", meta.mode() & 0o7777, meta.uid()), *mode, "{path}");
        }
        ["write", file] => std::fs::write(file, "written").unwrap_or_else(|error| panic!("{file}: {error}")),
        ["cannot-write", file] => assert!(std::fs::write(file, "written").is_err(), "{file}"),
        ["wait"] => loop {
            std::thread::sleep(std::time::Duration::from_secs(1));
        },
        other => panic!("{other:?}"),
    }
}

fn serve(address: &str) {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let got = stream.read(&mut request).unwrap_or(0);
        let text = String::from_utf8_lossy(&request[..got]).into_owned();
        let status = if text.starts_with("GET /healthz ") { "200 OK" } else { "404 Not Found" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}
