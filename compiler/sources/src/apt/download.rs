//! One file of an archive by its hash: from the cache, or fetched, continued where an earlier run was cut off.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use diag::{Diagnostic, codes, text::printable};
use formats::oci::Digest;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use super::archive::Place;
use crate::Sources;

/// Interruptions of one file that are put up with.
const MAX_FAULTS: u32 = 8;
/// Of them without a byte in between.
const MAX_FAULTS_AT_ONE_PLACE: u32 = 4;

/// What is wanted, and under which paths of the archive it may be.
pub(crate) struct Wanted<'a> {
    /// The first is asked for first; the next where that one is not there.
    pub paths: &'a [String],
    pub digest: Digest,
    pub size: u64,
}

/// What came of it.
pub(crate) enum Outcome {
    /// Whole and verified, at its first byte.
    Here(File),
    /// Under none of the paths.
    Gone,
    /// Something else; what it was.
    Wrong(String),
}

/// Brings a file to `path` in the cache.
///
/// # Errors
/// E0402 offline, E0420 for the cache, E0451 for the way there.
pub(crate) fn download(
    sources: &Sources,
    place: &Place,
    wanted: &Wanted<'_>,
    path: &Path,
) -> Result<Outcome, Diagnostic> {
    if let Some(file) = cached(sources, wanted, path)? {
        return Ok(Outcome::Here(file));
    }
    if sources.settings.policy.offline {
        let what = wanted.paths.last().map(String::as_str).unwrap_or_default();
        let message =
            format!("{} of {} is not in the cache, and --offline forbids to fetch it", printable(what), place.shown);
        return Err(Diagnostic::new(codes::E0402, message).help("run `k8orc fetch` once with a network"));
    }
    let trouble = |e: io::Error| sources.cache.trouble("cannot be written to", &e);
    let part_path = path.with_extension("part");
    let part = lock_part(&part_path).map_err(trouble)?;
    if let Some(file) = cached(sources, wanted, path)? {
        let _ = fs::remove_file(&part_path);
        return Ok(Outcome::Here(file));
    }
    let mut fetching = Fetching { sources, place, wanted, part, offset: 0, hash: Sha256::new() };
    let resumed = fetching.resume().map_err(trouble)?;
    let mut outcome = fetching.fetch()?;
    if resumed && matches!(outcome, Step::Wrong(_)) {
        // What an earlier run left may have been broken by a crash.
        fetching.restart().map_err(trouble)?;
        outcome = fetching.fetch()?;
    }
    match outcome {
        Step::Whole => {
            fs::rename(&part_path, path).map_err(trouble)?;
            fetching.part.seek(SeekFrom::Start(0)).map_err(trouble)?;
            Ok(Outcome::Here(fetching.part))
        }
        Step::Gone | Step::Wrong(_) => {
            let _ = fs::remove_file(&part_path);
            Ok(match outcome {
                Step::Wrong(found) => Outcome::Wrong(found),
                _ => Outcome::Gone,
            })
        }
    }
}

/// Opens the file that is being fetched. Another build may fetch the same: the second waits, and then finds it. The
/// first may also have removed it: a name that leads to another file by now is opened anew.
fn lock_part(path: &Path) -> io::Result<File> {
    loop {
        let part = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        rustix::fs::flock(&part, FlockOperation::LockExclusive)?;
        let (ours, there) = (part.metadata()?, fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(part);
        }
    }
}

/// The file of the cache, when its bytes are those of its name; others are thrown away.
fn cached(sources: &Sources, wanted: &Wanted<'_>, path: &Path) -> Result<Option<File>, Diagnostic> {
    let Ok(mut file) = File::open(path) else { return Ok(None) };
    let mut hash = Sha256::new();
    let read = hash_up_to(&mut file, &mut hash, wanted.size.saturating_add(1));
    let seek = |file: &mut File| file.seek(SeekFrom::Start(0)).is_ok();
    if read.is_ok_and(|n| n == wanted.size) && finish(hash) == wanted.digest && seek(&mut file) {
        sources.cache.touch(path);
        return Ok(Some(file));
    }
    fs::remove_file(path).map_err(|e| sources.cache.trouble("cannot be cleaned", &e))?;
    Ok(None)
}

enum Step {
    Whole,
    Gone,
    Wrong(String),
}

struct Fetching<'a> {
    sources: &'a Sources,
    place: &'a Place,
    wanted: &'a Wanted<'a>,
    part: File,
    offset: u64,
    hash: Sha256,
}

