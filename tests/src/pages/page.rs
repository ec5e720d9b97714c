//! Reading a page: its head, and the files of its blocks.

use std::collections::BTreeMap;

/// File name to bytes.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The parts of a page that are more than prose.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The test that provokes the code.
    pub provoked_by: Option<String>,
    /// The files under "Fails", with those above it.
    pub fails: Option<Files>,
    /// The files under "Fixed", with those above "Fails".
    pub fixed: Option<Files>,
    /// What is wrong with the page's form.
    pub complaints: Vec<String>,
}

#[derive(Clone, Copy)]
enum Part {
    Head,
    Fails,
    Fixed,
}

impl Page {
    /// Reads the text of a page.
    #[must_use]
    pub fn parse(text: &str) -> Page {
        let mut page = Page::default();
        let mut common = Files::new();
        let mut part = Part::Head;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("Provoked by: ") {
                page.provoked_by = Some(name.trim().to_owned());
            } else if line == "## Fails" {
                part = Part::Fails;
                page.fails = Some(Files::new());
            } else if line == "## Fixed" {
                part = Part::Fixed;
                page.fixed = Some(Files::new());
            } else if let Some(info) = line.strip_prefix("```") {
                let mut content = String::new();
                let closed = lines.by_ref().any(|line| {
                    let end = line == "```";
                    if !end {
                        content.push_str(line);
                        content.push('\n');
                    }
                    end
                });
                if !closed {
                    page.complaints.push(format!("the block `{info}` has no end"));
                }
                let Some((kind, name)) = info.split_once(' ') else { continue };
                let bytes = match kind {
                    "bytes" => from_hex(&content).unwrap_or_else(|| {
                        page.complaints.push(format!("the block `{info}` is not hexadecimal"));
                        Vec::new()
                    }),
                    _ => content.into_bytes(),
                };
                let files = match part {
                    Part::Head => Some(&mut common),
                    Part::Fails => page.fails.as_mut(),
                    Part::Fixed => page.fixed.as_mut(),
                };
                if files.is_some_and(|files| files.insert(name.to_owned(), bytes).is_some()) {
                    page.complaints.push(format!("two blocks of the name `{name}`"));
                }
            } else if line.starts_with("## ") {
                page.complaints.push(format!("a part `{line}` that is neither \"Fails\" nor \"Fixed\""));
            }
        }
        for files in page.fails.iter_mut().chain(&mut page.fixed) {
            for (name, bytes) in &common {
                files.entry(name.clone()).or_insert_with(|| bytes.clone());
            }
        }
        page
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_files() {
        let page = Page::parse(
            "# E1: x\n\n```bytes a.bin\nff 00\n```\n\n## Fails\n\n```kdl spec.kdl\none\n```\n\n## Fixed\n\n\
             ```kdl spec.kdl\ntwo\n```\n```text a.bin\nmine\n```\n",
        );
        assert_eq!(page.complaints, [""; 0]);
        let (fails, fixed) = (page.fails.expect("fails"), page.fixed.expect("fixed"));
        assert_eq!((fails["spec.kdl"].as_slice(), fails["a.bin"].as_slice()), (&b"one\n"[..], &[0xff, 0][..]));
        assert_eq!((fixed["spec.kdl"].as_slice(), fixed["a.bin"].as_slice()), (&b"two\n"[..], &b"mine\n"[..]));
    }

    #[test]
    fn slips_of_form_are_seen() {
        let page = Page::parse("# E1: x\n\n## Failed\n\n```bytes b\nfff\n```\n```kdl spec.kdl\n");
        assert_eq!(page.complaints.len(), 3, "{:?}", page.complaints);
    }
}
