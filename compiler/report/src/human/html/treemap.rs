//! Treemaps: an area for each group, in proportion to its bytes (squarified: Bruls, Huizing, van Wijk 2000).
//!
//! Places are percentages, so the picture takes any width while its words keep their size; words that do not fit
//! a phone are left out there.

use std::fmt::Write as _;

use super::groups::{Group, by_directory, by_package};
use super::text::escape;
use crate::Part;
use crate::human::bytes;

/// A rectangle, in hundredths of the picture's width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Size of a picture on a desk and on a phone, CSS pixels: what decides which words fit.
const DESK: (f64, f64) = (520.0, 400.0);
const PHONE: (f64, f64) = (326.0, 400.0);
/// Width of a letter and height of a line, about.
const LETTER: f64 = 6.5;
const LINE: f64 = 15.0;

/// Both ways to group, each before and after, and as a table.
pub(super) fn section(part: &Part<'_>) -> String {
    let n = part.number;
    let mut out = String::from(
        "<p class=dim>Areas are bytes. In the base, the filled share of an area is what stays; each picture has \
         its own scale.</p>\n\
         <ul class=legend><li><i class=stay></i>stays</li><li><i class=gone></i>removed</li>\
         <li><i class=new></i>written by the build</li></ul>\n",
    );
    for (name, checked, groups) in [("directory", " checked", by_directory(part)), ("package", "", by_package(part))] {
        let _ = writeln!(
            out,
            "<input type=radio class=view name=view-{n} id=by-{name}-{n}{checked}><label for=by-{name}-{n}>by {name}</label>\
             <div class=maps>",
        );
        picture(&mut out, "base", &groups, part.image.before.bytes, false);
        picture(&mut out, "image", &groups, part.image.after.bytes, true);
        table(&mut out, name, &groups);
        out.push_str("</div>\n");
    }
    // The labels stand beside each other whatever is shown below them.
    format!("<div class=views>{out}</div>\n")
}

fn picture(out: &mut String, what: &str, groups: &[Group], total: u64, after: bool) {
    let weight = |group: &Group| if after { group.bytes.after() } else { group.bytes.before };
    let mut sized: Vec<(&Group, u64)> =
        groups.iter().map(|group| (group, weight(group))).filter(|(_, size)| *size > 0).collect();
    sized.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.name.cmp(&b.name)));
    let _ = write!(
        out,
        "<figure><figcaption>{what}: {}</figcaption><svg class=map role=img aria-label=\"{what} by size; the table below says it in words\">",
        bytes(total),
    );
    let sizes: Vec<u64> = sized.iter().map(|(_, size)| *size).collect();
    for ((group, size), area) in sized.iter().zip(squarify(&sizes)) {
        cell(out, group, *size, area, after);
    }
    out.push_str("</svg></figure>\n");
}

fn cell(out: &mut String, group: &Group, size: u64, area: Area, after: bool) {
    let name = escape(&group.name);
    let all = group.bytes;
    let _ = write!(
        out,
        "<svg x=\"{:.2}%\" y=\"{:.2}%\" width=\"{:.2}%\" height=\"{:.2}%\"><title>{name}: {} → {}</title>",
        area.x,
        area.y,
        area.width,
        area.height,
        bytes(all.before),
        bytes(all.after()),
    );
    out.push_str("<rect class=gone width=\"100%\" height=\"100%\"/>");
    // From below, as a glass is filled.
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    let (stay, new) =
        if after { (share(all.kept, size), share(all.written, size)) } else { (share(all.kept, size), 0.0) };
    for (class, height, y) in [("stay", stay, 100.0 - stay), ("new", new, 100.0 - stay - new)] {
        if height > 0.0 {
            let _ = write!(out, "<rect class={class} width=\"100%\" y=\"{y:.2}%\" height=\"{height:.2}%\"/>");
        }
    }
    out.push_str("<rect class=edge width=\"100%\" height=\"100%\"/>");
    words(out, &group.name, &bytes(size), area);
    out.push_str("</svg>");
}

/// The name (or its last part, or the beginning of that) and the size, as far as they fit on a desk and on a phone.
fn words(out: &mut String, name: &str, size: &str, area: Area) {
    let fits = |text: &str, lines: f64, (width, height): (f64, f64)| {
        text.chars().count() as f64 * LETTER + 10.0 <= area.width * width / 100.0
            && lines * LINE + 6.0 <= area.height * height / 100.0
    };
    let trimmed = name.trim_end_matches('/');
    let last = trimmed.rsplit('/').next().unwrap_or(trimmed);
    let shown = |place| {
        let whole = [name, last].into_iter().find(|text| fits(text, 1.0, place)).map(str::to_owned);
        whole.or_else(|| cut(last, |text| fits(text, 1.0, place)))
    };
    let [desk, phone] = [DESK, PHONE].map(|place| {
        let size = fits(size, 2.0, place);
        shown(place).map(|name| (name, size))
    });
    let one = |out: &mut String, (name, with_size): &(String, bool), class: &str| {
        let _ = write!(out, "<text x=5 y=15 class=\"{class}\">{}</text>", escape(name));
        if *with_size {
            let _ = write!(out, "<text x=5 y=30 class=\"size {class}\">{size}</text>");
        }
    };
    if desk == phone {
        desk.iter().for_each(|words| one(out, words, "both"));
    } else {
        desk.iter().for_each(|words| one(out, words, "desk"));
        phone.iter().for_each(|words| one(out, words, "phone"));
    }
}

