"""The pure parts of the benchmarks: what is counted, in which order, and how it is shown."""

import json
import subprocess
import sys

from bench import __main__ as command
from bench.harness import Row, as_json, interleave, machine, measure, table
from cli.benchmarks import NAMES


def test_peers_take_turns() -> None:
    order: list[str] = []
    rows = interleave("case", {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [(row.case, row.peer, len(row.seconds)) for row in rows] == [("case", "a", 3), ("case", "b", 3)]


def test_processor_time_of_a_child_is_counted() -> None:
    row = Row("busy child", "factory")
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    measure(row, lambda: subprocess.run([sys.executable, "-c", burn], check=True))
    assert 0.3 <= row.cpu_seconds[0] < 3
    assert row.seconds[0] >= 0.3


def test_a_row_is_one_json_object() -> None:
    row = Row("case", "factory", [2.0, 1.0], [0.5, 0.5], [0, 0], 10)
    assert json.loads(as_json(row)) == {
        "case": "case",
        "peer": "factory",
        "seconds": [2.0, 1.0],
        "cpu_seconds": [0.5, 0.5],
        "written_bytes": [0, 0],
        "state_bytes": 10,
    }
    assert "\n" not in as_json(row)
    assert "state_bytes" not in json.loads(as_json(Row("case", "factory", [1.0])))


def test_the_table_shows_minimum_median_and_maximum() -> None:
    last = table([Row("up", "factory", [3.0, 1.0, 2.5], [0.5, 0.7, 0.6], [1_500_000] * 3, 20_000)]).splitlines()[-1]
    assert last == "| up | factory | 3 | 1.00 | 2.50 | 3.00 | 0.600 | 1.5 MB | 20 kB |"


def test_the_machine_is_described() -> None:
    facts = machine()
    assert int(facts["cores"]) >= 1
    assert facts["python"].startswith("3.")
    assert all(facts.values())


def test_the_command_line_offers_what_there_is() -> None:
    assert set(NAMES) == set(command.BENCHMARKS)
