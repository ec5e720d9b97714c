"""Adds an image index to an OCI layout: make_index.py LAYOUT TAG IMAGE_TAG...

Bookworm's umoci cannot make an index, and buildah needs a store of its own for one.
"""

import hashlib
import json
import pathlib
import sys

TAG = "org.opencontainers.image.ref.name"


def main(layout: str, tag: str, *members: str) -> None:
    root = pathlib.Path(layout)
    top = json.loads((root / "index.json").read_text())
    blob = lambda digest: root / "blobs" / digest.replace(":", "/")
    tagged = {d.get("annotations", {}).get(TAG): d for d in top["manifests"]}

    manifests = []
    for member in members:
        descriptor = {key: tagged[member][key] for key in ("mediaType", "digest", "size")}
        config = json.loads(blob(descriptor["digest"]).read_text())["config"]["digest"]
        config = json.loads(blob(config).read_text())
        descriptor["platform"] = {key: config[key] for key in ("architecture", "os")}
        manifests.append(descriptor)

    media_type = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
    data = json.dumps(index, separators=(",", ":")).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blob(digest).write_bytes(data)
    top["manifests"] = [d for d in top["manifests"] if d.get("annotations", {}).get(TAG) != tag]
    top["manifests"].append(
        {"mediaType": media_type, "digest": digest, "size": len(data), "annotations": {TAG: tag}}
    )
    (root / "index.json").write_text(json.dumps(top, separators=(",", ":")))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
