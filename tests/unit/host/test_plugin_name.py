"""The name of the plugin is no namespace of the configuration."""

from __future__ import annotations

import json
import os

import yaml

from stacks.settings.problems import NAMESPACE
from toolchain.paths import ROOT


def test_the_engine_has_no_configuration_to_hand_to_the_plugin() -> None:
    """It gives a plugin all keys `NAME:...` of the stack file in the environment, secrets decrypted."""
    (plugin,) = yaml.safe_load((ROOT / "Pulumi.yaml").read_text("utf-8"))["plugins"]["providers"]
    folder = ROOT / plugin["path"]
    assert plugin["name"] != NAMESPACE
    assert json.loads((folder / "pulumi-plugin.json").read_text("utf-8"))["name"] == plugin["name"]
    assert os.access(folder / f"pulumi-resource-{plugin['name']}", os.X_OK)
    for file in ROOT.glob("Pulumi.*.yaml"):
        keys = yaml.safe_load(file.read_text("utf-8")).get("config", {})
        assert not [key for key in keys if key.startswith(f"{plugin['name']}:")], file
