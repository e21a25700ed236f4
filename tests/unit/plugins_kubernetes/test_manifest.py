from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from toolchain.plugins.kit import UNKNOWN
from toolchain.plugins.kubernetes import manifest as m
from toolchain.plugins.kubernetes.client import Object

SECRET: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_nulls_are_left_out_and_whole_numbers_are_whole() -> None:
    assert m.manifest({"a": None, "b": {"c": None, "d": 3.0}, "e": [1.5, 2.0, True]}) == {
        "b": {"d": 3},
        "e": [1.5, 2, True],
    }


def test_a_secrets_texts_are_encoded_into_its_data() -> None:
    item = m.manifest(SECRET | {"data": {"a": b64("1"), "b": b64("old")}, "stringData": {"b": "new"}})
    assert item["data"] == {"a": b64("1"), "b": b64("new")}
    assert "stringData" not in item
    other = {"apiVersion": "example.test/v1", "kind": "Secret", "stringData": {"a": "1"}}
    assert m.manifest(other) == other


@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(min_size=1), st.text()))
def test_a_secret_is_shown_as_it_was_given(texts: dict[str, str], plain: dict[str, str]) -> None:
    data = {key: b64(value) for key, value in plain.items() if key not in texts}
    wanted = SECRET | ({"stringData": texts} if texts else {}) | ({"data": data} if data else {})
    assert m.with_string_data(m.manifest(wanted), wanted) == wanted


def test_what_was_given_as_texts_before_stays_as_it_was() -> None:
    given = SECRET | {"stringData": {"a": "old", "gone": "1"}}
    assert m.with_string_data(given, SECRET | {"stringData": {"a": "new"}}) == given


def test_bytes_which_are_no_text_stay_in_the_data() -> None:
    binary = base64.b64encode(b"\xff\xfe").decode()
    assert m.with_string_data(SECRET | {"data": {"a": binary}}, {"stringData": {"a": "1"}}) == SECRET | {
        "stringData": {},
        "data": {"a": binary},
    }


def test_outputs_leave_bookkeeping_and_kubectls_copy_out() -> None:
    live = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "uid": "1",
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{copy}", "kept": "1"},
        },
        "data": {"a": b64("1")},
    }
    before = repr(live)
    assert m.outputs(live, {"stringData": {"a": "1"}}, "manager") == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "uid": "1", "annotations": {"kept": "1"}},
        "data": {"a": b64("1")},
        "stringData": {"a": "1"},
        m.MANAGER: "manager",
        m.INITIAL_VERSION: "v1",
    }
    assert m.MANAGER not in m.outputs(live, {}, None)
    assert repr(live) == before


def test_an_imported_object_is_described_without_what_the_server_writes() -> None:
    metadata = {"name": "s", "uid": "1", "resourceVersion": "2", "creationTimestamp": "now", "managedFields": []}
    copy = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    live = {
        "apiVersion": "v1",
        "kind": "X",
        "metadata": metadata | {"annotations": copy},
        "spec": {},
        "status": {"a": 1},
    }
    assert m.described(live) == {"apiVersion": "v1", "kind": "X", "metadata": {"name": "s"}, "spec": {}}


def test_our_annotations_are_read_also_from_what_is_unknown() -> None:
    annotated = {"metadata": {"annotations": {"pulumi.com/skipAwait": " True ", "pulumi.com/x": UNKNOWN}}}
    assert m.is_true(m.annotation(annotated, "skipAwait"))
    assert m.annotation(annotated, "x") is None
    for unknown in ({}, {"metadata": UNKNOWN}, {"metadata": {"annotations": UNKNOWN}}):
        assert m.annotation(unknown, "skipAwait") is None
    assert not m.is_true(None)
    assert not m.is_true("yes")


def test_a_field_manager_is_the_same_again() -> None:
    urn = "urn:pulumi:dev::p::kubernetes:core/v1:Secret::s"
    assert m.field_manager(urn) == m.field_manager(urn)
    assert m.field_manager(urn) != m.field_manager(urn + "2")
    assert len(m.field_manager(urn)) <= 128  # the API's limit


def test_a_secrets_values_are_hidden_in_messages() -> None:
    item = m.manifest(SECRET | {"stringData": {"a": "hunter2", "b": ""}})
    message = f"'hunter2' and {b64('hunter2')} are wrong"
    assert m.redacted(message, item) == "'[secret]' and [secret] are wrong"
    # A value which begins with another one is hidden whole.
    item = m.manifest(SECRET | {"stringData": {"a": "hunt", "b": "hunter2"}})
    assert m.redacted("hunter2 or hunt", item) == "[secret] or [secret]"
    assert m.redacted(message, {"kind": "ConfigMap", "data": {"a": "hunter2"}}) == message
