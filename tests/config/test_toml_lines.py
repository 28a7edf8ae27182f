import tomllib

from hypothesis import given
from hypothesis import strategies as st

from coldframe.config.toml_lines import KeyPath, key_lines, nearest_line

EVERYTHING = '''\
title = "a # b = [1]"   # c = 3
[server]
"ho st" = """
x = 1
""" # after
'port' = 1
a.b . "c\\u0041" = { d = [1, { e = 2 }], f = '}' }

[[sets]]
n = [
  1, # one ]
  [2,
   3],
]
[sets.inner]
k = 07:32:00.5
[[sets]]
[[sets.more]]
x = \'\'\'quote\'\'\'\'
[[sets.more]]
x = """two quotes"""""
y = 1
'''


def paths(values: object, path: KeyPath = ()) -> set[KeyPath]:
    found: set[KeyPath] = {path} if path else set()
    if isinstance(values, dict):
        found |= {each for key, value in values.items() for each in paths(value, (*path, key))}
    if isinstance(values, list):
        found |= {each for position, value in enumerate(values) for each in paths(value, (*path, position))}
    return found


def test_every_key_has_its_line() -> None:
    lines = key_lines(EVERYTHING)

    assert paths(tomllib.loads(EVERYTHING)) == set(lines)
    expected: dict[KeyPath, int] = {
        ("title",): 1,
        ("server",): 2,
        ("server", "ho st"): 3,
        ("server", "port"): 6,
        ("server", "a", "b", "cA", "d", 1, "e"): 7,
        ("sets",): 9,
        ("sets", 0): 9,
        ("sets", 0, "n", 0): 11,
        ("sets", 0, "n", 1, 1): 13,
        ("sets", 0, "inner", "k"): 16,
        ("sets", 1): 17,
        ("sets", 1, "more", 1): 20,
        ("sets", 1, "more", 1, "y"): 22,
    }
    assert {path: lines[path] for path in expected} == expected


def test_lines_of_windows_files_are_counted_the_same() -> None:
    assert key_lines(EVERYTHING.replace("\n", "\r\n")) == key_lines(EVERYTHING)


def test_a_missing_key_gets_the_line_of_its_table() -> None:
    lines = key_lines("\n[camera]\ngain = 1\n")

    assert nearest_line(lines, ("camera", "device")) == 2
    assert nearest_line(lines, ("sets", 0)) == 1


KEYS = st.sampled_from(["a", "b-1", '"c d"', "'e.f'", '"\\u0041"', "1", "a.b", 'x."#"'])
SCALARS = st.sampled_from(["1", "1.5", "-inf", "true", '"x"', "'''\n]'''", '"""\\"""""', "1979-05-27T07:32:00Z", '"}"'])


def inline(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(values).map(lambda each: "[\n" + ", # c\n".join(each) + "\n]")
    tables = st.dictionaries(st.sampled_from("pqr"), values).map(
        lambda each: "{" + ", ".join(f"{key} = {value}" for key, value in each.items()) + "}"
    )
    return lists | tables


VALUES = st.recursive(SCALARS, inline, max_leaves=5)
PAIRS = st.tuples(KEYS, VALUES).map(" = ".join)
HEADERS = KEYS.map("[{}]".format) | KEYS.map("[[{}]]".format)


@given(st.lists(PAIRS | HEADERS | st.just("# [x] = 1")).map("\n".join))
def test_the_scan_finds_the_keys_that_tomllib_finds(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)

    unnamed = paths(values) - set(lines)
    assert set(lines) <= paths(values)
    assert all(any(path == each[: len(path)] for each in lines) for path in unnamed)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
