"""Holds a list of crates against CycloneDX's schema: sbom.py FILE"""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1], encoding="utf-8").read()
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
assert error is None, error
names = {component["name"] for component in json.loads(text)["components"]}
missing = {"mio", "rustls", "ring", "libloading"} - names
assert not missing, missing
tests_only = {"criterion", "proptest", "tungstenite"} & names
assert not tests_only, tests_only
