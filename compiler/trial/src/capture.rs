//! What a process writes, read all the time so that it never blocks, kept within a bound.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex};

/// How much of an output is kept, in bytes: its end.
const KEPT: usize = 64 * 1024;

/// The end of an output so far.
#[derive(Clone, Default)]
pub struct Capture(Arc<Mutex<VecDeque<u8>>>);

impl Capture {
    /// Reads `source` on a thread of its own until it ends. Nobody waits for that thread: a process that
    /// outlives its parent may hold the pipe open.
    pub fn of(mut source: impl Read + Send + 'static) -> Capture {
        let capture = Capture::default();
        let kept = capture.clone();
        std::thread::spawn(move || {
            let mut block = [0; 8192];
            while let Ok(got @ 1..) = source.read(&mut block) {
                let Ok(mut kept) = kept.0.lock() else { return };
                kept.extend(block.get(..got).unwrap_or_default());
                let excess = kept.len().saturating_sub(KEPT);
                kept.drain(..excess);
            }
        });
        capture
    }

    /// The end of the output as text that cannot steer a terminal; bytes that are no UTF-8 as `\xNN`.
    pub fn text(&self) -> String {
        let bytes = match self.0.lock() {
            Ok(kept) => kept.iter().copied().collect::<Vec<_>>(),
            Err(_) => return String::new(),
        };
        let mut text = String::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, end) = match line.strip_suffix(b"\n") {
                Some(line) => (line, "\n"),
                None => (line, ""),
            };
            let columns = line.split(|byte| *byte == b'\t').map(diag::text::printable_bytes);
            text.push_str(&columns.collect::<Vec<_>>().join("\t"));
            text.push_str(end);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_nothing_steers_a_terminal() {
        let mut output = vec![b'x'; KEPT];
        output.extend(b"\n\x1b[31mred\tcell\xff\nlast");
        let capture = Capture::of(std::io::Cursor::new(output));
        let wanted = "\n\\u{1b}[31mred\tcell\\xff\nlast";
        for _ in 0..200 {
            if capture.text().ends_with(wanted) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(capture.text().ends_with(wanted));
        assert!(capture.text().len() < KEPT + 20);
    }
}
