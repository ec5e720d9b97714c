//! hGraph: the model as a self-contained SVG, four sectors above four, readable in light and dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Graph, GraphNode, Sector};

const SECTOR_WIDTH: i64 = 300;
const GAP: i64 = 60;
const MARGIN: i64 = 30;
const TITLE: i64 = 44;
const NODE_HEIGHT: i64 = 58;
const NODE_GAP: i64 = 14;
const PAD: i64 = 16;
const HEAD: i64 = 56;

const STYLE: &str = "\
.page{fill:#ffffff}.box{fill:#f3f6fb;stroke:#9db2d6}.off{fill:#f2f2f2;stroke:#cfcfcf}\
.title{font:600 14px sans-serif;fill:#1b2a4a}.off-title{font:600 14px sans-serif;fill:#8a8a8a}\
.node{fill:#ffffff;stroke:#3b66b5}.off-node{fill:#f7f7f7;stroke:#cfcfcf;stroke-dasharray:4 3}\
.name{font:600 13px sans-serif;fill:#14213d}.small{font:11px monospace;fill:#4a5875}.off-text{font:12px sans-serif;fill:#8a8a8a}\
.edge{fill:none;stroke:#5577bb;stroke-width:1.3}.tip{fill:#5577bb}.order{font:10px monospace;fill:#3b4f78}.halo{fill:#ffffff;opacity:.85}\
.head{font:700 20px sans-serif;fill:#14213d}\
@media (prefers-color-scheme:dark){.page{fill:#14171c}.box{fill:#1d232e;stroke:#41506b}.off{fill:#1a1c20;stroke:#33363c}\
.title,.name,.head{fill:#e6ecf7}.node{fill:#232c3b;stroke:#6f97dd}.off-node{fill:#1d1f24;stroke:#3a3d44}.small,.order{fill:#aab8d4}\
.edge{stroke:#7f9fdf}.tip{fill:#7f9fdf}.halo{fill:#14171c}.off-title,.off-text{fill:#7c7f86}}";

struct Placed {
    x: i64,
    y: i64,
}

