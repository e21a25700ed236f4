"""The wheel `factory_homelab`: the folder `components` alone, under an importable name of its own."""

from setuptools import find_namespace_packages, setup

_FOLDERS = find_namespace_packages("components", exclude=["*__pycache__*"])

setup(packages=["factory_homelab", *(f"factory_homelab.{name}" for name in _FOLDERS)])
