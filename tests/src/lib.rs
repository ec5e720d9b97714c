//! What the tests share: each module helps one kind of test.

pub mod fixture;
pub mod pages;
pub mod peers;
pub mod tidy;
