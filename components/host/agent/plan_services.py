"""Planning systemd units, ordered steps, and what starts, stops, restarts or reloads at the end."""

from __future__ import annotations

from . import names, rendering
from .digest import sha256_of
from .errors import Refusal
from .plan import Planning, file_change, is_unit_file, text_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .plan import Operation

RUNNING = ("active", "activating", "reloading")
_ENABLED = ("enabled", "alias", "enabled-runtime")
_CANNOT = ("static", "indirect", "generated", "transient")
_NOTHING: dict[str, Any] = {"load": "not-found", "active": "inactive", "enabled": "", "stale": False}


def units(planning: Planning) -> None:
    """Plan the files of all units, one reload of systemd, and what is enabled and masked in one call each."""
    calls: dict[str, list[str]] = {"unmask": [], "disable": [], "enable": [], "mask": []}
    reload_needed = False
    first = len(planning.actions)
    for name in sorted(planning.wanted("units")):
        entry = planning.wanted("units")[name]
        if entry.get("state") == "absent":
            continue
        try:
            reload_needed |= _unit(planning, name, entry, calls)
        except Refusal as refusal:
            planning.refuse(f"units:{name}", str(refusal))
    if len(planning.actions) > first:
        # Only when the last file is in place: systemd reads all of them at once.
        operations: list[Operation] = [_systemctl("daemon-reload")] if reload_needed else []
        operations += [_systemctl(verb, *called) for verb, called in calls.items() if called]
        planning.actions[-1].operations += operations


def _unit(planning: Planning, name: str, entry: Mapping[str, Any], calls: dict[str, list[str]]) -> bool:
    """Plan one unit; returns whether systemd must read its files again."""
    fact = planning.fact("units", name) or _NOTHING
    own = entry.get("unit")
    drop_ins = {f"drop_ins.{each}": content for each, content in entry.get("drop_ins", {}).items()}
    texts = {**({"unit": own} if own is not None else {}), **drop_ins}
    changes: dict[str, Any] = {}
    operations: list[Operation] = []
    for field, sections in sorted(texts.items()):
        path = _path(name, field)
        content = text_content(rendering.unit(sections))
        _, differs, work = file_change(planning, path, {}, content) or ("", {}, [])
        if work and work[0][0] == "write":
            changes[field] = [(planning.file(path) or {}).get("sha256"), content.sha256]
        else:
            changes.update(differs)  # only its mode or owner: systemd has nothing to read again
        operations += work
    ours = planning.owned.get("units", {}).get(name) or {}
    for field in sorted(set(ours.get("files", ())) - set(texts)):
        if planning.file(_path(name, field)):
            changes[field] = [planning.file(_path(name, field))["sha256"], None]
            operations.append(("remove", _path(name, field)))
    _missing(planning, fact, own)
    new_files = any(map(is_unit_file, changes))
    if fact["stale"] and not new_files:
        changes["stale"] = [True, False]
    _marks(name, entry, fact, changes, calls, files_change=new_files or fact["load"] == "not-found")
    if changes:
        created = [
            field for field in texts if planning.file(_path(name, field)) is None or field in ours.get("files", ())
        ]
        creates = own is not None and planning.file(names.unit_path(name)) is None
        owns = {"files": sorted(created)} if created else None
        planning.add(
            f"units:{name}", "create" if creates else "update", {} if creates else changes, operations, owns=owns
        )
    return new_files or bool(fact["stale"])


def _missing(planning: Planning, fact: Mapping[str, Any], own: object) -> None:
    if fact["load"] == "not-found" and own is None and not planning.busy():
        raise Refusal("this unit is not there: correct its name, or let a package or this document bring it")


def _marks(
    name: str,
    entry: Mapping[str, Any],
    fact: Mapping[str, Any],
    changes: dict[str, Any],
    calls: dict[str, list[str]],
    *,
    files_change: bool,
) -> None:
    masked, enabled = entry.get("masked"), entry.get("enabled")
    is_masked = fact["enabled"].startswith("masked")
    if masked is not None and masked != is_masked:
        changes["masked"] = [is_masked, masked]
        calls["mask" if masked else "unmask"].append(name)
    if enabled is None:
        return
    is_enabled = None if fact["load"] == "not-found" else fact["enabled"] in _ENABLED
    if enabled and fact["enabled"] in _CANNOT and not files_change:
        raise Refusal(
            f"it cannot be enabled, for it is {fact['enabled']} (it has no [Install] section): remove enabled"
        )
    if enabled != is_enabled:
        changes["enabled"] = [is_enabled, enabled]
        calls["enable" if enabled else "disable"].append(name)


def no_units(planning: Planning, name: str, detail: Any) -> None:
    """Plan the end of a unit: stopped and disabled, then the files in /etc that are ours or named absent."""
    fact = planning.fact("units", name) or _NOTHING
    explicit = "files" not in detail
    fields = ["unit"] if explicit else detail["files"]
    paths = [path for path in (_path(name, field) for field in fields) if planning.file(path)]
    operations: list[Operation] = []
    if explicit or "unit" in fields:
        if fact["active"] in (*RUNNING, "deactivating"):
            operations.append(_systemctl("stop", name))
        if fact["enabled"] in _ENABLED:
            operations.append(_systemctl("disable", name))
    elif paths and fact["active"] in RUNNING:
        operations += [("remove", path) for path in paths]
        operations += [_systemctl("daemon-reload"), _systemctl("restart", name)]
        paths = []
    if paths:
        operations += [("remove", path) for path in paths]
        operations.append(_systemctl("daemon-reload"))
    if operations:
        planning.add(f"units:{name}", "delete", {}, operations, disowns=True)


