#[test] fn t(){ let s="\u{85}*// c\n"; let d=lang::text::parse(s, diag::FileId(0)); eprintln!("{:?}", d); eprintln!("{:?}", kdl::KdlDocument::parse_v2(s)); }
