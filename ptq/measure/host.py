"""The machine that measures: processor, features, load."""

import os
import platform
import subprocess
from pathlib import Path

import torch

# Of units for bfloat16: not in records of before November 2026.
BFLOAT = ("avx512_bf16", "amx_bf16")
FLAGS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp"),
    *BFLOAT,
)


def machine() -> dict:
    """What the numbers depend on: processor, its features, versions, load."""
    description, features = _processor()
    return {
        "processor": description,
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "features": [flag for flag in FLAGS if flag in features],
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> tuple[str, set[str]]:
    """Name and feature flags, from where Linux or macOS keep them."""
    if platform.system() == "Darwin":
        names = ["machdep.cpu.brand_string", "hw.optional.arm.FEAT_DotProd"]
        found = subprocess.run(
            ["sysctl", "-n", *names], capture_output=True, text=True
        ).stdout.split("\n")
        return found[0], {"asimddp"} if "1" in found[1:2] else set()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown", set()
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in reversed(lines)
        if ":" in line
    )
    flags = facts.get("flags", facts.get("Features", ""))
    return facts.get("model name", platform.machine()), set(flags.split())
