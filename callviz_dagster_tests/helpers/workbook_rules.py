"""Shared by tests: REFERENCE, fields, sheet, shelf."""

from __future__ import annotations

import re

from lxml import etree

from callviz_dagster_tests.helpers.tableau import workbook_xml

XML = workbook_xml()
ROOT = etree.fromstring(XML)
SOURCE = ROOT.xpath("datasources/datasource[@caption='calls']")[0]


def bare(name: str) -> str:
    return name.removeprefix("[").removesuffix("]")


REFERENCE = re.compile(r"\[([^\[\]]+)\]\.\[([^\[\]]+)\]")


def sheet(name: str) -> etree._Element:
    return ROOT.xpath("worksheets/worksheet[@name=$name]", name=name)[0]


def fields() -> dict[str, etree._Element]:
    """Return the fields of the data source."""
    return {bare(column.get("name")): column for column in SOURCE.findall("column")}


def shelf(name: str, which: str) -> str:
    return sheet(name).findtext(f"table/{which}") or ""
