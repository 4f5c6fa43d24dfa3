"""What hosts, API users and axes hand over becomes arguments, or an error that names the remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a1111_extension.arguments import LABELS, ORDER, Arguments
from bp_core.errors import InputError

DEFAULTS = Arguments(candidates=6, style="ink")


def test_labels_name_every_argument():
    assert set(LABELS) == set(vars(DEFAULTS))


def test_fewer_values_and_none_leave_defaults():
    found = Arguments.parse(["Always", None, None, 2.0], DEFAULTS)
    assert found == Arguments(when="Always", candidates=2, style="ink")


def test_a_mapping_gives_arguments_by_name():
    found = Arguments.parse([{"when": "auto", "seed": "7", "each": "False"}], DEFAULTS)
    assert (found.when, found.seed, found.each) == ("Auto", 7, False)


@pytest.mark.parametrize(
    ("value", "when"), [(True, "Always"), (False, "Off"), ("ALWAYS", "Always")]
)
def test_when_takes_booleans_and_any_case(value, when):
    assert Arguments.parse([value], DEFAULTS).when == when


def test_overrides_win():
    found = Arguments.parse(["Off", "expand"], DEFAULTS, {"when": "Always", "candidates": 3})
    assert (found.when, found.candidates) == ("Always", 3)


def test_order():
    assert Arguments.parse([{"order": ORDER[1]}], DEFAULTS).before
    assert not DEFAULTS.before


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([{"when": "sometimes"}], "Off, Auto, Always"),
        ([{"candidates": 0}], "1 to 16"),
        ([{"candidates": 2.5}], "whole number"),
        ([{"candidates": True}], "whole number"),
        ([{"chunks": 99}], "0 to 8"),
        ([{"each": "perhaps"}], "true or false"),
        ([{"style": 3}], "text"),
        ([{"colour": "red"}], "no argument 'colour'"),
        (["Off"] * 13, "there are 12"),
        ([{"dialect": "poems"}], "auto, tags, prose, booru"),
    ],
)
def test_errors_name_what_is_allowed(values, told):
    with pytest.raises(InputError, match=told):
        Arguments.parse(values, DEFAULTS)


_anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
)


@given(st.lists(_anything, max_size=11))
def test_any_values_parse_or_raise_an_input_error(values):
    try:
        Arguments.parse(values, DEFAULTS)
    except InputError as error:
        assert "\n" not in str(error).strip("\n") or any("\n" in str(v) for v in values)


@pytest.mark.parametrize(
    ("when", "auto", "meant"),
    [
        (True, False, "Always"),
        (True, True, "Auto"),
        (False, True, "Off"),
        ("Always", True, "Always"),
        ("Auto", False, "Auto"),
    ],
)
def test_the_accordions_switch(when, auto, meant):
    assert Arguments.parse([{"when": when, "auto": auto}], Arguments()).when == meant