/// The picture.
pub fn svg(graph: &Graph) -> String {
    let (top, bottom) = graph.sectors.split_at(graph.sectors.len().min(4));
    let heights = [row_height(top), row_height(bottom)];
    let width = MARGIN * 2 + SECTOR_WIDTH * 4 + GAP * 3;
    let height = HEAD + MARGIN + heights[0] + GAP + heights[1] + MARGIN;
    let mut out = String::new();
    let mut places = BTreeMap::new();
    let (mut boxes, mut nodes) = (String::new(), String::new());
    for (row, sectors) in [top, bottom].into_iter().enumerate() {
        let y = HEAD + if row == 0 { 0 } else { heights[0] + GAP };
        for (column, sector) in (0_i64..).zip(sectors) {
            let x = MARGIN + column * (SECTOR_WIDTH + GAP);
            let number = row * 4 + usize::try_from(column).unwrap_or(0) + 1;
            sector_box(&mut boxes, sector, number, x, y, heights[row]);
            place_nodes(&mut nodes, sector, x, y, &mut places);
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Deployment graph of {name}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"head\" x=\"{MARGIN}\" y=\"36\">{name}</text>\n{boxes}",
        name = escape(&graph.name),
    );
    for edge in &graph.edges {
        let (Some(from), Some(to)) = (places.get(&edge.from), places.get(&edge.to)) else { continue };
        draw_edge(&mut out, from, to, edge.order, &edge.id, edge.label);
    }
    // Above the edges, so that no line crosses a name.
    out.push_str(&nodes);
    out.push_str("</svg>\n");
    out
}

fn row_height(sectors: &[Sector]) -> i64 {
    let most = sectors.iter().map(|sector| sector.nodes.len()).max().unwrap_or(0);
    let most = i64::try_from(most).unwrap_or(1).max(1);
    TITLE + PAD + most * (NODE_HEIGHT + NODE_GAP)
}

fn sector_box(out: &mut String, sector: &Sector, number: usize, x: i64, y: i64, height: i64) {
    let (box_class, title_class) = if sector.said { ("box", "title") } else { ("off", "off-title") };
    let _ = writeln!(
        out,
        "<g id=\"c{number}\"><rect class=\"{box_class}\" x=\"{x}\" y=\"{y}\" width=\"{SECTOR_WIDTH}\" height=\"{height}\" rx=\"10\"/>\
         <text class=\"{title_class}\" x=\"{}\" y=\"{}\">{number}. {}</text></g>",
        x + PAD,
        y + 28,
        escape(sector.title),
    );
}

fn place_nodes(out: &mut String, sector: &Sector, x: i64, y: i64, places: &mut BTreeMap<String, Placed>) {
    for (n, node) in (0_i64..).zip(&sector.nodes) {
        let (nx, ny) = (x + PAD, y + TITLE + n * (NODE_HEIGHT + NODE_GAP));
        draw_node(out, node, nx, ny);
        places.insert(node.alias.clone(), Placed { x: nx, y: ny });
    }
}

fn draw_node(out: &mut String, node: &GraphNode, x: i64, y: i64) {
    let width = SECTOR_WIDTH - 2 * PAD;
    if !node.said {
        let _ = writeln!(
            out,
            "<g><rect class=\"off-node\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{NODE_HEIGHT}\" rx=\"7\"/>\
             <text class=\"off-text\" x=\"{}\" y=\"{}\">{}</text></g>",
            x + 12,
            y + 34,
            escape(&node.name),
        );
        return;
    }
    let detail = [node.alias.as_str(), node.kind, node.version.as_str()]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" · ");
    let _ = writeln!(
        out,
        "<g id=\"{alias}\"><title>{fqid}</title><rect class=\"node\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{NODE_HEIGHT}\" rx=\"7\"/>\
         <text class=\"name\" x=\"{tx}\" y=\"{ty}\">{name}</text><text class=\"small\" x=\"{tx}\" y=\"{sy}\">{detail}</text></g>",
        alias = escape(&node.alias),
        fqid = escape(&node.fqid),
        tx = x + 12,
        ty = y + 24,
        sy = y + 43,
        name = escape(&shorten(&node.name, 34)),
        detail = escape(&shorten(&detail, 39)),
    );
}

fn draw_edge(out: &mut String, from: &Placed, to: &Placed, order: usize, id: &str, label: &str) {
    let width = SECTOR_WIDTH - 2 * PAD;
    let spread = i64::try_from(order % 5).unwrap_or(0) * 6 - 12;
    let (y1, y2) = (from.y + NODE_HEIGHT / 2 + spread, to.y + NODE_HEIGHT / 2 + spread / 2);
    let (x1, x2, bend) = if from.x == to.x {
        (from.x + width, to.x + width, 34)
    } else if from.x < to.x {
        (from.x + width, to.x, ((to.x - from.x - width) / 2).max(30))
    } else {
        (from.x, to.x + width, -((from.x - to.x - width) / 2).max(30))
    };
    let (c1, c2) = if from.x == to.x { (x1 + bend, x2 + bend) } else { (x1 + bend, x2 - bend) };
    // The label sits on the curve's middle: the mean of the four control points, weighted 1 3 3 1.
    let (mx, my) = ((x1 + 3 * c1 + 3 * c2 + x2) / 8, (y1 + y2) / 2);
    let _ = writeln!(
        out,
        "<g><title>{id}: {label}</title><path class=\"edge\" d=\"M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}\" marker-end=\"url(#tip)\"/>\
         <rect class=\"halo\" x=\"{}\" y=\"{}\" width=\"24\" height=\"13\" rx=\"3\"/><text class=\"order\" x=\"{}\" y=\"{}\">e{order:02}</text></g>",
        mx - 12,
        my - 7,
        mx - 9,
        my + 3,
        id = escape(id),
        label = escape(label),
    );
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most - 1).collect();
    out.push('…');
    out
}

/// XML text and attribute values; control characters become U+FFFD (XML 1.0 forbids them).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_element() {
        assert_eq!(escape("<a href=\"x\">&\u{1b}"), "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}");
        assert_eq!(shorten("abcdef", 4), "abc…");
    }
}
