//! The schema's types: what may stand where, how often, and what it means.

use super::types::Type;

/// The whole schema.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// Version of the language that it describes.
    pub language: i64,
    /// Top-level nodes.
    pub nodes: Vec<NodeDef>,
}

impl Schema {
    /// Whether it is that of specs: an image is what every spec is about.
    pub fn is_spec(&self) -> bool {
        self.nodes.iter().any(|node| node.name == "image")
    }
}

/// How often a node stands in the merged spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Exactly once.
    One,
    /// At most once.
    Maybe,
    /// At least once.
    Some,
    /// Any number of times.
    Any,
}

/// What several occurrences mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// All are one node; a file has at most one.
    One,
    /// All are one node; a file may have several.
    Section,
    /// One node for each first argument.
    KeyArg,
    /// One node for each value of this property.
    KeyProp(String),
    /// Every argument is an entry of its own.
    Each,
    /// Every property is an entry of its own.
    Entries,
    /// Equal nodes are one.
    Whole,
}

/// Whether k8orc does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// Yes.
    Yes,
    /// Not yet.
    No {
        /// What to write today.
        instead: String,
    },
}

/// A node of the language.
#[derive(Debug, Clone)]
pub struct NodeDef {
    /// Name.
    pub name: String,
    /// What it means, in Markdown.
    pub doc: String,
    /// A line of a spec that shows it.
    pub example: Option<String>,
    /// How often it stands there.
    pub count: Count,
    /// What several mean.
    pub merge: Merge,
    /// Nodes of this group under one parent contradict each other when they name the same thing.
    pub rivals: Option<String>,
    /// Whether it is done.
    pub built: Built,
    /// Arguments in order; only the last may repeat.
    pub args: Vec<ArgDef>,
    /// Properties.
    pub props: Vec<PropDef>,
    /// Properties of any name.
    pub entries: Option<Entries>,
    /// Nodes within its braces.
    pub children: Vec<NodeDef>,
}

/// What a value looks like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Its type.
    pub ty: Type,
    /// Words that may stand there (type `words`), or beginnings such as `apt:`.
    pub words: Vec<Word>,
    /// Least number.
    pub min: i64,
    /// Greatest number.
    pub max: i64,
}

/// A word, or a beginning of a value.
#[derive(Debug, Clone)]
pub struct Word {
    /// The word; a beginning ends in `:`.
    pub text: String,
    /// What it means.
    pub doc: String,
    /// Whether it is done.
    pub built: Built,
}

/// An argument.
#[derive(Debug, Clone)]
pub struct ArgDef {
    /// Name, for messages and the reference.
    pub name: String,
    /// What it means.
    pub doc: String,
    /// What it looks like.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// Whether a module may leave it out although it is required.
    pub module_optional: bool,
    /// Whether all further arguments are like it.
    pub repeat: bool,
}

/// A property.
#[derive(Debug, Clone)]
pub struct PropDef {
    /// Name.
    pub name: String,
    /// What it means.
    pub doc: String,
    /// What it looks like.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it is done.
    pub built: Built,
}

/// Properties whose names the user chooses.
#[derive(Debug, Clone)]
pub struct Entries {
    /// Type of the names.
    pub key: Type,
    /// What the values look like.
    pub shape: Shape,
    /// What they mean.
    pub doc: String,
}

impl Schema {
    /// The top-level node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeDef> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Where nodes of that name may stand, each as the names from the top: `["files"]`, `[]` for the top.
    pub fn places(&self, name: &str) -> Vec<Vec<&str>> {
        let mut found = Vec::new();
        // A work list instead of recursion: entries are (names so far, definitions there).
        let mut open: Vec<(Vec<&str>, &[NodeDef])> = vec![(Vec::new(), &self.nodes)];
        while let Some((path, nodes)) = open.pop() {
            for node in nodes {
                if node.name == name {
                    found.push(path.clone());
                }
                let mut below = path.clone();
                below.push(&node.name);
                open.push((below, &node.children));
            }
        }
        found.sort();
        found
    }
}

impl NodeDef {
    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<&NodeDef> {
        self.children.iter().find(|node| node.name == name)
    }

    /// The property of that name.
    pub fn prop(&self, name: &str) -> Option<&PropDef> {
        self.props.iter().find(|prop| prop.name == name)
    }

    /// What the argument at `index` looks like.
    pub fn arg(&self, index: usize) -> Option<&ArgDef> {
        self.args.get(index).or_else(|| self.args.last().filter(|last| last.repeat))
    }

    /// One line that shows how it is written: `copy SOURCE to=… [owner=…] [mode=…]`.
    pub fn usage(&self) -> String {
        let mut out = self.name.clone();
        for arg in &self.args {
            let name = arg.name.to_uppercase();
            let name = if arg.repeat { format!("{name}…") } else { name };
            out += &if arg.required && !arg.module_optional { format!(" {name}") } else { format!(" [{name}]") };
        }
        for prop in &self.props {
            out += &if prop.required { format!(" {}=…", prop.name) } else { format!(" [{}=…]", prop.name) };
        }
        if self.entries.is_some() {
            out += " NAME=VALUE…";
        }
        if !self.children.is_empty() {
            out += " { … }";
        }
        out
    }
}
