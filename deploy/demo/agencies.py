"""The agencies of the demo: who they are, which of the examples' files they take in, and how they read them.

Their release rules and subscriptions are in sites/<AGENCY>/, the agreements in agreements.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.model import AgencyId


@dataclass(frozen=True, slots=True)
class Inbox:
    """A kind of file that a site watches for: a pattern, and a mapping profile; without one it is JSON lines."""

    match: str
    profile: str = ""
    key: tuple[str, ...] = ("header.originator_case_ref",)


@dataclass(frozen=True, slots=True)
class Site:
    """An agency's site. ``feeds`` are the inputs of examples/<AGENCY>/."""

    agency: AgencyId
    name: str
    feeds: tuple[Inbox, ...] = ()


_ALERTS = Inbox("alerts*.jsonl", key=("type", "body.header.originator_case_ref"))
_ANSWERS = Inbox("answers-*.jsonl", key=("type", "in_reply_to.publisher", "in_reply_to.event_id"))
_STOLEN = Inbox("stolen*.csv", "stolen-firearms")

SITES: tuple[Site, ...] = (
    Site(
        AgencyId("CCGIU"),
        "CARICOM IMPACS Crime Gun Intelligence Unit",
        (
            _ALERTS,
            Inbox("statistics*.jsonl", key=("body.country", "body.category", "body.period_start")),
            _ANSWERS,
        ),
    ),
    Site(AgencyId("ATF"), "Bureau of Alcohol, Tobacco, Firearms and Explosives", (_ANSWERS,)),
    Site(AgencyId("INTERPOL"), "INTERPOL", (_ALERTS, Inbox("iarms*.csv", "stolen-firearms"))),
    Site(AgencyId("RSS"), "Regional Security System", (_ALERTS, Inbox("seizures*.csv", "seizure-register"))),
    Site(
        AgencyId("HSI"),
        "Homeland Security Investigations",
        (_ALERTS, Inbox("case-updates*.jsonl", key=("body.header.originator_case_ref", "body.stage"))),
    ),
    Site(AgencyId("CBP"), "Customs and Border Protection", (Inbox("export*.csv", "export-screening"),)),
    Site(AgencyId("BIS"), "Bureau of Industry and Security", (Inbox("licence*.csv", "export-screening"),)),
    Site(AgencyId("NCA"), "National Crime Agency", (_ALERTS, _STOLEN)),
    Site(AgencyId("HNP"), "Haitian National Police", (Inbox("registre*.csv", "etrace-register-fr"),)),
    Site(AgencyId("JCF"), "Jamaica Constabulary Force", (Inbox("traces*.csv", "etrace-register"), _STOLEN)),
    Site(AgencyId("TTPS"), "Trinidad and Tobago Police Service", (Inbox("seizures*.csv", "seizure-register"),)),
    Site(
        AgencyId("RFL"),
        "Regional Forensic Laboratory",
        (Inbox("ballistic*.jsonl", key=("body.report_no", "body.level")),),
    ),
)

AGENCIES: tuple[AgencyId, ...] = tuple(site.agency for site in SITES)
