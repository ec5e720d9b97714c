//! What the tests share: each module helps one kind of test.

pub mod peers;
