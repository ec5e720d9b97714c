//! The `k8orc` binary.
fn main() {}
