"""The systemd units, looked at statically: each grants what its row of the job table names, and is hardened."""

import re
import shutil
import subprocess
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger

from enclave.folders import WorkingFolder
from enclave.founding import CONFIG
from enclave.grants import Network
from enclave.settings import read_settings
from enclave.wiring import SERVER_KEYS
from jobs.confinement import confinement_of
from jobs.schedule import JOBS

REPOSITORY = Path(__file__).parents[2]
UNITS = REPOSITORY / "systemd"
SERVER = WorkingFolder(Path("/var/lib/enclave"))
REGISTRY = "kar"
PYTHON = "/opt/enclave/.venv/bin/python -I -B"
CREDENTIALS = Path("/run/credentials/unit")
AIRLOCK = {"RestrictAddressFamilies": ["AF_INET", "AF_INET6"], "IPAddressAllow": ["192.0.2.10"]}
LIMIT_WITH_NETWORK, LIMIT = 1.0, 0.3
SECTION, SETTING = re.compile(r"\[(\w+)]"), re.compile(r"(\w+)=(.*)")
NETWORK = {
    Network.AIRLOCK: AIRLOCK,
    Network.DATABASE: {"RestrictAddressFamilies": ["AF_UNIX"], "PrivateNetwork": ["yes"]},
    Network.NONE: {"RestrictAddressFamilies": ["none"], "PrivateNetwork": ["yes"]},
}
FILES = ("BindPaths", "BindReadOnlyPaths", "LoadCredentialEncrypted")
OPENING = re.compile(
    r"(Bind|ReadWrite|ReadOnly|LoadCred|SetCred|Environment|Temporary|IPAddress|Socket|Private|Restrict)"
)

Settings = dict[str, list[str]]


def parse(*files: Path) -> Settings:
    """The settings of unit files, by `Section.Name`; a line that is neither comment, section nor setting fails."""
    settings: Settings = defaultdict(list)
    for file in files:
        section = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            if found := SECTION.fullmatch(line):
                section = found[1]
                continue
            setting = SETTING.fullmatch(line)
            assert setting, (file.name, line)
            settings[f"{section}.{setting[1]}"] += setting[2].split() or [""]
    return dict(settings)


def service(name: str) -> Settings:
    """The settings of a job's own unit, without what all jobs share."""
    return parse(UNITS / f"enclave-job@{name}.service")


def test_there_is_one_unit_and_one_timer_for_each_job_and_nothing_else() -> None:
    """The folder holds the jobs' units and timers, the scheduler, the verifier, and what they share."""
    jobs = {f"enclave-job@{name}.{kind}" for name in JOBS for kind in ("service", "timer")}
    shared = {"enclave-.service.d/hardening.conf", "enclave-job@.service.d/job.conf"}
    others = {"enclave-scheduler.service", "enclave-verify.service", "enclave-verify.timer"}

    found = {str(path.relative_to(UNITS)) for path in UNITS.rglob("*") if path.is_file()}

    assert found == jobs | shared | others


@pytest.mark.parametrize("name", JOBS)
def test_a_unit_sees_the_files_of_its_row_and_no_others(name: str) -> None:
    """Below the working folder, which is otherwise an empty read-only tmpfs, a unit binds what its row names."""
    granted = confinement_of(JOBS[name], SERVER_WITH_CREDENTIALS, SETTINGS, REGISTRY, Path("/dev/shm/own"))
    unit = service(name)

    assert mounted(unit, "BindReadOnlyPaths") == below(granted.read)
    assert mounted(unit, "BindPaths") == below(granted.write)
    assert parse(UNITS / "enclave-job@.service.d/job.conf")["Service.TemporaryFileSystem"] == [
        "/var/lib/enclave:ro",
        "/dev/shm:mode=1777,size=4G,nosuid,nodev,noexec",
    ]


SERVER_WITH_CREDENTIALS = WorkingFolder(SERVER.root, CREDENTIALS)
SETTINGS = read_settings(CONFIG / "enclave.toml")


def below(paths: tuple[Path, ...]) -> set[Path]:
    """Those of them that are in the working folder."""
    return {path for path in paths if SERVER.root in path.parents}


def mounted(unit: Settings, setting: str) -> set[Path]:
    """The paths that a unit binds; only a database, which may be a PostgreSQL instead, and next keys may be missing."""
    written = unit.get(f"Service.{setting}", [])
    assert len(written) == len(set(written))
    optional = {path for path in written if path.startswith("-")}
    assert all(re.search(r"/(registry|vault)\.db(-journal)?$|\.(next|earlier)\.pub$", path) for path in optional)
    assert {path for path in written if path.endswith((".next.pub", ".earlier.pub"))} <= optional
    return {Path(path.removeprefix("-")) for path in written}


