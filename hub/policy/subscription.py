"""The third consent: what a recipient asks for. By labels at the hub, by content in the recipient's own client.

A file has ``accept`` clauses; an event is wanted where one of them matches. Without a clause nothing is wanted. The hub
keeps a copy with the label parts alone (:meth:`Subscription.hub_part`): what an agency looks for in the content is its
own business, and :meth:`Subscriptions.load_folder` refuses a copy that tells it. Pure, except for the loaders.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.model import (
    HUB,
    AgencyId,
    Decision,
    Handling,
    NameInvalid,
    OpenedEvent,
    Priority,
    Purpose,
    Route,
    parse_handling,
)
from hub.policy.agreement import HUB_NOTICE
from hub.policy.condition import Condition, Verdict, compile_condition
from hub.policy.facts import Scope, event_scope, read_facts
from hub.policy.handling import at_least
from hub.policy.release import CatalogLike, TypeLike, read_agency, read_types
from hub.policy.source import Part, PolicyInvalid, read_policy

MAX_CLAUSES: Final = 10_000
_LABEL_KEYS: Final = ("priorities", "purposes", "handling")


@dataclass(frozen=True, slots=True)
class Content:
    """A clause's condition, compiled for one event type."""

    scope: Scope
    condition: Condition


@dataclass(frozen=True, slots=True)
class Clause:
    """One ``accept`` clause. ``None`` in a label's place means any."""

    name: str
    place: str
    types: frozenset[str]
    publishers: frozenset[AgencyId] | None
    priorities: frozenset[Priority] | None
    purposes: frozenset[Purpose] | None
    handling_from: Handling | None
    handling_to: Handling | None
    content: Mapping[str, Content]

    @property
    def clause(self) -> str:
        """``subscription.yaml:8 accept "..."``."""
        return f'{self.place} accept "{self.name}"'

    def wants(self, publisher: AgencyId, route: Route) -> bool:
        """Whether the labels are among those that it accepts."""
        return (
            route.event_type in self.types
            and (self.publishers is None or publisher in self.publishers)
            and (self.priorities is None or route.priority in self.priorities)
            and (self.purposes is None or route.purpose in self.purposes)
            and (self.handling_from is None or at_least(route.handling, self.handling_from))
            and (self.handling_to is None or route.handling.within(self.handling_to))
        )


@dataclass(frozen=True, slots=True)
class Subscription:
    """What ``agency`` asks for. The hub asks :meth:`decide_labels`, the client :meth:`matches`."""

    agency: AgencyId
    file: str
    clauses: tuple[Clause, ...]
    hub: AgencyId = HUB
    """Whose ``hub.notice`` is taken without asking. Anyone else's would be no notice of the hub."""

    @property
    def has_content(self) -> bool:
        """Whether any clause looks at the content."""
        return any(clause.content for clause in self.clauses)

    def decide_labels(self, publisher: AgencyId, route: Route) -> Decision:
        """Whether the recipient asked for events of this publisher and route. Never raises."""
        if route.event_type == HUB_NOTICE and publisher == self.hub:
            return Decision(True, "subscription.hub_notice", f"{HUB_NOTICE} needs no subscription", "built-in")
        for clause in self.clauses:
            if clause.wants(publisher, route):
                return Decision(True, "subscription.asked", f"{self.agency} asks for it", clause.clause)
        code = "subscription.labels" if self.clauses else "subscription.none"
        return Decision(False, code, f"{self.agency} asks for nothing like it", self.file)

    def matches(self, event: OpenedEvent) -> Decision:
        """Whether an opened event is wanted, by labels and by content. What this reader cannot know does not match.

        Never raises.
        """
        labels = self.decide_labels(event.publisher, event.route)
        if not labels.allowed or labels.code == "subscription.hub_notice":
            return labels
        verdicts: list[Verdict] = []
        near = ""
        for clause in self.clauses:
            if not clause.wants(event.publisher, event.route):
                continue
            verdict = _verdict(clause, event)
            if verdict is True:
                return Decision(True, "subscription.asked", f"{self.agency} asks for it", clause.clause)
            verdicts.append(verdict)
            near = near or clause.clause
        if None in verdicts:
            return Decision(
                False, "subscription.unknown", "what the clause asks about is absent or withheld from this agency", near
            )
        return Decision(False, "subscription.content", f"{self.agency} asks for other content", near)

    def hub_part(self) -> str:
        """The YAML of the copy for the hub: labels alone. A clause with a condition is there without it."""
        lines = [f"agency: {self.agency}", "accept:" if self.clauses else "accept: []"]
        for number, clause in enumerate(self.clauses, 1):
            # A clause's own name may say what its condition looks for, so it stays behind too.
            lines += [f"  - name: clause {number}", f"    types: {_listed(clause.types)}"]
            publishers = '"*"' if clause.publishers is None else _listed(clause.publishers)
            lines.append(f"    from: {publishers}")
            if clause.priorities is not None:
                lines.append(f"    priorities: {_listed(p.value for p in clause.priorities)}")
            if clause.purposes is not None:
                lines.append(f"    purposes: {_listed(p.value for p in clause.purposes)}")
            bounds = (("at_least", clause.handling_from), ("at_most", clause.handling_to))
            told = ", ".join(f'{name}: "{handling}"' for name, handling in bounds if handling is not None)
            if told:
                lines.append(f"    handling: {{{told}}}")
        return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    # A JSON list is YAML too, and quotes NO and other words that YAML would take for something else.
    return json.dumps(sorted(names))


