"""labhub simulate: figures as JSON or as a table, and one sentence about each wrong trace."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_config.cli import main
from tests.lib.traces import as_csv, trace

HEAD = "arrival_s,user,group,gpus,duration_s,limit_s\n"
SMALL = HEAD + "0,ada,staff,1,100,200\n0,bob,staff,1,100,200\n10,cyd,guests,2,5,20\n"


def simulate(folder: Path, text: str | bytes, *words: str) -> Result:
    """Run `labhub simulate trace.csv WORDS…` in a place where no lab is."""
    path = folder / "trace.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    nowhere = ("--config", str(folder / "none.yaml"))
    return CliRunner().invoke(main, [*nowhere, "simulate", str(path), *words])


def test_json(tmp_path: Path) -> None:
    done = simulate(tmp_path, SMALL, "--devices", "2", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "policy": "ours",
        "requests": 3,
        "mean_wait_s": 30.0,
        "median_wait_s": 0.0,
        "p95_wait_s": 90.0,
        "max_wait_s": 90.0,
        "utilisation": 1.0,
        "mean_bounded_slowdown": 1.0,
        "jain": 1.0,
        "starved": 0,
        "double_leases": 0,
    }


def test_a_trace_that_comes_in(tmp_path: Path) -> None:
    words = ["--config", str(tmp_path / "none.yaml"), "simulate", "-", "--devices", "2", "--json"]
    done = CliRunner().invoke(main, words, input=SMALL)
    assert json.loads(done.stdout)["requests"] == 3
    done = CliRunner().invoke(main, words, input=HEAD + "0,a,g,9,1,1\n")
    assert (done.exit_code, done.stderr.partition(": gpus")[0]) == (1, "Error: standard input:2")


def test_a_table(tmp_path: Path) -> None:
    done = simulate(tmp_path, SMALL, "--devices", "2", "--policy", "fifo")
    assert done.stdout.splitlines()[:4] == [
        "figure                 value",
        "policy                 fifo",
        "requests               3",
        "mean wait              30 s",
    ]


def test_each_policy_serves_every_request(tmp_path: Path) -> None:
    text = as_csv(trace(1, 150, 4, 1.2))
    found = {}
    for policy in ("ours", "fifo", "static"):
        done = simulate(tmp_path, text, "--devices", "4", "--policy", policy, "--json")
        found[policy] = json.loads(done.stdout)
    assert {each["requests"] for each in found.values()} == {150}
    assert {each["double_leases"] for each in found.values()} == {0}
    waits = {policy: each["mean_wait_s"] for policy, each in found.items()}
    assert waits["ours"] < waits["fifo"] < waits["static"]


def test_the_configs_priorities_and_totals_hold(tmp_path: Path) -> None:
    config = tmp_path / "lab.yaml"
    config.write_text("quotas: {groups: {guests: {priority: 3}, staff: {total: {gpus: 1}}}}\n")
    text = HEAD + "0,ada,staff,1,100,100\n1,bob,staff,1,10,10\n2,cyd,guests,1,50,50\n"
    done = simulate(tmp_path, text, "--devices", "2", "--config", str(config), "--json")
    assert json.loads(done.stdout)["max_wait_s"] == 99.0
    done = simulate(tmp_path, text, "--devices", "1", "--config", str(config), "--json")
    assert json.loads(done.stdout)["max_wait_s"] == 149.0


def test_a_seed_shuffles_what_arrives_at_once(tmp_path: Path) -> None:
    text = HEAD + "".join(f"0,u{n},g,1,{100 + n},{100 + n}\n" for n in range(9))
    words = ("--devices", "2", "--policy", "fifo", "--json")
    plain = simulate(tmp_path, text, *words).stdout
    seeded = [simulate(tmp_path, text, *words, "--seed", "7").stdout for _ in range(2)]
    assert seeded[0] == seeded[1] != plain


def test_lines_may_be_in_any_order_and_have_more_columns(tmp_path: Path) -> None:
    text = (
        "\ufeffuser, gpus,limit_s,duration_s,arrival_s,group,note\r\n\r\n"
        'bob,1,20,10,5,g,"a, b"\r\nada,1,20,10,0,,\r\n'
    )
    done = simulate(tmp_path, text, "--devices", "1", "--json")
    assert json.loads(done.stdout)["mean_wait_s"] == 2.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "arrival_s,user,group,gpus,duration_s\n0,a,g,1,1\n",
            "1: has no column limit_s; "
            "the first line must name arrival_s,user,group,gpus,duration_s,limit_s",
        ),
        (
            "",
            "1: has no column arrival_s; "
            "the first line must name arrival_s,user,group,gpus,duration_s,limit_s",
        ),
        (
            "user," + HEAD,
            "1: has the column user twice; "
            "the first line must name arrival_s,user,group,gpus,duration_s,limit_s",
        ),
        (HEAD, "1: has no requests; each is one line below the first"),
        (HEAD + "0,a,g,1,1\n", "2: has 5 fields; the first line names 6"),
        (HEAD + "0,a,g,1,1,1\n-1,a,g,1,1,1\n", '3: arrival_s is "-1"; it must not be negative'),
        (HEAD + "0,a,g,1,-0.5,1\n", '2: duration_s is "-0.5"; it must not be negative'),
        (HEAD + "0,a,g,1,1,-9\n", '2: limit_s is "-9"; it must not be negative'),
        (HEAD + "0,a,g,1,1,0\n", "2: limit_s is 0; it must be more"),
        (HEAD + "0,a,g,1,1 h,9\n", '2: duration_s is "1 h"; write a number of seconds'),
        (HEAD + "0,a,g,1,nan,9\n", '2: duration_s is "nan"; write a number of seconds'),
        (HEAD + "0,a,g,1,1,inf\n", '2: limit_s is "inf"; write a number of seconds'),
        (HEAD + "1_0,a,g,1,1,9\n", '2: arrival_s is "1_0"; write a number of seconds'),
        (HEAD + "0,a,g,1,1,1e308\n", '2: limit_s is "1e308"; write at most 10000000000'),
        (
            HEAD + "0,a,g,123456789012,1,9\n",
            "2: gpus is 123456789012, and there are only 4 GPUs; write less",
        ),
        (HEAD + "0,a,g,1,,9\n", '2: duration_s is ""; write a number of seconds'),
        (HEAD + "0,a,g,1.5,1,9\n", '2: gpus is "1.5"; write a whole number, 1 or more'),
        (HEAD + "0,a,g,-1,1,9\n", '2: gpus is "-1"; write a whole number, 1 or more'),
        (HEAD + "0,a,g,0,1,9\n", '2: gpus is "0"; write a whole number, 1 or more'),
        (
            HEAD + "0,a,g,5,1,9\n",
            "2: gpus is 5, and there are only 4 GPUs; write less, or give --devices 5",
        ),
        (HEAD + "0,,g,1,1,9\n", "2: user is empty; write a name"),
        (HEAD + '0,"a,g,1,1,9\n', "2: is not CSV (unexpected end of data)"),
        ((HEAD + "0,a,g,1,1,9\n").encode() + b"0,\xff,g,1,1,9\n", "3: is not text in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_trace(tmp_path: Path, text: str | bytes, expected: str) -> None:
    done = simulate(tmp_path, text, "--devices", "4", "--json")
    assert (done.exit_code, done.stderr) == (1, f"Error: {tmp_path}/trace.csv:{expected}\n")


def test_more_than_a_group_has_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "lab.yaml"
    config.write_text("quotas: {groups: {g: {gpus: 1, total: {gpus: 1}}}}\n")
    words = ("--devices", "4", "--config", str(config))
    done = simulate(tmp_path, HEAD + "0,a,g,2,1,9\n", *words)
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: {tmp_path}/trace.csv:2: gpus is 2, and the group g may have at most 1 GPU in all; "
        "write less\n",
    )


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["simulate", str(tmp_path / "no.csv"), "--devices", "1"])
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: {tmp_path}/no.csv: cannot be read (No such file or directory)\n",
    )


def test_a_config_that_is_wrong_is_not_used(tmp_path: Path) -> None:
    config = tmp_path / "lab.yaml"
    config.write_text("gpus: {half_life: 1 s}\n")
    done = simulate(tmp_path, SMALL, "--devices", "2", "--config", str(config))
    assert done.exit_code == 1
    assert "lab.yaml:1:" in done.stderr
    assert "1 s is not from 5 s to 365 d; write 30 min" in done.stderr
