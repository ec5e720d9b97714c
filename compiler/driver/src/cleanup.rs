//! What must not outlive this process: directories that are removed when a build ends, however it ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static PATHS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn paths() -> MutexGuard<'static, Vec<PathBuf>> {
    PATHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path that is removed, with all below it, when this value is dropped or the process is interrupted.
#[derive(Debug)]
pub struct Registered(Option<PathBuf>);

/// Registers a path; it need not exist yet.
pub fn register(path: &Path) -> Registered {
    paths().push(path.to_owned());
    Registered(Some(path.to_owned()))
}

/// Makes something at a path and registers it, with no moment in between in which an interrupt would miss it.
pub(crate) fn make<T>(path: &Path, make: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<(T, Registered)> {
    let mut paths = paths();
    let made = make(path)?;
    paths.push(path.to_owned());
    Ok((made, Registered(Some(path.to_owned()))))
}

impl Registered {
    /// Leaves the path alone from now on.
    pub fn forget(mut self) {
        if let Some(path) = self.0.take() {
            paths().retain(|other| *other != path);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            remove(&path);
            paths().retain(|other| *other != path);
        }
    }
}

/// Removes all that is registered. Called on SIGINT, SIGTERM and SIGHUP, from a thread beside the build: each
/// directory is renamed first, so that a writer that still runs finds its path gone instead of filling it.
pub fn now() {
    clean(&mut paths());
}

fn clean(paths: &mut Vec<PathBuf>) {
    for path in paths.drain(..) {
        let mut aside = path.clone().into_os_string();
        aside.push(".interrupted");
        let aside = PathBuf::from(aside);
        let gone = if fs::rename(&path, &aside).is_ok() { aside } else { path };
        remove(&gone);
    }
}

/// A file or a directory with all below it. Best effort: there is nobody to tell in a destructor.
pub(crate) fn remove(path: &Path) {
    let _ = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}

static ASK: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first interrupt only makes [`interrupted`] true; the second ends the process.
pub fn on_interrupt_ask() {
    ASK.store(true, Ordering::SeqCst);
}

/// Whether somebody wants this to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Starts the thread that waits for a signal, cleans up and ends the process with 128 + its number.
///
/// # Errors
/// The operating system refused the handler.
pub fn on_interrupt(message: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if ASK.load(Ordering::SeqCst) && !INTERRUPTED.swap(true, Ordering::SeqCst) {
                continue;
            }
            // Held to the end: the build cannot register, and so not make, anything any more.
            let mut paths = paths();
            let gone = paths.clone();
            clean(&mut paths);
            message();
            // A writer that was between looking and making may have made a directory again.
            gone.iter().for_each(|path| remove(path));
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}
