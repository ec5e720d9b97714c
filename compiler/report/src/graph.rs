//! hGraph and jGraph: how the resources of a deployment communicate, in eight sectors, from one model.

mod model;
mod svg;

pub use model::{Edge, Graph, GraphNode, SECTORS, Sector, model};
pub use svg::svg;

use serde_json::{Value, json};

/// jGraph: the same model as JSON (`hgraph.json`).
pub fn json(graph: &Graph) -> Value {
    json!({
        "version": 1,
        "name": graph.name,
        "sectors": graph.sectors.iter().enumerate().map(|(n, sector)| json!({
            "id": format!("c{}", n + 1),
            "title": sector.title,
            "said": sector.said,
            "nodes": sector.nodes.iter().map(|node| json!({
                "alias": node.alias,
                "name": node.name,
                "fqid": node.fqid,
                "version": node.version,
                "kind": node.kind,
                "said": node.said,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "edges": graph.edges.iter().map(|edge| json!({
            "id": edge.id,
            "from": edge.from,
            "to": edge.to,
            "order": edge.order,
            "label": edge.label,
        })).collect::<Vec<_>>(),
    })
}
