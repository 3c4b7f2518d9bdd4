"""What a connector is made with. docs/guides/write-a-connector.md shows one in forty lines.

- source.py: the steps that a source yields; run.py: what is done with them, and in which order
- connector.py: the entry point, its settings and its context
- report.py, progress.py, files.py: the report of refused rows, the position, and files that survive a power cut
- file_steps.py, csv_records.py, lined_yaml.py: a file as steps, tolerant CSV, YAML with lines
- testkit.py: a Publisher that remembers, and the checks that every source passes
"""

from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.errors import ConnectorInvalid, FileRejected, ProfileInvalid, RowRejected
from connectors.toolkit.progress import ProgressFile
from connectors.toolkit.report import ErrorReport, report_path
from connectors.toolkit.run import EventPublisher, SourceRun, Totals
from connectors.toolkit.source import Begin, Idle, Mark, Origin, Position, Refused, Source, Step, Taken

__all__ = [
    "Connector",
    "ConnectorContext",
    "ConnectorSettings",
    "Source",
    "Step",
    "Taken",
    "Refused",
    "Begin",
    "Mark",
    "Idle",
    "Origin",
    "Position",
    "SourceRun",
    "EventPublisher",
    "Totals",
    "ErrorReport",
    "report_path",
    "ProgressFile",
    "RowRejected",
    "FileRejected",
    "ConnectorInvalid",
    "ProfileInvalid",
]
