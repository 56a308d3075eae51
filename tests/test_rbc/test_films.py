"""Films in a page: well-formed, the very pixels, and usable without seeing or a mouse."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rbc import sequences
from rbc.bench import films

NAMES = ["BG1017_10s01_3", 'a "quoted" <b> & more']


@pytest.fixture(scope="module")
def shown(cells) -> ET.Element:
    """Two films in one group, parsed strictly."""
    return ET.fromstring(
        films.group(
            "2 of 9 <cells>", [films.film(cells[i], n, "p = 0.9") for i, n in enumerate(NAMES)]
        )
    )


def test_each_sequence_is_one_picture_with_exactly_its_pixels_and_a_name(shown, cells):
    """A film must show the very frames that were judged."""
    pictures = list(shown.iter("img"))
    assert len(pictures) == len(NAMES)
    for i, (picture, name) in enumerate(zip(pictures, NAMES)):
        kind, data = picture.get("src").split(",")
        assert kind == "data:image/png;base64"
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), sequences.strip(cells[i]))
        assert picture.get("alt") == f"Film of {name}, {len(cells[i])} frames"


def test_every_button_is_a_button_with_a_name_of_its_own(shown):
    """A screen reader must tell ten films apart."""
    buttons = list(shown.iter("button"))
    # reached by Tab, pressed by Enter and Space
    assert {b.get("type") for b in buttons} == {"button"}
    names = [b.get("aria-label") for b in buttons]
    assert len(set(names)) == len(names) == 3 * len(NAMES)
    assert all(any(n in name for n in NAMES) for name in names)


@given(st.lists(st.integers(1, 300), max_size=400))
def test_the_longest_films_that_fit_into_a_page(lengths):
    """A page of films must stay under its weight."""
    cap = films.affordable(np.array(lengths, int))
    frames = lambda c: sum(min(n, c) for n in lengths)  # noqa: E731
    assert frames(cap) <= films.A_PAGE or cap == 1
    assert cap == films.LONGEST or frames(cap + 1) > films.A_PAGE
