"""The audit of licences, on distributions that are made up."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def audit(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("script_audit", root / "scripts" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by its name
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(tmp_path: Path) -> Any:
    """Writes the metadata of a distribution; called without a name, it returns all of them."""

    def write(name: str = "", *requires: str, **fields: Any) -> dict[str, Distribution]:
        if name:
            fields = fields or {"License-Expression": "MIT"}
            lines = [f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0"]
            for key, values in fields.items():
                every = values if isinstance(values, list) else [values]
                lines += [f"{key.replace('_', '-')}: {value}" for value in every]
            lines += [f"Requires-Dist: {line}" for line in requires]
            folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        found = distributions(path=[str(tmp_path)])
        return {each.metadata["Name"].lower(): each for each in found}

    return write


@pytest.mark.parametrize(
    ("fields", "licence", "everywhere", "in_extras"),
    [
        ({"License_Expression": "MIT AND 0BSD"}, "MIT AND 0BSD", True, True),
        ({"License_Expression": "MIT OR GPL-3.0-only"}, "MIT OR GPL-3.0-only", True, True),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, "MIT AND GPL-3.0-only", False, True),
        ({"License_Expression": "Apache-2.0 WITH LLVM-exception"}, None, True, True),
        ({"License_Expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}, None, True, True),
        ({"License_Expression": "GPL-3.0-or-later"}, None, False, True),
        ({"License_Expression": "AGPL-3.0-only"}, None, False, False),
        ({"License_Expression": "LicenseRef-Mine"}, None, False, False),
        ({"License": "BSD 3-Clause License"}, "BSD-3-Clause", True, True),
        ({"License": "Copyright 2015, somebody. All rights reserved."}, "unknown", False, False),
        (
            {"License": "MIT", "Classifier": ["License :: Other/Proprietary License"]},
            "MIT AND proprietary",
            False,
            False,
        ),
        (
            {"Classifier": ["License :: OSI Approved", "License :: OSI Approved :: MIT License"]},
            "MIT",
            True,
            True,
        ),
        ({"Classifier": ["License :: OSI Approved :: A New One"]}, "unknown", False, False),
        ({"Summary": "says nothing"}, "unknown", False, False),
    ],
)
def test_a_licence_is_read_and_judged(
    audit: ModuleType,
    install: Any,
    fields: dict,
    licence: str | None,
    everywhere: bool,
    in_extras: bool,
) -> None:
    found = audit.licence_of(install("part", **fields)["part"])
    assert found == (licence or fields["License_Expression"])
    assert audit.allowed(found, audit.ALWAYS) is everywhere
    assert audit.allowed(found, audit.IN_EXTRAS) is in_extras


def test_copyleft_is_for_extras_only(audit: ModuleType, install: Any) -> None:
    install("ours", "direct", "window; extra == 'all'", "other; python_version < '3'")
    install("direct", "deep[fast]")
    install("deep", "direct", "quick; extra == 'fast'", "slow; extra == 'slow'")
    install("quick")
    installed = install("window", "deep", License_Expression="GPL-3.0-only")
    parts = audit.parts_of(installed, ["all"], "ours")
    assert {name: part.extra for name, part in parts.items()} == {
        "ours": False,
        "direct": False,
        "window": True,
        "deep": False,
        "quick": False,
    }
    assert audit.faults(parts.values()) == []
    assert "window" not in audit.parts_of(installed, (), "ours")

    # The same library, once something that everybody has requires it.
    (installed["quick"]._path / "METADATA").write_text(  # type: ignore[attr-defined]
        "Metadata-Version: 2.4\nName: quick\nVersion: 1.0\nLicense-Expression: MIT\n"
        "Requires-Dist: window\n"
    )
    (line,) = audit.faults(audit.parts_of(install(), ["all"], "ours").values())
    assert line == "window 1.0: GPL-3.0-only is not allowed in every installation"


def test_what_is_required_and_not_installed_is_named(audit: ModuleType, install: Any) -> None:
    with pytest.raises(LookupError, match="lost is required and not installed"):
        audit.parts_of(install("ours", "lost"), (), "ours")


@pytest.mark.slow
def test_the_bill_lists_what_everybody_gets(audit: ModuleType, install: Any) -> None:
    install("ours", "direct", "window; extra == 'all'")
    install("direct", "deep")
    install("deep", License="BSD")
    parts = audit.parts_of(install("window", "deep"), ["all"], "ours")
    bill = json.loads(audit.bill_of_materials(parts, "ours"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "ours"
    licences = {each["name"]: each["licenses"] for each in bill["components"]}
    assert licences == {
        "direct": [{"expression": "MIT"}],
        "deep": [{"license": {"name": "BSD"}}],
    }
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert needs == {
        "pkg:pypi/ours@1.0": ["pkg:pypi/direct@1.0"],
        "pkg:pypi/direct@1.0": ["pkg:pypi/deep@1.0"],
        "pkg:pypi/deep@1.0": [],
    }


def test_the_command_fails_where_a_licence_does(
    audit: ModuleType,
    install: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "distributions", lambda: install().values())
    assert audit.main([]) == 1
    assert "napari-atomseg is required and not installed" in capsys.readouterr().err
    install("napari-atomseg", "part", "window; extra == 'all'")
    install("window", License_Expression="GPL-3.0-only")
    install("part")
    words = ["--sbom", str(tmp_path / "bill.json")]
    assert audit.main([*words, "--extras", "all"]) == 0
    assert "extra window 1.0: GPL-3.0-only\n3 distributions, 0 not" in capsys.readouterr().out
    assert json.loads((tmp_path / "bill.json").read_text())["components"][0]["name"] == "part"
    monkeypatch.setattr(audit, "ALWAYS", {"BSD-3-Clause"})
    assert audit.main([]) == 1
    assert "part 1.0: MIT is not allowed in every installation" in capsys.readouterr().err
