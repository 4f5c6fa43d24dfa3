"""Our routes ask for the users that the host asks for; unknown ones are an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from a1111_extension.auth import users
from bp_core.errors import InputError


def flags(**given):
    return SimpleNamespace(**given)


def test_an_open_host_has_open_routes():
    assert users(flags()) is None
    assert users(flags(api_auth=None, auth="", auth_file=None)) is None


@pytest.mark.parametrize("flag", ["auth", "api_auth", "gradio_auth"])
def test_users_of_each_hosts_flag(flag):
    assert users(flags(**{flag: '"ann:a:b", bob:c'})) == {"ann": "a:b", "bob": "c"}


@pytest.mark.parametrize("flag", ["auth_file", "gradio_auth_path"])
def test_users_of_a_file(flag, tmp_path):
    path = tmp_path / "users"
    path.write_text("ann:a\nbob:b\n")
    assert users(flags(**{flag: str(path)})) == {"ann": "a", "bob": "b"}


def test_sdnexts_own_password_counts_and_not_the_one_that_it_ignores():
    assert users(flags(auth="ann:a", api_auth="bob:b")) == {"ann": "a"}


@pytest.mark.parametrize("given", [{"auth_file": "/nowhere"}, {"auth": "ann"}])
def test_unknown_users_are_an_error(given):
    with pytest.raises(InputError):
        users(flags(**given))
