"""The public names of the packages: sorted, all there, and loaded only when they are used."""

import importlib
import subprocess
import sys

import pytest

PACKAGES = ["lightdepth_runtime", "lightdepth"]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_exist(package):
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__)
    assert {*module.__all__} <= {*dir(module)}
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []
    assert {*module._MODULE_OF, "__version__"} == {*module.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_else(package):
    """So the import stays within 0.05 s over numpy; benchmarks/runtime_overhead.py times it."""
    code = f"import sys, numpy; before = set(sys.modules)\nimport {package}\nprint(sorted({{*sys.modules}} - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == f"[{package!r}]"


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = importlib.import_module(package).nonsense
