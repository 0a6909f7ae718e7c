"""Pairs and groups from compact signatures are those of the plain way, which keeps everything."""

import itertools
from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.data import signatures as module
from frugalrl.data.duplicates import near_duplicate_matches
from frugalrl.data.signatures import Signatures, in_one_bucket, joined
from frugalrl.data.statements import read_statement


@given(st.lists(st.integers(0, 5), max_size=40))
def test_pairs_of_a_bucket_are_all_pairs_with_one_key(keys):
    expected = {pair for pair in itertools.combinations(range(len(keys)), 2) if keys[pair[0]] == keys[pair[1]]}
    found = in_one_bucket(np.array(keys, dtype=np.uint64)).tolist()
    assert {(one >> 32, one & 0xFFFFFFFF) for one in found} == expected
    assert len(found) == len(expected)


def test_in_a_large_bucket_each_is_paired_with_its_next_ten():
    found = in_one_bucket(np.zeros(module.MAX_BUCKET + 1, dtype=np.uint64)).tolist()
    assert {(one & 0xFFFFFFFF) - (one >> 32) for one in found} == set(range(1, 11))
    assert len(found) == 10 * (module.MAX_BUCKET + 1) - 55


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1])))
def test_groups_are_connected_components(pairs):
    neighbors = defaultdict(set)
    for one, other in pairs:
        neighbors[one].add(other)
        neighbors[other].add(one)
    expected, seen = [], set()
    for start in sorted(neighbors):
        group, open_ = {start}, [start]
        while open_:
            open_ += [near for near in neighbors[open_.pop()] if near not in group and not group.add(near)]
        if start not in seen:
            expected.append(tuple(sorted(group)))
        seen |= group
    assert joined(12, pairs) == expected


TEXTS = [
    f"A shop sells {at} boxes of {at % 5} pens of one {color}. How many pens of that {color} does the shop sell in all?"
    for color in ("color", "colour")
    for at in range(13, 43)
]


def test_the_first_text_of_a_key_and_texts_without_content():
    signatures = Signatures()
    for text in ("What is 3 + 4?", "??", "what  is $3+4$", "", "What is 3 + 5?", "What is 3 + 4?"):
        signatures.add(read_statement(text), "")
    assert signatures.firsts().tolist() == [0, -1, 0, -1, 4, 0]
    assert signatures.has_content().tolist() == [True, False, True, False, True, True]


def test_bands_made_a_few_at_a_time_propose_the_same(monkeypatch):
    golds = [str(at % 3) for at in range(len(TEXTS))]
    whole = near_duplicate_matches(TEXTS, seed=5, golds=golds)
    monkeypatch.setattr(module, "BAND_BYTES", 1)
    monkeypatch.setattr(module, "_TEXTS_AT_ONCE", 7)
    assert near_duplicate_matches(TEXTS, seed=5, golds=golds) == whole
    assert len(whole) > 20