@pytest.mark.parametrize("name", JOBS)
def test_a_unit_is_handed_the_private_keys_of_its_row_and_no_others(name: str) -> None:
    """Each private key of the row is an encrypted credential under the name that the keyring looks for."""
    store = Path("/etc/credstore.encrypted/enclave")
    expected = [
        f"{key}.key:{(store if key in SERVER_KEYS else store / REGISTRY) / key}.key" for key in JOBS[name].private_keys
    ]

    assert sorted(service(name).get("Service.LoadCredentialEncrypted", [])) == sorted(expected)


@pytest.mark.parametrize("name", JOBS)
def test_a_unit_has_the_network_of_its_row(name: str) -> None:
    """Airlock jobs reach one IP address, database jobs named Unix sockets, and all others nothing."""
    unit = service(name)
    network = {f"Service.{setting}": value for setting, value in NETWORK[JOBS[name].network].items()}
    opening = {setting: value for setting, value in unit.items() if OPENING.match(setting.removeprefix("Service."))}
    files = {f"Service.{setting}" for setting in FILES}

    assert {setting: value for setting, value in opening.items() if setting not in files} == network
    assert parse(UNITS / "enclave-.service.d/hardening.conf")["Service.IPAddressDeny"] == ["any"]


@pytest.mark.parametrize("name", JOBS)
def test_a_unit_runs_its_own_job_and_nothing_more(name: str) -> None:
    """A unit is a description, an order, one command, a network and a list of files; it cannot undo what all share."""
    unit = service(name)
    allowed = {f"Service.{setting}" for setting in (*FILES, *NETWORK[JOBS[name].network], "ExecStart")}

    assert {setting for setting in unit if setting.startswith("Service.")} <= allowed
    assert {setting for setting in unit if not setting.startswith("Service.")} <= {
        "Unit.Description",
        "Unit.After",
        "Unit.Wants",
    }
    assert " ".join(unit["Service.ExecStart"]) == (
        f"{PYTHON} -m jobs run {name} --registry {REGISTRY} --config {SERVER.settings}"
    )


@pytest.mark.parametrize("name", JOBS)
def test_a_timer_is_due_when_the_job_table_says(name: str) -> None:
    """Over two days systemd computes the moments of the crontab line, and a missed one is caught up."""
    timer = parse(UNITS / f"enclave-job@{name}.timer")
    oslo = ZoneInfo(SETTINGS.time_zone)
    trigger = CronTrigger.from_crontab(JOBS[name].every, timezone=oslo)
    start, moments = datetime(2026, 3, 28, 0, 0, 1, tzinfo=UTC), []
    moment = trigger.get_next_fire_time(None, start)
    while moment is not None and moment < start + timedelta(days=2):
        moments.append(moment.astimezone(UTC))
        moment = trigger.get_next_fire_time(moment, moment + timedelta(seconds=1))

    assert timer["Timer.Persistent"] == ["true"]
    assert computed(" ".join(timer["Timer.OnCalendar"]), start, len(moments)) == moments


def computed(calendar: str, start: datetime, count: int) -> list[datetime]:
    """The next moments of a calendar line, by systemd itself."""
    base = start.strftime("%Y-%m-%d %H:%M:%S UTC")
    told = run("systemd-analyze", "calendar", f"--base-time={base}", f"--iterations={count}", calendar)
    assert told.returncode == 0, told.stderr
    found = re.findall(r"(?:Next elapse|Iter(?:\.|ation) #\d+): \w{3} ([-0-9]+ [:0-9]+) UTC", told.stdout)
    return [datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for text in found]


def test_loans_past_due_are_destroyed_before_any_job_is_caught_up() -> None:
    """Every other timer waits for a run of `destroy`, and every other job for one that is under way."""
    for name in set(JOBS) - {"destroy"}:
        timer = parse(UNITS / f"enclave-job@{name}.timer")

        assert timer["Unit.Wants"] == timer["Unit.After"] == ["enclave-job@destroy.service"]
        assert "enclave-job@destroy.service" in service(name)["Unit.After"]


def test_the_scheduler_has_the_union_of_all_rows_and_says_so() -> None:
    """It starts the jobs inside its own sandbox, and therefore excludes the timers, which give each job its own."""
    unit = parse(UNITS / "enclave-scheduler.service")
    families = {family for network in {job.network for job in JOBS.values()} for family in families_of(network)}

    assert set(unit["Service.RestrictAddressFamilies"]) == families - {"none"}
    assert unit["Service.ReadWritePaths"] == [str(SERVER.root)]
    assert set(unit["Unit.Conflicts"]) == {f"enclave-job@{name}.timer" for name in JOBS}
    assert " ".join(unit["Service.ExecStart"]) == f"{PYTHON} -m enclave --config {SERVER.settings} run"


def families_of(network: Network) -> list[str]:
    """The address families of a kind of network."""
    return NETWORK[network]["RestrictAddressFamilies"]


