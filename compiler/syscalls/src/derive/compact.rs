//! Edges as plain numbers: they are most of a summary, and each is a kind and a place.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::summary::Edge;

/// Kind in the low three bits, place above.
pub(crate) fn serialize<S: Serializer>(edges: &[Edge], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(edges.iter().map(|edge| {
        let (kind, place) = match edge {
            Edge::Go(place) => (0, place),
            Edge::Take(place) => (1, place),
            Edge::Through(place) => (2, place),
            Edge::Read(place) => (3, place),
            Edge::Data(place) => (4, place),
        };
        u64::from(*place) << 3 | kind
    }))
}

/// The other way; an unknown kind is an error.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Edge>, D::Error> {
    let numbers = Vec::<u64>::deserialize(deserializer)?;
    let edge = |number: u64| {
        let place = u32::try_from(number >> 3).map_err(D::Error::custom)?;
        match number & 7 {
            0 => Ok(Edge::Go(place)),
            1 => Ok(Edge::Take(place)),
            2 => Ok(Edge::Through(place)),
            3 => Ok(Edge::Read(place)),
            4 => Ok(Edge::Data(place)),
            kind => Err(D::Error::custom(format!("unknown kind of edge {kind}"))),
        }
    };
    numbers.into_iter().map(edge).collect()
}
