"""The file that a bug leaves behind: what was asked, of which versions, and the whole traceback."""

import platform
import shlex
import sys
import tempfile
import traceback

from optkit.needs import EXTRAS
from optkit.versions import versions_for


def write_bug_report(error: BaseException) -> str:
    """Write the report into the temporary folder and return its path. Raises OSError when that is impossible."""
    with tempfile.NamedTemporaryFile("w", prefix="optkit-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(f"command: {shlex.join(sys.argv)}\n")
        file.write(f"python: {platform.python_version()} on {platform.platform()} ({platform.machine()})\n")
        file.writelines(f"{name}: {number}\n" for name, number in versions_for(tuple(EXTRAS)).items())
        file.write("\n")
        file.writelines(traceback.format_exception(error))
        return file.name
