"""The files of `deploy/` speak of metrics that there are, and are what their readers take."""

from __future__ import annotations

import configparser
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from taskd.config.load import load_settings
from taskd.store.connect import Connection
from tests.store.asking import Site, site
from tests.store.test_web_metrics import work

pytestmark = pytest.mark.one_server
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BOARD = DEPLOY / "grafana" / "taskd.json"
RULES = DEPLOY / "prometheus" / "taskd.rules.yaml"
SCALER = DEPLOY / "kubernetes" / "autoscaler.yaml"


@pytest.fixture
def web(dsn: str) -> Iterator[Site]:
    with site(dsn) as found:
        yield found


@pytest.fixture
def labels(web: Site, connection: Connection) -> dict[str, set[str]]:
    """The labels of each sample that the server shows of a system that has done something."""
    work(connection)
    # As if they had waited for resources, too.
    connection.execute("UPDATE taskd.tally SET asks = runs")
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(web.ask("/metrics").body.decode()):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


def board() -> Any:
    return json.loads(BOARD.read_text(encoding="utf-8"))


def rules() -> list[Any]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def queries() -> list[str]:
    """All queries, in whichever file."""
    panels = [target["expr"] for panel in board()["panels"] for target in panel["targets"]]
    (trigger,) = yaml.safe_load(SCALER.read_text())["spec"]["triggers"]
    variables = [v["definition"] for v in board()["templating"]["list"] if v["type"] == "query"]
    return [*panels, *variables, *(rule["expr"] for rule in rules()), trigger["metadata"]["query"]]


def test_each_metric_that_is_asked_for_is_served_with_its_labels(
    labels: dict[str, set[str]],
) -> None:
    asked = 0
    for query in queries():
        for name, matchers in re.findall(r"\b(taskd_\w+)(?:\{([^}]*)\})?", query):
            assert name in labels, query
            assert set(re.findall(r"(\w+)\s*=", matchers)) <= labels[name], query
            asked += 1
        grouped = {
            label.strip()
            for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
            for label in group.split(",")
        }
        of_any = set[str]().union(*(labels[n] for n in re.findall(r"\btaskd_\w+", query)))
        assert grouped <= of_any, query
    assert asked > 40


def test_each_metric_that_is_served_is_on_the_board(labels: dict[str, set[str]]) -> None:
    text = BOARD.read_text(encoding="utf-8")
    bases = {
        re.sub(r"_(bucket|sum|count|created)$", "", name)
        for name in labels
        if not name.endswith("_created")
    }

    assert [name for name in sorted(bases) if name not in text] == []


@pytest.mark.parametrize("query", queries())
def test_the_brackets_of_each_query_close(query: str) -> None:
    open_ones: list[str] = []
    for character in re.sub(r'"[^"]*"', "", query):
        if character in "([{":
            open_ones.append(")]}"["([{".index(character)])
        elif character in ")]}":
            assert open_ones.pop() == character
    assert open_ones == []


def test_each_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        used = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert all(label in rule["expr"] or "taskd_queue" in rule["expr"] for label in used)
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_the_panels_of_the_board_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in board()["panels"]]
    assert len(set(ids)) == len(ids)


def manifests() -> list[Any]:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def test_the_pods_run_commands_that_there_are(tmp_path: Path) -> None:
    configuration = next(one for one in manifests() if one["kind"] == "ConfigMap")
    (text,) = configuration["data"].values()
    (tmp_path / "taskd.yaml").write_text(text)
    settings = load_settings(str(tmp_path / "taskd.yaml"), {}, {})
    workers, dashboard = (
        one["spec"]["template"]["spec"] for one in manifests() if one["kind"] == "Deployment"
    )

    shutdown = max(pool.shutdown_timeout for pool in settings.pools.values())
    assert workers["terminationGracePeriodSeconds"] > shutdown + 10
    assert workers["containers"][0]["command"][0] == "taskd"
    assert dashboard["containers"][0]["command"][:2] == ["taskd", "dashboard"]
    probes = [dashboard["containers"][0][f"{kind}Probe"] for kind in ("liveness", "readiness")]
    assert [probe["httpGet"]["path"] for probe in probes] == ["/healthz", "/readyz"]


def test_the_autoscaler_scales_the_workers_by_their_slots() -> None:
    scaler = next(one for one in manifests() if one["kind"] == "ScaledObject")
    configuration = next(one for one in manifests() if one["kind"] == "ConfigMap")
    pool = yaml.safe_load(configuration["data"]["taskd.yaml"])["pools"]["io"]

    assert scaler["spec"]["scaleTargetRef"]["name"] == "taskd"
    (trigger,) = scaler["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == str(pool["processes"] * pool["greenlets"])
    assert "taskd_queue_runnable_jobs" in trigger["metadata"]["query"]
    assert "|".join(pool["queues"]) in trigger["metadata"]["query"]


def test_the_unit_is_the_one_of_the_page() -> None:
    page = (ROOT / "docs" / "operations" / "service.md").read_text(encoding="utf-8")
    unit = (DEPLOY / "taskd.service").read_text(encoding="utf-8")

    assert f"```ini\n{unit}```" in page
    for name in ("taskd.service", "taskd-dashboard.service"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(DEPLOY / name)
        assert parser["Service"]["Restart"] == "always"
        assert "/taskd --config " in parser["Service"]["ExecStart"]


def test_the_page_names_each_file() -> None:
    page = (ROOT / "docs" / "operations" / "monitoring.md").read_text(encoding="utf-8")
    files = [file.relative_to(DEPLOY) for file in DEPLOY.rglob("*") if file.is_file()]

    assert len(files) == 7
    assert [str(file) for file in files if f"`{file}`" not in page] == []
