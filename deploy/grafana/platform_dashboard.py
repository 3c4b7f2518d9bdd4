"""The platform: brokers, routers, directory, clocks: whether the hub itself is well."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    Bad,
    Query,
    Row,
    alerts,
    choice,
    compose,
    graph,
    listing,
    number,
    quantile,
    rate,
    times,
)

_DAY = 86_400


def platform() -> Dashboard:
    """The dashboard of what the operator runs."""
    return compose(
        "cgi-platform",
        "CGI hub: platform",
        "Brokers, routers, directory, clocks: whether the hub itself is well. The broker's figures are the exporter's.",
        [choice("instance", "Process", "label_values(cgi_build_info, instance)", many=True)],
        [_now(), _broker(), _routers(), _standing()],
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            number(
                "Brokers up",
                "That the cluster names. 0: none answers the exporter.",
                'max(cgi_brokers{state="up"})',
                bad=Bad(alarm=1, below=True),
                runbook="BrokerAway",
            ),
            number(
                "Brokers away",
                "That have replicas and that the cluster does not name.",
                'max(cgi_brokers{state="away"})',
                bad=Bad(warn=1),
                runbook="BrokerAway",
            ),
            number(
                "Controllers led",
                "1 while the controllers have a leader.",
                "max(cgi_controllers)",
                bad=Bad(alarm=1, below=True),
                runbook="ControllerMissing",
            ),
            number(
                "Partitions not in order",
                "A replica is missing, too few for a write, or no leader.",
                'sum(max by (topic, state) (cgi_topic_partitions{state!="healthy"}))',
                bad=Bad(warn=1),
                runbook="PartitionsUnderReplicated",
            ),
            number(
                "Processes that do not answer",
                "Of all that Prometheus should hear: routers, sites, the exporter.",
                'count(up{job="cgi-hub"} == 0)',
                bad=Bad(warn=1),
                runbook="ProcessDown",
                words="0",
            ),
            number(
                "Least disk left",
                "Of the fullest volume of any broker.",
                'min(cgi_broker_disk_bytes{kind="usable"} / on (instance, broker) cgi_broker_disk_bytes{kind="total"})',
                unit="percentunit",
                bad=Bad(warn=0.2, alarm=0.1, below=True),
                runbook="DiskFilling",
            ),
        ],
        height=4,
        across=6,
    )


def _broker() -> Row:
    return Row(
        "Broker",
        [
            graph(
                "Partitions not in order, by state",
                "under_replicated: a replica is away. under_min_isr: writes are refused. offline: no leader.",
                Query('sum by (state) (max by (topic, state) (cgi_topic_partitions{state!="healthy"}))', "{{state}}"),
                bad=Bad(warn=1),
                runbook="PartitionsOffline",
            ),
            graph(
                "Time until a broker answered",
                "The exporter's question for its disks, 95 of 100. It grows when disk, core or memory is at its end.",
                Query(
                    quantile(0.95, "cgi_broker_answer_seconds", by="broker"),
                    "broker {{broker}}",
                ),
                unit="s",
                bad=Bad(warn=1),
            ),
            graph(
                "Disk left, by broker",
                "Of its fullest volume.",
                Query('min by (broker) (cgi_broker_disk_bytes{kind="usable"})', "broker {{broker}}"),
                unit="bytes",
                runbook="DiskFilling",
            ),
            graph(
                "Records written a second, by topic",
                "The ten topics that most is written to.",
                Query("topk(10, max by (topic) (rate(cgi_topic_end_offset[$__rate_interval])))", "{{topic}}"),
            ),
            graph(
                "Size of topics",
                "On the disks of all brokers, the ten largest.",
                Query("topk(10, max by (topic) (cgi_topic_bytes))", "{{topic}}"),
                unit="bytes",
                runbook="DiskFilling",
            ),
            graph(
                "Time used up by what is unread",
                "Of the time that the broker keeps it, by reader. At 100 % it is deleted.",
                Query("group:cgi_retention_used:ratio > 0.01", "{{topic}} {{group}}"),
                unit="percentunit",
                bad=Bad(warn=0.5, alarm=0.7),
                runbook="RetentionNear",
            ),
        ],
    )


def _routers() -> Row:
    return Row(
        "Routers and other processes",
        [
            graph(
                "Events a second, by router",
                "Verified; each router has a part of the partitions.",
                Query(
                    rate("cgi_events_total", 'outcome="routed", role="router"', by="instance"),
                    "{{instance}}",
                ),
            ),
            graph(
                "Part of a core",
                "A router uses one core at most: near 1 add a router.",
                Query('rate(process_cpu_seconds_total{instance=~"$instance"}[$__rate_interval])', "{{instance}}"),
                unit="percentunit",
                bad=Bad(warn=0.8),
                runbook="LagGrowing",
            ),
            graph(
                "Memory",
                "Resident, by process.",
                Query('process_resident_memory_bytes{instance=~"$instance"}', "{{instance}}"),
                unit="bytes",
            ),
            graph(
                "Time to verify and decide a bundle",
                "Without waiting for anything, 95 of 100, by router.",
                Query(
                    quantile(0.95, "cgi_route_seconds", by="instance"),
                    "{{instance}}",
                ),
                unit="s",
            ),
            graph(
                "Partitions, by router",
                "Shared out among the routers. Steps are rebalances.",
                Query('cgi_partitions{role="router"}', "{{instance}}"),
            ),
            graph(
                "Something outside was not there",
                "Times in an interval, by process and code. Nothing is lost by it; it is tried again.",
                Query(
                    times("cgi_unavailable_total", 'instance=~"$instance"', by="instance, code") + " > 0",
                    "{{instance}} {{code}}",
                ),
                runbook="OutsideUnavailable",
            ),
        ],
    )


def _standing() -> Row:
    return Row(
        "Directory, clocks, certificates, alerts",
        [
            graph(
                "Directory in use, by process",
                "All should have the newest version within minutes.",
                Query('cgi_directory_version{instance=~"$instance"}', "{{instance}}"),
                runbook="DirectoryBehind",
            ),
            number(
                "Directory ends in",
                "The least of all processes. Without a newer one nothing flows after that.",
                "min(cgi_directory_expiry_timestamp_seconds) - time()",
                unit="s",
                bad=Bad(warn=10 * _DAY, alarm=3 * _DAY, below=True),
                runbook="DirectoryExpires",
            ),
            number(
                "Cluster behind the directory",
                "Versions between what topics and access rules are by, and what the processes use (hub broker follow).",
                "max(cgi_directory_version) - max(cgi_cluster_directory_version)",
                bad=Bad(warn=1),
                runbook="ClusterBehind",
                words="no follower",
            ),
            graph(
                "Partitions that are held, by code",
                "Their next record waits for a newer directory or for a key, and what is behind it waits too.",
                Query("sum by (instance, code) (cgi_held_partitions) > 0", "{{instance}} {{code}}"),
                bad=Bad(warn=1),
                runbook="RecordsHeld",
            ),
            graph(
                "Clock against Prometheus's",
                "Seconds, whichever way. Over 10 somebody is told; from 300 ahead a publisher is refused.",
                Query(
                    'abs(cgi_clock_timestamp_seconds{instance=~"$instance"} - timestamp(cgi_clock_timestamp_seconds))',
                    "{{instance}}",
                ),
                unit="s",
                bad=Bad(warn=10, alarm=120),
                runbook="ClockSkewed",
            ),
            graph(
                "Clock against the broker's",
                "Seconds, by what each process sees of acknowledgements. Over 10 somebody is told.",
                Query('abs(cgi_clock_skew_seconds{instance=~"$instance"})', "{{instance}}"),
                unit="s",
                bad=Bad(warn=10, alarm=120),
                runbook="ClockSkewed",
            ),
            listing(
                "Certificates: time left",
                "By process, the own one and the authority's.",
                "min by (instance, agency, certificate) (cgi_certificate_expiry_timestamp_seconds) - time()",
                unit="s",
                bad=Bad(warn=21 * _DAY, alarm=3 * _DAY, below=True),
                runbook="CertificateExpires",
                agency_label="agency",
            ),
            number(
                "Subscriptions refused",
                "Agencies' files that a router does not accept; such an agency gets nothing.",
                'max(cgi_subscriptions{state="refused"})',
                bad=Bad(warn=1),
                runbook="SubscriptionRefused",
            ),
            alerts("Alerts that fire", "All of them."),
        ],
    )
