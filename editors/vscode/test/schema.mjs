// Compares the grammar with stdlib/schema.kdl. The schema is read with the grammar itself: it is KDL too.

/** The tree of the schema: { name, props, children } of each `node`; `words` are other nodes, left out. */
export function readSchema(text, tokenise) {
  const root = { name: "", props: [], children: [] };
  const stack = [root]; // what each open brace belongs to
  let head = null; // the node that is being read: { word, name }
  let inName = false;
  for (const line of tokenise(text)) {
    for (const token of line) {
      const is = (scope) => token.scopes.some((s) => s.startsWith(scope));
      if (is("comment.")) continue;
      if (is("punctuation.section.block.begin")) {
        stack.push(enter(stack.at(-1), head));
        head = null;
      } else if (is("punctuation.section.block.end")) {
        if (head) enter(stack.at(-1), head);
        head = null;
        stack.pop();
      } else if (is("punctuation.terminator.node")) {
        if (head) enter(stack.at(-1), head);
        head = null;
      } else if (is("entity.name.tag") || is("keyword.control") || is("keyword.other")) {
        head = { word: token.text.trim(), name: null };
      } else if (is("punctuation.definition.string.begin")) {
        inName = head !== null && head.name === null;
        if (inName) head.name = "";
      } else if (is("punctuation.definition.string.end")) {
        inName = false;
      } else if (inName) {
        head.name += token.text;
      }
    }
    // A node ends with its line; the next token at this depth is another one's name.
    if (head && !inName) {
      enter(stack.at(-1), head);
      head = null;
    }
  }
  return root;
}

function enter(parent, head) {
  const entry = { name: head?.name ?? "", props: [], children: [] };
  if (head?.word === "node") parent.children.push(entry);
  if (head?.word === "prop") parent.props.push(entry.name);
  return entry;
}

/** Writes a spec with each node at its place and looks at how its names are tokenised. */
export function checkSchema(text, tokenise, has, failures) {
  let checked = 0;
  const visit = (node, path) => {
    const open = path.map((name) => `${name} "x" {`).join(" ");
    const props = node.props.map((name) => ` ${name}="x"`).join("");
    const tokens = tokenise(`${open} ${node.name}${props} ${"}".repeat(path.length)}`)[0];
    const token = (name) => tokens.findLast((t) => t.text.trim() === name);
    const where = [...path, node.name].join(" → ");
    const scope = path.length === 0 ? "keyword.control.k8orc" : "keyword.other.k8orc";
    checked += 1;
    if (!token(node.name) || !has(token(node.name), scope)) {
      failures.push(`stdlib/schema.kdl: the grammar does not know the node ${where}`);
    }
    for (const name of node.props) {
      checked += 1;
      if (!token(name) || !has(token(name), "support.type.property-name.k8orc")) {
        failures.push(`stdlib/schema.kdl: the grammar does not know the property ${name} of ${where}`);
      }
    }
    for (const child of node.children) visit(child, [...path, node.name]);
  };
  const root = readSchema(text, tokenise);
  if (root.children.length < 10) {
    failures.push(`stdlib/schema.kdl: only ${root.children.length} top-level nodes were read; the check is out of date`);
  }
  for (const child of root.children) visit(child, []);
  return checked;
}
