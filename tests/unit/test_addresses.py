"""Connection parameters as other programs take them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from media_gateway.cli.addresses import url_of, without_password
from media_gateway.errors import SettingsError

text = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cc"]), min_size=1, max_size=20
)
PARTS = st.fixed_dictionaries(
    {"host": st.sampled_from(["localhost", "127.0.0.1", "::1", "/tmp/a folder", "db.example.org"])},
    optional={"user": text, "password": text, "dbname": text, "port": st.integers(1, 65535)},
)


@given(PARTS)
def test_a_url_means_the_same_as_its_parts(parts: dict[str, object]) -> None:
    assert conninfo_to_dict(url_of(parts)) == {name: str(value) for name, value in parts.items()}


@given(PARTS)
def test_a_password_is_taken_out(parts: dict[str, object]) -> None:
    conninfo, password = without_password(parts)
    assert password == parts.get("password")
    assert conninfo_to_dict(conninfo) == {name: str(value) for name, value in parts.items() if name != "password"}


def test_a_given_url_stays_as_it_is_and_a_string_becomes_one() -> None:
    given_url = "postgres://u:p%40@h/db?sslmode=require"
    assert url_of({"conninfo": given_url}) == given_url
    assert url_of({"conninfo": "host=h dbname=db sslmode=require"}) == "postgresql://h/db?sslmode=require"
    assert without_password({"conninfo": given_url}) == ("user=u dbname=db host=h sslmode=require", "p@")


@pytest.mark.parametrize("given_text", ["postgresql://u:secret@[::1/db", "host", "postgresql://h/db?color=red"])
def test_an_address_that_cannot_be_read_is_refused(given_text: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL cannot be read") as caught:
        url_of({"conninfo": given_text})
    assert "\n" not in str(caught.value)