def test_the_verifier_only_reads_the_log() -> None:
    """It has no network, no keys, and of the working folder the log alone, read-only, by the standard library alone."""
    unit = parse(UNITS / "enclave-verify.service")
    opening = {setting: value for setting, value in unit.items() if OPENING.match(setting.removeprefix("Service."))}

    assert opening == {
        "Service.PrivateNetwork": ["yes"],
        "Service.RestrictAddressFamilies": ["none"],
        "Service.TemporaryFileSystem": ["/var/lib/enclave:ro"],
        "Service.BindReadOnlyPaths": [str(SERVER.audit)],
    }
    assert unit["Service.ExecStart"][:5] == [
        "/opt/enclave/.venv/bin/python",
        *("-I", "-S", "-B", "/opt/enclave/enclave/audit/verify.py"),
    ]
    assert (REPOSITORY / "enclave/audit/verify.py").is_file()


# --- What systemd itself says ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with systemd's own units, ours where docs/operator.md puts them, and the program that they start."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree("/lib/systemd/system", root / "lib/systemd/system", symlinks=True)
    shutil.copytree(UNITS, root / "etc/systemd/system")
    python = root / "opt/enclave/.venv/bin/python"
    python.parent.mkdir(parents=True)
    shutil.copy("/bin/true", python)
    return root


OURS = sorted(path.name for path in UNITS.iterdir() if path.is_file())


def test_systemd_finds_nothing_wrong_on_an_installed_tree(installed: Path) -> None:
    """`systemd-analyze verify` of every unit and timer is silent."""
    told = run("systemd-analyze", "verify", "--man=no", f"--root={installed}", *OURS)

    assert (told.returncode, told.stdout, about_ours(told.stderr)) == (0, "", "")


def about_ours(text: str) -> str:
    """What is said of our units, without what is said of Debian's own."""
    return "".join(line for line in text.splitlines(keepends=True) if "enclave" in line)


def test_systemd_sees_a_mistake_in_an_installed_tree(installed: Path, tmp_path: Path) -> None:
    """The same check tells of a missing program and of an unknown setting, so that its silence says something."""
    root = tmp_path / "root"
    shutil.copytree(installed, root, symlinks=True)
    (root / "opt/enclave/.venv/bin/python").unlink()
    with (root / "etc/systemd/system/enclave-job@seal.service").open("a") as unit:
        unit.write("PrivateNetwrok=yes\n")
    told = run("systemd-analyze", "verify", "--man=no", f"--root={root}", "enclave-job@seal.service")

    assert told.returncode != 0
    assert "not executable" in told.stderr
    assert "PrivateNetwrok" in told.stderr


@pytest.mark.parametrize("unit", [name for name in OURS if name.endswith(".service")])
def test_a_units_exposure_is_within_its_class(installed: Path, unit: str) -> None:
    """Systemd's own measure is at most 1.0 for a unit with an IP network, and at most 0.3 for every other."""
    has_network = "AF_INET" in parse(UNITS / unit)["Service.RestrictAddressFamilies"]
    limit = LIMIT_WITH_NETWORK if has_network else LIMIT
    threshold = f"--threshold={round(limit * 10)}"
    told = run("systemd-analyze", "security", "--offline=true", f"--root={installed}", threshold, "--no-pager", unit)
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+) ", told.stdout)

    assert told.returncode == 0, told.stdout
    assert overall is not None
    assert float(overall[1]) <= limit


def test_the_units_let_a_job_confine_itself() -> None:
    """Landlock's system calls pass the filter, and the calls that could undo a sandbox do not."""
    allowed = allowed_calls()
    needed = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl", "prlimit64", "capget"}

    assert needed <= allowed
    assert not {"mount", "ptrace", "bpf", "open_by_handle_at", "chown", "setuid", "kexec_load"} & allowed


def allowed_calls() -> set[str]:
    """The system calls that pass the filter of all units: one line allows, the next takes away."""
    filters = [
        line.removeprefix("SystemCallFilter=")
        for line in (UNITS / "enclave-.service.d/hardening.conf").read_text().splitlines()
        if line.startswith("SystemCallFilter=")
    ]
    allowed = {call for name in filters[0].split() for call in calls_of(name)}
    return allowed - {call for name in filters[1].removeprefix("~").split() for call in calls_of(name)}


def calls_of(name: str) -> set[str]:
    """The system calls of a group of systemd's, or the call of this name."""
    if not name.startswith("@"):
        return {name}
    told = run("systemd-analyze", "syscall-filter", name)
    words = [line.strip() for line in told.stdout.splitlines() if line.startswith("    ")]
    names = [word for word in words if not word.startswith("#")]
    return {call for word in names for call in calls_of(word)}


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """One of systemd's programs, with its words in English and its times in UTC."""
    return subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    )
