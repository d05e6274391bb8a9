"""Licences of what an installation brings along, and its bill of materials.

    python scripts/audit.py [--extras all,em,...] [--sbom sbom.cdx.json]

The interpreter is that of the environment to be audited, in which `pip install --group audit` put
the tools. What napari-atomseg requires has to be under a licence that asks nothing of a user's own
program; what its extras add may be under the GPL. Exits with 1 and the names where it is not so,
where a licence is not known, or where something required is not installed. The bill of materials
(CycloneDX 1.6, JSON) lists what is required without extras.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

from license_expression import (
    ExpressionError,
    LicenseWithExceptionSymbol,
    Licensing,
    get_spdx_licensing,
)
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

spdx_licensing = cache(get_spdx_licensing)

ROOT = "napari-atomseg"
UNKNOWN = "unknown"

# Permissive ones, and those of which the obligations end at the library's own files. "BSD" is
# what metadata say that do not count its clauses.
ALWAYS = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "HPND"),
    *("ISC", "MIT", "MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"),
    *("MPL-2.0", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"),
    "GPL-3.0-or-later WITH GCC-exception-3.1",  # the runtime libraries of compilers
}
IN_EXTRAS = ALWAYS | {"GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"}

# Accepted by name, each with its reason.
ACCEPTED = {
    "cuda-*": "CUDA, which PyTorch's default build for Linux brings; its CPU build has none",
    "nvidia-*": "likewise",
}
ACCEPTED_IN_EXTRAS = {
    "bm3d": "for non-commercial use, as the documentation says of its extra",
    "bm4d": "part of bm3d",
}

# Words of older metadata, where they are no SPDX expression.
WORDS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD",
    "bsd-3": "BSD-3-Clause",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.1-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gpl v3": "GPL-3.0-only",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "lgpl v3": "LGPL-3.0-only",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "other/proprietary license": "proprietary",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zlib/libpng license": "Zlib",
}


@dataclass
class Part:
    """One installed distribution.

    Attributes
    ----------
    licence : SPDX expression, or `UNKNOWN`.
    extra : whether only extras bring it.
    needs : names of the parts that it requires.
    """

    name: str
    version: str
    licence: str
    extra: bool = False
    needs: set[str] = field(default_factory=set)


def licence_of(distribution: Distribution) -> str:
    """Licence as an SPDX expression, from the newest kind of metadata that a distribution has.

    Where older ones are of several minds, all of what they say has to hold.
    """
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    said = []
    if stated := _expression(metadata.get("License") or ""):
        said.append(stated)
    for classifier in metadata.get_all("Classifier") or []:
        kind, *_, name = classifier.split(" :: ")
        if kind == "License" and name != "OSI Approved":
            said.append(_expression(name) or UNKNOWN)
    return " AND ".join(dict.fromkeys(said)) or UNKNOWN


def _expression(words: str) -> str | None:
    words = words.strip()
    if word := WORDS.get(words.casefold()):
        return word
    # A whole licence instead of its name is not read.
    return words if words and "\n" not in words and is_spdx(words) else None


def is_spdx(words: str) -> bool:
    """Whether this is an expression of SPDX, with known identifiers alone."""
    try:
        spdx_licensing().parse(words, validate=True, strict=True)
    except ExpressionError:
        return False
    return True


def allowed(licence: str, licences: Iterable[str]) -> bool:
    """Whether an SPDX expression can be met by these licences alone."""
    licences = {each.casefold() for each in licences}
    licensing = Licensing()

    def met(part: object) -> bool:
        if isinstance(part, licensing.AND):
            return all(met(each) for each in part.args)
        if isinstance(part, licensing.OR):
            return any(met(each) for each in part.args)
        if isinstance(part, LicenseWithExceptionSymbol):
            # Exceptions permit more than the licence itself.
            return str(part).casefold() in licences or met(part.license_symbol)
        return str(part).casefold() in licences

    try:
        return met(licensing.parse(licence))
    except ExpressionError:
        return False


def parts_of(
    installed: Mapping[str, Distribution], extras: Iterable[str] = (), root: str = ROOT
) -> dict[str, Part]:
    """What `root` requires, directly or not, by name; `root` itself is the first.

    Raises
    ------
    LookupError
        Something required is not installed.
    """
    required = _closure(installed, root, ())
    every = _closure(installed, root, extras)
    return {
        name: Part(
            name,
            installed[name].version,
            licence_of(installed[name]),
            extra=name not in required,
            needs=needs,
        )
        for name, needs in every.items()
    }


def _closure(
    installed: Mapping[str, Distribution], root: str, extras: Iterable[str]
) -> dict[str, set[str]]:
    """Names of all that is required, each with what it requires itself."""
    found: dict[str, set[str]] = {}
    done: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(root), extra) for extra in ("", *extras)]
    while todo:
        name, extra = todo.pop(0)
        if (name, extra) in done:
            continue
        done.add((name, extra))
        if name not in installed:
            raise LookupError(f"{name} is required and not installed")
        needs = found.setdefault(name, set())
        for each in _requirements(installed[name], extra):
            needed = canonicalize_name(each.name)
            needs.add(needed)
            todo += [(needed, wanted) for wanted in ("", *each.extras)]
    for needs in found.values():
        needs.intersection_update(found)
    return found


def _requirements(distribution: Distribution, extra: str) -> Iterator[Requirement]:
    for line in distribution.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def faults(parts: Iterable[Part]) -> list[str]:
    """What may not be installed along with the package, a line each."""
    lines = []
    for part in parts:
        accepted = [*ACCEPTED, *(ACCEPTED_IN_EXTRAS if part.extra else ())]
        if any(fnmatch(part.name, pattern) for pattern in accepted):
            continue
        if not allowed(part.licence, IN_EXTRAS if part.extra else ALWAYS):
            where = "in an extra" if part.extra else "in every installation"
            lines.append(f"{part.name} {part.version}: {part.licence} is not allowed {where}")
    return lines


def bill_of_materials(parts: Mapping[str, Part], root: str = ROOT) -> str:
    """CycloneDX 1.6 in JSON of what is required without extras, valid by its schema.

    Raises
    ------
    ValueError
        The schema does not allow what was written.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    def component(part: Part) -> Component:
        licence: License = DisjunctiveLicense(name=part.licence)
        if is_spdx(part.licence):
            licence = LicenseExpression(part.licence)
        address = PackageURL("pypi", None, part.name, part.version)
        return Component(
            name=part.name,
            version=part.version,
            type=ComponentType.LIBRARY,
            purl=address,
            bom_ref=str(address),
            licenses=[licence],
        )

    required = {name: component(part) for name, part in parts.items() if not part.extra}
    bom = Bom(components=[each for name, each in required.items() if name != root])
    bom.metadata.component = required[root]
    for name, each in required.items():
        needed = sorted(parts[name].needs & required.keys())
        bom.register_dependency(each, [required[need] for need in needed])
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"no valid bill of materials: {error}")
    return text + "\n"


def main(words: list[str] | None = None) -> int:
    """Audit the environment of this interpreter."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--extras", default="", help="extras that are installed, with commas")
    parser.add_argument("--sbom", type=Path, help="file for the bill of materials")
    options = parser.parse_args(words)
    installed = {canonicalize_name(each.name): each for each in distributions()}
    try:
        parts = parts_of(installed, filter(None, options.extras.split(",")))
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 1
    for part in sorted(parts.values(), key=lambda part: (part.extra, part.name)):
        print(f"{'extra' if part.extra else '':6}{part.name} {part.version}: {part.licence}")
    wrong = faults(parts.values())
    for line in wrong:
        print(line, file=sys.stderr)
    if options.sbom:
        options.sbom.write_text(bill_of_materials(parts), encoding="utf-8")
    print(f"{len(parts)} distributions, {len(wrong)} not allowed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
