# Python and npm packages for the tests, in the scratch directory and beside the editor's grammar.

prepare_python() {
    local venv=$K8ORC_TEST_DIR/venv
    K8ORC_TEST_PYTHON=$venv/bin/python
    if made venv "$peers/requirements.txt"; then return; fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$peers/requirements.txt" >&2 ||
        die "pip could not install $peers/requirements.txt"
    stamp venv "$peers/requirements.txt"
}

prepare_npm() {
    local editor=$root/editors/vscode
    if made npm "$editor/package-lock.json" "$editor" && [[ -d $editor/node_modules ]]; then return; fi
    npm ci --prefix "$editor" --silent --no-audit --no-fund >&2 || die "npm could not install $editor/package-lock.json"
    : >"$K8ORC_TEST_DIR/npm"
    stamp npm "$editor/package-lock.json" "$editor"
}