def services(planning: Planning) -> None:
    """Plan what starts, stops, restarts and reloads: once each, in the declared order."""
    wanted = planning.wanted("units")
    changed, unsure = planning.changed() | set(planning.owed), planning.unsure()
    for name in sorted(wanted, key=lambda each: (wanted[each].get("order", 0), each)):
        entry, item = wanted[name], f"units:{name}"
        if entry.get("state") == "absent" or any(problem["item"] == item for problem in planning.problems):
            continue
        fact = planning.fact("units", name) or _NOTHING
        active = fact["active"] in RUNNING
        running = entry.get("running")
        comes = fact["load"] == "not-found"
        served = item in planning.served and not planning.changed()
        causes = [] if served else _causes(item, entry, changed)
        maybe = [ref for ref in entry.get("restart_on", ()) if ref in unsure]
        reloads = [] if served else [ref for ref in entry.get("reload_on", ()) if ref in changed]
        state = {"running": [active, running]} if running is not None and running != active else {}
        if running is False or entry.get("masked"):
            if active or comes:
                planning.add(item, "stop", state, [("service", "stop", name)])
        elif running and not active:
            planning.add(item, "start", state, [("service", "start", name)])
        elif active and (causes or maybe):
            planning.add(item, "restart", {}, [("service", "restart", name)], why=causes or maybe, maybe=not causes)
        elif active and reloads:
            planning.add(item, "reload", {}, [("service", "reload", name)], why=reloads)


def _causes(item: str, entry: Mapping[str, Any], changed: set[str]) -> list[str]:
    causes = [ref for ref in entry.get("restart_on", ()) if ref in changed]
    return [*causes, item] if item in changed and item not in causes else causes


def steps(planning: Planning, stage: str) -> None:
    """Plan the steps of a stage, each after those that it names."""
    wanted = {
        name: entry for name, entry in planning.wanted("steps").items() if entry.get("stage", "configure") == stage
    }
    done: set[str] = set()
    while left := sorted(set(wanted) - done):
        ready = [name for name in left if done.issuperset(set(wanted[name].get("after", ())) & set(wanted))]
        if not ready:
            planning.refuse(f"steps:{left[0]}", "the steps wait for each other: break the circle in after")
            return
        _step(planning, ready[0], wanted[ready[0]])
        done.add(ready[0])


def _step(planning: Planning, name: str, entry: Mapping[str, Any]) -> None:
    item = f"steps:{name}"
    fact = planning.fact("steps", name) or {}
    changed = planning.changed() | (set() if item in planning.served else set(planning.owed))
    triggers = [ref for ref in entry.get("on_change", ()) if ref in changed]
    unsure = [ref for ref in entry.get("on_change", ()) if ref in planning.unsure()]
    if entry.get("on_change") and not triggers and not unsure:
        return
    mark = once_hash(entry)
    if mark is not None and fact.get("ran_for") == mark:
        return
    verdict = guards_say_run(entry, fact)
    asks = "unless" in entry or "only_if" in entry
    operations: list[Operation] = [("step", name, entry)]
    if mark is not None:
        path = names.step_path(planning.resource, name)
        operations.append(("write", path, text_content(mark), ("0600", None, None), None))
    owns = True if mark is not None else None
    if verdict and not (unsure and not triggers):
        planning.add(item, "run", {}, operations, why=triggers, owns=owns)
    elif (verdict or (asks and not fact.get("created"))) and planning.actions:
        planning.add(item, "maybe", {}, operations, why=triggers or unsure, owns=owns)


def once_hash(entry: Mapping[str, Any]) -> str | None:
    """Give the hash that the host remembers of a step that runs once for a text."""
    text = entry.get("once_for")
    return None if text is None else sha256_of(text.encode("utf-8", "surrogatepass"))


def guards_say_run(entry: Mapping[str, Any], fact: Mapping[str, Any]) -> bool:
    """Whether all guards that look at the host agree that a step runs."""
    if "creates" in entry and fact.get("created"):
        return False
    if "unless" in entry and fact.get("unless") == 0:
        return False
    return "only_if" not in entry or fact.get("only_if") == 0


def release_steps(planning: Planning, name: str, _detail: Any) -> None:
    """Plan the end of a step's mark."""
    path = names.step_path(planning.resource, name)
    if planning.file(path):
        planning.add(f"steps:{name}", "delete", {}, [("remove", path)], disowns=True)


def _path(name: str, field: str) -> str:
    kind, _, drop_in = field.partition(".")
    return names.drop_in_path(name, drop_in) if kind == "drop_ins" else names.unit_path(name)


def _systemctl(verb: str, *units_named: str) -> Operation:
    return ("run", ["systemctl", verb, *units_named])
