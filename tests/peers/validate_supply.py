"""A second opinion on supply chain documents: validate_supply.py sbom|provenance FILE

sbom        spdx-tools reads the file and its full validation of SPDX 2.3 finds nothing. Prints the package URLs, which
            are what a scanner would look up, one a line.
provenance  the types of in-toto-attestation (generated from the published protobufs) take every field of the statement
            and of its SLSA predicate, and no other; what SLSA requires is there. Prints the resolved dependencies.
Mistakes go to standard error, and the exit status is then 1.
"""

import json
import sys

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def sbom(path: str) -> tuple[list[str], list[str]]:
    try:
        document = parse_file(path)
    except SPDXParsingError as error:
        return [], list(error.messages)
    mistakes = [f"{one.context.spdx_id}: {one.validation_message}" for one in validate_full_spdx_document(document)]
    urls = [one.locator for package in document.packages for one in package.external_references
            if one.reference_type == "purl"]
    return urls, mistakes


def provenance(path: str) -> tuple[list[str], list[str]]:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        statement = json_format.Parse(text, statement_pb2.Statement())
        Statement.copy_from_pb(statement).validate()
        predicate = json_format.Parse(json.dumps(json.loads(text)["predicate"]), provenance_pb2.Provenance())
    except (json_format.ParseError, ValueError) as error:
        return [], [str(error)]
    definition, details = predicate.build_definition, predicate.run_details
    mistakes = []
    if statement.predicate_type != "https://slsa.dev/provenance/v1":
        mistakes.append(f"predicateType is {statement.predicate_type}")
    if not definition.build_type or not len(definition.external_parameters) or not details.builder.id:
        mistakes.append("buildType, externalParameters and builder.id are required")
    names = []
    for one in [*definition.resolved_dependencies, *details.byproducts]:
        try:
            ResourceDescriptor.copy_from_pb(one).validate()
        except ValueError as error:
            mistakes.append(f"{one.name or one.uri}: {error}")
        if not one.digest:
            mistakes.append(f"{one.name or one.uri} has no digest")
        mistakes += [f"{one.name or one.uri}: {value} is no SHA-256" for value in one.digest.values() if len(value) != 64]
    for one in definition.resolved_dependencies:
        names.append(one.uri or one.name)
    return names, mistakes


def main(arguments: list[str]) -> int:
    kinds = {"sbom": sbom, "provenance": provenance}
    if len(arguments) != 2 or arguments[0] not in kinds:
        print(__doc__, file=sys.stderr)
        return 2
    lines, mistakes = kinds[arguments[0]](arguments[1])
    print("\n".join(lines))
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