/// The beginning of a name, where that says enough.
fn cut(name: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let letters = name.chars().count();
    (5..letters).rev().map(|count| name.chars().take(count).chain(['…']).collect()).find(|text: &String| fits(text))
}

fn table(out: &mut String, name: &str, groups: &[Group]) {
    let _ = write!(
        out,
        "<details><summary>the same as a table</summary><table class=plain><thead><tr><th scope=col>{name}</th>\
         <th scope=col class=n>base</th><th scope=col class=n>image</th></tr></thead><tbody>",
    );
    for group in groups {
        let _ = write!(
            out,
            "<tr><td class=c>{}</td><td class=n>{}</td><td class=n>{}</td></tr>",
            escape(&group.name),
            bytes(group.bytes.before),
            bytes(group.bytes.after()),
        );
    }
    out.push_str("</tbody></table></details>\n");
}

/// Areas for sizes that fall, in the same order. Only `+ - * /` and comparisons: the same on every machine.
fn squarify(sizes: &[u64]) -> Vec<Area> {
    let total = sizes.iter().fold(0.0, |sum, size| sum + *size as f64);
    let mut free = Area { x: 0.0, y: 0.0, width: 100.0, height: 100.0 };
    let mut out = Vec::with_capacity(sizes.len());
    // A percent of the width is wider than one of the height.
    let aspect = DESK.0 / DESK.1;
    let mut rest: Vec<f64> = sizes.iter().map(|size| *size as f64 * 10_000.0 / total).collect();
    while !rest.is_empty() {
        let upright = free.width * aspect >= free.height;
        let side = if upright { free.height } else { free.width * aspect };
        let mut taken = 1;
        while taken < rest.len() && worst(&rest[..=taken], side, aspect) <= worst(&rest[..taken], side, aspect) {
            taken += 1;
        }
        let row: Vec<f64> = rest.drain(..taken).collect();
        let sum: f64 = row.iter().sum();
        let (mut x, mut y) = (free.x, free.y);
        if upright {
            let width = if free.height > 0.0 { sum / free.height } else { 0.0 };
            for size in row {
                let height = if width > 0.0 { size / width } else { 0.0 };
                out.push(Area { x, y, width, height });
                y += height;
            }
            free = Area { x: free.x + width, width: (free.width - width).max(0.0), ..free };
        } else {
            let height = if free.width > 0.0 { sum / free.width } else { 0.0 };
            for size in row {
                let width = if height > 0.0 { size / height } else { 0.0 };
                out.push(Area { x, y, width, height });
                x += width;
            }
            free = Area { y: free.y + height, height: (free.height - height).max(0.0), ..free };
        }
    }
    out
}

/// The worst proportion in a row of these areas along a side.
fn worst(row: &[f64], side: f64, aspect: f64) -> f64 {
    let sum: f64 = row.iter().sum::<f64>() * aspect;
    let across = sum / side;
    row.iter().fold(1.0, |worst: f64, size| {
        let along = size * aspect / across;
        worst.max(along / across).max(across / along)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_fill_the_picture_and_do_not_overlap() {
        for sizes in [vec![6, 6, 4, 3, 2, 2, 1], vec![1], vec![u64::MAX, 1, 1], (1..=40).rev().collect::<Vec<u64>>()] {
            let areas = squarify(&sizes);
            let total: f64 = sizes.iter().map(|size| *size as f64).sum();
            assert_eq!(areas.len(), sizes.len());
            for (area, size) in areas.iter().zip(&sizes) {
                assert!((area.width * area.height - *size as f64 * 10_000.0 / total).abs() < 0.01, "{area:?}");
                assert!(area.x >= -0.01 && area.x + area.width <= 100.01 && area.y + area.height <= 100.01, "{area:?}");
            }
            for (n, a) in areas.iter().enumerate() {
                for b in &areas[n + 1..] {
                    let apart = |a: f64, wide: f64, b: f64, other: f64| a + wide <= b + 0.01 || b + other <= a + 0.01;
                    assert!(apart(a.x, a.width, b.x, b.width) || apart(a.y, a.height, b.y, b.height), "{a:?} {b:?}");
                }
            }
        }
        assert!(squarify(&[]).is_empty());
    }
}