impl Fetching<'_> {
    /// Takes up what an earlier run left; whether that was something.
    fn resume(&mut self) -> io::Result<bool> {
        self.offset = hash_up_to(&mut self.part, &mut self.hash, self.wanted.size.saturating_add(1))?;
        if self.offset > self.wanted.size {
            self.restart()?;
        }
        Ok(self.offset > 0)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.part.set_len(0)?;
        self.part.seek(SeekFrom::Start(0))?;
        (self.offset, self.hash) = (0, Sha256::new());
        Ok(())
    }

    fn fetch(&mut self) -> Result<Step, Diagnostic> {
        let (mut faults, mut faults_here) = (0, 0);
        while self.offset < self.wanted.size {
            let before = self.offset;
            let why = match self.once()? {
                Ok(None) => continue,
                Ok(Some(step)) => return Ok(step),
                Err(why) => why,
            };
            faults += 1;
            faults_here = if self.offset > before { 1 } else { faults_here + 1 };
            if faults >= MAX_FAULTS || faults_here >= MAX_FAULTS_AT_ONE_PLACE {
                let file = self.wanted.paths.last().map(String::as_str).unwrap_or_default();
                return Err(self
                    .place
                    .trouble(&format!("{} broke off: {why}", printable(file)))
                    .note(format!("after {} of {} bytes; the next run goes on there", self.offset, self.wanted.size)));
            }
            std::thread::sleep(self.sources.http.pause(faults_here));
        }
        let found = finish(std::mem::take(&mut self.hash));
        Ok(if found == self.wanted.digest { Step::Whole } else { Step::Wrong(found.to_string()) })
    }

    /// One connection; `Ok(None)` when all has come, `Err` for what may go better the next time.
    fn once(&mut self) -> Result<Result<Option<Step>, String>, Diagnostic> {
        let mut gone = true;
        let mut answer = None;
        for path in self.wanted.paths {
            let said = self.place.get(&self.sources.http, path, self.offset)?;
            if !matches!(said.status, 404 | 410) {
                (gone, answer) = (false, Some(said));
                break;
            }
        }
        let Some(answer) = answer.filter(|_| !gone) else { return Ok(Ok(Some(Step::Gone))) };
        let trouble = |e: io::Error| self.sources.cache.trouble("cannot be written to", &e);
        let start = match answer.status {
            206 => range_start(answer.header("content-range")),
            _ => Some(0),
        };
        let length = answer.header("content-length").and_then(|n| n.parse::<u64>().ok());
        if answer.status == 416 || start != Some(self.offset) {
            // It knows no ranges, or another file is there now: from the beginning.
            let whole = answer.status == 200;
            self.restart().map_err(trouble)?;
            if !whole {
                return Ok(Err("the server sent another range than was asked for".to_owned()));
            }
        }
        if let Some(length) = length.filter(|length| self.offset.saturating_add(*length) != self.wanted.size) {
            let found = format!("{} bytes instead of {}", self.offset.saturating_add(length), self.wanted.size);
            return Ok(Ok(Some(Step::Wrong(found))));
        }
        let (mut body, mut buffer) = (answer.reader(), vec![0; 64 << 10]);
        while self.offset < self.wanted.size {
            let left = usize::try_from(self.wanted.size - self.offset).unwrap_or(usize::MAX).min(buffer.len());
            match body.read(buffer.get_mut(..left).unwrap_or_default()) {
                Ok(0) => return Ok(Err("the connection was closed".to_owned())),
                Ok(n) => {
                    let bytes = buffer.get(..n).unwrap_or_default();
                    self.part.write_all(bytes).map_err(trouble)?;
                    self.hash.update(bytes);
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Ok(Err(printable(&e.to_string()))),
            }
        }
        if length.is_none() && matches!(body.read(&mut [0]), Ok(n) if n > 0) {
            return Ok(Ok(Some(Step::Wrong(format!("more than {} bytes", self.wanted.size)))));
        }
        // Read to its end, so that the connection serves again.
        let _ = body.read(&mut [0]);
        Ok(Ok(None))
    }
}

/// Hashes at most `limit` bytes from the first on; how many there were.
fn hash_up_to(file: &mut File, hash: &mut Sha256, limit: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let (mut seen, mut buffer) = (0, vec![0; 64 << 10]);
    while seen < limit {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(buffer.get(..n).unwrap_or_default());
                seen += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(seen)
}

fn finish(hash: Sha256) -> Digest {
    Digest::from_bytes(hash.finalize().into())
}

/// The first number of `bytes 5-9/10`.
fn range_start(value: Option<&str>) -> Option<u64> {
    value?.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
