"""
What a parsed compose file (`docker-compose config --format json` on standard input) defines, and that all of it is used.

check     prints "ok NAME" or "not ok NAME: WHAT" for each question
SERVICE   prints the options of `buildah run` for that service, one a line, then "--" and its command
"""

import json
import re
import sys
from pathlib import Path

DOCKER = Path(__file__).resolve().parents[2] / "docker"
# What reads the environment of each service, beside the base image (POSTGRES_*, PGDATA) and libpq's variables.
READERS = {
    "db": ["entrypoint.sh", "first-start/50-app-role.sh", "../test/container/docker-entrypoint.sh"],
    "prepare": ["../test/django/example/site_config/settings.py"],
    "web": ["../test/django/example/site_config/settings.py"],
}


def report(name, wrong):
    print("not ok %s: %s" % (name, ", ".join(map(str, wrong))) if wrong else "ok " + name)


def secrets_of(service):
    return [secret["source"] for secret in service.get("secrets", [])]


def mounts(service, kind):
    return [volume for volume in service.get("volumes", []) if volume["type"] == kind]


def unread(name, service):
    """Variables that none of the service's readers names; NAME_FILE may be read as NAME."""
    files = [DOCKER / reader for reader in READERS[name]]
    text = "".join(file.read_text() for file in files if file.exists())
    return (
        []
        if not text
        else [
            variable
            for variable in service.get("environment", {})
            if not re.search(r"\b%s\b" % variable, text)
            and not re.search(r"\b%s\b" % re.sub("_FILE$", "", variable), text)
        ]
    )


def declared(section):
    """The names in a section of compose.yml as it is written."""
    text = (DOCKER / "compose.yml").read_text()
    lines = re.search(r"^%s:\n((?:(?: .*)?\n)*)" % section, text, re.MULTILINE).group(1)
    return set(re.findall(r"^  (\w+):", lines, re.MULTILINE))


def check(project):
    services = project["services"]
    # Compose leaves out what no service uses.
    for section in "secrets", "volumes", "services":
        report("all %s are used" % section, declared(section) - set(project[section]))
    report(
        "every secret of a service is one of its variables, and every file of /run/secrets one of its secrets",
        [
            name
            for name, service in services.items()
            if {"/run/secrets/" + secret for secret in secrets_of(service)}
            != {value for value in service["environment"].values() if value.startswith("/run/secrets/")}
        ],
    )
    report("every variable is read by something", [v for name in services for v in unread(name, services[name])])
    report(
        "every port is on the loopback address",
        [
            port
            for service in services.values()
            for port in service.get("ports", [])
            if port.get("host_ip") != "127.0.0.1"
        ],
    )
    source = (DOCKER / "compose.yml").read_text() + (DOCKER / "compose.hsm.yml").read_text()
    readme = (DOCKER / "README.md").read_text()
    report(
        "every variable of the user is in the README", [v for v in re.findall(r"\$\{(\w+)", source) if v not in readme]
    )
    report(
        "every secret is made by secrets/make",
        [s for s in project["secrets"] if s not in (DOCKER / "secrets/make").read_text()],
    )
    files = [mount["source"] for service in services.values() for mount in mounts(service, "bind")]
    report("every file that is mounted is there", [file for file in files if not Path(file).is_file()])


def options(service, folder):
    """Named volumes and secrets are in that folder."""
    for name, value in service["environment"].items():
        yield from ("-e", "%s=%s" % (name, value))
    for secret in secrets_of(service):
        yield from ("-v", "%s/secrets/%s:/run/secrets/%s:ro" % (folder, secret, secret))
    for volume in mounts(service, "volume"):
        yield from ("-v", "%s/%s:%s" % (folder, volume["source"], volume["target"]))
    for mount in mounts(service, "bind"):
        yield from ("-v", "%s:%s:ro" % (mount["source"], mount["target"]))
    for mount in service.get("tmpfs", []):
        yield from ("--mount", "type=tmpfs,destination=" + mount.split(":")[0])
    yield "--"
    yield from service.get("command") or []


if __name__ == "__main__":
    project = json.load(sys.stdin)
    if sys.argv[1] == "check":
        check(project)
    else:
        print("\n".join(options(project["services"][sys.argv[1]], sys.argv[2])))
