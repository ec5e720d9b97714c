"""Does the second opinion see the mistakes that it is there for?"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import validate_manifests  # noqa: E402

CONFIG_MAP = """apiVersion: v1
kind: ConfigMap
metadata:
  name: web
data:
  value: {}
"""


class Manifests(unittest.TestCase):
    def run_on(self, text: str, name: str = "a.yaml") -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / name).write_text(text)
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                status = validate_manifests.main([directory])
            return status, said.getvalue()

    def assert_wrong(self, text: str, message: str):
        status, said = self.run_on(text)
        self.assertEqual(status, 1, said)
        self.assertIn(message, said)

    def test_good_documents(self):
        text = CONFIG_MAP.format("'yes'") + "---\n" + CONFIG_MAP.format("plain words")
        self.assertEqual(self.run_on(text)[0], 0, self.run_on(text)[1])

    def test_scalars_that_the_versions_read_differently(self):
        for scalar in ["yes", "off", "n", "010", "0777", "0o755", "1_000", "1e3", "12:30:00"]:
            with self.subTest(scalar):
                self.assert_wrong(CONFIG_MAP.format(scalar), ".data.value: ")
        self.assert_wrong(CONFIG_MAP.format("2026-11-24"), "date")
        self.assert_wrong(CONFIG_MAP.format("x") + "  on: x\n", "the key is read in one version only")

    def test_duplicate_keys(self):
        self.assert_wrong(CONFIG_MAP.format("x") + "  value: y\n", "duplicate key")

    def test_misspelt_fields_wrong_types_and_unknown_kinds(self):
        self.assert_wrong(CONFIG_MAP.format("x") + "dta: {}\n", "'dta' was unexpected")
        self.assert_wrong(CONFIG_MAP.format("5"), "5 is not of type")
        self.assert_wrong(CONFIG_MAP.format("x").replace("ConfigMap", "ConfigMop"), "has no v1 ConfigMop")
        self.assert_wrong("just: data\n", "not an object")
        self.assert_wrong("", "holds no document")

    def test_kustomization_names_files_that_are_there(self):
        head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        self.assert_wrong(head + "resources: [deployment.yaml]\n", "deployment.yaml is not there")
        self.assertEqual(self.run_on(head + "resources: [a.yaml]\n")[0], 0)

    def test_a_patch_is_part_of_an_object(self):
        part = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {paused: true}\n"
        head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        self.assert_wrong(part, "'selector' is a required property")
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "kustomization.yaml").write_text(head + "patches: [{path: part.yaml}]\n")
            (pathlib.Path(directory) / "part.yaml").write_text(part)
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                status = validate_manifests.main([directory])
            self.assertEqual(status, 0, said.getvalue())


if __name__ == "__main__":
    unittest.main()
