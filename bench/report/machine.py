"""What a result must say about where it was measured."""
import datetime
import os
import platform
import subprocess

from contenders import ROOT


def first_field(path, key):
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(key):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def commit():
    """The commit that the tree is at, marked when files differ from it; empty where there is no repository."""
    try:
        head = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
        if head.returncode != 0:
            return ""
        changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain"], capture_output=True, text=True, check=False)
        return head.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
    except FileNotFoundError:
        return ""


def describe():
    system = open_release()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cpu": first_field("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "memory": first_field("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": system,
        "load_before": os.getloadavg()[0],
    }


def open_release():
    """os-release separates with an equals sign, unlike the files under /proc."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def line(facts):
    return (f"{facts['cpu']}, {facts['cpus']} CPUs, {facts['kernel']}, {facts['system']}; {facts['date']}, "
            f"commit {facts['commit'] or 'unknown'}")