def _verdict(clause: Clause, event: OpenedEvent) -> Verdict:
    content = clause.content.get(event.route.event_type)
    if content is None:
        return True
    facts = read_facts(
        content.scope,
        event.body,
        handling=event.route.handling,
        priority=event.route.priority,
        purpose=event.route.purpose,
        requester=event.in_reply_to.publisher if event.in_reply_to is not None else None,
    )
    return content.condition.test(facts)


class Subscriptions(Mapping[AgencyId, Subscription]):
    """The hub's parts of all subscriptions, by agency. Who is not in it asked for nothing.

    ``refused`` are agencies whose file cannot be read: nobody can say what they ask for, so they get nothing.
    """

    def __init__(
        self, found: Mapping[AgencyId, Subscription], hub: AgencyId = HUB, *, refused: Collection[AgencyId] = ()
    ) -> None:
        self._hub = hub
        self._refused = frozenset(refused)
        self._found = dict(sorted(found.items()))

    def __getitem__(self, agency: AgencyId) -> Subscription:
        return self._found[agency]

    def __iter__(self) -> Iterator[AgencyId]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def decide_labels(self, recipient: AgencyId, publisher: AgencyId, route: Route) -> Decision:
        """The recipient's decision; without a subscription the denial ``subscription.none`` or ``.refused``."""
        found = self._found.get(recipient)
        if found is not None:
            return found.decide_labels(publisher, route)
        if route.event_type == HUB_NOTICE and publisher == self._hub:
            return Decision(True, "subscription.hub_notice", f"{HUB_NOTICE} needs no subscription", "built-in")
        if recipient in self._refused:
            return Decision(False, "subscription.refused", f"the hub cannot read what {recipient} asks for")
        return Decision(False, "subscription.none", f"{recipient} has no subscription: it gets nothing")

    @classmethod
    def load_folder(
        cls, folder: Path, catalog: CatalogLike, *, agencies: Collection[str] | None = None, hub: AgencyId = HUB
    ) -> Subscriptions:
        """Every ``<AGENCY>.yaml`` of ``folder``, hub's parts. Raises ``PolicyInvalid`` with file and line.

        Each file is named after its agency, and has no content condition: those stay with the recipient.
        """
        found: dict[AgencyId, Subscription] = {}
        if not folder.is_dir():
            raise PolicyInvalid(f"{folder}: there is no such folder of subscriptions", file=str(folder))
        for path in sorted(folder.glob("*.yaml")):
            subscription = load_hub_part(path, catalog, agencies=agencies, hub=hub)
            found[subscription.agency] = subscription
        return cls(found, hub)


