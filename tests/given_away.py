"""Refuses texts that give probes away, as a run does."""

from vcjax.probes import overlap


def refuse(probes, records):
    found = overlap.of_parts(overlap.finder(probes), {"records": records})
    overlap.refuse(found.get("records", []))
