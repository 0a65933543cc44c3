"""Write the table of all operations into docs/agentcore-api.md, from the service models; `--check` only compares.

Run it after a change of what is offered, or of the botocore release that the lock pins.
"""

import sys
from pathlib import Path

from portico.control.api.offered import OFFERED
from portico.control.api.refused import reason_of
from portico.control.api.service_model import CONTROL_PLANE, ModelledOperation, ServiceModel

PAGE = Path(__file__).parents[1] / "docs" / "agentcore-api.md"
BEGIN = "<!-- made by scripts/agentcore_api_table.py; do not edit -->\n"
END = "<!-- end of what is made -->"


def table() -> str:
    """Return the table: what is offered first, then everything else with the reason."""
    operations = ServiceModel.load().operations.values()
    offered = [operation for operation in operations if operation.name in OFFERED]
    refused = [operation for operation in operations if operation.name not in OFFERED]
    lines = [f"{len(offered)} of {len(operations)} operations are offered.", "", "| operation | request |", "|---|---|"]
    lines += [f"| `{operation.name}` | `{_request(operation)}` |" for operation in sorted(offered, key=_by_name)]
    lines += ["", "All others get 501 `NotOfferedException` with the reason.", ""]
    lines += ["| operation | plane | request | why not |", "|---|---|---|---|"]
    lines += [
        f"| `{operation.name}` | {_plane(operation)} | `{_request(operation)}` | {reason_of(operation.name)} |"
        for operation in sorted(refused, key=lambda operation: (reason_of(operation.name), operation.name))
    ]
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def _by_name(operation: ModelledOperation) -> str:
    return operation.name


def _request(operation: ModelledOperation) -> str:
    return f"{operation.method} {operation.template}"


def _plane(operation: ModelledOperation) -> str:
    return "control" if operation.plane == CONTROL_PLANE else "data"


def main() -> int:
    """Write or compare; 1 when the page is not what it should be."""
    text = PAGE.read_text()
    made = page(text)
    if "--check" in sys.argv:
        return int(made != text)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