def load_hub_part(
    path: Path, catalog: CatalogLike, *, agencies: Collection[str] | None = None, hub: AgencyId = HUB
) -> Subscription:
    """The hub's copy in ``<AGENCY>.yaml``: that agency's, labels alone. Raises ``PolicyInvalid``, file and line."""
    subscription = load_subscription(path, catalog, agencies=agencies, hub=hub)
    if path.stem != subscription.agency:
        raise PolicyInvalid(
            f"{path}: it is {subscription.agency}'s, so its name must be {subscription.agency}.yaml", file=str(path)
        )
    if subscription.has_content:
        raise PolicyInvalid(
            f"{path}: it has `when`: what an agency looks for stays with it; "
            "make the hub's part with `hub policy hub-part`",
            file=str(path),
        )
    return subscription


# --- reading ----------------------------------------------------------------------------------------------------------


def load_subscription(
    path: Path, catalog: CatalogLike, *, agencies: Collection[str] | None = None, hub: AgencyId = HUB
) -> Subscription:
    """The subscription in the file at ``path``. Raises ``PolicyInvalid`` (a ``ConfigError``) with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyInvalid(f"{path}: cannot be read: {error}", file=str(path)) from error
    return parse_subscription(text, catalog, file=path.name, agencies=agencies, hub=hub)


def parse_subscription(
    text: str,
    catalog: CatalogLike,
    *,
    file: str = "subscription.yaml",
    agencies: Collection[str] | None = None,
    hub: AgencyId = HUB,
) -> Subscription:
    """A subscription from YAML text. ``agencies`` are those of the directory, where it is at hand.

    Raises ``PolicyInvalid`` (a ``ConfigError``) with ``file`` and the line.
    """
    root = read_policy(text, file).mapping(required=("agency", "accept"))
    types: dict[str, TypeLike] = {name: catalog.get(name) for name in catalog.names()}
    parts = root["accept"].parts()
    if len(parts) > MAX_CLAUSES:
        raise root["accept"].fault(f"over {MAX_CLAUSES} clauses")
    clauses = tuple(_read_clause(part, types, agencies) for part in parts)
    names: dict[str, str] = {}
    for clause in clauses:
        if clause.name in names:
            raise PolicyInvalid(f"{clause.place}: the clause {clause.name!r} stands at {names[clause.name]} already")
        names[clause.name] = clause.place
    return Subscription(read_agency(root["agency"], agencies), file, clauses, hub)


def _read_clause(part: Part, types: Mapping[str, TypeLike], agencies: Collection[str] | None) -> Clause:
    found = part.mapping(required=("name", "types", "from"), optional=(*_LABEL_KEYS, "when"))
    name = found["name"].text()
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise found["name"].fault("a clause's name is 1 to 200 printable characters")
    wanted = read_types(found["types"], types)
    publishers: frozenset[AgencyId] | None = None
    if found["from"].is_list or found["from"].text() != "*":
        publishers = frozenset(read_agency(each, agencies) for each in found["from"].parts_or_one())
    content: dict[str, Content] = {}
    if "when" in found:
        for type_name in wanted:
            scope = event_scope(types[type_name].fields)
            content[type_name] = Content(scope, compile_condition(found["when"], scope))
    bounds = found["handling"].mapping(optional=("at_least", "at_most")) if "handling" in found else {}
    if "handling" in found and not bounds:
        raise found["handling"].fault("at_least, at_most or both are wanted")
    return Clause(
        name,
        part.place,
        frozenset(wanted),
        publishers,
        _read_priorities(found["priorities"]) if "priorities" in found else None,
        _read_purposes(found["purposes"]) if "purposes" in found else None,
        _read_handling(bounds["at_least"]) if "at_least" in bounds else None,
        _read_handling(bounds["at_most"]) if "at_most" in bounds else None,
        content,
    )


def _read_priorities(part: Part) -> frozenset[Priority]:
    known = [member.value for member in Priority]
    return frozenset(Priority(each.one_of(known, "a priority")) for each in part.parts_or_one())


def _read_purposes(part: Part) -> frozenset[Purpose]:
    known = [member.value for member in Purpose]
    return frozenset(Purpose(each.one_of(known, "a purpose")) for each in part.parts_or_one())


def _read_handling(part: Part) -> Handling:
    try:
        return parse_handling(part.text())
    except NameInvalid as error:
        raise part.fault(error.message) from error
