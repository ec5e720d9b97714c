//! A directory for one unit test, removed when the test is over.
#![allow(clippy::unwrap_used)]

use crate::sys::fs::{Fd, open_directory_path};
use alloc::vec::Vec;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct TestDirectory(PathBuf);

impl TestDirectory {
    pub fn new(name: &str) -> TestDirectory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(alloc::format!("k8or-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        TestDirectory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.as_os_str().as_encoded_bytes().to_vec()
    }

    pub fn open(&self) -> Fd {
        open_directory_path(&self.bytes()).unwrap()
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let parent = open_directory_path(self.0.parent().unwrap().as_os_str().as_encoded_bytes());
        let name = self.0.file_name().unwrap().as_encoded_bytes();
        crate::copy::remove_tree(&parent.unwrap(), name).unwrap();
    }
}
